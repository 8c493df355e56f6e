"""Dates as mail writes them (RFC 5322 §3.3), always in UTC.

The text of a second is kept: on the path of every message the same second is asked for many times.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

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
