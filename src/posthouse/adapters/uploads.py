"""Uploads in files: `uploads/<account>/<id>`, of all workers together (ports/uploads.py).

A file is 256 octets with the media type, then what was uploaded; its time of change says when it is over. While it
grows it is `<id>.part`, so that whatever lies here after a crash is whole or will be swept. What an account has here
is what the directory says, each file counted with a block at least; what grows is in it as far as it is written.
Reading it takes 8 us a file, so a worker counts on from what it read last for a second or more, and reads again before
it refuses anything: what other workers take meanwhile may go beyond the limit. Nothing is synced: it is never the only
copy of mail.

Names of files are ids of ours: what a client sends is looked at before it becomes a path.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.disk import Disk, FreeSpace
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.spool import SpoolError, SpoolFull
from posthouse.ports.store_errors import StoreError
from posthouse.ports.uploads import LIFETIME_S, MAX_OCTETS, TooManyUploads, Upload

_HEAD = 256
_LEAST = 4096  # what a file counts at least
_ID = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_PART = ".part"
_LOOK_OCTETS = 4 << 20
_COUNTED_S = 1.0
_TIMES_COST = 20  # a count is good for at least so many times as long as it took
_MAX_COUNTS = 10_000
NO_SPACE = Space(0, 0)
P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Count:
    """Octets that lie in a folder."""

    lying: int
    until: float


class FileUploads:
    """`directory` is there. `make_token` gives letters and digits that nobody guesses."""

    def __init__(
        self,
        directory: str,
        disk: Disk,
        clock: Clock,
        make_token: Callable[[], str],
        *,
        max_octets: int = MAX_OCTETS,
        min_free: Space = NO_SPACE,
    ) -> None:
        self._directory, self._make_token, self.clock = directory, make_token, clock
        self.disk, self.max_octets = disk, max_octets
        self._free = FreeSpace(disk.files, directory, min_free, clock)
        self._counts: dict[str, _Count] = {}  # of steps in several threads: one operation of a dict at a time

    def begin(self, account: AccountId, media_type: str) -> FileWriter:
        folder = f"{self._directory}/{account}"
        if not self._free.has_room():
            raise TooManyUploads("the disk is nearly full")
        return FileWriter(self, folder, self._make_token(), media_type)

    def room(self, folder: str, wanted: int = 0) -> int:
        """Octets that the account may still put here. Below `wanted` only when the directory says so now."""
        now, count = self.clock.monotonic(), self._counts.get(folder)
        if count is None or count.until <= now or self.max_octets - count.lying < wanted:
            lying = self.count_octets(folder)
            took = self.clock.monotonic() - now
            if len(self._counts) >= _MAX_COUNTS:
                self._counts.clear()
            count = self._counts[folder] = _Count(lying, now + max(_COUNTED_S, _TIMES_COST * took))
        return self.max_octets - count.lying

    def count_octets(self, folder: str) -> int:
        lying = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # swept in this moment
                    lying += max(entry.stat().st_size, _LEAST)
        return lying

    def note_growth(self, folder: str, octets: int) -> None:
        count = self._counts.get(folder)
        if count is not None:
            count.lying += octets

    async def find(self, account: AccountId, upload: str) -> Upload | None:
        if not _ID.fullmatch(upload):
            return None
        return await self._run(self._find, f"{self._directory}/{account}/{upload}", upload)

    def _find(self, path: str, upload: str) -> Upload | None:
        try:
            facts = os.stat(path)
            head = self.disk.files.read(path, 0, _HEAD)
        except FileNotFoundError:
            return None
        expires = facts.st_mtime + LIFETIME_S
        if expires <= self.clock.now() or len(head) < _HEAD:
            return None
        return Upload(upload, facts.st_size - _HEAD, head.decode("ascii").rstrip(), expires)

    async def read(self, account: AccountId, upload: str, offset: int = 0, length: int | None = None) -> bytes | None:
        found = await self.find(account, upload)
        if found is None:
            return None
        wanted = max(0, found.size - offset)
        wanted = wanted if length is None else min(wanted, length)
        return await self._run(self._read, f"{self._directory}/{account}/{upload}", offset + _HEAD, wanted)

    def _read(self, path: str, offset: int, length: int) -> bytes | None:
        try:
            return self.disk.files.read(path, offset, length)
        except FileNotFoundError:
            return None

    async def sweep(self) -> None:
        await self._run(self._sweep)

    def _sweep(self) -> None:
        """Several workers may do it at once: what is gone already is passed over."""
        over = self.clock.now() - LIFETIME_S
        with os.scandir(self._directory) as folders:
            for folder in [entry.path for entry in folders if entry.is_dir(follow_symlinks=False)]:
                _sweep_folder(folder, over)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Raises StoreError."""
        try:
            return await self.disk.run(call, *args, **kwargs)
        except SpoolError as error:
            raise StoreError(str(error)) from error


def _sweep_folder(folder: str, over: float) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime <= over:
                    os.unlink(entry.path)
    with contextlib.suppress(OSError):  # it is not empty
        os.rmdir(folder)


def _weigh(size: int) -> int:
    """What a file of so many octets counts."""
    return max(_HEAD + size, _LEAST)


class FileWriter:
    """`room` is looked at again with every few pieces, as others may be writing, too.

    Who uploads may go while a thread still writes, and another thread discards: one step at a time has the file, or a
    descriptor could be closed, and given to another file, in the midst of a write.
    """

    def __init__(self, uploads: FileUploads, folder: str, token: str, media_type: str) -> None:
        self._uploads, self._folder, self._token, self._type = uploads, folder, token, media_type
        self._path = f"{folder}/{token}{_PART}"
        self._descriptor: int | None = None
        self._step = threading.Lock()
        self._is_over = False
        self._size = 0
        self._allowed = 0  # octets until the next look at what the account has

    async def write(self, piece: bytes) -> None:
        await self._run(self._write, piece)

    def _write(self, piece: bytes) -> None:
        descriptor = self._open()
        self._uploads.disk.files.write(descriptor, [piece])
        before, self._size = self._size, self._size + len(piece)
        self._uploads.note_growth(self._folder, _weigh(self._size) - _weigh(before))
        if self._size > self._allowed:
            room = self._uploads.room(self._folder)
            if room < 0:
                raise TooManyUploads("there is too much of this account here")
            self._allowed = self._size + min(room, _LOOK_OCTETS)

    def _open(self) -> int:
        if self._is_over:
            raise StoreError("the upload was given up")
        return self._descriptor if self._descriptor is not None else self._create()

    def _create(self) -> int:
        if self._uploads.room(self._folder, _LEAST) < _LEAST:
            raise TooManyUploads("there is too much of this account here")
        files = self._uploads.disk.files
        while self._descriptor is None:
            with contextlib.suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
            with contextlib.suppress(FileNotFoundError):  # swept in this moment
                self._descriptor = files.create(self._path)
        self._uploads.note_growth(self._folder, _LEAST)
        files.write(self._descriptor, [self._type.encode("ascii", "replace")[:_HEAD].ljust(_HEAD)])
        return self._descriptor

    async def finish(self) -> Upload:
        return await self._run(self._finish)

    def _finish(self) -> Upload:
        files, now = self._uploads.disk.files, self._uploads.clock.now()
        descriptor, self._descriptor = self._open(), None
        files.close(descriptor)
        os.utime(self._path, (now, now))
        files.rename(self._path, f"{self._folder}/{self._token}")
        return Upload(self._token, self._size, self._type, now + LIFETIME_S)

    def discard(self) -> None:
        """May be called after `finish`, too, which it does not undo."""
        self._uploads.disk.forget(self._discard)

    def _discard(self) -> None:
        with self._step:
            self._is_over = True
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                self._uploads.disk.files.close(descriptor)
                self._uploads.disk.files.unlink(self._path)

    async def _run(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """A full disk is as an account that is full. Raises TooManyUploads, StoreError."""

        def take_step() -> T:
            with self._step:
                return call(*args, **kwargs)

        try:
            return await self._uploads.disk.run(take_step)
        except SpoolFull as error:
            raise TooManyUploads(str(error)) from error
        except SpoolError as error:
            raise StoreError(str(error)) from error
