"""Sets of UIDs as ascending ranges that neither overlap nor touch: made, joined, cut, and looked up in a snapshot.

How IMAP writes them, and what `*` means, is the business of IMAP. Pure; every step costs the number of ranges, not of
UIDs, so that `1:4294967295` is as cheap as `1`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

from posthouse.message.mailbox import MAX_UID, UidRange, UidSet

EMPTY: UidSet = ()
EVERY: UidSet = (UidRange(1, MAX_UID),)


def from_sorted(uids: Iterable[int]) -> UidSet:
    """Of ascending numbers; one that comes twice counts once."""
    ranges: list[UidRange] = []
    low = high = -1
    for uid in uids:
        if uid == high + 1 and high >= 0:
            high = uid
        elif uid != high:
            if high >= 0:
                ranges.append(UidRange(low, high))
            low = high = uid
    if high >= 0:
        ranges.append(UidRange(low, high))
    return tuple(ranges)


def from_list(uids: Iterable[int]) -> UidSet:
    """Of numbers in any order."""
    return from_sorted(sorted(uids))


def join_ranges(ranges: Iterable[UidRange]) -> UidSet:
    """Of ranges in any order that may overlap."""
    joined: list[UidRange] = []
    for part in sorted(ranges, key=_low):
        if joined and part.low <= joined[-1].high + 1:
            if part.high > joined[-1].high:
                joined[-1] = UidRange(joined[-1].low, part.high)
        else:
            joined.append(part)
    return tuple(joined)


def unite(one: UidSet, other: UidSet) -> UidSet:
    return join_ranges((*one, *other))


def intersect(one: UidSet, other: UidSet) -> UidSet:
    found: list[UidRange] = []
    left, right = 0, 0
    while left < len(one) and right < len(other):
        a, b = one[left], other[right]
        low, high = max(a.low, b.low), min(a.high, b.high)
        if low <= high:
            found.append(UidRange(low, high))
        if a.high < b.high:
            left += 1
        else:
            right += 1
    return tuple(found)


def subtract(one: UidSet, other: UidSet) -> UidSet:
    """What is in `one` and not in `other`."""
    left: list[UidRange] = []
    at = 0
    for part in one:
        low = part.low
        while at < len(other) and other[at].high < low:
            at += 1
        ahead = at
        while ahead < len(other) and other[ahead].low <= part.high:
            if low < other[ahead].low:
                left.append(UidRange(low, other[ahead].low - 1))
            low = other[ahead].high + 1
            ahead += 1
        if low <= part.high:
            left.append(UidRange(low, part.high))
    return tuple(left)


def contains(uids: UidSet, uid: int) -> bool:
    at = bisect_right(uids, uid, key=_low) - 1
    return at >= 0 and uid <= uids[at].high


def count(uids: UidSet) -> int:
    return sum(part.high - part.low + 1 for part in uids)


def iterate(uids: UidSet) -> Iterator[int]:
    """Every number: only for sets that are known to be small."""
    for part in uids:
        yield from range(part.low, part.high + 1)


def find_slices(ascending: Sequence[int], uids: UidSet) -> list[slice]:
    """Where in an ascending sequence (a snapshot's `uids`) those of the set stand; no empty slices."""
    slices: list[slice] = []
    start = 0
    for part in uids:
        start = bisect_left(ascending, part.low, start)
        stop = bisect_right(ascending, part.high, start)
        if start < stop:
            slices.append(slice(start, stop))
        start = stop
    return slices


def select(ascending: Sequence[int], uids: UidSet) -> list[int]:
    """Those of an ascending sequence that are in the set."""
    found: list[int] = []
    for part in find_slices(ascending, uids):
        found.extend(ascending[part])
    return found


def _low(part: UidRange) -> int:
    return part.low
