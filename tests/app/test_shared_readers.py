"""What IMAP and POP3 sessions of all workers share: how many an account has, and who has a maildrop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from posthouse.app.maildrops import WorkerMaildrops
from posthouse.app.session_slots import SlotLimits, WorkerSlots
from posthouse.message.mailbox import AccountId
from tests.app.test_coordinator import FakeWorker, Lab, running, settle

ANNA, BERT = AccountId(1), AccountId(2)
HERE, THERE = "192.0.2.1", "192.0.2.2"


class Reader:
    """A worker with what its sessions ask."""

    def __init__(self, lab: Lab, worker: FakeWorker) -> None:
        self.lab, self.worker = lab, worker
        self.slots = WorkerSlots(worker.link, SlotLimits(per_account=4, per_address=3), 2)
        self.maildrops = WorkerMaildrops(worker.link)

    def enter(self, count: int, account: AccountId = ANNA, address: str = HERE) -> list[bool]:
        return [self.slots.enter(account, address) is None for _ in range(count)]


@asynccontextmanager
async def readers() -> AsyncIterator[tuple[Lab, Reader, Reader]]:
    async with running() as (lab, (one, two)):
        yield lab, Reader(lab, one), Reader(lab, two)


async def exchange(*each: Reader) -> None:
    for reader in each:
        reader.slots.tell()
    await settle(each[0].lab, *(reader.worker for reader in each))


async def lose_coordinator(lab: Lab, *each: Reader) -> None:
    for reader in each:
        reader.worker.lost.clear()
        reader.worker.joined.clear()
    await lab.kill()
    await asyncio.gather(*(reader.worker.lost.wait() for reader in each))


async def find_coordinator(lab: Lab, *each: Reader) -> None:
    lab.start()
    await asyncio.gather(*(reader.worker.joined.wait() for reader in each))


async def test_sessions_of_an_account_are_counted_over_all_workers() -> None:
    async with readers() as (_, one, two):
        assert one.enter(2) == [True, True]
        await exchange(one, two)
        assert two.enter(2) == [True, False]
        assert two.slots.enter(ANNA, HERE) == "This account has too many sessions from your address, close some of them"
        assert two.enter(2, address=THERE) == [True, False]
        assert two.slots.enter(ANNA, THERE) == "This account has too many sessions, close some of them"
        assert two.enter(1, BERT) == [True]
        one.slots.leave(ANNA, HERE)
        await exchange(one, two)
        assert two.enter(1) == [True]


async def test_sessions_of_a_worker_that_is_gone_count_no_more() -> None:
    async with readers() as (lab, one, two):
        one.enter(3)
        await exchange(one, two)
        assert two.enter(1) == [False]
        await one.worker.end()
        await asyncio.sleep(0)
        await exchange(two)
        await exchange(two)
        assert two.enter(1) == [True]
        assert lab.is_up


async def test_a_worker_that_comes_late_hears_of_the_sessions_there_are() -> None:
    async with readers() as (lab, one, two):
        one.enter(3)
        await exchange(one, two)
        late = FakeWorker(lab, 2)
        third = Reader(lab, late)
        await late.joined.wait()
        await exchange(one, two, third)
        assert third.enter(1) == [False]
        await late.end()


async def test_without_a_coordinator_a_worker_has_its_part_and_a_new_one_is_told() -> None:
    async with readers() as (lab, one, two):
        one.enter(1)
        await exchange(one, two)
        await lose_coordinator(lab, one, two)
        assert two.enter(3) == [True, True, False]
        await find_coordinator(lab, one, two)
        await exchange(one, two)
        assert one.enter(1) == [False]
        assert one.enter(1, address=THERE) == [True]


async def test_a_maildrop_is_one_sessions_over_all_workers() -> None:
    async with readers() as (_, one, two):
        assert await one.maildrops.lock(ANNA)
        assert not await one.maildrops.lock(ANNA)
        assert not await two.maildrops.lock(ANNA)
        assert await two.maildrops.lock(BERT)
        one.maildrops.unlock(ANNA)
        await exchange(one, two)
        assert await two.maildrops.lock(ANNA)


async def test_a_lock_ends_with_its_worker() -> None:
    async with readers() as (_, one, two):
        assert await one.maildrops.lock(ANNA)
        await one.worker.end()
        while not await two.maildrops.lock(ANNA):
            await asyncio.sleep(0.001)


async def test_a_new_coordinator_is_told_of_the_locks() -> None:
    async with readers() as (lab, one, two):
        assert await one.maildrops.lock(ANNA)
        await lose_coordinator(lab, one, two)
        assert not await one.maildrops.lock(ANNA)
        await find_coordinator(lab, one, two)
        await exchange(one, two)
        assert not await two.maildrops.lock(ANNA)


async def test_without_a_coordinator_a_worker_looks_at_itself_alone() -> None:
    async with readers() as (lab, one, two):
        await lose_coordinator(lab, one, two)
        assert await one.maildrops.lock(ANNA)
        assert not await one.maildrops.lock(ANNA)
        one.maildrops.unlock(ANNA)
        assert await one.maildrops.lock(ANNA)
