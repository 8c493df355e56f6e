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
from posthouse.message.mailbox import Flag, UidRange, UidSet

JsonRow = list[int | float | str | None]

_read_rows = msgspec.json.Decoder(list[list[int | float | str | None]]).decode
_read_numbers = msgspec.json.Decoder(list[int]).decode

IN_LIST = "IN (SELECT value FROM json_each(?))"
# Of a row of `email` called e. By that index: without statistics SQLite would look through the whole account.
IS_VISIBLE = (
    "EXISTS (SELECT 1 FROM placement p INDEXED BY placement_email WHERE p.account = e.account AND p.email = e.email"
    f" AND NOT p.flags & {int(Flag.DELETED)})"
)
_IN_MAILBOX = "placement p WHERE p.account = ?1 AND p.mailbox = ?2"
_BETWEEN = "BETWEEN r.value ->> 0 AND r.value ->> 1"
_FEW_RANGES = 16
_SPAN = 4  # UIDs per range up to which a list of them is quicker
_THIN = 8  # UIDs between the first and the last for each wanted one, up to which a look at all of them is quicker
_MASKED = 1 << 22  # UIDs


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


def as_list(ranges: UidSet) -> str | None:
    """Many small ranges as a list of their UIDs; None: take them as ranges."""
    if len(ranges) <= _FEW_RANGES or sum(r.high - r.low + 1 for r in ranges) > _SPAN * len(ranges):
        return None
    return numbers_json(number for r in ranges for number in range(r.low, r.high + 1))


def as_mask(ranges: UidSet) -> tuple[int, int, bytes] | None:
    """Many ranges close together as the first UID, the last, and an octet for each between, 1 for those wanted.

    A look into it costs a fraction of one into a list that SQLite makes a table of.
    """
    if len(ranges) <= _FEW_RANGES:
        return None
    low, high = ranges[0].low, ranges[-1].high
    if high - low >= min(_MASKED, _THIN * sum([r.high - r.low + 1 for r in ranges])):
        return None
    mask = bytearray(high - low + 1)
    for r in ranges:
        mask[r.low - low : r.high - low + 1] = b"\1" * (r.high - r.low + 1)
    return low, high, bytes(mask)


def placements_in(ranges: UidSet) -> tuple[str, str | bytes]:
    """FROM and WHERE of placements p of account ?1, mailbox ?2 with these UIDs, and what to bind to ?3."""
    masked = as_mask(ranges)
    if masked is not None:
        low, high, mask = masked
        return f"{_IN_MAILBOX} AND p.uid BETWEEN {low} AND {high} AND substr(?3, p.uid - {low - 1}, 1) = x'01'", mask
    listed = as_list(ranges)
    if listed is not None:
        return f"{_IN_MAILBOX} AND p.uid IN (SELECT value FROM json_each(?3))", listed
    return f"json_each(?3) r CROSS JOIN {_IN_MAILBOX} AND p.uid {_BETWEEN}", ranges_json(ranges)


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
