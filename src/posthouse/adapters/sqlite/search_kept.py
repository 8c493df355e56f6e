"""Columns of emails that the worker keeps for the mailboxes it searches: texts, sort keys, what threads are made of.

An email never changes, nor does a UID come to mean another one, so what is kept stays true; it is completed with what
came and cleared of what went, by the UIDs of the snapshot. It is bounded in octets, the longest unused goes first. What
would fill it alone is not kept: the callers ask SQL then. Used in the event loop; rows are read in the reader's thread.
"""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.search_sql import SORT_COLUMNS
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_sql import placements_in
from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import AccountId, MailboxId, UidSet
from posthouse.message.search import SortBy, Where
from posthouse.ms.thread_trees import Forest, ThreadBy, ThreadRow, list_parents
from posthouse.ms.uidsets import from_sorted

Value = str | int | ThreadRow
Column = dict[int, Any]  # of Value, by UID

_SLICE = 1_000  # rows per read
_ENTRY = 150  # octets of a value and its place, beside its text
_BRANCH = 60  # of a message in its thread
_TEXTS = (Where.SUBJECT, Where.FROM, Where.TO, Where.CC, Where.BCC)  # in this order in `texts`
_THREAD = "p.uid, e.sent, e.received, e.base_subject, e.message_id, e.refs, e.facts"
_IS_REPLY = 1
_EPOCH = date(1970, 1, 1).toordinal()
_DAY_US = 86_400_000_000
_read_facts = msgspec.msgpack.Decoder(tuple[msgspec.Raw, msgspec.Raw, int, msgspec.Raw]).decode


@dataclass(frozen=True, slots=True)
class Kind:
    """A column: what is read, and what becomes of a row after its UID."""

    name: str
    columns: str
    make: Callable[[tuple[Any, ...]], Value]


@dataclass(slots=True, eq=False)
class _Table:
    """Of a mailbox. `whole`: the UIDs a column is complete for. `orders`: UIDs in an order, for all of `whole`."""

    columns: dict[str, Column] = field(default_factory=dict)
    whole: dict[str, array[int]] = field(default_factory=dict)
    orders: dict[tuple[SortBy, ...], tuple[array[int], list[int]]] = field(default_factory=dict)
    forests: dict[ThreadBy, tuple[array[int], Forest]] = field(default_factory=dict)
    octets: int = 0


class KeptColumns:
    """`limit` in octets."""

    def __init__(self, core: StoreCore) -> None:
        self._core, self._limit = core, core.options.cached_columns
        self._tables: OrderedDict[tuple[AccountId, MailboxId], _Table] = OrderedDict()
        self._octets = 0

    def can_hold(self, messages: int) -> bool:
        """Whether a mailbox of so many is kept at all."""
        return messages * _ENTRY * 4 <= self._limit

    async def column(self, account: AccountId, mailbox: MailboxId, uids: array[int], kind: Kind) -> Column:
        """For all of these UIDs, which are those of the mailbox, but for what went meanwhile."""
        table = self._open(account, mailbox)
        column = table.columns.setdefault(kind.name, {})
        known = table.whole.get(kind.name)
        if known is uids or known == uids:
            return column
        missing = [uid for uid in uids if uid not in column]
        added = 0
        for start in range(0, len(missing), _SLICE):
            wanted = from_sorted(missing[start : start + _SLICE])
            fresh = await self._core.read(account, _read_column, mailbox, wanted, kind)
            column.update(fresh)
            added += sum(map(_weigh, fresh.values()))
        if len(column) > len(uids):
            for uid in column.keys() - set(uids):
                added -= _weigh(column.pop(uid))
        table.whole[kind.name] = uids
        self._grow((account, mailbox), table, added)
        return column

    async def order(self, account: AccountId, mailbox: MailboxId, uids: array[int], by: Sequence[SortBy]) -> list[int]:
        """The UIDs in that order, equals by UID. Not of RELEVANCY."""
        wanted = tuple(by)
        known = self._open(account, mailbox).orders.get(wanted)
        if known is not None and (known[0] is uids or known[0] == uids):
            return known[1]
        columns = [(await self.column(account, mailbox, uids, SORT_KINDS[one.key]), one) for one in wanted]
        order = _sort(uids, columns, known[1] if known is not None else [])
        table = self._open(account, mailbox)
        if known is None:
            self._grow((account, mailbox), table, len(order) * 8)
        table.orders[wanted] = uids, order
        return order

    def forest(self, account: AccountId, mailbox: MailboxId, uids: array[int], by: ThreadBy) -> Forest | None:
        """The threads of all these UIDs, if they are known."""
        known = self._open(account, mailbox).forests.get(by)
        return known[1] if known is not None and (known[0] is uids or known[0] == uids) else None

    def keep_forest(
        self, account: AccountId, mailbox: MailboxId, uids: array[int], by: ThreadBy, forest: Forest
    ) -> None:
        table = self._open(account, mailbox)
        if by not in table.forests:
            self._grow((account, mailbox), table, len(uids) * _BRANCH)
        table.forests[by] = uids, forest

    def _open(self, account: AccountId, mailbox: MailboxId) -> _Table:
        table = self._tables.get((account, mailbox))
        if table is None:
            table = self._tables[account, mailbox] = _Table()
        self._tables.move_to_end((account, mailbox))
        return table

    def _grow(self, key: tuple[AccountId, MailboxId], table: _Table, octets: int) -> None:
        table.octets += octets
        if self._tables.get(key) is not table:
            return  # it was let go while rows were read
        self._octets += octets
        while self._octets > self._limit and self._tables:
            _, oldest = self._tables.popitem(last=False)
            self._octets -= oldest.octets


def _sort(uids: array[int], columns: Sequence[tuple[Column, SortBy]], known: list[int]) -> list[int]:
    """Equals by UID. A known order with new mail behind it is nearly sorted, which costs next to nothing."""
    order: list[int] = uids.tolist()
    if len(columns) == 1 and known:
        there, last = set(order), max(known)
        kept = [uid for uid in known if uid in there]
        fresh = [uid for uid in order if uid > last]
        if len(kept) + len(fresh) == len(order):
            order = kept + fresh
    for column, by in reversed(columns):
        # What went while its row was to be read has no value, and is in no answer.
        present = order if len(column) >= len(order) else [uid for uid in order if uid in column]
        order = sorted(present, key=column.__getitem__, reverse=by.is_descending)
    return order


def _weigh(value: Value) -> int:
    if isinstance(value, str):
        return _ENTRY + len(value)
    if isinstance(value, int):
        return _ENTRY
    return 3 * _ENTRY + len(value.message_id) + sum(map(len, value.references)) + 60 * len(value.references)


def _read_column(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId, uids: UidSet, kind: Kind
) -> Column:
    source, bound = placements_in(uids)
    tables, _, where = source.partition(" WHERE ")
    rows = connection.execute(
        f"SELECT p.uid, {kind.columns} FROM {tables} CROSS JOIN email e ON e.account = ?1 AND e.email = p.email"
        f" WHERE {where}",
        (account, mailbox, bound),
    ).fetchall()
    make = kind.make
    return {cast(int, row[0]): make(row) for row in rows}


def read_thread_rows(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId, uids: UidSet
) -> list[ThreadRow]:
    """Ascending."""
    found = _read_column(connection, account, mailbox, uids, THREADS)
    return [found[uid] for uid in sorted(found)]


def _second(row: tuple[Any, ...]) -> Value:
    return cast(Value, row[1])


def _make_thread(row: tuple[Any, ...]) -> ThreadRow:
    uid, sent, received, subject, message_id, refs, facts = row
    _, _, flags, _ = _read_facts(facts)
    return ThreadRow(
        uid,
        (received if sent is None else sent) / 1e6,
        received / 1e6,
        subject,
        bool(flags & _IS_REPLY),
        message_id,
        list_parents(tuple(refs.split("\n")), flags >> 2) if refs else (),
    )


def _text_kinds() -> Iterator[tuple[Where, Kind]]:
    for place, where in enumerate(_TEXTS):

        def fold(row: tuple[Any, ...], place: int = place) -> str:
            return fold_case(row[1].split("\n", place + 1)[place])

        yield where, Kind(where.name, "e.texts", fold)


def _day(row: tuple[Any, ...]) -> int:
    """As the message's own clock showed it, as an ordinal."""
    return _EPOCH + cast(int, row[1]) // _DAY_US


EMAILS = Kind("email", "p.email", _second)
DAYS = Kind("day", "e.received + e.zone * 60000000", _day)
THREADS = Kind("thread", _THREAD.removeprefix("p.uid, "), _make_thread)
TEXT_KINDS = dict(_text_kinds())
SORT_KINDS = {key: Kind(f"sort {key.value}", column, _second) for key, column in SORT_COLUMNS.items()}
