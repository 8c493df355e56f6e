"""Hints between workers: merged, passed on by the coordinator, and nothing that anybody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from posthouse.app.feed import ChangeFeed
from posthouse.message.mailbox import AccountId
from tests.app.test_coordinator import FakeWorker, running


class Ear:
    """What a worker heard of the others."""

    def __init__(self, worker: FakeWorker) -> None:
        self.heard: list[frozenset[AccountId]] = []
        self._changed = asyncio.Event()
        self.feed = ChangeFeed(worker.link, self._take)

    def _take(self, accounts: frozenset[AccountId]) -> None:
        self.heard.append(accounts)
        self._changed.set()

    async def wait_for(self, is_enough: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_enough():
                await self._changed.wait()
                self._changed.clear()


def accounts(*numbers: int) -> frozenset[AccountId]:
    return frozenset(AccountId(number) for number in numbers)


async def test_a_change_is_told_to_all_other_workers_and_not_back() -> None:
    async with running(3) as (_, workers):
        one, two, three = (Ear(worker) for worker in workers)
        one.feed.note([AccountId(7)])
        await two.wait_for(lambda: bool(two.heard))
        await three.wait_for(lambda: bool(three.heard))
        assert two.heard == three.heard == [accounts(7)]
        assert one.heard == []


async def test_changes_in_quick_succession_are_one_hint() -> None:
    async with running() as (_, workers):
        one, two = (Ear(worker) for worker in workers)
        for number in (1, 2, 1, 3):
            one.feed.note([AccountId(number)])
        await two.wait_for(lambda: bool(two.heard))
        assert two.heard == [accounts(1, 2, 3)]


async def test_without_a_coordinator_hints_are_lost_and_nothing_else() -> None:
    async with running() as (lab, workers):
        one, two = (Ear(worker) for worker in workers)
        await lab.kill()
        await asyncio.gather(*(worker.lost.wait() for worker in workers))
        one.feed.note([AccountId(1)])
        lab.start()
        for worker in workers:
            worker.joined.clear()
        await asyncio.gather(*(worker.joined.wait() for worker in workers))
        one.feed.note([AccountId(2)])
        await two.wait_for(lambda: bool(two.heard))
        assert accounts(2) in (two.heard[-1], two.heard[-1] - accounts(1))
