"""What IMAP commands are made of: sequence sets, fetch items, search keys, options. Values, made by the parsers.

Names of mailboxes are text, whatever encoding they came in (modified UTF-7, UTF-8), INBOX in upper case. Numbers are
of the grammar's range. RFC 9051 §9; what extensions add names its RFC.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId
from posthouse.message.search import Emails, InThread, SearchKey

STAR = 0  # "*" in a sequence set: the largest number there is


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """`ranges` as written, each (low, high) in either order, STAR for "*". `is_saved`: it was "$" (RFC 5182)."""

    ranges: tuple[tuple[int, int], ...] = ()
    is_saved: bool = False


SAVED_RESULT = SequenceSet(is_saved=True)


# -- FETCH


class Attribute(enum.Enum):
    """Items without arguments. The parser makes RFC822.* a `Section`, and of ALL, FAST and FULL their items."""

    UID = "UID"
    FLAGS = "FLAGS"
    INTERNALDATE = "INTERNALDATE"
    SIZE = "RFC822.SIZE"
    ENVELOPE = "ENVELOPE"
    BODY = "BODY"
    BODYSTRUCTURE = "BODYSTRUCTURE"
    MODSEQ = "MODSEQ"  # RFC 7162
    EMAILID = "EMAILID"  # RFC 8474
    THREADID = "THREADID"
    SAVEDATE = "SAVEDATE"  # RFC 8514
    PREVIEW = "PREVIEW"  # RFC 8970
    PREVIEW_LAZY = "PREVIEW (LAZY)"


class Text(enum.Enum):
    """What of a part or message a section names."""

    ALL = ""
    HEADER = "HEADER"
    FIELDS = "HEADER.FIELDS"
    FIELDS_NOT = "HEADER.FIELDS.NOT"
    TEXT = "TEXT"
    MIME = "MIME"


@dataclass(frozen=True, slots=True)
class Section:
    """BODY[part.text]<start.count>. `part` "" or like "1.2"; `fields` in lower case. `name` is how the response calls
    it, without the partial: `BODY[1.HEADER.FIELDS ("Date" From)]` or `RFC822.TEXT`. `is_peek`: \\Seen stays.
    """

    part: str = ""
    text: Text = Text.ALL
    fields: tuple[bytes, ...] = ()
    start: int | None = None
    count: int = 0
    is_peek: bool = False
    name: bytes = b"BODY[]"


@dataclass(frozen=True, slots=True)
class Binary:
    """BINARY[part]<start.count>, or BINARY.SIZE[part] (RFC 3516 §4.2). `part` "" is the whole message."""

    part: str
    start: int | None = None
    count: int = 0
    is_peek: bool = False
    is_size: bool = False


FetchItem = Attribute | Section | Binary


@dataclass(frozen=True, slots=True)
class PartialRange:
    """PARTIAL (RFC 9394 §3.1): places `first` to `last` of the results; negative ones count from the end."""

    first: int
    last: int


# -- SEARCH


@dataclass(frozen=True, slots=True)
class Numbered:
    """Messages by sequence number or UID."""

    messages: SequenceSet
    is_uid: bool


@dataclass(frozen=True, slots=True)
class Within:
    """YOUNGER (received at most so long ago) and OLDER (RFC 5032)."""

    seconds: int
    is_younger: bool


@dataclass(frozen=True, slots=True)
class ModSeqFrom:
    """MODSEQ n (RFC 7162 §3.1.5); the command becomes one that enables CONDSTORE."""

    modseq: int


@dataclass(frozen=True, slots=True)
class OfAccount:
    """EMAILID or THREADID (RFC 8474 §5.2): in mailboxes of any other account it matches nothing."""

    account: AccountId
    key: Emails | InThread


@dataclass(frozen=True, slots=True)
class AllOf:
    of: tuple[ImapKey, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    of: tuple[ImapKey, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """NOT."""

    of: ImapKey


ImapKey = SearchKey | Numbered | Within | ModSeqFrom | OfAccount | AllOf | AnyOf | NoneOf
"""A search as it was written; keys that mean the same everywhere are those of message/search.py. RECENT and NEW match
nothing and OLD everything (RFC 9051 has no \\Recent)."""


class Return(enum.Enum):
    """RETURN options of SEARCH and SORT (RFC 4731, RFC 5182, RFC 5267)."""

    ALL = "ALL"
    COUNT = "COUNT"
    MIN = "MIN"
    MAX = "MAX"
    SAVE = "SAVE"
    UPDATE = "UPDATE"
    CONTEXT = "CONTEXT"
    RELEVANCY = "RELEVANCY"  # RFC 6203


@dataclass(frozen=True, slots=True)
class SearchReturn:
    """`options` None: no RETURN, so a SEARCH response is wanted unless rev2 is enabled. "RETURN ()" is ALL."""

    options: frozenset[Return] | None = None
    partial: PartialRange | None = None


class ThreadKind(enum.Enum):
    ORDEREDSUBJECT = "ORDEREDSUBJECT"
    REFERENCES = "REFERENCES"
    REFS = "REFS"


class Scope(enum.Enum):
    """Which mailboxes: filter-mailboxes of NOTIFY (RFC 5465 §6) and source of ESEARCH (RFC 7377 §2.2)."""

    SELECTED = "selected"
    SELECTED_DELAYED = "selected-delayed"
    INBOXES = "inboxes"
    PERSONAL = "personal"
    SUBSCRIBED = "subscribed"
    SUBTREE = "subtree"
    SUBTREE_ONE = "subtree-one"  # RFC 7377: the mailbox and its direct children
    MAILBOXES = "mailboxes"


@dataclass(frozen=True, slots=True)
class Source:
    scope: Scope
    mailboxes: tuple[str, ...] = ()


# -- mailboxes


class ListSelect(enum.Enum):
    """Selection options of LIST (RFC 5258 §3.1, RFC 6154 §2)."""

    SUBSCRIBED = "SUBSCRIBED"
    REMOTE = "REMOTE"
    RECURSIVEMATCH = "RECURSIVEMATCH"
    SPECIAL_USE = "SPECIAL-USE"


class ListReturn(enum.Enum):
    """Return options of LIST (RFC 5258 §3.2, RFC 6154 §2, RFC 8440). STATUS and METADATA have their own fields."""

    SUBSCRIBED = "SUBSCRIBED"
    CHILDREN = "CHILDREN"
    SPECIAL_USE = "SPECIAL-USE"
    MYRIGHTS = "MYRIGHTS"


class StatusItem(enum.Enum):
    MESSAGES = "MESSAGES"
    RECENT = "RECENT"  # RFC 3501; always 0
    UIDNEXT = "UIDNEXT"
    UIDVALIDITY = "UIDVALIDITY"
    UNSEEN = "UNSEEN"
    DELETED = "DELETED"
    DELETED_STORAGE = "DELETED-STORAGE"  # RFC 9208
    SIZE = "SIZE"  # RFC 8438
    HIGHESTMODSEQ = "HIGHESTMODSEQ"
    APPENDLIMIT = "APPENDLIMIT"  # RFC 7889
    MAILBOXID = "MAILBOXID"


@dataclass(frozen=True, slots=True)
class Qresync:
    """QRESYNC parameter of SELECT (RFC 7162 §3.2.5). `known` None: all UIDs. `pairs`: message sequence numbers and
    the UIDs they had (of equal count), None if not given.
    """

    uidvalidity: int
    modseq: int
    known: SequenceSet | None = None
    pairs: tuple[SequenceSet, SequenceSet] | None = None


# -- messages


@dataclass(frozen=True, slots=True)
class Moment:
    """A date-time with its zone: seconds since 1970, and the offset it was given with."""

    instant: float
    zone_minutes: int


@dataclass(frozen=True, slots=True)
class Url:
    """A URL part of CATENATE (RFC 4469 §3), as written."""

    text: str


@dataclass(frozen=True, slots=True)
class AppendMessage:
    """One message of APPEND or REPLACE. `parts`: octets, or URLs of CATENATE; one part of octets as a rule.

    `is_utf8`: it came as UTF8 (~{n}) (RFC 9755 §4). `is_binary`: as literal8 (RFC 3516 §4.4).
    """

    parts: tuple[bytes | Url, ...]
    flags: tuple[str, ...] = ()
    date: Moment | None = None
    is_utf8: bool = False
    is_binary: bool = False


class StoreMode(enum.Enum):
    SET = "FLAGS"
    ADD = "+FLAGS"
    REMOVE = "-FLAGS"


# -- NOTIFY


class Event(enum.Enum):
    """RFC 5465 §5."""

    MESSAGE_NEW = "MessageNew"
    MESSAGE_EXPUNGE = "MessageExpunge"
    FLAG_CHANGE = "FlagChange"
    ANNOTATION_CHANGE = "AnnotationChange"
    MAILBOX_NAME = "MailboxName"
    SUBSCRIPTION_CHANGE = "SubscriptionChange"
    MAILBOX_METADATA_CHANGE = "MailboxMetadataChange"
    SERVER_METADATA_CHANGE = "ServerMetadataChange"


@dataclass(frozen=True, slots=True)
class EventGroup:
    """`events` empty: NONE. `fetch`: what is told of a new message in the selected mailbox."""

    source: Source
    events: frozenset[Event] = frozenset()
    fetch: tuple[FetchItem, ...] = ()
