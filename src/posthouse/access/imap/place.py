"""A mailbox as one user sees it: its name, and what the user may do there. Values; who asks for them is places.py.

Rights are the letters of RFC 4314 §2.1. The owner has all of them and cannot lose them, but nobody may remove INBOX.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from posthouse.access.imap.answers import No
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId
from posthouse.ports.store import Grant

SEPARATOR = "/"
OTHERS = "Other Users"
ALL_RIGHTS = "lrswipkxtea"
_INBOX = "INBOX"


@dataclass(frozen=True, slots=True)
class Place:
    """`name` as this user calls it. `viewer`: whose \\Seen counts; None: the owner's. `is_named`: the name is among
    the user's subscriptions that are no mailboxes of the user.
    """

    name: str
    owner: AccountId
    mailbox: Mailbox
    rights: str = ALL_RIGHTS
    viewer: AccountId | None = None
    is_named: bool = False

    @property
    def is_subscribed(self) -> bool:
        """By this user."""
        return self.is_named or (self.viewer is None and self.mailbox.is_subscribed)

    def may(self, rights: str) -> bool:
        return all(right in self.rights for right in rights)

    def need(self, rights: str) -> None:
        """Raises No."""
        if not self.may(rights):
            raise No("You may not do that in this mailbox", b"NOPERM")


@dataclass(frozen=True, slots=True)
class Area:
    """The mailboxes of one account, with what this user may do there. `depth`: how many parts of a name come before
    those of the account's own.
    """

    owner: AccountId
    mailboxes: Sequence[Mailbox]  # parents before children
    prefix: str = ""
    depth: int = 0
    viewer: AccountId | None = None
    grants: Mapping[MailboxId, Sequence[Grant]] = field(default_factory=dict)

    def rights(self, mailbox: MailboxId) -> str:
        return ALL_RIGHTS if self.viewer is None else sum_rights(self.grants.get(mailbox, ()), self.viewer)

    def find_deepest(self, path: Sequence[str]) -> list[Mailbox]:
        """The mailboxes on the way of a path, as far as there are any."""
        found: list[Mailbox] = []
        parent: MailboxId | None = None
        for mailbox in self.mailboxes:
            if len(found) < len(path) and mailbox.parent == parent and mailbox.name == path[len(found)]:
                found.append(mailbox)
                parent = mailbox.id
        return found

    def places(self, named: frozenset[str] = frozenset()) -> Iterator[Place]:
        """Those the user may look up."""
        for below, mailbox in name_mailboxes(self.mailboxes):
            rights = self.rights(mailbox.id)
            if "l" in rights:
                name = self.prefix + below
                yield Place(name, self.owner, mailbox, rights, self.viewer, name in named)

    def find(self, path: Sequence[str], having: str = "l") -> Place | None:
        """`having`: one of these rights lets the user know of it."""
        found = self.find_deepest(path)
        if not path or len(found) < len(path):
            return None
        rights = self.rights(found[-1].id)
        if not any(right in rights for right in having):
            return None
        return Place(self.prefix + SEPARATOR.join(path), self.owner, found[-1], rights, self.viewer)


def sum_rights(grants: Sequence[Grant], user: AccountId) -> str:
    """What the user's own entries and those for anyone give, without what negative ones take (RFC 4314 §2)."""
    mine = [grant for grant in grants if grant.grantee is None or grant.grantee == user]
    if not mine:
        return ""
    given = {right for grant in mine if not grant.is_negative for right in grant.rights}
    given -= {right for grant in mine if grant.is_negative for right in grant.rights}
    return "".join(right for right in ALL_RIGHTS if right in given)


def split_name(name: str) -> list[str]:
    """INBOX in any case is INBOX, as the first of several parts too; a separator at the end means nothing."""
    parts = name.rstrip(SEPARATOR).split(SEPARATOR)
    if parts[0].upper() == _INBOX:
        parts[0] = _INBOX
    return parts


def compose(parts: Sequence[str]) -> list[str]:
    """As new names are written (RFC 9051 §5.1: Net-Unicode)."""
    return [part if part.isascii() else unicodedata.normalize("NFC", part) for part in parts]


def name_mailboxes(mailboxes: Sequence[Mailbox]) -> Iterator[tuple[str, Mailbox]]:
    """Full names of an account's own mailboxes; parents come before children."""
    names: dict[MailboxId, str] = {}
    for mailbox in mailboxes:
        above = names.get(mailbox.parent) if mailbox.parent is not None else None
        name = mailbox.name if above is None else f"{above}{SEPARATOR}{mailbox.name}"
        names[mailbox.id] = name
        yield name, mailbox
