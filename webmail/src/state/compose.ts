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

/** After sign-in: windows for what was being written when the page went away. */
export function restoreComposers(): void {
  const names = Array.from({ length: sessionStorage.length }, (_, at) => sessionStorage.key(at) ?? "");
  const open = new Set(composers.value.map(({ request }) => (request.kind === "kept" ? request.copy : "")));
  for (const name of names.sort()) {
    const copy = name.slice(KEPT_PREFIX.length);
    if (name.startsWith(KEPT_PREFIX) && !open.has(copy)) compose({ kind: "kept", copy });
  }
}
