// Actions on what is chosen, or on the row of the cursor, or on the open conversation; and what is shown afterwards.

import { signal } from "@preact/signals";
import { t } from "../i18n/t.ts";
import type { Id, Mailbox } from "../jmap/types.ts";
import * as actions from "../state/actions.ts";
import { emailsOf, peekEmail, peekThread } from "../state/emails.ts";
import { list } from "../state/list.ts";
import { clearSelection, cursor } from "../state/selection.ts";
import { isPhone, openThread, view } from "./view.ts";

/** A dialog that an action needs first. */
export type Asking =
  | { kind: "snooze" | "labels"; rows: Id[] }
  | { kind: "move"; rows: Id[] }
  | { kind: "confirm"; title: string; text: string; action: string; answer: (isSure: boolean) => void }
  | { kind: "keys" }
  | { kind: "mailbox"; parent: Mailbox | null; renamed: Mailbox | null };

export const asking = signal<Asking | null>(null);

export function confirm(title: string, text: string, action: string): Promise<boolean> {
  return new Promise((resolve) => {
    asking.value = { kind: "confirm", title, text, action, answer: resolve };
  });
}

/** The row of the list that stands for the open conversation. */
export function rowOfThread(threadId: Id): Id | undefined {
  const { ids } = list.peek();
  const members = new Set(peekThread(threadId));
  return ids.find((id) => id !== undefined && (members.has(id) || peekEmail(id)?.threadId === threadId));
}

function fallbackRow(): Id | undefined {
  const { threadId } = view.peek();
  if (threadId) return rowOfThread(threadId) ?? peekThread(threadId).at(-1);
  return list.peek().ids[cursor.peek()];
}

function target(rows: readonly Id[]): actions.Target {
  return { rows, mailbox: view.peek().mailbox };
}

export async function rowsNow(): Promise<Id[]> {
  return actions.currentRows(fallbackRow());
}

/** Does it, then opens what comes next when the open conversation has left the list. */
async function leaving(rows: readonly Id[] | undefined, run: (where: actions.Target) => Promise<void>): Promise<void> {
  const these = rows ?? (await rowsNow());
  if (these.length === 0) return;
  const { threadId } = view.peek();
  const index = threadId ? list.peek().ids.indexOf(rowOfThread(threadId)) : -1;
  const isOpen = threadId !== null && these.some((row) => peekEmail(row)?.threadId === threadId);
  await run(target(these));
  if (!rows) clearSelection();
  if (!isOpen || !threadId || rowOfThread(threadId)) return;
  const next = list.peek().ids[Math.min(index, list.peek().ids.length - 1)];
  const email = next && !isPhone() ? peekEmail(next) : undefined;
  cursor.value = email ? Math.min(index, list.peek().ids.length - 1) : cursor.peek();
  openThread(email?.threadId ?? null, true);
}

export const archive = (rows?: readonly Id[]) => leaving(rows, actions.archive);
export const markJunk = (rows?: readonly Id[]) => leaving(rows, actions.markJunk);
export const markNotJunk = (rows?: readonly Id[]) => leaving(rows, actions.markNotJunk);
export const moveTo = (to: Mailbox, rows?: readonly Id[]) => leaving(rows, (where) => actions.moveTo(where, to));
export const snooze = (until: Date, rows?: readonly Id[]) => leaving(rows, (where) => actions.snooze(where, until));
export const unsnooze = (rows?: readonly Id[]) => leaving(rows, actions.unsnooze);

export function remove(rows?: readonly Id[]): Promise<void> {
  const ask = (n: number) => confirm(t("confirm.destroyTitle"), t("confirm.destroy", { n }), t("common.delete"));
  return leaving(rows, (where) => actions.remove(where, ask));
}

export async function setSeen(isSeen: boolean, rows?: readonly Id[]): Promise<void> {
  const these = rows ?? (await rowsNow());
  if (these.length) await actions.setSeen(target(these), isSeen);
  if (!rows) clearSelection();
}

export function isStarred(row: Id): boolean {
  const email = peekEmail(row);
  return !!email && [email, ...emailsOf(email.threadId)].some((one) => "$flagged" in one.keywords);
}

export async function toggleStar(rows?: readonly Id[]): Promise<void> {
  const these = rows ?? (await rowsNow());
  if (these.length) await actions.setStar(target(these), !these.every(isStarred));
}

export async function ask(kind: "snooze" | "labels" | "move", rows?: readonly Id[]): Promise<void> {
  const these = rows ? [...rows] : await rowsNow();
  if (these.length) asking.value = { kind, rows: these };
}

export async function setLabels(rows: readonly Id[], add: string[], removed: string[]): Promise<void> {
  await actions.setLabels(target(rows), add, removed);
}

export async function empty(mailbox: Mailbox, name: string): Promise<void> {
  const isSure = await confirm(t("confirm.emptyTitle", { name }), t("confirm.empty", { name }), t("common.delete"));
  if (!isSure) return;
  if (view.peek().mailbox?.id === mailbox.id) openThread(null);
  await actions.emptyMailbox(mailbox);
}

/** Opens what stands at this place of the list. */
export function openRowAt(index: number): void {
  const id = list.peek().ids[index];
  const email = id ? peekEmail(id) : undefined;
  if (!email) return;
  cursor.value = index;
  openThread(email.threadId, true);
}
