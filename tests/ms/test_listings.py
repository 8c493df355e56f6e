"""A mailbox as JMAP lists it, kept up to date step by step, is what it would be if it were made anew."""

from __future__ import annotations

import random
from array import array

import pytest

from posthouse.message.mailbox import Flag, ModSeq, Snapshot, Uid, UidValidity
from posthouse.ms.listings import MAX_CAME, Came, Listing, advance, change_threads, list_missing, make_listing

DELETED = int(Flag.DELETED)
WAYS = [(False, False), (False, True), (True, False), (True, True)]


class Box:
    """A mailbox as a store has it."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.rows: dict[int, list[int]] = {}  # by UID: email, flags, modseq
        self.emails: dict[int, tuple[int, int]] = {}  # received, thread
        self.uidnext = self.modseq = 1

    def add(self, received: int, thread: int | None = None, email: int | None = None) -> None:
        if email is None:
            email = len(self.emails) + 1
            self.emails[email] = received, email if thread is None else thread
        self.modseq += 1
        self.rows[self.uidnext] = [email, 0, self.modseq]
        self.uidnext += 1

    def step(self) -> None:
        chance = self.chance
        match chance.randrange(6):
            case 0 | 1:
                newest = max([received for received, _ in self.emails.values()], default=0)
                thread = chance.randrange(1, len(self.emails) + 2)
                self.add(newest + 1 if chance.random() < 0.7 else chance.randrange(20), thread)
            case 2 if self.emails:
                self.add(0, email=chance.randrange(1, len(self.emails) + 1))
            case 3 if self.rows:
                del self.rows[chance.choice(list(self.rows))]
                self.modseq += 1
            case _ if self.rows:
                row = self.rows[chance.choice(list(self.rows))]
                self.modseq += 1
                row[1:] = [row[1] ^ chance.choice([DELETED, 1]), self.modseq]
            case _:
                pass

    def snapshot(self, old: Snapshot | None = None) -> Snapshot:
        uids = array("I", self.rows)
        if old is not None and old.uids == uids:
            uids = old.uids
        flags, modseqs = array("Q", [r[1] for r in self.rows.values()]), array("Q", [r[2] for r in self.rows.values()])
        return Snapshot(UidValidity(1), Uid(self.uidnext), ModSeq(self.modseq), uids, flags, modseqs)

    def make(self) -> Listing:
        emails = array("Q", [row[0] for row in self.rows.values()])
        order = sorted(set(emails), key=lambda email: (self.emails[email][0], email))
        received, threads = [self.emails[email][0] for email in order], [self.emails[email][1] for email in order]
        return make_listing(self.snapshot(), emails, array("Q", order), array("q", received), array("Q", threads))

    def tell(self, uids: object) -> list[Came]:
        return [
            Came(uid, row[0], *self.emails[row[0]])
            for uid, row in self.rows.items()
            if uid in uids  # type: ignore[operator]
        ]


@pytest.mark.parametrize("seed", range(30))
def test_a_listing_that_was_kept_is_the_same_as_a_new_one(seed: int) -> None:
    box = Box(random.Random(seed))
    kept = box.make()
    for number in range(60):
        for is_descending, collapses in WAYS:  # so that there is something to be kept
            kept.list_visible(is_descending=is_descending, collapses=collapses)
        for _ in range(number % 3):
            box.step()
        new = box.snapshot(kept.snapshot)
        missing = list_missing(kept, new)
        assert missing is not None
        advanced = advance(kept, new, box.tell(missing))
        assert advanced is not None
        kept, fresh = advanced, box.make()
        assert (kept.emails, kept.order, kept.received, kept.threads, kept.hidden) == (
            fresh.emails,
            fresh.order,
            fresh.received,
            fresh.threads,
            fresh.hidden,
        )
        assert kept.has_ties or not fresh.has_ties
        for is_descending, collapses in WAYS:
            lists = [one.list_visible(is_descending=is_descending, collapses=collapses) for one in (kept, fresh)]
            assert lists[0] == lists[1]


def test_a_list_is_kept_while_nothing_in_it_changes() -> None:
    box = Box(random.Random(1))
    for received in range(5):
        box.add(received)
    kept = box.make()
    listed = kept.list_visible(is_descending=True, collapses=True)
    box.rows[2][1:] = [1, 99]
    box.modseq = 99
    flagged = advance(kept, box.snapshot(kept.snapshot), [])
    assert flagged is not None and flagged.list_visible(is_descending=True, collapses=True) is listed


def test_too_many_at_once_are_read_anew() -> None:
    box = Box(random.Random(1))
    kept = box.make()
    for received in range(MAX_CAME + 1):
        box.add(received)
    assert list_missing(kept, box.snapshot()) is None


def test_what_came_and_is_not_told_of_is_read_anew() -> None:
    box = Box(random.Random(1))
    box.add(1)
    kept = box.make()
    box.add(2)
    assert advance(kept, box.snapshot(), []) is None


def test_another_mailbox_of_that_name_is_read_anew() -> None:
    box = Box(random.Random(1))
    kept = box.make()
    other = box.snapshot()
    other.uidvalidity = UidValidity(2)
    assert list_missing(kept, other) is None


def test_threads_that_became_one_are_one() -> None:
    box = Box(random.Random(1))
    for received in range(3):
        box.add(received)
    kept = change_threads(box.make(), {2: 1})
    assert list(kept.list_visible(is_descending=True, collapses=True).emails) == [3, 2]
