"""The part of a search that memory answers: flags of the snapshot, and columns that are kept (search_kept.py).

Each key that can be answered becomes the UIDs that match; what is joined of such keys is a set again. What is left
asks for more than memory has, and is the business of SQL and of who reads texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from posthouse.adapters.sqlite.search_kept import DAYS, SORT_KINDS, TEXT_KINDS, Column, Kind
from posthouse.message.mailbox import KeywordTable, Snapshot
from posthouse.message.search import (
    All,
    And,
    Contains,
    HasFlag,
    Larger,
    Not,
    Or,
    Received,
    SearchKey,
    Side,
    Smaller,
    SortKey,
    Uids,
)
from posthouse.ms.search import index_words
from posthouse.ms.uidsets import from_list, select

_SYSTEM = KeywordTable(())

Known = set[int]


def list_kinds(program: SearchKey) -> Iterator[Kind]:
    """The columns it takes, some of them more than once."""
    match program:
        case Not(of):
            yield from list_kinds(of)
        case And(of) | Or(of):
            for key in of:
                yield from list_kinds(key)
        case _:
            kind = _kind_of(program)
            if kind is not None:
                yield kind


def _kind_of(key: SearchKey) -> Kind | None:
    match key:
        case Contains(where, _, _):
            return TEXT_KINDS.get(where)
        case Received():
            return DAYS
        case Larger() | Smaller():
            return SORT_KINDS[SortKey.SIZE]
        case _:
            return None


class Memory:
    """Of one search. `columns` by the names of their kinds: all that `list_kinds` named."""

    def __init__(self, snapshot: Snapshot, columns: dict[str, Column]) -> None:
        self._snapshot, self._columns = snapshot, columns

    def answer(self, program: SearchKey) -> SearchKey | Known:
        """The UIDs, or what must still be asked."""
        match program:
            case Not(of):
                inner = self.answer(of)
                return self._every() - inner if isinstance(inner, set) else Not(inner)
            case And(of):
                return self._join(of, set.intersection_update, And)
            case Or(of):
                return self._join(of, set.update, Or)
            case _:
                known = self._find(program)
                return program if known is None else known

    def _every(self) -> Known:
        return set(self._snapshot.uids)

    def _join(
        self,
        parts: Sequence[SearchKey],
        join: Callable[[Known, Known], None],
        kind: type[And] | type[Or],
    ) -> SearchKey | Known:
        known: Known | None = None
        rest: list[SearchKey] = []
        for part in parts:
            answer = self.answer(part)
            if not isinstance(answer, set):
                rest.append(answer)
            elif known is None:
                known = answer
            else:
                join(known, answer)
        if known is None:
            return kind(tuple(rest)) if rest else self._every() if kind is And else set()
        return kind((Uids(from_list(known)), *rest)) if rest else known

    def _find(self, key: SearchKey) -> Known | None:
        match key:
            case All():
                return self._every()
            case Uids(ranges):
                return set(select(self._snapshot.uids, ranges))
            case HasFlag(name):
                return self._find_flag(name)
            case _:
                kind = _kind_of(key)
                return None if kind is None else set(_look_through(self._columns[kind.name], key))

    def _find_flag(self, name: str) -> Known | None:
        bit = _SYSTEM.bit_of(name)
        if bit is None:
            return None
        return {uid for uid, flags in zip(self._snapshot.uids, self._snapshot.flags, strict=True) if flags & bit}


def _look_through(column: Column, key: SearchKey) -> list[int]:
    match key:
        case Contains():
            words = index_words(key)
            if len(words) == 1:
                word = words[0]
                return [uid for uid, text in column.items() if word in text]
            return [uid for uid, text in column.items() if all(word in text for word in words)]
        case Larger(octets):
            return [uid for uid, size in column.items() if size > octets]
        case Smaller(octets):
            return [uid for uid, size in column.items() if size < octets]
        case Received(Side.BEFORE, day):
            return [uid for uid, number in column.items() if number < day.toordinal()]
        case Received(Side.SINCE, day):
            return [uid for uid, number in column.items() if number >= day.toordinal()]
        case Received(_, day):
            return [uid for uid, number in column.items() if number == day.toordinal()]
        case _:
            return []
