"""The failures that the store's fake can be told to have."""

from __future__ import annotations

import pytest

from posthouse.ports.clock import FakeClock
from posthouse.ports.store import Fields, FlagEdit, FlagMode, StoreBroken, StoreError
from posthouse.ports.store_memory import MemoryStore
from tests.conformance.store_kit import ALICE, EVERY, make_addition


async def test_a_broken_store_changes_nothing_and_still_reads() -> None:
    store = MemoryStore(FakeClock())
    (added,) = await store.messages.add(ALICE, [make_addition()])
    store.broken = True
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
    with pytest.raises(StoreBroken):
        await store.messages.add(ALICE, [make_addition()])
    with pytest.raises(StoreBroken):
        await store.messages.set_flags(ALICE, added.mailboxes[0], EVERY, edit)
    with pytest.raises(StoreBroken):
        await store.mailboxes.create(ALICE, "new")
    with pytest.raises(StoreBroken):
        store.messages.open_body(ALICE)
    (row,) = await store.messages.load(ALICE, added.mailboxes[0], EVERY, Fields.DATES)
    assert row.size == added.size


async def test_a_store_that_cannot_now_says_so_to_everybody() -> None:
    store = MemoryStore(FakeClock())
    store.error = StoreError("busy")
    for call in (store.mailboxes.list_all(ALICE), store.changes.modseq(ALICE), store.quotas.usage(ALICE)):
        with pytest.raises(StoreError):
            await call
    store.error = None
    assert len(await store.mailboxes.list_all(ALICE)) == 1


async def test_the_record_of_changes_is_bounded() -> None:
    store = MemoryStore(FakeClock(), max_records=5)
    (first,) = await store.messages.add(ALICE, [make_addition()])
    added = [await store.messages.add(ALICE, [make_addition()]) for _ in range(6)]
    assert not (await store.changes.in_account(ALICE, first.modseq)).is_complete
    assert (await store.changes.in_account(ALICE, added[-1][0].modseq)).is_complete
