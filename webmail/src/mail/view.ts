// What the address says is on the screen: a mailbox or a search, and the conversation that is open.

import { computed } from "@preact/signals";
import type { Id, Mailbox } from "../jmap/types.ts";
import { go, place } from "../router.ts";
import { type Parsed, parseSearch } from "../search/parse.ts";
import { byRole, findMailbox, mailboxes, nameOf, slugOf } from "../state/mailboxes.ts";
import { preferences } from "../state/preferences.ts";

export interface View {
  /** null in a search. */
  mailbox: Mailbox | null;
  search: string;
  parsed: Parsed | null;
  threadId: Id | null;
  /** The address without the conversation. */
  base: string;
}

export const view = computed<View>(() => {
  const { parts, query } = place.value;
  if (parts[0] === "search") return searchView(query.get("q") ?? "", parts[1] ?? null);
  const slug = parts[0] === "mail" ? (parts[1] ?? "inbox") : "inbox";
  const mailbox = findMailbox(slug) ?? byRole("inbox") ?? null;
  const base = `/mail/${encodeURIComponent(mailbox ? slugOf(mailbox) : slug)}`;
  return { mailbox, search: "", parsed: null, threadId: parts[2] ?? null, base };
});

function searchView(search: string, threadId: Id | null): View {
  const apart = ["trash", "junk"].map((role) => byRole(role)?.id).filter((id) => id !== undefined);
  const findLabel = (name: string) => {
    const wanted = name.toLowerCase();
    const found = preferences.value.labels.find((one) => one.name.toLowerCase() === wanted || one.keyword === wanted);
    return found?.keyword ?? null;
  };
  const parsed = parseSearch(search, { findMailbox: findByName, findLabel, apart, now: new Date() });
  return { mailbox: null, search, parsed, threadId, base: "/search" };
}

function findByName(name: string): Id | null {
  const wanted = name.toLowerCase();
  for (const mailbox of mailboxes.value.values()) {
    const names = [mailbox.role, mailbox.name, nameOf(mailbox), mailbox.id].map((one) => one?.toLowerCase());
    if (names.includes(wanted)) return mailbox.id;
  }
  return null;
}

export function addressOf(threadId: Id | null): string {
  const { base, search } = view.peek();
  const query = search ? `?q=${encodeURIComponent(search)}` : "";
  return (threadId ? `${base}/${encodeURIComponent(threadId)}` : base) + query;
}

export function openThread(threadId: Id | null, replace = false): void {
  go(addressOf(threadId), { replace });
}

export function openSearch(search: string): void {
  go(search.trim() ? `/search?q=${encodeURIComponent(search.trim())}` : "/mail/inbox");
}

const narrow = globalThis.matchMedia?.("(max-width: 820px)");

/** One pane at a time. */
export function isPhone(): boolean {
  return (narrow?.matches ?? false) || preferences.peek().readingPane === "none";
}
