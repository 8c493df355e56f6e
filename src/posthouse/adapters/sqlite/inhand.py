"""Which messages a worker has in hand, written where a killed worker leaves it: a mapped file of 8-octet slots.

Survives a kill (the kernel has the pages), not a power cut, and needs no system call per message. The header also
carries the suspect flag: setting it needs no working disk. docs/internals.md "In hand", "Suspect".

    slot 0   magic            slot 1   epoch            slot 2   suspect            slot 3...   serials, 0 is free
"""

from __future__ import annotations

import mmap
import os

_MAGIC = b"posthou1"
_HEADER = 3
_, _EPOCH_SLOT, _SUSPECT_SLOT = range(_HEADER)
_FIRST_SLOTS = 4096
_MAX_SLOTS = 1 << 20


class InHand:
    """Slots of one shard; the caller owns the shard's lock."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        size = os.fstat(self._descriptor).st_size
        if size < _FIRST_SLOTS * 8 or size % 8:
            size = _FIRST_SLOTS * 8
            os.pwrite(self._descriptor, bytes(size), 0)  # written, not sparse: no SIGBUS on a full disk
        if os.pread(self._descriptor, 8, 0) != _MAGIC:
            os.pwrite(self._descriptor, _MAGIC + bytes(size - len(_MAGIC)), 0)
        self._map(size)

    def _map(self, size: int) -> None:
        self._mapped = mmap.mmap(self._descriptor, size)
        self._slots = memoryview(self._mapped).cast("Q")
        self._taken: dict[int, int] = {}
        self._free: list[int] = []
        for slot in range(size // 8 - 1, _HEADER - 1, -1):
            serial = self._slots[slot]
            if serial:
                self._taken[serial] = slot
            else:
                self._free.append(slot)

    @property
    def serials(self) -> list[int]:
        return sorted(self._taken)

    @property
    def epoch(self) -> int:
        return self._slots[_EPOCH_SLOT]

    @property
    def is_suspect(self) -> bool:
        return bool(self._slots[_SUSPECT_SLOT])

    def set_suspect(self, suspect: bool) -> None:
        self._slots[_SUSPECT_SLOT] = int(suspect)

    def mark(self, serial: int) -> None:
        if serial in self._taken:
            return
        if not self._free and not self._grow():
            return
        slot = self._free.pop()
        self._slots[slot] = serial
        self._taken[serial] = slot

    def unmark(self, serial: int) -> None:
        slot = self._taken.pop(serial, None)
        if slot is not None:
            self._slots[slot] = 0
            self._free.append(slot)

    def start_epoch(self, epoch: int) -> None:
        """Everything marked has been counted: clear, then say so."""
        for serial in self.serials:
            self.unmark(serial)
        self._slots[_EPOCH_SLOT] = epoch

    def _grow(self) -> bool:
        """Twice the slots. False when the disk is full or it is enough: what is then marked is not noted."""
        size = len(self._mapped)
        if size >= _MAX_SLOTS * 8:
            return False
        try:
            os.pwrite(self._descriptor, bytes(size), size)
        except OSError:
            return False
        self._unmap()
        self._map(size * 2)
        return True

    def _unmap(self) -> None:
        self._slots.release()
        self._mapped.close()

    def close(self) -> None:
        self._unmap()
        os.close(self._descriptor)
