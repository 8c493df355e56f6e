/**
 * What stands under an answer: the attribution line and the text before, quoted; or the head and text of what is
 * forwarded. And text made of HTML and back. Pure: HTML is made as a string, of escaped pieces only; what came from a
 * message must have been cleaned before it is handed in.
 */

import { type Address, formatAddresses } from "./addresses.ts";

const WIDTH = 76;
const QUOTE = '<blockquote type="cite">';

export function escapeHtml(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");
}

const MARKS = /^(?:> ?)+/;

/** How deep a line is quoted (`>> so`, `> > so`), and what it says. */
function readQuote(line: string): { level: number; said: string } {
  const marks = MARKS.exec(line)?.[0] ?? "";
  return { level: marks.split(">").length - 1, said: line.slice(marks.length) };
}

/** One level deeper, the marks side by side as RFC 3676 §4.5 wants them. */
function quoteLine(line: string): string {
  const { level, said } = readQuote(line);
  return `${">".repeat(level + 1)} ${said}`.trimEnd();
}

/** A div for each line, an empty one with a break in it, runs of blanks kept; quotes become nested blocks. */
export function textToHtml(text: string): string {
  const lines = text.replace(/\r\n?/g, "\n").replace(/\n$/, "").split("\n");
  const pieces: string[] = [];
  let depth = 0;
  for (const line of lines) {
    const { level, said } = readQuote(line);
    for (; depth < level; depth++) pieces.push(QUOTE);
    for (; depth > level; depth--) pieces.push("</blockquote>");
    pieces.push(said.trim() ? `<div>${keepBlanks(escapeHtml(said))}</div>` : "<div><br></div>");
  }
  return pieces.join("") + "</blockquote>".repeat(depth);
}

function keepBlanks(text: string): string {
  return text.replace(/\t/g, "    ").replace(/^ /, "\u00a0").replace(/ {2}/g, " \u00a0");
}

/** `> ` before each line, one mark more where there are some. No signature of the sender. */
export function quoteText(text: string): string {
  const lines = dropSignature(text.replace(/\r\n?/g, "\n")).replace(/\s+$/, "").split("\n");
  return lines.map(quoteLine).join("\n");
}

/** What stands behind the last line `-- ` is the signature (RFC 3676 §4.3). */
export function dropSignature(text: string): string {
  const at = text.lastIndexOf("\n-- \n");
  return at < 0 ? text : text.slice(0, at + 1);
}

export function quoteHtml(html: string): string {
  return `${QUOTE}${html}</blockquote>`;
}

export interface Forwarded {
  from: Address[] | null;
  to: Address[] | null;
  cc: Address[] | null;
  subject: string | null;
  date: string;
}

export interface HeadWords {
  title: string;
  from: string;
  date: string;
  subject: string;
  to: string;
  cc: string;
}

function headRows(email: Forwarded, words: HeadWords): [string, string][] {
  const rows: [string, string][] = [
    [words.from, formatAddresses(email.from ?? [])],
    [words.date, email.date],
    [words.subject, email.subject ?? ""],
    [words.to, formatAddresses(email.to ?? [])],
    [words.cc, formatAddresses(email.cc ?? [])],
  ];
  return rows.filter(([, value]) => value !== "");
}

export function forwardHeadText(email: Forwarded, words: HeadWords): string {
  const rows = headRows(email, words).map(([name, value]) => `${name}: ${value}`);
  return [`---------- ${words.title} ----------`, ...rows].join("\n");
}

export function forwardHeadHtml(email: Forwarded, words: HeadWords): string {
  const rows = headRows(email, words).map(
    ([name, value]) => `<div><b>${escapeHtml(name)}:</b> ${escapeHtml(value)}</div>`,
  );
  return `<div>---------- ${escapeHtml(words.title)} ----------</div>${rows.join("")}<div><br></div>`;
}

const BLOCKS = new Set(
  "ADDRESS ARTICLE ASIDE BLOCKQUOTE DIV DL DT DD FIGURE FOOTER H1 H2 H3 H4 H5 H6 HEADER LI OL P PRE SECTION TABLE TR UL".split(
    " ",
  ),
);

/** Just what is needed of a DOM, so that tests need none. */
export interface TextNode {
  readonly nodeType: number;
  readonly nodeName: string;
  readonly nodeValue: string | null;
  readonly childNodes: ArrayLike<TextNode>;
  getAttribute?(name: string): string | null;
}

/** The plain text of a tree: paragraphs by empty lines, lists with marks, links with their address, quotes with `>`. */
export function treeToText(root: TextNode): string {
  const lines = renderChildren(root);
  while (lines.length && lines[lines.length - 1] === "") lines.pop();
  return lines.length ? `${lines.map((line) => (line === "-- " ? line : line.trimEnd())).join("\n")}\n` : "";
}

/** Lines of the children; neighbours in one line are joined. */
function renderChildren(node: TextNode): string[] {
  const lines: string[] = [];
  let open: string | null = null;
  const close = () => {
    if (open !== null && open.trim() !== "") lines.push(open);
    open = null;
  };
  for (const child of Array.from(node.childNodes)) {
    if (child.nodeName === "BR") {
      lines.push(open ?? "");
      open = null;
    } else if (BLOCKS.has(child.nodeName)) {
      close();
      lines.push(...renderBlock(child, node));
    } else {
      const [first = "", ...rest] = renderInline(child, open === null || open.endsWith(" "));
      if (!first && !rest.length) continue;
      open = (open ?? "") + first;
      for (const line of rest) {
        lines.push(open);
        open = line;
      }
    }
  }
  close();
  return lines;
}

function renderInline(node: TextNode, startsLine: boolean): string[] {
  if (node.nodeType === 3) {
    const text = (node.nodeValue ?? "")
      .replace(/\u200b/g, "")
      .replace(/[ \t\r\n]+/g, " ")
      .replace(/\u00a0/g, " ");
    return [startsLine && /^ [^ ]/.test(text) && !(node.nodeValue ?? "").startsWith("\u00a0") ? text.slice(1) : text];
  }
  if (node.nodeType !== 1 || /^(?:STYLE|SCRIPT|HEAD|TITLE)$/.test(node.nodeName)) return [];
  if (node.nodeName === "IMG") {
    const label = node.getAttribute?.("alt");
    return label ? [`[${label}]`] : [];
  }
  const lines = renderChildren(node);
  if (node.nodeName === "A" && lines.length) {
    const link = node.getAttribute?.("href") ?? "";
    const shown = lines.join(" ").trim();
    if (/^https?:/i.test(link) && !sameLink(link, shown)) lines[lines.length - 1] += ` <${link}>`;
  }
  return lines;
}

function sameLink(link: string, shown: string): boolean {
  const bare = (text: string) => text.replace(/^https?:\/\//i, "").replace(/\/$/, "");
  return bare(link) === bare(shown);
}

function renderBlock(node: TextNode, parent: TextNode): string[] {
  const lines = renderChildren(node);
  switch (node.nodeName) {
    case "BLOCKQUOTE":
      return lines.map(quoteLine);
    case "LI": {
      const mark = parent.nodeName === "OL" ? `${itemNumber(node, parent)}. ` : "* ";
      return lines.map((line, at) => (at ? "   " : ` ${mark}`) + line);
    }
    case "P":
    case "UL":
    case "OL":
    case "H1":
    case "H2":
    case "H3":
      return lines.length ? [...lines, ""] : lines;
    default:
      return lines;
  }
}

function itemNumber(node: TextNode, parent: TextNode): number {
  const items = Array.from(parent.childNodes).filter((one) => one.nodeName === "LI");
  return items.indexOf(node) + 1;
}

/** Folds long lines at blanks, quotes keeping their marks; used where text becomes a quote, never for what is typed. */
export function wrapText(text: string, width = WIDTH): string {
  return text
    .split("\n")
    .flatMap((line) => wrapLine(line, width))
    .join("\n");
}

function wrapLine(line: string, width: number): string[] {
  if (line.length <= width) return [line];
  const mark = MARKS.exec(line)?.[0] ?? "";
  const lines: string[] = [];
  let open = mark;
  for (const word of line.slice(mark.length).split(" ")) {
    if (open.length > mark.length && open.length + 1 + word.length > width) {
      lines.push(open);
      open = mark + word;
    } else open += (open.length > mark.length ? " " : "") + word;
  }
  return [...lines, open];
}
