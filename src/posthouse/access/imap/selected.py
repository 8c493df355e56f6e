"""The mailbox a session has selected, as its client knows it: sequence numbers, UIDs, flags.

The client's knowledge is a `Snapshot`, shared with the worker's other sessions and never changed; it is replaced when
news were told (updates.py). So an idle session costs a reference. A large mailbox is selected by its counters alone:
its arrays are read at the first need, and put back to what they were when it was selected.
"""

from __future__ import annotations

from bisect import bisect_left

from posthouse.access.imap.answers import Bad
from posthouse.access.imap.place import Place
from posthouse.access.imap.watched import Watched
from posthouse.message.mailbox import KeywordTable, Snapshot, UidRange, UidSet
from posthouse.ms.uidsets import EMPTY, find_slices, join_ranges
from posthouse.ports.store import Subscription
from posthouse.protocol.imap.values import STAR, SequenceSet


class Selected:
    """`saved`: the result of SEARCH RETURN (SAVE), by UID. `is_dirty`: something may have changed. `holds_back`:
    the client has not been told of everything. `unread`: how many messages the client knows of while the arrays of
    `view` were not read; None when they were. `before`: how many messages stand before those of `view`, while the last
    are told (fetching_tail.py). `told_to`: new messages have UIDs from that on (notifying.py).
    """

    __slots__ = (
        "before",
        "contexts",
        "holds_back",
        "is_dirty",
        "is_read_only",
        "keywords",
        "place",
        "saved",
        "told_to",
        "unread",
        "view",
        "watching",
    )

    def __init__(self, place: Place, view: Snapshot, keywords: KeywordTable, *, is_read_only: bool) -> None:
        self.place = place
        self.view = view
        self.keywords = keywords
        self.is_read_only = is_read_only
        self.is_dirty = self.holds_back = False
        self.saved: UidSet = EMPTY
        self.contexts: dict[bytes, Watched] = {}
        self.unread: int | None = None
        self.before = 0
        self.watching: Subscription | None = None
        self.told_to: int = view.uidnext

    def close(self) -> None:
        if self.watching is not None:
            self.watching.cancel()
            self.watching = None

    # -- numbers

    def sequence_of(self, uid: int) -> int:
        """Of a UID the client knows. 0: it does not."""
        uids = self.view.uids
        at = bisect_left(uids, uid)
        return at + 1 if at < len(uids) and uids[at] == uid else 0

    def uids_of(self, messages: SequenceSet, *, is_uid: bool) -> UidSet:
        """What a set in a command means; a range may span UIDs that are not there. Raises Bad for numbers beyond the
        last message (RFC 9051 §9, seq-number).
        """
        if messages.is_saved:
            return self.saved
        ranges = messages.ranges
        if is_uid:
            last = self.view.uids[-1] if self.view.uids else 0
            return join_ranges(_make_range(low or last, high or last) for low, high in ranges if last or (low and high))
        return self._from_sequence(ranges)

    def _from_sequence(self, ranges: tuple[tuple[int, int], ...]) -> UidSet:
        uids = self.view.uids
        before = self.before
        count = before + len(uids)
        found: list[UidRange] = []
        for low, high in ranges:
            first, last = low if low != STAR else count, high if high != STAR else count
            if not (0 < first <= count and 0 < last <= count):
                if not count and STAR in (low, high) and max(low, high) <= 1:
                    continue  # "1:*" and "*" of an empty mailbox: clients mean nothing by it
                raise Bad(f"There are only {count} messages")
            # UIDs ascend: all that lie between these two are those of the messages between.
            found.append(_make_range(uids[first - 1 - before], uids[last - 1 - before]))
        return join_ranges(found)

    def slices_of(self, uids: UidSet) -> list[slice]:
        """Where in `view` they stand."""
        return find_slices(self.view.uids, uids)


def _make_range(one: int, other: int) -> UidRange:
    return UidRange(one, other) if one <= other else UidRange(other, one)
