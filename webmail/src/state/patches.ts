// What an action changes in an email, as a patch and as its opposite (RFC 8620 §5.3). Pure.

import type { EmailSummary, Id } from "../jmap/types.ts";

export type Patch = Record<string, unknown>;

/** `put` and `take` are ids of mailboxes; `set` and `clear` are keywords. */
export interface Change {
  put?: readonly Id[];
  take?: readonly Id[];
  set?: readonly string[];
  clear?: readonly string[];
}

export interface Planned {
  id: Id;
  before: EmailSummary;
  after: EmailSummary;
  patch: Patch;
  undo: Patch;
}

/** A property's name inside a JSON pointer (RFC 6901 §3). */
export function escapePointer(name: string): string {
  return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function plan(
  kind: "mailboxIds" | "keywords",
  held: Record<string, true>,
  add: readonly string[],
  remove: readonly string[],
): { held: Record<string, true>; patch: Patch; undo: Patch } {
  const next = { ...held };
  const patch: Patch = {};
  const undo: Patch = {};
  for (const name of remove) {
    if (!next[name]) continue;
    delete next[name];
    patch[`${kind}/${escapePointer(name)}`] = null;
    undo[`${kind}/${escapePointer(name)}`] = true;
  }
  for (const name of add) {
    if (next[name]) continue;
    next[name] = true;
    const path = `${kind}/${escapePointer(name)}`;
    // Taken and put again in one go is no change.
    if (patch[path] === null) {
      delete patch[path];
      delete undo[path];
    } else {
      patch[path] = true;
      undo[path] = null;
    }
  }
  return { held: next, patch, undo };
}

/** null: there is nothing to change, or it would be in no mailbox. */
export function planChange(before: EmailSummary, change: Change): Planned | null {
  const places = plan("mailboxIds", before.mailboxIds, change.put ?? [], change.take ?? []);
  const words = plan("keywords", before.keywords, change.set ?? [], change.clear ?? []);
  const patch = { ...places.patch, ...words.patch };
  if (Object.keys(patch).length === 0 || Object.keys(places.held).length === 0) return null;
  const after = { ...before, mailboxIds: places.held, keywords: words.held };
  return { id: before.id, before, after, patch, undo: { ...places.undo, ...words.undo } };
}
