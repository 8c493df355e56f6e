"""What a worker has in hand, for /metrics: its shards, its backlog, its connections, what it had to drop.

`update` reads numbers that are at hand and is called every second. How much is queued must be counted in the
database (about a second for a million), in a thread: every ten seconds, more seldom where that takes long.

Gauges of the workers are added up; of names in `_seconds` and `_max` the largest counts (adapters/metrics.py).
Nothing here is durable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.app.worker_context import Losses
from posthouse.mta.planner import Planner
from posthouse.mta.runner import Runner
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Counter, Gauge, Metrics
from posthouse.ports.spool import SpoolError, SpoolStats, Status

COUNT_EVERY_S = 10.0
_SHARE = 100  # counting takes at most this part of the time

_STATES = ("ready", "deferred", *(status.value for status in Status if status is not Status.WAITING))
_SUMS = {
    "wal_octets": "Size of the write-ahead logs of the spool.",
    "waiting": "Writes that wait for the disk.",
    "broken": "Shards that take no more mail because an fsync failed.",
}
_LARGEST = {
    "last_commit_seconds": "The last commit of a shard.",
    "last_checkpoint_seconds": "The last checkpoint of a shard.",
    "worst_checkpoint_seconds": "The longest checkpoint of a shard since it was opened.",
    "oldest_reader_seconds": "Age of the oldest read that is open: it keeps the write-ahead log from shrinking.",
}


_STORE_SUMS = {
    "waiting": "Writes that wait for the disk.",
    "commits": "Commits of the message store since the start.",
    "broken": "Shards of the message store that take no mail because an fsync failed.",
}
_STORE_LARGEST = {
    "wal_octets_max": "Size of the largest write-ahead log of the message store.",
    "last_commit_seconds": "The last commit of a shard of the message store.",
    "last_checkpoint_seconds": "The last checkpoint of a shard of the message store.",
    "worst_checkpoint_seconds": "The longest checkpoint of a shard since it was opened.",
    "oldest_reader_seconds": "Age of the oldest read that is open in the message store.",
}


class CountedSpool(Protocol):
    def figures(self) -> Mapping[str, float]: ...

    async def stats(self) -> SpoolStats: ...


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the numbers come from."""

    shards: Callable[[], Sequence[CountedSpool]]
    runner: Runner
    planner: Planner
    losses: Callable[[], Losses]
    store: Callable[[], Sequence[Mapping[str, float]]] = tuple  # of each of its shards


class WorkerFigures:
    def __init__(self, metrics: Metrics, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._spool = {name: metrics.gauge(f"posthouse_spool_{name}", text) for name, text in _SUMS.items()}
        self._spool_largest = {name: metrics.gauge(f"posthouse_spool_{name}", text) for name, text in _LARGEST.items()}
        self._store = {name: metrics.gauge(f"posthouse_store_{name}", text) for name, text in _STORE_SUMS.items()}
        self._store_largest = {
            name: metrics.gauge(f"posthouse_store_{name}", text) for name, text in _STORE_LARGEST.items()
        }
        self._shards = metrics.gauge("posthouse_spool_shards", "Shards in use.")
        self._in_memory = metrics.gauge("posthouse_messages_in_memory", "Messages that are being delivered.")
        self._waiting = metrics.gauge("posthouse_messages_waiting", "Messages that wait on disk for room in memory.")
        self._delay = metrics.gauge("posthouse_mail_delay_seconds", "Delay of answers to MAIL; +Inf: it is refused.")
        self._outbound = metrics.gauge("posthouse_outbound_connections", "Connections to other hosts.")
        self._dead = metrics.gauge("posthouse_dead_sites_max", "Sites that cannot be reached.")
        self._journal = _Total(metrics.counter("posthouse_journal_records_dropped_total", "Journal records lost."))
        self._log = _Total(metrics.counter("posthouse_log_lines_dropped_total", "Log lines lost."))
        self._queue = _QueueFigures(metrics)
        self._next_count = -math.inf

    def update(self) -> None:
        sources = self._sources
        shards = [shard.figures() for shard in sources.shards()]
        self._shards.set(len(shards))
        _show(shards, self._spool, self._spool_largest)
        _show(sources.store(), self._store, self._store_largest)
        in_memory, waiting, _ = sources.runner.count_held()
        self._in_memory.set(in_memory)
        self._waiting.set(waiting)
        delay = sources.runner.mail_delay()
        self._delay.set(math.inf if delay is None else delay)
        self._outbound.set(sources.planner.connections)
        self._dead.set(len(sources.planner.sites.dead()))
        losses = sources.losses()
        self._journal.show(losses.journal_records)
        self._log.show(losses.log_lines)

    async def count_queue(self) -> None:
        """Does nothing when it was done not long ago."""
        started = self._clock.monotonic()
        if started < self._next_count:
            return
        counted: list[SpoolStats] = []
        for shard in list(self._sources.shards()):
            try:
                counted.append(await shard.stats())
            except SpoolError:
                continue  # it is being closed, or broken: that has a figure of its own
        now = self._clock.monotonic()
        self._next_count = now + max(COUNT_EVERY_S, _SHARE * (now - started))
        self._queue.show(counted, self._clock.now())


def _show(shards: Sequence[Mapping[str, float]], sums: Mapping[str, Gauge], largest: Mapping[str, Gauge]) -> None:
    for name, gauge in sums.items():
        gauge.set(sum(figures[name] for figures in shards))
    for name, gauge in largest.items():
        gauge.set(max((figures[name.removesuffix("_max")] for figures in shards), default=0.0))


class _QueueFigures:
    def __init__(self, metrics: Metrics) -> None:
        self._messages = metrics.gauge("posthouse_queue_messages", "Messages in the queue.")
        self._octets = metrics.gauge("posthouse_queue_octets", "Octets of the messages in the queue.")
        self._oldest = metrics.gauge("posthouse_queue_oldest_seconds", "Age of the oldest message in the queue.")
        text = "Recipients of messages in the queue."
        self._states: dict[str, Gauge] = {
            state: metrics.gauge("posthouse_queue_recipients", text, state=state) for state in _STATES
        }

    def show(self, counted: Sequence[SpoolStats], now: float) -> None:
        self._messages.set(sum(stats.messages for stats in counted))
        self._octets.set(sum(stats.octets for stats in counted))
        self._oldest.set(max((now - stats.oldest for stats in counted if stats.oldest is not None), default=0.0))
        for state, gauge in self._states.items():
            gauge.set(sum(stats.by_state.get(state, 0) for stats in counted))


class _Total:
    """A counter of what is counted elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._shown = 0

    def show(self, total: int) -> None:
        self._counter.inc(total - self._shown)
        self._shown = total
