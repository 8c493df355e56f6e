"""Octets of whole messages: prefix and body, found through the account's own rows only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_bodies import read_stored
from posthouse.message.mailbox import AccountId, EmailId
from posthouse.ports.spool import Body, SpoolError
from posthouse.ports.store import NoSuchMailbox, StoreError, StoreRefusal


@dataclass(frozen=True, slots=True)
class Stored:
    """Where the octets of an email are. `size` counts the prefix too."""

    body: int
    size: int
    prefix: bytes


def find_stored(connection: apsw.Connection, account: AccountId, email: EmailId) -> Stored:
    """Of an email that has a placement, \\Deleted or not."""
    row = connection.execute(
        "SELECT body, size, prefix FROM email WHERE account = ? AND email = ? AND gone IS NULL", (account, email)
    ).fetchone()
    if row is None:
        raise NoSuchMailbox(f"no email {email}")
    return Stored(*cast("tuple[int, int, bytes]", row))


def read_octets(
    connection: apsw.Connection, account: AccountId, stored: Stored, folder: str, offset: int, length: int
) -> bytes:
    prefix = stored.prefix[offset : offset + length]
    rest = length - len(prefix)
    if rest <= 0 or offset + len(prefix) >= stored.size:
        return prefix
    start = max(0, offset - len(stored.prefix))
    return prefix + read_stored(connection, folder, stored.body, start, rest)


class StoredBody:
    """A whole message, read piece by piece."""

    __slots__ = ("_account", "_core", "_stored")

    def __init__(self, core: StoreCore, account: AccountId, stored: Stored) -> None:
        self._core, self._account, self._stored = core, account, stored

    @property
    def size(self) -> int:
        return self._stored.size

    @property
    def inline(self) -> bytes | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        folder = self._core.shard(self._account).folder
        try:
            data = await self._core.read(self._account, read_octets, self._stored, folder, offset, length)
        except (StoreError, StoreRefusal) as error:
            raise SpoolError(str(error)) from error
        if len(data) < min(length, self.size - offset):
            raise SpoolError("body is shorter than it was")
        return data


class SqliteBlobs:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def read(self, account: AccountId, email: EmailId, offset: int = 0, length: int | None = None) -> bytes:
        folder = self._core.shard(account).folder

        def call(connection: apsw.Connection, account: AccountId) -> bytes:
            stored = find_stored(connection, account, email)
            wanted = stored.size - offset if length is None else length
            return read_octets(connection, account, stored, folder, offset, wanted)

        return await self._core.read(account, call)

    async def read_many(self, account: AccountId, emails: Sequence[EmailId]) -> list[bytes | None]:
        folder = self._core.shard(account).folder

        def call(connection: apsw.Connection, account: AccountId) -> list[bytes | None]:
            return [_read_whole(connection, account, email, folder) for email in emails]

        return await self._core.read(account, call)

    def body(self, account: AccountId, email: EmailId) -> Body:
        """Looks the size up at once: some microseconds."""
        watching = self._core.shard(account).watching
        try:
            return StoredBody(self._core, account, find_stored(watching, account, email))
        except apsw.Error as error:
            raise StoreError(f"cannot read: {error}") from error


def _read_whole(connection: apsw.Connection, account: AccountId, email: EmailId, folder: str) -> bytes | None:
    try:
        stored = find_stored(connection, account, email)
    except NoSuchMailbox:
        return None
    return read_octets(connection, account, stored, folder, 0, stored.size)
