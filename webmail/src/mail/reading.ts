// Which messages of the open conversation are unfolded, and where the keys stand in it.

import { signal } from "@preact/signals";
import type { Id } from "../jmap/types.ts";
import { emailsOf } from "../state/emails.ts";
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
