"""The system's clock as a `ports.clock.Clock`."""

from __future__ import annotations

import time

from posthouse.message.instant import Instant


class SystemClock:
    __slots__ = ()

    def now(self) -> Instant:
        return Instant(time.time())

    def monotonic(self) -> float:
        return time.monotonic()
