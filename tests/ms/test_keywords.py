"""Keywords of one email in several mailboxes (RFC 8621 §4.1.1)."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import Flag, MailboxId, Uid
from posthouse.ms.keywords import Held, merge_flags, plan_placing

SEEN, FLAGGED, DELETED, DRAFT = int(Flag.SEEN), int(Flag.FLAGGED), int(Flag.DELETED), int(Flag.DRAFT)
WORK = 1 << 5
A, B, C = MailboxId(1), MailboxId(2), MailboxId(3)


@pytest.mark.parametrize(
    ("placements", "merged"),
    [
        ([], None),
        ([DELETED], None),
        ([DELETED | SEEN, DELETED], None),
        ([SEEN], SEEN),
        ([SEEN, 0], 0),
        ([SEEN, SEEN | FLAGGED], SEEN | FLAGGED),
        ([WORK, 0], WORK),
        ([DRAFT, 0], DRAFT),
        ([SEEN, DELETED], SEEN),
        ([0, DELETED | SEEN | WORK], 0),
    ],
)
def test_seen_needs_every_visible_placement_and_all_else_one(placements: list[int], merged: int | None) -> None:
    assert merge_flags(placements) == merged


def held(mailbox: MailboxId, uid: int, flags: int) -> Held:
    return Held(mailbox, Uid(uid), flags)


def test_a_new_placement_gets_what_the_email_shows() -> None:
    plan = plan_placing([held(A, 1, SEEN | WORK), held(B, 1, 0)], [C, C], [], None)
    assert (plan.flags, plan.entered, plan.changed, plan.removed) == (WORK, (C,), (), ())


def test_a_change_goes_to_all_visible_placements_that_differ() -> None:
    same, other, hidden = held(A, 1, FLAGGED), held(B, 1, 0), held(C, 4, DELETED)
    plan = plan_placing([same, other, hidden], [], [], FLAGGED | DELETED)
    assert (plan.flags, plan.changed, plan.removed) == (FLAGGED, (other,), ())


def test_leaving_a_mailbox_leaves_what_is_hidden_there() -> None:
    shown, hidden = held(A, 1, 0), held(A, 2, DELETED)
    plan = plan_placing([shown, hidden], [B], [A], None)
    assert (plan.entered, plan.removed) == ((B,), (shown,))


def test_a_mailbox_where_it_is_only_hidden_is_entered_anew() -> None:
    plan = plan_placing([held(A, 1, 0), held(B, 2, DELETED)], [A, B], [], None)
    assert plan.entered == (B,)


def test_a_mailbox_that_is_entered_and_left_is_entered() -> None:
    plan = plan_placing([held(A, 1, 0)], [A, B], [A, B], None)
    assert (plan.entered, plan.removed) == ((B,), ())
