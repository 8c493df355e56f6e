// What matched in a search (RFC 8621 §5), for rows that have been in sight.

import { signal } from "@preact/signals";
import { jmap } from "../jmap/client.ts";
import type { Filter, Id, SearchSnippet } from "../jmap/types.ts";
import { readSnippet, type SnippetPiece } from "./format.ts";

interface Shown {
  subject: SnippetPiece[] | null;
  preview: SnippetPiece[] | null;
}

export const snippets = signal<ReadonlyMap<Id, Shown>>(new Map());
const asked = new Set<Id>();
let search = "";

function read(html: string | null): SnippetPiece[] | null {
  return html ? readSnippet(html) : null;
}

export async function wantSnippets(key: string, filter: Filter, ids: readonly Id[]): Promise<void> {
  if (key !== search) {
    search = key;
    asked.clear();
    snippets.value = new Map();
  }
  const missing = ids.filter((id) => !asked.has(id));
  if (missing.length === 0) return;
  for (const id of missing) asked.add(id);
  try {
    const answer = await jmap.call<{ list: SearchSnippet[] }>("SearchSnippet/get", { filter, emailIds: missing });
    if (key !== search) return;
    const next = new Map(snippets.value);
    for (const one of answer.list) next.set(one.emailId, { subject: read(one.subject), preview: read(one.preview) });
    snippets.value = next;
  } catch {
    for (const id of missing) asked.delete(id);
  }
}
