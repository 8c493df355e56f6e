/**
 * Addresses as chips, with suggestions from past mail (AddressSuggestion/query). Enter, Tab, comma and semicolon make a
 * chip of what is typed; pasted lists become many. Backspace on an empty field goes to the last chip; on a chip Enter
 * changes it, Delete removes it, arrows move.
 */

import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { jmap } from "../jmap/client.ts";
import type { AddressSuggestion } from "../jmap/types.ts";
import { Avatar } from "../ui/avatar.tsx";
import { Icon } from "../ui/icon.tsx";
import {
  type Address,
  dropRepeats,
  formatAddress,
  isValidAddress,
  labelAddress,
  parseAddresses,
  sameAddress,
} from "./addresses.ts";
import type { Draft, Field } from "./draft.ts";
import { t } from "./texts.ts";

const WAIT_MS = 90;
const MOST = 8;

export interface AddressFieldProps {
  draft: Draft;
  field: Field;
  takesFocus?: boolean;
  extra?: ComponentChildren;
}

/** What stands in the fields becomes chips: before sending and saving. */
export function commitTyped(draft: Draft): void {
  for (const field of ["to", "cc", "bcc"] as const) commitField(draft, field);
}

function commitField(draft: Draft, field: Field): void {
  const typed = draft.typed[field];
  const added = parseAddresses(typed.peek());
  typed.value = "";
  if (added.length) draft.change(draft[field], dropRepeats([...draft[field].peek(), ...added]));
}

async function suggest(text: string, draft: Draft): Promise<Address[]> {
  const answer = await jmap.call<{ list: AddressSuggestion[] }>("AddressSuggestion/query", { text, limit: MOST + 4 });
  const taken = draft.recipients();
  const fresh = answer.list.filter((one) => !taken.some((other) => sameAddress(other.email, one.email)));
  return fresh.slice(0, MOST).map((one) => ({ name: one.name || null, email: one.email }));
}

export function AddressField({ draft, field, takesFocus, extra }: AddressFieldProps) {
  const id = useId();
  const input = useRef<HTMLInputElement>(null);
  const chips = useRef<HTMLUListElement>(null);
  const found = useSignal<Address[]>([]);
  const chosen = useSignal(-1);
  const timer = useRef(0);
  const typed = draft.typed[field];
  const list = draft[field].value;
  const isOpen = useComputed(() => found.value.length > 0);

  useEffect(() => {
    if (takesFocus) input.current?.focus();
    return () => clearTimeout(timer.current);
  }, []);

  const close = () => {
    clearTimeout(timer.current);
    found.value = [];
    chosen.value = -1;
  };
  const take = (address: Address) => {
    typed.value = "";
    close();
    draft.change(draft[field], dropRepeats([...list, address]));
    input.current?.focus();
  };
  const commit = () => {
    close();
    commitField(draft, field);
  };
  const remove = (at: number) => {
    draft.change(
      draft[field],
      list.filter((_, other) => other !== at),
    );
    input.current?.focus();
  };
  const edit = (at: number) => {
    const before = typed.peek();
    if (before.trim()) commitField(draft, field);
    typed.value = formatAddress(list[at]!);
    draft.change(
      draft[field],
      draft[field].peek().filter((one) => one !== list[at]),
    );
    input.current?.focus();
  };
  const ask = (text: string) => {
    clearTimeout(timer.current);
    const last = text.trim();
    if (!last) return close();
    timer.current = window.setTimeout(async () => {
      const answer = await suggest(last, draft).catch(() => []);
      if (typed.peek().trim() !== last || document.activeElement !== input.current) return;
      found.value = answer;
      chosen.value = answer.length ? 0 : -1;
    }, WAIT_MS);
  };
  const onInput = (text: string) => {
    typed.value = text;
    if (/[,;\n]\s*$/.test(text) && parseAddresses(text).every((one) => isValidAddress(one.email))) commit();
    else ask(text);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const count = found.value.length;
    const caret = input.current?.selectionStart ?? 0;
    if (event.key === "ArrowDown" && count) chosen.value = (chosen.peek() + 1) % count;
    else if (event.key === "ArrowUp" && count) chosen.value = (chosen.peek() - 1 + count) % count;
    else if (event.key === "Escape" && count) close();
    else if (event.key === "Enter" && !event.ctrlKey && !event.metaKey) {
      const one = found.peek()[chosen.peek()];
      if (one) take(one);
      else if (typed.peek().trim()) commit();
    } else if (event.key === "Tab" && !event.shiftKey && typed.peek().trim()) {
      const one = found.peek()[chosen.peek()];
      if (one && !isValidAddress(typed.peek().trim())) take(one);
      else {
        commit();
        return;
      }
    } else if (
      (event.key === "Backspace" || event.key === "ArrowLeft") &&
      caret === 0 &&
      !typed.peek() &&
      list.length
    ) {
      focusChip(chips.current, list.length - 1);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="compose-row compose-address">
      <label for={id}>{t(field)}</label>
      <div class="compose-chips" onClick={(event) => event.target === event.currentTarget && input.current?.focus()}>
        {list.length > 0 && (
          <ul ref={chips} aria-label={t("recipients", { field: t(field) })}>
            {list.map((one, at) => (
              <Chip
                key={one.email}
                address={one}
                draft={draft}
                at={at}
                onEdit={() => edit(at)}
                onRemove={() => remove(at)}
              />
            ))}
          </ul>
        )}
        <input
          ref={input}
          id={id}
          class="compose-input"
          value={typed.value}
          inputMode="email"
          autocomplete="off"
          autocapitalize="off"
          spellcheck={false}
          role="combobox"
          aria-autocomplete="list"
          aria-expanded={isOpen.value}
          aria-controls={`${id}-list`}
          aria-activedescendant={chosen.value >= 0 ? `${id}-${chosen.value}` : undefined}
          onInput={(event) => onInput(event.currentTarget.value)}
          onKeyDown={onKeyDown}
          onBlur={commit}
          onPaste={(event) => {
            const text = event.clipboardData?.getData("text/plain") ?? "";
            if (!/[,;\n]|@.*[\s>]/.test(text)) return;
            event.preventDefault();
            typed.value = `${typed.peek()}${text}`;
            commit();
          }}
        />
      </div>
      {extra}
      <span class="unseen" role="status">
        {isOpen.value ? t("suggestionCount", { n: found.value.length }) : ""}
      </span>
      <div
        id={`${id}-list`}
        class="compose-suggestions"
        role="listbox"
        aria-label={t("suggestions")}
        hidden={!isOpen.value}
      >
        {found.value.map((one, at) => (
          <div
            key={one.email}
            id={`${id}-${at}`}
            role="option"
            aria-selected={at === chosen.value}
            onMouseDown={(event) => {
              event.preventDefault();
              take(one);
            }}
          >
            <Avatar name={labelAddress(one)} email={one.email} size={28} />
            <span>
              <b>{labelAddress(one)}</b>
              {one.name && <small>{one.email}</small>}
            </span>
          </div>
        ))}
      </div>
    </div>
  );
}

function focusChip(list: HTMLElement | null, at: number): void {
  list?.querySelectorAll<HTMLElement>(".chip")[at]?.focus();
}

interface ChipProps {
  address: Address;
  draft: Draft;
  at: number;
  onEdit: () => void;
  onRemove: () => void;
}

function Chip({ address, draft, at, onEdit, onRemove }: ChipProps) {
  const isWrong = !isValidAddress(address.email) || draft.refused.value.some((one) => sameAddress(one, address.email));
  const name = labelAddress(address);
  const onKeyDown = (event: KeyboardEvent) => {
    const list = (event.currentTarget as HTMLElement).closest("ul");
    const count = list?.querySelectorAll(".chip").length ?? 0;
    if (event.key === "Delete" || event.key === "Backspace") onRemove();
    else if (event.key === "Enter" || event.key === "F2") onEdit();
    else if (event.key === "ArrowLeft") focusChip(list, Math.max(0, at - 1));
    else if (event.key === "ArrowRight" && at + 1 < count) focusChip(list, at + 1);
    else if (event.key === "ArrowRight") (list?.parentElement?.querySelector("input") as HTMLElement | null)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <li class={isWrong ? "chip-box wrong" : "chip-box"}>
      <button
        type="button"
        class="chip"
        tabIndex={-1}
        title={formatAddress(address)}
        aria-label={
          isWrong
            ? `${t("invalidAddress", { email: address.email })} ${t("editAddress", { name })}`
            : t("editAddress", { name })
        }
        onKeyDown={onKeyDown}
        onDblClick={onEdit}
      >
        {isWrong && <Icon name="warning" size={14} />}
        <span>{name}</span>
      </button>
      <button
        type="button"
        class="chip-remove"
        tabIndex={-1}
        aria-label={t("removeAddress", { name })}
        onClick={onRemove}
      >
        <Icon name="close" size={12} />
      </button>
    </li>
  );
}
