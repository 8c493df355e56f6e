"""Failed logins between workers: gathered, passed on by the coordinator, and counted by the others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from posthouse.app.login_failures import LoginFailures
from tests.app.test_coordinator import FakeWorker, running


class Counter:
    """What a worker counted of the others."""

    def __init__(self, worker: FakeWorker) -> None:
        self.keys: list[str] = []
        self._changed = asyncio.Event()
        self.failures = LoginFailures(worker.link, self._take)

    def _take(self, keys: Iterable[str]) -> None:
        self.keys += keys
        self._changed.set()

    async def wait_for(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.keys) < count:
                await self._changed.wait()
                self._changed.clear()


async def test_a_failure_is_told_to_all_other_workers_as_often_as_it_happened() -> None:
    async with running(3) as (_, workers):
        one, two, three = (Counter(worker) for worker in workers)
        for key in ("account 1", "account 1", "192.0.2.7"):
            one.failures.note(key)
        await asyncio.gather(two.wait_for(3), three.wait_for(3))
        assert two.keys == three.keys == ["account 1", "account 1", "192.0.2.7"]
        two.failures.note("name x")
        await one.wait_for(1)
        assert one.keys == ["name x"]


async def test_a_flood_of_failures_is_told_in_part() -> None:
    async with running() as (_, workers):
        one, two = (Counter(worker) for worker in workers)
        for number in range(10_000):
            one.failures.note(f"name {number}")
        await two.wait_for(200)
        assert len(two.keys) == 200


async def test_without_a_coordinator_each_worker_counts_for_itself() -> None:
    async with running() as (lab, workers):
        one, two = (Counter(worker) for worker in workers)
        await lab.kill()
        await asyncio.gather(*(worker.lost.wait() for worker in workers))
        one.failures.note("account 1")
        assert two.keys == []
