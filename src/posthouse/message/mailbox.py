"""What a message store keeps, in the words of RFC 9051 and RFC 8621: mailboxes, emails, placements, flags.

One *email* per account (id, thread, body, fields); one *placement* per mailbox it is in (UID, flags, modseq). All
ids are integers of one account: how they are written outside is the business of IMAP and JMAP. Pure values.
"""

from __future__ import annotations

import enum
from array import array
from dataclasses import dataclass
from typing import NewType

AccountId = NewType("AccountId", int)
MailboxId = NewType("MailboxId", int)
EmailId = NewType("EmailId", int)
ThreadId = NewType("ThreadId", int)
SubmissionId = NewType("SubmissionId", int)
Uid = NewType("Uid", int)  # RFC 9051 §2.3.1.1, 1..2**32-1
UidValidity = NewType("UidValidity", int)
ModSeq = NewType("ModSeq", int)  # RFC 7162, one sequence per account
FlagBits = NewType("FlagBits", int)  # bits 0..4 as Flag, bits 5..61 the account's keywords (KeywordTable)

MAX_UID = Uid(2**32 - 1)
FIRST_KEYWORD_BIT = 5
MAX_KEYWORDS = 57  # per account: all flags of a placement are one signed 64-bit integer


class Flag(enum.IntFlag):
    """The system flags (RFC 9051 §2.3.2)."""

    SEEN = 1
    ANSWERED = 2
    FLAGGED = 4
    DELETED = 8
    DRAFT = 16


SYSTEM_FLAGS = {
    "\\Seen": Flag.SEEN,
    "\\Answered": Flag.ANSWERED,
    "\\Flagged": Flag.FLAGGED,
    "\\Deleted": Flag.DELETED,
    "\\Draft": Flag.DRAFT,
}


class Role(enum.StrEnum):
    """What a mailbox is for (RFC 6154, RFC 8621 §2, IANA's mailbox roles). Made at first need, one of each."""

    INBOX = "inbox"
    DRAFTS = "drafts"
    SENT = "sent"
    ARCHIVE = "archive"
    JUNK = "junk"
    TRASH = "trash"
    SCHEDULED = "scheduled"
    SNOOZED = "snoozed"


ROLE_NAMES = {role: role.value.capitalize() for role in Role} | {Role.INBOX: "INBOX"}


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox and its counters. `parent` None: at the top. The hierarchy separator is "/", never in a `name`.

    `total`, `unseen`, `deleted`, `octets` count placements (unseen: without \\Seen and without \\Deleted).
    `modseq` is the highest of its placements, expunges included; `changed` of its own properties, `created` when made.
    """

    id: MailboxId
    parent: MailboxId | None
    name: str
    role: Role | None
    uidvalidity: UidValidity
    uidnext: Uid
    modseq: ModSeq
    created: ModSeq
    changed: ModSeq
    total: int = 0
    unseen: int = 0
    deleted: int = 0
    octets: int = 0
    is_subscribed: bool = True
    sort_order: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """An email in a mailbox. `saved`: when it came into this mailbox (RFC 8514), seconds since 1970."""

    uid: Uid
    email: EmailId
    flags: FlagBits
    modseq: ModSeq
    saved: float


@dataclass(frozen=True, slots=True)
class KeywordTable:
    """The account's keywords by bit. Names keep the case they were first given; they compare without regard to it.

    A value of its time: a bit that is not in it is a keyword that came later.
    """

    names: tuple[str, ...]  # names[0] is FIRST_KEYWORD_BIT; "" for a bit that is free

    def flags_of(self, bits: int) -> list[str]:
        """The names, system flags first."""
        found = [name for name, flag in SYSTEM_FLAGS.items() if bits & flag]
        bits >>= FIRST_KEYWORD_BIT
        return found + [name for number, name in enumerate(self.names) if bits >> number & 1]

    def bit_of(self, name: str) -> int | None:
        """The value (1 << bit) of a keyword or system flag in any case; None when the account has no such keyword."""
        folded = name.lower()
        for system, flag in SYSTEM_FLAGS.items():
            if system.lower() == folded:
                return int(flag)
        for number, known in enumerate(self.names):
            if known and known.lower() == folded:
                return 1 << (FIRST_KEYWORD_BIT + number)
        return None


@dataclass(slots=True)
class Snapshot:
    """A mailbox at one moment as compact arrays, in the order of UIDs; shared by a worker's sessions, never changed.

    `uids` array("I"), `flags` array("Q"), `modseqs` array("Q"), all of one length. `modseq` is the account's at that
    moment: what changed since is `Changes.in_mailbox(..., since=modseq)`.
    """

    uidvalidity: UidValidity
    uidnext: Uid
    modseq: ModSeq
    uids: array[int]
    flags: array[int]
    modseqs: array[int]
    highest: ModSeq = ModSeq(0)  # HIGHESTMODSEQ of the mailbox


@dataclass(frozen=True, slots=True)
class UidRange:
    """Both ends belong to it."""

    low: int
    high: int


UidSet = tuple[UidRange, ...]  # ascending, not overlapping


@dataclass(slots=True)
class MailboxChange:
    """What happened in a mailbox after a modseq. `is_complete` False: too long ago, take a new snapshot and compare.

    `uids`, `flags`, `modseqs`: placements that came or changed (ascending). `expunged`: UIDs that went.
    """

    modseq: ModSeq
    uidnext: Uid
    highest: ModSeq
    uids: array[int]
    flags: array[int]
    modseqs: array[int]
    expunged: UidSet = ()
    is_complete: bool = True
