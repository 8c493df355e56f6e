"""Bodies that are too large for the database, the thread pool that waits for the disk, and how much of it is left.

A body lies in `tmp/` until `accept` moves it to `bodies/` (docs/internals.md, states T1 to L2). Nothing here runs
file operations on the event loop's thread but `discard` and the check of free space.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Executor
from typing import ParamSpec, TypeVar

from posthouse.adapters.files import FULL_ERRNOS, Files, Space
from posthouse.ports.clock import Clock
from posthouse.ports.spool import Body, SpoolError, SpoolFull

P = ParamSpec("P")
T = TypeVar("T")

TMP, BODIES = "tmp", "bodies"
_WRITE_OCTETS = 256 * 1024  # how much is gathered before a thread is asked to write it
_SPACE_KEPT_S = 1.0


class Disk:
    """File operations of a shard, in threads; OSError becomes SpoolError."""

    def __init__(self, files: Files, executor: Executor) -> None:
        self.files = files
        self._executor = executor

    def start(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Runs to its end whoever stops waiting."""
        return asyncio.get_running_loop().run_in_executor(self._executor, lambda: call(*args, **kwargs))

    async def run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await wait_for_disk(self.start(call, *args, **kwargs))

    def forget(self, call: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Nobody waits for it; when the pool is closed already it is left to the next start."""
        with contextlib.suppress(RuntimeError):
            self._executor.submit(call, *args, **kwargs)


async def wait_for_disk(job: asyncio.Future[T]) -> T:
    try:
        return await asyncio.shield(job)
    except OSError as error:
        raise as_spool_error(error) from error


def as_spool_error(error: OSError) -> SpoolError:
    kind = SpoolFull if error.errno in FULL_ERRNOS else SpoolError
    return kind(str(error))


class FreeSpace:
    """Says whether there is room for new mail; asks the file system at most once a second."""

    def __init__(self, files: Files, path: str, least: Space, clock: Clock) -> None:
        self._files, self._path, self._least, self._clock = files, path, least, clock
        self._asked_at = float("-inf")
        self._has_room = True

    def has_room(self) -> bool:
        now = self._clock.monotonic()
        if now - self._asked_at >= _SPACE_KEPT_S:
            self._asked_at = now
            try:
                space = self._files.space(self._path)
            except OSError:
                self._has_room = False
            else:
                self._has_room = space.octets >= self._least.octets and space.inodes >= self._least.inodes
        return self._has_room

    def note_full(self) -> None:
        """A write said that the disk is full: no new mail until the next look."""
        self._has_room = False
        self._asked_at = self._clock.monotonic()


class FileBody:
    """A body in a file; `path` moves once, from `tmp/` to `bodies/`."""

    __slots__ = ("_disk", "_size", "path")

    def __init__(self, disk: Disk, path: str, size: int) -> None:
        self._disk, self.path, self._size = disk, path, size

    @property
    def size(self) -> int:
        return self._size

    @property
    def inline(self) -> bytes | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        data = await self._disk.run(self._disk.files.read, self.path, offset, length)
        if len(data) < min(length, self._size - offset):
            raise SpoolError(f"{self.path}: body is shorter than it was")
        return data


class FileBodyWriter:
    """Gathers pieces and writes them in a thread; a body that fits one piece costs one hand-over in all."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk, self._path = disk, path
        self._pieces: list[bytes] = []
        self._gathered = 0
        self._size = 0
        self._descriptor = -1
        self._is_busy = False
        self._is_discarded = False

    @property
    def size(self) -> int:
        return self._size

    async def write(self, data: bytes) -> None:
        if self._is_discarded:
            raise SpoolError("body was discarded")
        self._pieces.append(data)
        self._gathered += len(data)
        self._size += len(data)
        if self._gathered >= _WRITE_OCTETS:
            await self._run(self._write_pieces)

    async def finish(self) -> Body:
        if self._is_discarded:
            raise SpoolError("body was discarded")
        await self._run(self._write_and_sync)
        return FileBody(self._disk, self._path, self._size)

    async def _run(self, step: Callable[[], None]) -> None:
        self._is_busy = True
        job = self._disk.start(step)
        job.add_done_callback(self._note_end)
        await wait_for_disk(job)

    def _note_end(self, job: asyncio.Future[None]) -> None:
        """Runs also when the session that waited is gone and has asked to discard."""
        self._is_busy = False
        if job.exception() is not None:
            self._is_discarded = True
        if self._is_discarded:
            self._disk.forget(self._remove)

    def _write_pieces(self) -> None:
        files = self._disk.files
        if self._descriptor < 0:
            self._descriptor = files.create(self._path)
        pieces, self._pieces, self._gathered = self._pieces, [], 0
        files.write(self._descriptor, pieces)

    def _write_and_sync(self) -> None:
        self._write_pieces()
        self._disk.files.sync(self._descriptor)
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            self._disk.files.close(descriptor)

    def discard(self) -> None:
        if self._is_discarded:
            return
        self._is_discarded = True
        self._pieces = []
        if not self._is_busy:
            self._disk.forget(self._remove)

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # start-up empties tmp/
            self._close()
            self._disk.files.unlink(self._path)
