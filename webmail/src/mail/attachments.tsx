// Attachments: as files, with a preview of pictures, PDF and text. Previews are made anew by the server; nothing that
// came with mail is ever opened in our origin.

import { useEffect, useState } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { BodyPart } from "../jmap/types.ts";
import { Button } from "../ui/button.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { Icon, type IconName } from "../ui/icon.tsx";
import { Spinner } from "../ui/spinner.tsx";
import { type Details, loadText } from "./details.ts";
import { formatSize } from "./format.ts";

type Kind = "image" | "pdf" | "text" | "other";
const RASTER = /^image\/(png|jpe?g|gif|webp|bmp|tiff?)$/;
const MOST_TEXT = 200_000;
const THUMB = 200;

function kindOf(part: BodyPart): Kind {
  if (RASTER.test(part.type)) return "image";
  if (part.type === "application/pdf") return "pdf";
  return part.type.startsWith("text/") ? "text" : "other";
}

const ICONS: Record<Kind, IconName> = { image: "image", pdf: "file", text: "file", other: "attach" };

function previewUrl(part: BodyPart, width: number, page = 1): string {
  const path = `/preview/${encodeURIComponent(jmap.accountId)}/${encodeURIComponent(part.blobId ?? "")}`;
  return `${path}?type=${encodeURIComponent(part.type)}&page=${page}&width=${width}`;
}

/** Pictures that the text itself shows are no attachments to the reader. */
export function shownAttachments(details: Pick<Details, "attachments" | "htmlBody">): BodyPart[] {
  const hasHtml = details.htmlBody.some((part) => part.type === "text/html");
  return details.attachments.filter(
    (part) =>
      part.blobId &&
      part.type !== "text/calendar" &&
      !(hasHtml && part.cid && part.disposition !== "attachment" && part.type.startsWith("image/")),
  );
}

export function Attachments({ details }: { details: Details }) {
  const [shown, setShown] = useState<BodyPart | null>(null);
  const parts = shownAttachments(details);
  if (parts.length === 0) return null;
  const all = `/attachments/${encodeURIComponent(jmap.accountId)}/${encodeURIComponent(details.id)}`;
  return (
    <section class="attachments" aria-label={t("read.attachments", { n: parts.length })}>
      <h2>
        {t("read.attachments", { n: parts.length })}
        {parts.length > 1 && (
          <a class="button plain small" href={all} download>
            <Icon name="download" size={16} />
            <span>{t("do.saveAll")}</span>
          </a>
        )}
      </h2>
      <ul>
        {parts.map((part) => (
          <Attachment key={part.partId ?? part.blobId} part={part} onShow={() => setShown(part)} />
        ))}
      </ul>
      {shown && <Preview part={shown} onClose={() => setShown(null)} />}
    </section>
  );
}

function Attachment({ part, onShow }: { part: BodyPart; onShow: () => void }) {
  const kind = kindOf(part);
  const name = part.name || part.type;
  return (
    <li class="attachment">
      {kind === "other" ? (
        <span class="attachment-picture">
          <Icon name={ICONS[kind]} size={26} />
        </span>
      ) : (
        <button type="button" class="attachment-picture" aria-label={t("read.preview", { name })} onClick={onShow}>
          {kind === "image" || kind === "pdf" ? (
            <Thumbnail part={part} kind={kind} />
          ) : (
            <Icon name={ICONS[kind]} size={26} />
          )}
        </button>
      )}
      <span class="attachment-name" data-tooltip={name}>
        {name}
      </span>
      <span class="hint">{formatSize(part.size, locale())}</span>
      <a
        class="button plain icon-only small"
        href={jmap.downloadUrl(part.blobId!, name, part.type)}
        download
        aria-label={t("read.download", { name })}
        data-tooltip={t("read.download", { name })}
      >
        <Icon name="download" size={16} />
      </a>
    </li>
  );
}

function Thumbnail({ part, kind }: { part: BodyPart; kind: Kind }) {
  const [hasFailed, setFailed] = useState(false);
  if (hasFailed) return <Icon name={ICONS[kind]} size={26} />;
  return <img src={previewUrl(part, THUMB)} alt="" loading="lazy" onError={() => setFailed(true)} />;
}

function Preview({ part, onClose }: { part: BodyPart; onClose: () => void }) {
  const name = part.name || part.type;
  const kind = kindOf(part);
  return (
    <Dialog
      title={name}
      size="large"
      onClose={onClose}
      actions={
        <a class="button" href={jmap.downloadUrl(part.blobId!, name, part.type)} download>
          <Icon name="download" size={18} />
          <span>{`${t("common.save")} (${formatSize(part.size, locale())})`}</span>
        </a>
      }
    >
      {kind === "text" ? <TextPreview part={part} /> : <PagePreview part={part} />}
    </Dialog>
  );
}

function PagePreview({ part }: { part: BodyPart }) {
  const [page, setPage] = useState(1);
  const [pages, setPages] = useState(1);
  const [picture, setPicture] = useState("");
  const [hasFailed, setFailed] = useState(false);
  useEffect(() => {
    let made = "";
    const stop = new AbortController();
    const load = async () => {
      const width = Math.min(1600, Math.round(innerWidth * devicePixelRatio));
      const answer = await fetch(previewUrl(part, width, page), { signal: stop.signal });
      if (!answer.ok) throw new Error(String(answer.status));
      setPages(Number(answer.headers.get("X-Pages") ?? 1) || 1);
      made = URL.createObjectURL(await answer.blob());
      setPicture(made);
    };
    load().catch(() => !stop.signal.aborted && setFailed(true));
    return () => {
      stop.abort();
      if (made) URL.revokeObjectURL(made);
    };
  }, [page]);
  if (hasFailed) return <p>{t("read.noPreview")}</p>;
  return (
    <div class="preview">
      {picture ? <img src={picture} alt={part.name ?? ""} /> : <Spinner isCentred />}
      {pages > 1 && (
        <p class="pages">
          <Button icon="chevronLeft" kind="plain" disabled={page === 1} onClick={() => setPage(page - 1)}>
            {t("common.back")}
          </Button>
          {t("read.page", { n: page, of: pages })}
          <Button icon="chevronRight" kind="plain" disabled={page === pages} onClick={() => setPage(page + 1)}>
            {t("common.more")}
          </Button>
        </p>
      )}
    </div>
  );
}

function TextPreview({ part }: { part: BodyPart }) {
  const [text, setText] = useState<string | null>(null);
  useEffect(() => {
    loadText(part.blobId!, part.name ?? "", part.type, MOST_TEXT).then(setText, () => setText(t("read.failed")));
  }, []);
  return text === null ? (
    <Spinner isCentred />
  ) : (
    <pre class="source" tabIndex={0}>
      {text}
    </pre>
  );
}
