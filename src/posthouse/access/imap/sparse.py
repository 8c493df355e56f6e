"""Large mailboxes, selected by their counters alone: SELECT of a million messages reads one row.

The arrays are read when a command needs sequence numbers, and put back to what the client was told when it selected.
New mail is told without them.
"""

from __future__ import annotations

from array import array

from posthouse.access.imap.context import Context
from posthouse.access.imap.keywords import learn_keywords_of
from posthouse.access.imap.place import Place
from posthouse.message.mailbox import Mailbox, Snapshot
from posthouse.ms.snapshots import rewind
from posthouse.ms.uidsets import find_slices
from posthouse.ports.access import ConnectionLost
from posthouse.protocol.imap.render import write_exists, write_status

_TRIES = 5


def make_sparse(mailbox: Mailbox) -> Snapshot:
    """What the row of a mailbox says of it."""
    return Snapshot(
        mailbox.uidvalidity, mailbox.uidnext, mailbox.modseq, array("I"), array("Q"), array("Q"), mailbox.modseq
    )


async def fill_view(context: Context) -> None:
    """Read the arrays, if they were not. Of messages that went meanwhile the client learns nothing but that: their
    modseq is 0. Raises ConnectionLost when what the client knows cannot be found any more.
    """
    selected = context.mailbox
    if selected.unread is None:
        return
    known, place, store = selected.view, selected.place, context.desk.store
    for _ in range(_TRIES):  # mail may come between the two reads
        new = await store.messages.snapshot(place.owner, place.mailbox.id, place.viewer)
        change = await store.changes.in_mailbox(place.owner, place.mailbox.id, known.modseq, place.viewer)
        view = rewind(new, change, known.uidnext, known.modseq)
        if change.is_complete and len(view.uids) == selected.unread and new.uidvalidity == known.uidvalidity:
            for part in find_slices(view.uids, change.expunged):
                view.modseqs[part] = array("Q", bytes(8 * (part.stop - part.start)))
            selected.view, selected.unread = view, None
            await learn_keywords_of(context, max(view.flags, default=0))
            return
    context.write(write_status(b"*", b"BYE", "The selected mailbox has changed too much"))
    context.flush()
    context.wire.close()
    raise ConnectionLost


async def tell_arrivals(context: Context) -> bool:
    """True when all that happened is that new messages came: they were told."""
    selected = context.mailbox
    place, known = selected.place, selected.view
    change = await context.desk.store.changes.in_mailbox(place.owner, place.mailbox.id, known.modseq, place.viewer)
    count = selected.unread
    if count is None or not change.is_complete or change.expunged:
        return False
    if any(uid < known.uidnext for uid in change.uids[:1]):
        return False
    if change.uids:
        selected.unread = count + len(change.uids)
        context.write(write_exists(selected.unread))
    selected.view = Snapshot(
        known.uidvalidity, change.uidnext, change.modseq, known.uids, known.flags, known.modseqs, change.highest
    )
    return True


def is_large(context: Context, place: Place) -> bool:
    return place.mailbox.total > context.desk.settings.large_mailbox
