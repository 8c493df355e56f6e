"""A mailbox as JMAP lists it: emails in the order of receiving, each once, and what of them is asked for.

Made once from what a store reads, then kept up to date by the difference of two snapshots (ms/snapshots.py). Nothing is
changed in place; lists that have been made are kept as long as nothing in them changed. A hundred thousand emails take
some milliseconds for whatever looks at all of them, and next to nothing for the same list again. Pure.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress, islice
from operator import eq
from typing import NamedTuple

from posthouse.message.mailbox import Flag, Snapshot
from posthouse.ms.snapshots import compare_snapshots
from posthouse.ms.uidsets import find_slices

MAX_CAME = 500  # placements that are put in one by one; more are read anew
_DELETED = int(Flag.DELETED)


class Came(NamedTuple):
    """A placement, and what its email is sorted by. `received` in microseconds."""

    uid: int
    email: int
    received: int
    thread: int


class Listed(NamedTuple):
    """Arrays "Q", parallel."""

    emails: array[int]
    threads: array[int]


@dataclass(slots=True)
class Listing:
    """`emails`: of the snapshot's UIDs. `order`: each email once, by receiving, then id; `received` and `threads` are
    parallel to it; `has_ties`: some were received at once. `hidden`: emails that are \\Deleted here. `made`: lists of
    what is not hidden, by is_descending and collapses.
    """

    snapshot: Snapshot
    emails: array[int]
    order: array[int]
    received: array[int]
    threads: array[int]
    has_ties: bool
    hidden: frozenset[int] = frozenset()
    made: dict[tuple[bool, bool], Listed] = field(default_factory=dict)

    def list_visible(self, *, is_descending: bool, collapses: bool) -> Listed:
        key = is_descending, collapses
        if key not in self.made:
            if collapses:
                whole = self.list_visible(is_descending=is_descending, collapses=False)
                self.made[key] = collapse(whole)
            else:
                listed = Listed(self.order, self.threads)
                if is_descending:
                    listed = turn_over(listed, self.received, has_ties=self.has_ties)
                self.made[key] = leave_out(listed, self.hidden) if self.hidden else listed
        return self.made[key]


def make_listing(
    snapshot: Snapshot, emails: array[int], order: array[int], received: array[int], threads: array[int]
) -> Listing:
    return Listing(
        snapshot, emails, order, received, threads, find_ties(received), _find_hidden(snapshot.flags, emails)
    )


def find_ties(received: array[int]) -> bool:
    return any(map(eq, received, islice(received, 1, None)))


def _find_hidden(flags: array[int], emails: array[int]) -> frozenset[int]:
    """Emails all of whose placements here are \\Deleted."""
    if not any(map(_DELETED.__and__, flags)):
        return frozenset()
    pairs = list(zip(emails, flags, strict=True))
    shown = {email for email, bits in pairs if not bits & _DELETED}
    return frozenset([email for email, bits in pairs if bits & _DELETED and email not in shown])


# -- keeping it up to date


def list_missing(old: Listing, new: Snapshot) -> Sequence[int] | None:
    """UIDs of which `advance` must be told; None: too much has happened for it."""
    if old.snapshot.uidvalidity != new.uidvalidity or new.modseq < old.snapshot.modseq:
        return None
    if new.uids is old.snapshot.uids:
        return ()
    came = new.uids[bisect_left(new.uids, old.snapshot.uidnext) :]
    return came if len(came) <= MAX_CAME else None


def advance(old: Listing, new: Snapshot, came: Sequence[Came]) -> Listing | None:
    """`came`: of all UIDs that `list_missing` named. None: it must be read anew."""
    if new is old.snapshot:
        return old
    difference = compare_snapshots(old.snapshot, new)
    emails, order, received, threads = old.emails, old.order, old.received, old.threads
    has_ties = old.has_ties
    if difference.went or came:
        emails, gone = emails[:], set[int]()
        for part in reversed(find_slices(old.snapshot.uids, difference.went)):
            gone.update(emails[part])
            del emails[part]
        emails.extend([one.email for one in came])
        order, received, threads = order[:], received[:], threads[:]
        _take_out(gone - _still_there(gone, emails), order, received, threads)
        for one in came:
            has_ties |= _put_in(one, order, received, threads)
    if len(emails) != len(new.uids) or [one.uid for one in came] != new.uids[difference.came :].tolist():
        return None
    fresh = Listing(new, emails, order, received, threads, has_ties)
    concerned = [new.flags[place] for place in difference.changed] + new.flags[difference.came :].tolist()
    if old.hidden or difference.went or any(map(_DELETED.__and__, concerned)):
        fresh.hidden = _find_hidden(new.flags, emails)
    if fresh.hidden == old.hidden:
        fresh.made = old.made if order is old.order else _carry_on(old, came, order)
    return fresh


def _carry_on(old: Listing, came: Sequence[Came], order: array[int]) -> dict[tuple[bool, bool], Listed]:
    """The newest first, collapsed, where all that happened is that newer ones came; looking at all takes longer."""
    known = old.made.get((True, True))
    count = len(old.order)
    if known is None or len(order) != count + len(came) or order[:count] != old.order:
        return {}
    emails, threads = known.emails[:], known.threads[:]
    for one in sorted(came, key=lambda one: (one.received, one.email)):
        if one.received <= (old.received[-1] if count else one.received):
            return {}
        if one.thread in threads:
            at = threads.index(one.thread)
            del emails[at], threads[at]
        emails.insert(0, one.email)
        threads.insert(0, one.thread)
    return {(True, True): Listed(emails, threads)} if len({one.received for one in came}) == len(came) else {}


def _still_there(gone: Collection[int], emails: array[int]) -> set[int]:
    """What went with one placement and is here with another."""
    return {email for email in emails if email in gone} if gone else set()


def _take_out(gone: Collection[int], *columns: array[int]) -> None:
    """`columns[0]` are the emails."""
    if not gone:
        return
    places = [place for place, email in enumerate(columns[0]) if email in gone]
    for place in reversed(places):
        for column in columns:
            del column[place]


def _put_in(one: Came, order: array[int], received: array[int], threads: array[int]) -> bool:
    """Whether there is another one that was received at the same time."""
    at = start = bisect_left(received, one.received)
    while at < len(order) and received[at] == one.received and order[at] < one.email:
        at += 1
    if at < len(order) and order[at] == one.email:
        return False  # by another placement
    order.insert(at, one.email)
    received.insert(at, one.received)
    threads.insert(at, one.thread)
    return at > start or (at + 1 < len(order) and received[at + 1] == one.received)


def change_threads(old: Listing, thread_of: Mapping[int, int]) -> Listing:
    """After threads became one. Emails that the mapping does not have are threads of their own."""
    threads = array("Q", map(thread_of.get, old.order, old.order))
    return Listing(old.snapshot, old.emails, old.order, old.received, threads, old.has_ties, old.hidden)


# -- lists


def turn_over(listed: Listed, received: array[int], *, has_ties: bool) -> Listed:
    """The newest first; equals stay in the order of ids."""
    emails, threads = listed.emails[::-1], listed.threads[::-1]
    if not has_ties:
        return Listed(emails, threads)
    backwards = received[::-1]
    start, count = 0, len(backwards)
    for stop in range(1, count + 1):
        if stop == count or backwards[stop] != backwards[start]:
            if stop - start > 1:
                emails[start:stop] = emails[start:stop][::-1]
                threads[start:stop] = threads[start:stop][::-1]
            start = stop
    return Listed(emails, threads)


def collapse(listed: Listed) -> Listed:
    """Of each thread the first."""
    first: dict[int, int] = {}
    keep = first.setdefault
    for thread, email in zip(listed.threads, listed.emails, strict=True):
        keep(thread, email)
    return Listed(array("Q", first.values()), array("Q", first))


def leave_out(listed: Listed, unwanted: Collection[int]) -> Listed:
    return _choose(listed, [email not in unwanted for email in listed.emails])


def keep_only(listed: Listed, wanted: Collection[int]) -> Listed:
    return _choose(listed, [email in wanted for email in listed.emails])


def _choose(listed: Listed, chosen: Iterable[bool]) -> Listed:
    kept = list(chosen)
    return Listed(array("Q", compress(listed.emails, kept)), array("Q", compress(listed.threads, kept)))
