"""FETCH of the last messages of a large mailbox that was selected by its counters (sparse.py): a screenful costs a
screenful, not the arrays of a million messages. Sequence numbers count from the end, as long as nothing was expunged
since the mailbox was selected. Only data is told: what sets \\Seen, or asks what changed, needs the arrays.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.fetching import fetch, sets_seen
from posthouse.access.imap.keywords import learn_keywords_of
from posthouse.message.mailbox import Placement, Snapshot, UidRange
from posthouse.ports.store import Fields
from posthouse.protocol.imap.commands import Fetch
from posthouse.protocol.imap.values import STAR

MOST = 500  # messages
_WIDTHS = (2, 16)  # of the UIDs that are looked through for a message: some are gone


async def fetch_tail(context: Context, request: Fetch) -> Done | None:
    """None: nothing was done, the arrays must be read."""
    selected = context.mailbox
    view, count = selected.view, selected.unread
    if count is None or not _is_plain(request):
        return None
    wanted = count + 1 - min((count if low == STAR else low for low, _ in request.messages.ranges), default=0)
    if not 0 < wanted <= MOST:
        return None
    tail = await _read_tail(context, wanted)
    if not tail:
        return None
    await learn_keywords_of(context, max(each.flags for each in tail))
    selected.view, selected.before = _make_view(view, tail), count - len(tail)
    try:
        return await fetch(context, request)
    finally:
        selected.view, selected.before = view, 0


def _is_plain(request: Fetch) -> bool:
    """Numbers in order ("9:8" is for the arrays), and nothing but data."""
    if request.is_uid or request.messages.is_saved or request.changed_since is not None:
        return False
    if any(sets_seen(item) for item in request.items):
        return False
    return all(high == STAR or (low != STAR and low <= high) for low, high in request.messages.ranges)


async def _read_tail(context: Context, wanted: int) -> Sequence[Placement]:
    """The last messages the client knows of, in order; none when it cannot be said which they are."""
    selected, store = context.mailbox, context.desk.store
    place, known = selected.place, selected.view
    change = await store.changes.in_mailbox(place.owner, place.mailbox.id, known.modseq, place.viewer)
    if change.expunged or not change.is_complete:
        return ()
    for width in _WIDTHS:
        low = max(1, known.uidnext - wanted * width)
        uids = (UidRange(low, known.uidnext - 1),)
        rows = await store.messages.load(place.owner, place.mailbox.id, uids, Fields.NONE, place.viewer)
        placements = [row.placement for row in rows if row.placement is not None]
        if len(placements) >= wanted:
            return placements[-wanted:]
        if low == 1:
            break
    return ()


def _make_view(known: Snapshot, tail: Sequence[Placement]) -> Snapshot:
    return Snapshot(
        known.uidvalidity,
        known.uidnext,
        known.modseq,
        array("I", [each.uid for each in tail]),
        array("Q", [each.flags for each in tail]),
        array("Q", [each.modseq for each in tail]),
        known.highest,
    )
