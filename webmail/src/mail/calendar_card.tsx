// An invitation that came with a message.

import { useEffect, useState } from "preact/hooks";
import { language } from "../i18n/index.ts";
import { t } from "../i18n/t.ts";
import { jmap } from "../jmap/client.ts";
import type { BodyPart } from "../jmap/types.ts";
import { Icon } from "../ui/icon.tsx";
import { type CalendarEvent, readEvent } from "./calendar.ts";
import { type Details, loadText } from "./details.ts";

const MOST = 200_000;

function findPart(details: Details): BodyPart | undefined {
  const parts = [...details.attachments, ...details.textBody, ...details.htmlBody];
  return parts.find((part) => part.blobId && part.type === "text/calendar");
}

export function CalendarCard({ details }: { details: Details }) {
  const part = findPart(details);
  const [event, setEvent] = useState<CalendarEvent | null>(null);
  useEffect(() => {
    if (!part) return;
    loadText(part.blobId!, "invite.ics", part.type, MOST).then(
      (text) => setEvent(readEvent(text)),
      () => undefined,
    );
  }, [part?.blobId]);
  if (!part || !event) return null;
  const isOff = event.method === "CANCEL" || event.status === "CANCELLED";
  const title = isOff ? "cal.cancelled" : event.method === "REPLY" ? "cal.reply" : "cal.invitation";
  return (
    <section class={isOff ? "invitation off" : "invitation"} aria-label={t(title)}>
      {event.start && (
        <time class="sheet" dateTime={event.start.toISOString()}>
          <span>{event.start.toLocaleDateString(language.value, { month: "short" })}</span>
          <strong>{event.start.getDate()}</strong>
          <span>{event.start.toLocaleDateString(language.value, { weekday: "short" })}</span>
        </time>
      )}
      <div>
        <p class="hint">{t(title)}</p>
        <h3>{event.summary}</h3>
        <dl>
          <Fact name={t("cal.when")} value={whenOf(event)} />
          <Fact name={t("cal.where")} value={event.location} />
          <Fact name={t("cal.organizer")} value={event.organizer} />
          <Fact name={t("cal.attendees")} value={event.attendees.slice(0, 8).join(", ")} />
        </dl>
        <a class="button small" href={jmap.downloadUrl(part.blobId!, "invite.ics", "text/calendar")} download>
          <Icon name="calendar" size={16} />
          <span>{t("cal.open")}</span>
        </a>
      </div>
    </section>
  );
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

function whenOf(event: CalendarEvent): string {
  if (!event.start) return "";
  const options: Intl.DateTimeFormatOptions = event.isAllDay
    ? { dateStyle: "full" }
    : { dateStyle: "full", timeStyle: "short" };
  const format = new Intl.DateTimeFormat(language.value, options);
  const text = event.end && !event.isAllDay ? format.formatRange(event.start, event.end) : format.format(event.start);
  return event.zone ? `${text} (${event.zone})` : text;
}
