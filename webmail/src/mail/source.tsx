// The header fields of a message, or all of it as it came.

import { useEffect, useState } from "preact/hooks";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import { Dialog } from "../ui/dialog.tsx";
import { Icon } from "../ui/icon.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { type Details, loadHeaders, loadText } from "./details.ts";

const MOST = 500_000;

export function SourceDialog(props: { details: Details; kind: "headers" | "source"; onClose: () => void }) {
  const { details, kind, onClose } = props;
  const [text, setText] = useState<string | null>(null);
  useEffect(() => {
    const loaded =
      kind === "source"
        ? loadText(details.blobId, "message.eml", "message/rfc822", MOST)
        : loadHeaders(details.id).then((headers) => headers.map((one) => `${one.name}:${one.value}`).join("\n"));
    loaded.then(setText, () => setText(t("read.failed")));
  }, []);
  return (
    <Dialog
      title={t(kind === "source" ? "do.source" : "do.headers")}
      size="large"
      onClose={onClose}
      actions={
        <a class="button" href={jmap.downloadUrl(details.blobId, "message.eml", "message/rfc822")} download>
          <Icon name="download" size={18} />
          <span>{t("do.saveMessage")}</span>
        </a>
      }
    >
      {text === null ? (
        <Spinner isCentred />
      ) : (
        <pre class="source" tabIndex={0}>
          {text}
        </pre>
      )}
    </Dialog>
  );
}
