"""Small tools of the store's statements: lists of numbers and UIDs as JSON, whole answers in one step.

An answer that comes as one JSON text costs one hand-over of the interpreter lock instead of one per row: 100,000 rows
of three numbers take a third of the time, and no event loop is in the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import apsw
import msgspec

from posthouse.adapters.sqlite.bulk import Value
from posthouse.message.mailbox import UidRange, UidSet

JsonRow = list[int | float | str | None]

_read_rows = msgspec.json.Decoder(list[list[int | float | str | None]]).decode
_read_numbers = msgspec.json.Decoder(list[int]).decode

IN_LIST = "IN (SELECT value FROM json_each(?))"


def select_rows(
    connection: apsw.Connection, columns: str, source: str, bindings: Sequence[Value] = ()
) -> list[JsonRow]:
    """`columns` of the query `source`, in its order. Numbers and texts only."""
    found = connection.execute(f"SELECT json_group_array(json_array({columns})) FROM ({source})", tuple(bindings)).get
    return _read_rows(cast(str, found))


def select_numbers(connection: apsw.Connection, source: str, bindings: Sequence[Value] = ()) -> list[int]:
    """Column `n` of the query `source`, in its order."""
    found = connection.execute(f"SELECT json_group_array(n) FROM ({source})", tuple(bindings)).get
    return _read_numbers(cast(str, found))


def read_number(connection: apsw.Connection, sql: str, bindings: Sequence[Value] = ()) -> int | None:
    """The only column of the first row."""
    return cast("int | None", connection.execute(sql, tuple(bindings)).get)


def numbers_json(numbers: Iterable[int]) -> str:
    return "[" + ",".join(map(str, numbers)) + "]"


def ranges_json(ranges: UidSet) -> str:
    return "[" + ",".join(f"[{r.low},{r.high}]" for r in ranges) + "]"


def compress(numbers: Iterable[int]) -> UidSet:
    """Ascending numbers as ranges."""
    ranges: list[UidRange] = []
    low = last = -1
    for number in numbers:
        if number == last + 1 and low >= 0:
            last = number
            continue
        if low >= 0:
            ranges.append(UidRange(low, last))
        low = last = number
    if low >= 0:
        ranges.append(UidRange(low, last))
    return tuple(ranges)


def merge(ranges: Iterable[UidRange]) -> UidSet:
    """Any ranges as a set: ascending, not overlapping."""
    merged: list[UidRange] = []
    for found in sorted(ranges, key=lambda r: r.low):
        if merged and found.low <= merged[-1].high + 1:
            if found.high > merged[-1].high:
                merged[-1] = UidRange(merged[-1].low, found.high)
        else:
            merged.append(found)
    return tuple(merged)
