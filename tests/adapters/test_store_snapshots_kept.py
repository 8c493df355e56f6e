"""Compact arrays that the store on SQLite keeps and patches: always what a new look at the database would give."""

from __future__ import annotations

from pathlib import Path

import pytest

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.store_snapshots import Snapshots
from posthouse.message.mailbox import Flag, MailboxId, Snapshot, UidRange, UidSet
from posthouse.ports.clock import FakeClock
from posthouse.ports.store import FlagEdit, FlagMode
from tests.adapters.store_messages import ACCOUNT, ALL, fill, open_store

INBOX = MailboxId(1)
SCATTERED = tuple(UidRange(uid, uid) for uid in range(2, 60, 3))


async def look(store: SqliteStore) -> Snapshot:
    return await store.messages.snapshot(ACCOUNT, INBOX)


async def read_anew(store: SqliteStore) -> Snapshot:
    return await Snapshots(store.core).get(ACCOUNT, INBOX, None)


@pytest.mark.parametrize("uids", [ALL, (UidRange(3, 9),), (UidRange(3, 9), UidRange(50, 2**32 - 1)), SCATTERED])
@pytest.mark.parametrize("mode", FlagMode)
async def test_flags_that_were_set_are_patched_as_they_were_written(
    tmp_path: Path, uids: UidSet, mode: FlagMode
) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 60)
        some = (UidRange(1, 20),)
        await store.messages.set_flags(ACCOUNT, INBOX, some, FlagEdit(FlagMode.ADD, frozenset({"\\Seen", "lunch"})))
        await look(store)
        edit = FlagEdit(mode, frozenset({"\\Deleted", "\\Seen"}))
        result = await store.messages.set_flags(ACCOUNT, INBOX, uids, edit)
        kept = await look(store)
        assert kept == await read_anew(store)
        changed = [uid for uid, modseq in zip(kept.uids, kept.modseqs, strict=True) if modseq == result.modseq]
        assert [uid for uid in kept.uids if any(r.low <= uid <= r.high for r in result.changed)] == changed
        mailbox = await store.mailboxes.get(ACCOUNT, INBOX)
        assert mailbox.deleted == sum(bool(flags & Flag.DELETED) for flags in kept.flags)
        assert mailbox.unseen == sum(not flags & (Flag.DELETED | Flag.SEEN) for flags in kept.flags)


async def test_a_patch_of_another_state_is_passed_over(tmp_path: Path) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 5)
        kept = await look(store)
        store._snapshots.apply([FlagsPatch(ACCOUNT, INBOX, kept.highest - 1, kept.modseq + 1, ALL, 2, -1)])
        assert await look(store) is kept


async def test_a_change_elsewhere_in_the_account_gives_the_same_arrays(tmp_path: Path) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 5)
        kept = await look(store)
        await store.mailboxes.create(ACCOUNT, "Work")
        fresh = await look(store)
        assert (fresh.modseq > kept.modseq, fresh.uids is kept.uids, fresh.flags is kept.flags) == (True, True, True)


async def test_many_changes_at_once_are_found_as_few_are(tmp_path: Path) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 5)
        await look(store)
        for count in (1, 300):
            await fill(store, count)
            assert await look(store) == await read_anew(store)
