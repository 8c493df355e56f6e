"""Invitations: times with their zones, people, and files that are none."""

from __future__ import annotations

import time

import pytest

from posthouse.mua.calendar import EventTime, Person, read_invitation

OUTLOOK = """BEGIN:VCALENDAR
METHOD:REQUEST
PRODID:Microsoft Exchange Server 2010
BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:16010101T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:16010101T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE
BEGIN:VEVENT
ORGANIZER;CN=Bob:mailto:bob@there.example
ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN="Smith, Alice":
 mailto:alice@ours.example
ATTENDEE;PARTSTAT=ACCEPTED:MAILTO:carol@ours.example
DESCRIPTION;LANGUAGE=de:Zeile eins\\nZeile zwei\\, und so wei
 ter
UID:040000008200E00074C5B7101A82E008
SUMMARY;LANGUAGE=de:Besprechung\\; wichtig
DTSTART;TZID=W. Europe Standard Time:START
DTEND;TZID=W. Europe Standard Time:20270714T113000
LOCATION:Raum 5
STATUS:confirmed
SEQUENCE:2
BEGIN:VALARM
DESCRIPTION:REMINDER
TRIGGER:-PT15M
END:VALARM
END:VEVENT
END:VCALENDAR
"""


def event(*lines: str) -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", "BEGIN:VEVENT", *lines, "END:VEVENT", "END:VCALENDAR", ""])


def test_an_invitation_of_outlook_is_read() -> None:
    found = read_invitation(OUTLOOK.replace("START\n", "20270714T110000\n").replace("\n", "\r\n"))
    assert found is not None
    assert (found.method, found.status, found.sequence) == ("REQUEST", "CONFIRMED", 2)
    assert found.summary == "Besprechung; wichtig"
    assert found.description == "Zeile eins\nZeile zwei, und so weiter"
    assert found.location == "Raum 5"
    assert found.organizer == Person("bob@there.example", "Bob")
    assert found.attendees == [
        Person("alice@ours.example", "Smith, Alice", "NEEDS-ACTION", "REQ-PARTICIPANT"),
        Person("carol@ours.example", "", "ACCEPTED"),
    ]
    assert found.start == EventTime("2027-07-14T11:00:00", "W. Europe Standard Time", utc="2027-07-14T09:00:00Z")
    assert found.end is not None
    assert found.end.utc == "2027-07-14T09:30:00Z"


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("20270115T110000", "2027-01-15T10:00:00Z"),
        ("20270328T015900", "2027-03-28T00:59:00Z"),  # the last Sunday of March
        ("20270328T030000", "2027-03-28T01:00:00Z"),
        ("20271031T040000", "2027-10-31T03:00:00Z"),
        ("20271231T120000", "2027-12-31T11:00:00Z"),
    ],
)
def test_summer_time_follows_the_rules_of_the_file(local: str, utc: str) -> None:
    found = read_invitation(OUTLOOK.replace("START\n", f"{local}\n"))
    assert found is not None
    assert found.start is not None
    assert found.start.utc == utc


def test_a_zone_that_the_file_does_not_describe_is_looked_up() -> None:
    found = read_invitation(event("DTSTART;TZID=America/New_York:20270714T110000", "DURATION:PT1H30M"))
    assert found is not None
    assert found.start == EventTime("2027-07-14T11:00:00", "America/New_York", utc="2027-07-14T15:00:00Z")
    assert found.end is not None
    assert found.end.utc == "2027-07-14T16:30:00Z"


@pytest.mark.parametrize("zone", ["Nowhere/Land", "../../etc/passwd", "/etc/passwd", "", "x" * 300])
def test_of_an_unknown_zone_the_local_time_is_told(zone: str) -> None:
    found = read_invitation(event(f"DTSTART;TZID={zone}:20270714T110000"))
    assert found is not None
    assert found.start is not None
    assert found.start.local == "2027-07-14T11:00:00"
    assert found.start.utc is None


def test_whole_days_have_no_zone() -> None:
    found = read_invitation(event("DTSTART;VALUE=DATE:20270714", "DURATION:P2D"))
    assert found is not None
    assert found.start == EventTime("2027-07-14", is_whole_day=True)
    assert found.end == EventTime("2027-07-16", is_whole_day=True)


def test_only_links_of_the_web_are_told() -> None:
    for url, told in (("https://a.example/", "https://a.example/"), ("javascript:alert(1)", ""), ("file:///x", "")):
        found = read_invitation(event(f"URL:{url}"))
        assert found is not None
        assert found.url == told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "BEGIN:VCALENDAR\nEND:VCALENDAR",
        "BEGIN:VEVENT",
        event(
            "DTSTART:99999999T999999", "DTEND:x", "DURATION:PT", "SEQUENCE:-1", "RRULE:;;=", "ORGANIZER:", "ATTENDEE"
        ),
        event('ATTENDEE;CN="unclosed:mailto:x', ";;;:", ":", "DTSTART;TZID=:00010101T000000"),
        event("DTSTART:99991231T235959Z", "DURATION:P9999W"),
        "BEGIN:X\n" * 50_000,
        "BEGIN:VEVENT\nATTENDEE" + ";A=b" * 100_000 + ":x",
        event(*["ATTENDEE:mailto:a@b"] * 20_000),
    ],
)
def test_what_is_broken_breaks_nothing(text: str) -> None:
    started = time.process_time()
    read_invitation(text)
    assert time.process_time() - started < 3.0
