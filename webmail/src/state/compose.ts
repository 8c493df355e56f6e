// What asks for a window to write in. The windows themselves are in src/compose, loaded when the first one opens.

import { signal } from "@preact/signals";
import type { Id } from "../jmap/types.ts";

export type ComposeRequest =
  | { kind: "new"; to?: string; cc?: string; bcc?: string; subject?: string; body?: string }
  | { kind: "reply" | "replyAll" | "forward"; emailId: Id }
  | { kind: "draft"; emailId: Id };

export interface Composer {
  key: number;
  request: ComposeRequest;
}

export const composers = signal<Composer[]>([]);
let next = 1;

export function compose(request: ComposeRequest): void {
  composers.value = [...composers.value, { key: next++, request }];
}

export function closeComposer(key: number): void {
  composers.value = composers.value.filter((composer) => composer.key !== key);
}
