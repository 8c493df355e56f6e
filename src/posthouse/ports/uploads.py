"""Uploads of clients that are no mail yet (RFC 8620 §6.1): octets kept for a day, counted per account.

What is uploaded survives a restart but not its time; it is never the only copy of mail that was answered. Ids are
unguessable, short texts of letters and digits, and belong to their account.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from posthouse.message.mailbox import AccountId

LIFETIME_S = 86400.0
MAX_OCTETS = 500_000_000  # of an account


class TooManyUploads(Exception):
    """The account has as much lying here as it may, or the disk is nearly full."""


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    size: int
    type: str
    expires: float  # seconds since 1970


class UploadWriter(Protocol):
    """`finish` it, and `discard` it in any case: that takes nothing back that is finished."""

    async def write(self, piece: bytes) -> None:
        """Raises TooManyUploads."""

    async def finish(self) -> Upload: ...

    def discard(self) -> None: ...


class Uploads(Protocol):
    def begin(self, account: AccountId, media_type: str) -> UploadWriter:
        """Raises TooManyUploads."""

    async def find(self, account: AccountId, upload: str) -> Upload | None: ...

    async def read(self, account: AccountId, upload: str, offset: int = 0, length: int | None = None) -> bytes | None:
        """None when there is none such."""

    async def sweep(self) -> None:
        """Removes what is over. The worker calls it now and then."""
