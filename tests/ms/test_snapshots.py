"""Snapshots of a mailbox and their difference."""

from __future__ import annotations

from array import array
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mailbox import MailboxChange, ModSeq, Snapshot, Uid, UidValidity
from posthouse.ms.snapshots import apply_change, compare_snapshots
from posthouse.ms.uidsets import from_list


def make_snapshot(modseq: int, rows: dict[int, tuple[int, int]], uidnext: int = 0) -> Snapshot:
    """`rows`: flags and modseq by UID."""
    return Snapshot(
        UidValidity(1),
        Uid(uidnext or max(rows, default=0) + 1),
        ModSeq(modseq),
        array("I", rows),
        array("Q", [flags for flags, _ in rows.values()]),
        array("Q", [changed for _, changed in rows.values()]),
        ModSeq(modseq),
    )


def make_change(modseq: int, uidnext: int, rows: dict[int, tuple[int, int]], *gone: int) -> MailboxChange:
    snapshot = make_snapshot(modseq, rows, uidnext)
    return MailboxChange(
        snapshot.modseq,
        snapshot.uidnext,
        snapshot.highest,
        snapshot.uids,
        snapshot.flags,
        snapshot.modseqs,
        from_list(gone),
    )


OLD = make_snapshot(10, {1: (0, 1), 2: (1, 2), 4: (0, 5), 7: (2, 10)})


def test_what_came_changed_and_went_is_applied_and_the_old_one_stays() -> None:
    new = apply_change(OLD, make_change(14, 10, {2: (9, 12), 9: (0, 14)}, 4, 5, 8))
    assert new == make_snapshot(14, {1: (0, 1), 2: (9, 12), 7: (2, 10), 9: (0, 14)})
    assert make_snapshot(10, {1: (0, 1), 2: (1, 2), 4: (0, 5), 7: (2, 10)}) == OLD


def test_nothing_happened_gives_the_same_snapshot() -> None:
    assert apply_change(OLD, make_change(10, 8, {})) is OLD


def test_a_change_that_tells_what_is_known_changes_nothing() -> None:
    assert apply_change(OLD, make_change(11, 8, {4: (0, 5), 7: (2, 10)})).flags == OLD.flags


def test_a_row_that_was_unknown_is_put_in_its_place() -> None:
    new = apply_change(OLD, make_change(11, 8, {3: (0, 11), 5: (1, 11), 7: (0, 11)}))
    assert list(new.uids) == [1, 2, 3, 4, 5, 7]
    assert list(new.flags) == [0, 1, 0, 0, 1, 0]


def test_a_change_applies_to_an_empty_mailbox_and_may_leave_one() -> None:
    empty = make_snapshot(1, {}, 1)
    assert list(apply_change(empty, make_change(3, 3, {1: (0, 2), 2: (0, 3)})).uids) == [1, 2]
    assert list(apply_change(OLD, make_change(12, 8, {}, *range(1, 8))).uids) == []


def test_the_difference_names_what_a_client_must_hear() -> None:
    new = make_snapshot(14, {1: (0, 1), 2: (9, 12), 7: (2, 10), 9: (0, 14)})
    difference = compare_snapshots(OLD, new)
    assert (difference.went, list(difference.changed), difference.came) == (from_list([4]), [1], 3)
    assert not difference.is_other
    assert not difference.is_empty(new)
    assert compare_snapshots(OLD, OLD).is_empty(OLD)
    assert compare_snapshots(OLD, make_snapshot(20, {1: (0, 1), 2: (1, 2), 4: (0, 5), 7: (2, 10)})).is_empty(OLD)


@given(st.sets(st.integers(1, 60)), st.sets(st.integers(1, 60)), st.integers(0, 3))
def test_whatever_went_is_found(uids: set[int], gone: set[int], more: int) -> None:
    old = make_snapshot(10, dict.fromkeys(sorted(uids), (0, 1)), 61)
    left = dict.fromkeys(sorted(uids - gone), (0, 1))
    new = make_snapshot(12, left | {61 + number: (0, 11) for number in range(more)}, 61 + more)
    difference = compare_snapshots(old, new)
    assert difference.went == from_list(uids & gone)
    assert (list(difference.changed), difference.came) == ([], len(left))


def test_another_uidvalidity_is_another_mailbox() -> None:
    new = replace(OLD, uidvalidity=UidValidity(2))
    difference = compare_snapshots(OLD, new)
    assert (difference.is_other, difference.went, difference.came) == (True, from_list([1, 2, 4, 7]), 0)
