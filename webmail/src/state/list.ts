// The list of conversations on the screen: a query of which some pages are known. It is as long as the server says,
// and follows what changes there.

import { batch, computed, signal } from "@preact/signals";
import { jmap, OfflineError } from "../jmap/client.ts";
import type {
  ChangesAnswer,
  EmailSummary,
  Filter,
  GetAnswer,
  Id,
  QueryAnswer,
  QueryChangesAnswer,
  Thread,
} from "../jmap/types.ts";
import { completeThreads, dropEmails, emailState, getSummaries, peekEmail, takeEmails, takeThreads } from "./emails.ts";
import { applyChange, missingPages, type Sparse } from "./splice.ts";

export const PAGE = 50;
const MOST_CHANGES = 200;

export interface ListQuery {
  /** What makes it this list: an address without the conversation. */
  key: string;
  filter: Filter;
  collapse: boolean;
}

export interface ListState {
  ids: Sparse;
  isLoading: boolean;
  hasFailed: boolean;
}

const EMPTY: ListState = { ids: [], isLoading: true, hasFailed: false };
const SORT = [{ property: "receivedAt", isAscending: false }];

export const query = signal<ListQuery | null>(null);
export const list = signal<ListState>(EMPTY);
export const total = computed(() => list.value.ids.length);
/** Threads that have just come, for who tells the user (notifications). */
export const arrived = signal<readonly EmailSummary[]>([]);

/** No state of a server: whatever comes next replaces all pages. */
const OUTDATED = "?";
let queryState = "";
let canFollow = false;
const loading = new Set<number>();
/** Exemplars we took out of the list before the server did. */
const gone = new Set<Id>();
/** What was shown before, to show again at once; the server is asked all the same. */
const kept = new Map<string, { ids: Sparse; queryState: string; canFollow: boolean }>();
const KEPT_LISTS = 12;
let seen: [number, number] = [0, PAGE];

function isNow(wanted: ListQuery): boolean {
  return query.peek()?.key === wanted.key;
}

/** Shows another list. Nothing happens when it is the one that is shown. */
export function showList(wanted: ListQuery): void {
  const before = query.peek();
  if (before?.key === wanted.key) return;
  keep();
  const old = kept.get(wanted.key);
  batch(() => {
    query.value = wanted;
    loading.clear();
    gone.clear();
    seen = [0, PAGE];
    queryState = old?.queryState ?? "";
    canFollow = old?.canFollow ?? false;
    list.value = old ? { ids: old.ids, isLoading: false, hasFailed: false } : EMPTY;
  });
  if (old) void follow();
  else void loadPage(0);
}

function keep(): void {
  const before = query.peek();
  const { ids, isLoading } = list.peek();
  if (!before || isLoading) return;
  kept.delete(before.key);
  kept.set(before.key, { ids, queryState, canFollow });
  if (kept.size > KEPT_LISTS) kept.delete(kept.keys().next().value!);
}

/** Forgets what lists looked like: after changes that nobody told us of. */
export function forgetLists(): void {
  kept.clear();
}

/** Called with what is in sight. */
export function wantRange(first: number, last: number): void {
  seen = [first, last];
  const { ids, isLoading } = list.peek();
  if (isLoading) return;
  for (const start of missingPages(ids, first, last, PAGE)) void loadPage(start);
}

function isStillSeen(start: number): boolean {
  return start < seen[1] && start + PAGE > seen[0];
}

async function loadPage(start: number): Promise<void> {
  const wanted = query.peek();
  if (!wanted || loading.has(start)) return;
  loading.add(start);
  // A list flung along passes many pages: only those still in sight a moment later are worth asking for.
  if (start > 0 && loading.size > 1) await new Promise((resolve) => setTimeout(resolve, 12));
  if (!isNow(wanted) || (start > 0 && !isStillSeen(start))) {
    if (isNow(wanted)) loading.delete(start);
    return;
  }
  try {
    await fetchPage(wanted, start);
  } catch {
    if (isNow(wanted)) list.value = { ...list.peek(), isLoading: false, hasFailed: list.peek().ids.length === 0 };
  } finally {
    if (isNow(wanted)) loading.delete(start);
  }
}

async function fetchPage(wanted: ListQuery, position: number): Promise<void> {
  const asked = jmap.call<QueryAnswer>("Email/query", {
    filter: wanted.filter,
    sort: SORT,
    collapseThreads: wanted.collapse,
    position,
    limit: PAGE,
    calculateTotal: !looksAtTexts(wanted.filter),
  });
  const got = getSummaries(asked.ref("/ids"));
  const threads = jmap.call<GetAnswer<Thread>>("Thread/get", { "#ids": got.ref("/list/*/threadId") });
  const [answer, emails, related] = await Promise.all([asked, got, threads]);
  if (!isNow(wanted)) return;
  batch(() => {
    takeEmails(emails.list);
    takeThreads(related.list);
    emailState.value ||= emails.state;
    place(answer);
  });
  await completeThreads(related.list.map((thread) => thread.id));
}

/** To say how many there are the server would have to read them all: it is asked for one page after the other. */
function looksAtTexts(filter: Filter): boolean {
  if ("operator" in filter) return filter.conditions.some(looksAtTexts);
  const { text, from, to, cc, bcc, subject, body, header } = filter;
  return [text, from, to, cc, bcc, subject, body, header].some((wanted) => wanted !== undefined);
}

function place(answer: QueryAnswer): void {
  // Another state than before: the pages we have may not fit together with this one.
  const isSame = queryState === "" || answer.queryState === queryState;
  const ids: Sparse = isSame ? list.peek().ids.slice() : [];
  const end = answer.position + answer.ids.length;
  // Without a total there may be more behind every page that is full.
  ids.length = answer.total ?? (answer.ids.length < PAGE ? end : Math.max(ids.length, end + PAGE));
  answer.ids.forEach((id, at) => {
    ids[answer.position + at] = id;
  });
  queryState = answer.queryState;
  canFollow = answer.canCalculateChanges;
  list.value = { ids, isLoading: false, hasFailed: false };
  if (!isSame) wantRange(...seen);
}

/** Everything anew, what is in sight first; the old rows stay until the answer is there. */
export async function reload(): Promise<void> {
  const wanted = query.peek();
  if (!wanted) return;
  loading.clear();
  gone.clear();
  queryState = OUTDATED;
  try {
    await fetchPage(wanted, Math.floor(seen[0] / PAGE) * PAGE);
  } catch {
    list.value = { ...list.peek(), isLoading: false, hasFailed: list.peek().ids.length === 0 };
  }
}

let following: Promise<void> | null = null;
let isAgain = false;

/** Brings emails, threads and the list up to what the server has. Calls while it runs make it run once more. */
export function follow(): Promise<void> {
  if (following) {
    isAgain = true;
    return following;
  }
  following = followOnce().finally(() => {
    following = null;
    if (isAgain) {
      isAgain = false;
      void follow();
    }
  });
  return following;
}

async function followOnce(): Promise<void> {
  const wanted = query.peek();
  if (!emailState.value) return reload();
  const changes = jmap.call<ChangesAnswer>("Email/changes", {
    sinceState: emailState.value,
    maxChanges: MOST_CHANGES,
  });
  const created = getSummaries(changes.ref("/created"));
  const updated = jmap.call<GetAnswer<EmailSummary>>("Email/get", {
    "#ids": changes.ref("/updated"),
    properties: ["id", "threadId", "keywords", "mailboxIds"],
  });
  const threads = jmap.call<GetAnswer<Thread>>("Thread/get", { "#ids": created.ref("/list/*/threadId") });
  const listed = wanted && canFollow ? askForChanges(wanted) : null;
  try {
    const [change, fresh, touched, related] = await Promise.all([changes, created, updated, threads]);
    const moved = listed ? await listed : null;
    batch(() => {
      takeEmails(fresh.list);
      takeEmails(touched.list);
      takeThreads(related.list);
      dropEmails(change.destroyed);
      emailState.value = change.newState;
      if (moved && wanted && isNow(wanted)) takeChange(moved);
      arrived.value = fresh.list;
    });
    await completeThreads(related.list.map((thread) => thread.id));
    await fillAdded(moved);
    if (wanted && isNow(wanted) && !moved) await reload();
    if (change.hasMoreChanges) await followOnce();
  } catch (error) {
    if (error instanceof OfflineError) return;
    emailState.value = "";
    forgetLists();
    await reload();
  }
}

async function askForChanges(wanted: ListQuery): Promise<QueryChangesAnswer | null> {
  const call = jmap.call<QueryChangesAnswer>("Email/queryChanges", {
    filter: wanted.filter,
    sort: SORT,
    collapseThreads: wanted.collapse,
    sinceQueryState: queryState,
    calculateTotal: true,
    maxChanges: MOST_CHANGES,
  });
  return call.promise.catch(() => null);
}

function takeChange(change: QueryChangesAnswer): void {
  if (change.oldQueryState !== queryState) return;
  const { ids } = list.peek();
  const next = applyChange(ids, change, gone);
  gone.clear();
  if (!next) {
    void reload();
    return;
  }
  next.length = change.total ?? next.length;
  queryState = change.newQueryState;
  list.value = { ids: next, isLoading: false, hasFailed: false };
  wantRange(...seen);
}

/** Rows that came in by other ways than a new email: moved here, or changed until they matched. */
async function fillAdded(change: QueryChangesAnswer | null): Promise<void> {
  const missing = (change?.added ?? []).map((one) => one.id).filter((id) => !peekEmail(id));
  if (missing.length === 0) return;
  const got = getSummaries(missing);
  const threads = jmap.call<GetAnswer<Thread>>("Thread/get", { "#ids": got.ref("/list/*/threadId") });
  const [emails, related] = await Promise.all([got, threads]);
  takeEmails(emails.list);
  takeThreads(related.list);
  await completeThreads(related.list.map((thread) => thread.id));
}

/** `filter` would close the holes. */
function without(ids: Sparse, away: ReadonlySet<Id>): Sparse {
  const next = ids.slice();
  for (const id of away) {
    const at = next.indexOf(id);
    if (at >= 0) next.splice(at, 1);
  }
  return next;
}

/** Takes rows away before the server has; gives back what puts them in again. */
export function takeOut(ids: readonly Id[]): () => void {
  const before = list.peek();
  const wanted = query.peek();
  const away = new Set(ids);
  for (const id of ids) gone.add(id);
  list.value = { ...before, ids: without(before.ids, away) };
  return () => {
    for (const id of ids) gone.delete(id);
    if (wanted && isNow(wanted)) list.value = { ...list.peek(), ids: before.ids };
  };
}
