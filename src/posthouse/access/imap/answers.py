"""How a command ends: `Done`, or an exception that is its tagged NO or BAD; and the store's refusals in IMAP's words.

Response codes are those of RFC 9051 §7.1, RFC 5530 and RFC 9208.
"""

from __future__ import annotations

from typing import NamedTuple

from posthouse.ports.directory import DirectoryError
from posthouse.ports.store import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    NoSuchAccount,
    NoSuchMailbox,
    OverQuota,
    StoreError,
    StoreFull,
    StoreRefusal,
    TooMany,
)


class Done(NamedTuple):
    """Tagged OK."""

    text: str = "Completed"
    code: bytes = b""


class No(Exception):
    """Tagged NO: it cannot be done. `code` like b"NONEXISTENT", b"" without one."""

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text, self.code = text, code


class MailboxGone(No):
    """The selected mailbox is closed, and the client was told: removed, or it may not be read any more."""


class Bad(Exception):
    """Tagged BAD: the command makes no sense here."""

    def __init__(self, text: str, code: bytes = b"") -> None:
        super().__init__(text)
        self.text, self.code = text, code


DONE = Done()
_CODES: tuple[tuple[type[Exception], bytes, str], ...] = (
    (NoSuchMailbox, b"NONEXISTENT", "There is no such mailbox"),
    (MailboxExists, b"ALREADYEXISTS", "There is such a mailbox already"),
    (MailboxHasChildren, b"HASCHILDREN", "The mailbox has mailboxes below it"),
    (MailboxNotEmpty, b"INUSE", "The mailbox is not empty"),
    (BadName, b"CANNOT", ""),
    (OverQuota, b"OVERQUOTA", "The quota is used up"),
    (TooMany, b"LIMIT", ""),
    (StoreFull, b"OVERQUOTA", "The server has no room for mail now, try again later"),
    (NoSuchAccount, b"UNAVAILABLE", "The account has gone"),
    (StoreRefusal, b"CANNOT", ""),
    (StoreError, b"UNAVAILABLE", "The mail cannot be reached now, try again later"),
    (DirectoryError, b"UNAVAILABLE", "Accounts cannot be looked up now, try again later"),
)
EXPECTED = tuple(kind for kind, _, _ in _CODES)


def refusal_of(error: Exception) -> No:
    """What `EXPECTED` exceptions of the ports are to a client."""
    for kind, code, text in _CODES:
        if isinstance(error, kind):
            said = text or str(error) or "It cannot be done"
            return No(said[:1].upper() + said[1:], code)
    raise error
