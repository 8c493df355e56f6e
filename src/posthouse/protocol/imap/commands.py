"""The commands of IMAP (RFC 9051 §6 and its extensions), one small class each, as parsed and before anything is done.

A command with a UID form has `is_uid`. Sets of messages are as written (`SequenceSet`): what they mean is for the
session that knows the mailbox. `Request` is the sum of all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from posthouse.message.search import SortBy
from posthouse.protocol.imap.values import (
    AppendMessage,
    EventGroup,
    FetchItem,
    ImapKey,
    ListReturn,
    ListSelect,
    PartialRange,
    Qresync,
    SearchReturn,
    SequenceSet,
    Source,
    StatusItem,
    StoreMode,
    ThreadKind,
)

# -- any state


@dataclass(frozen=True, slots=True)
class Capability:
    pass


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Logout:
    pass


@dataclass(frozen=True, slots=True)
class Id:
    """RFC 2971. None: NIL."""

    fields: Mapping[str, str | None] | None = None


# -- not authenticated


@dataclass(frozen=True, slots=True)
class StartTls:
    pass


@dataclass(frozen=True, slots=True)
class Authenticate:
    """`initial`: decoded initial response (SASL-IR, RFC 4959); b"" for "=", None without one."""

    mechanism: str
    initial: bytes | None = None


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str


# -- authenticated


@dataclass(frozen=True, slots=True)
class Enable:
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Select:
    """SELECT, or EXAMINE with `is_read_only`."""

    mailbox: str
    is_read_only: bool = False
    condstore: bool = False
    qresync: Qresync | None = None


@dataclass(frozen=True, slots=True)
class Create:
    """`special_use`: like "\\Sent" (RFC 6154 §3)."""

    mailbox: str
    special_use: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delete:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Rename:
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Subscribe:
    mailbox: str


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    mailbox: str


@dataclass(frozen=True, slots=True)
class List:
    """`is_extended`: it had options or several patterns (RFC 5258 §3). `status`, `metadata`: STATUS and METADATA return
    options (RFC 5819, RFC 9590), empty without.
    """

    reference: str
    patterns: tuple[str, ...]
    select: frozenset[ListSelect] = frozenset()
    returns: frozenset[ListReturn] = frozenset()
    status: tuple[StatusItem, ...] = ()
    metadata: tuple[str, ...] = ()
    is_extended: bool = False


@dataclass(frozen=True, slots=True)
class Lsub:
    reference: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Namespace:
    pass


@dataclass(frozen=True, slots=True)
class Status:
    mailbox: str
    items: tuple[StatusItem, ...]


@dataclass(frozen=True, slots=True)
class Append:
    """Several messages: MULTIAPPEND (RFC 3502)."""

    mailbox: str
    messages: tuple[AppendMessage, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """Then `Done`."""


@dataclass(frozen=True, slots=True)
class Compress:
    mechanism: str


@dataclass(frozen=True, slots=True)
class Unauthenticate:
    pass


@dataclass(frozen=True, slots=True)
class GetAcl:
    mailbox: str


@dataclass(frozen=True, slots=True)
class SetAcl:
    """`mode` "+", "-" or "" (RFC 4314 §3.1)."""

    mailbox: str
    identifier: str
    mode: str
    rights: str


@dataclass(frozen=True, slots=True)
class DeleteAcl:
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class ListRights:
    mailbox: str
    identifier: str


@dataclass(frozen=True, slots=True)
class MyRights:
    mailbox: str


@dataclass(frozen=True, slots=True)
class GetQuota:
    root: str


@dataclass(frozen=True, slots=True)
class GetQuotaRoot:
    mailbox: str


@dataclass(frozen=True, slots=True)
class SetQuota:
    root: str
    limits: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class GetMetadata:
    """RFC 5464 §4.2. `depth` 0, 1, or -1 for infinity; `mailbox` "" for the server."""

    mailbox: str
    entries: tuple[str, ...]
    depth: int = 0
    max_size: int | None = None


@dataclass(frozen=True, slots=True)
class SetMetadata:
    mailbox: str
    entries: tuple[tuple[str, bytes | None], ...]


@dataclass(frozen=True, slots=True)
class Notify:
    """RFC 5465. `groups` empty: NOTIFY NONE. `wants_status`: NOTIFY SET STATUS."""

    groups: tuple[EventGroup, ...] = ()
    wants_status: bool = False


# -- selected


@dataclass(frozen=True, slots=True)
class Check:
    """RFC 3501 §6.4.1."""


@dataclass(frozen=True, slots=True)
class Close:
    pass


@dataclass(frozen=True, slots=True)
class Unselect:
    pass


@dataclass(frozen=True, slots=True)
class Expunge:
    """`uids`: UID EXPUNGE."""

    uids: SequenceSet | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """`sources`: an ESEARCH command over several mailboxes (RFC 7377), always by UID. `charset` in upper case, known
    or not, None without one.
    """

    key: ImapKey
    returns: SearchReturn = field(default_factory=SearchReturn)
    is_uid: bool = False
    sources: tuple[Source, ...] = ()
    charset: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Sort:
    by: tuple[SortBy, ...]
    key: ImapKey
    returns: SearchReturn = field(default_factory=SearchReturn)
    is_uid: bool = False
    charset: str = field(default="UTF-8", compare=False)


@dataclass(frozen=True, slots=True)
class Thread:
    kind: ThreadKind
    key: ImapKey
    is_uid: bool = False
    charset: str = field(default="UTF-8", compare=False)


@dataclass(frozen=True, slots=True)
class CancelUpdate:
    """Tags of searches (RFC 5267 §4.3.5)."""

    tags: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    """`changed_since` and `vanished`: RFC 7162 §3.1.4.1, §3.2.6; `partial`: RFC 9394 §3.2."""

    messages: SequenceSet
    items: tuple[FetchItem, ...]
    is_uid: bool = False
    changed_since: int | None = None
    vanished: bool = False
    partial: PartialRange | None = None


@dataclass(frozen=True, slots=True)
class Store:
    messages: SequenceSet
    mode: StoreMode
    flags: tuple[str, ...]
    is_silent: bool = False
    is_uid: bool = False
    unchanged_since: int | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    messages: SequenceSet
    mailbox: str
    is_uid: bool = False


@dataclass(frozen=True, slots=True)
class Move:
    messages: SequenceSet
    mailbox: str
    is_uid: bool = False


@dataclass(frozen=True, slots=True)
class Replace:
    """RFC 8508. `message` is one sequence number or UID, as a set (it may be "*")."""

    message: SequenceSet
    mailbox: str
    new: AppendMessage
    is_uid: bool = False


@dataclass(frozen=True, slots=True)
class UidBatches:
    """RFC 10022. `first`, `last`: which batches, None: all."""

    size: int
    first: int | None = None
    last: int | None = None


@dataclass(frozen=True, slots=True)
class UidSubmit:
    """UID SUBMIT of draft-kundrat-imap-submit: the stored message is sent. `sender` None: MAIL FROM by the message;
    "" the empty one. `recipients`: address and its parameters (DSN: NOTIFY, ORCPT) in the order given; empty: by the
    message. `options`: of the envelope (RET, ENVID, BODY ...), names in upper case.
    """

    messages: SequenceSet
    sender: str | None = None
    recipients: tuple[tuple[str, Mapping[str, str | None]], ...] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)


Request = (
    Capability
    | Noop
    | Logout
    | Id
    | StartTls
    | Authenticate
    | Login
    | Enable
    | Select
    | Create
    | Delete
    | Rename
    | Subscribe
    | Unsubscribe
    | List
    | Lsub
    | Namespace
    | Status
    | Append
    | Idle
    | Compress
    | Unauthenticate
    | GetAcl
    | SetAcl
    | DeleteAcl
    | ListRights
    | MyRights
    | GetQuota
    | GetQuotaRoot
    | SetQuota
    | GetMetadata
    | SetMetadata
    | Notify
    | Check
    | Close
    | Unselect
    | Expunge
    | Search
    | Sort
    | Thread
    | CancelUpdate
    | Fetch
    | Store
    | Copy
    | Move
    | Replace
    | UidBatches
    | UidSubmit
)
