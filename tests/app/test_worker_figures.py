"""What a worker tells of itself for /metrics."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from posthouse.adapters.metrics import PlainMetrics, render
from posthouse.app.worker_context import Losses
from posthouse.app.worker_figures import CountedSpool, Sources, WorkerFigures
from posthouse.message.instant import Instant
from posthouse.mta.targets import SiteKey
from posthouse.ports.spool import SpoolError, SpoolStats
from tests.mta.runner_kit import Bench, FakeHops

NUMBERS = {
    "wal_octets": 1000.0,
    "waiting": 3.0,
    "broken": 0.0,
    "last_commit_seconds": 0.25,
    "last_checkpoint_seconds": 0.5,
    "worst_checkpoint_seconds": 1.5,
    "oldest_reader_seconds": 0.0,
}


@dataclass
class FakeShard:
    numbers: dict[str, float] = field(default_factory=lambda: dict(NUMBERS))
    counted: SpoolStats = field(default_factory=SpoolStats)
    error: SpoolError | None = None
    counts: int = 0

    def figures(self) -> dict[str, float]:
        return self.numbers

    async def stats(self) -> SpoolStats:
        self.counts += 1
        if self.error is not None:
            raise self.error
        return self.counted


class Lab:
    def __init__(self) -> None:
        self.bench = Bench(FakeHops(gate=asyncio.Event()), {"slow_above": 3, "refuse_above": 5})
        self.clock = self.bench.clock
        self.metrics = PlainMetrics()
        self.shards: list[CountedSpool] = []
        self.losses = Losses(0, 0)
        sources = Sources(lambda: self.shards, self.bench.runner, self.bench.planner, lambda: self.losses)
        self.figures = WorkerFigures(self.metrics, sources, self.clock)

    def read(self) -> dict[str, float]:
        lines = render(self.metrics.snapshot()).splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name.removeprefix("posthouse_"): float(value) for name, _, value in pairs}


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    lab = Lab()
    yield lab
    await lab.bench.runner.stop(0.0)


async def test_sizes_of_all_shards_are_added_and_times_are_the_longest(lab: Lab) -> None:
    lab.shards = [FakeShard(), FakeShard({**NUMBERS, "broken": 1.0, "last_commit_seconds": 2.0})]
    lab.figures.update()
    shown = lab.read()
    assert (shown["spool_shards"], shown["spool_wal_octets"], shown["spool_waiting"]) == (2, 2000, 6)
    assert (shown["spool_broken"], shown["spool_last_commit_seconds"]) == (1, 2.0)
    lab.shards = []
    lab.figures.update()
    assert lab.read()["spool_worst_checkpoint_seconds"] == 0


async def test_mail_in_hand_connections_and_the_delay_for_clients_are_told(lab: Lab) -> None:
    for _ in range(4):
        await lab.bench.accept("b@there.example")
    await lab.bench.settle()
    lab.figures.update()
    shown = lab.read()
    assert (shown["messages_in_memory"], shown["messages_waiting"]) == (4, 0)
    assert shown["outbound_connections"] == 1
    assert 0.05 < shown["mail_delay_seconds"] < 0.5
    await lab.bench.accept("b@there.example")
    await lab.bench.accept("b@there.example")
    lab.figures.update()
    assert lab.read()["mail_delay_seconds"] == math.inf


async def test_dead_sites_are_counted(lab: Lab) -> None:
    site = lab.bench.planner.sites.get(SiteKey("mx:there.example"))
    site.note_failure(lab.clock.now(), "refused", others_work=False)
    lab.figures.update()
    assert lab.read()["dead_sites_max"] == 1


async def test_losses_count_once(lab: Lab) -> None:
    for lab.losses in (Losses(2, 0), Losses(2, 5), Losses(3, 5)):
        lab.figures.update()
    shown = lab.read()
    assert (shown["journal_records_dropped_total"], shown["log_lines_dropped_total"]) == (3, 5)


async def test_the_queue_is_counted_once_a_minute_over_all_shards(lab: Lab) -> None:
    old = Instant(lab.clock.now() - 100)
    one = FakeShard(counted=SpoolStats(2, 500, {"ready": 3, "deferred": 1}, {}, old))
    two = FakeShard(counted=SpoolStats(1, 70, {"deferred": 4}, {}, lab.clock.now()))
    lab.shards = [one, two]
    for _ in range(3):
        await lab.figures.count_queue()
    shown = lab.read()
    assert (shown["queue_messages"], shown["queue_octets"], shown["queue_oldest_seconds"]) == (3, 570, 100)
    assert shown['queue_recipients{state="ready"}'] == 3
    assert shown['queue_recipients{state="deferred"}'] == 5
    assert shown['queue_recipients{state="held"}'] == 0
    assert one.counts == 1
    one.counted = SpoolStats()
    lab.clock.advance(61)
    await lab.figures.count_queue()
    assert lab.read()['queue_recipients{state="ready"}'] == 0


async def test_counting_that_takes_long_is_done_more_seldom(lab: Lab) -> None:
    class SlowShard(FakeShard):
        async def stats(self) -> SpoolStats:
            lab.clock.advance(5)
            return await super().stats()

    shard = SlowShard()
    lab.shards = [shard]
    await lab.figures.count_queue()
    lab.clock.advance(100)
    await lab.figures.count_queue()
    assert shard.counts == 1
    lab.clock.advance(401)
    await lab.figures.count_queue()
    assert shard.counts == 2


async def test_a_shard_that_cannot_be_read_does_not_hide_the_others(lab: Lab) -> None:
    lab.shards = [FakeShard(error=SpoolError("closed")), FakeShard(counted=SpoolStats(2, 10))]
    await lab.figures.count_queue()
    assert lab.read()["queue_messages"] == 2
