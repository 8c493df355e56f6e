"""Disks that are full, that fail to fsync, that hold something else than we left: 4xx, recovery, nothing lost."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions, SqliteSpool
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import (
    Action,
    Body,
    InlineBody,
    NewMessage,
    Selection,
    Settlement,
    SpoolBroken,
    SpoolError,
    SpoolFull,
)
from tests.crash.spool_faults import HookedFiles, Recorder, lying_fsync


@dataclass
class Lab:
    clock: FakeClock
    recorder: Recorder
    files: HookedFiles
    pool: ShardPool
    spool: SqliteSpool
    path: Path

    def make_new(self, body: Body | None = None) -> NewMessage:
        now = self.clock.now()
        envelope = Envelope(parse_address("a@sender.example"), (Recipient(parse_address("b@example.net")),))
        return NewMessage(
            self.spool.reserve_id(), envelope, b"Received: x\r\n", body or InlineBody(b"hello"), now, Instant(now + 300)
        )

    async def write_body(self, octets: int = 500_000) -> Body:
        writer = self.spool.open_body()
        await writer.write(b"x" * octets)
        return await writer.finish()

    async def list_ids(self) -> list[str]:
        return [message.id for message in await self.spool.find(Selection(), 1000)]

    def list_files(self, folder: str) -> list[str]:
        return sorted(entry.name for entry in (self.path / str(self.spool.shard) / folder).iterdir())

    async def wait_disk(self) -> None:
        """Until what nobody waits for is done."""
        await self.spool.close()
        self.pool.close()


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    clock, recorder = FakeClock(), Recorder()
    files = HookedFiles(recorder)
    options = SpoolOptions(min_free=Space(1000, 10), limits=WriterLimits(max_works=50, idle_s=0.005, long_idle_s=0.01))
    pool = ShardPool(str(tmp_path), clock, files, options)
    made = Lab(clock, recorder, files, pool, await pool.take_free_shard(), tmp_path)
    yield made
    recorder.failing.clear()
    await made.spool.close()
    pool.close()


async def test_no_accept_resolves_before_the_fdatasync_that_covers_it(lab: Lab) -> None:
    for _ in range(20):
        lab.recorder.moves.clear()
        futures = [lab.spool.accept(lab.make_new()) for _ in range(5)]
        for future in futures:
            future.add_done_callback(lambda _: lab.recorder("resolved", ""))
        await asyncio.gather(*futures)
        moves = [move for move, _ in lab.recorder.moves]
        last_write = max(place for place, move in enumerate(moves) if move == "db-write")
        assert moves[last_write + 1 :] == ["db-sync", *["resolved"] * 5]


async def test_a_body_in_a_file_is_durable_before_its_row(lab: Lab) -> None:
    lab.recorder.moves.clear()
    new = lab.make_new(await lab.write_body())
    await lab.spool.accept(new)
    moves = [move for move, name in lab.recorder.moves if not name.endswith("-shm")]
    order = [move for move in moves if move != "db-write"]
    assert order == ["create", "write", "write", "sync", "rename", "sync-directory", "db-sync"]
    assert moves.index("db-write") > moves.index("sync-directory")


async def test_a_file_goes_only_after_the_commit_of_its_removal(lab: Lab) -> None:
    new = lab.make_new(await lab.write_body())
    await lab.spool.accept(new)
    lab.recorder.moves.clear()
    await lab.spool.settle(Settlement(new.id, remove=True))
    await lab.wait_disk()
    moves = [move for move, _ in lab.recorder.moves]
    assert moves.index("unlink") > moves.index("db-sync")
    assert lab.list_files("bodies") == []


async def test_deleting_by_hand_removes_files_too(lab: Lab) -> None:
    for _ in range(3):
        await lab.spool.accept(lab.make_new(await lab.write_body()))
    assert len(lab.list_files("bodies")) == 3
    await lab.spool.change(Selection(), Action.DELETE, lab.clock.now())
    await lab.wait_disk()
    assert lab.list_files("bodies") == []


async def test_below_min_free_mail_is_refused_but_state_changes_are_written(lab: Lab) -> None:
    kept = lab.make_new()
    await lab.spool.accept(kept)
    lab.files.room = Space(999, 1 << 30)
    lab.clock.advance(2)
    with pytest.raises(SpoolFull):
        await lab.spool.accept(lab.make_new())
    with pytest.raises(SpoolFull):
        lab.spool.open_body()
    await lab.spool.settle(Settlement(kept.id, remove=True))
    assert await lab.list_ids() == []


async def test_without_inodes_mail_is_refused_and_it_recovers_by_itself(lab: Lab) -> None:
    lab.files.room = Space(1 << 40, 9)
    lab.clock.advance(2)
    with pytest.raises(SpoolFull):
        await lab.spool.accept(lab.make_new())
    lab.files.room = Space(1 << 40, 100)
    lab.clock.advance(2)
    new = lab.make_new()
    await lab.spool.accept(new)
    assert await lab.list_ids() == [new.id]


async def test_a_disk_that_fills_in_mid_commit_leaves_nothing_half_written(lab: Lab) -> None:
    kept = lab.make_new()
    await lab.spool.accept(kept)
    lab.recorder.failing["db-write"] = apsw.FullError("disk is full")
    results = await asyncio.gather(*(lab.spool.accept(lab.make_new()) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [SpoolFull] * 5
    assert not lab.spool.is_broken
    assert await lab.list_ids() == [kept.id]
    with pytest.raises(SpoolFull):  # not even tried before the next look at the disk
        await lab.spool.accept(lab.make_new())
    lab.recorder.failing.clear()
    lab.clock.advance(2)
    again = lab.make_new()
    await lab.spool.accept(again)
    assert await lab.list_ids() == [kept.id, again.id]


async def test_a_body_that_cannot_be_written_fails_alone_and_leaves_no_file(lab: Lab) -> None:
    for move, code in (("create", errno.EMFILE), ("write", errno.ENOSPC), ("sync", errno.EIO)):
        lab.recorder.failing = {move: OSError(code, "no")}
        with pytest.raises(SpoolFull if code == errno.ENOSPC else SpoolError):
            await lab.write_body(100_000)
        lab.recorder.failing = {}
    new = lab.make_new(await lab.write_body())
    await lab.spool.accept(new)
    await lab.wait_disk()
    assert lab.list_files("tmp") == []
    assert not lab.spool.is_broken


async def test_a_body_whose_session_is_gone_leaves_no_file(lab: Lab) -> None:
    writer = lab.spool.open_body()
    task = asyncio.ensure_future(writer.write(b"x" * 1_000_000))
    await asyncio.sleep(0)
    task.cancel()
    writer.discard()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.sleep(0)
    while "unlink" not in dict(lab.recorder.moves):
        await asyncio.sleep(0)
    await lab.wait_disk()
    assert lab.list_files("tmp") == []


async def test_a_rename_that_fails_refuses_that_message_alone(lab: Lab) -> None:
    first, second = lab.make_new(await lab.write_body()), lab.make_new()
    lab.recorder.failing["rename"] = OSError(errno.EACCES, "no")
    results = await asyncio.gather(lab.spool.accept(first), lab.spool.accept(second), return_exceptions=True)
    assert isinstance(results[0], SpoolError)
    assert await lab.list_ids() == [second.id]
    await lab.wait_disk()
    assert lab.list_files("tmp") == []


async def test_a_busy_spool_refuses_instead_of_growing(lab: Lab) -> None:
    results = await asyncio.gather(*(lab.spool.accept(lab.make_new()) for _ in range(60)), return_exceptions=True)
    assert [isinstance(result, SpoolError) for result in results] == [False] * 50 + [True] * 10
    await lab.spool.accept(lab.make_new())


async def test_a_failed_fsync_is_not_forgiven(lab: Lab) -> None:
    kept = lab.make_new()
    await lab.spool.accept(kept)
    lab.recorder.failing["db-sync"] = lying_fsync()
    with pytest.raises(SpoolBroken):
        await lab.spool.accept(lab.make_new())
    lab.recorder.failing.clear()  # the next fsync says "good", as Linux does
    lab.recorder.moves.clear()
    assert lab.spool.is_broken
    with pytest.raises(SpoolBroken):
        await lab.spool.accept(lab.make_new())
    with pytest.raises(SpoolBroken):
        await lab.spool.settle(Settlement(kept.id, remove=True))
    with pytest.raises(SpoolBroken):
        lab.spool.open_body()
    await lab.spool.close()
    assert [move for move, name in lab.recorder.moves if name.startswith("spool-1.db") and move != "db-delete"] == []


async def test_new_mail_goes_to_a_fresh_shard_after_a_failed_fsync(lab: Lab) -> None:
    lab.recorder.failing["db-sync"] = lying_fsync()
    with pytest.raises(SpoolBroken):
        await lab.spool.accept(lab.make_new())
    lab.recorder.failing.clear()
    other = await lab.pool.take_free_shard()
    assert other.shard != lab.spool.shard
    broken, lab.spool = lab.spool, other
    await lab.spool.accept(lab.make_new())
    await broken.close()


async def test_start_up_copies_the_live_rows_of_a_suspect_shard(lab: Lab) -> None:
    kept = [lab.make_new(), lab.make_new(await lab.write_body())]
    for new in kept:
        await lab.spool.accept(new)
    lab.recorder.failing["db-sync"] = lying_fsync()
    with pytest.raises(SpoolBroken):
        await lab.spool.settle(Settlement(kept[0].id, remove=True))
    lab.recorder.failing.clear()
    await lab.spool.close()
    lab.recorder.moves.clear()
    lab.spool = await lab.pool.take_free_shard()
    assert lab.spool.shard == 0
    assert [name for name in lab.list_files("") if name.endswith(".db")] == ["spool-2.db"]
    copied = [
        (move, name) for move, name in lab.recorder.moves if move in ("sync", "rename", "sync-directory", "unlink")
    ]
    assert copied[:3] == [("sync", "fresh.db"), ("rename", "spool-2.db"), ("sync-directory", "0")]
    assert set(await lab.list_ids()) >= {kept[1].id}
    loaded = await lab.spool.load(kept[1].id)
    assert loaded is not None
    assert await loaded.body.read(0, 10) == b"x" * 10
    assert not lab.spool.is_broken
    new = lab.make_new()
    await lab.spool.accept(new)
    assert new.id > kept[1].id


async def test_a_failed_fsync_of_the_checkpoint_counts_as_well(lab: Lab) -> None:
    await lab.spool.accept(lab.make_new())
    lab.recorder.failing["db-sync"] = lying_fsync()
    while not lab.spool.is_broken:  # the writer checkpoints when it has been idle
        await asyncio.sleep(0)
    with pytest.raises(SpoolBroken):
        await lab.spool.accept(lab.make_new())


async def test_a_failed_sync_of_the_directory_counts_as_well(lab: Lab) -> None:
    new = lab.make_new(await lab.write_body())
    lab.recorder.failing["sync-directory"] = OSError(errno.EIO, "disk")
    with pytest.raises(SpoolBroken):
        await lab.spool.accept(new)
    assert lab.spool.is_broken


async def test_a_newer_schema_is_refused_by_name_and_another_shard_is_taken(lab: Lab) -> None:
    await lab.spool.accept(lab.make_new())
    await lab.spool.close()
    connection = apsw.Connection(str(lab.path / "0" / "spool-1.db"))
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    lab.spool = await lab.pool.take_free_shard()
    assert lab.spool.shard == 1
    assert "newer version" in lab.pool.refused[0]


async def test_a_damaged_database_is_refused_and_the_others_go_on(lab: Lab) -> None:
    await lab.spool.accept(lab.make_new())
    await lab.spool.close()
    (lab.path / "0" / "spool-1.db").write_bytes(b"not a database at all" * 1000)
    lab.spool = await lab.pool.take_free_shard()
    assert lab.spool.shard == 1
    assert "spool-1.db" in lab.pool.refused[0]
    assert await lab.pool.adopt_orphans() == []


async def test_a_data_directory_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("a file, not a directory")
    pool = ShardPool(str(tmp_path / "spool"), FakeClock())
    with pytest.raises(SpoolError):
        await pool.take_free_shard()
    pool.close()


async def test_a_body_file_that_vanished_is_an_error_not_an_empty_message(lab: Lab) -> None:
    new = lab.make_new(await lab.write_body())
    accepted = await lab.spool.accept(new)
    for entry in (lab.path / "0" / "bodies").iterdir():
        entry.unlink()
    with pytest.raises(SpoolError):
        await accepted.body.read(0, 10)


async def test_a_body_file_that_was_cut_short_is_an_error(lab: Lab) -> None:
    accepted = await lab.spool.accept(lab.make_new(await lab.write_body()))
    for entry in (lab.path / "0" / "bodies").iterdir():
        entry.write_bytes(b"x" * 100)
    with pytest.raises(SpoolError):
        await accepted.body.read(0, 500_000)
