/** A file goes up as it is; the server reads it while it comes in. XMLHttpRequest, because fetch tells no progress. */

export type Format = "mbox" | "eml" | "zip";

export interface Imported {
  imported: number;
  failed: number;
  /** Why some failed, the first of them. */
  troubles: string[];
  /** Why it ended before the end; what was filed until then stays. */
  stopped: string | null;
}

export function formatOf(name: string): Format | null {
  const ending = name.toLowerCase().replace(/^.*\./, "");
  if (ending === "eml" || ending === "zip") return ending;
  return ["mbox", "mbx", "mbs"].includes(ending) || !name.includes(".") ? "mbox" : null;
}

export interface Target {
  /** Empty: as the file has them (zip). */
  mailbox: string;
  format: Format;
}

export function importFile(
  file: File,
  target: Target,
  onProgress: (sent: number) => void,
  signal: AbortSignal,
): Promise<Imported> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const { mailbox, format } = target;
    request.open("POST", `/api/import?${new URLSearchParams({ format, ...(mailbox && { mailbox }) })}`);
    request.setRequestHeader("X-Posthouse", "1");
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onProgress(event.loaded);
    request.onload = () => {
      if (request.status < 300) resolve(request.response as Imported);
      else reject(new Error((request.response as { detail?: string } | null)?.detail ?? `HTTP ${request.status}`));
    };
    request.onerror = () => reject(new Error(""));
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}
