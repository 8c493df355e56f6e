"""Records of accounts on SQLite, beyond what every store does: what is left of those that went, and erasing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.message.mailbox import ModSeq
from posthouse.ports.clock import FakeClock
from posthouse.ports.records import RecordEdit, RecordId
from tests.adapters.store_messages import ACCOUNT, OTHER, find_problems, open_store

DAY = 86_400.0
REMOVED = "SELECT count(*) FROM record WHERE value IS NULL"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[SqliteStore]:
    async with open_store(tmp_path, clock=clock) as opened:
        yield opened
    assert find_problems(tmp_path / "store") == []


async def count(store: SqliteStore, sql: str) -> int:
    found = await store.core.shards[0].readers.run(lambda connection: connection.execute(sql).get)
    return int(str(found))


async def test_of_removed_records_the_last_of_each_kind_is_kept_when_changes_are_forgotten(store: SqliteStore) -> None:
    for kind in ("note", "search"):
        await store.records.edit(ACCOUNT, kind, [RecordEdit({})] * 4)
        await store.records.edit(ACCOUNT, kind, [RecordEdit(None, RecordId(number)) for number in (1, 2, 4)])
    assert await count(store, REMOVED) == 6
    await store.forget_changes(ACCOUNT, await store.changes.modseq(ACCOUNT))
    assert await count(store, REMOVED) == 2
    assert [record.id for record in await store.records.list_all(ACCOUNT, "note")] == [3]
    [made] = await store.records.edit(ACCOUNT, "note", [RecordEdit({})])
    assert made is not None
    assert made.id == 5


async def test_a_purge_forgets_old_removals_of_accounts_with_long_histories(
    store: SqliteStore, clock: FakeClock
) -> None:
    store.core.options = replace(store.core.options, kept_changes=10)
    for _ in range(20):
        [made] = await store.records.edit(ACCOUNT, "note", [RecordEdit({})])
        assert made is not None
        await store.records.edit(ACCOUNT, "note", [RecordEdit(None, made.id)])
    await store.purge(clock.now())
    assert await count(store, REMOVED) == 5
    assert not (await store.records.changes(ACCOUNT, "note", ModSeq(1))).is_complete


async def test_erasing_an_account_takes_its_records_and_whom_it_answered(store: SqliteStore, clock: FakeClock) -> None:
    for account in (ACCOUNT, OTHER):
        await store.records.edit(account, "note", [RecordEdit({}), RecordEdit({}, due=5.0)])
        await store.records.edit(account, "note", [RecordEdit(None, RecordId(1))])
        await store.answered.claim(account, b"ann", clock.now(), clock.now() + 100 * DAY)
    await store.remove_account(ACCOUNT)
    assert [item.account for item in await store.records.due(10.0, 9)] == [OTHER]
    clock.advance(15 * DAY)
    await store.purge(clock.now())
    assert await count(store, "SELECT count(DISTINCT account) FROM record") == 1
    assert await count(store, "SELECT count(*) FROM answered") == 1


async def test_who_was_answered_long_ago_is_forgotten(store: SqliteStore, clock: FakeClock) -> None:
    for number in range(3):
        await store.answered.claim(ACCOUNT, b"%d" % number, clock.now(), clock.now() + number * DAY + 1)
    clock.advance(DAY)
    await store.purge(clock.now())
    assert await count(store, "SELECT count(*) FROM answered") == 2
