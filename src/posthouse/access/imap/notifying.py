"""NOTIFY (RFC 5465): what happens in other mailboxes, and in the selected one without IDLE.

What is watched is a picture of the mailboxes' rows; a change of one of their accounts makes a new picture, and the
difference of both is told: STATUS for messages, LIST for names and subscriptions, METADATA for entries. The selected
mailbox is told by updates.py like everywhere. Rights are looked at with each picture: what may no longer be looked up
is told as gone, once.

AnnotationChange is not there: BADEVENT. More mailboxes than `MOST` are not watched: NOTIFICATIONOVERFLOW.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import DONE, Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import list_places
from posthouse.access.imap.updates import tell_news
from posthouse.access.imap.watching import SELECTED, Entries, Notifying
from posthouse.protocol.imap.commands import Fetch, Notify
from posthouse.protocol.imap.render import write_mailbox, write_status
from posthouse.protocol.imap.values import Event, EventGroup, Scope, SequenceSet

MOST = 5_000
_MESSAGES = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})
_KNOWN = frozenset(Event) - {Event.ANNOTATION_CHANGE}


# -- the command


async def notify(context: Context, request: Notify) -> Done:
    stop_notifying(context)
    if not request.groups:
        return DONE
    _check(request.groups)
    notifying = Notifying(request.groups, context.note_change)
    if notifying.groups:
        await _take_picture(context, notifying)
        if request.wants_status:
            _tell_status_of_all(context, notifying)
    context.notifying = notifying
    return DONE


def stop_notifying(context: Context) -> None:
    if context.notifying is not None:
        context.notifying.close()
        context.notifying = None


def _check(groups: Sequence[EventGroup]) -> None:
    """RFC 5465 §5, §6.1."""
    for group in groups:
        unknown = group.events - _KNOWN
        if unknown:
            known = " ".join(event.value for event in Event if event in _KNOWN)
            raise No("Such events are not told", f"BADEVENT ({known})".encode("ascii"))
        both = {Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE}
        if group.events & _MESSAGES and not both <= group.events:
            raise Bad("MessageNew and MessageExpunge go together, and FlagChange with them")
    if sum(group.source.scope in SELECTED for group in groups) > 1:
        raise Bad("SELECTED stands there twice")


async def _take_picture(context: Context, notifying: Notifying) -> None:
    """Raises No when it is too large."""
    places = await list_places(context)
    wanted = {(place.owner, place.mailbox.id): place for place in places if notifying.events_of(place)}
    if len(wanted) > MOST:
        raise No(f"At most {MOST} mailboxes are watched", b"NOTIFICATIONOVERFLOW")
    notifying.is_dirty = False
    notifying.picture = wanted
    notifying.watch(context.desk.store.changes, {place.owner for place in places})
    if notifying.wants(Event.MAILBOX_METADATA_CHANGE):
        notifying.entries = {key: await _read_entries(context, place) for key, place in wanted.items()}


async def _read_entries(context: Context, place: Place) -> Entries:
    return await context.desk.store.annotations.read(place.owner, place.mailbox.id, context.account)


# -- what happened


async def tell_events(context: Context) -> None:
    """The difference of what was and what is."""
    notifying = context.notifying
    if notifying is None or not notifying.is_dirty:
        return
    old, old_entries = notifying.picture, notifying.entries
    try:
        await _take_picture(context, notifying)
    except No as overflow:
        context.write(write_status(b"*", b"OK", overflow.text, overflow.code))
        stop_notifying(context)
        return
    new = notifying.picture
    for key, place in new.items():
        events = notifying.events_of(place)
        _tell_names(context, old.get(key), place, events)
        _tell_messages(context, old.get(key), place, events)
        if Event.MAILBOX_METADATA_CHANGE in events:
            _tell_entries(context, place, old_entries.get(key, {}), notifying.entries.get(key, {}))
    for key, place in old.items():
        if key not in new and Event.MAILBOX_NAME in notifying.events_of(place):
            context.write(b'* LIST (\\NonExistent) "/" %b\r\n' % _write_name(context, place.name))


def _tell_names(context: Context, old: Place | None, new: Place, events: frozenset[Event]) -> None:
    is_new = old is None or old.name != new.name
    is_other = old is not None and old.is_subscribed != new.is_subscribed
    if (is_new and Event.MAILBOX_NAME in events) or (is_other and Event.SUBSCRIPTION_CHANGE in events):
        attributes = b"\\Subscribed" if new.is_subscribed else b""
        before = b""
        if old is not None and old.name != new.name:
            before = b' ("OLDNAME" (%b))' % _write_name(context, old.name)
        context.write(b'* LIST (%b) "/" %b%b\r\n' % (attributes, _write_name(context, new.name), before))


def _tell_messages(context: Context, old: Place | None, new: Place, events: frozenset[Event]) -> None:
    selected = context.selected
    if not events & _MESSAGES or not new.may("r"):
        return
    if selected is not None and selected.place.mailbox.id == new.mailbox.id and selected.place.owner == new.owner:
        return  # told in full, by updates.py
    if old is None or old.mailbox.modseq == new.mailbox.modseq:
        return
    before, after = old.mailbox, new.mailbox
    came = after.uidnext - before.uidnext
    is_only_flags = not came and before.total == after.total
    if is_only_flags and Event.FLAG_CHANGE not in events:
        return
    context.write(write_status_line(context, new))


def write_status_line(context: Context, place: Place) -> bytes:
    mailbox = place.mailbox
    items = b"MESSAGES %d UIDNEXT %d UIDVALIDITY %d UNSEEN %d" % (
        mailbox.total,
        mailbox.uidnext,
        mailbox.uidvalidity,
        mailbox.unseen,
    )
    if context.condstore:
        items += b" HIGHESTMODSEQ %d" % max(mailbox.modseq, 1)
    return b"* STATUS %b (%b)\r\n" % (_write_name(context, place.name), items)


def _tell_status_of_all(context: Context, notifying: Notifying) -> None:
    """NOTIFY SET STATUS (RFC 5465 §3.1)."""
    for place in notifying.picture.values():
        if notifying.events_of(place) & _MESSAGES and place.may("r"):
            context.write(write_status_line(context, place))


def _tell_entries(context: Context, place: Place, old: Entries, new: Entries) -> None:
    changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    if changed:  # RFC 5464 §4.4.2
        names = " ".join(changed).encode("utf-8", "replace")
        context.write(b"* METADATA %b %b\r\n" % (_write_name(context, place.name), names))


def _write_name(context: Context, name: str) -> bytes:
    return write_mailbox(name, is_utf8=context.writes_utf8)


# -- the selected mailbox


def may_tell_selected(context: Context) -> bool:
    """Between commands: to who idles, or asked for the selected mailbox."""
    selected = context.notifying.selected if context.notifying is not None else None
    return bool(context.idle_tag) or (selected is not None and bool(selected.events))


async def tell_selected(context: Context) -> Fetch | None:
    """News of the selected mailbox; SELECTED-DELAYED without EXPUNGE (RFC 5465 §6.1). What the client wants to know of
    new messages is returned, to be fetched for it.
    """
    notifying, selected = context.notifying, context.mailbox
    group = notifying.selected if notifying is not None else None
    delays = group is not None and group.source.scope is Scope.SELECTED_DELAYED and not context.idle_tag
    before = selected.view.uidnext
    await tell_news(context, may_expunge=not delays)
    if group is None or not group.fetch or selected.view.uidnext == before or selected.unread is not None:
        return None
    return Fetch(SequenceSet(((before, selected.view.uidnext - 1),)), group.fetch, is_uid=True)
