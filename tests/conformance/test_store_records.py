"""What every store does with the small things an account keeps beside its mail, and with whom it has answered."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports import answered, records
from posthouse.ports.records import NEW, DueRecord, Record, RecordEdit, RecordId
from posthouse.ports.store import NoSuchAccount, TooMany
from tests.conformance.store_kit import ALICE, BOB, Office


async def make(office: Office, *values: object, kind: str = "note", account: AccountId = ALICE) -> list[Record]:
    made = await office.records.edit(account, kind, [RecordEdit({"text": value}) for value in values])
    return [record for record in made if record is not None]


async def ids(office: Office, kind: str = "note", account: AccountId = ALICE) -> list[int]:
    return [record.id for record in await office.records.list_all(account, kind)]


async def test_what_was_kept_is_read_again(office: Office) -> None:
    value = {"name": "Zürich \U0001f4ee", "list": [1, None, {"deep": True}], "number": 1.5}
    [made] = await office.records.edit(ALICE, "note", [RecordEdit(value, due=1_700_000_000.25)])
    assert made is not None
    assert (made.value, made.due, made.created) == (value, 1_700_000_000.25, made.changed)
    assert await office.records.list_all(ALICE, "note") == [made]
    assert await office.store.changes.modseq(ALICE) == made.changed


async def test_records_belong_to_their_account_and_kind(office: Office) -> None:
    await make(office, "one", "two")
    await make(office, "other", kind="search")
    assert await ids(office) == [1, 2]
    assert await ids(office, "search") == [1]
    assert await ids(office, account=BOB) == []
    assert await office.records.get(BOB, "note", [RecordId(1)]) == []


async def test_ids_asked_for_come_in_their_order_without_those_that_are_not_there(office: Office) -> None:
    await make(office, "one", "two", "three")
    found = await office.records.get(ALICE, "note", [RecordId(3), RecordId(9), RecordId(1)])
    assert [record.value["text"] for record in found] == ["three", "one"]


async def test_an_id_never_comes_back_even_after_changes_were_forgotten(office: Office) -> None:
    await make(office, "one", "two")
    removed = [RecordEdit(None, RecordId(number)) for number in (1, 2)]
    assert await office.records.edit(ALICE, "note", removed) == [None, None]
    await office.mailbox()
    await office.control.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    assert [record.id for record in await make(office, "three")] == [3]


async def test_edits_come_together_in_one_change(office: Office) -> None:
    await make(office, "one", "two")
    before = await office.store.changes.modseq(ALICE)
    edits = [
        RecordEdit({"text": "new"}),
        RecordEdit({"text": "1"}, RecordId(1)),
        RecordEdit(None, RecordId(2)),
        RecordEdit({"text": "?"}, RecordId(77)),
    ]
    made, changed, removed, missing = await office.records.edit(ALICE, "note", edits)
    assert made is not None
    assert changed is not None
    assert (removed, missing) == (None, None)
    assert made.changed == changed.changed == before + 1
    assert changed.created < changed.changed
    assert await ids(office) == [1, 3]


async def test_a_record_that_went_is_not_written_again(office: Office) -> None:
    [made] = await make(office, "one")
    await office.records.edit(ALICE, "note", [RecordEdit(None, made.id)])
    before = await office.store.changes.modseq(ALICE)
    assert await office.records.edit(ALICE, "note", [RecordEdit({}, made.id), RecordEdit(None, made.id)]) == [None] * 2
    assert await office.store.changes.modseq(ALICE) == before


async def test_changes_tell_what_was_made_changed_and_removed(office: Office) -> None:
    await make(office, "stays", "changes", "goes")
    since = await office.store.changes.modseq(ALICE)
    await make(office, "comes", "passes")
    edits = [RecordEdit({}, RecordId(2)), RecordEdit(None, RecordId(3)), RecordEdit(None, RecordId(5))]
    await office.records.edit(ALICE, "note", edits)
    changes = await office.records.changes(ALICE, "note", since)
    assert (changes.created, changes.updated, changes.destroyed) == ([4], [2], [3])
    assert changes.is_complete
    assert changes.modseq == await office.store.changes.modseq(ALICE)
    later = await office.records.changes(ALICE, "note", changes.modseq)
    assert (later.created, later.updated, later.destroyed) == ([], [], [])


async def test_changes_of_too_long_ago_or_of_the_future_are_not_told(office: Office) -> None:
    await make(office, "one")
    await make(office, "two")
    now = await office.store.changes.modseq(ALICE)
    await office.control.forget_changes(ALICE, now)
    assert not (await office.records.changes(ALICE, "note", ModSeq(0))).is_complete
    assert not (await office.records.changes(ALICE, "note", ModSeq(now + 1))).is_complete
    assert (await office.records.changes(ALICE, "note", now)).is_complete


async def test_kinds_that_changed_are_named(office: Office) -> None:
    await make(office, "one", "two")
    await make(office, "three", kind="search")
    since = await office.store.changes.modseq(ALICE)
    assert await office.records.kinds_changed(ALICE, since) == set()
    await office.records.edit(ALICE, "note", [RecordEdit(None, RecordId(1))])
    assert await office.records.kinds_changed(ALICE, since) == {"note"}
    await office.mailbox()
    await office.control.forget_changes(ALICE, await office.store.changes.modseq(ALICE))
    assert await office.records.kinds_changed(ALICE, ModSeq(0)) == {"note", "search"}


async def test_who_watches_hears_of_a_record(office: Office) -> None:
    told = asyncio.Event()
    watch = office.store.changes.watch(ALICE, told.set)
    await make(office, "one")
    await asyncio.wait_for(told.wait(), 5)
    watch.cancel()


async def test_records_that_are_due_are_found_over_all_accounts_the_earliest_first(office: Office) -> None:
    [late] = await office.records.edit(ALICE, "note", [RecordEdit({}, due=300.0)])
    [early] = await office.records.edit(BOB, "search", [RecordEdit({}, due=100.0)])
    await office.records.edit(BOB, "note", [RecordEdit({}, due=301.0), RecordEdit({})])
    assert early is not None
    assert late is not None
    expected = [DueRecord(BOB, "search", early), DueRecord(ALICE, "note", late)]
    assert await office.records.due(300.0, 10) == expected
    assert await office.records.due(300.0, 1) == expected[:1]
    assert await office.records.due(99.0, 10) == []


async def test_accounts_that_have_a_kind_are_found(office: Office) -> None:
    await make(office, "one", "two")
    [made] = await make(office, "x", kind="search", account=BOB)
    assert await office.records.accounts_with("note") == {ALICE}
    assert await office.records.accounts_with("search") == {BOB}
    await office.records.edit(BOB, "search", [RecordEdit(None, made.id)])
    await office.control.remove_account(ALICE)
    assert await office.records.accounts_with("search") == await office.records.accounts_with("note") == set()


async def test_what_was_removed_or_put_off_is_not_due(office: Office) -> None:
    first, second = await make(office, "one", "two")
    await office.records.edit(ALICE, "note", [RecordEdit({}, first.id, due=5.0), RecordEdit({}, second.id, due=5.0)])
    await office.records.edit(ALICE, "note", [RecordEdit(None, first.id), RecordEdit({}, second.id)])
    assert await office.records.due(1e9, 10) == []


async def test_records_of_a_removed_account_are_neither_read_nor_due(office: Office) -> None:
    await office.records.edit(ALICE, "note", [RecordEdit({}, due=5.0)])
    await office.control.remove_account(ALICE)
    assert await office.records.due(10.0, 10) == []
    with pytest.raises(NoSuchAccount):
        await office.records.list_all(ALICE, "note")
    with pytest.raises(NoSuchAccount):
        await make(office, "two")


async def test_too_many_or_too_large_leaves_everything_as_it_was(office: Office) -> None:
    most = records.MAX_RECORDS
    await make(office, *range(most - 1))
    before = await office.store.changes.modseq(ALICE)
    with pytest.raises(TooMany):
        await make(office, "the last", "one more")
    with pytest.raises(TooMany):
        await office.records.edit(ALICE, "note", [RecordEdit({"a": "1"}, RecordId(1)), RecordEdit({"a": "x" * 70_000})])
    assert await office.store.changes.modseq(ALICE) == before
    assert len(await ids(office)) == most - 1
    await office.records.edit(ALICE, "note", [RecordEdit(None, RecordId(1)), *[RecordEdit({}, NEW)] * 2])
    assert len(await ids(office)) == most


async def test_records_are_kept_on_a_full_disk(office: Office) -> None:
    office.control.set_full(True)
    assert len(await make(office, "one")) == 1


async def test_somebody_is_answered_once_until_it_is_forgotten(office: Office) -> None:
    claim = office.answered.claim
    assert await claim(ALICE, b"ann", 1000.0, 2000.0)
    assert not await claim(ALICE, b"ann", 1500.0, 2500.0)
    assert await claim(ALICE, b"bob", 1500.0, 2500.0)
    assert await claim(BOB, b"ann", 1500.0, 2500.0)
    assert await claim(ALICE, b"ann", 2000.0, 3000.0)


async def test_of_two_who_would_answer_at_once_one_does(office: Office) -> None:
    claims = [office.answered.claim(ALICE, b"ann", 1000.0, 2000.0) for _ in range(5)]
    assert sorted(await asyncio.gather(*claims)) == [False] * 4 + [True]


async def test_an_answer_that_could_not_be_sent_may_be_sent_again(office: Office) -> None:
    assert await office.answered.claim(ALICE, b"ann", 1000.0, 2000.0)
    await office.answered.release(ALICE, b"ann")
    assert await office.answered.claim(ALICE, b"ann", 1000.0, 2000.0)


async def test_answering_is_no_change_of_the_account(office: Office) -> None:
    before = await office.store.changes.modseq(ALICE)
    await office.answered.claim(ALICE, b"ann", 1000.0, 2000.0)
    assert await office.store.changes.modseq(ALICE) == before


async def test_nobody_more_is_answered_beyond_the_limit(office: Office) -> None:
    most = answered.MAX_ANSWERED
    await asyncio.gather(*[office.answered.claim(ALICE, b"%d" % n, 1000.0, 2000.0) for n in range(most)])
    assert not await office.answered.claim(ALICE, b"one more", 1000.0, 2000.0)
    assert await office.answered.claim(ALICE, b"one more", 2000.0, 3000.0)
