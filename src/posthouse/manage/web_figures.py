"""Figures of the whole server for the administration page: now, and minute by minute over the last hour.

`Series.add` is called about once a minute with what the counters stand at; kept are 61 readings, whatever the server
does. Counters of workers that ended stay in the sums, so they do not fall; where one does (another process began to
count anew) the minute shows nothing rather than less than nothing. Nothing is durable: a new process begins anew.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from posthouse.message.instant import Instant, format_rfc3339

Plain = dict[str, object]

COUNTED = ("received", "submitted", "relayed", "delivered", "deferred", "failed", "rejected")
MINUTES = 60
PERCENTILES = (50, 90, 99)
_HALF_MINUTE_S = 30.0


@dataclass(frozen=True, slots=True)
class Reading:
    """`counters` by the words of COUNTED. `delays`: deliveries by time since arrival, one count for each bound and one
    for what took longer. `queue`: recipients by state. `gauges`: whatever else is shown as it stands.
    """

    at: Instant
    counters: Mapping[str, float]
    bounds: tuple[float, ...] = ()
    delays: tuple[float, ...] = ()
    queue: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)


class Series:
    def __init__(self) -> None:
        self._readings: deque[Reading] = deque(maxlen=MINUTES + 1)

    def add(self, reading: Reading) -> None:
        self._readings.append(reading)

    def show(self, now: Reading) -> Plain:
        """`now` is read for this answer."""
        readings = list(self._readings)
        hour = readings[0] if readings else now
        return {
            "at": format_rfc3339(now.at),
            "now": {
                **{name: now.counters.get(name, 0) for name in COUNTED},
                "perSecond": self._rates(now),
                "queue": dict(now.queue),
                "deliveryTimes": find_percentiles(now.bounds, _less(now.delays, hour.delays)),
                **now.gauges,
            },
            "minutes": [_show_minute(before, after) for before, after in pairwise(readings)],
        }

    def _rates(self, now: Reading) -> dict[str, float]:
        """Over the last minute or so."""
        before = next((each for each in reversed(self._readings) if now.at - each.at >= _HALF_MINUTE_S), None)
        if before is None:
            return dict.fromkeys(COUNTED, 0.0)
        passed = now.at - before.at
        return {name: round(_grown(before, now, name) / passed, 2) for name in COUNTED}


def _show_minute(before: Reading, after: Reading) -> Plain:
    return {
        "at": format_rfc3339(after.at),
        **{name: _grown(before, after, name) for name in COUNTED},
        "queue": dict(after.queue),
        "deliveryTimes": find_percentiles(after.bounds, _less(after.delays, before.delays)),
    }


def _grown(before: Reading, after: Reading, name: str) -> float:
    return max(0.0, after.counters.get(name, 0.0) - before.counters.get(name, 0.0))


def _less(after: Sequence[float], before: Sequence[float]) -> list[float]:
    if len(after) != len(before):
        return list(after)
    return [max(0.0, late - early) for late, early in zip(after, before, strict=True)]


def find_percentiles(bounds: Sequence[float], counts: Sequence[float]) -> dict[str, float | None]:
    """Seconds; between two bounds as if all there were spread evenly. None: nothing was delivered."""
    return {f"p{percent}": find_percentile(bounds, counts, percent / 100) for percent in PERCENTILES}


def find_percentile(bounds: Sequence[float], counts: Sequence[float], share: float) -> float | None:
    wanted, passed, low = sum(counts) * share, 0.0, 0.0
    if not wanted:
        return None
    for bound, count in zip(bounds, counts, strict=False):
        if count and passed + count >= wanted:
            return round(low + (bound - low) * (wanted - passed) / count, 3)
        passed, low = passed + count, bound
    return low
