import { locale } from "../i18n/index.ts";
import { jmap } from "../jmap/client.ts";
import { formatSize } from "../mail/format.ts";
import { IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import type { Draft, Upload } from "./draft.ts";
import { t } from "./texts.ts";
import { removeAttachment, retryUpload } from "./uploads.ts";

/** Those that are shown in the text are not listed, but while they are on their way or did not arrive. */
export function AttachmentList({ draft }: { draft: Draft }) {
  const shown = draft.attachments.value.filter(
    (one) => one.cid === null || !draft.isRich.value || one.sent !== null || one.error,
  );
  if (shown.length === 0) return null;
  return (
    <ul class="compose-files" aria-label={t("attachments")}>
      {shown.map((one) => (
        <Row key={one.key} draft={draft} one={one} />
      ))}
    </ul>
  );
}

function Row({ draft, one }: { draft: Draft; one: Upload }) {
  const percent = one.sent === null ? null : Math.round((100 * one.sent) / Math.max(1, one.size));
  const remove = percent === null ? t("remove", { name: one.name }) : t("cancelUpload", { name: one.name });
  return (
    <li class={one.error ? "wrong" : undefined}>
      <Icon name={one.type.startsWith("image/") ? "image" : "file"} size={16} />
      <span class="compose-file-name" title={one.name}>
        {one.blobId ? (
          <a href={jmap.downloadUrl(one.blobId, one.name, one.type)} download={one.name}>
            {one.name}
          </a>
        ) : (
          one.name
        )}
      </span>
      <span class="compose-file-size">{formatSize(one.size, locale())}</span>
      {percent !== null && (
        <progress max={100} value={percent} aria-label={t("uploadProgress", { name: one.name, percent })} />
      )}
      {one.error && (
        <span class="field-error" role="alert">
          {one.error}
        </span>
      )}
      {one.error && (
        <IconButton size="small" icon="refresh" label={t("retry")} onClick={() => retryUpload(draft, one.key)} />
      )}
      <IconButton size="small" icon="close" label={remove} onClick={() => removeAttachment(draft, one.key)} />
    </li>
  );
}
