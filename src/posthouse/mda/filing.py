"""Into which mailboxes of an account a message goes: a list of stages, each of which may say so or pass it on.

The first stage that gives an answer decides; without one it is INBOX. This is where a user's Sieve script stands:
it is a stage like the one for subaddresses (RFC 5233 §1), and may keep the message elsewhere or in several places,
with flags, or refuse or drop it. Stages see what the directory and the parser found, and change nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.mailbox import ROLE_NAMES, Mailbox, MailboxId, Role
from posthouse.message.outcome import Refused
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.directory import LocalMailbox
from posthouse.ports.spool import QueuedMessage
from posthouse.ports.store import Mailboxes


@dataclass(frozen=True, slots=True)
class Parcel:
    """One message for one account."""

    message: QueuedMessage
    parsed: ParsedMessage
    box: LocalMailbox


@dataclass(frozen=True, slots=True)
class Filing:
    """One placement in each of `mailboxes`, all with `flags`; none at all: it is dropped. `name` is for the trace."""

    mailboxes: tuple[MailboxId | Role, ...]
    flags: frozenset[str] = frozenset()
    name: str = ""


INBOX = Filing((Role.INBOX,), name=ROLE_NAMES[Role.INBOX])


class Stage(Protocol):
    async def file(self, parcel: Parcel) -> Filing | Refused | None:
        """None: somebody else's decision. Raises StoreError."""


class ByDetail:
    """ann+lists@ goes to the mailbox "lists", ann+lists/python@ to the one below it, where they exist.

    Mailboxes that the server or the user fills himself are closed to it: a stranger who knows about subaddresses
    must not be able to put something among what was sent, drafted or thrown away.
    """

    def __init__(self, mailboxes: Mailboxes) -> None:
        self._mailboxes = mailboxes

    async def file(self, parcel: Parcel) -> Filing | Refused | None:
        detail = parcel.box.detail
        if not detail:
            return None
        found = find_by_path(await self._mailboxes.list_all(parcel.box.account), detail.split("/"))
        if found is None or (found.role is not None and found.role not in _OPEN_ROLES):
            return None
        return Filing((found.id,), name=detail)


_OPEN_ROLES = frozenset({Role.INBOX, Role.ARCHIVE, Role.JUNK})


def find_by_path(mailboxes: Sequence[Mailbox], path: Sequence[str]) -> Mailbox | None:
    """Exactly that name, or else the first that is the same without regard to case: addresses are often lowered."""
    parent: MailboxId | None = None
    found = None
    for name in path:
        folded = _fold(name)
        below = [each for each in mailboxes if each.parent == parent and _fold(each.name) == folded]
        if not below:
            return None
        found = next((each for each in below if each.name == name), below[0])
        parent = found.id
    return found


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
