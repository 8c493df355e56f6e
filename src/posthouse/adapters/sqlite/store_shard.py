"""One shard of the store: opening it from any state of docs/internals.md, its writer and its readers.

Several processes have it open at once. Guarantees: what `write` returns from is on disk; a read sees one moment and
holds nothing when it has returned. A shard whose disk has failed is read, not written, until all have closed it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Concatenate, ParamSpec, TypeVar

import apsw

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, open_existing, open_reader, roll_back
from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.sqlite.store_add import Adder
from posthouse.adapters.sqlite.store_bodies import BodyShelf
from posthouse.adapters.sqlite.store_gate import ShardGate
from posthouse.adapters.sqlite.store_works import StoreJob, StoreScribe, StoreWork, Tell, Unit
from posthouse.adapters.sqlite.writer import Alarms, Failures, Sharing, Writer, WriterLimits
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.spool import SpoolError
from posthouse.ports.store import StoreBroken, StoreError, StoreFull, StoreRefusal

P = ParamSpec("P")
T = TypeVar("T")

_READERS = 2  # per shard and process: a long search is not in the way of a look
_FAILURES = Failures(StoreError, StoreFull, StoreBroken, (StoreError, StoreRefusal))


class Readers:
    """Connections that only read; each call is one read transaction in a thread."""

    def __init__(self, connections: list[apsw.Connection], name: str) -> None:
        self._free = deque(connections)
        self._executor = ThreadPoolExecutor(len(connections), name)
        self._started: dict[int, float] = {}

    @property
    def oldest_s(self) -> float:
        """How long the longest read has been going on."""
        started = list(self._started.values())
        return time.monotonic() - min(started) if started else 0.0

    async def run(self, call: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: self._read(call, *args, **kwargs))

    def _read(self, call: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        connection = self._free.pop()  # as many threads as connections
        thread = threading.get_ident()
        self._started[thread] = time.monotonic()
        try:
            connection.execute("BEGIN")
            return call(connection, *args, **kwargs)
        except (apsw.Error, SpoolError) as error:
            raise StoreError(f"cannot read: {error}") from error
        finally:
            with contextlib.suppress(apsw.Error):
                roll_back(connection)
            del self._started[thread]
            self._free.append(connection)

    def close(self) -> None:
        self._executor.shutdown()
        for connection in self._free:
            connection.close()


class OpenFiles:
    """What `open_files` hands over: everything open, nothing running."""

    __slots__ = ("connection", "folder", "gate", "path", "reading", "watching")

    def __init__(self, path: str, gate: ShardGate, files: Files) -> None:
        self.path = path
        self.gate = gate
        self.folder = f"{path}.bodies"
        self.connection = open_database(f"{path}.db", "store", vfs=files.vfs)
        self.reading = [open_reader(f"{path}.db", vfs=files.vfs) for _ in range(_READERS)]
        self.watching = open_reader(f"{path}.db", vfs=files.vfs, cache_kib=512)


def open_files(directory: str, number: int, files: Files) -> OpenFiles:
    """Raises DatabaseRefused."""
    path = f"{directory}/{number}"
    gate = ShardGate(path)
    gate.lock()
    try:
        is_first = gate.is_first()
        if is_first:
            _start_up(path, gate, files)
        gate.share()
        return OpenFiles(path, gate, files)
    except BaseException:
        gate.close()
        raise
    finally:
        with contextlib.suppress(OSError, ValueError):
            gate.release()


def _start_up(path: str, gate: ShardGate, files: Files) -> None:
    """Nobody else has it open, and nobody can open it meanwhile."""
    gate.set_watched(0.0)  # by the clock of an earlier boot
    for name in ("tmp", "bodies"):
        files.make_directory(f"{path}.{name}")
    for name in os.listdir(f"{path}.tmp"):
        files.unlink(f"{path}.tmp/{name}")
    try:
        if gate.is_suspect or os.path.exists(f"{path}.copied"):
            _replace_suspect(path, files)
            gate.set_suspect(is_suspect=False)
    except apsw.Error as error:
        raise DatabaseRefused(f"{path}.db: {error}") from error
    _remove_database(files, f"{path}.fresh")


def _replace_suspect(path: str, files: Files) -> None:
    """The live rows into a new file, which takes the old one's name when nothing of that one is left."""
    database, fresh, copied = f"{path}.db", f"{path}.fresh", f"{path}.copied"
    if not os.path.exists(copied):
        if not os.path.exists(database):
            return
        _remove_database(files, fresh)
        connection = open_existing(database, vfs=files.vfs)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("PRAGMA query_only = OFF")  # it refuses VACUUM INTO another file as well
            connection.execute("VACUUM INTO ?", (fresh,))
        finally:
            connection.close()
        _check_integrity(fresh, files)
        files.sync_file(fresh)  # SQLite does not
        files.rename(fresh, copied)
        files.sync_directory(os.path.dirname(path))
    _remove_database(files, database)  # its WAL must never meet the new file
    files.rename(copied, database)
    files.sync_directory(os.path.dirname(path))


def _check_integrity(path: str, files: Files) -> None:
    connection = open_existing(path, vfs=files.vfs)
    try:
        said = connection.execute("PRAGMA integrity_check(1)").get
    finally:
        connection.close()
    if said != "ok":
        raise DatabaseRefused(f"{path}: copy of a suspect database is damaged: {said}")


def _remove_database(files: Files, path: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        files.unlink(path + suffix)


class Shard:
    """`tell` is called on the event loop with what a commit changed, `on_full` when a write met a full disk."""

    def __init__(
        self,
        opened: OpenFiles,
        disk: Disk,
        clock: Clock,
        limits: WriterLimits,
        tell: Tell,
        on_full: Callable[[], None],
    ) -> None:
        self.path = opened.path
        self.gate = opened.gate
        self.shelf = BodyShelf(disk.files, opened.folder)
        self.adder = Adder(self.shelf)
        self.readers = Readers(opened.reading, f"read {os.path.basename(opened.path)}")
        self.watching = opened.watching  # used on the event loop's thread: looks of some microseconds
        self._writer: Writer[StoreWork] = Writer(
            opened.connection,
            f"{opened.path}.db",
            StoreScribe(clock, self.adder.add_all, tell),
            limits,
            Alarms(self.gate.set_suspect, on_full),
            sharing=Sharing(self.gate, _FAILURES),
        )

    @property
    def folder(self) -> str:
        return self.shelf.folder

    @property
    def is_broken(self) -> bool:
        return self._writer.is_broken or self.gate.is_suspect

    @property
    def has_snapshot(self) -> bool:
        """One from before an upgrade: bodies stay while it exists."""
        prefix = f"{os.path.basename(self.path)}.db.before-"
        return any(name.startswith(prefix) for name in os.listdir(os.path.dirname(self.path)))

    def has_room(self) -> bool:
        return self._writer.has_room()

    def look(self, call: Callable[[apsw.Connection], T]) -> T:
        """`call(connection)` in a read transaction, here and now."""
        try:
            self.watching.execute("BEGIN")
            return call(self.watching)
        except apsw.Error as error:
            raise StoreError(f"cannot read: {error}") from error
        finally:
            with contextlib.suppress(apsw.Error):
                roll_back(self.watching)

    def submit(self, work: StoreWork) -> None:
        self._writer.submit(work)

    def write(self, account: AccountId | None, call: Callable[[Unit], T], *, undoes: bool = True) -> asyncio.Future[T]:
        """In a commit with whatever else waits. Refusals of `call` undo only it; not `undoes`: there is nothing to undo
        then, and it does not look at rows that the book writes last (counters, `change`).
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._writer.submit(StoreJob(future, account, call, undoes=undoes))
        return future

    def figures(self) -> dict[str, float]:
        own = {"oldest_reader_seconds": self.readers.oldest_s, "broken": float(self.is_broken)}
        return self._writer.describe() | own

    async def close(self) -> None:
        """The writer last: whoever closes a database last is to empty the WAL, and readers cannot."""
        loop: Any = asyncio.get_running_loop()
        await loop.run_in_executor(None, self.readers.close)
        self.watching.close()
        await self._writer.close()
        self.gate.close()
