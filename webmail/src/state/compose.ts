// What asks for a window to write in. The windows themselves are in src/compose, loaded when the first one opens.

import { signal } from "@preact/signals";
import type { Id } from "../jmap/types.ts";

export type ComposeRequest =
  | { kind: "new"; to?: string; cc?: string; bcc?: string; subject?: string; body?: string; files?: File[] }
  | { kind: "reply" | "replyAll" | "replyList" | "forward" | "forwardAttached"; emailId: Id }
  /** What lies in Drafts; `scheduled`: what waits in Scheduled is stopped first. */
  | { kind: "draft" | "scheduled"; emailId: Id }
  /** What the tab kept when it was closed or broke. */
  | { kind: "kept"; copy: string };

export interface Composer {
  key: number;
  request: ComposeRequest;
}

/** Where src/compose keeps what the server does not have yet. */
export const KEPT_PREFIX = "posthouse.draft.";
export const composers = signal<Composer[]>([]);
let next = 1;

export function compose(request: ComposeRequest): void {
  composers.value = [...composers.value, { key: next++, request }];
}

export function closeComposer(key: number): void {
  composers.value = composers.value.filter((composer) => composer.key !== key);
}

/** At sign-out: nothing that was being written stays in the tab. */
export function dropKept(): void {
  const names = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at) ?? "");
  for (const name of names) if (name.startsWith(KEPT_PREFIX)) sessionStorage.removeItem(name);
}

/** After sign-in: windows for what was being written when the page went away. */
export function restoreComposers(): void {
  const names = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at) ?? "");
  const open = new Set(composers.value.map(({ request }) => (request.kind === "kept" ? request.copy : "")));
  for (const name of names.sort()) {
    const copy = name.slice(KEPT_PREFIX.length);
    if (name.startsWith(KEPT_PREFIX) && !open.has(copy)) compose({ kind: "kept", copy });
  }
}

const LINKED = ["reply", "replyAll", "forward", "draft"] as const;

/**
 * The address "/compose": with to, cc, bcc, subject, body; or `mailto`, as browsers hand over links of mail; or the id
 * of an email to reply to, forward, or write on.
 */
export function composeFromQuery(query: URLSearchParams): void {
  const kind = LINKED.find((one) => query.has(one));
  if (kind) compose({ kind, emailId: query.get(kind) ?? "" });
  else compose({ kind: "new", ...readFields(query.has("mailto") ? splitMailto(query.get("mailto") ?? "") : query) });
}

const FIELDS = ["to", "cc", "bcc", "subject", "body"] as const;

function readFields(query: URLSearchParams): Partial<Record<(typeof FIELDS)[number], string>> {
  return Object.fromEntries(FIELDS.flatMap((name) => (query.get(name) ? [[name, query.getAll(name).join(", ")]] : [])));
}

/** RFC 6068: the path is a list of recipients, "+" is a plus. */
export function splitMailto(link: string): URLSearchParams {
  const [path = "", rest = ""] = link.replace(/^mailto:/i, "").split("?", 2);
  const fields = new URLSearchParams(rest.replace(/\+/g, "%2B"));
  const found = new URLSearchParams();
  for (const [name, value] of fields) found.append(name.toLowerCase(), value);
  const to = new URLSearchParams(`to=${path.replace(/\+/g, "%2B").replace(/&/g, "%26")}`).get("to") ?? "";
  if (to) found.append("to", to);
  return found;
}
