"""Time and chance, as the roles ask for them. `random.Random` is a `Random` as it is."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, Protocol

from posthouse.message.instant import Instant


class Clock(Protocol):
    def now(self) -> Instant:
        """Wall clock, UTC; may jump."""

    def monotonic(self) -> float:
        """Seconds that only go forward; for deadlines and waits."""


class Random(Protocol):
    def uniform(self, a: float, b: float, /) -> float: ...

    def shuffle(self, x: MutableSequence[Any], /) -> None: ...


class FakeClock:
    """A clock that stands until it is told to move. `jump` moves only the wall clock, as an administrator would."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> Instant:
        return Instant(self._now)

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._monotonic += seconds

    def jump(self, seconds: float) -> None:
        self._now += seconds
