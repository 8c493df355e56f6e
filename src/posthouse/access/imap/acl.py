"""Access lists: GETACL, SETACL, DELETEACL, LISTRIGHTS, MYRIGHTS (RFC 4314; RIGHTS=texk).

An identifier is an account's address, or "anyone"; with "-" before it, its rights are taken from what others give
(RFC 4314 §2). Who owns a mailbox has all rights, and no entry: there is nothing to be set. `c` and `d` of RFC 2086 are
understood and told: `c` is k and x, `d` is t and e (RFC 4314 §2.1.1).
"""

from __future__ import annotations

from posthouse.access.imap.answers import Bad, Done, No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import ALL_RIGHTS, Place
from posthouse.access.imap.places import find_place
from posthouse.access.imap.sending import is_like_outbox
from posthouse.message.mailbox import AccountId
from posthouse.message.wire_strings import write_string
from posthouse.ports.store import Grant
from posthouse.protocol.imap.commands import DeleteAcl, GetAcl, ListRights, MyRights, SetAcl
from posthouse.protocol.imap.render import write_mailbox

_ANYONE = "anyone"
_VIRTUAL = {"c": "kx", "d": "te"}


def write_rights(rights: str) -> bytes:
    """With the virtual ones that a client of RFC 2086 knows."""
    virtual = [name for name, members in _VIRTUAL.items() if any(right in rights for right in members)]
    return (rights + "".join(virtual)).encode("ascii") or b'""'


async def my_rights(context: Context, request: MyRights) -> Done:
    place = await find_place(context, request.mailbox)
    context.write(b"* MYRIGHTS %b %b\r\n" % (_write_name(context, place), write_rights(place.rights)))
    return Done("Those are your rights")


async def get_acl(context: Context, request: GetAcl) -> Done:
    place = await _find(context, request.mailbox)
    grants = await context.desk.store.sharing.grants(place.owner, place.mailbox.id)
    lines = [(_write_account(context, place.owner), ALL_RIGHTS)]
    lines += [(_write_identifier(context, grant), grant.rights) for grant in grants]
    written = b" ".join([b"%b %b" % (write_string(who.encode("utf-8")), write_rights(what)) for who, what in lines])
    context.write(b"* ACL %b %b\r\n" % (_write_name(context, place), written))
    return Done("That is the access list")


async def set_acl(context: Context, request: SetAcl) -> Done:
    place = await _find(context, request.mailbox)
    if place.mailbox.parent is None and is_like_outbox(context, place.mailbox.name):
        raise No("The Outbox is yours alone: whoever may send as you has a password of yours", b"CANNOT")
    rights = _read_rights(request.rights)
    grantee, is_negative = _read_identifier(context, place, request.identifier)
    sharing = context.desk.store.sharing
    if request.mode:
        old = set[str]()
        for grant in await sharing.grants(place.owner, place.mailbox.id):
            if (grant.grantee, grant.is_negative) == (grantee, is_negative):
                old = set(grant.rights)
        rights = old | rights if request.mode == "+" else old - rights
    wanted = "".join(right for right in ALL_RIGHTS if right in rights)
    await sharing.set_grant(place.owner, place.mailbox.id, Grant(grantee, wanted, is_negative))
    return Done("The access list is set")


async def delete_acl(context: Context, request: DeleteAcl) -> Done:
    place = await _find(context, request.mailbox)
    grantee, is_negative = _read_identifier(context, place, request.identifier)
    await context.desk.store.sharing.set_grant(place.owner, place.mailbox.id, Grant(grantee, "", is_negative))
    return Done("The entry is gone")


async def list_rights(context: Context, request: ListRights) -> Done:
    """RFC 4314 §3.7: what an identifier always has, then what may be given to it, each on its own."""
    place = await _find(context, request.mailbox)
    identifier = request.identifier
    if not identifier.startswith("-") and _find_account(context, identifier) == place.owner:
        rights = write_rights(ALL_RIGHTS)
    else:
        _read_identifier(context, place, identifier)
        rights = b'"" ' + b" ".join([b"%c" % ord(right) for right in ALL_RIGHTS + "".join(_VIRTUAL)])
    who = write_string(identifier.encode("utf-8"))
    context.write(b"* LISTRIGHTS %b %b %b\r\n" % (_write_name(context, place), who, rights))
    return Done("Those are the rights there are")


async def _find(context: Context, name: str) -> Place:
    place = await find_place(context, name)
    place.need("a")
    return place


def _read_rights(text: str) -> set[str]:
    """Raises Bad: what is no right is not passed over (RFC 4314 §3.1)."""
    rights = {right for letter in text for right in _VIRTUAL.get(letter, letter)}
    unknown = rights.difference(ALL_RIGHTS)
    if unknown:
        raise Bad(f"There is no right {min(unknown)!r}")
    return rights


def _read_identifier(context: Context, place: Place, text: str) -> tuple[AccountId | None, bool]:
    """Raises No."""
    is_negative = text.startswith("-")
    name = text.removeprefix("-")
    if name == _ANYONE:
        return None, is_negative
    account = _find_account(context, name)
    if account is None:
        raise No('Rights are for addresses of accounts here and for "anyone"', b"CANNOT")
    if account == place.owner:
        raise No("Whose mailbox it is has all rights and keeps them", b"CANNOT")
    return account, is_negative


def _find_account(context: Context, name: str) -> AccountId | None:
    found = context.desk.accounts.find(name)
    return None if found is None else found.id


def _write_identifier(context: Context, grant: Grant) -> str:
    name = _ANYONE if grant.grantee is None else _write_account(context, grant.grantee)
    return f"-{name}" if grant.is_negative else name


def _write_account(context: Context, account: AccountId) -> str:
    found = context.desk.accounts.get(account)
    return "nobody" if found is None else found.address


def _write_name(context: Context, place: Place) -> bytes:
    return write_mailbox(place.name, is_utf8=context.writes_utf8)
