// Mailboxes in the order they are shown in. Pure.

import type { Id, Mailbox } from "../jmap/types.ts";

export interface TreeRow {
  mailbox: Mailbox;
  depth: number;
  hasChildren: boolean;
  /** Ids from the top to its parent. */
  above: Id[];
}

const ORDER = ["inbox", "snoozed", "drafts", "scheduled", "sent", "archive", "junk", "trash"];

function rankOf(mailbox: Mailbox): number {
  const rank = ORDER.indexOf(mailbox.role ?? "");
  return rank < 0 ? ORDER.length : rank;
}

function compare(one: Mailbox, other: Mailbox): number {
  return rankOf(one) - rankOf(other) || one.sortOrder - other.sortOrder || one.name.localeCompare(other.name);
}

/** A mailbox whose parent is missing stands at the top. */
export function treeOf(mailboxes: readonly Mailbox[]): TreeRow[] {
  const known = new Set(mailboxes.map((mailbox) => mailbox.id));
  const children = new Map<Id | null, Mailbox[]>();
  for (const mailbox of mailboxes) {
    const parent = mailbox.parentId !== null && known.has(mailbox.parentId) ? mailbox.parentId : null;
    children.set(parent, [...(children.get(parent) ?? []), mailbox]);
  }
  const rows: TreeRow[] = [];
  const walk = (parent: Id | null, above: Id[]): void => {
    for (const mailbox of (children.get(parent) ?? []).sort(compare)) {
      rows.push({ mailbox, depth: above.length, hasChildren: children.has(mailbox.id), above });
      walk(mailbox.id, [...above, mailbox.id]);
    }
  };
  walk(null, []);
  return rows;
}

/** Whether `id` may be put below `under`: not below itself. */
export function mayNest(rows: readonly TreeRow[], id: Id, under: Id | null): boolean {
  if (id === under) return false;
  const target = rows.find((row) => row.mailbox.id === under);
  return !target?.above.includes(id);
}
