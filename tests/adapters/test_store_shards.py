"""Shards of the store on the disk: several writers, failing disks, copies, upgrades, bodies in files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from importlib import resources
from pathlib import Path

import apsw
import pytest

import posthouse
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role, Uid
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import Body, SpoolError
from posthouse.ports.store import (
    Fields,
    FlagEdit,
    FlagMode,
    MailboxExists,
    NoSuchMailbox,
    StoreBroken,
    StoreError,
    StoreFull,
)
from tests.adapters.store_messages import (
    ACCOUNT,
    ALL,
    OTHER,
    fill,
    find_problems,
    make_addition,
    make_octets,
    open_store,
)
from tests.crash.spool_faults import HookedFiles, Recorder, lying_fsync

ROOT = Path(__file__).parents[2]
INBOX = MailboxId(1)
DELETED = FlagEdit(FlagMode.ADD, frozenset(["\\Deleted"]))
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path) as made:
        yield made
    assert find_problems(tmp_path / "store") == []


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    yield Recorder()


async def uids(store: SqliteStore, mailbox: MailboxId = INBOX) -> list[int]:
    return list((await store.messages.snapshot(ACCOUNT, mailbox)).uids)


async def remove_all(store: SqliteStore, mailbox: MailboxId = INBOX) -> None:
    await store.messages.set_flags(ACCOUNT, mailbox, ALL, DELETED)
    await store.messages.expunge(ACCOUNT, mailbox)


async def put_body(store: SqliteStore, octets: bytes, account: AccountId = ACCOUNT) -> Body:
    writer = store.messages.open_body(account)
    await writer.write(octets[:10_000])
    await writer.write(octets[10_000:])
    return await writer.finish()


def files_in(path: Path) -> list[str]:
    return sorted(p.name for p in path.rglob("*") if p.is_file())


# -- several writers


async def test_two_stores_on_one_account_give_every_message_a_uid_of_its_own(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as two:
        futures = [(one, two)[n % 2].messages.add(ACCOUNT, [make_addition(n)]) for n in range(100)]
        added = [(await future)[0] for future in futures]
        assert sorted(a.uids[0] for a in added) == list(range(1, 101))
        assert len({a.email for a in added}) == 100
        assert await uids(one) == await uids(two) == list(range(1, 101))
    assert find_problems(tmp_path / "store") == []


WRITER = """
import asyncio, sys
from pathlib import Path
from posthouse.message.mailbox import *
from posthouse.ports.store import FlagEdit, FlagMode
from tests.adapters.store_messages import *
async def main(path, seed):
    async with open_store(Path(path)) as store:
        for n in range(10):
            made = [make_addition(seed * 1000 + n * 10 + k) for k in range(10)]
            await asyncio.gather(*[store.messages.add(ACCOUNT, [addition]) for addition in made])
            await store.messages.set_flags(ACCOUNT, MailboxId(1), ALL, FlagEdit(FlagMode.ADD, frozenset([f"$k{seed}"])))
            await store.messages.copy(ACCOUNT, MailboxId(1), (UidRange(1, 3),), ACCOUNT, MailboxId(1))
asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def test_two_processes_on_one_account_lose_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{Path(posthouse.__file__).parents[1]}:{ROOT}"}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    running = [subprocess.Popen([*command, str(seed)], env=environment) for seed in (1, 2)]
    assert [process.wait() for process in running] == [0, 0]
    async with open_store(tmp_path) as store:
        snapshot = await store.messages.snapshot(ACCOUNT, INBOX)
        assert list(snapshot.uids) == list(range(1, 261))
        rows = await store.messages.load(ACCOUNT, INBOX, ALL, Fields.TEXTS)
        assert len({row.message.subject for row in rows if row.message}) == 200
    assert find_problems(tmp_path / "store") == []


async def test_a_refusal_does_not_undo_what_is_committed_with_it(store: SqliteStore) -> None:
    results = await asyncio.gather(
        store.messages.add(ACCOUNT, [make_addition(1)]),
        store.messages.add(ACCOUNT, [make_addition(2, MailboxId(99))]),
        store.mailboxes.create(ACCOUNT, "a"),
        store.mailboxes.create(ACCOUNT, "a"),
        store.mailboxes.create(ACCOUNT, "b"),
        return_exceptions=True,
    )
    assert [type(r) for r in (results[1], results[3])] == [NoSuchMailbox, MailboxExists]
    assert [m.name for m in await store.mailboxes.list_all(ACCOUNT)] == ["INBOX", "a", "b"]
    assert await uids(store) == [1]


async def test_another_process_that_changes_the_account_is_heard_of(tmp_path: Path) -> None:
    async with open_store(tmp_path) as one, open_store(tmp_path) as two:
        await one.ensure_account(ACCOUNT)
        told = asyncio.Event()
        subscription = one.changes.watch(ACCOUNT, told.set)
        one.changes.watch(OTHER, lambda: pytest.fail("nothing happened there"))
        await two.messages.add(ACCOUNT, [make_addition(1)])
        await asyncio.wait_for(told.wait(), 10)
        told.clear()
        await one.messages.add(ACCOUNT, [make_addition(2)])
        await asyncio.wait_for(told.wait(), 10)
        told.clear()
        one.hint([ACCOUNT])
        assert told.is_set()
        subscription.cancel()
        told.clear()
        one.hint([ACCOUNT])
        assert not told.is_set()


async def test_commits_tell_which_accounts_they_changed(store: SqliteStore) -> None:
    told: list[AccountId] = []
    store.on_commit = told.extend
    await store.messages.add(OTHER, [make_addition(1)])
    assert told == []  # nobody watches anything
    store.changes.watch(ACCOUNT, lambda: None)
    await store.messages.add(ACCOUNT, [make_addition(1)])
    await store.messages.add(OTHER, [make_addition(1)])
    assert told == [ACCOUNT, OTHER]


async def test_who_watches_in_another_process_is_told_of_commits(tmp_path: Path) -> None:
    told: list[AccountId] = []
    async with open_store(tmp_path) as one, open_store(tmp_path) as two:
        one.on_commit = told.extend
        await one.messages.add(ACCOUNT, [make_addition(1)])
        assert told == []
        two.changes.watch(OTHER, lambda: None)
        await one.messages.add(ACCOUNT, [make_addition(2)])
        assert told == [ACCOUNT]


# -- failing disks


async def test_after_a_failed_fsync_nothing_is_written_and_the_next_start_copies_what_was_durable(
    tmp_path: Path, recorder: Recorder
) -> None:
    async with open_store(tmp_path, files=HookedFiles(recorder)) as store, open_store(tmp_path) as other:
        await fill(store, 3)
        recorder.failing["db-sync"] = lying_fsync()
        with pytest.raises(StoreBroken):
            await store.messages.add(ACCOUNT, [make_addition(9)])
        recorder.failing.clear()
        for broken in (store, other):
            with pytest.raises(StoreBroken):
                await broken.messages.add(ACCOUNT, [make_addition(9)])
            with pytest.raises(StoreBroken):
                await broken.messages.expunge(ACCOUNT, INBOX)
        assert (await other.messages.snapshot(ACCOUNT, INBOX)).uids[:3].tolist() == [1, 2, 3]
        assert store.is_broken
        assert other.is_broken
    async with open_store(tmp_path) as store:
        assert (await uids(store))[:3] == [1, 2, 3]
        await store.messages.add(ACCOUNT, [make_addition(10)])
    assert find_problems(tmp_path / "store") == []


async def test_a_copy_that_was_interrupted_is_made_again_or_finished(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        await fill(store, 3)
    directory = tmp_path / "store"
    (directory / "0.fresh").write_bytes(b"half a copy")
    async with open_store(tmp_path) as store:
        assert await uids(store) == [1, 2, 3]
    assert not (directory / "0.fresh").exists()
    shutil.copy(directory / "0.db", directory / "0.copied")
    (directory / "0.db").write_bytes(b"suspect")
    (directory / "0.db-wal").write_bytes(b"never to be met by the copy")
    async with open_store(tmp_path) as store:
        assert await uids(store) == [1, 2, 3]
    assert not (directory / "0.copied").exists()


async def test_on_a_full_disk_nothing_is_added_and_everything_else_goes_on(tmp_path: Path, recorder: Recorder) -> None:
    clock, files = FakeClock(), HookedFiles(recorder)
    async with open_store(tmp_path, clock, files=files) as store:
        await fill(store, 3)
        recorder.failing["db-write"] = apsw.FullError("database or disk is full")
        with pytest.raises(StoreFull):
            await store.messages.add(ACCOUNT, [make_addition(9)])
        recorder.failing.clear()
        with pytest.raises(StoreFull):  # not asked again for a second
            await store.messages.add(ACCOUNT, [make_addition(9)])
        with pytest.raises(StoreFull):
            store.messages.open_body(ACCOUNT)
        await remove_all(store)
        clock.advance(2)
        await store.messages.add(ACCOUNT, [make_addition(10)])
        assert await uids(store) == [4]
    assert find_problems(tmp_path / "store") == []


async def test_a_body_whose_rename_or_directory_sync_fails_is_not_stored(tmp_path: Path, recorder: Recorder) -> None:
    async with open_store(tmp_path, files=HookedFiles(recorder)) as store:
        body = await put_body(store, make_octets(1, 50_000))
        recorder.failing["rename"] = OSError(5, "I/O error")
        with pytest.raises(StoreError):
            await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])
        recorder.failing.clear()
        assert await uids(store) == []
        recorder.failing["sync-directory"] = OSError(5, "I/O error")
        with pytest.raises(StoreBroken):
            await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])


# -- bodies


async def test_a_body_of_many_recipients_is_kept_once(store: SqliteStore) -> None:
    addition = make_addition(1, size=3000)
    await asyncio.gather(*[store.messages.add(AccountId(n), [addition]) for n in range(1, 51)])
    assert store.core.shards[0].watching.execute("SELECT count(*) FROM body").get == 1
    assert await store.blobs.read(AccountId(50), EmailId(1)) == addition.prefix + make_octets(1, 3000)


async def test_a_large_body_is_a_file_that_reads_like_any_other(store: SqliteStore, tmp_path: Path) -> None:
    octets = make_octets(1, 300_000)
    body = await put_body(store, octets)
    addition = make_addition(1, size=300_000, body=body)
    first, second = store.messages.add(ACCOUNT, [addition]), store.messages.add(OTHER, [addition])
    email = (await first)[0].email
    await second
    whole = addition.prefix + octets
    assert await store.blobs.read(ACCOUNT, email) == whole
    assert await store.blobs.read(ACCOUNT, email, 10, 20) == whole[10:30]
    assert await store.blobs.read(ACCOUNT, email, 250_000) == whole[250_000:]
    stored = store.blobs.body(ACCOUNT, email)
    assert stored.size == len(whole)
    assert await stored.read(5, 100_000) == whole[5:100_005]
    assert len(files_in(tmp_path / "store" / "0.bodies")) == 1
    assert files_in(tmp_path / "store" / "0.tmp") == []


async def test_a_body_is_removed_an_hour_after_its_last_reference(tmp_path: Path) -> None:
    clock = FakeClock()
    folder = tmp_path / "store" / "0.bodies"
    async with open_store(tmp_path, clock) as store:
        body = await put_body(store, make_octets(1, 50_000))
        await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])
        await store.messages.add(ACCOUNT, [make_addition(2)])
        await remove_all(store)
        await store.purge(clock.now())
        assert len(files_in(folder)) == 1  # for undelete
        clock.advance(15 * DAY)
        await store.purge(clock.now())
        assert len(files_in(folder)) == 1  # for an hour
        clock.advance(HOUR + 1)
        await store.purge(clock.now())
        assert files_in(folder) == []
        assert store.core.shards[0].watching.execute("SELECT count(*) FROM body").get == 0
    assert find_problems(tmp_path / "store") == []


async def test_a_body_that_is_wanted_again_within_the_hour_stays(tmp_path: Path) -> None:
    clock = FakeClock()
    async with open_store(tmp_path, clock) as store:
        await store.messages.add(ACCOUNT, [make_addition(1)])
        await remove_all(store)
        clock.advance(15 * DAY)
        await store.purge(clock.now())
        (added,) = await store.messages.add(ACCOUNT, [make_addition(1)])
        clock.advance(2 * HOUR)
        await store.purge(clock.now())
        assert (await store.blobs.read(ACCOUNT, added.email)).endswith(make_octets(1))


async def test_no_body_is_removed_while_a_snapshot_from_before_an_upgrade_exists(tmp_path: Path) -> None:
    clock = FakeClock()
    snapshot = tmp_path / "store" / "0.db.before-2"
    async with open_store(tmp_path, clock) as store:
        body = await put_body(store, make_octets(1, 50_000))
        await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])
        await remove_all(store)
        snapshot.write_bytes(b"")
        for _ in range(2):
            clock.advance(15 * DAY)
            await store.purge(clock.now())
        assert len(files_in(tmp_path / "store" / "0.bodies")) == 1
        snapshot.unlink()
        await store.purge(clock.now())
        assert files_in(tmp_path / "store" / "0.bodies") == []


async def test_files_without_a_row_are_swept_and_others_are_not(store: SqliteStore, tmp_path: Path) -> None:
    body = await put_body(store, make_octets(1, 50_000))
    await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])
    folder = tmp_path / "store" / "0.bodies"
    orphan = folder / "ab" / ("ab" * 32)
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_bytes(b"x")
    strange = folder / "ab" / "README"
    strange.write_bytes(b"not ours")
    await store.purge(store.core.clock.now())
    assert not orphan.exists()
    assert len(files_in(folder)) == 2
    strange.unlink()


async def test_half_written_bodies_go_at_the_next_start(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        writer = store.messages.open_body(ACCOUNT)
        await writer.write(b"x" * 300_000)
        assert len(files_in(tmp_path / "store" / "0.tmp")) == 1
    async with open_store(tmp_path) as store:
        assert files_in(tmp_path / "store" / "0.tmp") == []


async def test_a_body_of_another_account_is_not_found(store: SqliteStore) -> None:
    await fill(store, 2)
    await store.ensure_account(OTHER)
    with pytest.raises(NoSuchMailbox):
        await store.blobs.read(OTHER, EmailId(1))
    assert await store.blobs.read_many(OTHER, [EmailId(1), EmailId(2)]) == [None, None]
    with pytest.raises(NoSuchMailbox):
        store.blobs.body(OTHER, EmailId(1))


async def test_a_body_that_is_gone_for_good_is_an_error_and_not_an_empty_message(
    tmp_path: Path,
) -> None:
    async with open_store(tmp_path) as store:
        body = await put_body(store, make_octets(1, 50_000))
        (added,) = await store.messages.add(ACCOUNT, [make_addition(1, size=50_000, body=body)])
        (name,) = (tmp_path / "store" / "0.bodies").rglob("*" * 1 + "?" * 63)
        name.unlink()
        with pytest.raises(StoreError):
            await store.blobs.read(ACCOUNT, added.email)
        with pytest.raises(SpoolError):
            await store.blobs.body(ACCOUNT, added.email).read(0, 1000)
    assert len(find_problems(tmp_path / "store")) == 1


# -- upgrades


async def test_a_shard_of_a_newer_program_is_refused_by_name(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        pass
    connection = apsw.Connection(str(tmp_path / "store" / "0.db"))
    connection.pragma("user_version", 99)
    connection.close()
    with pytest.raises(StoreError, match="newer version"):
        async with open_store(tmp_path):
            pytest.fail("opened")


def make_old_database(path: Path) -> str:
    """A spool's, because its schema has had a second step."""
    name = str(path / "spool-1.db")
    first = resources.files("posthouse.adapters.sqlite") / "migrations" / "spool_0001.sql"
    connection = apsw.Connection(name)
    connection.pragma("auto_vacuum", 2)
    connection.execute(first.read_text("utf-8"))
    connection.pragma("user_version", 1)
    connection.execute("INSERT INTO site VALUES ('mx.example', 1.0, 1, 'refused')")
    connection.close()
    return name


def test_an_upgrade_without_room_for_its_snapshot_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    name = make_old_database(tmp_path)
    with pytest.raises(DatabaseRefused, match="make room"):
        open_database(name, "spool", room=lambda path: 1000)
    connection = apsw.Connection(name)
    assert connection.pragma("user_version") == 1
    connection.close()
    assert files_in(tmp_path) == ["spool-1.db"]


def test_an_upgrade_leaves_a_snapshot_of_what_was_there(tmp_path: Path) -> None:
    name = make_old_database(tmp_path)
    open_database(name, "spool").close()
    (snapshot,) = (n for n in files_in(tmp_path) if "before" in n)
    connection = apsw.Connection(str(tmp_path / snapshot))
    assert connection.pragma("user_version") == 1
    assert connection.execute("SELECT site FROM site").get == "mx.example"
    connection.close()


# -- figures


async def test_figures_are_told_per_shard(tmp_path: Path) -> None:
    async with open_store(tmp_path, shards=2) as store:
        await store.messages.add(ACCOUNT, [make_addition(1, Role.SENT)])
        even, odd = store.figures()
        assert (even["commits"], odd["commits"]) == (0, 1)
        assert odd["wal_octets"] > 0
        assert odd["broken"] == 0
        assert Uid(1) in (await store.messages.snapshot(ACCOUNT, MailboxId(2))).uids
