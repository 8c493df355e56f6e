"""The system calls that make files durable, and which of them a file system can be trusted with.

`syncfs` makes everything written to a file system durable at once: for a batch of small files it costs one
journal commit, where `fsync` of each costs one per file (measurements in docs/decisions/maildir.md). It is only
used where it reports errors and waits for the disk: Linux from 5.17 on (before that the error of the journal was
dropped), ext4 and xfs. Errors are reported once per open descriptor, so each thread needs one of its own.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from functools import lru_cache

_TRUSTED_TYPES = frozenset({"ext4", "xfs"})
_MINIMUM_KERNEL = (5, 17)


def _bind_syncfs() -> Callable[[int], int] | None:
    function = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if function is None:
        return None
    function.argtypes = [ctypes.c_int]
    function.restype = ctypes.c_int

    def call(fd: int) -> int:
        return int(function(fd))

    return call


class FileCalls:
    """The calls that can fail for reasons of the disk; tests hand in ones that do."""

    def __init__(self) -> None:
        self._syncfs = _bind_syncfs()

    def write(self, fd: int, data: bytes) -> None:
        """All of it."""
        done = os.write(fd, data)
        while done < len(data):
            done += os.write(fd, memoryview(data)[done:])

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def rename(self, source: str, target: str, source_fd: int, target_fd: int) -> None:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)

    def syncfs(self, fd: int) -> None:
        if self._syncfs is None or self._syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))

    def can_syncfs(self, device: int) -> bool:
        """Whether `syncfs` may stand for `fsync` on this device (`st_dev`)."""
        return self._syncfs is not None and _kernel_version() >= _MINIMUM_KERNEL and _type_of(device) in _TRUSTED_TYPES


def _kernel_version() -> tuple[int, int]:
    system = os.uname()
    found = re.match(r"(\d+)\.(\d+)", system.release)
    return (int(found[1]), int(found[2])) if found is not None and system.sysname == "Linux" else (0, 0)


@lru_cache(maxsize=64)
def _type_of(device: int) -> str:
    """The type of the mounted file system with this device number, "" when it is not known (proc(5), mountinfo)."""
    wanted = f"{os.major(device)}:{os.minor(device)}"
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                left, _, right = line.partition(" - ")
                if left.split()[2] == wanted:
                    return right.split()[0]
    except (OSError, IndexError):
        return ""
    return ""
