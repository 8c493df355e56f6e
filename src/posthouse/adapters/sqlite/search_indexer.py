"""Keeping the text index of each shard in step with its store, in one worker per shard: whoever holds its lock.

What is new in an account is read, decoded and indexed in the order of its email ids; `progress` is written in the
transaction of what it speaks for, so killed anywhere the next holder goes on from there. What cannot be read is noted
as `unread` and stays a candidate of every search. Expunged emails and erased accounts leave the index.

Indexing 8 KB costs a processor about 1.5 ms, several times what delivering it cost. So it is done in a thread of its
own of lower priority, in batches, for a share of the time, and it lets a rush of mail pass first, for half a minute at
most; mail that waits for it is found by reading it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar, cast

import apsw

from posthouse.adapters.files import Files, try_lock
from posthouse.adapters.sqlite.search_index import SEPARATOR, can_hold, clean, index_path, row_of
from posthouse.adapters.sqlite.search_verify import read_texts
from posthouse.adapters.sqlite.search_writer import Batch, IndexWriter, Swept
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_reader import read_emails
from posthouse.adapters.sqlite.store_shard import Shard
from posthouse.adapters.sqlite.store_sql import read_number, select_numbers, select_rows
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.message.search import Where
from posthouse.ports.spool import SpoolError
from posthouse.ports.store import EmailRow, Fields, StoreRefusal

P = ParamSpec("P")
T = TypeVar("T")

_FIELDS = Fields.STRUCTURE | Fields.TEXTS
_TEXTS = (Where.SUBJECT, Where.FROM, Where.TO, Where.CC, Where.BCC, Where.ATTACHMENT, Where.TEXT)
_MAX_HEADER = 200_000  # octets; of a longer one not all is in Where.TEXT (message/text.py)
_READ_EMAILS = 32
_READ_S = 0.03
_BATCH_EMAILS = 128
_BATCH_CHARACTERS = 4_000_000
_SWEEP_EMAILS = 1000
_COMPARE_S = 86_400.0
_NICE = 10
_RUSH_PER_S = 100.0  # writes of this worker
_LOOK_S = 0.5
_PATIENCE_S = 30.0


class _Rush:
    """Whether so much is written that indexing had better wait; never for longer than `_PATIENCE_S`."""

    def __init__(self, now: float) -> None:
        self._looked_at, self._writes = now, 0.0
        self._since: float | None = None

    def is_on(self, writes: float, now: float) -> bool:
        took_s = now - self._looked_at
        if took_s >= _LOOK_S:
            rate = (writes - self._writes) / took_s
            self._looked_at, self._writes = now, writes
            self._since = None if rate < _RUSH_PER_S else now if self._since is None else self._since
        return self._since is not None and now - self._since < _PATIENCE_S


Work = tuple[int, int, int]  # account, indexed up to, the last email there is


class SearchIndexer:
    """`run_once` does a bit of what there is to do and says after how many seconds to call it again.

    `directory` is `search/` beside the store's. `share` of the time is spent while there is more to do.
    """

    def __init__(
        self, core: StoreCore, directory: str, files: Files | None = None, *, share: float = 0.25, idle_s: float = 1.0
    ) -> None:
        self._core, self._directory, self._files = core, directory, files or Files()
        self._share, self._idle_s = share, idle_s
        self._thread = ThreadPoolExecutor(1, "search indexer", _give_way)
        self._shards: dict[str, _ShardIndexer] = {}
        self._rush = _Rush(core.clock.monotonic())

    async def prepare(self) -> None:
        """Before mail is taken: an index that knows more than a restored store would miss what is new."""
        for indexer in self._open_shards():
            await indexer.prepare()

    async def run_once(self) -> float:
        """Raises StoreError; the next call goes on."""
        writes = sum(shard.figures()["writes"] for shard in self._core.shards)
        if self._rush.is_on(writes, self._core.clock.monotonic()):
            return self._idle_s
        started = time.monotonic()
        is_done = True
        for indexer in self._open_shards():
            if await indexer.run():
                is_done = False
        return self._idle_s if is_done else (time.monotonic() - started) * (1 / self._share - 1)

    def _open_shards(self) -> list[_ShardIndexer]:
        self._files.make_directory(self._directory)
        for shard in self._core.shards:
            if shard.path not in self._shards:
                path = index_path(self._directory, shard.path)
                self._shards[shard.path] = _ShardIndexer(self._core, shard, path, self._files, self._thread)
        return list(self._shards.values())

    async def close(self) -> None:
        for indexer in self._shards.values():
            await indexer.close()
        self._shards.clear()
        self._thread.shutdown()


def _give_way() -> None:
    """Linux has priorities per thread."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)


class _ShardIndexer:
    def __init__(self, core: StoreCore, shard: Shard, path: str, files: Files, thread: ThreadPoolExecutor) -> None:
        self._core, self._shard, self._thread = core, shard, thread
        self._lock_path = path.removesuffix(".db") + ".lock"
        self._lock: int | None = None
        self._writer = IndexWriter(path, files)
        self._last_account = 0  # whoever has much mail does not keep the others waiting
        self._version: object = None  # of the store, when there was nothing more to do
        self._to_compare: Iterator[int] = iter(())
        self._compared_at = float("-inf")

    async def prepare(self) -> bool:
        """False: another worker keeps this index, or there is no room for one."""
        if self._lock is None:
            self._lock = try_lock(self._lock_path)
        if self._lock is None or not self._has_room():
            return False
        if await self._call(self._writer.open):
            self._version = None
            await self._drop_strangers()
        return True

    async def run(self) -> bool:
        """True when there is more."""
        if not await self.prepare():
            return False
        version = self._shard.watching.pragma("data_version")
        if version != self._version:
            if await self._index() or await self._take_out_expunged():
                return True
            self._version = version
        return await self._compare()

    def _has_room(self) -> bool:
        return self._core.space is None or self._core.space.has_room()

    async def _call(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: call(*args, **kwargs))

    async def _drop_strangers(self) -> None:
        """Accounts that are not in the store, or that have fewer emails there: it is an older one (a backup)."""
        last = dict(await self._shard.readers.run(_read_accounts))
        for account, email in list(self._writer.progress.items()):
            if email > last.get(account, -1):
                await self._call(self._writer.forget, account)

    async def _index(self) -> bool:
        last = await self._shard.readers.run(_read_accounts)
        progress = self._writer.progress
        work = [
            (account, progress.get(account, 0), email) for account, email in last if email > progress.get(account, 0)
        ]
        if not work:
            return False
        turn = [item for item in work if item[0] > self._last_account] or work
        batch = await self._shard.readers.run(_read_batch, self._shard.folder, turn)
        self._last_account = max(batch.marks)
        await self._call(self._writer.add, batch)
        return True

    async def _take_out_expunged(self) -> bool:
        rows = await self._shard.readers.run(_read_expunged, self._writer.swept)
        if not rows:
            return False
        gone, row, _, _ = rows[-1]
        await self._call(self._writer.take_out, [(account, email) for _, _, account, email in rows], Swept(gone, row))
        await self._call(self._writer.tidy)
        return True

    async def _compare(self) -> bool:
        """One account, now and then: what the list of expunged emails did not tell, because they were erased first."""
        account = next(self._to_compare, None)
        if account is None:
            now = self._core.clock.monotonic()
            if now - self._compared_at >= _COMPARE_S:
                self._compared_at = now
                self._to_compare = iter(list(self._writer.progress))
                return True
            return False
        kept = await self._shard.readers.run(_read_emails_of, account)
        if kept is None:
            await self._call(self._writer.forget, account)
            return True
        indexed = await self._call(self._writer.list_emails, account, -1)
        stale = [(account, email) for email in sorted(set(indexed) - kept)]
        for start in range(0, len(stale), _SWEEP_EMAILS):
            await self._call(self._writer.take_out, stale[start : start + _SWEEP_EMAILS])
        return True

    async def close(self) -> None:
        await self._call(self._writer.close)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


# Reading the store.


def _read_accounts(connection: apsw.Connection) -> list[tuple[int, int]]:
    """Each with its last email id."""
    rows = select_rows(connection, "account, n", "SELECT account, next_email - 1 AS n FROM account ORDER BY account")
    return cast("list[tuple[int, int]]", rows)


def _read_expunged(connection: apsw.Connection, swept: Swept) -> list[tuple[int, int, int, int]]:
    rows = select_rows(
        connection,
        "gone, r, account, email",
        "SELECT gone, rowid AS r, account, email FROM email WHERE (gone, rowid) > (?, ?) AND gone IS NOT NULL"
        " ORDER BY gone, rowid LIMIT ?",
        (swept.gone, swept.row, _SWEEP_EMAILS),
    )
    return cast("list[tuple[int, int, int, int]]", rows)


def _read_emails_of(connection: apsw.Connection, account: int) -> set[int] | None:
    """None: there is no such account."""
    if read_number(connection, "SELECT 1 FROM account WHERE account = ?", (account,)) is None:
        return None
    return set(select_numbers(connection, "SELECT email AS n FROM email WHERE account = ?", (account,)))


def _read_batch(connection: apsw.Connection, folder: str, work: Sequence[Work]) -> Batch:
    """A bounded piece of the work: at least one email."""
    filling = _Filling(connection, folder)
    for account, at, last in work:
        while at < last:
            emails = _list_new(connection, account, at)
            if not filling.add_all(AccountId(account), emails):
                return filling.batch
            at = emails[-1] if len(emails) == _READ_EMAILS else max([last, *emails[-1:]])
            filling.batch.marks[account] = at
    return filling.batch


def _list_new(connection: apsw.Connection, account: int, after: int) -> list[EmailId]:
    found = select_numbers(
        connection,
        "SELECT email AS n FROM email WHERE account = ? AND email > ? AND gone IS NULL ORDER BY email LIMIT ?",
        (account, after, _READ_EMAILS),
    )
    return [EmailId(email) for email in found]


class _Filling:
    """A batch on its way."""

    def __init__(self, connection: apsw.Connection, folder: str) -> None:
        self.batch = Batch()
        self._connection, self._folder = connection, folder
        self._until = time.monotonic() + _READ_S
        self._characters = 0

    @property
    def _is_full(self) -> bool:
        if not self.batch.marks:
            return False
        is_large = len(self.batch.documents) >= _BATCH_EMAILS or self._characters >= _BATCH_CHARACTERS
        return is_large or time.monotonic() >= self._until

    def add_all(self, account: AccountId, emails: Sequence[EmailId]) -> bool:
        """False when it was full before the end."""
        rows = read_emails(self._connection, account, emails, _FIELDS)
        for email in emails:
            if self._is_full:
                return False
            text = self._make_text(account, rows[email])
            if text is None:
                self.batch.unread.append((account, email))
            else:
                self.batch.documents.append((row_of(account, email), text))
                self._characters += len(text)
            self.batch.marks[account] = email
        return True

    def _make_text(self, account: AccountId, row: EmailRow) -> str | None:
        """Everything a search may look at, folded; None: it cannot be indexed."""
        assert row.message is not None
        if row.prefix_size + row.message.header_size > _MAX_HEADER or not can_hold(account, row.email):
            return None
        texts = read_texts(self._connection, account, row, self._folder)
        try:
            found = [texts.text(where) for where in _TEXTS]
        except (SpoolError, StoreRefusal):
            return None
        return clean(SEPARATOR.join(found) + SEPARATOR)
