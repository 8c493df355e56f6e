"""Reading a shard: the second connection, used by one thread at a time, never over an await.

Every call is one short read; callers take large lists in slices. After a crash there is nothing to mend here.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

import apsw

from posthouse.adapters.sqlite import rows
from posthouse.adapters.sqlite.bulk import Row, Value
from posthouse.adapters.sqlite.disk import Disk, FileBody
from posthouse.adapters.sqlite.rows import FLAG_FILE, HELD, WAITING, MessageRow, RecipientRow
from posthouse.message.address import AddressError, parse_address
from posthouse.message.ids import ShardNumber, split_queue_id
from posthouse.message.instant import Instant
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient, Selection, SiteRow, SpoolError
from posthouse.ports.spool import SpoolStats as Stats

R = TypeVar("R")

_LISTED = {
    "ready": "r.status = 0 AND r.attempts = 0",
    "active": "r.status = 0",
    "deferred": "r.status = 0 AND r.attempts > 0",
    "waiting": "r.status = 0",
    **{status.value: f"r.status = {number}" for number, status in enumerate(rows.STATUSES) if number},
}
_STATE_WORDS = {(WAITING, False): "ready", (WAITING, True): "deferred"}


@dataclass(frozen=True, slots=True)
class DueKey:
    """A due row, as `claim_due` needs it."""

    serial: int
    number: int
    next_attempt: float
    attempts: int
    arrived: float
    is_report: bool


def numbers_json(serials: Iterable[int]) -> str:
    """A list for json_each: one statement for lists of any length."""
    return "[" + ",".join(map(str, serials)) + "]"


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a selection looks, and the column that gives its order without sorting."""

    tables: str
    key: str


_BY_RECIPIENT = _Source("recipient r", "r.serial")
_BY_MESSAGE = _Source("message m CROSS JOIN recipient r ON r.serial = m.serial", "m.serial")  # CROSS: in this order

_IN_LIST = "IN (SELECT value FROM json_each(?))"


class RowBody:
    """A body in the database that is read when it is wanted."""

    __slots__ = ("_disk", "_reader", "_serial", "_size")

    def __init__(self, reader: Reader, disk: Disk, serial: int, size: int) -> None:
        self._reader, self._disk, self._serial, self._size = reader, disk, serial, size

    @property
    def size(self) -> int:
        return self._size

    @property
    def inline(self) -> bytes | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        return await self._disk.run(self._reader.read_body, self._serial, offset, length)


class Reader:
    def __init__(self, connection: apsw.Connection, shard: ShardNumber, bodies_path: str, disk: Disk) -> None:
        self._connection = connection
        self._shard = shard
        self._bodies_path = bodies_path
        self._disk = disk
        self._lock = threading.Lock()
        self._started: float | None = None

    @property
    def age_s(self) -> float:
        """How long the read that is open has been open."""
        started = self._started
        return 0.0 if started is None else time.monotonic() - started

    def _query(self, sql: str, bindings: Sequence[Value] = ()) -> list[Row]:
        with self._lock:
            self._started = time.monotonic()
            try:
                return cast(list[Row], self._connection.execute(sql, tuple(bindings)).fetchall())
            except apsw.Error as error:
                raise SpoolError(f"cannot read: {error}") from error
            finally:
                self._started = None

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    # Bodies and whole messages.

    def read_body(self, serial: int, offset: int, length: int) -> bytes:
        found = self._query("SELECT substr(data, ?, ?) FROM body WHERE serial = ?", (offset + 1, length, serial))
        if not found or found[0][0] is None:
            raise SpoolError("message is gone")
        return cast(bytes, found[0][0])

    def load(self, serials: Sequence[int], inline_octets: int) -> list[QueuedMessage]:
        """In the order of serials. Bodies come along until they add up to `inline_octets`."""
        wanted = numbers_json(serials)
        heads = self._query(
            f"SELECT {rows.MESSAGE_SELECT}, trace FROM message JOIN body USING (serial)"
            f" WHERE serial {_IN_LIST} ORDER BY serial",
            (wanted,),
        )
        found = self._query(
            f"SELECT {rows.RECIPIENT_SELECT} FROM recipient WHERE serial {_IN_LIST} ORDER BY serial, number", (wanted,)
        )
        recipients: dict[int, list[QueuedRecipient]] = {}
        for row in found:
            recipients.setdefault(cast(int, row[0]), []).append(rows.read_recipient(cast(RecipientRow, row)))
        inline = self._load_bodies(heads, inline_octets)
        return [
            self._build(cast(MessageRow, head[:-1]), cast(bytes, head[-1]), recipients, inline)
            for head in heads
            if head[0] in recipients
        ]

    def _load_bodies(self, heads: Sequence[Row], inline_octets: int) -> dict[int, bytes]:
        serials: list[int] = []
        for head in heads:
            serial, flags, size = cast(int, head[0]), cast(int, head[2]), cast(int, head[6])
            if not flags & FLAG_FILE and size <= inline_octets:
                inline_octets -= size
                serials.append(serial)
        if not serials:
            return {}
        found = self._query(f"SELECT serial, data FROM body WHERE serial {_IN_LIST}", (numbers_json(serials),))
        return {cast(int, serial): cast(bytes, data) for serial, data in found}

    def _build(
        self,
        head: MessageRow,
        trace: bytes,
        recipients: dict[int, list[QueuedRecipient]],
        inline: dict[int, bytes],
    ) -> QueuedMessage:
        serial, flags, size = head[0], head[2], head[6] - len(trace)
        data = inline.get(serial)
        body: Body
        if data is not None:
            body = InlineBody(data)
        elif flags & FLAG_FILE:
            body = FileBody(self._disk, f"{self._bodies_path}/{serial}", size)
        else:
            body = RowBody(self, self._disk, serial, size)
        return rows.read_message(self._shard, head, recipients[serial], trace, body)

    # Keys.

    def find_unfinished(self, limit: int) -> list[int]:
        """Messages with a waiting recipient that no attempt has finished for. A scan of the slim rows: 0.3 s per
        million, and no index for it on the path of every message."""
        found = self._query(
            "SELECT DISTINCT serial FROM recipient NOT INDEXED WHERE status = 0 AND attempts = 0"
            " ORDER BY serial LIMIT ?",
            (limit,),
        )
        return [cast(int, row[0]) for row in found]

    def find_due(self, now: float, latest: float, limit: int) -> list[DueKey]:
        """All due rows of the messages to which the `limit` first due rows belong.

        A row that is due after `latest` was stored before the clock went back: it is due now.
        """
        first = self._query(
            "SELECT serial FROM recipient WHERE next_attempt <= ? ORDER BY next_attempt LIMIT ?", (now, limit)
        )
        stray = self._query("SELECT serial FROM recipient WHERE next_attempt > ? LIMIT ?", (latest, limit))
        serials = list(dict.fromkeys(cast(int, row[0]) for row in itertools.chain(first, stray)))
        found = self._query(
            "SELECT serial, number, next_attempt, attempts, arrived, flags FROM recipient JOIN message USING (serial)"
            f" WHERE serial {_IN_LIST} AND (next_attempt <= ? OR next_attempt > ?)",
            (numbers_json(serials), now, latest),
        )
        keys: dict[int, list[DueKey]] = {serial: [] for serial in serials}
        for row in found:
            serial, number, next_attempt, attempts, arrived, flags = cast(tuple[int, int, float, int, float, int], row)
            keys[serial].append(DueKey(serial, number, next_attempt, attempts, arrived, bool(flags & rows.FLAG_REPORT)))
        return [key for serial in serials for key in keys[serial]]

    def find_serials(self, selection: Selection, after: int, limit: int) -> list[int]:
        source, where, bindings = self._select(selection)
        found = self._query(
            f"SELECT DISTINCT {source.key} FROM {source.tables} WHERE {where} AND {source.key} > ?"
            f" ORDER BY {source.key} LIMIT ?",
            [*bindings, after, limit],
        )
        return [cast(int, row[0]) for row in found]

    def find_rows(self, selection: Selection, after: tuple[int, int], limit: int) -> list[tuple[int, int]]:
        """Keys of recipients, in order, behind `after`."""
        source, where, bindings = self._select(selection)
        found = self._query(
            f"SELECT {source.key}, r.number FROM {source.tables} WHERE {where} AND {source.key} >= ?"
            f" AND ({source.key}, r.number) > (?, ?) ORDER BY {source.key}, r.number LIMIT ?",
            [*bindings, after[0], *after, limit],
        )
        return [(cast(int, row[0]), cast(int, row[1])) for row in found]

    def _select(self, selection: Selection) -> tuple[_Source, str, list[Value]]:
        where, bindings = ["1"], cast(list[Value], [])
        source = _BY_RECIPIENT
        if selection.sender is not None:
            source = _BY_MESSAGE
            sender = _stored_sender(selection.sender)
            where.append("m.sender IS NULL" if sender is None else "m.sender = ? COLLATE NOCASE")
            bindings += [] if sender is None else [sender]
        if selection.ids is not None:
            where.append(f"r.serial {_IN_LIST}")
            bindings.append(numbers_json(self.own_serials(selection.ids)))
        if selection.domain is not None:
            where.append("r.domain = ?")
            bindings.append(selection.domain.lower())
        if selection.status is not None:
            where.append(_LISTED.get(selection.status, "0"))
        return source, " AND ".join(where), bindings

    def find_submission(self, account: int, submission: int) -> int | None:
        """The serial of the message that was handed over from there."""
        found = self._query("SELECT serial FROM message WHERE account = ? AND submission = ?", (account, submission))
        return cast(int, found[0][0]) if found else None

    def own_serials(self, ids: Iterable[str]) -> list[int]:
        split = map(split_queue_id, ids)
        return sorted(serial for shard, serial in split if shard == self._shard)

    # Sums and sites.

    def count(self) -> Stats:
        stats = Stats()
        totals = self._query("SELECT count(*), total(size), min(arrived) FROM message")[0]
        stats.messages, stats.octets = cast(int, totals[0]), int(cast(float, totals[1]))
        stats.oldest = None if totals[2] is None else Instant(cast(float, totals[2]))
        found = self._query(
            "SELECT status, attempts > 0, iif(next_hop = '', domain, next_hop) AS hop, count(*) FROM recipient"
            " GROUP BY status, attempts > 0, hop"
        )
        for row in found:
            status, tried, hop, count = cast(tuple[int, int, str, int], row)
            word = _STATE_WORDS.get((status, bool(tried)), rows.STATUSES[status].value)
            stats.by_state[word] = stats.by_state.get(word, 0) + count
            if status in (WAITING, HELD):
                stats.by_next_hop[hop] = stats.by_next_hop.get(hop, 0) + count
        return stats

    def is_empty(self) -> bool:
        return not self._query("SELECT 1 FROM message LIMIT 1")

    def load_sites(self) -> list[SiteRow]:
        found = self._query("SELECT site, retry_at, failures, reason FROM site ORDER BY site")
        return [SiteRow(*cast(tuple[str, Instant, int, str], row)) for row in found]

    def find_file_bodies(self, serials: Sequence[int]) -> set[int]:
        """Which of these are messages whose body is a file."""
        found = self._query(
            f"SELECT serial FROM message WHERE serial {_IN_LIST} AND flags & {FLAG_FILE}", (numbers_json(serials),)
        )
        return {cast(int, row[0]) for row in found}


def _stored_sender(text: str) -> str | None:
    """What an administrator wrote as the column has it; None is the empty sender."""
    if text in ("", "<>"):
        return None
    try:
        return rows.join_sender(parse_address(text.removeprefix("<").removesuffix(">")))
    except AddressError:
        return text
