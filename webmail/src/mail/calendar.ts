// The event of an invitation (RFC 5545, RFC 5546), as far as a card in the message shows it. Pure.

export interface CalendarEvent {
  method: string;
  summary: string;
  location: string;
  /** Local to its zone where it names one; `isAllDay` has dates only. */
  start: Date | null;
  end: Date | null;
  isAllDay: boolean;
  zone: string;
  organizer: string;
  attendees: string[];
  status: string;
}

interface Line {
  name: string;
  parameters: Record<string, string>;
  value: string;
}

const MOST_LINES = 5000;

function readLines(text: string): Line[] {
  const unfolded = text.replace(/\r?\n[ \t]/g, "").split(/\r?\n/, MOST_LINES);
  return unfolded.flatMap((line) => {
    const found = /^([A-Za-z-]+)((?:;[^:";]*(?:"[^"]*"[^:";]*)?)*):(.*)$/.exec(line);
    if (!found) return [];
    const parameters = [...found[2]!.matchAll(/;([A-Za-z-]+)=(?:"([^"]*)"|([^;]*))/g)].map(
      ([, name, quoted, plain]) => [name!.toUpperCase(), quoted ?? plain ?? ""] as const,
    );
    return [{ name: found[1]!.toUpperCase(), parameters: Object.fromEntries(parameters), value: found[3]! }];
  });
}

function unescape(value: string): string {
  return value.replace(/\\([\\;,nN])/g, (_, letter: string) => (letter.toLowerCase() === "n" ? "\n" : letter));
}

function readMoment(line: Line | undefined): Date | null {
  const found = /^(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?$/.exec(line?.value ?? "");
  if (!found) return null;
  const [year, month, day, hour, minute, second] = found.slice(1, 7).map((part) => Number(part ?? 0));
  const parts = [year!, month! - 1, day!, hour!, minute!, second!] as const;
  return found[7] === "Z" ? new Date(Date.UTC(...parts)) : new Date(...parts);
}

function readPerson(line: Line | undefined): string {
  return line ? (line.parameters["CN"] ?? line.value.replace(/^mailto:/i, "")) : "";
}

/** The first event; null: there is none. */
export function readEvent(text: string): CalendarEvent | null {
  const lines = readLines(text);
  const from = lines.findIndex((line) => line.name === "BEGIN" && line.value.toUpperCase() === "VEVENT");
  if (from < 0) return null;
  const to = lines.findIndex((line, at) => at > from && line.name === "END" && line.value.toUpperCase() === "VEVENT");
  const event = withoutInner(lines.slice(from + 1, to < 0 ? undefined : to));
  const find = (name: string) => event.find((line) => line.name === name);
  const start = find("DTSTART");
  return {
    method: (lines.find((line) => line.name === "METHOD")?.value ?? "").toUpperCase(),
    summary: unescape(find("SUMMARY")?.value ?? ""),
    location: unescape(find("LOCATION")?.value ?? ""),
    start: readMoment(start),
    end: readMoment(find("DTEND")),
    isAllDay: /^\d{8}$/.test(start?.value ?? ""),
    zone: start?.parameters["TZID"] ?? "",
    organizer: readPerson(find("ORGANIZER")),
    attendees: event.filter((line) => line.name === "ATTENDEE").map(readPerson),
    status: (find("STATUS")?.value ?? "").toUpperCase(),
  };
}

/** Alarms have descriptions of their own. */
function withoutInner(lines: readonly Line[]): Line[] {
  let depth = 0;
  return lines.filter((line) => {
    if (line.name === "BEGIN") depth++;
    if (line.name === "END") depth--;
    return depth === 0 && line.name !== "END";
  });
}
