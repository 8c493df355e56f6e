"""STATUS (RFC 9051 §6.3.11), also as LIST returns it (RFC 5819).

STATUS=SIZE of RFC 8438, DELETED and DELETED-STORAGE of RFC 9208 §4.1.4, APPENDLIMIT of RFC 7889, HIGHESTMODSEQ of
RFC 7162 §3.1.2, MAILBOXID of RFC 8474 §4.3. Most is counted by the store as messages come and go. UNSEEN of who only
reads a shared mailbox, or where messages are marked as deleted, is counted from the arrays.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from posthouse.access.imap.answers import Done
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import find_place
from posthouse.message.mailbox import Flag
from posthouse.ms.uidsets import from_sorted
from posthouse.ports.store import Fields
from posthouse.protocol.imap.commands import Status
from posthouse.protocol.imap.objectids import write_mailbox_id
from posthouse.protocol.imap.render import write_mailbox
from posthouse.protocol.imap.values import StatusItem

_SLICE = 1_000
_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)


async def status(context: Context, request: Status) -> Done:
    place = await find_place(context, request.mailbox)
    place.need("r")
    note_items(context, request.items)
    context.write(await write_status_of(context, place, request.items))
    return Done("That is how it is")


def note_items(context: Context, items: Sequence[StatusItem]) -> None:
    """Who asks for HIGHESTMODSEQ knows CONDSTORE (RFC 7162 §3.1)."""
    if StatusItem.HIGHESTMODSEQ in items:
        context.condstore = True


async def write_status_of(context: Context, place: Place, items: Sequence[StatusItem]) -> bytes:
    written = [b"%b %b" % (item.value.encode("ascii"), await _write_item(context, place, item)) for item in items]
    name = write_mailbox(place.name, is_utf8=context.writes_utf8)
    return b"* STATUS %b (%b)\r\n" % (name, b" ".join(written))


async def _write_item(context: Context, place: Place, item: StatusItem) -> bytes:
    mailbox = place.mailbox
    if item is StatusItem.MAILBOXID:
        return b"(%b)" % write_mailbox_id(place.owner, mailbox.id)
    counting = _COUNTING.get(item)
    if counting is not None:
        return b"%d" % await counting(context, place)
    match item:
        case StatusItem.MESSAGES:
            number = mailbox.total
        case StatusItem.UIDNEXT:
            number = int(mailbox.uidnext)
        case StatusItem.UIDVALIDITY:
            number = int(mailbox.uidvalidity)
        case StatusItem.DELETED:
            number = mailbox.deleted
        case StatusItem.SIZE:
            number = mailbox.octets
        case StatusItem.HIGHESTMODSEQ:
            number = max(int(mailbox.modseq), 1)
        case StatusItem.APPENDLIMIT:
            number = context.desk.settings.append_limit
        case _:
            number = 0  # RECENT: RFC 9051 has none
    return b"%d" % number


async def _count_unseen(context: Context, place: Place) -> int:
    mailbox = place.mailbox
    if place.viewer is None and not mailbox.deleted:
        return mailbox.unseen
    view = await context.desk.store.messages.snapshot(place.owner, mailbox.id, place.viewer)
    return sum(not flags & _SEEN for flags in view.flags)


async def _count_deleted_storage(context: Context, place: Place) -> int:
    """Octets of messages that EXPUNGE would remove (RFC 9208 §4.1.4)."""
    mailbox, messages = place.mailbox, context.desk.store.messages
    if not mailbox.deleted:
        return 0
    view = await messages.snapshot(place.owner, mailbox.id)
    uids = [uid for uid, flags in zip(view.uids, view.flags, strict=True) if flags & _DELETED]
    octets = 0
    for start in range(0, len(uids), _SLICE):
        wanted = from_sorted(uids[start : start + _SLICE])
        octets += sum(row.size for row in await messages.load(place.owner, mailbox.id, wanted, Fields.DATES))
        await context.breathe()
    return octets


_COUNTING: Mapping[StatusItem, Callable[[Context, Place], Awaitable[int]]] = {
    StatusItem.UNSEEN: _count_unseen,
    StatusItem.DELETED_STORAGE: _count_deleted_storage,
}
