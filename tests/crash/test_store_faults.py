"""Disks that fail under the store of mail: refused and said so, nothing half-written, all of it there afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import pytest

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.message.mailbox import AccountId, MailboxId, Role, UidRange
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import Body, InlineBody, SpoolError, SpoolFull
from posthouse.ports.store import (
    FlagEdit,
    FlagMode,
    NewSubmission,
    StoreBroken,
    StoreError,
    StoreFull,
    SubmissionState,
)
from tests.adapters.store_messages import ALL, make_addition, make_octets, open_store
from tests.crash.spool_faults import HookedFiles, Recorder, lying_fsync
from tests.crash.store_check import check_store

ANN, BEN = AccountId(8), AccountId(7)  # in shards 0 and 1
INBOX = MailboxId(1)
LARGE = 10_000


@dataclass
class Lab:
    clock: FakeClock
    recorder: Recorder
    store: SqliteStore
    path: Path
    stack: contextlib.AsyncExitStack

    async def put_body(self, number: int) -> Body:
        writer = self.store.messages.open_body(ANN)
        await writer.write(make_octets(number, LARGE))
        return await writer.finish()

    async def add(self, number: int, account: AccountId = ANN, body: Body | None = None) -> None:
        addition = make_addition(number) if body is None else make_addition(number, size=LARGE, body=body)
        await self.store.messages.add(account, [addition])

    async def submit(self, number: int) -> None:
        filed = make_addition(number, Role.SENT)
        wire = InlineBody(make_octets(number))
        new = NewSubmission(
            b"", ("x@there.example",), wire, SubmissionState.PENDING, 0, filed, key=bytes([number] * 16)
        )
        await self.store.submissions.submit(ANN, new)

    async def uids(self, account: AccountId = ANN) -> list[int]:
        return list((await self.store.messages.snapshot(account, INBOX)).uids)

    def files(self, folder: str) -> list[str]:
        return sorted(entry.name for entry in (self.path / "store").glob(f"{folder}/**/*") if entry.is_file())

    async def reopen(self) -> None:
        """As after a restart, on a disk that works."""
        await self.stack.aclose()
        self.recorder.failing.clear()
        self.store = await self.stack.enter_async_context(open_store(self.path, self.clock, shards=2))


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    clock, recorder = FakeClock(), Recorder()
    async with contextlib.AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(tmp_path, clock, files=HookedFiles(recorder), shards=2))
        made = Lab(clock, recorder, store, tmp_path, stack)
        yield made
        recorder.failing.clear()
    async with open_store(tmp_path, clock, shards=2):
        assert check_store(tmp_path / "store") == []
        assert made.files("0.tmp") == []


async def test_no_change_is_told_before_the_sync_that_covers_it(lab: Lab) -> None:
    await lab.add(1)
    edit = FlagEdit(FlagMode.ADD, frozenset(["\\Deleted"]))
    for change in (
        lab.store.messages.add(ANN, [make_addition(2)]),
        lab.store.messages.set_flags(ANN, INBOX, (UidRange(1, 1),), edit),
        lab.store.mailboxes.create(ANN, "Work"),
        lab.store.messages.copy(ANN, INBOX, (UidRange(2, 2),), ANN, MailboxId(2)),
        lab.store.messages.expunge(ANN, INBOX),
        lab.submit(3),
    ):
        lab.recorder.moves.clear()
        await change
        moves = [move for move, name in lab.recorder.moves if name == "0.db-wal"]
        assert "db-write" in moves
        assert moves[-1] == "db-sync"


async def test_a_body_in_a_file_and_its_folder_are_durable_before_their_row(lab: Lab) -> None:
    await lab.add(1)
    body = await lab.put_body(2)
    lab.recorder.moves.clear()
    await lab.add(2, body=body)
    order = [move for move, name in lab.recorder.moves if not name.endswith("-shm")]
    files = [move for move in order if not move.startswith("db-")]
    assert files == ["make-directory", "sync-directory", "rename", "sync-directory"]
    assert order.index("db-write") > order.index("rename") + 1


async def test_a_folder_that_somebody_killed_has_made_is_synced_before_it_is_used(lab: Lab) -> None:
    await lab.add(1)
    body = await lab.put_body(2)
    folder = lab.path / "store" / "0.bodies" / body.hash.hex()[:2]  # type: ignore[attr-defined]
    folder.mkdir()
    lab.recorder.moves.clear()
    await lab.add(2, body=body)
    synced = [name for move, name in lab.recorder.moves if move == "sync-directory"]
    assert synced == ["0.bodies", folder.name]


async def test_a_failed_fsync_is_not_forgiven_in_this_shard_and_the_other_goes_on(lab: Lab) -> None:
    await lab.add(1)
    await lab.add(1, BEN)
    lab.recorder.failing["db-sync"] = lying_fsync()
    results = await asyncio.gather(
        lab.add(2), lab.submit(3), lab.store.mailboxes.create(ANN, "x"), return_exceptions=True
    )
    assert [type(result) for result in results] == [StoreBroken] * 3
    lab.recorder.failing.clear()  # the next fsync says "good", as Linux does
    lab.recorder.moves.clear()
    for change in (lab.add(4), lab.submit(5), lab.store.messages.expunge(ANN, INBOX)):
        with pytest.raises(StoreBroken):
            await change
    with pytest.raises(StoreBroken):
        lab.store.messages.open_body(ANN)
    await lab.add(2, BEN)
    assert [name for move, name in lab.recorder.moves if name.startswith("0.db") and move != "db-delete"] == []
    await lab.reopen()
    assert await lab.uids(BEN) == [1, 2]
    assert (await lab.uids())[:1] == [1]
    await lab.add(6)


async def test_a_failed_sync_of_a_new_folder_is_not_forgiven(lab: Lab) -> None:
    await lab.add(1)
    body = await lab.put_body(2)
    lab.recorder.failing["sync-directory"] = OSError(errno.EIO, "disk")
    with pytest.raises(StoreBroken):
        await lab.add(2, body=body)
    with pytest.raises(StoreBroken):
        await lab.add(3)
    await lab.reopen()
    assert await lab.uids() == [1]


async def test_a_disk_that_fills_in_mid_commit_refuses_all_of_it_and_recovers_by_itself(lab: Lab) -> None:
    await lab.add(1)
    lab.recorder.failing["db-write"] = apsw.FullError("disk is full")
    results = await asyncio.gather(lab.add(2), lab.submit(3), lab.add(4), return_exceptions=True)
    assert [type(result) for result in results] == [StoreFull] * 3
    lab.recorder.failing.clear()
    lab.clock.advance(2)
    await lab.add(5)
    assert await lab.uids() == [1, 2]
    assert await lab.store.submissions.list_newest(ANN) == []
    assert [box.name for box in await lab.store.mailboxes.list_all(ANN)] == ["INBOX"]


async def test_a_body_that_meets_a_full_or_bad_disk_fails_alone_and_leaves_no_file(lab: Lab) -> None:
    await lab.add(1)
    for move, code in (("create", errno.EMFILE), ("write", errno.ENOSPC), ("sync", errno.EIO)):
        lab.recorder.failing = {move: OSError(code, "no")}
        with pytest.raises(SpoolFull if code == errno.ENOSPC else SpoolError):
            await lab.put_body(2)
    lab.recorder.failing = {}
    await lab.add(4, body=await lab.put_body(4))
    assert await lab.uids() == [1, 2]
    assert len(lab.files("0.bodies")) == 1


async def test_a_rename_on_a_full_disk_says_full(lab: Lab) -> None:
    await lab.add(1)
    body = await lab.put_body(2)
    lab.recorder.failing["rename"] = OSError(errno.ENOSPC, "full")
    results = await asyncio.gather(lab.add(2, body=body), lab.add(3), return_exceptions=True)
    assert [type(result) for result in results] == [StoreFull, type(None)]
    lab.recorder.failing.clear()
    lab.clock.advance(2)
    await lab.add(2, body=body)
    assert await lab.uids() == [1, 2, 3]


async def test_a_body_that_was_swept_between_two_tries_is_not_given_a_row(lab: Lab) -> None:
    """Placed, not committed, and removed as an orphan by another process."""
    await lab.add(1)
    body = await lab.put_body(2)
    lab.recorder.failing["db-write"] = apsw.FullError("disk is full")
    with pytest.raises(StoreFull):
        await lab.add(2, body=body)
    lab.recorder.failing.clear()
    lab.clock.advance(2)
    assert len(lab.files("0.bodies")) == 1
    await lab.store.purge(lab.clock.now())
    assert lab.files("0.bodies") == []
    with pytest.raises(StoreError):
        await lab.add(2, body=body)
    assert await lab.uids() == [1]


async def test_a_body_placed_by_a_commit_that_failed_is_there_at_the_next_try(lab: Lab) -> None:
    body = await lab.put_body(2)
    lab.recorder.failing["db-write"] = apsw.FullError("disk is full")
    with pytest.raises(StoreFull):
        await lab.add(2, body=body)
    lab.recorder.failing.clear()
    lab.clock.advance(2)
    await lab.add(2, body=body)
    assert await lab.uids() == [1]


async def test_a_known_body_leaves_no_second_file(lab: Lab) -> None:
    for _ in range(3):
        await lab.add(2, body=await lab.put_body(2))
    assert len(lab.files("0.bodies")) == 1
    assert lab.files("0.tmp") == []


async def test_between_accounts_a_target_that_cannot_be_written_leaves_the_source(lab: Lab) -> None:
    await lab.add(1)
    await lab.store.ensure_account(BEN)
    lab.recorder.failing["db-write"] = apsw.FullError("disk is full")
    with pytest.raises(StoreFull):
        await lab.store.messages.move(ANN, INBOX, ALL, BEN, INBOX)
    lab.recorder.failing.clear()
    assert await lab.uids() == [1]
    assert await lab.uids(BEN) == []
    lab.clock.advance(2)
    await lab.store.messages.move(ANN, INBOX, ALL, BEN, INBOX)
    assert await lab.uids() == []
    assert await lab.uids(BEN) == [1]


async def test_a_read_only_file_refuses_changes_and_is_read(lab: Lab) -> None:
    await lab.add(1)
    lab.recorder.failing["db-write"] = apsw.ReadOnlyError("attempt to write a readonly database")
    for change in (lab.add(2), lab.submit(3), lab.store.mailboxes.create(ANN, "x")):
        with pytest.raises(StoreError):
            await change
    assert await lab.uids() == [1]
    lab.recorder.failing.clear()
    await lab.add(4)
    assert await lab.uids() == [1, 2]
