"""Which shards of the spool a process owns: taking, adopting, releasing and removing them.

A shard belongs to whoever holds the lock of its `lock` file, never to a worker number. docs/internals.md "A shard" has
the states and the moves; this module makes them. Trusts the directory to be ours alone (0700). After a crash the next
owner finds one of these states and goes on from it.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import apsw

from posthouse.adapters.files import Files, hold_lock, try_lock, write_durably
from posthouse.adapters.sqlite.changes import count_crashes
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, open_reader
from posthouse.adapters.sqlite.disk import BODIES, TMP, Disk
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.spool import OpenShard, SpoolOptions, SqliteSpool
from posthouse.message.ids import MAX_SHARD, ShardNumber
from posthouse.ports.clock import Clock
from posthouse.ports.spool import SpoolError

_DATABASE = re.compile(r"spool-(\d+)\.db")
_DISK_THREADS = 4
_REFUSED_FOR_S = 60.0  # looking again at a shard that could not be opened may mean copying it
# When the clock is behind the last serial: skip what may have been shown without being stored.
_UNSTORED_SERIALS = 60_000_000


class ShardPool:
    """All shards below `directory`, as one process sees them. `refused` says which could not be opened, and why."""

    def __init__(
        self,
        directory: str,
        clock: Clock,
        files: Files | None = None,
        options: SpoolOptions | None = None,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._files = files or Files()
        self._options = options or SpoolOptions()
        self._executor = ThreadPoolExecutor(_DISK_THREADS, "spool disk")
        self._disk = Disk(self._files, self._executor)
        self._owned: dict[int, SqliteSpool] = {}
        self._retry_at: dict[int, float] = {}
        self.refused: dict[int, str] = {}
        self.may_remove: Callable[[ShardNumber], Awaitable[bool]] = _is_free  # asked while its lock is held

    @property
    def owned(self) -> list[SqliteSpool]:
        return [spool for spool in self._owned.values() if not spool.is_closed]

    async def take_free_shard(self) -> SqliteSpool:
        """The first shard without an owner, else a new one. Raises SpoolError when there is no way."""
        existing = await self._disk.run(list_shards, self._directory)
        fresh = (number for number in range(MAX_SHARD + 1) if number not in set(existing))
        for numbers in (existing, fresh):
            for number in numbers:
                spool = await self._try_open(number)
                if spool is not None:
                    return spool
                if numbers is fresh and number in self.refused:
                    raise SpoolError(self.refused[number])
        raise SpoolError(f"{self._directory}: no free shard")

    async def adopt_orphans(self) -> list[SqliteSpool]:
        """Shards that lost their owner and hold mail; empty ones are removed. To be called every second."""
        adopted: list[SqliteSpool] = []
        for number in await self._disk.run(list_shards, self._directory):
            if self._clock.monotonic() < self._retry_at.get(number, 0.0):
                continue
            spool = await self._try_open(number)
            if spool is not None and not await self.remove_if_empty(spool):
                adopted.append(spool)
        return adopted

    async def _try_open(self, number: int) -> SqliteSpool | None:
        if number in self._owned and not self._owned[number].is_closed:
            return None
        try:
            opened = await self._disk.run(self._open, ShardNumber(number))
        except SpoolError as error:
            self.refused[number] = str(error)
            self._retry_at[number] = self._clock.monotonic() + _REFUSED_FOR_S
            return None
        self.refused.pop(number, None)
        if opened is None:
            return None
        spool = self._owned[number] = SqliteSpool(opened, self._disk, self._clock, self._options)
        return spool

    def _open(self, number: ShardNumber) -> OpenShard | None:
        path = f"{self._directory}/{number}"
        self._files.make_directory(path)
        try:
            lock = try_lock(f"{path}/lock")
        except FileNotFoundError:  # removed a moment ago
            return None
        if lock is None:
            return None
        try:
            serials = int(self._clock.now() * 1e6), read_high(self._directory)
            return open_shard(number, path, lock, self._files, *serials)
        except (apsw.Error, DatabaseRefused) as error:
            os.close(lock)
            raise SpoolError(str(error)) from error
        except BaseException:
            os.close(lock)
            raise

    async def remove_if_empty(self, spool: SqliteSpool) -> bool:
        """A surplus shard. False when it is not empty; then it is as it was."""
        if not await self.may_remove(spool.shard) or not await spool.try_retire():
            return False
        await spool.close_but_lock()
        await self._disk.run(self._remove, spool)
        return True

    def _remove(self, spool: SqliteSpool) -> None:
        with contextlib.closing(_Descriptor(spool.lock)), hold_lock(f"{self._directory}/lock"):
            raise_high(self._files, self._directory, spool.last_serial)
            remove_shard(self._files, spool.path)

    def close(self) -> None:
        """After the spools. Waits for the last unlinks."""
        self._executor.shutdown()


async def _is_free(shard: ShardNumber) -> bool:
    """Nothing outside the spool names the shard."""
    return True


class _Descriptor:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        os.close(self._descriptor)


def list_shards(directory: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(name) for name in os.listdir(directory) if name.isdigit() and int(name) <= MAX_SHARD)
    return []


def open_shard(number: ShardNumber, path: str, lock: int, files: Files, now_serial: int, high: int) -> OpenShard:
    """Adoption: from any state of docs/internals.md to one that can be worked with. The caller holds the lock."""
    for name in (TMP, BODIES):
        files.make_directory(f"{path}/{name}")
    for name in os.listdir(f"{path}/{TMP}"):
        files.unlink(f"{path}/{TMP}/{name}")
    with contextlib.ExitStack() as undo:
        in_hand = InHand(f"{path}/inhand")
        undo.callback(in_hand.close)
        database_path = choose_database(files, path)
        if in_hand.is_suspect:
            database_path = copy_database(files, path, database_path)
            in_hand.set_suspect(False)
        connection = open_database(database_path, "spool", vfs=files.vfs)
        undo.callback(connection.close)
        in_hand.start_epoch(count_crashes(connection, in_hand.serials, in_hand.epoch))
        reading = open_reader(database_path, vfs=files.vfs)
        undo.pop_all()
    last = max(high, _last_stored(connection))
    last = now_serial if now_serial > last else last + _UNSTORED_SERIALS
    return OpenShard(number, path, database_path, lock, connection, reading, in_hand, last)


def _last_stored(connection: apsw.Connection) -> int:
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'message'").get
    return int(found) if isinstance(found, int) else 0


def list_databases(path: str) -> Iterator[tuple[int, str]]:
    """Generations and paths."""
    for name in os.listdir(path):
        match = _DATABASE.fullmatch(name)
        if match is not None:
            yield int(match[1]), f"{path}/{name}"


def choose_database(files: Files, path: str) -> str:
    """The database that counts. What a copy left over is removed (states S5, S6)."""
    _remove_database(files, f"{path}/fresh.db")
    found = sorted(list_databases(path))
    if not found:
        return f"{path}/spool-1.db"
    for _, older in found[:-1]:
        _remove_database(files, older)
    return found[-1][1]


def _remove_database(files: Files, path: str) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        files.unlink(path + suffix)


def copy_database(files: Files, path: str, suspect_path: str) -> str:
    """The live rows of a suspect database into a new one (state S4). Returns its name."""
    generation = max(generation for generation, _ in list_databases(path)) if os.path.exists(suspect_path) else 0
    fresh, target = f"{path}/fresh.db", f"{path}/spool-{generation + 1}.db"
    if generation:
        connection = open_database(suspect_path, "spool", vfs=files.vfs)
        try:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.execute("VACUUM INTO ?", (fresh,))
        finally:
            connection.close()
        files.sync_file(fresh)  # SQLite does not
        files.rename(fresh, target)
        files.sync_directory(path)
        _remove_database(files, suspect_path)
    return target


def read_high(directory: str) -> int:
    """The highest serial that any removed shard has used."""
    with contextlib.suppress(FileNotFoundError, ValueError), open(f"{directory}/high", encoding="ascii") as stream:
        return int(stream.read())
    return 0


def raise_high(files: Files, directory: str, serial: int) -> None:
    if serial > read_high(directory):
        write_durably(files, f"{directory}/high", f"{serial}\n".encode())


def remove_shard(files: Files, path: str) -> None:
    """Everything in it, the lock last, under the lock. A stranger's file makes it stay."""
    for _, database in list(list_databases(path)):
        _remove_database(files, database)
    for name in (TMP, BODIES):
        for entry in os.listdir(f"{path}/{name}"):
            files.unlink(f"{path}/{name}/{entry}")
        os.rmdir(f"{path}/{name}")
    files.unlink(f"{path}/inhand")
    files.unlink(f"{path}/lock")
    with contextlib.suppress(OSError):
        os.rmdir(path)
