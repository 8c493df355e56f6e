// How a list with holes follows Email/queryChanges (RFC 8620 §5.6). Pure.

import type { Id } from "../jmap/types.ts";

export type Sparse = (Id | undefined)[];

export interface QueryChange {
  removed: readonly Id[];
  added: readonly { id: Id; index: number }[];
}

/** null: something was removed from a part we do not know, so nobody can tell where the rest stands now. */
export function applyChange(ids: Sparse, change: QueryChange, gone: ReadonlySet<Id>): Sparse | null {
  const next = ids.slice();
  const back = new Set(change.added.map((one) => one.id));
  for (const id of change.removed) {
    const at = next.indexOf(id);
    if (at >= 0) next.splice(at, 1);
    // What is in both lists may just have been looked at; what we took away ourselves is not there any more.
    else if (!gone.has(id) && !back.has(id)) return null;
  }
  for (const { id, index } of change.added) {
    if (index > next.length) next.length = index;
    next.splice(index, 0, id);
  }
  return next;
}

/** Runs of positions in [first, last) that hold nothing yet, cut to whole pages. */
export function missingPages(ids: Sparse, first: number, last: number, page: number): number[] {
  const found: number[] = [];
  for (let start = Math.floor(first / page) * page; start < last; start += page) {
    const end = Math.min(start + page, ids.length);
    for (let at = Math.max(start, first); at < Math.min(end, last); at++) {
      if (ids[at] === undefined) {
        found.push(start);
        break;
      }
    }
  }
  return found;
}
