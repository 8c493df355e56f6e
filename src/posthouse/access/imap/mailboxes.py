"""CREATE, DELETE, RENAME, SUBSCRIBE, UNSUBSCRIBE, NAMESPACE.

RFC 9051 §6.3.4 to §6.3.8, §6.3.10; CREATE-SPECIAL-USE of RFC 6154 §3; rights of RFC 4314 §4: `k` of the mailbox above
for a new name, `x` of the one that goes. Where nothing is shared, the answer is the same whether there is such an
account or not. A mailbox made below another has its access list (RFC 4314 §3). What was subscribed stays so when it is
gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from posthouse.access.imap.answers import DONE, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.mailboxes_uses import read_use, refuse_use
from posthouse.access.imap.place import OTHERS, SEPARATOR, Area, Place, compose, split_name
from posthouse.access.imap.places import find_place, open_area
from posthouse.access.imap.selecting import leave
from posthouse.access.imap.sending import is_like_outbox, is_name_of_scheduled
from posthouse.access.imap.usual import role_of_name
from posthouse.message.mailbox import MAX_UID, Mailbox, MailboxId, Role, UidRange
from posthouse.ports.store import MailboxExists, MailboxUpdate
from posthouse.protocol.imap.commands import Create, Delete, Namespace, Rename, Subscribe, Unsubscribe
from posthouse.protocol.imap.objectids import write_mailbox_id
from posthouse.protocol.imap.render import write_mailbox, write_status

_TOP = MailboxId(0)
_MAX_NAME = 255  # octets
_EVERYTHING = (UidRange(1, MAX_UID),)


# -- CREATE


async def create(context: Context, request: Create) -> Done:
    role = read_use(request.special_use)
    parts = _read_new_name(context, request.mailbox, role)
    area = await _open_to_make(context, parts)
    if role is not None and (area.viewer is not None or any(mailbox.role is role for mailbox in area.mailboxes)):
        raise refuse_use()
    path = parts[area.depth :]
    found = area.find_deepest(path)
    _check_free(area, path, found)
    try:
        made = await _make(context, area, path, found, role or _usual_role(area, parts))
    except MailboxExists:
        if role is None:
            raise
        raise refuse_use() from None
    name = SEPARATOR.join(parts)
    if context.rev2 and name != request.mailbox.rstrip(SEPARATOR):
        _tell_name(context, name, request.mailbox.rstrip(SEPARATOR))
    return Done("Mailbox made", b"MAILBOXID (%b)" % write_mailbox_id(area.owner, made.id))  # RFC 8474 §4.1


def _usual_role(area: Area, parts: Sequence[str]) -> Role | None:
    """Of "Sent" and its like, where there is none for that use yet."""
    role = role_of_name(parts[0]) if len(parts) == 1 and area.viewer is None else None
    return None if any(mailbox.role is role for mailbox in area.mailboxes) else role


def _read_new_name(context: Context, name: str, role: Role | None = None) -> list[str]:
    """The parts of a name that may be made. Raises No."""
    parts = compose(split_name(name))
    for part in parts:
        if not part or not part.isprintable() or len(part.encode("utf-8", "replace")) > _MAX_NAME:
            raise No("That is no name for a mailbox", b"CANNOT")
    if is_like_outbox(context, parts[0]):
        raise _outbox_stays()
    if len(parts) == 1 and is_name_of_scheduled(parts[0]) and role is not Role.SCHEDULED:
        raise No("Scheduled is made by the server when mail waits for its time", b"CANNOT")
    return parts


def _outbox_stays() -> No:
    entry = '"" (/private/vendor/posthouse/outbox "on")'
    return No(f"The Outbox is no mailbox but a door: SETMETADATA {entry} opens it, with NIL it is shut", b"CANNOT")


async def _open_to_make(context: Context, parts: Sequence[str]) -> Area:
    area = await open_area(context, parts)
    if area is None or len(parts) == area.depth:
        raise _may_not_make()
    return area


def _may_not_make() -> No:
    return No("You may not make a mailbox there", b"NOPERM")


def _check_free(area: Area, path: Sequence[str], found: Sequence[Mailbox]) -> None:
    """Raises No. `found`: what is there of the path."""
    if area.viewer is not None:
        above = found[: len(path) - 1]
        if not above or "k" not in area.rights(above[-1].id):
            raise _may_not_make()
    if len(found) == len(path):
        raise MailboxExists


async def _make(
    context: Context, area: Area, path: Sequence[str], found: Sequence[Mailbox], role: Role | None = None
) -> Mailbox:
    """With what is missing above it."""
    store, above = context.desk.store, found[-1] if found else None
    for number in range(len(found), len(path)):
        is_last = number == len(path) - 1
        parent = above.id if above is not None else None
        made = await store.mailboxes.create(area.owner, path[number], parent, role if is_last else None)
        if parent is not None:
            for grant in await store.sharing.grants(area.owner, parent):
                await store.sharing.set_grant(area.owner, made.id, grant)
        above = made
    assert above is not None
    return above


async def may_create(context: Context, name: str) -> bool:
    """Whether CREATE would help who misses a mailbox of that name."""
    try:
        parts = _read_new_name(context, name)
        area = await _open_to_make(context, parts)
        path = parts[area.depth :]
        _check_free(area, path, area.find_deepest(path))
    except (No, MailboxExists):
        return False
    return True


def _tell_name(context: Context, name: str, old: str) -> None:
    """OLDNAME (RFC 9051 §6.3.9.7)."""
    new, was = (write_mailbox(each, is_utf8=context.writes_utf8) for each in (name, old))
    context.write(b'* LIST () "/" %b ("OLDNAME" (%b))\r\n' % (new, was))


# -- DELETE


async def delete(context: Context, request: Delete) -> Done:
    place = await _find_to_remove(context, request.mailbox)
    if place.mailbox.role is Role.INBOX:
        raise No("INBOX stays", b"CANNOT")
    if place.mailbox.role is Role.SCHEDULED and place.mailbox.total:
        raise No("Mail waits in it to be sent; move it out, or delete it, to take it back", b"INUSE")
    store, selected = context.desk.store, context.selected
    if place.viewer is not None:
        await _check_hidden_children(context, place)
    await store.mailboxes.remove(place.owner, place.mailbox.id)
    if place.viewer is None and place.mailbox.is_subscribed:
        await store.mailboxes.subscribe_name(context.account, place.name, True)
    if selected is not None and _is_same(selected.place, place):
        leave(context)
        context.write(write_status(b"*", b"OK", "The mailbox is closed, it is gone", b"CLOSED"))
    return Done("Mailbox removed")


async def _find_to_remove(context: Context, name: str) -> Place:
    place = await find_place(context, name)
    if place.viewer is None and split_name(place.name)[0] == context.desk.settings.outbox:
        raise _outbox_stays()
    place.need("x")
    return place


async def _check_hidden_children(context: Context, place: Place) -> None:
    """What the user may not look up is not named by the refusal."""
    area = await open_area(context, split_name(place.name))
    children = [] if area is None else [box for box in area.mailboxes if box.parent == place.mailbox.id]
    if area is not None and children and not any("l" in area.rights(child.id) for child in children):
        raise No("The mailbox cannot be removed", b"NOPERM")


def _is_same(one: Place, other: Place) -> bool:
    return (one.owner, one.mailbox.id) == (other.owner, other.mailbox.id)


# -- RENAME


async def rename(context: Context, request: Rename) -> Done:
    """Children come along; INBOX stays and its messages go (RFC 9051 §6.3.6)."""
    old = await _find_to_remove(context, request.old)
    parts = _read_new_name(context, request.new)
    area = await _open_to_make(context, parts)
    is_inbox = old.mailbox.role is Role.INBOX
    if area.owner != old.owner or (is_inbox and old.viewer is not None):
        raise No("A mailbox stays with its owner", b"CANNOT")
    path = parts[area.depth :]
    found = area.find_deepest(path)
    _check_free(area, path, found)
    if is_inbox:
        made = await _make(context, area, path, found)
        work = context.desk.store.messages.move(old.owner, old.mailbox.id, _EVERYTHING, old.owner, made.id)
        await context.wait_patiently(work)
        context.note_change()
        return Done("The messages of INBOX are moved")
    if any(mailbox.id == old.mailbox.id for mailbox in found):
        raise No("A mailbox cannot be below itself", b"CANNOT")
    await _move(context, area, path, found, old)
    name = SEPARATOR.join(parts)
    _follow(context, old, name)
    if context.rev2:
        _tell_name(context, name, old.name)
    return Done("Mailbox renamed")


async def _move(context: Context, area: Area, path: Sequence[str], found: Sequence[Mailbox], old: Place) -> None:
    above = _TOP
    if len(path) > 1:
        is_there = len(found) == len(path) - 1
        above = (found[-1] if is_there else await _make(context, area, path[:-1], found)).id
    await context.desk.store.mailboxes.update(area.owner, old.mailbox.id, MailboxUpdate(path[-1], above))


def _follow(context: Context, old: Place, name: str) -> None:
    """The selected mailbox is called anew when it is the one, or below it."""
    selected = context.selected
    if selected is None or selected.place.owner != old.owner:
        return
    before = selected.place.name
    if before == old.name or before.startswith(old.name + SEPARATOR):
        selected.place = replace(selected.place, name=name + before[len(old.name) :])


# -- subscriptions


async def subscribe(context: Context, request: Subscribe) -> Done:
    place = await find_place(context, request.mailbox)
    mailboxes = context.desk.store.mailboxes
    if place.viewer is None:
        await mailboxes.update(place.owner, place.mailbox.id, MailboxUpdate(is_subscribed=True))
    else:
        await mailboxes.subscribe_name(context.account, place.name, True)
    return Done("Subscribed")


async def unsubscribe(context: Context, request: Unsubscribe) -> Done:
    """Of a name that is no mailbox, too."""
    mailboxes = context.desk.store.mailboxes
    name = request.mailbox
    try:
        place = await find_place(context, name)
    except No:
        place = None
    if place is not None:
        name = place.name
        if place.viewer is None:
            await mailboxes.update(place.owner, place.mailbox.id, MailboxUpdate(is_subscribed=False))
    if name in await mailboxes.subscribed_names(context.account):
        await mailboxes.subscribe_name(context.account, name, False)
    return Done("Not subscribed any more")


async def namespace(context: Context, request: Namespace) -> Done:
    """RFC 2342 §5."""
    context.write(b'* NAMESPACE (("" "/")) (("%b/" "/")) NIL\r\n' % OTHERS.encode("ascii"))
    return DONE
