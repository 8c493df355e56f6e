"""The parts of the store that make a mailbox more than its messages: who may do what in it, and notes on it.

Access lists are those of RFC 4314, annotations those of METADATA (RFC 5464). The store keeps them and knows nothing of
what a right allows. Both go with their mailbox when it is renamed, and end with it. A change of either raises the
mailbox' `changed`, so that whoever watches hears of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.ports.store_errors import BadName

RIGHTS = "lrswipkxtea"  # RFC 4314 §2.1, in the order they are kept and told
MAX_GRANTS = 200  # of a mailbox
MAX_ENTRIES = 500  # annotations of a mailbox, or of an account
MAX_ENTRY_OCTETS = 256 * 1024  # of those together, names and values
MAX_ENTRY_NAME = 1024
MAX_SUBSCRIBED_NAMES = 10_000  # that are no mailbox of the account
MAX_SUBSCRIBED_OCTETS = 8192

SHARED, PRIVATE = "/shared/", "/private/"


@dataclass(frozen=True, slots=True)
class Grant:
    """An entry of an access list. `grantee` None is "anyone". `rights`: letters of RIGHTS in that order."""

    grantee: AccountId | None
    rights: str
    is_negative: bool = False


class Sharing(Protocol):
    async def grants(self, account: AccountId, mailbox: MailboxId) -> list[Grant]:
        """ "anyone" first, then by account, positive ones before negative ones. Raises NoSuchMailbox."""

    async def all_grants(self, account: AccountId) -> dict[MailboxId, tuple[Grant, ...]]:
        """Of mailboxes that have any, in one read."""

    async def set_grant(self, account: AccountId, mailbox: MailboxId, grant: Grant) -> None:
        """In the place of the one with the same grantee and sign; without rights it goes. Durable when it returns.

        Raises NoSuchMailbox, and TooMany beyond MAX_GRANTS.
        """

    async def owners(self, grantee: AccountId) -> list[AccountId]:
        """Accounts that have a positive grant for this one or for anyone, ascending, without itself."""


class Annotations(Protocol):
    async def read(self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId) -> dict[str, bytes]:
        """Entries by name, in lower case: "/shared/..." and the viewer's own "/private/...".

        Without a mailbox those of the account. Raises NoSuchMailbox.
        """

    async def read_many(
        self, account: AccountId, mailboxes: Sequence[MailboxId], viewer: AccountId
    ) -> dict[MailboxId, dict[str, bytes]]:
        """In one read. Mailboxes that have none, or are not there, are left out."""

    async def write(
        self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId, entries: Mapping[str, bytes | None]
    ) -> None:
        """All or none; None takes an entry away. Durable when it returns.

        Raises NoSuchMailbox, BadName for an entry that is neither shared nor private, and TooMany beyond MAX_ENTRIES
        or MAX_ENTRY_OCTETS, which count everybody's entries.
        """


def order_rights(rights: str) -> str:
    """Canonical: those known, each once."""
    return "".join(letter for letter in RIGHTS if letter in rights)


def check_subscription(name: str) -> None:
    """Raises BadName."""
    if not name or len(name.encode("utf-8", "replace")) > MAX_SUBSCRIBED_OCTETS or not name.isprintable():
        raise BadName(f"a subscribed name has 1 to {MAX_SUBSCRIBED_OCTETS} octets and no control characters")


def is_private(entry: str) -> bool:
    """Raises BadName for an entry that is neither private nor shared."""
    if len(entry) > MAX_ENTRY_NAME or entry != entry.lower() or not entry.startswith((SHARED, PRIVATE)):
        raise BadName(f'an entry begins with "{SHARED}" or "{PRIVATE}" and is in lower case')
    return entry.startswith(PRIVATE)
