/** Files on their way up, with progress; images of the text get a Content-ID and are shown from memory meanwhile. */

import { locale } from "../i18n/index.ts";
import { jmap } from "../jmap/client.ts";
import { formatSize } from "../mail/format.ts";
import { session } from "../state/session.ts";
import { type Draft, makeKey, type Upload } from "./draft.ts";
import { t } from "./texts.ts";

const running = new Map<string, AbortController>();
const files = new Map<string, File>();
const IMAGES = /^image\/(?:png|jpe?g|gif|webp|avif)$/;

export function isShowable(file: Blob): boolean {
  return IMAGES.test(file.type);
}

export function maxUpload(): number {
  return jmap.limit("maxSizeUpload", session.peek()?.server.maxUpload ?? 50_000_000);
}

/** `isInline`: shown in the text; gives back what the text needs of each. */
export function addFiles(draft: Draft, list: readonly File[], isInline = false): Upload[] {
  const fresh = list.map((file) => makeUpload(file, isInline));
  draft.attachments.value = [...draft.attachments.peek(), ...fresh];
  draft.touch();
  fresh.forEach((one, at) => {
    files.set(one.key, list[at]!);
    void start(draft, one.key);
  });
  return fresh;
}

function makeUpload(file: File, isInline: boolean): Upload {
  const key = makeKey();
  return {
    key,
    blobId: null,
    name: file.name || t("attachments"),
    type: file.type || "application/octet-stream",
    size: file.size,
    cid: isInline ? `${key}@posthouse` : null,
    sent: 0,
    error: null,
    url: isInline ? URL.createObjectURL(file) : null,
  };
}

async function start(draft: Draft, key: string): Promise<void> {
  const file = files.get(key);
  if (!file) return;
  if (file.size > maxUpload()) {
    const limit = formatSize(maxUpload(), locale());
    draft.updateAttachment(key, { sent: null, error: t("uploadTooBig", { name: file.name, limit }) });
    return;
  }
  const stop = new AbortController();
  running.set(key, stop);
  draft.updateAttachment(key, { sent: 0, error: null });
  try {
    const type = file.type || "application/octet-stream";
    const done = await jmap.upload(file, type, (sent) => draft.updateAttachment(key, { sent }), stop.signal);
    files.delete(key);
    draft.updateAttachment(key, { blobId: done.blobId, sent: null, size: done.size });
    draft.touch();
  } catch (error) {
    if (stop.signal.aborted) return;
    const said = error instanceof Error && "status" in error ? ` (${error.message})` : "";
    draft.updateAttachment(key, { sent: null, error: t("uploadFailed", { name: file.name }) + said });
  } finally {
    running.delete(key);
  }
}

export function retryUpload(draft: Draft, key: string): void {
  void start(draft, key);
}

export function removeAttachment(draft: Draft, key: string): void {
  running.get(key)?.abort();
  const gone = draft.attachments.peek().find((one) => one.key === key);
  if (gone?.url) URL.revokeObjectURL(gone.url);
  files.delete(key);
  draft.change(
    draft.attachments,
    draft.attachments.peek().filter((one) => one.key !== key),
  );
}

/** The draft is closed: what is on its way stops, what memory shows goes. */
export function stopUploads(draft: Draft): void {
  for (const one of draft.attachments.peek()) {
    running.get(one.key)?.abort();
    files.delete(one.key);
    if (one.url) URL.revokeObjectURL(one.url);
  }
}

/** Where an image of the text is shown from. */
export function imageUrl(image: Upload): string {
  if (image.url) return image.url;
  return image.blobId ? jmap.downloadUrl(image.blobId, image.name, image.type) : "";
}

/** Pasted images that came as addresses with their octets inside: made into files. */
export function fileOfDataUrl(address: string): File | null {
  const found = /^data:(image\/[a-z+.-]+);base64,(.*)$/is.exec(address);
  if (!found) return null;
  try {
    const octets = Uint8Array.from(atob(found[2] ?? ""), (letter) => letter.charCodeAt(0));
    return new File([octets], `image.${found[1]!.slice(6).replace("jpeg", "jpg")}`, { type: found[1]! });
  } catch {
    return null;
  }
}
