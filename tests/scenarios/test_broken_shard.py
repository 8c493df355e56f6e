"""A disk that loses an fsync under a running worker's shards (app/shards.py): fresh shard, copy, nothing lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions, SqliteSpool
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.app.shards import Shards
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.ports.spool import InlineBody, NewMessage, SpoolBroken, SpoolError
from posthouse.ports.spool_memory import MemorySpool
from tests.crash.spool_faults import HookedFiles, Recorder, lying_fsync
from tests.mta.inbound_kit import Desktop
from tests.mta.runner_kit import LATER, OK, Bench


@dataclass
class House:
    """A runner with fakes, and the real shards on a disk that can fail."""

    bench: Bench
    disk: Recorder
    pool: ShardPool
    shards: Shards
    path: Path

    async def accept(self, address: str) -> None:
        spool, now = self.shards.current(), self.bench.clock.now()
        envelope = Envelope(parse_address("a@src.example"), (Recipient(parse_address(address)),))
        new = NewMessage(
            spool.reserve_id(), envelope, b"", InlineBody(b"Subject: x\r\n\r\nx\r\n"), now, Instant(now + 60)
        )
        self.bench.runner.take(await spool.accept(new))

    async def lose_a_sync(self) -> SqliteSpool:
        """The disk fails once, on the next message; then it works again. Returns the shard that it broke.

        What was refused then was written all the same, and may be found and delivered.
        """
        spool = self.shards.current()
        self.disk.failing["db-sync"] = lying_fsync()
        with pytest.raises(SpoolBroken):
            await self.accept("unsure@there.example")
        self.disk.failing.clear()
        assert spool.is_broken
        return spool

    def delivered(self) -> list[str]:
        carried = [address for _, addresses in self.bench.hops.parts for address in addresses]
        return sorted(address for address in carried if not address.startswith("unsure@"))

    def says(self, event: str) -> bool:
        return any(said == event for _, said, _ in self.bench.log.events)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    bench, disk = Bench(), Recorder()
    bench.runner.remove_spool(bench.spool)
    options = SpoolOptions(min_free=Space(0, 0), limits=WriterLimits(idle_s=60, long_idle_s=60))
    pool = ShardPool(str(tmp_path), bench.clock, HookedFiles(disk), options)
    shards = Shards(pool, bench.runner, bench.log)
    await shards.open_first()
    tending = asyncio.create_task(shards.tend())
    yield House(bench, disk, pool, shards, tmp_path)
    disk.failing.clear()
    tending.cancel()
    await bench.runner.stop(1.0)
    await shards.close()


def is_replaced(house: House, broken: SqliteSpool) -> bool:
    try:
        return house.shards.current() is not broken
    except SpoolError:
        return False


async def test_new_mail_goes_to_a_fresh_shard_after_a_failed_fsync(house: House) -> None:
    broken = await house.lose_a_sync()
    await until(lambda: is_replaced(house, broken))
    assert house.shards.current().shard != broken.shard
    await house.accept("after@there.example")
    await until(lambda: house.delivered() == ["after@there.example"])
    await until(lambda: house.says("shard adopted"))


async def test_a_broken_shard_is_let_go_copied_and_adopted_and_its_mail_is_delivered(house: House) -> None:
    house.bench.hops.answer = lambda part, address: LATER
    for number in range(5):
        await house.accept(f"held{number}@there.example")
    await until(lambda: house.bench.runner.is_idle)
    first_tries = len(house.bench.hops.parts)
    broken = await house.lose_a_sync()

    await until(lambda: broken.is_closed)
    await until(lambda: house.says("shard adopted"))
    assert (house.path / str(broken.shard) / "spool-2.db").exists()
    assert not (house.path / str(broken.shard) / "spool-1.db").exists()
    assert {spool.shard for spool in house.shards.owned()} >= {broken.shard, house.shards.current().shard}

    house.bench.hops.answer = lambda part, address: OK
    del house.bench.hops.parts[:first_tries]
    for _ in range(4):
        await house.bench.pass_time(3600)
    expected = [f"held{number}@there.example" for number in range(5)]
    await until(lambda: house.delivered() == expected)
    assert [await spool.is_empty() for spool in house.shards.owned()] == [True] * len(house.shards.owned())


async def test_mail_in_hand_of_a_shard_that_breaks_is_not_lost(house: House) -> None:
    """Its outcome cannot be stored, so that it is delivered once more: never less than once."""
    gate = house.bench.hops.gate = asyncio.Event()
    await house.accept("in-hand@there.example")
    await until(lambda: bool(house.bench.hops.parts))
    broken = await house.lose_a_sync()
    await until(lambda: is_replaced(house, broken))
    assert not broken.is_closed  # a connection still has a message of it

    gate.set()
    await until(lambda: broken.is_closed)
    await until(lambda: house.says("shard adopted"))
    for _ in range(4):
        await house.bench.pass_time(3600)
    await until(lambda: house.delivered() == ["in-hand@there.example"] * 2)
    await house.bench.pass_time(86_400)
    assert house.delivered() == ["in-hand@there.example"] * 2


async def test_while_no_shard_takes_mail_the_answer_is_451_and_the_session_goes_on() -> None:
    desktop = Desktop()

    def none() -> MemorySpool:
        raise SpoolError("no shard takes mail now")

    desktop.desk.spool = none
    client = desktop.connect()
    await client.say("EHLO client.example")
    for octets in (100, 10_000):
        await client.say("MAIL FROM:<a@src.example>\r\nRCPT TO:<alice@ours.example>\r\nDATA")
        [reply] = await client.say("Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * (octets // 72) + ".")
        assert reply.startswith("451 4.3.2")
    assert await client.say("NOOP") == ["250 2.0.0 OK"]
