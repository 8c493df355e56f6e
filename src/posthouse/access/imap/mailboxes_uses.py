"""What a mailbox is for, as IMAP says it (RFC 6154 §2): roles of the store, but for INBOX, as attributes.

CREATE makes a mailbox for a use, LIST tells it, and METADATA reads and changes it as "/private/specialuse" (RFC 6154
§4). The uses of another's mailboxes are not one's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from posthouse.access.imap.answers import No
from posthouse.access.imap.context import Context
from posthouse.access.imap.place import Place
from posthouse.message.mailbox import Role
from posthouse.ports.store import MailboxExists, MailboxUpdate

USE_ENTRY = "/private/specialuse"
_ROLES = {f"\\{role.value}": role for role in Role if role is not Role.INBOX}
_FIXED = (Role.INBOX, Role.SCHEDULED)  # mail waits in Scheduled, and is sent from there
_NONE = cast(Role, "")  # takes the role away


def use_of(place: Place) -> str | None:
    role = place.mailbox.role
    if place.viewer is not None or role is None or role is Role.INBOX:
        return None
    return f"\\{role.value.capitalize()}"


def read_use(wanted: Sequence[str]) -> Role | None:
    """Raises No for what cannot be: a mailbox has one use."""
    if not wanted:
        return None
    role = _ROLES.get(wanted[0].lower())
    if role is None or any(use.lower() != wanted[0].lower() for use in wanted):
        raise refuse_use()
    return role


def refuse_use() -> No:
    return No("There cannot be a mailbox for that use, or there is one already", b"USEATTR")


async def change_use(context: Context, place: Place, value: bytes | None) -> None:
    """Raises No."""
    role = read_use((value or b"").decode("utf-8", "replace").split())
    if place.viewer is not None or place.mailbox.role in _FIXED or role in _FIXED:
        raise refuse_use()
    update = MailboxUpdate(role=role or _NONE)
    try:
        await context.desk.store.mailboxes.update(place.owner, place.mailbox.id, update)
    except MailboxExists:
        raise refuse_use() from None
