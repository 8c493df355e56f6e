"""Quick resynchronisation: what a client that comes back has missed (RFC 7162 §3.2.5, SELECT with QRESYNC).

UIDs that went are told by VANISHED (EARLIER), changed flags by FETCH. Where the store has forgotten what went, all
UIDs that are not there count as gone; pairs of numbers and UIDs that the client gave keep that short.
"""

from __future__ import annotations

from posthouse.access.imap.context import Context
from posthouse.access.imap.updates import write_flag_news
from posthouse.message.mailbox import MailboxChange, UidRange, UidSet
from posthouse.ms.uidsets import find_slices, from_sorted, intersect, iterate, join_ranges, subtract
from posthouse.protocol.imap.render import write_vanished
from posthouse.protocol.imap.values import Qresync, SequenceSet

_SLICE = 2_000


async def tell_missed(context: Context, qresync: Qresync) -> None:
    selected = context.mailbox
    view, place = selected.view, selected.place
    if qresync.uidvalidity != view.uidvalidity or view.uidnext <= 1:
        return
    every: UidSet = (UidRange(1, view.uidnext - 1),)
    known = every if qresync.known is None else intersect(every, selected.uids_of(qresync.known, is_uid=True))
    changes = context.desk.store.changes
    since = min(qresync.modseq, 2**62)
    change = await changes.in_mailbox(place.owner, place.mailbox.id, type(view.modseq)(since), place.viewer)
    gone = _find_gone(context, change, known, qresync)
    if gone:
        context.write(write_vanished(gone, is_earlier=True))
    for part in find_slices(view.uids, known):
        for start in range(part.start, part.stop, _SLICE):
            places = range(start, min(start + _SLICE, part.stop))
            news = [write_flag_news(context, at) for at in places if view.modseqs[at] > since]
            context.write(b"".join(news))
            await context.breathe()


def _find_gone(context: Context, change: MailboxChange, known: UidSet, qresync: Qresync) -> UidSet:
    view = context.mailbox.view
    if change.is_complete:
        # What the view still has went after the snapshot was taken: told as news.
        return subtract(intersect(change.expunged, known), from_sorted(view.uids) if change.expunged else ())
    missing = subtract(known, from_sorted(view.uids))
    if qresync.pairs is not None:
        known_up_to = _last_match(context, *qresync.pairs)
        missing = subtract(missing, (UidRange(1, known_up_to),)) if known_up_to else missing
    return missing


def _last_match(context: Context, numbers: SequenceSet, uids: SequenceSet) -> int:
    """The highest UID up to which the client's numbering is right: below it nothing has gone (RFC 7162 §3.2.5.2)."""
    view = context.mailbox.view
    matched = 0
    for number, uid in zip(_iterate(numbers), _iterate(uids), strict=False):
        if number > len(view.uids) or view.uids[number - 1] != uid:
            break
        matched = uid
    return matched


def _iterate(given: SequenceSet) -> list[int]:
    ranges = join_ranges(UidRange(min(pair), max(pair)) for pair in given.ranges if min(pair))
    total = sum(part.high - part.low + 1 for part in ranges)
    return list(iterate(ranges)) if total <= 100_000 else []
