"""The disk as the spool and the Maildirs use it: every call that makes something durable goes through one object.

It is a constructor argument of whatever writes. Faults (a full disk, a failing fsync, a kill after the third rename)
are injected by giving in a subclass, and for SQLite's own files by naming another VFS in `vfs`.

Guarantees: what `sync` and `sync_directory` return from has been accepted by the disk. Raises OSError, nothing else.
Does not retry: a failed fsync is the caller's to act on (docs/internals.md "Suspect").
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FULL_ERRNOS = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Space:
    """What an unprivileged process may still use."""

    octets: int
    inodes: int


class Files:
    """The real disk. `vfs` is the name of the SQLite VFS that goes with it, "" for the default."""

    vfs = ""

    def create(self, path: str) -> int:
        """A new file, 0600, for writing; FileExistsError when the name is taken."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, descriptor: int, pieces: Sequence[bytes]) -> None:
        """All of it, however many calls that takes."""
        written = os.writev(descriptor, pieces) if len(pieces) <= 1000 else 0
        if written == sum(map(len, pieces)):
            return
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def sync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        """Remove a file; it may be gone already."""
        try:
            os.unlink(path)
        except FileNotFoundError:
            return

    def sync_file(self, path: str) -> None:
        """Of a file that somebody else wrote and closed."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: str) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def make_directory(self, path: str) -> bool:
        """Make it, 0700, and sync its parent; False when it was there."""
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            return False
        self.sync_directory(os.path.dirname(path))
        return True

    def read(self, path: str, offset: int, length: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, length, offset)
        finally:
            os.close(descriptor)

    def space(self, path: str) -> Space:
        found = os.statvfs(path)
        return Space(found.f_bavail * found.f_frsize, found.f_favail if found.f_files else 1 << 62)


def write_durably(files: Files, path: str, data: bytes) -> None:
    """Replace a small file as a whole: after a crash there is the old one or the new one."""
    fresh = path + ".new"
    files.unlink(fresh)
    descriptor = files.create(fresh)
    try:
        files.write(descriptor, [data])
        files.sync(descriptor)
    finally:
        files.close(descriptor)
    files.rename(fresh, path)
    files.sync_directory(os.path.dirname(path))


def try_lock(path: str) -> int | None:
    """Lock a file without waiting; None when somebody has it. The lock goes with the descriptor.

    flock, because POSIX locks of a process vanish when any descriptor of the file is closed. If the file was removed
    by its last owner while we were opening it, a new one is made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == os.stat(path).st_ino:
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            os.close(descriptor)
            continue
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def hold_lock(path: str) -> Iterator[None]:
    """Wait for a lock that is never held for long."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
