// Searches as people type them, as filters of Email/query (RFC 8621 §4.4.1). Pure.
//
//   from:ann subject:"quarterly report" (has:attachment OR larger:5M) -in:trash after:2026-01
//
// Words side by side must all be there; OR joins its two neighbours; "-" turns round what follows. What cannot be
// understood (a date that is none) is told in `problems` and looked for as text, so that nothing typed is ignored.

import type { Filter, FilterCondition, Id } from "../jmap/types.ts";

export interface SearchContext {
  /** The mailbox that somebody means by a name; null: there is none. */
  findMailbox: (name: string) => Id | null;
  /** The keyword of a label by its name. */
  findLabel: (name: string) => string | null;
  /** Trash and junk: left out unless the search names a mailbox. */
  apart: readonly Id[];
  now: Date;
}

export interface Parsed {
  filter: Filter;
  problems: string[];
}

type Token =
  | { kind: "open" | "close" | "or" | "not" }
  | { kind: "term"; name: string; value: string; isQuoted: boolean; raw: string };

const TOKEN = /\s*(?:(\()|(\))|(-)(?=[^\s-])|([\p{L}_-]+):(?=[\s)]|$)|(?:([\p{L}_-]+):)?(?:"([^"]*)"?|([^\s()"]+)))/uy;
const MOST_DEEP = 40;
const OPERATORS = new Set([
  ...["from", "to", "cc", "bcc", "subject", "body", "has", "before", "after", "older", "newer", "larger", "smaller"],
  ...["in", "is", "label", "filename"],
]);

export function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  for (;;) {
    const at = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    if (!found || TOKEN.lastIndex === at) break;
    const [whole, open, close, minus, bare, name, quoted, plain] = found;
    if (open) tokens.push({ kind: "open" });
    else if (close) tokens.push({ kind: "close" });
    else if (minus) tokens.push({ kind: "not" });
    else if (bare) tokens.push(makeTerm(bare, undefined, undefined, `${bare}:`));
    else if (plain === "OR" && !name) tokens.push({ kind: "or" });
    else if (quoted !== undefined || plain !== undefined) tokens.push(makeTerm(name, quoted, plain, whole.trim()));
  }
  return tokens;
}

function makeTerm(name: string | undefined, quoted: string | undefined, plain: string | undefined, raw: string): Token {
  const operator = name?.toLowerCase() ?? "";
  const isQuoted = quoted !== undefined;
  // "Re:hello" and "12:30" are words, not operators.
  if (operator && !OPERATORS.has(operator))
    return { kind: "term", name: "", value: raw.replaceAll('"', ""), isQuoted, raw };
  return { kind: "term", name: operator, value: quoted ?? plain ?? "", isQuoted, raw };
}

class Parser {
  readonly problems: string[] = [];
  namesMailbox = false;
  #at = 0;
  #depth = 0;
  readonly #tokens: readonly Token[];
  readonly #context: SearchContext;

  constructor(tokens: readonly Token[], context: SearchContext) {
    this.#tokens = tokens;
    this.#context = context;
  }

  /** Until the end, or the bracket that closes. */
  readAll(isInBrackets: boolean): Filter | null {
    const parts: Filter[] = [];
    while (this.#at < this.#tokens.length) {
      if (this.#peek() === "close") {
        this.#at++;
        if (isInBrackets) break;
        continue;
      }
      const part = this.#readOr();
      if (part) parts.push(part);
    }
    return join("AND", parts);
  }

  #peek(): Token["kind"] | undefined {
    return this.#tokens[this.#at]?.kind;
  }

  #readOr(): Filter | null {
    const parts = [this.#readOne()];
    while (this.#peek() === "or") {
      this.#at++;
      parts.push(this.#readOne());
    }
    return join(
      "OR",
      parts.filter((part) => part !== null),
    );
  }

  #readOne(): Filter | null {
    const token = this.#tokens[this.#at];
    if (!token || token.kind === "close" || token.kind === "or") {
      if (token?.kind === "or") this.#at++;
      return null;
    }
    this.#at++;
    if (token.kind === "term") return this.#readTerm(token);
    if (this.#depth >= MOST_DEEP) return null;
    this.#depth++;
    const inner = token.kind === "open" ? this.readAll(true) : this.#readOne();
    this.#depth--;
    return token.kind === "open" || !inner ? inner : { operator: "NOT", conditions: [inner] };
  }

  #readTerm(token: Extract<Token, { kind: "term" }>): Filter | null {
    if (!token.value) return null;
    if (token.name === "in") return this.#readMailbox(token.value, token.raw);
    const found = readOperator(token.name, token.value, token.isQuoted, this.#context);
    if (found) return found;
    this.problems.push(token.raw);
    return { text: quote(token.raw.replaceAll('"', "")) };
  }

  #readMailbox(value: string, raw: string): Filter | null {
    this.namesMailbox = true;
    if (["anywhere", "all"].includes(value.toLowerCase())) return null;
    const id = this.#context.findMailbox(value);
    if (id) return { inMailbox: id };
    this.problems.push(raw);
    return { text: quote(raw) };
  }
}

function join(operator: "AND" | "OR", parts: Filter[]): Filter | null {
  const [first] = parts;
  if (!first) return null;
  return parts.length === 1 ? first : { operator, conditions: parts };
}

function quote(text: string): string {
  return `"${text.replaceAll('"', " ").trim()}"`;
}

function readOperator(name: string, value: string, isQuoted: boolean, context: SearchContext): Filter | null {
  const text = isQuoted ? quote(value) : value;
  switch (name) {
    case "":
      return { text };
    case "from":
    case "to":
    case "cc":
    case "bcc":
    case "subject":
    case "body":
      return name === "to" ? { operator: "OR", conditions: [{ to: text }, { cc: text }] } : { [name]: text };
    case "filename":
      return { operator: "AND", conditions: [{ hasAttachment: true }, { text }] };
    case "has":
      return readHas(value);
    case "before":
    case "older":
      return dated("before", readDate(value, context.now));
    case "after":
    case "newer":
      return dated("after", readDate(value, context.now));
    case "larger":
      return sized("minSize", readSize(value));
    case "smaller":
      return sized("maxSize", readSize(value));
    case "is":
      return readIs(value);
    default:
      return readLabel(value, context);
  }
}

function readHas(value: string): Filter | null {
  return /^(attachments?|anhang|anhänge)$/i.test(value) ? { hasAttachment: true } : null;
}

const STATES: Record<string, FilterCondition> = {
  unread: { notKeyword: "$seen" },
  read: { hasKeyword: "$seen" },
  starred: { hasKeyword: "$flagged" },
  flagged: { hasKeyword: "$flagged" },
  unstarred: { notKeyword: "$flagged" },
  answered: { hasKeyword: "$answered" },
  replied: { hasKeyword: "$answered" },
  unanswered: { notKeyword: "$answered" },
  forwarded: { hasKeyword: "$forwarded" },
  draft: { hasKeyword: "$draft" },
  snoozed: { hasKeyword: "$snoozed" },
};

function readIs(value: string): Filter | null {
  return STATES[value.toLowerCase()] ?? null;
}

function readLabel(value: string, context: SearchContext): Filter | null {
  const keyword = context.findLabel(value);
  return keyword ? { hasKeyword: keyword } : null;
}

function dated(side: "before" | "after", day: Date | null): Filter | null {
  return day && { [side]: day.toISOString().replace(/\.\d+Z$/, "Z") };
}

function sized(side: "minSize" | "maxSize", size: number | null): Filter | null {
  return size === null ? null : { [side]: size };
}

const UNITS: Record<string, number> = { "": 1, k: 1 << 10, m: 1 << 20, g: 1 << 30 };

/** "5M", "300k", "1.5 MB"; octets. */
export function readSize(text: string): number | null {
  const found = /^(\d+(?:[.,]\d+)?)([kmg]?)i?b?$/i.exec(text);
  if (!found) return null;
  return Math.round(Number(found[1]!.replace(",", ".")) * UNITS[found[2]!.toLowerCase()]!);
}

/** The start of a day, month or year, or so long ago: "2026-03-01", "2026/3", "2026", "10d", "2w", "today". */
export function readDate(text: string, now: Date): Date | null {
  const day = new Date(now.getFullYear(), now.getMonth(), now.getDate());
  const word = text.toLowerCase();
  if (word === "today" || word === "heute") return day;
  if (word === "yesterday" || word === "gestern") return shift(day, "d", 1);
  const ago = /^(\d{1,4})([dwmy])$/.exec(word);
  if (ago) return shift(day, ago[2]!, Number(ago[1]));
  const iso = /^(\d{4})(?:[-/.](\d{1,2})(?:[-/.](\d{1,2}))?)?$/.exec(word);
  const local = /^(\d{1,2})\.(\d{1,2})\.(\d{4})$/.exec(word);
  const [year, month, date] = iso
    ? [Number(iso[1]), Number(iso[2] ?? 1), Number(iso[3] ?? 1)]
    : [Number(local?.[3]), Number(local?.[2]), Number(local?.[1])];
  const made = new Date(year, month - 1, date);
  return made.getFullYear() === year && made.getMonth() === month - 1 && made.getDate() === date ? made : null;
}

function shift(day: Date, unit: string, by: number): Date {
  const [year, month, date] = [day.getFullYear(), day.getMonth(), day.getDate()];
  if (unit === "y") return new Date(year - by, month, date);
  if (unit === "m") return new Date(year, month - by, date);
  return new Date(year, month, date - by * (unit === "w" ? 7 : 1));
}

export function parseSearch(text: string, context: SearchContext): Parsed {
  const parser = new Parser(tokenize(text), context);
  const found = parser.readAll(false);
  const parts: Filter[] = found ? [found] : [];
  if (!parser.namesMailbox && context.apart.length) parts.push({ inMailboxOtherThan: [...context.apart] });
  return { filter: join("AND", parts) ?? {}, problems: parser.problems };
}

/** The word the caret stands in: what suggestions are for. */
export function wordAt(text: string, caret: number): { start: number; word: string } {
  const before = text.slice(0, caret);
  const quotes = before.split('"').length - 1;
  const start = quotes % 2 ? before.lastIndexOf('"') : before.search(/[^\s()]*$/);
  const opened = quotes % 2 ? before.slice(0, start).search(/[^\s()]*$/) : start;
  return { start: opened, word: before.slice(opened) };
}

/** A value as it must be written behind an operator. */
export function writeValue(value: string): string {
  return /[\s()"]/.test(value) ? `"${value.replaceAll('"', "")}"` : value;
}
