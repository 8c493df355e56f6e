"""Who may write a shard of the store, now: a lock that all processes wait for in the kernel.

The lock file is mapped and carries the shard's suspect flag: setting it needs no working disk, and every process sees
it before its next transaction (docs/internals.md "Store", "Suspect"). The same page says until when somebody waits for
changes, so that hints are sent only when somebody is there to hear them. A second file tells who has the shard open.
flock, because POSIX locks of a process vanish when any descriptor of the file is closed. A killed process frees both.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from posthouse.ports.store import StoreBroken

_OCTETS = 4096
_SUSPECT = 8  # offset of the flag
_WATCHED = 16  # offset of a time
_TIME = struct.Struct("<d")


def _open(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def is_marked_suspect(path: str) -> bool:
    """Whether the shard's disk has failed, for who only looks."""
    try:
        with open(f"{path}.lock", "rb") as stream:
            return any(stream.read(_OCTETS)[_SUSPECT : _SUSPECT + 1])
    except FileNotFoundError:
        return False


class ShardGate:
    """`path` is the shard's without a suffix. The gate is a `writer.Gate`; closed by `close`."""

    def __init__(self, path: str) -> None:
        self._lock = _open(f"{path}.lock")
        self._users = _open(f"{path}.open")
        if os.fstat(self._lock).st_size < _OCTETS:
            os.pwrite(self._lock, bytes(_OCTETS), 0)  # written, not sparse: no SIGBUS on a full disk
        self._mapped = mmap.mmap(self._lock, _OCTETS)

    @property
    def is_suspect(self) -> bool:
        return self._mapped[_SUSPECT] != 0

    def set_suspect(self, *, is_suspect: bool = True) -> None:
        self._mapped[_SUSPECT] = int(is_suspect)

    @property
    def watched_until(self) -> float:
        """By the monotonic clock, which processes share. Not kept up to date by one that was killed: it passes."""
        until: float = _TIME.unpack_from(self._mapped, _WATCHED)[0]
        return until

    def set_watched(self, until: float) -> None:
        _TIME.pack_into(self._mapped, _WATCHED, until)

    def acquire(self) -> None:
        self.lock()
        if self.is_suspect:
            self.release()
            raise StoreBroken("disk failed")

    def lock(self) -> None:
        """Suspect or not: for opening."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)

    def is_first(self) -> bool:
        """Nobody else has the shard open. Call it under the lock, and `share` before releasing that."""
        try:
            fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def share(self) -> None:
        fcntl.flock(self._users, fcntl.LOCK_SH)

    def close(self) -> None:
        self._mapped.close()
        os.close(self._users)
        os.close(self._lock)
