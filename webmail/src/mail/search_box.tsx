// The search field: a combobox whose list helps with operators and people. Enter searches for what is typed.

import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { AddressSuggestion } from "../jmap/types.ts";
import { wordAt } from "../search/parse.ts";
import { nameOf, tree } from "../state/mailboxes.ts";
import { IconButton } from "../ui/button.tsx";
import { Icon } from "../ui/icon.tsx";
import { type Person, personWanted, type Suggestion, suggest } from "./suggest.ts";
import { openSearch, view } from "./view.ts";

const ASK_AFTER_MS = 120;

function usePeople(word: string, isOpen: boolean): readonly Person[] {
  const [people, setPeople] = useState<readonly Person[]>([]);
  const wanted = personWanted(word);
  useEffect(() => {
    if (!isOpen || wanted.length < 2) {
      setPeople([]);
      return;
    }
    let isOver = false;
    const timer = setTimeout(() => {
      const call = jmap.call<{ list: AddressSuggestion[] }>("AddressSuggestion/query", { text: wanted, limit: 5 });
      call.then(
        (answer) => !isOver && setPeople(answer.list),
        () => undefined,
      );
    }, ASK_AFTER_MS);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [wanted, isOpen]);
  return people;
}

export function SearchBox() {
  const { search } = view.value;
  const [text, setText] = useState(search);
  const [caret, setCaret] = useState(0);
  const [isOpen, setOpen] = useState(false);
  const [at, setAt] = useState(-1);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => setText(search), [search]);
  const people = usePeople(wordAt(text, caret).word, isOpen);
  const names = tree.value.map((row) => nameOf(row.mailbox));
  const suggestions = isOpen ? suggest(text, caret, people, names) : [];
  const start = (wanted: string) => {
    setOpen(false);
    setAt(-1);
    openSearch(wanted);
    document.getElementById("list")?.focus({ preventScroll: true });
  };
  const take = (one: Suggestion) => {
    setText(one.text);
    setAt(-1);
    if (one.isWhole) {
      start(one.text);
      return;
    }
    setCaret(one.text.length);
    input.current?.focus();
    requestAnimationFrame(() => input.current?.setSelectionRange(one.text.length, one.text.length));
  };
  const press = (event: KeyboardEvent) => {
    const by = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (by && suggestions.length) {
      event.preventDefault();
      setAt((at + by + suggestions.length + (at < 0 && by < 0 ? 1 : 0)) % suggestions.length);
    } else if (event.key === "Escape") {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
      input.current?.blur();
    } else if (event.key === "Tab" && at >= 0) {
      event.preventDefault();
      take(suggestions[at]!);
    }
  };
  return (
    <form
      class="search-box"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const one = suggestions[at];
        if (one) take(one);
        else start(text);
      }}
    >
      <Icon name="search" size={18} />
      <input
        ref={input}
        id="search"
        type="text"
        role="combobox"
        aria-label={t("search.label")}
        aria-expanded={suggestions.length > 0}
        aria-controls="suggestions"
        aria-autocomplete="list"
        aria-activedescendant={at >= 0 ? `suggestion-${at}` : undefined}
        placeholder={t("search.placeholder")}
        autocomplete="off"
        spellcheck={false}
        enterkeyhint="search"
        value={text}
        onInput={(event) => {
          setText(event.currentTarget.value);
          setCaret(event.currentTarget.selectionStart ?? event.currentTarget.value.length);
          setAt(-1);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={press}
      />
      {text && (
        <IconButton
          icon="close"
          size="small"
          label={t("search.clear")}
          onClick={() => {
            setText("");
            if (search) openSearch("");
          }}
        />
      )}
      <ul id="suggestions" role="listbox" aria-label={t("search.suggestions")} hidden={suggestions.length === 0}>
        {suggestions.map((one, index) => (
          <li
            key={one.key}
            id={`suggestion-${index}`}
            role="option"
            aria-selected={index === at}
            class={index === at ? "at" : undefined}
            onPointerDown={(event) => event.preventDefault()}
            onClick={() => take(one)}
          >
            <Icon name={one.icon} size={16} />
            <span class="suggestion-label">{one.label}</span>
            <span class="hint">{one.hint}</span>
          </li>
        ))}
      </ul>
    </form>
  );
}
