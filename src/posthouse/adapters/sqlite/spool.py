"""One shard of the spool: `ports.spool.Spool` on SQLite with group commit.

Trusts: that it alone owns the shard's lock. Guarantees: what `accept` and `settle` resolve with is on disk; after a
crash the shard is in one of the states of docs/internals.md. Does not decide when or where anything is tried.

Calls come from the event loop's thread and never block it; writes go to the writer's thread, reads to the pool's.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import apsw

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite import changes
from posthouse.adapters.sqlite.disk import BODIES, TMP, Disk, FileBody, FileBodyWriter, FreeSpace
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.reader import DueKey, Reader
from posthouse.adapters.sqlite.rows import queue_new, serial_of
from posthouse.adapters.sqlite.scribe import Accept, Settle, SpoolScribe, SpoolWork
from posthouse.adapters.sqlite.writer import Alarms, Job, Work, Writer, WriterLimits
from posthouse.message.ids import QueueId, Serial, ShardNumber, make_queue_id
from posthouse.message.instant import Instant
from posthouse.ports.clock import Clock
from posthouse.ports.spool import (
    Action,
    BodyWriter,
    DueRow,
    NewMessage,
    QueuedMessage,
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
)

T = TypeVar("T")

_LOAD_SLICE = 250  # messages per read
_CHANGE_SLICE = 1000  # recipients per write: under 50 ms
_SWEEP_SLICE = 1000


@dataclass(frozen=True, slots=True)
class SpoolOptions:
    """`inline_limit`: longer bodies become files (measured, docs/decisions/spool.md). `loaded_octets`: how much of
    bodies one call may read ahead. `max_wait_s`: nothing is scheduled later than this, so what is was stored
    before the clock went back."""

    inline_limit: int = 128 * 1024
    min_free: Space = field(default_factory=lambda: Space(256 << 20, 10_000))
    loaded_octets: int = 16 << 20
    max_wait_s: float = 86_400.0 * 2
    limits: WriterLimits = field(default_factory=WriterLimits)


@dataclass(slots=True)
class OpenShard:
    """What adoption hands over: everything open, nothing running."""

    number: ShardNumber
    path: str
    database_path: str
    lock: int
    connection: apsw.Connection
    reading: apsw.Connection
    in_hand: InHand
    last_serial: int


class SqliteSpool:
    """`is_broken` after a failed fsync: take another shard for new mail (shards.py)."""

    def __init__(self, opened: OpenShard, disk: Disk, clock: Clock, options: SpoolOptions) -> None:
        self._opened = opened
        self._disk = disk
        self._clock = clock
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._last_serial = opened.last_serial
        self._in_hand = opened.in_hand
        self._tmp_path, self._bodies_path = f"{opened.path}/{TMP}", f"{opened.path}/{BODIES}"
        self._space = FreeSpace(disk.files, opened.path, options.min_free, clock)
        self._reader = Reader(opened.reading, opened.number, self._bodies_path, disk)
        with os.scandir(self._bodies_path) as entries:
            has_files = any(True for _ in entries)
        self._writer: Writer[SpoolWork] = Writer(
            opened.connection,
            opened.database_path,
            SpoolScribe(disk, self._bodies_path, has_files=has_files),
            options.limits,
            Alarms(partial(opened.in_hand.set_suspect, True), self._space.note_full),
        )
        self._is_closing = False
        self._is_closed = False
        self._sweeping = self._loop.create_task(self._sweep(opened.last_serial)) if has_files else None

    @property
    def shard(self) -> ShardNumber:
        return self._opened.number

    @property
    def path(self) -> str:
        return self._opened.path

    @property
    def lock(self) -> int:
        """The descriptor that holds the lock; open until `close`."""
        return self._opened.lock

    @property
    def last_serial(self) -> int:
        return self._last_serial

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    @property
    def inline_limit(self) -> int:
        return self._options.inline_limit

    @property
    def is_broken(self) -> bool:
        return self._writer.is_broken

    def figures(self) -> dict[str, float]:
        """For metrics: names are the last part of a metric's name."""
        own = {"oldest_reader_seconds": self._reader.age_s, "broken": float(self.is_broken)}
        return self._writer.describe() | own

    # Taking in and settling.

    def reserve_id(self) -> QueueId:
        serial = int(self._clock.now() * 1e6)
        if serial <= self._last_serial:
            serial = self._last_serial + 1
        self._last_serial = serial
        return make_queue_id(self._opened.number, Serial(serial))

    def open_body(self) -> BodyWriter:
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        return FileBodyWriter(self._disk, f"{self._tmp_path}/{serial_of(self.reserve_id())}")

    def _refusal(self) -> SpoolError | None:
        if self._writer.is_broken:
            return SpoolBroken("disk failed")
        if self._is_closing:
            return SpoolError("spool is closing")
        if not self._space.has_room():
            return SpoolFull("not enough free space")
        if not self._writer.has_room():
            return SpoolError("spool is busy")
        return None

    def accept(self, new: NewMessage) -> asyncio.Future[QueuedMessage]:
        future: asyncio.Future[QueuedMessage] = self._loop.create_future()
        body = new.body
        inline = body.inline
        refusal = self._refusal()
        if refusal is None and inline is None and not isinstance(body, FileBody):
            refusal = SpoolError("body is neither in memory nor written by open_body")
        if refusal is not None:
            if isinstance(body, FileBody):
                self._disk.forget(self._disk.files.unlink, body.path)
            future.set_exception(refusal)
            return future
        octets = len(new.trace) + 1000 + (0 if inline is None else len(inline))
        self._writer.submit(Accept(future, queue_new(new, body), octets, new, serial_of(new.id)))
        return future

    def settle(self, settlement: Settlement) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        reports = [(report, serial_of(report.id)) for report in settlement.reports]
        self._writer.submit(Settle(future, settlement, serial_of(settlement.id), reports))
        return future

    async def _write(self, call: Callable[[apsw.Connection, Work[T]], T]) -> T:
        """Rare work, in the same commits as everything else."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._writer.submit(Job(future, call))
        return await future

    async def flush(self) -> None:
        """Everything submitted so far is committed."""
        await self._write(lambda connection, work: None)

    # Reading back.

    async def load_unfinished(self, now: Instant, limit: int) -> list[QueuedMessage]:
        return await self._load(await self._disk.run(self._reader.find_unfinished, limit))

    async def _load(self, serials: Sequence[int]) -> list[QueuedMessage]:
        """In the order given."""
        octets, loaded = self._options.loaded_octets, list[QueuedMessage]()
        for start in range(0, len(serials), _LOAD_SLICE):
            piece = serials[start : start + _LOAD_SLICE]
            messages = await self._disk.run(self._reader.load, piece, octets)
            octets -= sum(len(message.body.inline or b"") for message in messages)
            by_serial = {serial_of(message.id): message for message in messages}
            loaded += [by_serial[serial] for serial in piece if serial in by_serial]
        return loaded

    async def load(self, queue_id: QueueId) -> QueuedMessage | None:
        serials = self._reader.own_serials([queue_id])
        found = await self._load(serials)
        return found[0] if found else None

    async def find_submission(self, key: SubmissionKey) -> QueuedMessage | None:
        serial = await self._disk.run(self._reader.find_submission, key.account, key.submission)
        found = await self._load([serial]) if serial is not None else []
        return found[0] if found else None

    async def find(self, selection: Selection, limit: int, after: QueueId | None = None) -> list[QueuedMessage]:
        found: list[QueuedMessage] = []
        last = -1 if after is None else serial_of(after)
        while len(found) < limit:
            wanted = min(_LOAD_SLICE, limit - len(found))
            serials = await self._disk.run(self._reader.find_serials, selection, last, wanted)
            if serials:
                found += await self._disk.run(self._reader.load, serials, 0)
                last = serials[-1]
            if len(serials) < wanted:
                break
        return found

    async def claim_due(
        self, now: Instant, limit: int, exclude: Callable[[QueueId], bool], reschedule: Reschedule
    ) -> list[QueuedMessage]:
        claimed: dict[int, list[tuple[DueKey, Instant]]] = {}
        seen: set[int] = set()
        latest = now + self._options.max_wait_s
        while len(claimed) < limit:
            wanted = min(_LOAD_SLICE, limit - len(claimed))
            keys = await self._disk.run(self._reader.find_due, now, latest, wanted)
            keys = [key for key in keys if key.serial not in seen]
            if not keys:
                break
            moved = [(key, reschedule(DueRow(Instant(key.arrived), key.attempts, key.is_report))) for key in keys]
            # Those in memory already are moved too, so that they are not in the way the next time.
            await self._write(partial(changes.claim, moves=[(key, instant) for key, instant in moved]))
            for key, instant in moved:
                if key.serial in claimed or not exclude(self._id(key.serial)):
                    claimed.setdefault(key.serial, []).append((key, instant))
            seen.update(key.serial for key in keys)
        return await self._load_claimed(now, dict(list(claimed.items())[:limit]))

    async def _load_claimed(
        self, now: Instant, claimed: dict[int, list[tuple[DueKey, Instant]]]
    ) -> list[QueuedMessage]:
        """As they were before the claim. What was held or deleted in between is not among them."""
        due: list[QueuedMessage] = []
        for message in await self._load(list(claimed)):
            by_number = {recipient.number: recipient for recipient in message.recipients}
            count = 0
            for key, instant in claimed[serial_of(message.id)]:
                recipient = by_number.get(key.number)
                if recipient is not None and recipient.status is Status.WAITING and recipient.next_attempt == instant:
                    recipient.next_attempt = Instant(min(key.next_attempt, now))
                    count += 1
            if count:
                due.append(message)
        return due

    def _id(self, serial: int) -> QueueId:
        return make_queue_id(self._opened.number, Serial(serial))

    # An administrator's hand.

    async def change(self, selection: Selection, action: Action, now: Instant) -> list[QueueId]:
        changed: list[QueueId] = []
        after = (-1, -1)
        while True:
            keys = await self._disk.run(self._reader.find_rows, selection, after, _CHANGE_SLICE)
            if not keys:
                return changed
            after = keys[-1]
            ids = map(self._id, await self._write(partial(changes.apply, action=action, keys=keys, now=now)))
            first = next(ids, None)
            if first is not None and first not in changed[-1:]:  # a message may lie across two slices
                changed.append(first)
            changed += ids

    async def stats(self) -> SpoolStats:
        return await self._disk.run(self._reader.count)

    async def is_empty(self) -> bool:
        return await self._disk.run(self._reader.is_empty)

    # Sites and crashes.

    async def load_sites(self) -> list[SiteRow]:
        return await self._disk.run(self._reader.load_sites)

    def save_site(self, row: SiteRow) -> None:
        future: asyncio.Future[None] = self._loop.create_future()
        future.add_done_callback(_look_away)
        self._writer.submit(Job(future, partial(changes.save_site, row=replace(row))))

    def mark_in_hand(self, queue_id: QueueId) -> None:
        self._in_hand.mark(serial_of(queue_id))

    def unmark_in_hand(self, queue_id: QueueId) -> None:
        self._in_hand.unmark(serial_of(queue_id))

    # Files without a row, and the end.

    async def _sweep(self, last_serial: int) -> None:
        """States B1, B2 and R1 of docs/internals.md. What is above `last_serial` may be on its way to a row."""
        with contextlib.suppress(SpoolError), os.scandir(self._bodies_path) as entries:
            while not self._is_closed and (names := await self._disk.run(_take_names, entries)):
                await self._disk.run(self._unlink_orphans, names, last_serial)

    def _unlink_orphans(self, names: Sequence[str], last_serial: int) -> None:
        serials = [int(name) for name in names if name.isdigit() and int(name) <= last_serial]
        known = self._reader.find_file_bodies(serials)
        for serial in serials:
            if serial not in known:
                self._disk.files.unlink(f"{self._bodies_path}/{serial}")

    async def wait_swept(self) -> None:
        """Until the sweep after adoption is over; it ends early at `close`."""
        if self._sweeping is not None:
            await self._sweeping

    async def try_retire(self) -> bool:
        """For a surplus shard: take nothing more in if it is empty. False when it is not."""
        self._is_closing = True
        with contextlib.suppress(SpoolError):
            await self.flush()
            if await self.is_empty():
                return True
        self._is_closing = False
        return False

    async def close(self) -> None:
        if self._is_closed:
            return
        await self.close_but_lock()
        os.close(self._opened.lock)

    async def close_but_lock(self) -> None:
        self._is_closing = self._is_closed = True
        await self.wait_swept()
        await self._disk.run(self._reader.close)
        await self._writer.close()
        self._in_hand.start_epoch(self._in_hand.epoch)
        self._in_hand.close()


def _take_names(entries: Iterable[os.DirEntry[str]]) -> list[str]:
    """A slice: a million names at once would be memory that never comes back."""
    return [entry.name for entry in itertools.islice(entries, _SWEEP_SLICE)]


def _look_away(future: asyncio.Future[None]) -> None:
    """Nobody waits for it; a defect of the disk shows at the next message."""
    if not future.cancelled():
        future.exception()
