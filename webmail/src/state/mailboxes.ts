// The mailboxes of the account, as a tree.

import { computed, signal } from "@preact/signals";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { ChangesAnswer, GetAnswer, Id, Mailbox, SetAnswer } from "../jmap/types.ts";
import { treeOf } from "./tree.ts";

export const mailboxes = signal<ReadonlyMap<Id, Mailbox>>(new Map());
let state = "";

export const tree = computed(() => treeOf([...mailboxes.value.values()]));
export const inbox = computed(() => byRole("inbox"));

export function byRole(role: string): Mailbox | undefined {
  for (const mailbox of mailboxes.value.values()) if (mailbox.role === role) return mailbox;
  return undefined;
}

const ROLES = ["inbox", "drafts", "sent", "archive", "junk", "trash", "scheduled", "snoozed"] as const;
type KnownRole = (typeof ROLES)[number];

/** Those with a use are named in the language of the page. */
export function nameOf(mailbox: Mailbox): string {
  const role = ROLES.find((known) => known === mailbox.role) as KnownRole | undefined;
  return role ? t(`role.${role}`) : mailbox.name;
}

/** How a mailbox is written in an address: its role, or its id. */
export function slugOf(mailbox: Mailbox): string {
  return mailbox.role ?? mailbox.id;
}

export function findMailbox(slug: string): Mailbox | undefined {
  return byRole(slug) ?? mailboxes.value.get(slug);
}

const UNTOLD = ["sent", "drafts", "scheduled"];

/** Where these emails lie, but for the mailboxes that follow from who wrote them and how far they are. */
export function placesOf(emails: readonly { mailboxIds: Record<Id, boolean> }[]): Mailbox[] {
  const ids = new Set(emails.flatMap((email) => Object.keys(email.mailboxIds)));
  const found = [...ids].map((id) => mailboxes.value.get(id)).filter((one) => one !== undefined);
  return found.filter((mailbox) => !UNTOLD.includes(mailbox.role ?? ""));
}

export async function loadMailboxes(): Promise<void> {
  take(await jmap.call<GetAnswer<Mailbox>>("Mailbox/get", { ids: null }));
}

function take(answer: GetAnswer<Mailbox>): void {
  state = answer.state;
  mailboxes.value = new Map(answer.list.map((mailbox) => [mailbox.id, mailbox]));
}

/** What changed since the last answer, in the same request as other calls of this turn. */
export async function updateMailboxes(): Promise<void> {
  if (!state) return loadMailboxes();
  const changes = jmap.call<ChangesAnswer>("Mailbox/changes", { sinceState: state });
  const created = jmap.call<GetAnswer<Mailbox>>("Mailbox/get", { "#ids": changes.ref("/created") });
  const updated = jmap.call<GetAnswer<Mailbox>>("Mailbox/get", { "#ids": changes.ref("/updated") });
  try {
    const [change, ...got] = await Promise.all([changes, created, updated]);
    const next = new Map(mailboxes.value);
    for (const id of change.destroyed) next.delete(id);
    for (const mailbox of got.flatMap((answer) => answer.list)) next.set(mailbox.id, mailbox);
    state = change.newState;
    mailboxes.value = next;
    if (change.hasMoreChanges) await updateMailboxes();
  } catch {
    await loadMailboxes();
  }
}

export function childrenOf(id: Id | null): Mailbox[] {
  return [...mailboxes.peek().values()].filter((one) => one.parentId === id);
}

async function setMailboxes(args: Record<string, unknown>): Promise<void> {
  const answer = await jmap.call<SetAnswer<Mailbox>>("Mailbox/set", args);
  const failures = { ...answer.notCreated, ...answer.notUpdated, ...answer.notDestroyed };
  const failure = Object.values(failures)[0];
  await updateMailboxes();
  if (failure) throw new Error(failure.description || failure.type);
}

export function createMailbox(name: string, parentId: Id | null): Promise<void> {
  return setMailboxes({ create: { new: { name, parentId } } });
}

export function changeMailbox(id: Id, change: Partial<Pick<Mailbox, "name" | "parentId">>): Promise<void> {
  return setMailboxes({ update: { [id]: change } });
}

export function destroyMailbox(id: Id): Promise<void> {
  return setMailboxes({ destroy: [id], onDestroyRemoveEmails: true });
}
