// Emails and threads the page knows. Each email is a signal of its own, so that a change paints one row, not the list.

import { type Signal, signal } from "@preact/signals";
import { jmap, type PendingCall } from "../jmap/client.ts";
import type { EmailSummary, GetAnswer, Id, ResultReference, Thread } from "../jmap/types.ts";

export const SUMMARY = [
  "id",
  "threadId",
  "mailboxIds",
  "keywords",
  "size",
  "receivedAt",
  "from",
  "to",
  "subject",
  "preview",
  "hasAttachment",
];

const known = new Map<Id, Signal<EmailSummary | undefined>>();
const threadOf = new Map<Id, Signal<readonly Id[]>>();
/** Ids already on their way, so that two rows do not ask for the same. */
const asked = new Set<Id>();
export const emailState = { value: "" };

export function emailSignal(id: Id): Signal<EmailSummary | undefined> {
  let found = known.get(id);
  if (!found) {
    found = signal<EmailSummary | undefined>(undefined);
    known.set(id, found);
  }
  return found;
}

/** Without following its changes. */
export function peekEmail(id: Id): EmailSummary | undefined {
  return known.get(id)?.peek();
}

export function threadSignal(threadId: Id): Signal<readonly Id[]> {
  let found = threadOf.get(threadId);
  if (!found) {
    found = signal<readonly Id[]>([]);
    threadOf.set(threadId, found);
  }
  return found;
}

export function peekThread(threadId: Id): readonly Id[] {
  return threadOf.get(threadId)?.peek() ?? [];
}

export function takeEmails(list: readonly Partial<EmailSummary>[]): void {
  for (const email of list) {
    const at = emailSignal(email.id!);
    const before = at.peek();
    if (before || email.receivedAt) at.value = { ...before, ...email } as EmailSummary;
  }
}

export function takeThreads(list: readonly Thread[]): void {
  for (const thread of list) {
    const at = threadSignal(thread.id);
    if (at.peek().join() !== thread.emailIds.join()) at.value = thread.emailIds;
  }
}

export function dropEmails(ids: readonly Id[]): void {
  for (const id of ids) {
    const email = peekEmail(id);
    if (!email) continue;
    const thread = threadSignal(email.threadId);
    thread.value = thread.peek().filter((other) => other !== id);
    known.delete(id);
  }
}

export function getSummaries(ids: Id[] | ResultReference): PendingCall<GetAnswer<EmailSummary>> {
  const args = Array.isArray(ids) ? { ids } : { "#ids": ids };
  return jmap.call("Email/get", { ...args, properties: SUMMARY });
}

const AT_ONCE = 200;

/** The other emails of these threads: who wrote in them, and what is unread. */
export async function completeThreads(threadIds: readonly Id[]): Promise<void> {
  const missing = threadIds.flatMap(peekThread).filter((id) => !peekEmail(id) && !asked.has(id));
  for (const id of missing) asked.add(id);
  try {
    for (let at = 0; at < missing.length; at += AT_ONCE) {
      takeEmails((await getSummaries(missing.slice(at, at + AT_ONCE))).list);
    }
  } finally {
    for (const id of missing) asked.delete(id);
  }
}

/** Those of a thread that are known, oldest first, read with all their changes. */
export function emailsOf(threadId: Id): EmailSummary[] {
  const emails = threadSignal(threadId).value.map((id) => emailSignal(id).value);
  return emails.filter((email) => email !== undefined);
}
