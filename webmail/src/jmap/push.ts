// What changed, told by the server (RFC 8620 §7.3) to one tab, and by it to the others. EventSource reconnects by itself;
// after a gap we ask for changes ourselves, since what happened meanwhile is told by no event.

import { joinTabs } from "./tabs.ts";
import type { StateChange } from "./types.ts";

type Listener = (states: Record<string, string>) => void;

/** From the tab that has the stream to all; "gap": it is open again, and something may have been missed. */
type Word = Record<string, string> | "open" | "gap" | "offline";

const RETRY_MS = 3000;
const DOUBT_MS = 1000;
const listeners = new Set<Listener>();
const reconnected = new Set<() => void>();
let leave: (() => void) | null = null;
let hasLeft = false;

export function onStates(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function onReconnect(listener: () => void): () => void {
  reconnected.add(listener);
  return () => reconnected.delete(listener);
}

export function startPush(accountId: string, onOnline: (isOnline: boolean) => void): void {
  stopPush();
  const hear = (word: Word) => {
    if (typeof word === "object") for (const listener of listeners) listener(word);
    else onOnline(word !== "offline");
    if (word === "gap") for (const listener of reconnected) listener();
  };
  leave = joinTabs<Word>(`push ${accountId}`, {
    lead: (tell, isHeir) => openStream(accountId, tell, isHeir || hasLeft),
    hear,
  });
  // Signed in again: the tab that leads knows nothing of our gap.
  if (hasLeft) hear("gap");
}

export function stopPush(): void {
  if (!leave) return;
  leave();
  leave = null;
  hasLeft = true;
}

function openStream(accountId: string, tell: (word: Word) => void, isBehind: boolean): () => void {
  let hasGap = isBehind;
  let source: EventSource;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let doubt: ReturnType<typeof setTimeout> | undefined;
  // A stream may break alone; that nobody answers at all is what the user must know.
  const probe = () => {
    doubt = undefined;
    if (source.readyState !== EventSource.OPEN)
      fetch("/jmap/session", { cache: "no-store" }).catch(() => tell("offline"));
  };
  const open = () => {
    source = new EventSource("/jmap/eventsource?types=*&closeafter=no&ping=60");
    source.addEventListener("state", (event) => {
      const change = JSON.parse((event as MessageEvent<string>).data) as StateChange;
      const states = change.changed?.[accountId];
      if (states) tell(states);
    });
    source.onopen = () => {
      tell(hasGap ? "gap" : "open");
      hasGap = false;
    };
    source.onerror = () => {
      hasGap = true;
      if (!navigator.onLine) tell("offline");
      else doubt ??= setTimeout(probe, DOUBT_MS);
      // A refused connection is closed for good: the browser tries again only after one that broke.
      if (source.readyState === EventSource.CLOSED) retry = setTimeout(open, RETRY_MS);
    };
  };
  open();
  return () => {
    clearTimeout(retry);
    clearTimeout(doubt);
    source.close();
  };
}
