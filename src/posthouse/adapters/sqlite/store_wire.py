"""Columns of emails as IMAP sends them: one join, plain tuples, and those read once kept for the next time.

An email never changes, and a UID never means another email, so that rows are good for as long as their placement is
there; that is what the snapshot is asked for. A thread may change, and octets are too many: both are read each time.
What is kept is bounded in octets; the longest unused mailboxes go first.

Reads run in the event loop's thread in slices of about a millisecond: rows that come out of another thread cost a
hand-over of the interpreter lock each.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.store_base import SnapshotSource, StoreCore
from posthouse.adapters.sqlite.store_sql import compress, placements_in
from posthouse.message.mailbox import AccountId, MailboxId, UidSet
from posthouse.ms.uidsets import select
from posthouse.ports.store import StoreError, WireColumn
from posthouse.ports.store_wire import MAX_WIRE_OCTETS

Row = tuple[Any, ...]
Key = tuple[int, int, int, tuple[WireColumn, ...]]  # account, mailbox, UIDVALIDITY, columns

_SQL = {
    WireColumn.EMAIL: "p.email",
    WireColumn.THREAD: "e.thread",
    WireColumn.SIZE: "e.size",
    WireColumn.PREFIX_SIZE: "length(e.prefix)",
    WireColumn.HEADER_SIZE: "e.facts",
    WireColumn.RECEIVED: "e.received",
    WireColumn.ZONE: "e.zone",
    WireColumn.SAVED: "p.saved",
    WireColumn.ENVELOPE: "e.envelope",
    WireColumn.STRUCTURE: "e.bodystructure",
    WireColumn.HEAD: "CAST(e.prefix || e.head AS BLOB)",
    WireColumn.PREVIEW: "e.texts",
    WireColumn.OCTETS: (
        f"CASE WHEN e.size <= {MAX_WIRE_OCTETS} THEN (SELECT CASE WHEN length(e.prefix) THEN"
        " CAST(e.prefix || b.octets AS BLOB) ELSE b.octets END FROM body b WHERE b.body = e.body) END"
    ),
}
_NEVER_KEPT = {WireColumn.THREAD, WireColumn.OCTETS}
_LONG = {WireColumn.ENVELOPE, WireColumn.STRUCTURE, WireColumn.HEAD, WireColumn.PREVIEW}
_SLICE = 400  # rows
_SLICE_OCTETS = 170  # rows with whole messages
_ROW_OCTETS = 150  # a tuple with numbers
_PREVIEW = 5  # line of `texts`
_decode_facts = msgspec.msgpack.Decoder(tuple[int, msgspec.Raw, msgspec.Raw, msgspec.Raw]).decode


class _Kept:
    __slots__ = ("octets", "rows")

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        self.octets = 0


class WireReader:
    def __init__(self, core: StoreCore, snapshots: SnapshotSource) -> None:
        self._core, self._snapshots = core, snapshots
        self._kept: OrderedDict[Key, _Kept] = OrderedDict()
        self.octets = 0

    async def read(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, columns: Sequence[WireColumn]
    ) -> list[Row]:
        snapshot = await self._snapshots.get(account, mailbox, None)
        wanted = select(snapshot.uids, uids)
        if not _NEVER_KEPT.isdisjoint(columns):
            rows: list[Row] = []
            for start in range(0, len(wanted), _SLICE_OCTETS):
                rows += self._select(account, mailbox, wanted[start : start + _SLICE_OCTETS], columns)
                await asyncio.sleep(0)
            return rows
        key = (account, mailbox, snapshot.uidvalidity, tuple(columns))
        kept = self._kept.get(key) or _Kept()
        missing = [uid for uid in wanted if uid not in kept.rows]
        for start in range(0, len(missing), _SLICE):
            found = self._select(account, mailbox, missing[start : start + _SLICE], columns)
            kept.rows.update(zip([row[0] for row in found], found, strict=True))
            self._keep(key, kept, _count_octets(found, columns))
            await asyncio.sleep(0)
        self._keep(key, kept, 0)
        there = kept.rows
        return [there[uid] for uid in wanted if uid in there] if missing else [there[uid] for uid in wanted]

    def _select(
        self, account: AccountId, mailbox: MailboxId, uids: list[int], columns: Sequence[WireColumn]
    ) -> list[Row]:
        source, *bound = _source(uids)
        chosen = ", ".join([_SQL[column] for column in columns])
        sql = f"SELECT p.uid, {chosen} FROM {source.replace(' WHERE ', _JOIN, 1)} ORDER BY p.uid"
        try:
            rows = self._core.shard(account).watching.execute(sql, (account, mailbox, *bound)).fetchall()
        except apsw.Error as error:
            raise StoreError(f"cannot read: {error}") from error
        return _finish(rows, columns)

    def _keep(self, key: Key, kept: _Kept, octets: int) -> None:
        """The one used last, with so many octets more."""
        known = self._kept.pop(key, None)
        if known is not None:
            self.octets -= known.octets
        kept.octets += octets
        self._kept[key] = kept
        self.octets += kept.octets
        while self.octets > self._core.options.cached_wire:
            self.octets -= self._kept.popitem(last=False)[1].octets


_JOIN = " CROSS JOIN email e ON e.account = ?1 AND e.email = p.email WHERE "


def _source(uids: list[int]) -> tuple[str, *tuple[str | bytes | int, ...]]:
    """As `placements_in`. One range without a list: rows come in the order of UIDs by themselves."""
    if uids[-1] - uids[0] < len(uids):
        return "placement p WHERE p.account = ?1 AND p.mailbox = ?2 AND p.uid BETWEEN ?3 AND ?4", uids[0], uids[-1]
    return placements_in(compress(uids))


def _finish(rows: list[Row], columns: Sequence[WireColumn]) -> list[Row]:
    """What SQL cannot take out of a column."""
    for place, column in enumerate(columns, 1):
        if column is WireColumn.HEADER_SIZE:
            rows = [(*row[:place], _decode_facts(cast(bytes, row[place]))[0], *row[place + 1 :]) for row in rows]
        elif column is WireColumn.PREVIEW:
            rows = [(*row[:place], row[place].split("\n")[_PREVIEW], *row[place + 1 :]) for row in rows]
    return rows


def _count_octets(rows: list[Row], columns: Sequence[WireColumn]) -> int:
    octets = _ROW_OCTETS * len(rows)
    for place, column in enumerate(columns, 1):
        if column in _LONG:
            octets += sum([len(row[place]) for row in rows])
    return octets
