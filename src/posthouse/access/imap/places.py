"""Which mailbox a name means for this user, and what the user may do there: the one answer that every command asks.

Rights are the letters of RFC 4314 §2.1. The owner has all of them, but nobody may remove or rename INBOX. A mailbox
that may not be looked up (`l`) does not exist for the user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from posthouse.access.imap.answers import No
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId

if TYPE_CHECKING:
    from posthouse.access.imap.context import Context

SEPARATOR = "/"
ALL_RIGHTS = "lrswipkxtea"


@dataclass(frozen=True, slots=True)
class Place:
    """`name` as this user calls it. `viewer`: whose \\Seen counts; None: the owner's."""

    name: str
    owner: AccountId
    mailbox: Mailbox
    rights: str = ALL_RIGHTS
    viewer: AccountId | None = None

    @property
    def is_subscribed(self) -> bool:
        """By this user."""
        return self.mailbox.is_subscribed

    def may(self, rights: str) -> bool:
        return all(right in self.rights for right in rights)

    def need(self, rights: str) -> None:
        """Raises No."""
        if not self.may(rights):
            raise No("You may not do that in this mailbox", b"NOPERM")


def name_mailboxes(mailboxes: Sequence[Mailbox]) -> Iterator[tuple[str, Mailbox]]:
    """Full names of an account's own mailboxes; parents come before children."""
    names: dict[MailboxId, str] = {}
    for mailbox in mailboxes:
        above = names.get(mailbox.parent) if mailbox.parent is not None else None
        name = mailbox.name if above is None else f"{above}{SEPARATOR}{mailbox.name}"
        names[mailbox.id] = name
        yield name, mailbox


async def list_places(context: Context) -> list[Place]:
    """Every mailbox the user may look up."""
    account = context.account
    found = await context.desk.store.mailboxes.list_all(account)
    return [Place(name, account, mailbox) for name, mailbox in name_mailboxes(found)]


async def find_place(context: Context, name: str) -> Place:
    """Raises No when there is none that the user may look up."""
    wanted = name.rstrip(SEPARATOR) or name
    for place in await list_places(context):
        if place.name == wanted:
            return place
    raise No("There is no such mailbox", b"NONEXISTENT")
