// An invitation that came with a message, as the server reads it (/calendar).

import { useEffect, useState } from "preact/hooks";
import { locale } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { BodyPart } from "../jmap/types.ts";
import { Icon } from "../ui/icon.tsx";
import type { Details } from "./details.ts";

interface EventTime {
  /** As written, local to its zone; `utc`: the moment it is, where that is known. */
  local: string;
  zone: string;
  utc: string | null;
  isWholeDay: boolean;
}

interface Person {
  name: string;
  email: string;
}

interface Invitation {
  method: string;
  status: string;
  summary: string;
  location: string;
  start: EventTime | null;
  end: EventTime | null;
  organizer: Person | null;
  attendees: Person[];
}

const MOST_NAMES = 8;

function findPart(details: Details): BodyPart | undefined {
  const parts = [...details.attachments, ...details.textBody, ...details.htmlBody];
  return parts.find((part) => part.blobId && part.type === "text/calendar");
}

async function load(blobId: string): Promise<Invitation | null> {
  const path = [jmap.accountId, blobId].map(encodeURIComponent).join("/");
  const answer = await fetch(`/calendar/${path}`, { headers: { "X-Posthouse": "1" } });
  return answer.ok ? ((await answer.json()) as Invitation) : null;
}

export function CalendarCard({ details }: { details: Details }) {
  const part = findPart(details);
  const [event, setEvent] = useState<Invitation | null>(null);
  useEffect(() => {
    if (part?.blobId) load(part.blobId).then(setEvent, () => undefined);
  }, [part?.blobId]);
  if (!part || !event) return null;
  const isOff = event.method === "CANCEL" || event.status === "CANCELLED";
  const title = isOff ? "cal.cancelled" : event.method === "REPLY" ? "cal.reply" : "cal.invitation";
  const start = dateOf(event.start);
  return (
    <section class={isOff ? "invitation off" : "invitation"} aria-label={t(title)}>
      {start && (
        <time class="sheet" dateTime={start.toISOString()}>
          <span>{start.toLocaleDateString(locale(), { month: "short" })}</span>
          <strong>{start.getDate()}</strong>
          <span>{start.toLocaleDateString(locale(), { weekday: "short" })}</span>
        </time>
      )}
      <div>
        <p class="hint">{t(title)}</p>
        <h2>{event.summary}</h2>
        <dl>
          <Fact name={t("cal.when")} value={whenOf(event)} />
          <Fact name={t("cal.where")} value={event.location} />
          <Fact name={t("cal.organizer")} value={nameOf(event.organizer)} />
          <Fact name={t("cal.attendees")} value={event.attendees.slice(0, MOST_NAMES).map(nameOf).join(", ")} />
        </dl>
        <a class="button small" href={jmap.downloadUrl(part.blobId!, "invite.ics", "text/calendar")} download>
          <Icon name="calendar" size={16} />
          <span>{t("cal.open")}</span>
        </a>
      </div>
    </section>
  );
}

function nameOf(person: Person | null): string {
  return person ? person.name || person.email : "";
}

function Fact({ name, value }: { name: string; value: string }) {
  if (!value) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function dateOf(time: EventTime | null): Date | null {
  if (!time) return null;
  const date = new Date(time.utc || (time.isWholeDay ? `${time.local.slice(0, 10)}T00:00` : time.local));
  return Number.isNaN(date.getTime()) ? null : date;
}

function whenOf(event: Invitation): string {
  const start = dateOf(event.start);
  if (!start || !event.start) return "";
  const isDay = event.start.isWholeDay;
  const format = new Intl.DateTimeFormat(locale(), {
    dateStyle: "full",
    ...(isDay ? {} : { timeStyle: "short" }),
  });
  const end = dateOf(event.end);
  const text = end && end > start && !isDay ? format.formatRange(start, end) : format.format(start);
  return event.start.zone && !event.start.utc ? `${text} (${event.start.zone})` : text;
}
