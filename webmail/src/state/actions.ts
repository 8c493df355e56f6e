// What people do with mail. Each action shows at once what it does, and puts it back when the server refuses or the
// user takes it back.

import { batch } from "@preact/signals";
import { complain } from "../complain.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { EmailSummary, GetAnswer, Id, Mailbox, QueryAnswer, SetAnswer, SetError } from "../jmap/types.ts";
import { toast } from "../ui/toast.tsx";
import { emailSignal, getSummaries, peekEmail, peekThread, takeEmails } from "./emails.ts";
import { list, query, takeOut } from "./list.ts";
import { byRole, mailboxes, nameOf, updateMailboxes } from "./mailboxes.ts";
import { type Change, type Patch, type Planned, planChange } from "./patches.ts";
import { chosen, clearSelection, forgetChosen, isAllChosen } from "./selection.ts";

const AT_ONCE = 400;

/** Where an action works: the rows, and the mailbox that is shown (null in a search). */
export interface Target {
  rows: readonly Id[];
  mailbox: Mailbox | null;
  /** These emails alone, not the whole conversations. */
  isSingle?: boolean;
}

/** The action itself has worked; counters come again with the next change. */
async function refreshCounts(): Promise<void> {
  await updateMailboxes().catch(() => undefined);
}

async function setEmails(patches: readonly (readonly [Id, Patch])[]): Promise<void> {
  const failures: SetError[] = [];
  for (let at = 0; at < patches.length; at += AT_ONCE) {
    const update = Object.fromEntries(patches.slice(at, at + AT_ONCE));
    const answer = await jmap.call<SetAnswer>("Email/set", { update });
    failures.push(...Object.values(answer.notUpdated ?? {}));
  }
  const [first] = failures;
  if (first) throw new Error(first.description || first.type);
}

function show(planned: readonly Planned[], which: "before" | "after"): void {
  batch(() => {
    for (const one of planned) {
      const at = emailSignal(one.id);
      const now = at.peek();
      if (now) at.value = { ...now, mailboxIds: one[which].mailboxIds, keywords: one[which].keywords };
    }
  });
}

interface Performed {
  emails: readonly EmailSummary[];
  change: (email: EmailSummary) => Change;
  /** Rows that leave the list. */
  leaving: readonly Id[];
  note: string;
}

function perform({ emails, change, leaving, note }: Performed): void {
  const planned = emails.map((email) => planChange(email, change(email))).filter((one) => one !== null);
  if (planned.length === 0) return;
  let putBack: () => void = () => undefined;
  batch(() => {
    show(planned, "after");
    if (leaving.length) putBack = takeOut(leaving);
    forgetChosen(leaving);
  });
  const restore = () =>
    batch(() => {
      show(planned, "before");
      putBack();
    });
  let forget: () => void = () => undefined;
  setEmails(planned.map((one) => [one.id, one.patch])).then(refreshCounts, (error) => {
    forget();
    restore();
    complain(error);
  });
  if (!note) return;
  forget = toast(note, {
    undo: () => {
      restore();
      setEmails(planned.map((one) => [one.id, one.undo])).then(refreshCounts, complain);
    },
  });
}

/** All emails of the conversations of these rows. */
async function gather(target: Target): Promise<EmailSummary[]> {
  const ids = new Set<Id>();
  for (const row of target.rows) {
    const email = peekEmail(row);
    for (const id of target.isSingle || !email ? [row] : [row, ...peekThread(email.threadId)]) ids.add(id);
  }
  const missing = [...ids].filter((id) => !peekEmail(id));
  for (let at = 0; at < missing.length; at += AT_ONCE) {
    takeEmails((await getSummaries(missing.slice(at, at + AT_ONCE))).list);
  }
  return [...ids].map(peekEmail).filter((email) => email !== undefined);
}

/** What is chosen, or else the row of the cursor. With "all" chosen, the server says which those are. */
export async function currentRows(fallback: Id | undefined): Promise<Id[]> {
  if (!isAllChosen.peek()) return chosen.peek().size ? [...chosen.peek()] : fallback ? [fallback] : [];
  const wanted = query.peek();
  const rows: Id[] = [];
  for (let position = 0; wanted; position += AT_ONCE) {
    const args = { filter: wanted.filter, collapseThreads: wanted.collapse, position, limit: AT_ONCE };
    const sort = [{ property: "receivedAt", isAscending: false }];
    const page = await jmap.call<QueryAnswer>("Email/query", { ...args, sort });
    rows.push(...page.ids);
    if (page.ids.length < AT_ONCE) break;
  }
  for (let at = 0; at < rows.length; at += AT_ONCE) {
    takeEmails((await getSummaries(rows.slice(at, at + AT_ONCE))).list);
  }
  return rows;
}

function counted(key: "moved" | "deleted" | "archived" | "junk" | "notJunk", n: number, name = ""): string {
  return t(`action.${key}`, { n, name });
}

/** Mailboxes that a move leaves alone when it starts from a search or from another mailbox. */
function isApart(id: Id): boolean {
  const role = mailboxes.value.get(id)?.role ?? "";
  return role === "sent" || role === "drafts" || role === "scheduled";
}

/** From the mailbox that is shown; in a search from wherever it lies, sent copies and drafts apart. */
function leaves(email: EmailSummary, from: Mailbox | null, isSingle: boolean): Id[] {
  if (from) return email.mailboxIds[from.id] ? [from.id] : [];
  return Object.keys(email.mailboxIds).filter((id) => isSingle || !isApart(id));
}

async function move(target: Target, to: Mailbox | undefined, note: string, extra: Change = {}): Promise<void> {
  if (!to) return;
  const emails = (await gather(target)).filter((email) => leaves(email, target.mailbox, !!target.isSingle).length > 0);
  perform({
    emails,
    change: (email) => ({ ...extra, put: [to.id], take: leaves(email, target.mailbox, !!target.isSingle) }),
    leaving: target.mailbox && target.mailbox.id !== to.id ? rowsLeaving(target, emails) : [],
    note,
  });
}

/** A row stays while another email of its conversation is still in the mailbox. */
function rowsLeaving(target: Target, moved: readonly EmailSummary[]): Id[] {
  const going = new Set(moved.map((email) => email.id));
  const from = target.mailbox;
  return list.peek().ids.filter((row): row is Id => {
    const email = row ? peekEmail(row) : undefined;
    if (!email || !from || !moved.some((one) => one.threadId === email.threadId)) return false;
    const left = peekThread(email.threadId).filter((id) => !going.has(id) && peekEmail(id)?.mailboxIds[from.id]);
    return left.length === 0;
  });
}

export async function moveTo(target: Target, to: Mailbox): Promise<void> {
  await move(target, to, counted("moved", target.rows.length, nameOf(to)));
}

async function needRole(role: string, name: string): Promise<Mailbox | undefined> {
  const found = byRole(role);
  if (found) return found;
  await jmap.call("Mailbox/set", { create: { role: { name, role, parentId: null } } });
  await refreshCounts();
  return byRole(role);
}

export async function archive(target: Target): Promise<void> {
  await move(target, await needRole("archive", "Archive"), counted("archived", target.rows.length));
}

export async function markJunk(target: Target): Promise<void> {
  const change = { set: ["$junk"], clear: ["$notjunk"] };
  await move(target, await needRole("junk", "Junk"), counted("junk", target.rows.length), change);
}

export async function markNotJunk(target: Target): Promise<void> {
  const change = { set: ["$notjunk"], clear: ["$junk"] };
  await move(target, byRole("inbox"), counted("notJunk", target.rows.length), change);
}

/** Into the trash; from there, and from Junk, for good. `confirm` is asked before anything is lost. */
export async function remove(target: Target, confirm: (n: number) => Promise<boolean>): Promise<void> {
  const role = target.mailbox?.role;
  if (role !== "trash" && role !== "junk") {
    await move(target, await needRole("trash", "Trash"), counted("deleted", target.rows.length));
    return;
  }
  if (await confirm(target.rows.length)) await destroy(target);
}

async function destroy(target: Target): Promise<void> {
  const emails = (await gather(target)).filter((email) => email.mailboxIds[target.mailbox!.id]);
  const putBack = takeOut(rowsLeaving(target, emails));
  forgetChosen(target.rows);
  try {
    for (let at = 0; at < emails.length; at += AT_ONCE) {
      const ids = emails.slice(at, at + AT_ONCE).map((email) => email.id);
      await jmap.call<SetAnswer>("Email/set", { destroy: ids });
    }
    toast(t("action.destroyed", { n: target.rows.length }));
  } catch (error) {
    putBack();
    complain(error);
  }
  await refreshCounts();
}

/** Everything in a mailbox, as the server finds it. */
export async function emptyMailbox(mailbox: Mailbox): Promise<void> {
  try {
    for (;;) {
      const found = await jmap.call<QueryAnswer>("Email/query", { filter: { inMailbox: mailbox.id }, limit: AT_ONCE });
      if (found.ids.length === 0) break;
      const answer = await jmap.call<SetAnswer>("Email/set", { destroy: found.ids });
      if (!answer.destroyed?.length) throw new Error(Object.values(answer.notDestroyed ?? {})[0]?.type ?? "?");
    }
    clearSelection();
    toast(t("action.emptied", { name: nameOf(mailbox) }));
  } catch (error) {
    complain(error);
  }
  await refreshCounts();
}

export async function setSeen(target: Target, isSeen: boolean, isQuiet = false): Promise<void> {
  const change: Change = isSeen ? { set: ["$seen"] } : { clear: ["$seen"] };
  const all = await gather(target);
  const emails = isSeen ? all : all.filter((email) => !target.mailbox || email.mailboxIds[target.mailbox.id]);
  const note = isQuiet ? "" : t(isSeen ? "action.read" : "action.unread", { n: target.rows.length });
  perform({ emails, change: () => change, leaving: [], note });
}

/** The star is the exemplar's alone; taken away, it goes from the whole conversation. */
export async function setStar(target: Target, isStarred: boolean): Promise<void> {
  const all = await gather({ ...target, isSingle: isStarred || !!target.isSingle });
  const change: Change = isStarred ? { set: ["$flagged"] } : { clear: ["$flagged"] };
  const note =
    target.rows.length > 1 ? t(isStarred ? "action.starred" : "action.unstarred", { n: target.rows.length }) : "";
  perform({ emails: all, change: () => change, leaving: [], note });
}

export async function setLabels(target: Target, add: readonly string[], removed: readonly string[]): Promise<void> {
  const emails = await gather(target);
  perform({
    emails,
    change: () => ({ set: add, clear: removed }),
    leaving: [],
    note: t("action.labelled", { n: target.rows.length }),
  });
}

export async function snooze(target: Target, until: Date): Promise<void> {
  const emails = (await gather(target)).filter((email) => !target.mailbox || email.mailboxIds[target.mailbox.id]);
  const when = until.toISOString().replace(/\.\d+Z$/, "Z");
  const create = Object.fromEntries(emails.map((email) => [email.id, { emailId: email.id, until: when }]));
  const putBack = takeOut(rowsLeaving(target, emails));
  forgetChosen(target.rows);
  try {
    const answer = await jmap.call<SetAnswer<{ id: Id }>>("Snooze/set", { create });
    const failure = Object.values(answer.notCreated ?? {})[0];
    if (failure) throw new Error(failure.description || failure.type);
    const made = Object.values(answer.created ?? {}).map((one) => one.id);
    toast(t("action.snoozed", { n: target.rows.length }), {
      undo: () => {
        putBack();
        jmap.call("Snooze/set", { destroy: made }).then(refreshCounts, complain);
      },
    });
  } catch (error) {
    putBack();
    complain(error);
  }
  await refreshCounts();
}

/** Brings what is snoozed back now. */
export async function unsnooze(target: Target): Promise<void> {
  const ids = new Set((await gather(target)).map((email) => email.id));
  type Found = { id: Id; emailId: Id };
  const snoozed = await jmap.call<GetAnswer<Found>>("Snooze/get", { ids: null, properties: ["id", "emailId"] });
  const records = snoozed.list.filter((one) => ids.has(one.emailId)).map((one) => one.id);
  await jmap.call<SetAnswer>("Snooze/set", { destroy: records }).promise.catch(complain);
  takeOut(target.rows);
  await refreshCounts();
}
