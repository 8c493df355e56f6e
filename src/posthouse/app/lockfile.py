"""The lock of a data directory: one server, or one command that works on its files, at a time.

The lock is the kernel's (flock) and goes with the last process that has it open; what stands in the file only
names the holder to people. A server's children inherit it: when a supervisor was killed, the next server waits
until the rest of the old one is gone.
"""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass

_WAIT_STEP_S = 0.05


class LockHeldError(Exception):
    """`holder` is what the holder wrote: "posthouse serve, process 4711"."""

    def __init__(self, path: str, holder: str) -> None:
        super().__init__(f"{path} is held by {holder}")
        self.holder = holder


@dataclass(slots=True)
class DataLock:
    descriptor: int

    def release(self) -> None:
        os.close(self.descriptor)


def take_lock(path: str, what: str, leftover_wait_s: float = 0.0) -> DataLock:
    """Raises LockHeldError. When the holder named in the file is dead, its children get `leftover_wait_s` to end."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + leftover_wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            pid, holder = _read_holder(descriptor)
            if _is_alive(pid) or time.monotonic() >= deadline:
                os.close(descriptor)
                raise LockHeldError(path, holder) from None
            time.sleep(_WAIT_STEP_S)
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()} {what}\n".encode(), 0)
    return DataLock(descriptor)


def _read_holder(descriptor: int) -> tuple[int, str]:
    pid, _, what = os.pread(descriptor, 200, 0).decode(errors="replace").strip().partition(" ")
    if not pid.isdigit():
        return 0, "another process"
    return int(pid), f"{what or 'a process'}, process {pid}"


def _is_alive(pid: int) -> bool:
    if pid <= 0:
        return True  # just taken, not yet written
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
