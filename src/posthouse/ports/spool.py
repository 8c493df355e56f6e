"""The spool as the roles see it: one object per shard. What is durable when is said at each method.

States of a recipient, and what a row of it holds:

    waiting    `next_attempt` set: first try or retry is due then, whatever else happens
    held       an administrator (or two crashes) took it out of the schedule: `next_attempt` None
    delivered | relayed | failed | expired      final; stays until the whole message leaves

"active" and "ready" of the queue listing are not stored: active is what a worker has in memory, ready is
waiting with no finished attempt, deferred is waiting with one.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId, ShardNumber
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, SubmissionId
from posthouse.message.reply import Reply


class SpoolError(Exception):
    """The spool could not do it; nothing of the request is stored. The peer hears 4xx, never 250."""


class SpoolFull(SpoolError):
    """Free space or inodes are below `min_free` (452 4.3.1)."""


class SpoolBroken(SpoolError):
    """An fsync failed: this shard gives no 250 until it has been copied at the next start (451 4.3.0)."""


class Status(enum.StrEnum):
    WAITING = "waiting"
    HELD = "held"
    DELIVERED = "delivered"
    RELAYED = "relayed"
    FAILED = "failed"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        return self not in (Status.WAITING, Status.HELD)


class Body(Protocol):
    """The octets of a message as received, without what we put in front. Immutable."""

    @property
    def size(self) -> int: ...

    @property
    def inline(self) -> bytes | None:
        """The whole body when it is at hand in memory, None when it lies in a file."""

    async def read(self, offset: int, length: int) -> bytes:
        """Up to `length` octets at `offset`; fewer only at the end. Raises SpoolError when the file is gone."""


class BodyWriter(Protocol):
    """A body on its way into a file of the shard's `tmp/`. Writing is bounded: `write` waits for the disk."""

    @property
    def size(self) -> int: ...

    async def write(self, data: bytes) -> None:
        """Raises SpoolError (the writer is then discarded)."""

    async def finish(self) -> Body:
        """fsync; afterwards the body may be given to `accept`, which renames it and syncs the directory."""

    def discard(self) -> None:
        """Remove the file; may be called twice, and after a failed write."""


@dataclass(frozen=True, slots=True)
class InlineBody:
    """A body in memory."""

    inline: bytes

    @property
    def size(self) -> int:
        return len(self.inline)

    async def read(self, offset: int, length: int) -> bytes:
        return self.inline[offset : offset + length]


class SubmissionKey(NamedTuple):
    """The row of an account's store that a message in the spool was handed over from (docs/internals.md)."""

    account: AccountId
    submission: SubmissionId


@dataclass(slots=True)
class QueuedRecipient:
    """One row. `number` is its place in the envelope."""

    number: int
    recipient: Recipient
    status: Status
    next_attempt: Instant | None
    attempts: int = 0  # attempts that finished
    last_reply: Reply | None = None
    last_remote: str = ""
    next_hop: str = ""


@dataclass(slots=True)
class QueuedMessage:
    """A message in the spool. `trace` is what we put in front of `body` (Received); size counts both."""

    id: QueueId
    envelope: Envelope
    recipients: list[QueuedRecipient]
    trace: bytes
    body: Body
    arrived: Instant
    source: str = ""  # who gave it: "192.0.2.7", "uid:1000", "report"
    message_id: str = ""
    is_report: bool = False  # we made it: expires after one day, its failure is a double bounce
    warned: bool = False  # the delay report has gone out
    crashes: int = 0  # times a worker died with it in hand
    submission: SubmissionKey | None = None

    @property
    def size(self) -> int:
        return len(self.trace) + self.body.size


@dataclass(slots=True)
class NewMessage:
    """What `accept` takes. `id` comes from `reserve_id` of the same spool, so that Received can name it."""

    id: QueueId
    envelope: Envelope
    trace: bytes
    body: Body
    arrived: Instant
    first_retry: Instant  # next_attempt of every recipient: stored now, so that the first try needs no second write
    source: str = ""
    message_id: str = ""
    is_report: bool = False
    held: bool = False
    held_numbers: frozenset[int] = frozenset()  # when only these recipients are to be held
    submission: SubmissionKey | None = None  # unique in a shard; ask `find_submission` first


def make_recipients(new: NewMessage) -> list[QueuedRecipient]:
    """The rows of a message as `accept` stores them."""
    status, next_attempt = (Status.HELD, None) if new.held else (Status.WAITING, new.first_retry)
    rows = [QueuedRecipient(number, one, status, next_attempt) for number, one in enumerate(new.envelope.recipients)]
    for number in new.held_numbers:
        rows[number].status, rows[number].next_attempt = Status.HELD, None
    return rows


@dataclass(slots=True)
class RecipientChange:
    """The new state of one recipient; `next_attempt` None for held and final states."""

    number: int
    status: Status
    next_attempt: Instant | None
    attempts: int
    last_reply: Reply | None
    last_remote: str = ""
    next_hop: str = ""


@dataclass(slots=True)
class Settlement:
    """Everything one attempt changes, stored in one transaction: rows, reports it causes, and whether it leaves.

    `remove` is set when every recipient is final: the message, its rows and its body go.
    """

    id: QueueId
    changes: Sequence[RecipientChange] = ()
    remove: bool = False
    warned: bool = False
    reports: Sequence[NewMessage] = ()


@dataclass(frozen=True, slots=True)
class DueRow:
    """What the retry schedule needs to know to give a row its next attempt before it is tried."""

    arrived: Instant
    attempts: int
    is_report: bool


Reschedule = Callable[[DueRow], Instant]


class Action(enum.StrEnum):
    HOLD = "hold"
    RELEASE = "release"
    RETRY = "retry"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which messages; fields given are and-ed, none given selects all. `domain` is of the recipient.

    `status` is a word of the queue listing: ready, deferred, held, delivered, relayed, failed, expired (and
    active, which the caller resolves with what it has in memory).
    """

    ids: frozenset[QueueId] | None = None
    domain: str | None = None
    sender: str | None = None
    status: str | None = None


@dataclass(frozen=True, slots=True)
class SiteRow:
    """What outlives a restart of what we know about a site (a set of MX hosts, see mta/sites)."""

    site: str
    retry_at: Instant
    failures: int
    reason: str


@dataclass(slots=True)
class SpoolStats:
    """Recipients by word of the queue listing, unfinished ones by next hop (or domain, before any attempt), and the
    oldest message's arrival. A scan: about a second per million."""

    messages: int = 0
    octets: int = 0
    by_state: dict[str, int] = field(default_factory=dict)
    by_next_hop: dict[str, int] = field(default_factory=dict)
    oldest: Instant | None = None


class Spool(Protocol):
    """One shard, owned by this process."""

    @property
    def shard(self) -> ShardNumber: ...

    @property
    def inline_limit(self) -> int:
        """Bodies of up to this many octets may be kept in memory and given to `accept` as `InlineBody`."""

    @property
    def is_broken(self) -> bool:
        """An fsync failed: everything raises SpoolBroken from now on; take another shard."""

    def reserve_id(self) -> QueueId:
        """A new id, never given before. Cheap; it is not stored until `accept`."""

    def open_body(self) -> BodyWriter:
        """For bodies beyond `inline_limit`. Raises SpoolError."""

    def accept(self, new: NewMessage) -> asyncio.Future[QueuedMessage]:
        """Resolves when the message is on disk (fdatasync returned): only then may 250 be said. Else SpoolError.

        Never blocks; what waits is committed together (group commit).
        """

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        """Resolves when the outcome is on disk. Grouped like `accept`."""

    async def load_unfinished(self, now: Instant, limit: int) -> list[QueuedMessage]:
        """At start-up: messages with a waiting recipient without a finished attempt, oldest first."""

    async def claim_due(
        self, now: Instant, limit: int, exclude: Callable[[QueueId], bool], reschedule: Reschedule
    ) -> list[QueuedMessage]:
        """Messages with a due recipient that are not excluded (already in memory), at most `limit`.

        Their due rows get `reschedule`d `next_attempt`, durable before this returns: so a crash loop does not
        hammer a peer. Only due recipients are in `recipients`' waiting state with the *old* next_attempt <= now;
        the others keep theirs and are listed too.
        """

    async def load(self, queue_id: QueueId) -> QueuedMessage | None: ...

    async def find_submission(self, key: SubmissionKey) -> QueuedMessage | None:
        """The message that was handed over with this key, while it is here."""

    async def find(self, selection: Selection, limit: int, after: QueueId | None = None) -> list[QueuedMessage]:
        """In the order of ids, starting behind `after`; bodies are not read (`body.inline` may be None)."""

    async def change(self, selection: Selection, action: Action, now: Instant) -> list[QueueId]:
        """Hold, release, retry (next_attempt = now) or delete what is selected. Durable when it returns.

        Only the recipients that are selected change; deleting takes their rows, and the message with the last
        unfinished one. A deferral of an attempt that was on its way does not release a held recipient.
        Release and retry also clear `crashes`. Deleting sends no report.
        """

    async def stats(self) -> SpoolStats: ...

    async def load_sites(self) -> list[SiteRow]: ...

    def save_site(self, row: SiteRow) -> None:
        """Stored with the next commit; a site with failures 0 is forgotten."""

    def mark_in_hand(self, queue_id: QueueId) -> None:
        """Noted where a killed worker leaves it (not fsynced): counted as `crashes` when the shard is adopted."""

    def unmark_in_hand(self, queue_id: QueueId) -> None: ...

    async def close(self) -> None:
        """Everything handed in is committed; the lock is released."""
