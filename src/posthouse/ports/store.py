"""The message store as roles see it: mailboxes, messages, changes, search, submissions, quotas, blobs.

Every change of an account has one modification sequence number (ModSeq) of one sequence per account; it serves
CONDSTORE, QRESYNC and JMAP alike. A change is durable when its future resolves (fsync returned); what is handed in
together is committed together. Expected refusals are exceptions of `StoreRefusal` with nothing stored; `StoreError`
is ours and temporary. No call holds a read transaction when it has returned.

Ids belong to their account: a mailbox or email id of another account is `NoSuchMailbox`, or not found, never somebody
else's mail. Written so that a sharding SQL server can be an adapter: the account leads every question.
"""

from __future__ import annotations

import asyncio
import enum
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    KeywordTable,
    Mailbox,
    MailboxId,
    ModSeq,
    Placement,
    Role,
    Snapshot,
    SubmissionId,
    ThreadId,
    Uid,
    UidSet,
    UidValidity,
)
from posthouse.message.parsed import ParsedMessage
from posthouse.message.search import SearchKey, SortBy
from posthouse.ms.thread_trees import Forest, ThreadBy
from posthouse.ports.spool import Body, BodyWriter
from posthouse.ports.store_changes import AccountChanges, Changes, Subscription
from posthouse.ports.store_errors import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    NoSuchAccount,
    NoSuchMailbox,
    OverQuota,
    StoreBroken,
    StoreError,
    StoreFull,
    StoreRefusal,
    TooMany,
)
from posthouse.ports.store_sharing import Annotations, Grant, Sharing
from posthouse.ports.store_threads import Threads
from posthouse.ports.store_wire import WireColumn

# Imported to be found here, too.
__all__ = [
    "AccountChanges",
    "Annotations",
    "BadName",
    "Changes",
    "Grant",
    "MailboxExists",
    "MailboxHasChildren",
    "MailboxNotEmpty",
    "NoSuchAccount",
    "NoSuchMailbox",
    "OverQuota",
    "Sharing",
    "StoreBroken",
    "StoreError",
    "StoreFull",
    "StoreRefusal",
    "Subscription",
    "TooMany",
    "WireColumn",
]

NO_THREAD = ThreadId(0)
NO_MODSEQ = ModSeq(0)


# -- mailboxes


@dataclass(frozen=True, slots=True)
class MailboxUpdate:
    """What is None stays. `parent` MailboxId(0) moves to the top. `role` "" takes the role away."""

    name: str | None = None
    parent: MailboxId | None = None
    role: Role | None = None
    is_subscribed: bool | None = None
    sort_order: int | None = None


class Mailboxes(Protocol):
    async def list_all(self, account: AccountId) -> list[Mailbox]:
        """All of them with their counters, parents before children. INBOX is always there. Raises NoSuchAccount."""

    async def get(self, account: AccountId, mailbox: MailboxId) -> Mailbox:
        """Raises NoSuchMailbox."""

    async def create(
        self, account: AccountId, name: str, parent: MailboxId | None = None, role: Role | None = None
    ) -> Mailbox:
        """Durable when it returns. Raises MailboxExists, NoSuchMailbox (the parent), BadName, TooMany."""

    async def open_role(self, account: AccountId, role: Role) -> Mailbox:
        """The mailbox of that role, made at first need; an existing one of the role's usual name takes the role."""

    async def update(self, account: AccountId, mailbox: MailboxId, update: MailboxUpdate) -> Mailbox:
        """Rename, move below another, subscribe. Children come along; UIDVALIDITY and UIDs stay.

        INBOX keeps name, place and role. Raises as `create`.
        """

    async def remove(self, account: AccountId, mailbox: MailboxId, *, with_emails: bool = True) -> None:
        """Raises MailboxHasChildren; MailboxNotEmpty without `with_emails`; BadName for INBOX.

        Emails that are nowhere else can be brought back for the undelete time.
        """

    async def subscribed_names(self, account: AccountId) -> list[str]:
        """Subscriptions to what is no mailbox of the account: another's, or one that is gone (RFC 9051 §6.3.7)."""

    async def subscribe_name(self, account: AccountId, name: str, is_subscribed: bool) -> None:
        """Raises BadName, TooMany."""


# -- messages


@dataclass(frozen=True, slots=True)
class Addition:
    """One email to be added. `prefix` (Return-Path, Delivered-To, trace) stands in front of `body`.

    `message` was made from the octets of `body`. `received` is INTERNALDATE in seconds since 1970 and `zone_minutes`
    the offset it was given with. `flags` are names of flags and keywords. `mailboxes`: one placement in each. The
    same email id never comes back. `uidl`: what POP3 of a former server called it; copies do not take it along.
    """

    mailboxes: tuple[MailboxId | Role, ...]
    body: Body
    message: ParsedMessage
    prefix: bytes = b""
    received: float = 0.0
    zone_minutes: int = 0
    flags: frozenset[str] = frozenset()
    ignores_quota: bool = False
    uidl: str = ""


@dataclass(frozen=True, slots=True)
class Added:
    """`uids` in the order of `Addition.mailboxes`; `mailboxes` with roles resolved."""

    email: EmailId
    thread: ThreadId
    mailboxes: tuple[MailboxId, ...]
    uidvalidities: tuple[UidValidity, ...]
    uids: tuple[Uid, ...]
    modseq: ModSeq
    size: int


class FlagMode(enum.Enum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


@dataclass(frozen=True, slots=True)
class FlagEdit:
    """`flags` are names. With `unchanged_since` a placement that has a higher modseq is left (RFC 7162 §3.1.3)."""

    mode: FlagMode
    flags: frozenset[str]
    unchanged_since: ModSeq | None = None


@dataclass(frozen=True, slots=True)
class FlagDelta:
    """What `Messages.place` adds to the flags an email has in that moment, and takes from them."""

    add: frozenset[str] = frozenset()
    remove: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class FlagResult:
    """`changed` placements have `modseq` now; `modified` failed UNCHANGEDSINCE (RFC 7162 §3.1.3) and did not change."""

    modseq: ModSeq
    changed: UidSet = ()
    modified: UidSet = ()


@dataclass(frozen=True, slots=True)
class CopyResult:
    """`source[i]` became `target[i]` (RFC 4315 §3), ascending in both. UIDs that were gone are left out."""

    uidvalidity: UidValidity
    source: tuple[Uid, ...]
    target: tuple[Uid, ...]
    modseq: ModSeq


class Fields(enum.IntFlag):
    """What `Messages.load` is to fetch beside the placement; the rest of an EmailRow stays empty."""

    NONE = 0
    DATES = 1  # received, zone, size, thread
    ENVELOPE = 2
    STRUCTURE = 4  # bodystructure, parts
    HEAD = 8
    KEYS = 16  # sort keys, message_id, references
    TEXTS = 32  # subject, from_text ..., preview, has_attachment


@dataclass(slots=True)
class EmailRow:
    """An email as far as `Fields` asked for it. `size` counts prefix and body, as clients see it;
    `prefix_size` of those.

    Offsets of `message.parts` count from the body's first octet, that is from `prefix_size` of what is fetched. A
    header section to the outside is prefix and the body's own header together.
    """

    email: EmailId
    thread: ThreadId = NO_THREAD
    size: int = 0
    prefix_size: int = 0
    received: float = 0.0
    zone_minutes: int = 0
    message: ParsedMessage | None = None
    head: bytes = b""  # cached header fields, the prefix' own ones first
    placement: Placement | None = None  # where a mailbox was asked
    placements: Mapping[MailboxId, Placement] = field(default_factory=dict)  # where emails were asked


class Messages(Protocol):
    def add(self, account: AccountId, additions: Sequence[Addition]) -> asyncio.Future[list[Added]]:
        """All or none. Raises StoreError, NoSuchAccount, NoSuchMailbox, OverQuota, TooMany.

        Never blocks. Given a thousand recipients, call it for each: what waits is committed together, and a body
        that several accounts of a shard get is kept once.
        """

    def open_body(self, account: AccountId) -> BodyWriter:
        """For bodies beyond `inline_limit` of the store. Raises StoreError."""

    async def snapshot(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None = None) -> Snapshot:
        """The compact array. `viewer`: whose \\Seen counts, where a mailbox is shared; None: the owner's."""

    async def load(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, fields: Fields, viewer: AccountId | None = None
    ) -> list[EmailRow]:
        """In the order of UIDs; UIDs that are not there are left out. Ask in slices of some hundred."""

    async def wire(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, columns: Sequence[WireColumn]
    ) -> list[tuple[Any, ...]]:
        """The fast road for FETCH: UID, then the columns, by UID; UIDs that are not there are left out."""

    async def uidls(self, account: AccountId, mailbox: MailboxId) -> dict[Uid, str]:
        """`Addition.uidl` of those that have one."""

    async def load_emails(self, account: AccountId, emails: Sequence[EmailId], fields: Fields) -> list[EmailRow]:
        """With `placements`, those with \\Deleted left out (RFC 8621 §4.1.1). Emails without any are left out."""

    async def thread(self, account: AccountId, threads: Sequence[ThreadId]) -> dict[ThreadId, list[EmailId]]:
        """Emails of each in the order of receiving; unknown threads are left out."""

    async def keywords(self, account: AccountId) -> KeywordTable: ...

    async def set_flags(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, edit: FlagEdit, viewer: AccountId | None = None
    ) -> FlagResult:
        """UIDs that are not there are passed over. `viewer`: whose \\Seen is meant, where a mailbox is shared."""

    async def copy(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        """Flags, keywords and INTERNALDATE go along (RFC 9051 §6.4.7). Within an account the email is the same.

        All or none. Between accounts the target is written (and durable) first.
        """

    async def move(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        """RFC 6851. One transaction in an account; between accounts copy, then expunge: a crash may double."""

    async def expunge(self, account: AccountId, mailbox: MailboxId, uids: UidSet | None = None) -> UidSet:
        """Those with \\Deleted, of `uids` or of all. Returns what went."""

    async def place(
        self,
        account: AccountId,
        email: EmailId,
        into: Sequence[MailboxId],
        out_of: Sequence[MailboxId],
        flags: frozenset[str] | FlagDelta | None = None,
    ) -> ModSeq:
        """JMAP's Email/set in one transaction: placements added and removed, keywords (all of them) set, changed or,
        None, left. How they spread over placements: docs/internals.md. An email without a placement left is destroyed.
        """


class Blobs(Protocol):
    async def read(self, account: AccountId, email: EmailId, offset: int = 0, length: int | None = None) -> bytes:
        """Octets of prefix and body together; fewer at the end. Raises NoSuchMailbox when there is no such email."""

    async def read_many(self, account: AccountId, emails: Sequence[EmailId]) -> list[bytes | None]:
        """Whole messages, None where there is none. Mind the memory: ask for as many as you mean to send."""

    def body(self, account: AccountId, email: EmailId) -> Body:
        """The whole message as a body that is read piece by piece."""


# -- search


@dataclass(slots=True)
class SearchResult:
    """`uids` where one mailbox was searched, parallel to `emails`. In the order asked for, else of UIDs or emails.
    `scores`, parallel too, where RELEVANCY was asked for: more is more relevant, in no unit.
    """

    emails: list[EmailId]
    uids: list[Uid]
    modseq: ModSeq
    scores: list[float] = field(default_factory=list)


@dataclass(slots=True)
class EmailList:
    """Emails as JMAP sees them, in the order asked for; `threads` parallel. Arrays "Q", which nobody changes: they may
    be a worker's own. `is_whole` False: not all that match were looked for.
    """

    modseq: ModSeq
    emails: array[int]
    threads: array[int]
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Enough:
    """How many emails of a list are needed, counted from `behind` (itself one of them), None: from the first."""

    count: int
    behind: EmailId | None = None


class Search(Protocol):
    async def list_emails(
        self,
        account: AccountId,
        program: SearchKey,
        sort: Sequence[SortBy] = (),
        *,
        collapses: bool = False,
        enough: Enough | None = None,
    ) -> EmailList:
        """What JMAP lists (RFC 8621 §4.4): emails with a placement that is not \\Deleted, each once, by their merged
        flags (ms/keywords.py); equals in the order of ids. `collapses`: of each thread the first in that order.

        `enough`: more need not be found, where finding is dear. Not by RELEVANCY. What lists for one mailbox
        (InMailbox, perhaps And others) by ARRIVAL is quick.
        """

    async def search(
        self,
        account: AccountId,
        program: SearchKey,
        mailbox: MailboxId | None = None,
        sort: Sequence[SortBy] = (),
        viewer: AccountId | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SearchResult:
        """Exact, whatever the text index has seen so far. Without `mailbox`: emails with a placement that is not
        \\Deleted, each once.

        `progress(done, total)` is called in the event loop while a long search goes on; what it raises ends it, as
        cancelling does.
        """

    async def threads(
        self, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid], by: ThreadBy
    ) -> tuple[list[Uid], Forest]:
        """The threads of these UIDs, which ascend; those that are not there are left out. The forest's numbers are
        places in the list.
        """


# -- quotas


@dataclass(frozen=True, slots=True)
class Usage:
    """Emails with a placement, and their octets: an email in three mailboxes counts once."""

    emails: int
    octets: int


class Quotas(Protocol):
    async def usage(self, account: AccountId) -> Usage: ...

    def has_room(self, account: AccountId, octets: int) -> bool:
        """At once, from what this worker last knew (at most a second old while the account gets mail). For RCPT."""


# -- submissions


class SubmissionState(enum.StrEnum):
    """PENDING may still be undone (it lies in Scheduled); HELD waits for an administrator; QUEUED is the spool's."""

    PENDING = "pending"
    HELD = "held"
    QUEUED = "queued"
    FINAL = "final"
    CANCELED = "canceled"


# What `Submissions.change` may do (docs/internals.md). FINAL is only made by `record`, from HELD or QUEUED.
SUBMISSION_MOVES: Mapping[SubmissionState, frozenset[SubmissionState]] = {
    SubmissionState.PENDING: frozenset({SubmissionState.HELD, SubmissionState.QUEUED, SubmissionState.CANCELED}),
    SubmissionState.HELD: frozenset({SubmissionState.PENDING, SubmissionState.QUEUED, SubmissionState.CANCELED}),
    SubmissionState.QUEUED: frozenset({SubmissionState.FINAL}),
    SubmissionState.FINAL: frozenset(),
    SubmissionState.CANCELED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class RecipientFate:
    """What became of one recipient. `outcome`: "" (on its way), delivered, relayed, failed, expired. `remote`: who said
    `reply`, "mx.example.net[192.0.2.1]:25", "" for us.
    """

    address: str
    outcome: str = ""
    reply: str = ""
    at: float = 0.0
    remote: str = ""


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """`envelope` is opaque to the store (msgpack of msa). `filed`: the copy for Sent or Scheduled, None: not kept
    there. `existing`: an email of the account that is sent as it is. `key`, 16 octets or b"": the idempotency key.
    `spool_shard` will take it. The octets of `wire` are sent: without Bcc.
    """

    envelope: bytes
    recipients: tuple[str, ...]
    wire: Body
    state: SubmissionState
    spool_shard: int
    filed: Addition | None = None
    existing: EmailId | None = None
    key: bytes = b""
    key_expires: float = 0.0
    send_at: float = 0.0
    source: str = ""
    message_id: str = ""


@dataclass(slots=True)
class Submission:
    id: SubmissionId
    account: AccountId
    envelope: bytes
    state: SubmissionState
    spool_shard: int
    email: EmailId | None
    created: float
    send_at: float
    modseq: ModSeq
    source: str
    message_id: str
    recipients: list[RecipientFate] = field(default_factory=list)
    made: ModSeq = NO_MODSEQ  # this: long ago


@dataclass(frozen=True, slots=True)
class Submitted:
    """`is_repeat`: the key was there already; nothing was stored and `id`, `added` are those of the first time."""

    id: SubmissionId
    email: EmailId | None
    mailbox: MailboxId | None
    uid: Uid | None
    uidvalidity: UidValidity | None
    is_repeat: bool = False


class Submissions(Protocol):
    """sending.md rule 5. The row, the filed copy and the key are one transaction."""

    def submit(self, account: AccountId, new: NewSubmission) -> asyncio.Future[Submitted]: ...

    async def get(self, account: AccountId, submission: SubmissionId) -> Submission | None: ...

    async def list_newest(
        self, account: AccountId, limit: int = 1000, before: SubmissionId | None = None
    ) -> list[Submission]:
        """Newest first."""

    async def of_emails(self, account: AccountId, emails: Sequence[EmailId]) -> list[Submission]:
        """Newest first."""

    async def detach(self, account: AccountId, submission: SubmissionId) -> bool:
        """It has no email any more, so that no client sees it; it still counts, and is no reason to send again. False
        when it is not there, has none, or waits to be handed over.
        """

    async def due(self, spool_shards: Sequence[int], now: float, limit: int) -> list[Submission]:
        """PENDING (perhaps in the spool all the same), `send_at` has come, and named for one of these shards; over
        all accounts, oldest first.
        """

    async def wire(self, account: AccountId, submission: SubmissionId) -> Body:
        """The octets to be sent."""

    async def change(
        self, account: AccountId, submission: SubmissionId, state: SubmissionState, spool_shard: int | None = None
    ) -> bool:
        """Legal moves only (SUBMISSION_MOVES); False when it is in a state from which there is none. Durable when
        it returns. `spool_shard`: another one takes it.
        """

    async def waiting(self, account: AccountId, email: EmailId) -> Submission | None:
        """The one that waits in Scheduled for its time, if this is its email."""

    async def release(self, account: AccountId, submission: SubmissionId) -> bool:
        """It waits no longer: its `send_at` becomes 0, and leaving Scheduled does not cancel it any more. Durable when
        it returns. False when it is not PENDING or did not wait.
        """

    async def is_known(self, account: AccountId, key: bytes, now: float) -> bool:
        """`submit` with this key would be a repeat."""

    async def record(
        self,
        account: AccountId,
        submission: SubmissionId,
        fates: Mapping[str, RecipientFate],
        rest: RecipientFate | None = None,
    ) -> None:
        """Final outcomes by recipient (sending.md rule 9). The last one makes it FINAL. With `rest` all has ended:
        recipients that no outcome names, because they were merged with others, get that.
        """


@dataclass(frozen=True, slots=True)
class Store:
    """All of it, as `app` hands it out; roles take the ports they need."""

    mailboxes: Mailboxes
    messages: Messages
    blobs: Blobs
    changes: Changes
    search: Search
    quotas: Quotas
    submissions: Submissions
    sharing: Sharing
    annotations: Annotations
    threads: Threads
