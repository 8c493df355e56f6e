// Dates, sizes and snippets as they are shown.

const formats = new Map<string, Intl.DateTimeFormat>();

function format(language: string, options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = `${language} ${JSON.stringify(options)}`;
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(language, options);
    formats.set(key, found);
  }
  return found;
}

/** Two digits where a day has 24 hours, one where it has twice twelve: 08:05, 8:05 AM. */
function timeIn(language: string): Intl.DateTimeFormatOptions {
  const isHalf = format(language, { hour: "numeric" }).resolvedOptions().hour12;
  return { hour: isHalf ? "numeric" : "2-digit", minute: "2-digit" };
}

/** The time of today, the day of this year, else the date. */
export function shortDate(iso: string, language: string, now: Date): string {
  const date = new Date(iso);
  if (date.toDateString() === now.toDateString()) return format(language, timeIn(language)).format(date);
  if (date.getFullYear() === now.getFullYear())
    return format(language, { day: "numeric", month: "short" }).format(date);
  return format(language, { day: "2-digit", month: "2-digit", year: "numeric" }).format(date);
}

export function longDate(iso: string, language: string): string {
  return format(language, { dateStyle: "full", timeStyle: "short" }).format(new Date(iso));
}

export function mediumDate(iso: string, language: string, now: Date): string {
  const date = new Date(iso);
  const isThisYear = date.getFullYear() === now.getFullYear();
  const day: Intl.DateTimeFormatOptions = { weekday: "short", day: "numeric", month: "short" };
  return format(language, { ...day, ...timeIn(language), ...(isThisYear ? {} : { year: "numeric" }) }).format(date);
}

const UNITS = ["B", "KB", "MB", "GB"];

export function formatSize(octets: number, language: string): string {
  let value = octets;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toLocaleString(language, { maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

export interface SnippetPiece {
  text: string;
  isMarked: boolean;
}

const ENTITIES: Record<string, string> = { lt: "<", gt: ">", amp: "&", quot: '"', "#39": "'", "#x27": "'" };

/** A SearchSnippet's HTML (RFC 8621 §5) in pieces of plain text: all it may hold are <mark> and entities. */
export function readSnippet(html: string): SnippetPiece[] {
  const pieces: SnippetPiece[] = [];
  let isMarked = false;
  for (const piece of html.split(/(<\/?mark>)/)) {
    if (piece === "<mark>") isMarked = true;
    else if (piece === "</mark>") isMarked = false;
    else if (piece) {
      const text = piece.replace(/&(lt|gt|amp|quot|#39|#x27);/g, (_, name: string) => ENTITIES[name]!);
      pieces.push({ text, isMarked });
    }
  }
  return pieces;
}
