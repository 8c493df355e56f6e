"""A mailbox then and now: applying what changed to a snapshot, and the difference of two snapshots.

What other sessions did is told to a client from this difference and from nothing else, whether the news came as
"changed since" or as a whole new snapshot. Snapshots are never changed in place: sessions share them. The cost of
applying is a copy of three arrays and the number of changes. Pure.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.message.mailbox import MailboxChange, ModSeq, Snapshot, Uid, UidRange, UidSet
from posthouse.ms.uidsets import find_slices, from_sorted, intersect, iterate, join_ranges


@dataclass(frozen=True, slots=True)
class Difference:
    """`went`: UIDs that are gone; `changed`: places in the new snapshot whose modseq rose; `came`: the place in the new
    snapshot where what is new begins. `is_other`: UIDVALIDITY changed, nothing of the old one counts.
    """

    went: UidSet
    changed: Sequence[int]
    came: int
    is_other: bool = False

    def is_empty(self, new: Snapshot) -> bool:
        return not (self.went or self.changed or self.is_other or self.came < len(new.uids))


def apply_change(old: Snapshot, change: MailboxChange) -> Snapshot:
    """The snapshot after a complete change since `old.modseq`; the same object when nothing happened in it.

    A change may tell again what the snapshot has, and name UIDs that it never had.
    """
    if not change.uids and not change.expunged:
        if change.modseq == old.modseq:
            return old
        return Snapshot(
            old.uidvalidity, change.uidnext, change.modseq, old.uids, old.flags, old.modseqs, change.highest
        )
    uids, flags, modseqs = old.uids[:], old.flags[:], old.modseqs[:]
    for part in reversed(find_slices(uids, change.expunged)):
        del uids[part], flags[part], modseqs[part]
    new = Snapshot(old.uidvalidity, change.uidnext, change.modseq, uids, flags, modseqs, change.highest)
    _merge(new, change)
    return new


def apply_flags(old: Snapshot, uids: UidSet, masks: tuple[int, int], modseq: ModSeq) -> Snapshot:
    """The snapshot after flags of `uids` became `flags & keep | add`, masks being (add, keep), at `modseq`."""
    add, keep = masks
    flags, modseqs = old.flags[:], old.modseqs[:]
    for part in find_slices(old.uids, uids):
        flags[part] = array("Q", [bits & keep | add for bits in flags[part]])
        modseqs[part] = array("Q", [modseq]) * (part.stop - part.start)
    return Snapshot(old.uidvalidity, old.uidnext, modseq, old.uids, flags, modseqs, modseq)


def _merge(snapshot: Snapshot, change: MailboxChange) -> None:
    uids, start = snapshot.uids, 0
    for place, uid in enumerate(change.uids):
        if not uids or uid > uids[-1]:  # nothing but new ones from here on
            uids.extend(change.uids[place:])
            snapshot.flags.extend(change.flags[place:])
            snapshot.modseqs.extend(change.modseqs[place:])
            return
        start = bisect_left(uids, uid, start)
        if uids[start] == uid:
            snapshot.flags[start], snapshot.modseqs[start] = change.flags[place], change.modseqs[place]
        else:
            uids.insert(start, uid)
            snapshot.flags.insert(start, change.flags[place])
            snapshot.modseqs.insert(start, change.modseqs[place])


def compare_snapshots(old: Snapshot, new: Snapshot) -> Difference:
    """What a client that knows `old` must be told to know `new`."""
    if old.uidvalidity != new.uidvalidity:
        return Difference(from_sorted(old.uids), (), 0, is_other=True)
    if new.uids is old.uids and new.modseqs is old.modseqs:
        return Difference((), (), len(new.uids))
    came = bisect_left(new.uids, old.uidnext)
    went = _find_missing(old.uids, new.uids, came)
    if new.modseqs[:came] == old.modseqs:
        return Difference(went, (), came)
    since = old.modseq
    changed = [place for place, modseq in enumerate(new.modseqs[:came]) if modseq > since]
    return Difference(went, array("L", changed), came)


def _find_missing(old: Sequence[int], new: Sequence[int], came: int) -> UidSet:
    """What of `old` is not in the first `came` of `new`, all of which were in `old`, as UIDs never come back.

    Up to the next one that is missing both run alike, behind it never again: each is found by halving.
    """
    gaps: list[UidRange] = []
    stop, gone, count = 0, 0, len(old)
    while count - gone > came:
        low, high = stop, came + gone  # in `old`: alike before `low`, not alike from `high` on
        while low < high:
            middle = (low + high) // 2
            if old[middle] == new[middle - gone]:
                low = middle + 1
            else:
                high = middle
        stop = count if low - gone >= came else bisect_left(old, new[low - gone], low)
        gaps.extend(from_sorted(old[low:stop]))
        gone += stop - low
    return join_ranges(gaps)


def keep_gone(old: Snapshot, new: Snapshot) -> Snapshot:
    """`new` with those of `old` that are gone from it, as they were: what a client may know while it must not be told
    that messages went (RFC 9051 §7.5.1). The next comparison with a newer one finds them gone.
    """
    gone = compare_snapshots(old, new).went
    if not gone:
        return new
    uids, flags, modseqs = new.uids[:], new.flags[:], new.modseqs[:]
    for part in find_slices(old.uids, gone):
        for place in range(part.start, part.stop):
            at = bisect_left(uids, old.uids[place])
            uids.insert(at, old.uids[place])
            flags.insert(at, old.flags[place])
            modseqs.insert(at, old.modseqs[place])
    return Snapshot(new.uidvalidity, new.uidnext, new.modseq, uids, flags, modseqs, new.highest)


def rewind(new: Snapshot, change: MailboxChange, uidnext: int, modseq: ModSeq) -> Snapshot:
    """`new` as it was at `modseq`, when UIDNEXT was `uidnext`; `change` is what happened between. What has gone since
    is there again, with no flags; flags that changed have their new values and modseqs.
    """
    end = bisect_left(new.uids, uidnext)
    uids, flags, modseqs = new.uids[:end], new.flags[:end], new.modseqs[:end]
    for uid in iterate(intersect(change.expunged, (UidRange(1, uidnext - 1),)) if uidnext > 1 else ()):
        at = bisect_left(uids, uid)
        uids.insert(at, uid)
        flags.insert(at, 0)
        modseqs.insert(at, modseq)
    return Snapshot(new.uidvalidity, Uid(uidnext), modseq, uids, flags, modseqs, modseq)
