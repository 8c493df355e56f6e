// Texts by language. A section is a pair of tables with the same keys, so that a missing text is a type error:
//
//   export const t = section(en, de);      // `en` is `as const satisfies Texts`-like, `de` has its keys
//   t("mailbox.count", { n: 3 })
//
// A text is a string with {names}, or one for each plural form of `n`. A further language is one more table in
// `languages` and in each section.

import { signal } from "@preact/signals";

export type Text = string | { one: string; other: string };
export type Texts = Record<string, Text>;
export type Language = "en" | "de";
export type Values = Record<string, string | number>;

export const languages: Record<Language, string> = { en: "English", de: "Deutsch" };
export const language = signal<Language>(guessLanguage(globalThis.navigator?.languages ?? []));

export function guessLanguage(wanted: readonly string[]): Language {
  for (const tag of wanted) {
    const short = tag.split("-", 1)[0]!.toLowerCase();
    if (short in languages) return short as Language;
  }
  return "en";
}

/** For dates and numbers: the browser's own kind of the language, like en-GB. */
export function locale(): string {
  return localeOf(language.value, globalThis.navigator?.languages ?? []);
}

export function localeOf(spoken: Language, wanted: readonly string[]): string {
  return wanted.find((tag) => tag.split("-", 1)[0]!.toLowerCase() === spoken) ?? spoken;
}

export type Translate<Key extends string> = (key: Key, values?: Values) => string;

export function section<T extends Texts>(en: T, de: Record<keyof T, Text>): Translate<keyof T & string> {
  const tables: Record<Language, Record<string, Text>> = { en, de };
  return (key, values) => fill(tables[language.value][key] ?? en[key] ?? key, values, language.value);
}

export function fill(text: Text, values: Values | undefined, spoken: Language): string {
  const form = typeof text === "string" ? text : text[pluralOf(Number(values?.["n"] ?? 0), spoken)];
  if (!values) return form;
  return form.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = values[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? value.toLocaleString(spoken) : value;
  });
}

function pluralOf(n: number, spoken: Language): "one" | "other" {
  return new Intl.PluralRules(spoken).select(n) === "one" ? "one" : "other";
}
