// What is offered while a search is typed: operators, values of operators, people. Pure but for whom to ask for people.

import { t } from "../i18n/t.ts";
import { wordAt, writeValue } from "../search/parse.ts";
import type { IconName } from "../ui/icon.tsx";

export interface Suggestion {
  key: string;
  icon: IconName;
  label: string;
  hint: string;
  /** The whole search when it is taken. */
  text: string;
  /** Whether taking it starts the search, or typing goes on. */
  isWhole: boolean;
}

export interface Person {
  name: string;
  email: string;
}

const OPERATORS = [
  ["from:", "search.hint.from"],
  ["to:", "search.hint.to"],
  ["subject:", "search.hint.subject"],
  ["has:attachment", "search.hint.attachment"],
  ["is:unread", "search.hint.unread"],
  ["is:starred", "search.hint.starred"],
  ["in:", "search.hint.in"],
  ["before:", "search.hint.before"],
  ["after:", "search.hint.after"],
  ["larger:", "search.hint.larger"],
  ['"…"', "search.hint.phrase"],
  ["OR", "search.hint.or"],
  ["-", "search.hint.not"],
] as const;
const MOST = 8;

export function personWanted(word: string): string {
  const found = /^-?(?:from|to|cc|bcc):"?(.*)$/i.exec(word);
  return (found ? found[1]! : /[:"]/.test(word) ? "" : word).trim();
}

function replaceWord(text: string, caret: number, by: string): string {
  const { start } = wordAt(text, caret);
  return `${text.slice(0, start)}${by}${text.slice(caret)}`;
}

function operatorsFor(text: string, caret: number, word: string): Suggestion[] {
  const wanted = word.replace(/^-/, "").toLowerCase();
  const found = OPERATORS.filter(([name]) => !wanted || (name.startsWith(wanted) && name !== wanted));
  return found.map(([name, hint]) => {
    const isPlain = name === '"…"';
    const written = isPlain ? '"' : word.startsWith("-") ? `-${name}` : name;
    const ends = name.endsWith(":") || isPlain || name === "-";
    return {
      key: name,
      icon: "filter",
      label: name,
      hint: t(hint),
      text: replaceWord(text, caret, ends ? written : `${written} `),
      isWhole: false,
    };
  });
}

function placesFor(text: string, caret: number, word: string, names: readonly string[]): Suggestion[] {
  const found = /^(-?in:)"?(.*)$/i.exec(word);
  if (!found) return [];
  const wanted = found[2]!.toLowerCase();
  return names
    .filter((name) => name.toLowerCase().includes(wanted))
    .map((name) => ({
      key: `in ${name}`,
      icon: "folder",
      label: name,
      hint: t("search.hint.in"),
      text: `${replaceWord(text, caret, found[1] + writeValue(name))} `,
      isWhole: false,
    }));
}

function peopleFor(text: string, caret: number, word: string, people: readonly Person[]): Suggestion[] {
  const operator = /^-?(?:from|to|cc|bcc):/i.exec(word)?.[0] ?? "from:";
  return people.map((one) => ({
    key: `who ${one.email}`,
    icon: "user",
    label: one.name || one.email,
    hint: one.name ? one.email : "",
    text: `${replaceWord(text, caret, operator + writeValue(one.email))} `,
    isWhole: true,
  }));
}

export function suggest(
  text: string,
  caret: number,
  people: readonly Person[],
  mailboxNames: readonly string[],
): Suggestion[] {
  const { word } = wordAt(text, caret);
  const places = placesFor(text, caret, word, mailboxNames);
  if (places.length) return places.slice(0, MOST);
  const isEmpty = text.trim() === "";
  const all = [...peopleFor(text, caret, word, word ? people : []), ...operatorsFor(text, caret, word)];
  return all.slice(0, isEmpty ? OPERATORS.length : MOST);
}
