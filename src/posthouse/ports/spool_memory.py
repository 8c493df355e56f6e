"""The spool's fake: passes the same conformance suite as the real one, and fails when it is told to.

Nothing here is durable; `MemoryDisk` plays the disk, so that a second `MemorySpool` on it is a restart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

from posthouse.message.address import AddressError, parse_address
from posthouse.message.envelope import Envelope
from posthouse.message.ids import QueueId, Serial, ShardNumber, make_queue_id, split_queue_id
from posthouse.message.instant import Instant
from posthouse.ports.clock import Clock
from posthouse.ports.spool import (
    Action,
    Body,
    DueRow,
    InlineBody,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientChange,
    Reschedule,
    Selection,
    Settlement,
    SiteRow,
    SpoolBroken,
    SpoolError,
    SpoolFull,
    SpoolStats,
    Status,
    SubmissionKey,
    make_recipients,
)

_MAX_WAIT_S = 172_800.0
_CRASHES_TO_HOLD = 2


@dataclass
class MemoryDisk:
    """What outlives the owner of a shard. `error`: what the disk says to every write."""

    messages: dict[QueueId, QueuedMessage] = field(default_factory=dict)
    sites: dict[str, SiteRow] = field(default_factory=dict)
    in_hand: set[QueueId] = field(default_factory=set)
    last_serial: int = 0
    error: SpoolError | None = None


class MemoryBodyWriter:
    def __init__(self, spool: MemorySpool) -> None:
        self._spool = spool
        self._pieces: list[bytes] = []
        self._is_discarded = False

    @property
    def size(self) -> int:
        return sum(map(len, self._pieces))

    async def write(self, data: bytes) -> None:
        self._check()
        self._pieces.append(data)

    async def finish(self) -> Body:
        self._check()
        return InlineBody(b"".join(self._pieces))

    def _check(self) -> None:
        if self._is_discarded:
            raise SpoolError("body was discarded")
        self._spool.check()

    def discard(self) -> None:
        self._is_discarded = True
        self._pieces.clear()


class MemorySpool:
    """One shard in memory. `full` and `broken` make it fail as a full disk and a failed fsync do."""

    def __init__(
        self, clock: Clock, shard: int = 0, disk: MemoryDisk | None = None, inline_limit: int = 128 * 1024
    ) -> None:
        self.disk = disk or MemoryDisk()
        self.full = False
        self.broken = False
        self._clock = clock
        self._shard = ShardNumber(shard)
        self._inline_limit = inline_limit
        self._is_closed = False
        self._count_crashes()

    def _count_crashes(self) -> None:
        for queue_id in self.disk.in_hand & set(self.disk.messages):
            message = self.disk.messages[queue_id]
            message.crashes += 1
            if message.crashes >= _CRASHES_TO_HOLD:
                for recipient in message.recipients:
                    _hold(recipient)
        self.disk.in_hand.clear()

    @property
    def shard(self) -> ShardNumber:
        return self._shard

    @property
    def inline_limit(self) -> int:
        return self._inline_limit

    @property
    def is_broken(self) -> bool:
        return self.broken

    def check(self, *, is_new: bool = True) -> None:
        """Raises what the disk says."""
        if self.disk.error is not None:
            raise self.disk.error
        if self.broken:
            raise SpoolBroken("disk failed")
        if self._is_closed:
            raise SpoolError("spool is closed")
        if is_new and self.full:
            raise SpoolFull("not enough free space")

    def reserve_id(self) -> QueueId:
        self.disk.last_serial = max(self.disk.last_serial + 1, int(self._clock.now() * 1e6))
        return make_queue_id(self._shard, Serial(self.disk.last_serial))

    def open_body(self) -> MemoryBodyWriter:
        self.check()
        return MemoryBodyWriter(self)

    def accept(self, new: NewMessage) -> asyncio.Future[QueuedMessage]:
        future: asyncio.Future[QueuedMessage] = asyncio.get_running_loop().create_future()
        try:
            self.check()
            if new.id in self.disk.messages or self._has_submission(new.submission):
                raise SpoolError(f"{new.id} exists")
        except SpoolError as error:
            future.set_exception(error)
            return future
        self.disk.messages[new.id] = _store(new)
        future.set_result(_copy(self.disk.messages[new.id]))
        return future

    def _has_submission(self, key: SubmissionKey | None) -> bool:
        return key is not None and any(message.submission == key for message in self.disk.messages.values())

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self.check(is_new=False)
        except SpoolError as error:
            future.set_exception(error)
            return future
        message = self.disk.messages.get(settlement.id)
        if message is not None:
            self._settle_message(message, settlement)
        for report in settlement.reports:
            self.disk.messages[report.id] = _store(report)
        future.set_result(None)
        return future

    def _settle_message(self, message: QueuedMessage, settlement: Settlement) -> None:
        if settlement.remove:
            del self.disk.messages[settlement.id]
            return
        message.warned = message.warned or settlement.warned
        by_number = {recipient.number: recipient for recipient in message.recipients}
        for change in settlement.changes:
            if change.number in by_number:
                _apply(by_number[change.number], change)

    async def load_unfinished(self, now: Instant, limit: int) -> list[QueuedMessage]:
        return [
            _copy(message)
            for message in self._sorted()
            if any(row.status is Status.WAITING and not row.attempts for row in message.recipients)
        ][:limit]

    def _sorted(self) -> list[QueuedMessage]:
        return [self.disk.messages[queue_id] for queue_id in sorted(self.disk.messages)]

    async def claim_due(
        self, now: Instant, limit: int, exclude: Callable[[QueueId], bool], reschedule: Reschedule
    ) -> list[QueuedMessage]:
        due: list[tuple[float, QueueId]] = []
        for message in self._sorted():
            instants = [row.next_attempt for row in message.recipients if _is_due(row, now) and row.next_attempt]
            if instants:
                due.append((min(instants), message.id))
        claimed: list[QueuedMessage] = []
        for _, queue_id in sorted(due):
            if len(claimed) >= limit:
                break
            message = self.disk.messages[queue_id]
            if not exclude(queue_id):
                claimed.append(_copy(message))
                for row in claimed[-1].recipients:
                    if _is_due(row, now) and row.next_attempt is not None:
                        row.next_attempt = min(row.next_attempt, now)
            for row in message.recipients:
                if _is_due(row, now):
                    row.next_attempt = reschedule(DueRow(message.arrived, row.attempts, message.is_report))
        return claimed

    async def load(self, queue_id: QueueId) -> QueuedMessage | None:
        message = self.disk.messages.get(_upper(queue_id))
        return None if message is None else _copy(message)

    async def find_submission(self, key: SubmissionKey) -> QueuedMessage | None:
        return next((_copy(message) for message in self.disk.messages.values() if message.submission == key), None)

    async def find(self, selection: Selection, limit: int, after: QueueId | None = None) -> list[QueuedMessage]:
        return [
            _copy(message)
            for message in self._sorted()
            if message.id > (after or "") and any(_is_selected(selection, message, row) for row in message.recipients)
        ][:limit]

    async def change(self, selection: Selection, action: Action, now: Instant) -> list[QueueId]:
        self.check(is_new=False)
        changed: list[QueueId] = []
        for message in self._sorted():
            wanted = [row for row in message.recipients if _is_selected(selection, message, row)]
            touched = [row for row in wanted if _is_touched(row, action)]
            if touched:
                changed.append(message.id)
                self._change_rows(message, touched, action, now)
        return changed

    def _change_rows(
        self, message: QueuedMessage, touched: Sequence[QueuedRecipient], action: Action, now: Instant
    ) -> None:
        if action is Action.DELETE:
            message.recipients = [row for row in message.recipients if row not in touched]
            message.envelope = replace(message.envelope, recipients=tuple(row.recipient for row in message.recipients))
            if all(row.status.is_final for row in message.recipients):
                del self.disk.messages[message.id]
            return
        for row in touched:
            if action is Action.HOLD:
                _hold(row)
            else:
                row.status, row.next_attempt = Status.WAITING, now
                message.crashes = 0

    async def stats(self) -> SpoolStats:
        messages = self._sorted()
        stats = SpoolStats(len(messages), sum(message.size for message in messages))
        stats.oldest = min((message.arrived for message in messages), default=None)
        for row in (row for message in messages for row in message.recipients):
            word = _word(row)
            stats.by_state[word] = stats.by_state.get(word, 0) + 1
            if not row.status.is_final:
                hop = row.next_hop or row.recipient.address.domain
                stats.by_next_hop[hop] = stats.by_next_hop.get(hop, 0) + 1
        return stats

    async def load_sites(self) -> list[SiteRow]:
        return [self.disk.sites[site] for site in sorted(self.disk.sites)]

    def save_site(self, row: SiteRow) -> None:
        if row.failures:
            self.disk.sites[row.site] = row
        else:
            self.disk.sites.pop(row.site, None)

    def mark_in_hand(self, queue_id: QueueId) -> None:
        self.disk.in_hand.add(queue_id)

    def unmark_in_hand(self, queue_id: QueueId) -> None:
        self.disk.in_hand.discard(queue_id)

    async def close(self) -> None:
        self._is_closed = True
        self.disk.in_hand.clear()


def _store(new: NewMessage) -> QueuedMessage:
    return QueuedMessage(
        new.id,
        new.envelope,
        make_recipients(new),
        new.trace,
        new.body,
        new.arrived,
        new.source,
        new.message_id,
        new.is_report,
        submission=new.submission,
    )


def _copy(message: QueuedMessage) -> QueuedMessage:
    """What is handed out must not be what is stored."""
    handed = copy(message)
    handed.recipients = [copy(row) for row in message.recipients]
    return handed


def _hold(row: QueuedRecipient) -> None:
    if row.status is Status.WAITING:
        row.status, row.next_attempt = Status.HELD, None


def _apply(row: QueuedRecipient, change: RecipientChange) -> None:
    """A deferral does not release what was held meanwhile."""
    stays_held = row.status is Status.HELD and change.status is Status.WAITING
    row.status = Status.HELD if stays_held else change.status
    row.next_attempt = change.next_attempt if row.status is Status.WAITING else None
    row.attempts, row.last_reply = change.attempts, change.last_reply
    row.last_remote, row.next_hop = change.last_remote, change.next_hop


def _is_due(row: QueuedRecipient, now: Instant) -> bool:
    if row.next_attempt is None:
        return False
    return row.next_attempt <= now or row.next_attempt > now + _MAX_WAIT_S


def _is_touched(row: QueuedRecipient, action: Action) -> bool:
    if action is Action.DELETE:
        return not row.status.is_final
    return row.status is (Status.HELD if action is Action.RELEASE else Status.WAITING)


def _word(row: QueuedRecipient) -> str:
    if row.status is Status.WAITING:
        return "deferred" if row.attempts else "ready"
    return row.status.value


def _is_selected(selection: Selection, message: QueuedMessage, row: QueuedRecipient) -> bool:
    words = {_word(row), "active" if row.status is Status.WAITING else "", row.status.value}
    return (
        (selection.ids is None or message.id in {_upper(queue_id) for queue_id in selection.ids})
        and (selection.domain is None or row.recipient.address.domain == selection.domain.lower())
        and (selection.sender is None or _is_sender(selection.sender, message.envelope))
        and (selection.status is None or selection.status in words)
    )


def _upper(queue_id: QueueId) -> QueueId:
    return make_queue_id(*split_queue_id(queue_id))


def _is_sender(text: str, envelope: Envelope) -> bool:
    if envelope.sender is None:
        return text in ("", "<>")
    try:
        wanted = str(parse_address(text.removeprefix("<").removesuffix(">")))
    except AddressError:
        wanted = text
    return wanted.lower() == str(envelope.sender).lower()
