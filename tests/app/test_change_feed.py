"""Hints between workers: merged, passed on by the coordinator, and nothing that anybody waits for."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.app.coordinator import Shared
from posthouse.app.feed import ChangeFeed
from posthouse.app.rpc import CoordinatorLink
from posthouse.app.shared_sites import WindowSettings
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from tests.app.test_coordinator import FakeWorker, running

BODY = b"Subject: Lunch\r\n\r\nAt noon?\r\n"


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


async def test_another_process_hears_of_a_delivery_within_milliseconds(tmp_path: Path) -> None:
    account, path = AccountId(1), str(tmp_path / "link")
    shared = Shared(2, WindowSettings(), FakeClock(), FakeLog())
    server = await asyncio.start_unix_server(shared.serve, path)
    store = SqliteStore(str(tmp_path / "store"), lambda _: 0, FakeClock())
    await store.open()
    await store.ensure_account(account)
    hello = {"index": 0, "generation": 1, "pid": os.getpid()}
    link, joined = CoordinatorLink(lambda: asyncio.open_unix_connection(path), hello, FakeLog()), asyncio.Event()
    link.on_connect(joined.set)
    store.on_commit = ChangeFeed(link, store.hint).note
    running = asyncio.create_task(link.run())
    words = [sys.executable, "-m", "tests.app.feed_listener", path, str(tmp_path / "store"), str(account)]
    listener = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    assert listener.stdout is not None
    try:
        async with asyncio.timeout(30):
            await joined.wait()
            assert (await listener.stdout.readline()).startswith(b"ready")
            delays = []
            for _ in range(20):
                await store.messages.add(account, [Addition((Role.INBOX,), InlineBody(BODY), parse_message(BODY))])
                committed = time.monotonic()
                word, heard = (await listener.stdout.readline()).split()
                assert word == b"changed"
                delays.append(float(heard) - committed)
        assert sorted(delays)[10] < 0.05
    finally:
        listener.terminate()
        await listener.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        server.close()
        await store.close()
