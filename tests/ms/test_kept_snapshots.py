"""What a client may know: messages that went but were not told, and a mailbox as it was when it was selected."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mailbox import MailboxChange, ModSeq, Snapshot, Uid, UidValidity
from posthouse.ms.snapshots import compare_snapshots, keep_gone, rewind
from posthouse.ms.uidsets import from_list, iterate

_OLD = st.sets(st.integers(1, 60), max_size=40)


def make(uids: set[int], uidnext: int, modseq: int) -> Snapshot:
    ordered = sorted(uids)
    flags = array("Q", [uid % 32 for uid in ordered])
    return Snapshot(
        UidValidity(1),
        Uid(uidnext),
        ModSeq(modseq),
        array("I", ordered),
        flags,
        array("Q", [1] * len(ordered)),
        ModSeq(modseq),
    )


@given(_OLD, st.sets(st.integers(1, 60), max_size=20), st.integers(0, 9))
def test_while_numbers_must_stay_the_messages_that_went_are_kept(old: set[int], gone: set[int], came: int) -> None:
    before = make(old, 61, 5)
    after = make((old - gone) | set(range(61, 61 + came)), 61 + came, 9)
    kept = keep_gone(before, after)
    assert list(kept.uids) == sorted(old | set(range(61, 61 + came)))
    assert [kept.flags[at] for at in range(len(old))] == list(before.flags)
    told = compare_snapshots(before, kept)
    assert not told.went
    assert len(kept.uids) - told.came == came
    assert set(iterate(compare_snapshots(kept, after).went)) == old & gone


@given(_OLD, st.sets(st.integers(1, 60), max_size=20), st.integers(0, 9))
def test_a_mailbox_is_put_back_to_what_it_was_when_it_was_selected(old: set[int], gone: set[int], came: int) -> None:
    after = make((old - gone) | set(range(61, 61 + came)), 61 + came, 9)
    # Of what came since, some went again: the change names those too.
    change = MailboxChange(
        ModSeq(9), Uid(70), ModSeq(9), array("I"), array("Q"), array("Q"), from_list((old & gone) | {200})
    )
    was = rewind(after, change, 61, ModSeq(5))
    assert list(was.uids) == sorted(old)
    assert (was.uidnext, was.modseq) == (61, 5)
    told = compare_snapshots(was, after)
    assert set(iterate(told.went)) == old & gone
    assert len(after.uids) - told.came == came
