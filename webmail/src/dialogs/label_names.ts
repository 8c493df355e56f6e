/** Labels are keywords of the messages; their names and colours are preferences of the account. Pure. */

import type { Label } from "../state/preferences.ts";

export const COLOURS = {
  blue: "#3b6fe0",
  teal: "#0e8a8a",
  green: "#2f8f4e",
  yellow: "#b8860b",
  orange: "#d2691e",
  red: "#cf3a34",
  pink: "#c2418a",
  violet: "#7d4fd3",
  grey: "#6b7585",
} as const;
export type ColourName = keyof typeof COLOURS;

/** A keyword as RFC 8621 §4.1.1 allows them: lower case letters of ASCII, so that every IMAP program shows it well. */
export function makeKeyword(name: string, taken: readonly string[]): string {
  const bare = name
    .normalize("NFKD")
    .replace(/ß/g, "ss")
    .replace(/[^\x20-\x7e]/g, "")
    .toLowerCase();
  const stem =
    bare
      .replace(/[^a-z0-9_.-]+/g, "-")
      .replace(/^-+|-+$/g, "")
      .slice(0, 60) || "label";
  for (let count = 1; ; count++) {
    const keyword = count === 1 ? stem : `${stem}-${count}`;
    if (!taken.includes(keyword)) return keyword;
  }
}

export function nextColour(labels: readonly Label[]): string {
  const all = Object.values(COLOURS);
  const uses = (colour: string) => labels.filter((one) => one.colour === colour).length;
  return all.toSorted((one, other) => uses(one) - uses(other))[0] ?? COLOURS.blue;
}

export function addLabel(labels: readonly Label[], name: string): Label[] {
  const keyword = makeKeyword(
    name,
    labels.map((one) => one.keyword),
  );
  return [...labels, { keyword, name: name.trim(), colour: nextColour(labels) }];
}

export function findLabels(labels: readonly Label[], text: string): Label[] {
  const wanted = text.trim().toLowerCase();
  return labels.filter((one) => one.name.toLowerCase().includes(wanted));
}
