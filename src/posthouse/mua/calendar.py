"""Invitations in mail (iCalendar, RFC 5545; iTIP, RFC 5546): the few fields that a reader wants to see. Pure.

    invitation = read_invitation(text)      # None: there is no event in it

Times come as they stand and, where their zone is known, as an instant in UTC. A zone is what the VTIMEZONE beside the
event says (yearly rules, which is all that programs write), else the zone of that name in the time zone database.
Recurrence is told by its rule, not worked out. Bounded; takes any text and never raises.
"""

from __future__ import annotations

import re
import zoneinfo
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

MAX_TEXT = 1_000_000
_MAX_ATTENDEES = 200
_MAX_VALUE = 4_000
_FOLD = re.compile(r"\r?\n[ \t]")
_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_PARAMETER = re.compile(r';([A-Za-z0-9-]{1,64})=("[^"]*"|[^;:,"]*(?:,(?:"[^"]*"|[^;:,"]*))*)')
_ESCAPED = re.compile(r"\\([nN,;\\])")
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?")
_OFFSET = re.compile(r"([+-])(\d\d)(\d\d)(?:\d\d)?")
_DURATION = re.compile(r"([+-]?)P(?:(\d{1,4})W)?(?:(\d{1,5})D)?(?:T(?:(\d{1,4})H)?(?:(\d{1,5})M)?(?:(\d{1,6})S)?)?")
_BYDAY = re.compile(r"([+-]?[1-5])?(SU|MO|TU|WE|TH|FR|SA)")
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


class EventTime(msgspec.Struct, rename="camel", frozen=True):
    """`local`: "2026-03-01T10:00:00", of whole days "2026-03-01". `zone`: "UTC", a name, "" for wherever one is. `utc`:
    the instant, where it is known.
    """

    local: str
    zone: str = ""
    is_whole_day: bool = False
    utc: str | None = None


class Person(msgspec.Struct, rename="camel", frozen=True):
    """`status`: NEEDS-ACTION, ACCEPTED, DECLINED, TENTATIVE, DELEGATED (RFC 5545 §3.2.12)."""

    email: str
    name: str = ""
    status: str = ""
    role: str = ""


class Invitation(msgspec.Struct, rename="camel", frozen=True):
    """`method`: REQUEST, CANCEL, REPLY, PUBLISH ... (RFC 5546 §1.4), "" when there is none. `url` is http or https."""

    method: str = ""
    uid: str = ""
    sequence: int = 0
    status: str = ""
    summary: str = ""
    description: str = ""
    location: str = ""
    url: str = ""
    start: EventTime | None = None
    end: EventTime | None = None
    recurrence: str = ""
    organizer: Person | None = None
    attendees: Sequence[Person] = ()
    events: int = 1  # in the file; the first is told


@dataclass(slots=True)
class _Line:
    name: str
    parameters: Mapping[str, str]
    value: str


@dataclass(slots=True)
class _Component:
    """`parts` of zones are their observances."""

    name: str
    lines: dict[str, list[_Line]] = field(default_factory=dict)
    parts: list[_Component] = field(default_factory=list)

    def first(self, name: str) -> _Line | None:
        found = self.lines.get(name)
        return found[0] if found else None

    def text(self, name: str) -> str:
        found = self.first(name)
        return _unescape(found.value)[:_MAX_VALUE] if found is not None else ""

    def word(self, name: str) -> str:
        """A value in upper case of which there are only some."""
        return self.text(name).strip().upper()[:32]


def read_invitation(text: str) -> Invitation | None:
    calendar = _read_tree(text[:MAX_TEXT])
    events = [part for part in calendar.parts if part.name == "VEVENT"]
    if not events:
        return None
    event = events[0]
    zones = {part.text("TZID"): part for part in calendar.parts if part.name == "VTIMEZONE"}
    start = _read_time(event.first("DTSTART"), zones)
    url, sequence = event.text("URL").strip(), event.text("SEQUENCE")
    return Invitation(
        method=calendar.word("METHOD"),
        uid=event.text("UID"),
        sequence=int(sequence) if sequence.isascii() and sequence.isdigit() and len(sequence) < 10 else 0,
        status=event.word("STATUS"),
        summary=event.text("SUMMARY"),
        description=event.text("DESCRIPTION"),
        location=event.text("LOCATION"),
        url=url if url[:8].lower().startswith(("http://", "https://")) else "",
        start=start,
        end=_read_time(event.first("DTEND"), zones) or _add_duration(start, event.text("DURATION")),
        recurrence=event.text("RRULE"),
        organizer=_read_person(event.first("ORGANIZER")),
        attendees=[
            person for line in event.lines.get("ATTENDEE", ())[:_MAX_ATTENDEES] if (person := _read_person(line))
        ],
        events=len(events),
    )


# -- the file


def _read_tree(text: str) -> _Component:
    """The calendar; what is nested deeper than an observance is passed over."""
    calendar = _Component("VCALENDAR")
    open_parts: list[_Component] = []
    for line in _read_lines(text):
        if line.name == "BEGIN":
            name = line.value.strip().upper()
            if name != "VCALENDAR":
                part = _Component(name)
                if len(open_parts) < 2:
                    (open_parts[-1] if open_parts else calendar).parts.append(part)
                open_parts.append(part)
        elif line.name == "END":
            if open_parts and open_parts[-1].name == line.value.strip().upper():
                open_parts.pop()
        else:
            place = open_parts[-1] if open_parts else calendar
            place.lines.setdefault(line.name, []).append(line)
    return calendar


def _read_lines(text: str) -> Iterator[_Line]:
    """RFC 5545 §3.1."""
    for line in _FOLD.sub("", text).splitlines():
        name = _NAME.match(line)
        if name is None:
            continue
        place, parameters = name.end(), {}
        while (found := _PARAMETER.match(line, place)) is not None:
            parameters[found[1].upper()] = found[2].strip('"')
            place = found.end()
        if line[place : place + 1] == ":":
            yield _Line(name[0].upper(), parameters, line[place + 1 :])


def _unescape(value: str) -> str:
    """RFC 5545 §3.3.11."""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value).strip()


def _read_person(line: _Line | None) -> Person | None:
    if line is None:
        return None
    address = line.value.strip()
    email = address[7:] if address[:7].lower() == "mailto:" else line.parameters.get("EMAIL", "")
    name = line.parameters.get("CN", "")[:200]
    if not email and not name:
        return None
    return Person(
        email[:320],
        name,
        line.parameters.get("PARTSTAT", "").upper()[:32],
        line.parameters.get("ROLE", "").upper()[:32],
    )


# -- times

_Zones = Mapping[str, _Component]


def _read_time(line: _Line | None, zones: _Zones) -> EventTime | None:
    found = _TIME.fullmatch(line.value.strip()) if line is not None else None
    moment = _make_moment(found) if found is not None else None
    if line is None or found is None or moment is None:
        return None
    if found[4] is None:
        return EventTime(moment.date().isoformat(), is_whole_day=True)
    if found[7]:
        return EventTime(moment.isoformat(), "UTC", utc=f"{moment.isoformat()}Z")
    zone = line.parameters.get("TZID", "")
    offset = _find_offset(zone, moment, zones)
    return EventTime(moment.isoformat(), zone[:100], utc=_write_utc(moment, offset))


def _make_moment(found: re.Match[str]) -> datetime | None:
    try:
        year, month, day, hour, minute, second = (int(each or 0) for each in found.groups()[:6])
        return datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - local to its zone
    except ValueError:
        return None


def _write_utc(moment: datetime, offset: timedelta | None) -> str | None:
    try:
        return None if offset is None else f"{(moment - offset).isoformat()}Z"
    except OverflowError:
        return None


def _add_duration(start: EventTime | None, text: str) -> EventTime | None:
    """RFC 5545 §3.3.6."""
    found = _DURATION.fullmatch(text.strip())
    if start is None or found is None or not text.strip():
        return None
    weeks, days, hours, minutes, seconds = (int(each or 0) for each in found.groups()[1:])
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    if found[1] == "-":
        return None
    try:
        local = datetime.fromisoformat(start.local) + length
        utc = None if start.utc is None else datetime.fromisoformat(start.utc[:-1]) + length
    except OverflowError:
        return None
    written = local.date().isoformat() if start.is_whole_day else local.isoformat()
    return EventTime(written, start.zone, start.is_whole_day, None if utc is None else f"{utc.isoformat()}Z")


def _find_offset(zone: str, moment: datetime, zones: _Zones) -> timedelta | None:
    """From UTC, at that local time. None: nobody knows the zone."""
    if not zone:
        return None
    described = zones.get(zone)
    if described is not None:
        offset = _follow_rules(described, moment)
        if offset is not None:
            return offset
    try:
        return zoneinfo.ZoneInfo(zone.lstrip("/")).utcoffset(moment)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _follow_rules(zone: _Component, moment: datetime) -> timedelta | None:
    """RFC 5545 §3.6.5: what began last holds."""
    begun: list[tuple[datetime, timedelta]] = []
    earliest: list[tuple[datetime, timedelta]] = []
    for part in zone.parts[:50]:
        offset = _read_offset(part.text("TZOFFSETTO"))
        first = _TIME.fullmatch(part.text("DTSTART"))
        start = _make_moment(first) if first is not None else None
        if offset is None or start is None:
            continue
        begins = [start, *_list_onsets(part.text("RRULE"), start, moment.year)]
        begun += [(each, offset) for each in begins if each <= moment]
        earliest.append((start, _read_offset(part.text("TZOFFSETFROM")) or offset))
    if begun:
        return max(begun)[1]
    return min(earliest)[1] if earliest else None


def _read_offset(text: str) -> timedelta | None:
    found = _OFFSET.fullmatch(text.strip())
    if found is None:
        return None
    offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return None if offset >= timedelta(days=1) else (-offset if found[1] == "-" else offset)


def _list_onsets(rule: str, start: datetime, year: int) -> Iterator[datetime]:
    """Of FREQ=YEARLY with BYMONTH and BYDAY, in that year and the one before."""
    terms = dict(term.split("=", 1) for term in rule.upper().split(";") if "=" in term)
    day = _BYDAY.fullmatch(terms.get("BYDAY", ""))
    month = terms.get("BYMONTH", str(start.month))
    if terms.get("FREQ") != "YEARLY" or not month.isascii() or not month.isdigit() or not 1 <= int(month) <= 12:
        return
    until = terms.get("UNTIL", "9999")[:8]
    for each in (year - 1, year):
        found = _find_day(each, int(month), day, start)
        if found is not None and start <= found and found.strftime("%Y%m%d") <= until.ljust(8, "9"):
            yield found


def _find_day(year: int, month: int, day: re.Match[str] | None, start: datetime) -> datetime | None:
    try:
        if day is None:
            return start.replace(year=year, month=month)
        weekday, number = _DAYS.index(day[2]), int(day[1] or 1)
        if number > 0:
            first = start.replace(year=year, month=month, day=1)
            return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (number - 1))
        following = start.replace(year=year + month // 12, month=month % 12 + 1, day=1)
        last = following - timedelta(days=1)
        return last - timedelta(days=(last.weekday() - weekday) % 7 + 7 * (-number - 1))
    except (ValueError, OverflowError):
        return None
