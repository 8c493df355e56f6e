// Addresses of the page. Plain links work: a click on one of ours changes the address without loading anything.

import { signal } from "@preact/signals";

export interface Place {
  path: string;
  /** Decoded pieces of the path: "/mail/inbox/T1-5" is ["mail", "inbox", "T1-5"]. */
  parts: string[];
  query: URLSearchParams;
}

const OF_SERVER = /^\/(jmap|api|view|image|preview|attachments|calendar|metrics)\b/;

export function readPlace(address: { pathname: string; search: string }): Place {
  const parts = address.pathname.split("/").filter(Boolean).map(safeDecode);
  return { path: address.pathname, parts, query: new URLSearchParams(address.search) };
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const place = signal<Place>(readPlace(globalThis.location ?? { pathname: "/", search: "" }));

export function go(to: string, options: { replace?: boolean } = {}): void {
  if (to === location.pathname + location.search) return;
  if (options.replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  place.value = readPlace(location);
}

export function startRouter(): void {
  addEventListener("popstate", () => {
    place.value = readPlace(location);
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link?.href || link.target || link.hasAttribute("download")) return;
    const address = new URL(link.href);
    if (address.origin !== location.origin || OF_SERVER.test(address.pathname)) return;
    event.preventDefault();
    go(address.pathname + address.search);
  });
}
