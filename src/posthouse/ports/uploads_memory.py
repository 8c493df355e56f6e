"""Uploads of nobody's disk; they pass the same tests as those of adapters/uploads.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.uploads import LIFETIME_S, MAX_OCTETS, TooManyUploads, Upload


@dataclass(slots=True)
class _Kept:
    upload: Upload
    octets: bytes


class MemoryUploads:
    """`max_octets`: of an account. `is_full`: the disk."""

    def __init__(self, clock: Clock, make_token: Callable[[], str], max_octets: int = MAX_OCTETS) -> None:
        self.is_full = False
        self.kept: dict[tuple[AccountId, str], _Kept] = {}
        self.growing: dict[AccountId, int] = {}
        self.clock, self.make_token, self.max_octets = clock, make_token, max_octets

    def begin(self, account: AccountId, media_type: str) -> MemoryWriter:
        self.check_room(account)
        return MemoryWriter(self, account, media_type)

    def check_room(self, account: AccountId) -> None:
        lying = sum(kept.upload.size for (owner, _), kept in self.kept.items() if owner == account)
        if self.is_full or lying + self.growing.setdefault(account, 0) > self.max_octets:
            raise TooManyUploads

    async def find(self, account: AccountId, upload: str) -> Upload | None:
        kept = self.kept.get((account, upload))
        return kept.upload if kept is not None and kept.upload.expires > self.clock.now() else None

    async def read(self, account: AccountId, upload: str, offset: int = 0, length: int | None = None) -> bytes | None:
        if await self.find(account, upload) is None:
            return None
        octets = self.kept[account, upload].octets
        return octets[offset:] if length is None else octets[offset : offset + length]

    async def sweep(self) -> None:
        now = self.clock.now()
        self.kept = {key: kept for key, kept in self.kept.items() if kept.upload.expires > now}


class MemoryWriter:
    def __init__(self, uploads: MemoryUploads, account: AccountId, media_type: str) -> None:
        self._uploads, self._account, self._type = uploads, account, media_type
        self._octets = bytearray()
        self._is_over = False

    async def write(self, piece: bytes) -> None:
        growing = self._uploads.growing
        self._octets += piece
        growing[self._account] += len(piece)
        self._uploads.check_room(self._account)

    async def finish(self) -> Upload:
        self.discard()
        uploads = self._uploads
        upload = Upload(uploads.make_token(), len(self._octets), self._type, uploads.clock.now() + LIFETIME_S)
        uploads.kept[self._account, upload.id] = _Kept(upload, bytes(self._octets))
        return upload

    def discard(self) -> None:
        """May be called after `finish`, too, which it does not undo."""
        if not self._is_over:
            self._is_over = True
            self._uploads.growing[self._account] -= len(self._octets)
