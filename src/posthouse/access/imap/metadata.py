"""GETMETADATA and SETMETADATA (RFC 5464), and the entries that LIST returns (RFC 9590).

Entries are "/shared/..." for all who may read the mailbox, and "/private/..." for each reader alone. Rights (RFC 5464
§3.3): `l` and `r` to read and to have private ones, `w` too to set shared ones. Mailbox "" is the server: its shared
entries are ours and cannot be set; the user's private ones are kept with the account, and may turn the Outbox on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.mailboxes_uses import USE_ENTRY, change_use, use_of
from posthouse.access.imap.place import Place
from posthouse.access.imap.places import find_place
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.message.wire_strings import NIL, write_string
from posthouse.ports.sending import SendRefused
from posthouse.ports.store import BadName, TooMany
from posthouse.protocol.imap.commands import GetMetadata, SetMetadata
from posthouse.protocol.imap.render import write_mailbox

_ALL = -1  # DEPTH infinity
_SHARED, _PRIVATE = "/shared", "/private"
_MOST = 100  # entries of one command

Entries = Mapping[str, bytes | None]


async def get_metadata(context: Context, request: GetMetadata) -> Done:
    _check_entries(request.entries)
    if request.mailbox:
        place = await _find(context, request.mailbox)
        name = place.name
        kept = await context.desk.store.annotations.read(place.owner, place.mailbox.id, context.account)
        found = with_use(place, kept)
    else:
        name, found = "", await _read_server(context)
    chosen = _choose(found, request)
    limit = request.max_size
    too_long = [len(value) for value in chosen.values() if value and limit is not None and len(value) > limit]
    if limit is not None:
        chosen = {entry: value for entry, value in chosen.items() if value is None or len(value) <= limit}
    if chosen:
        context.write(write_entries(context, name, chosen))
    return Done("Those are the entries", b"METADATA LONGENTRIES %d" % max(too_long) if too_long else b"")


def _choose(found: Mapping[str, bytes], request: GetMetadata) -> dict[str, bytes | None]:
    """RFC 5464 §4.2.2. An entry that is named and not there is NIL."""
    chosen: dict[str, bytes | None] = {}
    for wanted in request.entries:
        if request.depth == 0 or wanted in found:
            chosen[wanted] = found.get(wanted)
        if request.depth == 0:
            continue
        below = wanted + "/"
        for entry in found:
            if entry.startswith(below) and (request.depth == _ALL or "/" not in entry[len(below) :]):
                chosen[entry] = found[entry]
    return chosen


def _check_entries(entries: Sequence[str]) -> None:
    for entry in entries:
        if entry not in (_SHARED, _PRIVATE) and not entry.startswith((_SHARED + "/", _PRIVATE + "/")):
            raise Bad("Entries begin with /shared/ or /private/")
    if len(entries) > _MOST:
        raise No(f"At most {_MOST} entries at once", b"METADATA TOOMANY")


def with_use(place: Place, entries: dict[str, bytes]) -> dict[str, bytes]:
    use = use_of(place)
    return entries if use is None else entries | {USE_ENTRY: use.encode("ascii")}


async def _find(context: Context, name: str) -> Place:
    place = await find_place(context, name)
    place.need("r")
    return place


async def _read_server(context: Context) -> dict[str, bytes]:
    """RFC 5464 §6.2.1."""
    own = await context.desk.store.annotations.read(context.account, None, context.account)
    found = {entry: value for entry, value in own.items() if entry.startswith(_PRIVATE)}
    domain = context.user.name.rpartition("@")[2]
    found["/shared/admin"] = f"mailto:postmaster@{domain}".encode("utf-8", "replace")
    found["/shared/comment"] = f"Posthouse at {context.desk.settings.hostname}".encode("utf-8", "replace")
    return found


def write_entries(context: Context, name: str, entries: Entries) -> bytes:
    """METADATA with values (RFC 5464 §4.4.1)."""
    written = b" ".join([b"%b %b" % (_write_name(entry), _write_value(value)) for entry, value in entries.items()])
    return b"* METADATA %b (%b)\r\n" % (write_mailbox(name, is_utf8=context.writes_utf8), written)


def _write_name(entry: str) -> bytes:
    octets = entry.encode("utf-8", "replace")
    plain = entry.isascii() and entry.isprintable() and not any(char in ' "\\(){%*]' for char in entry)
    return octets if plain else write_string(octets)


def _write_value(value: bytes | None) -> bytes:
    if value is None:
        return NIL
    if b"\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value)  # literal8
    return write_string(value)


async def set_metadata(context: Context, request: SetMetadata) -> Done:
    """All or none; but the use of a mailbox, which is no annotation, is changed first."""
    entries = dict(request.entries)
    _check_entries(list(entries))
    limit = context.desk.settings.largest_metadata
    if any(value is not None and len(value) > limit for value in entries.values()):
        raise No("A value is too large", b"METADATA MAXSIZE %d" % limit)
    has_shared = any(entry.startswith(_SHARED) for entry in entries)
    if not request.mailbox:
        if has_shared:
            raise No("Entries of the server are the administrator's", b"NOPERM")
        _check_own(context, entries)
        await _write(context, context.account, None, entries)
        for entry in entries:
            await context.desk.sending.note_annotation(context.account, entry)
        context.has_outbox = await context.desk.sending.is_outbox_on(context.account)
        return Done("The entries are kept")
    place = await _find(context, request.mailbox)
    if has_shared:
        place.need("w")
    if USE_ENTRY in entries:
        await change_use(context, place, entries.pop(USE_ENTRY))
    if entries:
        await _write(context, place.owner, place.mailbox.id, entries)
    return Done("The entries are kept")


def _check_own(context: Context, entries: Entries) -> None:
    """Raises No."""
    try:
        for entry, value in entries.items():
            context.desk.sending.check_annotation(context.user, entry, value)
    except SendRefused as refusal:
        raise No(refusal.text, b"NOPERM" if refusal.is_policy else b"CANNOT") from None


async def _write(context: Context, owner: AccountId, mailbox: MailboxId | None, entries: Entries) -> None:
    try:
        await context.desk.store.annotations.write(owner, mailbox, context.account, entries)
    except TooMany:
        raise No("There are too many entries", b"METADATA TOOMANY") from None
    except BadName:
        raise Bad("That is no name for an entry") from None


async def read_listed(context: Context, places: Sequence[Place]) -> dict[tuple[AccountId, MailboxId], dict[str, bytes]]:
    """Of many mailboxes, in one read for each owner."""
    wanted: dict[AccountId, list[MailboxId]] = {}
    for place in places:
        if place.may("r"):
            wanted.setdefault(place.owner, []).append(place.mailbox.id)
    found: dict[tuple[AccountId, MailboxId], dict[str, bytes]] = {}
    for owner, mailboxes in wanted.items():
        entries = await context.desk.store.annotations.read_many(owner, mailboxes, context.account)
        found.update({(owner, mailbox): each for mailbox, each in entries.items()})
    return found
