"""Records of accounts, and whom they have answered (docs/internals.md "A record").

A removed record leaves its row without a value until changes are forgotten; of each kind the last one stays for ever,
so that no id comes back. Each edit leaves a row of `change`, which is what limits how many removed ones there can be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_book import RECORDS_CHANGED
from posthouse.adapters.sqlite.store_changes import read_horizon
from posthouse.adapters.sqlite.store_reader import read_modseq
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, read_number, select_numbers
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports.answered import MAX_ANSWERED
from posthouse.ports.records import (
    MAX_RECORDS,
    NEW,
    DueRecord,
    Record,
    RecordChanges,
    RecordEdit,
    RecordId,
    read_value,
    write_value,
)
from posthouse.ports.store_errors import TooMany

_COLUMNS = "record, value, created, changed, ifnull(due, 0)"
_KIND = "account = ? AND kind = ?"
_OLD = "SELECT created FROM record WHERE account = ? AND kind = ? AND record = ? AND value IS NOT NULL"
_DUE = f"""SELECT account, kind, {_COLUMNS} FROM record r WHERE due <= ?
    AND EXISTS (SELECT 1 FROM account a WHERE a.account = r.account AND a.removed IS NULL) ORDER BY due LIMIT ?"""
_WITH = """SELECT DISTINCT account AS n FROM record r WHERE kind = ? AND value IS NOT NULL
    AND EXISTS (SELECT 1 FROM account a WHERE a.account = r.account AND a.removed IS NULL)"""
_FORGET = """DELETE FROM record AS r WHERE account = ? AND value IS NULL AND changed <= ?
    AND record < (SELECT max(record) FROM record o WHERE o.account = r.account AND o.kind = r.kind)"""
_END_OF_TIME = 9e12  # seconds; in microseconds it fits SQLite's integers, which infinity does not

_Row = tuple[int, bytes, int, int, int]
_Written = tuple[RecordId, bytes | None, int | None]  # id, value, due


class SqliteRecords:
    """A `ports.records.Records`."""

    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def list_all(self, account: AccountId, kind: str) -> list[Record]:
        return await self._core.read(account, _read_all, kind)

    async def get(self, account: AccountId, kind: str, ids: Sequence[RecordId]) -> list[Record]:
        found = {record.id: record for record in await self._core.read(account, _read_some, kind, ids)}
        return [found[number] for number in ids if number in found]

    async def edit(self, account: AccountId, kind: str, edits: Sequence[RecordEdit]) -> list[Record | None]:
        written = [_write_edit(edit) for edit in edits]
        return await self._core.write(account, partial(_edit, kind=kind, edits=written))

    async def changes(self, account: AccountId, kind: str, since: ModSeq) -> RecordChanges:
        return await self._core.read(account, _read_changes, kind, since)

    async def kinds_changed(self, account: AccountId, since: ModSeq) -> set[str]:
        return await self._core.read(account, _read_kinds, since)

    async def accounts_with(self, kind: str) -> set[AccountId]:
        found: list[int] = []
        for shard in self._core.shards:
            found += await shard.readers.run(select_numbers, _WITH, (kind,))
        return set(map(AccountId, found))

    async def due(self, now: float, limit: int) -> list[DueRecord]:
        found: list[DueRecord] = []
        for shard in self._core.shards:
            found += await shard.readers.run(_read_due, _as_us(now), limit)
        return sorted(found, key=lambda item: item.record.due)[:limit]


class SqliteAnswered:
    """A `ports.answered.Answered`."""

    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def claim(self, account: AccountId, key: bytes, now: float, expires: float) -> bool:
        times = (_as_us(now), _as_us(expires))
        return await self._core.write(account, lambda unit: _claim(unit, key, *times))

    async def release(self, account: AccountId, key: bytes) -> None:
        await self._core.write(account, lambda unit: _release(unit, key))


def _as_us(seconds: float) -> int:
    return int(min(seconds, _END_OF_TIME) * 1e6)


def _write_edit(edit: RecordEdit) -> _Written:
    if edit.value is None:
        return edit.id, None, None
    return edit.id, write_value(edit.value), _as_us(edit.due) if edit.due > 0 else None


def _as_record(number: int, value: bytes, created: int, changed: int, due: int) -> Record:
    return Record(RecordId(number), read_value(value), ModSeq(created), ModSeq(changed), due / 1e6)


# Reading.


def _read_all(connection: apsw.Connection, account: AccountId, kind: str) -> list[Record]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM record WHERE {_KIND} AND value IS NOT NULL ORDER BY record", (account, kind)
    )
    return [_as_record(*row) for row in cast("list[_Row]", rows.fetchall())]


def _read_some(connection: apsw.Connection, account: AccountId, kind: str, ids: Sequence[RecordId]) -> list[Record]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM record WHERE {_KIND} AND record {IN_LIST} AND value IS NOT NULL",
        (account, kind, numbers_json(ids)),
    )
    return [_as_record(*row) for row in cast("list[_Row]", rows.fetchall())]


def _read_changes(connection: apsw.Connection, account: AccountId, kind: str, since: ModSeq) -> RecordChanges:
    changes = RecordChanges(read_modseq(connection, account))
    if since > changes.modseq or since < read_horizon(connection, account):
        changes.is_complete = False
        return changes
    rows = connection.execute(
        f"SELECT record, created, value IS NULL FROM record WHERE {_KIND} AND changed > ? ORDER BY record",
        (account, kind, since),
    )
    for number, created, is_gone in cast("list[tuple[int, int, int]]", rows.fetchall()):
        if not is_gone:
            (changes.created if created > since else changes.updated).append(RecordId(number))
        elif created <= since:
            changes.destroyed.append(RecordId(number))
    return changes


def _read_kinds(connection: apsw.Connection, account: AccountId, since: ModSeq) -> set[str]:
    after = since if since >= read_horizon(connection, account) else -1
    rows = connection.execute("SELECT DISTINCT kind FROM record WHERE account = ? AND changed > ?", (account, after))
    return {kind for (kind,) in cast("list[tuple[str]]", rows.fetchall())}


def _read_due(connection: apsw.Connection, now_us: int, limit: int) -> list[DueRecord]:
    rows = cast(
        "list[tuple[int, str, int, bytes, int, int, int]]", connection.execute(_DUE, (now_us, limit)).fetchall()
    )
    return [DueRecord(AccountId(account), kind, _as_record(*rest)) for account, kind, rest in map(_split, rows)]


def _split(row: tuple[int, str, int, bytes, int, int, int]) -> tuple[int, str, _Row]:
    return row[0], row[1], row[2:]


# Writing.


def _edit(unit: Unit, kind: str, edits: Sequence[_Written]) -> list[Record | None]:
    made = [_edit_one(unit, kind, *edit) for edit in edits]
    count = sum(record is not None for record, _ in made) + sum(is_gone for _, is_gone in made)
    if any(number == NEW for number, _, _ in edits) and _count(unit, kind) > MAX_RECORDS:
        raise TooMany(f"records: at most {MAX_RECORDS} of a kind")
    if count:
        unit.book.note(unit.state, unit.modseq, RECORDS_CHANGED, 0, ((1, count),))
    return [record for record, _ in made]


def _edit_one(
    unit: Unit, kind: str, number: RecordId, value: bytes | None, due: int | None
) -> tuple[Record | None, bool]:
    """What it is now, and whether it went."""
    key = (unit.account, kind)
    if number == NEW:
        if value is None:
            return None, False
        last = read_number(unit.connection, f"SELECT max(record) FROM record WHERE {_KIND}", key)
        number, created = RecordId((last or 0) + 1), unit.modseq
    else:
        old = read_number(unit.connection, _OLD, (*key, number))
        if old is None:
            return None, False
        created = old
    unit.connection.execute(
        "REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", (*key, number, value, created, unit.modseq, due)
    )
    if value is None:
        return None, True
    return _as_record(number, value, created, unit.modseq, due or 0), False


def _count(unit: Unit, kind: str) -> int:
    sql = f"SELECT count(*) FROM record WHERE {_KIND} AND value IS NOT NULL"
    return read_number(unit.connection, sql, (unit.account, kind)) or 0


def _claim(unit: Unit, key: bytes, now_us: int, expires_us: int) -> bool:
    account = (unit.account,)
    unit.connection.execute("DELETE FROM answered WHERE account = ? AND expires <= ?", (*account, now_us))
    count = read_number(unit.connection, "SELECT count(*) FROM answered WHERE account = ?", account) or 0
    if count >= MAX_ANSWERED:
        return False
    unit.connection.execute("INSERT OR IGNORE INTO answered VALUES (?, ?, ?)", (*account, key, expires_us))
    return unit.connection.changes() > 0


def _release(unit: Unit, key: bytes) -> None:
    unit.connection.execute("DELETE FROM answered WHERE account = ? AND sender = ?", (unit.account, key))


# Ends.


def forget_removed(unit: Unit, until: int) -> None:
    """Those removed up to that modseq, of which nobody can ask any more."""
    unit.connection.execute(_FORGET, (unit.account, until))


def forget_answered(unit: Unit, now_us: int) -> None:
    unit.connection.execute("DELETE FROM answered WHERE expires <= ?", (now_us,))
