"""Large mailboxes, selected by their counters alone: SELECT of a million messages reads one row.

The arrays are read when a command needs sequence numbers, and put back to what the client was told when it selected.
New mail is told without them.
"""

from __future__ import annotations

from array import array
from typing import NoReturn

from posthouse.access.imap.answers import MailboxGone
from posthouse.access.imap.context import Context
from posthouse.access.imap.keywords import learn_keywords_of
from posthouse.access.imap.place import Place
from posthouse.access.imap.selected import Selected
from posthouse.message.mailbox import Snapshot
from posthouse.ms.snapshots import rewind
from posthouse.ms.uidsets import find_slices
from posthouse.ports.access import ConnectionLost
from posthouse.ports.store import NoSuchMailbox
from posthouse.protocol.imap.render import write_exists, write_status
from posthouse.protocol.imap.server_events import State

_TRIES = 5


async def open_sparse(context: Context, place: Place) -> Snapshot | None:
    """What the row of a mailbox says of it, or None: somebody has just changed the mailbox. Counted from the account's
    modseq: what the store knows of changes may not go back to the mailbox's.
    """
    mailbox = place.mailbox
    changes = context.desk.store.changes
    change = await changes.in_mailbox(place.owner, mailbox.id, mailbox.modseq, place.viewer)
    if change.highest != mailbox.modseq:
        return None
    nothing = array("I"), array("Q"), array("Q")
    return Snapshot(mailbox.uidvalidity, mailbox.uidnext, change.modseq, *nothing, mailbox.modseq)


async def fill_view(context: Context) -> None:
    """Read the arrays, if they were not. Of messages that went meanwhile the client learns nothing but that: their
    modseq is 0. Ends the session when what the client knows cannot be found any more.
    """
    selected = context.mailbox
    if selected.unread is None:
        return
    try:
        for _ in range(_TRIES):  # mail may come between the two reads
            if await _try_to_fill(context, selected):
                return
    except NoSuchMailbox:
        lose_mailbox(context)
    end_session(context, "The selected mailbox has changed too much")


async def _try_to_fill(context: Context, selected: Selected) -> bool:
    known, place, store = selected.view, selected.place, context.desk.store
    new = await store.messages.snapshot(place.owner, place.mailbox.id, place.viewer)
    change = await store.changes.in_mailbox(place.owner, place.mailbox.id, known.modseq, place.viewer)
    if not change.is_complete or new.uidvalidity != known.uidvalidity:
        return False
    view = rewind(new, change, known.uidnext, known.modseq)
    if len(view.uids) != selected.unread:
        return False
    for part in find_slices(view.uids, change.expunged):
        view.modseqs[part] = array("Q", bytes(8 * (part.stop - part.start)))
    view.highest = known.highest
    selected.view, selected.unread = view, None
    await learn_keywords_of(context, max(view.flags, default=0))
    return True


def lose_mailbox(context: Context) -> NoReturn:
    """Who has enabled what knows CLOSED (RFC 7162 §3.2.11, RFC 9051 §7.1) goes on without a mailbox: raises
    MailboxGone. Others would ask on for its messages: their session ends, as that of most servers does.
    """
    reason = "The selected mailbox is no longer accessible"
    if not (context.qresync or context.rev2):
        end_session(context, reason)
    context.mailbox.close()
    context.selected = None
    context.core.state = State.AUTHENTICATED
    context.write(write_status(b"*", b"NO", reason))
    context.write(write_status(b"*", b"OK", "It is closed", b"CLOSED"))
    raise MailboxGone(reason, b"NONEXISTENT")


def end_session(context: Context, reason: str) -> NoReturn:
    """Raises ConnectionLost."""
    context.write(write_status(b"*", b"BYE", reason))
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
