"""SELECT, EXAMINE, CLOSE, UNSELECT (RFC 9051 §6.3.2, §6.4.1; RFC 3691; CONDSTORE of RFC 7162).

A large mailbox is selected by its counters alone: its arrays are read when a command needs them.
"""

from __future__ import annotations

from posthouse.access.imap.answers import DONE, Bad, Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.keywords import write_keywords
from posthouse.access.imap.places import find_place, renew_rights
from posthouse.access.imap.resync import tell_missed
from posthouse.access.imap.selected import Selected
from posthouse.access.imap.sending import removing
from posthouse.access.imap.sparse import is_large, open_sparse
from posthouse.message.mailbox import Snapshot
from posthouse.ports.store import NoSuchMailbox
from posthouse.protocol.imap.commands import Close, Select, Unselect
from posthouse.protocol.imap.objectids import write_mailbox_id
from posthouse.protocol.imap.render import write_exists, write_mailbox, write_status
from posthouse.protocol.imap.server_events import State

_SEEN = 1


async def select(context: Context, request: Select) -> Done:
    if request.qresync is not None and not context.qresync:
        raise Bad("QRESYNC has to be enabled first")
    was_open = context.selected is not None
    leave(context)
    if was_open:
        context.write(write_status(b"*", b"OK", "The mailbox before is closed", b"CLOSED"))
    if request.condstore or request.qresync is not None:
        context.condstore = True
    place = await find_place(context, request.mailbox)
    place.need("r")
    store = context.desk.store
    view = await open_sparse(context, place) if is_large(context, place) and request.qresync is None else None
    is_sparse = view is not None
    if view is None:
        view = await store.messages.snapshot(place.owner, place.mailbox.id, place.viewer)
    keywords = await store.messages.keywords(place.owner)
    is_read_only = request.is_read_only or not any(place.may(right) for right in "iswte")
    selected = Selected(place, view, keywords, is_read_only=is_read_only)
    selected.unread = place.mailbox.total if is_sparse else None
    context.selected = selected
    context.core.state = State.SELECTED
    selected.watching = store.changes.watch(place.owner, context.note_change)
    _describe(context, selected, request.mailbox)
    if request.qresync is not None:
        await tell_missed(context, request.qresync)
    return Done("Mailbox opened", b"READ-ONLY" if is_read_only else b"READ-WRITE")


def _describe(context: Context, selected: Selected, asked: str) -> None:
    view, mailbox = selected.view, selected.place.mailbox
    context.write(write_keywords(context, selected))
    context.write(write_exists(len(view.uids) if selected.unread is None else selected.unread))
    if not context.rev2:
        context.write(b"* 0 RECENT\r\n")
        unseen = _first_unseen(view)  # 0 too where the arrays were not read: it may be left out
        if unseen:
            context.write(write_status(b"*", b"OK", "The first one that is unseen", b"UNSEEN %d" % unseen))
    for code, text in (
        (b"UIDVALIDITY %d" % view.uidvalidity, "UIDs are valid"),
        (b"UIDNEXT %d" % view.uidnext, "The next UID"),
        (b"HIGHESTMODSEQ %d" % max(view.highest, 1), "The highest modification sequence"),
        (b"MAILBOXID (%b)" % write_mailbox_id(selected.place.owner, mailbox.id), "The mailbox"),
    ):
        context.write(write_status(b"*", b"OK", text, code))
    if context.rev2:
        name, old = (write_mailbox(each, is_utf8=context.writes_utf8) for each in (selected.place.name, asked))
        before = b' ("OLDNAME" (%b))' % old if asked != selected.place.name else b""
        context.write(b'* LIST () "/" %b%b\r\n' % (name, before))  # RFC 9051 §6.3.2


def _first_unseen(view: Snapshot) -> int:
    """A sequence number, 0 when all are seen."""
    return next((at for at, flags in enumerate(view.flags, 1) if not flags & _SEEN), 0)


def leave(context: Context) -> None:
    selected = context.selected
    if selected is not None:
        selected.close()
        context.selected = None
        context.core.state = State.AUTHENTICATED


async def close(context: Context, request: Close) -> Done:
    """Expunges without a word (RFC 9051 §6.4.1), who may do so now (RFC 4314 §4)."""
    selected = context.mailbox
    try:
        place = await renew_rights(context, selected.place)
        if not selected.is_read_only and place.may("e"):
            async with removing(context, place):
                await context.desk.store.messages.expunge(place.owner, place.mailbox.id)
    except NoSuchMailbox:
        pass  # nothing is left to be expunged
    leave(context)
    return Done("Mailbox closed")


async def unselect(context: Context, request: Unselect) -> Done:
    leave(context)
    return DONE
