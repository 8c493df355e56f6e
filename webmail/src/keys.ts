// Keys as Gmail has them: single keys, and two in a row ("g i"). `?` lists what is bound.
// A binding lives as long as the component that made it; the newest wins. In fields only keys with Ctrl or Meta count.

import { signal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

export interface Binding {
  /** "j", "Shift+N", "g i", "* a", "Ctrl+Enter" (Ctrl is Meta on a Mac). */
  keys: string;
  label: string;
  group: string;
  run: (event: KeyboardEvent) => void;
  /** Not in the list of `?`. */
  isHidden?: boolean;
}

const SECOND_KEY_MS = 1500;
export const bound = signal<readonly (readonly Binding[])[]>([]);
export const isHelpOpen = signal(false);
let first = "";
let firstAt = 0;

/** How a key is written in a binding. */
export function nameKey(event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "shiftKey">): string {
  const isLetter = /^[a-z]$/i.test(event.key);
  const name = isLetter ? (event.shiftKey ? event.key.toUpperCase() : event.key.toLowerCase()) : event.key;
  const marks = [
    event.ctrlKey || event.metaKey ? "Ctrl" : "",
    event.altKey ? "Alt" : "",
    event.shiftKey && (isLetter || event.key.length > 1) ? "Shift" : "",
  ];
  return [...marks.filter(Boolean), name === " " ? "Space" : name].join("+");
}

export function findBinding(keys: string): Binding | undefined {
  for (const layer of bound.value.toReversed()) {
    const found = layer.find((binding) => binding.keys === keys);
    if (found) return found;
  }
  return undefined;
}

function isPrefix(keys: string): boolean {
  return bound.value.some((layer) => layer.some((binding) => binding.keys.startsWith(`${keys} `)));
}

function isTyping(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  if (!element?.matches) return false;
  return element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select") || element.isContentEditable;
}

export function handleKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || ["Shift", "Control", "Meta", "Alt"].includes(event.key)) return;
  const name = nameKey(event);
  if (isTyping(event.target) && !name.startsWith("Ctrl+") && name !== "Escape") return;
  if (document.querySelector("dialog[open]")) return;
  const now = Date.now();
  const pair = first && now - firstAt < SECOND_KEY_MS ? `${first} ${name}` : "";
  const binding = (pair && findBinding(pair)) || findBinding(name);
  if (!pair && !binding && isPrefix(name)) {
    first = name;
    firstAt = now;
    return;
  }
  first = "";
  if (!binding) return;
  event.preventDefault();
  binding.run(event);
}

/** Bind while the component is shown. The functions may change from one painting to the next. */
export function useKeys(bindings: readonly Binding[]): void {
  const current = useRef(bindings);
  current.current = bindings;
  useEffect(() => {
    const layer = current.current.map((binding, index) => ({
      ...binding,
      run: (event: KeyboardEvent) => current.current[index]?.run(event),
    }));
    bound.value = [...bound.value, layer];
    return () => {
      bound.value = bound.value.filter((other) => other !== layer);
    };
  }, []);
}
