// Which rows are chosen, and where the keys stand.

import { computed, signal } from "@preact/signals";
import type { Id } from "../jmap/types.ts";
import { list } from "./list.ts";

/** Exemplars: the email that stands for its conversation in the list. */
export const chosen = signal<ReadonlySet<Id>>(new Set());
/** All of the query, those that are not loaded included. */
export const isAllChosen = signal(false);
/** Index of the row the keys act on; -1: none yet. */
export const cursor = signal(-1);
export const hasChosen = computed(() => chosen.value.size > 0);
let anchor = -1;

export function clearSelection(): void {
  if (chosen.peek().size) chosen.value = new Set();
  isAllChosen.value = false;
  anchor = -1;
}

export function toggle(index: number, isRange: boolean): void {
  const { ids } = list.peek();
  const id = ids[index];
  if (!id) return;
  const next = new Set(chosen.peek());
  if (isRange && anchor >= 0) {
    for (let at = Math.min(anchor, index); at <= Math.max(anchor, index); at++) {
      const one = ids[at];
      if (one) next.add(one);
    }
  } else if (next.has(id)) next.delete(id);
  else next.add(id);
  anchor = index;
  isAllChosen.value = false;
  chosen.value = next;
}

export function choose(test: (id: Id) => boolean): void {
  const next = new Set<Id>();
  for (const id of list.peek().ids) if (id && test(id)) next.add(id);
  chosen.value = next;
  isAllChosen.value = false;
}

export function moveCursor(by: number): number {
  const last = list.peek().ids.length - 1;
  cursor.value = Math.max(0, Math.min(last, cursor.peek() + by));
  return cursor.peek();
}

/** Rows that are gone are not chosen any more. */
export function forgetChosen(ids: readonly Id[]): void {
  if (!ids.some((id) => chosen.peek().has(id))) return;
  const next = new Set(chosen.peek());
  for (const id of ids) next.delete(id);
  chosen.value = next;
}
