// What changed, told by the server (RFC 8620 §7.3). EventSource reconnects by itself; after a gap we ask for changes
// ourselves, since what happened meanwhile is told by no event.

import type { StateChange } from "./types.ts";

type Listener = (states: Record<string, string>) => void;

const RETRY_MS = 3000;
const listeners = new Set<Listener>();
const reconnected = new Set<() => void>();
let source: EventSource | null = null;
let wasLost = false;

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
  const opened = new EventSource("/jmap/eventsource?types=*&closeafter=no&ping=60");
  source = opened;
  opened.addEventListener("state", (event) => {
    const change = JSON.parse((event as MessageEvent<string>).data) as StateChange;
    const states = change.changed?.[accountId];
    if (states) for (const listener of listeners) listener(states);
  });
  opened.onopen = () => {
    onOnline(true);
    if (wasLost) for (const listener of reconnected) listener();
    wasLost = false;
  };
  opened.onerror = () => {
    wasLost = true;
    if (!navigator.onLine) onOnline(false);
    // A refused connection is closed for good: the browser tries again only after one that broke.
    if (opened.readyState === EventSource.CLOSED && source === opened) {
      setTimeout(() => source === opened && startPush(accountId, onOnline), RETRY_MS);
    }
  };
}

export function stopPush(): void {
  source?.close();
  source = null;
}
