"""Which process owns which shard: taking, adopting, releasing, removing."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.files import Space, hold_lock, try_lock
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions, SqliteSpool
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId, ShardNumber, split_queue_id
from posthouse.message.instant import Instant
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody, NewMessage, Selection, Settlement, SpoolError

Worker = Callable[[], ShardPool]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def make_worker(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Worker]:
    """Every pool stands for a process of its own: locks of files do not know the difference."""
    pools: list[ShardPool] = []

    def make() -> ShardPool:
        pools.append(ShardPool(str(tmp_path), clock, options=SpoolOptions(min_free=Space(0, 0))))
        return pools[-1]

    yield make
    for pool in pools:
        for spool in pool.owned:
            await spool.close()
        pool.close()


async def put(spool: SqliteSpool, clock: FakeClock, body: bytes = b"x") -> QueueId:
    now = clock.now()
    envelope = Envelope(None, (Recipient(parse_address("b@example.net")),))
    new = NewMessage(spool.reserve_id(), envelope, b"", InlineBody(body), now, Instant(now + 300))
    await spool.accept(new)
    return new.id


async def test_each_worker_takes_a_shard_of_its_own(make_worker: Worker) -> None:
    spools = [await make_worker().take_free_shard() for _ in range(4)]
    assert [spool.shard for spool in spools] == [0, 1, 2, 3]


async def test_one_worker_may_own_several(make_worker: Worker) -> None:
    pool = make_worker()
    assert [(await pool.take_free_shard()).shard for _ in range(3)] == [0, 1, 2]


async def test_the_lock_file_names_its_holder(make_worker: Worker, tmp_path: Path) -> None:
    await make_worker().take_free_shard()
    assert (tmp_path / "0" / "lock").read_text() == f"{os.getpid()}\n"


async def test_a_released_shard_is_adopted_with_its_mail_and_ids(make_worker: Worker, clock: FakeClock) -> None:
    leaving, staying = make_worker(), make_worker()
    old, own = await leaving.take_free_shard(), await staying.take_free_shard()
    queue_id = await put(old, clock)
    assert await staying.adopt_orphans() == []
    await old.close()
    (adopted,) = await staying.adopt_orphans()
    assert adopted.shard == old.shard != own.shard
    message = await adopted.load(queue_id)
    assert message is not None
    assert split_queue_id(message.id)[0] == adopted.shard
    assert await staying.adopt_orphans() == []


async def test_four_workers_then_one_then_three_lose_nothing(make_worker: Worker, clock: FakeClock) -> None:
    first = [await make_worker().take_free_shard() for _ in range(4)]
    ids = {await put(spool, clock) for spool in first}
    for spool in first:
        await spool.close()
    alone = make_worker()
    owned = [await alone.take_free_shard(), *await alone.adopt_orphans()]
    assert {message.id for spool in owned for message in await spool.find(Selection(), 10)} == ids
    for spool in owned:
        await spool.close()
    three = [make_worker() for _ in range(3)]
    owned = [await pool.take_free_shard() for pool in three]
    owned += [spool for pool in three for spool in await pool.adopt_orphans()]
    assert {message.id for spool in owned for message in await spool.find(Selection(), 10)} == ids
    assert len(owned) == 4


async def test_a_new_worker_takes_a_free_shard_before_it_makes_one(make_worker: Worker, clock: FakeClock) -> None:
    spools = [await make_worker().take_free_shard() for _ in range(3)]
    queue_id = await put(spools[1], clock)
    await spools[1].close()
    taken = await make_worker().take_free_shard()
    assert taken.shard == 1
    assert await taken.load(queue_id) is not None


async def test_an_empty_orphan_is_removed_not_adopted(make_worker: Worker, tmp_path: Path) -> None:
    first, second = make_worker(), make_worker()
    spools = [await first.take_free_shard(), await second.take_free_shard()]
    await spools[1].close()
    assert await first.adopt_orphans() == []
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["0", "high", "lock"]


async def test_a_surplus_shard_with_mail_stays_and_goes_on(make_worker: Worker, clock: FakeClock) -> None:
    pool = make_worker()
    spool = await pool.take_free_shard()
    queue_id = await put(spool, clock)
    assert not await pool.remove_if_empty(spool)
    await spool.settle(Settlement(queue_id, remove=True))
    await put(spool, clock)
    assert not await pool.remove_if_empty(spool)


async def test_a_removed_shard_takes_nothing_and_its_number_is_free(make_worker: Worker, clock: FakeClock) -> None:
    pool = make_worker()
    spool = await pool.take_free_shard()
    assert await pool.remove_if_empty(spool)
    with pytest.raises(SpoolError):
        await put(spool, clock)
    assert (await make_worker().take_free_shard()).shard == 0


async def test_an_id_never_comes_back_even_if_its_shard_was_removed_and_the_clock_went_back(
    make_worker: Worker, clock: FakeClock
) -> None:
    pool = make_worker()
    spool = await pool.take_free_shard()
    queue_id = await put(spool, clock)
    await spool.settle(Settlement(queue_id, remove=True))
    assert await pool.remove_if_empty(spool)
    clock.jump(-86_400)
    again = await pool.take_free_shard()
    assert again.shard == 0
    assert again.reserve_id() > queue_id


async def test_a_strangers_file_in_a_shard_is_left_alone(make_worker: Worker, tmp_path: Path) -> None:
    pool = make_worker()
    spool = await pool.take_free_shard()
    (tmp_path / "0" / "notes.txt").write_text("mine")
    assert await pool.remove_if_empty(spool)
    assert (tmp_path / "0" / "notes.txt").read_text() == "mine"


def test_a_lock_of_a_removed_file_is_not_a_lock(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    first = try_lock(path)
    assert first is not None
    assert try_lock(path) is None
    os.unlink(path)
    second = try_lock(path)
    assert second is not None
    os.close(first)
    assert try_lock(path) is None
    os.close(second)


def test_a_lock_held_for_a_moment_is_free_afterwards(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with hold_lock(path):
        assert try_lock(path) is None
    descriptor = try_lock(path)
    assert descriptor is not None
    os.close(descriptor)


def test_slots_in_hand_survive_being_opened_again_and_grow(tmp_path: Path) -> None:
    path = str(tmp_path / "inhand")
    in_hand = InHand(path)
    for serial in range(1, 10_001):
        in_hand.mark(serial)
    in_hand.mark(5)
    for serial in range(1, 9_991):
        in_hand.unmark(serial)
    in_hand.unmark(77)
    in_hand.close()
    again = InHand(path)
    assert again.serials == list(range(9_991, 10_001))
    again.set_suspect(True)
    again.start_epoch(7)
    again.close()
    third = InHand(path)
    assert (third.serials, third.epoch, third.is_suspect) == ([], 7, True)
    third.close()


def test_slots_that_make_no_sense_are_cleared(tmp_path: Path) -> None:
    path = tmp_path / "inhand"
    path.write_bytes(b"garbage" * 10_000)
    in_hand = InHand(str(path))
    assert (in_hand.serials, in_hand.epoch, in_hand.is_suspect) == ([], 0, False)
    in_hand.close()


async def test_the_wal_is_checkpointed_and_truncated_and_free_pages_go_back(tmp_path: Path, clock: FakeClock) -> None:
    limits = WriterLimits(checkpoint_octets=1 << 20, truncate_octets=2 << 20, idle_s=0.005, long_idle_s=0.01)
    pool = ShardPool(str(tmp_path), clock, options=SpoolOptions(min_free=Space(0, 0), limits=limits))
    spool = await pool.take_free_shard()
    ids = [await put(spool, clock, os.urandom(2_000_000)) for _ in range(15)]
    figures = spool.figures()
    assert figures["checkpoints"] >= 10
    assert figures["wal_octets"] < 4 << 20
    database = tmp_path / "0" / "spool-1.db"
    assert (tmp_path / "0" / "spool-1.db-wal").stat().st_size < 4 << 20
    for queue_id in ids:
        await spool.settle(Settlement(queue_id, remove=True))
    while database.stat().st_size > 18 << 20:  # given back in idle moments
        await spool.is_empty()
    await spool.close()
    pool.close()
    connection = apsw.Connection(str(database))
    assert [connection.pragma(name) for name in ("auto_vacuum", "page_size", "journal_mode")] == [2, 4096, "wal"]
    connection.close()


async def test_a_shard_that_a_store_names_is_not_removed_however_empty(make_worker: Worker) -> None:
    pool = make_worker()
    spool = await pool.take_free_shard()
    asked: list[int] = []

    async def refuse(shard: ShardNumber) -> bool:
        asked.append(shard)
        return False

    pool.may_remove = refuse
    assert not await pool.remove_if_empty(spool)
    assert asked == [spool.shard] and not spool.is_closed
