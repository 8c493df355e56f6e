// What the account likes, kept on the server (`Preference` of urn:posthouse:web), and in this browser so that the
// right theme is there before the first answer.

import { effect, signal } from "@preact/signals";
import { guessLanguage, type Language, language } from "../i18n/index.ts";
import { jmap } from "../jmap/client.ts";
import { onStates } from "../jmap/push.ts";
import type { GetAnswer, SetAnswer } from "../jmap/types.ts";

export interface Label {
  keyword: string;
  name: string;
  colour: string;
}

export interface Preferences {
  theme: "auto" | "light" | "dark";
  language: "auto" | Language;
  density: "comfortable" | "compact";
  readingPane: "right" | "none";
  sidebarWidth: number;
  listWidth: number;
  imageSenders: string[];
  labels: Label[];
  notifications: boolean;
  plainText: boolean;
  /** Settings of other parts, by their own names. */
  more: Record<string, unknown>;
}

export const defaults: Preferences = {
  theme: "auto",
  language: "auto",
  density: "comfortable",
  readingPane: "right",
  sidebarWidth: 240,
  listWidth: 420,
  imageSenders: [],
  labels: [],
  notifications: false,
  plainText: false,
  more: {},
};

const KEPT = "posthouse.preferences";
export const preferences = signal<Preferences>({ ...defaults, ...readKept() });

function readKept(): Partial<Preferences> {
  try {
    return JSON.parse(globalThis.localStorage?.getItem(KEPT) ?? "{}") as Partial<Preferences>;
  } catch {
    return {};
  }
}

export function setPreferences(change: Partial<Preferences>): void {
  preferences.value = { ...preferences.value, ...change };
  void save(change);
}

async function save(change: Partial<Preferences>): Promise<void> {
  const patch = Object.fromEntries(Object.entries(change).map(([name, value]) => [`value/${name}`, value]));
  await jmap.call<SetAnswer>("Preference/set", { update: { singleton: patch } }).promise.catch(() => undefined);
}

export async function loadPreferences(): Promise<void> {
  type Stored = { id: string; value: Partial<Preferences> };
  const answer = await jmap.call<GetAnswer<Stored>>("Preference/get", { ids: ["singleton"] });
  const stored = answer.list[0]?.value;
  if (stored) preferences.value = { ...defaults, ...stored };
}

const dark = globalThis.matchMedia?.("(prefers-color-scheme: dark)");
const isSystemDark = signal(dark?.matches ?? false);
export const isDark = signal(false);
/** Paper is white. */
export const isPrinting = signal(false);

export function startPreferences(): void {
  dark?.addEventListener("change", (event) => {
    isSystemDark.value = event.matches;
  });
  effect(() => {
    const { theme, density, language: wanted } = preferences.value;
    isDark.value = !isPrinting.value && (theme === "auto" ? isSystemDark.value : theme === "dark");
    document.documentElement.dataset["theme"] = isDark.value ? "dark" : "light";
    document.documentElement.dataset["density"] = density;
    language.value = wanted === "auto" ? guessLanguage(navigator.languages) : wanted;
    document.documentElement.lang = language.value;
    localStorage.setItem(KEPT, JSON.stringify(preferences.value));
  });
  onStates((states) => {
    if (states["Preference"]) void loadPreferences().catch(() => undefined);
  });
}
