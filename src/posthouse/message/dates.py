"""Dates of mail (RFC 5322 §3.3): written always in UTC, read in whatever form senders use.

The text of a second is kept: on the path of every message the same second is asked for many times.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from posthouse.message.instant import Instant

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@lru_cache(maxsize=16)
def _format_second(second: int) -> bytes:
    # strftime would follow the locale.
    at = datetime.fromtimestamp(second, UTC)
    day, month = _DAYS[at.weekday()], _MONTHS[at.month - 1]
    text = f"{day}, {at.day} {month} {at.year:04} {at.hour:02}:{at.minute:02}:{at.second:02} +0000"
    return text.encode("ascii")


def format_date(instant: Instant) -> bytes:
    """`Tue, 24 Nov 2026 03:52:01 +0000` (RFC 5322 §3.3)."""
    return _format_second(int(instant))


# RFC 5322 §3.3 with the obsolete forms of §4.3 and what else is seen: no day of the week, dashes, a two-digit year,
# the order of asctime; white space and comments are dealt with before.
_DATE = re.compile(
    r"(?:[a-z]+[, .]+)?(?:(\d{1,2})[ -]*([a-z]{3})[a-z]*[ ,-]+(\d{2,4})|([a-z]{3})[a-z]* (\d{1,2}))"
    r"[ ,]+(?:at )?(\d{1,2})[:.](\d{2})(?:[:.](\d{2})(?:[.,]\d+)?)?(?: *([ap]m)\b)?(?: (\d{4})\b)?"
    r"(?: *([+-]\d{1,4}|[a-z]{1,5})(?: dst)?([+-]\d{4})?(?: (\d{4})\b)?)?"
)
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[t ](\d\d):(\d\d)(?::(\d\d)(?:[.,]\d+)?)? *(z|[+-]\d\d:?\d\d)?")
_COMMENT = re.compile(r"\([^()]*+\)?+")
_SPACES = re.compile(r"\s+")
_COLON = re.compile(r" ?: ?")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, start=1)}
# RFC 5322 §4.3: other letters say nothing of the zone.
_ZONES = {"est": -300, "edt": -240, "cst": -360, "cdt": -300, "mst": -420, "mdt": -360, "pst": -480, "pdt": -420} | {
    "cet": 60, "cest": 120, "met": 60, "mest": 120, "bst": 60, "jst": 540, "eet": 120, "eest": 180, "msk": 180,
}  # fmt: skip
_MAX_DATE = 200


class SentDate(NamedTuple):
    """`instant`: seconds since 1970 in UTC. `zone_minutes` as the field gives it, 0 where it says nothing."""

    instant: float
    zone_minutes: int


def parse_date(value: bytes) -> SentDate | None:
    """The value of a Date field; None when it is none. Never raises."""
    return _parse_text(value[:_MAX_DATE].decode("latin-1"))


@lru_cache(maxsize=256)
def _parse_text(value: str) -> SentDate | None:
    text = value.lower()
    while "(" in text and (shorter := _COMMENT.sub(" ", text)) != text:
        text = shorter
    text = _SPACES.sub(" ", text).strip(" \x00")
    found = _DATE.match(_COLON.sub(":", text))
    if found is None:
        return _parse_iso(text)
    day, month_name, year, other_month, other_day, hour, minute, second, half, late_year, zone, zone2, last_year = (
        found.groups()
    )
    month = _MONTH_NUMBERS.get(month_name or other_month, 0)
    minutes = _read_zone(zone2 or zone or "")
    hours = int(hour) % 12 + (12 if half == "pm" else 0) if half else int(hour)
    return _make_date(
        (_read_year(year or late_year or last_year or ""), month, int(day or other_day)),
        (hours, int(minute), int(second or 0)),
        minutes,
    )


def _parse_iso(text: str) -> SentDate | None:
    found = _ISO.match(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(number or 0) for number in found.groups()[:6])
    return _make_date((year, month, day), (hour, minute, second), _read_zone((found[7] or "").replace(":", "")))


def _make_date(day: tuple[int, int, int], clock: tuple[int, int, int], zone_minutes: int) -> SentDate | None:
    hour, minute, second = clock
    try:
        at = datetime(*day, hour, minute, min(second, 59), tzinfo=UTC)  # a leap second is the one before it
    except ValueError:
        return None
    return SentDate(at.timestamp() - zone_minutes * 60, zone_minutes)


def _read_year(text: str) -> int:
    """RFC 5322 §4.3: two digits are 1950 to 2049, three count from 1900."""
    year = int(text or 0)
    if len(text) == 2:
        return year + (2000 if year < 50 else 1900)
    return year + 1900 if len(text) == 3 else year


def _read_zone(text: str) -> int:
    if text[:1] in ("+", "-"):
        digits = text[1:].zfill(4) if len(text) > 3 else text[1:].zfill(2) + "00"
        minutes = int(digits[:-2]) * 60 + int(digits[-2:])
        if minutes >= 24 * 60:
            return 0
        return -minutes if text[0] == "-" else minutes
    return _ZONES.get(text, 0)
