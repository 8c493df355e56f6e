"""Dates of JMAP: RFC 3339 date-times as RFC 8620 §1.4 narrows them. Pure.

"UTCDate" ends in Z; "Date" may have any offset. Letters are upper case, a fraction of a second is written only when it
is not zero.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone

_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{0,8}[1-9]))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 (UTC, in half the time)


def write_utc_date(instant: float) -> str:
    """`2014-10-30T06:12:00Z`; of whole seconds, as mail has them. What no calendar knows is the nearest it does."""
    try:
        return f"{(_NAIVE_EPOCH + timedelta(seconds=int(instant))).isoformat()}Z"
    except OverflowError:
        return write_date(instant, 0)


def write_date(instant: float, zone_minutes: int) -> str:
    """`2014-10-30T14:12:00+08:00`."""
    try:
        at = (_EPOCH + timedelta(seconds=int(instant))).astimezone(timezone(timedelta(minutes=zone_minutes)))
    except (OverflowError, ValueError):
        at = _EPOCH if instant < 2**40 else _EPOCH.replace(year=9999)
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")


def read_utc_date(text: str) -> float | None:
    """Seconds since 1970; None when it is none."""
    return read_date(text) if text.endswith("Z") else None


def read_date(text: str) -> float | None:
    found = read_zoned_date(text)
    return None if found is None else found[0]


def read_zoned_date(text: str) -> tuple[float, int] | None:
    """Seconds since 1970, and the offset from UTC in minutes."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(number) for number in match.groups()[:6])
    zone = _read_zone(match[8])
    if zone is None:
        return None
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59) if second == 60 else second, tzinfo=UTC)
    except ValueError:
        return None
    fraction = float(f"0.{match[7]}") if match[7] else 0.0
    return (at - _EPOCH).total_seconds() + fraction - zone * 60, zone


def _read_zone(text: str) -> int | None:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 23 or minutes > 59:
        return None
    return (hours * 60 + minutes) * (-1 if text[0] == "-" else 1)
