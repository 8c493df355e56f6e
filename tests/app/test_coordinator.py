"""What workers share through the coordinator, in one process: links and coordinator over real unix sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from posthouse.adapters.metrics import PlainMetrics
from posthouse.app.coordinator import Shared
from posthouse.app.exchange import WorkerExchange
from posthouse.app.rpc import Connections, CoordinatorLink
from posthouse.app.shared_sites import WindowSettings, WorkerShares
from posthouse.app.worker_context import Arguments, SiteShare
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog
from posthouse.serve.admission import Admission, AdmissionLimits

SITE = "mx.example.net"


class Lab:
    """A coordinator that can be replaced."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.tasks: set[asyncio.Task[None]] = set()
        self.shared: Shared
        self._connections: Connections
        self.is_up = False

    def start(self, worker_count: int = 2) -> None:
        self.shared = Shared(worker_count, WindowSettings(), self.clock, FakeLog())
        self._connections = Connections(self.shared.serve)
        self.is_up = True

    async def kill(self) -> None:
        self.is_up = False
        await self._connections.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if not self.is_up:
            raise ConnectionRefusedError
        here, there = socket.socketpair()
        serving = asyncio.create_task(self._connections(*await asyncio.open_connection(sock=there)))
        self.tasks.add(serving)
        return await asyncio.open_connection(sock=here)


class FakeWorker:
    """Link, shares, admission and exchange, as a worker process has them."""

    def __init__(self, lab: Lab, index: int, worker_count: int = 2) -> None:
        log = FakeLog()
        self.lost, self.joined, self.heard = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.metrics = PlainMetrics()
        hello = {"index": index, "generation": 1, "pid": os.getpid() + index}
        self.link = CoordinatorLink(lab.connect, hello, log, lambda _: 0.0)
        self.shares = WorkerShares(worker_count)
        self.admission = Admission(AdmissionLimits(per_address=4, free_errors=1))
        self.exchange = WorkerExchange(self.link, self.shares, self.admission, lab.clock, worker_count)
        self.link.register("metrics", self._tell_metrics)
        self.link.on_connect(self.joined.set)
        self.link.on_disconnect(self.lost.set)
        self.shares.on_change(lambda site, share: self.heard.set())
        self.task = asyncio.create_task(self.link.run())

    async def _tell_metrics(self, _: Arguments) -> object:
        return self.metrics.snapshot()

    async def hears(self) -> None:
        """Until the next change of a share."""
        await asyncio.wait_for(self.heard.wait(), 10)
        self.heard.clear()

    async def end(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@asynccontextmanager
async def running(count: int = 2) -> AsyncIterator[tuple[Lab, list[FakeWorker]]]:
    lab = Lab()
    lab.start(count)
    workers = [FakeWorker(lab, index, count) for index in range(count)]
    await asyncio.gather(*(worker.joined.wait() for worker in workers))
    yield lab, workers
    for worker in workers:
        await worker.end()
    await lab.kill()
    await asyncio.gather(*lab.tasks, return_exceptions=True)


async def settle(lab: Lab, *workers: FakeWorker) -> None:
    """One exchange of everybody, arrived at both sides: a request goes behind what was sent before it."""
    for worker in workers:
        worker.exchange.tell()
        await worker.link.call("metrics", {})
    lab.shared.flush()
    for worker in workers:
        await worker.link.call("metrics", {})


async def test_workers_share_a_site() -> None:
    async with running() as (lab, (one, two)):
        one.shares.report_load(SITE, 9, 0)
        await settle(lab, one, two)
        assert one.shares.slots(SITE) == 5
        two.shares.report_load(SITE, 9, 0)
        await settle(lab, one, two)
        assert one.shares.slots(SITE) + two.shares.slots(SITE) <= 5
        await settle(lab, one, two)
        two.shares.report_dead(SITE, lab.clock.now() + 60, 1, "refused")
        await settle(lab, one, two)
        assert one.shares.share(SITE) == SiteShare(0, lab.clock.now() + 60, 1, "refused")
        lab.clock.advance(61)
        await settle(lab, one, two)
        assert {one.shares.slots(SITE), two.shares.slots(SITE)} == {0, 1}


async def test_workers_share_limits_and_memory_of_errors() -> None:
    async with running() as (lab, (one, two)):
        for _ in range(3):
            assert one.admission.admit("192.0.2.1", 0.0) is None
        one.admission.note_error("192.0.2.1", lab.clock.monotonic(), 5.0)
        await settle(lab, one, two)
        assert two.admission.count("192.0.2.1") == 3
        assert two.admission.delay("192.0.2.1", lab.clock.monotonic()) > 0
        assert two.admission.admit("192.0.2.1", 0.0) is None
        assert two.admission.admit("192.0.2.1", 0.0) is not None


async def test_without_a_coordinator_workers_go_on_and_a_new_one_is_filled() -> None:
    async with running() as (lab, (one, two)):
        one.shares.report_load(SITE, 9, 2)
        one.admission.admit("192.0.2.1", 0.0)
        await settle(lab, one, two)
        assert two.admission.count("192.0.2.1") == 1
        one.joined.clear()
        two.joined.clear()
        await lab.kill()
        await asyncio.gather(one.lost.wait(), two.lost.wait())
        assert one.shares.slots(SITE) == 2
        assert two.admission.admit("192.0.2.1", 0.0) is None
        assert two.admission.admit("192.0.2.1", 0.0) is None
        assert two.admission.admit("192.0.2.1", 0.0) is not None
        one.admission.note_error("192.0.2.9", 0.0)
        one.exchange.tell()
        lab.start()
        await asyncio.gather(one.joined.wait(), two.joined.wait())
        await settle(lab, one, two)
        assert (one.admission.count("192.0.2.1"), two.admission.count("192.0.2.1")) == (3, 3)
        assert one.shares.slots(SITE) == 5


async def test_a_worker_that_ends_gives_back_what_it_had() -> None:
    async with running() as (lab, (one, two)):
        one.admission.admit("192.0.2.1", 0.0)
        one.shares.report_load(SITE, 9, 5)
        two.shares.report_load(SITE, 9, 0)
        await settle(lab, one, two)
        assert two.shares.slots(SITE) == 0
        two.heard.clear()
        await one.end()
        await two.hears()
        assert two.shares.slots(SITE) == 5
        assert two.admission.count("192.0.2.1") == 0


async def test_figures_of_all_workers_are_one_text_whoever_asks() -> None:
    async with running() as (lab, (one, two)):
        one.metrics.counter("posthouse_things_total", "Things").inc(2)
        two.metrics.counter("posthouse_things_total", "Things").inc(3)
        two.metrics.gauge("posthouse_open", "Open").set(7)
        for worker in (one, two):
            text = str(await worker.link.call("metrics", {}))
            assert "posthouse_things_total 5\n" in text
            assert "posthouse_open 7\n" in text
        two.metrics.counter("posthouse_things_total", "Things").inc(1)
        two.link.notify("bye", {"metrics": two.metrics.snapshot()})
        await two.link.call("metrics", {})
        await two.end()
        while len(lab.shared.workers) > 1:
            await asyncio.sleep(0)
        text = str(await one.link.call("metrics", {}))
        assert "posthouse_things_total 6\n" in text
        assert "posthouse_open" not in text


async def test_counters_of_many_ended_workers_are_kept_as_a_sum() -> None:
    async with running(1) as (lab, (one,)):
        for index in range(1, 80):
            worker = FakeWorker(lab, index)
            await worker.joined.wait()
            worker.metrics.counter("posthouse_things_total", "Things").inc()
            worker.link.notify("bye", {"metrics": worker.metrics.snapshot()})
            await worker.link.call("metrics", {})
            await worker.end()
        while len(lab.shared.workers) > 1:
            await asyncio.sleep(0)
        assert "posthouse_things_total 79\n" in str(await one.link.call("metrics", {}))
        assert len(lab.shared._ended) <= 64


@pytest.mark.parametrize("args", [{"sites": [["x"], "nonsense"]}, {"connections": 3}, {"errors": ["a"]}])
async def test_a_report_that_is_none_changes_nothing(args: dict[str, object]) -> None:
    async with running() as (lab, (one, two)):
        one.link.notify("report", args)
        await settle(lab, one, two)
        assert len(lab.shared.workers) == 2
