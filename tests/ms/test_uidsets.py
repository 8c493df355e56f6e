"""Sets of UIDs as ranges."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mailbox import MAX_UID, UidRange
from posthouse.ms import uidsets

NUMBERS = st.sets(st.integers(1, 40), max_size=25)


@given(NUMBERS, NUMBERS)
def test_the_algebra_is_that_of_sets(one: set[int], other: set[int]) -> None:
    left, right = uidsets.from_list(one), uidsets.from_list(other)
    assert set(uidsets.iterate(left)) == one
    assert uidsets.unite(left, right) == uidsets.from_list(one | other)
    assert uidsets.intersect(left, right) == uidsets.from_list(one & other)
    assert uidsets.subtract(left, right) == uidsets.from_list(one - other)
    assert uidsets.count(left) == len(one)
    assert {uid for uid in range(50) if uidsets.contains(left, uid)} == one
    assert uidsets.select(sorted(other), left) == sorted(one & other)


def test_ranges_neither_overlap_nor_touch() -> None:
    ranges = [UidRange(5, 9), UidRange(1, 2), UidRange(3, 3), UidRange(7, 20)]
    assert uidsets.join_ranges(ranges) == (UidRange(1, 3), UidRange(5, 20))
    assert uidsets.from_sorted([1, 2, 2, 3, 9]) == (UidRange(1, 3), UidRange(9, 9))


def test_a_set_of_all_uids_costs_no_more_than_a_small_one() -> None:
    assert uidsets.subtract(uidsets.EVERY, (UidRange(5, 5),)) == (UidRange(1, 4), UidRange(6, MAX_UID))
    assert uidsets.select([3, 900], uidsets.EVERY) == [3, 900]
    assert uidsets.count(uidsets.EVERY) == MAX_UID
