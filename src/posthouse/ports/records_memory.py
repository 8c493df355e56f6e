"""Records of the store's fake. They live and go with the accounts of `store_memory.MemoryStore`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from posthouse.message.mailbox import AccountId, ModSeq
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
from posthouse.ports.store_memory_mailboxes import Reading
from posthouse.ports.store_memory_state import AccountState, KeptRecord, KeptRecords


class MemoryRecords:
    def __init__(self, read: Reading, write: Reading, accounts: Mapping[AccountId, AccountState]) -> None:
        self._read, self._write, self._accounts = read, write, accounts

    async def list_all(self, account: AccountId, kind: str) -> list[Record]:
        rows = _rows(self._read(account), kind)
        return [_as_record(number, row) for number, row in rows.items() if row.octets is not None]

    async def get(self, account: AccountId, kind: str, ids: Sequence[RecordId]) -> list[Record]:
        found = {record.id: record for record in await self.list_all(account, kind)}
        return [found[number] for number in ids if number in found]

    async def edit(self, account: AccountId, kind: str, edits: Sequence[RecordEdit]) -> list[Record | None]:
        written = [None if edit.value is None else write_value(edit.value) for edit in edits]
        state = self._write(account)
        rows = dict(_rows(state, kind))
        modseq = ModSeq(state.modseq + 1)
        ids = [_apply(rows, edit, octets, modseq) for edit, octets in zip(edits, written, strict=True)]
        if any(edit.id == NEW for edit in edits) and sum(row.octets is not None for row in rows.values()) > MAX_RECORDS:
            raise TooMany(f"records: at most {MAX_RECORDS} of a kind")
        if any(row.changed == modseq for row in rows.values()):
            state.begin()
            state.kept[kind] = rows
        return [None if (row := rows.get(n)) is None or row.octets is None else _as_record(n, row) for n in ids]

    async def changes(self, account: AccountId, kind: str, since: ModSeq) -> RecordChanges:
        state = self._read(account)
        changes = RecordChanges(state.modseq, is_complete=state.horizon <= since <= state.modseq)
        if not changes.is_complete:
            return changes
        for number, row in _rows(state, kind).items():
            if row.changed <= since:
                continue
            if row.octets is None:
                if row.created <= since:
                    changes.destroyed.append(RecordId(number))
            else:
                (changes.created if row.created > since else changes.updated).append(RecordId(number))
        return changes

    async def kinds_changed(self, account: AccountId, since: ModSeq) -> set[str]:
        state = self._read(account)
        is_known = since >= state.horizon
        return {
            kind
            for kind, rows in state.kept.items()
            if not is_known or any(row.changed > since for row in rows.values())
        }

    async def accounts_with(self, kind: str) -> set[AccountId]:
        return {
            account
            for account in list(self._accounts)
            if any(row.octets is not None for row in _rows(self._read(account), kind).values())
        }

    async def due(self, now: float, limit: int) -> list[DueRecord]:
        found = [
            DueRecord(account, kind, _as_record(number, row))
            for account in list(self._accounts)
            for kind, rows in self._read(account).kept.items()
            for number, row in rows.items()
            if row.octets is not None and 0 < row.due <= now
        ]
        return sorted(found, key=lambda item: item.record.due)[:limit]


def _rows(state: AccountState, kind: str) -> KeptRecords:
    return state.kept.get(kind, {})


def _apply(rows: KeptRecords, edit: RecordEdit, octets: bytes | None, modseq: ModSeq) -> int:
    if edit.id == NEW:
        number = max(rows, default=0) + 1
        if octets is not None:
            rows[number] = KeptRecord(octets, modseq, modseq, edit.due)
        return number
    old = rows.get(edit.id)
    if old is not None and old.octets is not None:
        rows[edit.id] = replace(old, octets=octets, changed=modseq, due=edit.due if octets is not None else 0.0)
    return edit.id


def _as_record(number: int, row: KeptRecord) -> Record:
    return Record(RecordId(number), read_value(row.octets or b"{}"), row.created, row.changed, row.due)
