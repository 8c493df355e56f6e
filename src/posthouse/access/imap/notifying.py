"""NOTIFY (RFC 5465): what happens in other mailboxes, and in the selected one without IDLE.

What is watched is a picture of the mailboxes' rows; a change of one of their accounts makes a new picture, and the
difference of both is told: STATUS for messages, LIST for names and subscriptions, METADATA for entries. The selected
mailbox is told by updates.py like everywhere. Rights are looked at with each picture: what may no longer be looked up
is told as gone, what may be looked up but not read as \\NoAccess, once.

What the client did itself is told, too. Commands tell news of the selected mailbox as without NOTIFY (RFC 9051 §5.2);
what NOTIFY leaves out is not told between them.

AnnotationChange is not there: BADEVENT. More mailboxes than `watched_mailboxes` are not watched: NOTIFICATIONOVERFLOW.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.imap.answers import DONE, Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.mailboxes_uses import use_of
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import list_places
from posthouse.access.imap.sparse import fill_view
from posthouse.access.imap.updates import tell_news
from posthouse.access.imap.watching import SELECTED, Entries, Notifying, Picture, parent_of
from posthouse.protocol.imap.commands import Fetch, Notify
from posthouse.protocol.imap.render import write_mailbox, write_status
from posthouse.protocol.imap.values import Event, EventGroup, Scope, SequenceSet

_MESSAGES = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE, Event.FLAG_CHANGE})
_BOTH = frozenset({Event.MESSAGE_NEW, Event.MESSAGE_EXPUNGE})
_KNOWN = frozenset(Event) - {Event.ANNOTATION_CHANGE}


# -- the command


async def notify(context: Context, request: Notify) -> Done:
    """What is refused leaves everything as it was."""
    _check(request.groups)
    notifying = Notifying(request.groups, context.note_change)
    try:
        every = await _take_picture(context, notifying)
    except BaseException:
        notifying.close()
        raise
    stop_notifying(context)
    context.notifying = notifying
    if context.selected is not None:
        context.selected.is_dirty = True  # news are told before the answer, as with NOOP (RFC 5465 §3.1)
        context.selected.told_to = context.selected.view.uidnext
    teller = _Teller(context, notifying, {}, every)
    for place in notifying.picture.values():
        if not place.may("r"):
            teller.tell_list(place)
        elif request.wants_status and notifying.events_of(place) & _MESSAGES and not _is_selected(context, place):
            context.write(write_status_line(context, place))
    return DONE


def stop_notifying(context: Context) -> None:
    if context.notifying is not None:
        context.notifying.close()
        context.notifying = None


def _check(groups: Sequence[EventGroup]) -> None:
    """RFC 5465 §3.1, §5, §6.1, §8."""
    for group in groups:
        if group.events - _KNOWN:
            known = " ".join(event.value for event in Event if event in _KNOWN)
            raise No("Such events are not told", f"BADEVENT ({known})".encode("ascii"))
    for group in groups:
        if group.events & _MESSAGES and not group.events >= _BOTH:
            raise Bad("MessageNew and MessageExpunge go together, and FlagChange with them")
        is_selected = group.source.scope in SELECTED
        if is_selected and group.events - _MESSAGES:
            raise Bad("Of the selected mailbox only what happens to messages is told so")
        if group.fetch and not is_selected:
            raise Bad("Of new messages in other mailboxes nothing can be fetched")
    if sum(group.source.scope in SELECTED for group in groups) > 1:
        raise Bad("SELECTED stands there twice")


async def _take_picture(context: Context, notifying: Notifying) -> Picture:
    """Every mailbox there is; those that are watched are kept. Raises No when they are too many."""
    notifying.is_dirty = False
    if not notifying.groups:
        return {}
    every = {(place.owner, place.mailbox.id): place for place in await list_places(context)}
    wanted = {key: place for key, place in every.items() if notifying.events_of(place)}
    most = context.desk.settings.watched_mailboxes
    if len(wanted) > most:
        raise No(f"At most {most} mailboxes are watched", b"NOTIFICATIONOVERFLOW")
    notifying.picture = wanted
    notifying.watch(context.desk.store.changes, {context.account, *(owner for owner, _ in every)})
    annotations = context.desk.store.annotations
    if notifying.wants(Event.MAILBOX_METADATA_CHANGE):
        notifying.entries = {key: await _read_entries(context, place) for key, place in wanted.items()}
    if notifying.wants(Event.SERVER_METADATA_CHANGE):
        notifying.server_entries = await annotations.read(context.account, None, context.account)
    return every


async def _read_entries(context: Context, place: Place) -> Entries:
    if not place.may("r"):
        return {}
    return await context.desk.store.annotations.read(place.owner, place.mailbox.id, context.account)


# -- what happened


async def tell_events(context: Context) -> None:
    """The difference of what was and what is."""
    notifying = context.notifying
    if notifying is None or not notifying.is_dirty:
        return
    old, entries, server_entries = notifying.picture, notifying.entries, notifying.server_entries
    try:
        every = await _take_picture(context, notifying)
    except No as overflow:
        context.write(write_status(b"*", b"OK", overflow.text, overflow.code))
        stop_notifying(context)
        context.notifying = Notifying((), context.note_change)  # as NOTIFY NONE (RFC 5465 §5.8)
        return
    teller = _Teller(context, notifying, old, every)
    teller.tell_names()
    for key, place in notifying.picture.items():
        events = notifying.events_of(place)
        if not place.may("r"):
            continue
        if events & _MESSAGES:
            teller.tell_messages(old.get(key), place, events)
        if Event.MAILBOX_METADATA_CHANGE in events:
            _tell_entries(context, place.name, entries.get(key, {}), notifying.entries.get(key, {}))
    _tell_entries(context, "", server_entries, notifying.server_entries)


class _Teller:
    """Of one difference: `old` is what was watched, `every` what there is now."""

    def __init__(self, context: Context, notifying: Notifying, old: Picture, every: Picture) -> None:
        self._context, self._notifying, self._old, self._every = context, notifying, old, every
        self._names = {place.name for place in every.values()}
        self._parents = {parent_of(name) for name in self._names}
        self._moved = {(before.name, every[key].name) for key, before in old.items() if key in every}
        self._old_names = {place.name for place in old.values()}
        self._told: set[str] = set()

    def tell_names(self) -> None:
        """What went comes first: its name may have been taken since (RFC 5465 §5.4, §5.5)."""
        picture, affected = self._notifying.picture, set[str]()
        for key, before in self._old.items():
            if key not in picture and self._tell_leaving(before, self._every.get(key)):
                affected.add(parent_of(before.name))
        for key, place in picture.items():
            if self._tell_name(self._old.get(key), place, self._notifying.events_of(place)):
                affected.add(parent_of(place.name))
        for place in picture.values():
            is_wanted = place.name in affected and Event.MAILBOX_NAME in self._notifying.events_of(place)
            if is_wanted and place.name not in self._told:
                self.tell_list(place)

    def _tell_leaving(self, before: Place, now: Place | None) -> bool:
        """What is not watched any more. True: its parent is affected."""
        events = self._notifying.events_of(before)
        if now is not None:
            self._tell_name(before, now, events)
        elif Event.MAILBOX_NAME in events and before.name not in self._names:
            self._context.write(b'* LIST (\\NonExistent) "/" %b\r\n' % _write_name(self._context, before.name))
            return True
        return False

    def _tell_name(self, before: Place | None, place: Place, events: frozenset[Event]) -> bool:
        """True: the parent is affected."""
        if before is None:
            if Event.MAILBOX_NAME in events or (Event.SUBSCRIPTION_CHANGE in events and place.is_subscribed):
                self.tell_list(place)
            return Event.MAILBOX_NAME in events
        is_renamed = before.name != place.name and not self._follows(before.name, place.name)
        is_other = before.is_subscribed != place.is_subscribed and Event.SUBSCRIPTION_CHANGE in events
        if is_renamed and Event.MAILBOX_NAME in events:
            self.tell_list(place, before.name)
        elif is_other or before.may("r") != place.may("r"):
            self.tell_list(place)
        return False

    def _follows(self, before: str, now: str) -> bool:
        """Its parent was renamed, and it came along: nothing is told of it."""
        moved = (parent_of(before), parent_of(now))
        return moved[0] != moved[1] and moved in self._moved and before.rpartition("/")[2] == now.rpartition("/")[2]

    def tell_list(self, place: Place, old_name: str = "") -> None:
        context = self._context
        attributes = ["\\HasChildren" if place.name in self._parents else "\\HasNoChildren"]
        use = use_of(place)
        attributes += [use] if use is not None else []
        attributes += ["\\Subscribed"] if place.is_subscribed else []
        attributes += [] if place.may("r") else ["\\NoAccess"]
        before = b' ("OLDNAME" (%b))' % _write_name(context, old_name) if old_name else b""
        written = " ".join(attributes).encode("ascii")
        context.write(b'* LIST (%b) "/" %b%b\r\n' % (written, _write_name(context, place.name), before))
        self._told.add(place.name)

    def tell_messages(self, old: Place | None, new: Place, events: frozenset[Event]) -> None:
        if _is_selected(self._context, new):
            return  # told in full, by updates.py
        after = new.mailbox
        if old is None:  # new ones have something to tell, and those whose UIDVALIDITY is another
            is_news = bool(after.total) or new.name in self._old_names
        else:
            before = old.mailbox
            is_only_flags = after.uidnext == before.uidnext and before.total == after.total
            is_news = before.modseq != after.modseq and (not is_only_flags or Event.FLAG_CHANGE in events)
        if is_news:
            self._context.write(write_status_line(self._context, new))


def _is_selected(context: Context, place: Place) -> bool:
    selected = context.selected
    return (
        selected is not None and selected.place.mailbox.id == place.mailbox.id and selected.place.owner == place.owner
    )


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


def _tell_entries(context: Context, name: str, old: Entries, new: Entries) -> None:
    changed = sorted(entry for entry in {*old, *new} if old.get(entry) != new.get(entry))
    if changed:  # RFC 5464 §4.4.2
        entries = " ".join(changed).encode("utf-8", "replace")
        context.write(b"* METADATA %b %b\r\n" % (_write_name(context, name), entries))


def _write_name(context: Context, name: str) -> bytes:
    return write_mailbox(name, is_utf8=context.writes_utf8)


# -- the selected mailbox


def may_tell_selected(context: Context) -> bool:
    """Between commands: to who idles, or asked for the selected mailbox. Who has used NOTIFY hears what was asked for
    and nothing else, idling or not (RFC 5465 §3.1, §4).
    """
    notifying = context.notifying
    if notifying is None:
        return bool(context.idle_tag)
    return notifying.selected is not None and bool(notifying.selected.events)


async def tell_selected(context: Context) -> None:
    """News of the selected mailbox; SELECTED-DELAYED without EXPUNGE (RFC 5465 §6.1)."""
    group = context.notifying.selected if context.notifying is not None else None
    if group is None:
        await tell_news(context)
        return
    delays = group.source.scope is Scope.SELECTED_DELAYED and not context.idle_tag
    await tell_news(context, may_expunge=not delays, may_change=Event.FLAG_CHANGE in group.events)


async def want_of_new(context: Context) -> Fetch | None:
    """What the client wants to know of messages that it has just heard of, to be fetched for it (RFC 5465 §5.2)."""
    selected = context.mailbox
    first, selected.told_to = selected.told_to, selected.view.uidnext
    group = context.notifying.selected if context.notifying is not None else None
    if group is None or not group.fetch or selected.told_to <= first:
        return None
    await fill_view(context)
    return Fetch(SequenceSet(((first, selected.told_to - 1),)), group.fetch, is_uid=True)
