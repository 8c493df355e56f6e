"""A search as a value: what IMAP SEARCH (RFC 9051 §6.4.4), JMAP Email/query and the web page ask of the store.

A program is a tree of keys. Dates are days as the message's own clock showed them for INTERNALDATE (`Received`) and
Date (`SentOn`), or moments. Text is matched without regard to case, as substrings, on decoded text (RFC 9051 §6.4.4).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date

from posthouse.message.mailbox import EmailId, MailboxId, ModSeq, ThreadId, UidSet


class Where(enum.Enum):
    """Which text is searched."""

    SUBJECT = "subject"
    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    BODY = "body"  # decoded text parts
    TEXT = "text"  # header and body
    ATTACHMENT = "attachment"  # file names


@dataclass(frozen=True, slots=True)
class All:
    pass


@dataclass(frozen=True, slots=True)
class Not:
    of: SearchKey


@dataclass(frozen=True, slots=True)
class And:
    of: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Or:
    of: tuple[SearchKey, ...]


@dataclass(frozen=True, slots=True)
class Uids:
    """Of the mailbox that is searched; in a search over several it matches nothing."""

    ranges: UidSet


@dataclass(frozen=True, slots=True)
class Emails:
    ids: frozenset[EmailId]


@dataclass(frozen=True, slots=True)
class InMailbox:
    mailbox: MailboxId


@dataclass(frozen=True, slots=True)
class InThread:
    thread: ThreadId


@dataclass(frozen=True, slots=True)
class HasFlag:
    """A system flag or keyword by name, any case."""

    name: str


class Side(enum.Enum):
    BEFORE = "before"  # earlier than that day or moment
    ON = "on"
    SINCE = "since"  # that day or moment, or later


@dataclass(frozen=True, slots=True)
class Received:
    """By INTERNALDATE, on its own clock, zone disregarded (RFC 9051 §6.4.4)."""

    side: Side
    day: date


@dataclass(frozen=True, slots=True)
class SentOn:
    """By the Date field, zone disregarded."""

    side: Side
    day: date


@dataclass(frozen=True, slots=True)
class Saved:
    """By SAVEDATE (RFC 8514), in UTC."""

    side: Side
    day: date


@dataclass(frozen=True, slots=True)
class ReceivedAt:
    """By moment: JMAP before/after, WITHIN (RFC 5032). BEFORE: earlier; SINCE: then or later. Seconds since 1970."""

    side: Side
    instant: float


@dataclass(frozen=True, slots=True)
class Larger:
    octets: int


@dataclass(frozen=True, slots=True)
class Smaller:
    octets: int


@dataclass(frozen=True, slots=True)
class ModifiedSince:
    """modseq >= that (RFC 7162 §3.1.5)."""

    modseq: ModSeq


@dataclass(frozen=True, slots=True)
class HasHeader:
    """A field of this name whose decoded value contains `text` ("": has the field at all)."""

    name: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Contains:
    """`is_fuzzy`: words may be stemmed or reordered (RFC 6203); otherwise the exact substring."""

    where: Where
    text: str
    is_fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class HasAttachment:
    pass


SearchKey = (
    All
    | Not
    | And
    | Or
    | Uids
    | Emails
    | InMailbox
    | InThread
    | HasFlag
    | Received
    | SentOn
    | Saved
    | ReceivedAt
    | Larger
    | Smaller
    | ModifiedSince
    | HasHeader
    | Contains
    | HasAttachment
)


class SortKey(enum.Enum):
    """RFC 5256 §3, RFC 5957, RFC 8621 §4.4.2. ARRIVAL is INTERNALDATE, DATE the Date field (else INTERNALDATE)."""

    ARRIVAL = "arrival"
    DATE = "date"
    SUBJECT = "subject"
    FROM = "from"
    TO = "to"
    CC = "cc"
    SIZE = "size"
    DISPLAY_FROM = "displayfrom"
    DISPLAY_TO = "displayto"
    RELEVANCY = "relevancy"


@dataclass(frozen=True, slots=True)
class SortBy:
    key: SortKey
    is_descending: bool = False
