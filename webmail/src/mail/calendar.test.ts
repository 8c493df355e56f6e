import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvent } from "./calendar.ts";

const INVITATION = [
  "BEGIN:VCALENDAR",
  "METHOD:REQUEST",
  "BEGIN:VTIMEZONE",
  "TZID:Europe/Berlin",
  "BEGIN:STANDARD",
  "DTSTART:19701025T030000",
  "END:STANDARD",
  "END:VTIMEZONE",
  "BEGIN:VEVENT",
  'DTSTART;TZID="Europe/Berlin":20260602T090000',
  "DTEND:20260602T080000Z",
  "SUMMARY:Planning\\, part 2 of a rather long t",
  " itle",
  "LOCATION:Room 1\\nSecond floor",
  'ORGANIZER;CN="Smith; Ann":mailto:ann@example.org',
  "ATTENDEE;PARTSTAT=NEEDS-ACTION:MAILTO:bob@example.org",
  "BEGIN:VALARM",
  "SUMMARY:Wake up",
  "END:VALARM",
  "END:VEVENT",
  "END:VCALENDAR",
].join("\r\n");

test("an invitation tells what, when, where and who", () => {
  const event = readEvent(INVITATION);
  assert.equal(event?.method, "REQUEST");
  assert.equal(event?.summary, "Planning, part 2 of a rather long title");
  assert.equal(event?.location, "Room 1\nSecond floor");
  assert.equal(event?.zone, "Europe/Berlin");
  assert.deepEqual(event?.start, new Date(2026, 5, 2, 9, 0, 0));
  assert.deepEqual(event?.end, new Date(Date.UTC(2026, 5, 2, 8, 0, 0)));
  assert.equal(event?.organizer, "Smith; Ann");
  assert.deepEqual(event?.attendees, ["bob@example.org"]);
});

test("a day is a day", () => {
  const event = readEvent("BEGIN:VEVENT\nDTSTART;VALUE=DATE:20260602\nEND:VEVENT");
  assert.equal(event?.isAllDay, true);
  assert.deepEqual(event?.start, new Date(2026, 5, 2));
});

test("what is no calendar is none", () => {
  for (const text of ["", "hello", "BEGIN:VCALENDAR\nEND:VCALENDAR"]) assert.equal(readEvent(text), null);
  assert.equal(readEvent("BEGIN:VEVENT\nDTSTART:soon")?.start, null);
});
