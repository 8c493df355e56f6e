// Which messages of the open conversation are unfolded, and where the keys stand in it.

import { signal } from "@preact/signals";
import type { Id } from "../jmap/types.ts";
import { emailsOf } from "../state/emails.ts";
import { isPrinting } from "../state/preferences.ts";
import { view } from "./view.ts";

export const unfolded = signal<ReadonlySet<Id>>(new Set());
export const focusedMessage = signal<Id | null>(null);

export function toggleFold(id: Id): void {
  const next = new Set(unfolded.peek());
  if (!next.delete(id)) next.add(id);
  unfolded.value = next;
}

export function stepMessage(by: number): void {
  const { threadId } = view.peek();
  if (!threadId) return;
  const ids = emailsOf(threadId).map((email) => email.id);
  const from = focusedMessage.peek() ? ids.indexOf(focusedMessage.peek()!) : by > 0 ? -1 : ids.length;
  const to = ids[Math.max(0, Math.min(ids.length - 1, from + by))];
  if (!to) return;
  focusedMessage.value = to;
  if (!unfolded.peek().has(to)) toggleFold(to);
  const element = document.getElementById(`message-${to}`);
  element?.focus({ preventScroll: true });
  element?.scrollIntoView({ block: "start", behavior: "smooth" });
}

const FRAMES_MS = 3000;
const LOOK_MS = 30;

/** These messages whole, dark on light. Their frames must be there before the browser looks. */
export async function printMessages(ids: readonly Id[]): Promise<void> {
  const before = unfolded.peek();
  isPrinting.value = true;
  unfolded.value = new Set(ids);
  const restore = () => {
    isPrinting.value = false;
    unfolded.value = before;
  };
  addEventListener("afterprint", restore, { once: true });
  await waitForFrames();
  print();
}

async function waitForFrames(): Promise<void> {
  const end = Date.now() + FRAMES_MS;
  do await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  while (Date.now() < end && document.querySelector(".reading iframe.waiting"));
}
