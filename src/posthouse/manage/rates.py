"""How many messages per second, over the last seconds, from counters that only go up."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from posthouse.ports.clock import Clock

WINDOW_S = 10.0


class RateMeter:
    """`sample` is to be called every second or so; nothing is done per message."""

    def __init__(self, read_total: Callable[[], float], clock: Clock, window_s: float = WINDOW_S) -> None:
        self._read_total = read_total
        self._clock = clock
        self._window_s = window_s
        self._samples: deque[tuple[float, float]] = deque()
        self.sample()

    def sample(self) -> None:
        now = self._clock.monotonic()
        self._samples.append((now, self._read_total()))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self._window_s:
            self._samples.popleft()

    def per_second(self) -> float:
        began, total = self._samples[0]
        passed = self._clock.monotonic() - began
        return round((self._read_total() - total) / passed, 2) if passed > 0 else 0.0
