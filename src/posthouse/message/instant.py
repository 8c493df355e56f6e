"""Points in time. UTC seconds since 1970 as a float; waits and deadlines use `Clock.monotonic` instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NewType

Instant = NewType("Instant", float)


def format_rfc3339(instant: Instant) -> str:
    """`2026-01-31T12:00:00.123Z` (RFC 3339 §5.6), always UTC, always milliseconds."""
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
