"""What every port of the store stands on: which shard an account is in, and reading and writing there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import apsw

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.disk import FreeSpace
from posthouse.adapters.sqlite.store_shard import Shard
from posthouse.adapters.sqlite.store_sql import select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.mailbox import AccountId, MailboxId, Snapshot
from posthouse.ports.clock import Clock
from posthouse.ports.store import NoSuchAccount, StoreBroken, StoreError, StoreFull

P = ParamSpec("P")
T = TypeVar("T")

QuotaLimits = tuple[int | None, int | None]  # octets, emails; None: without limit


def no_limits(account: AccountId) -> QuotaLimits:
    return (None, None)


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """`inline_limit`: longer bodies become files. `undelete_s`: how long what was expunged or removed can be brought
    back. `kept_changes`: rows of `change` per account that are kept when older ones are forgotten.
    """

    shards: int = 1
    inline_limit: int = 128 * 1024
    min_free: Space = field(default_factory=lambda: Space(256 << 20, 10_000))
    undelete_s: float = 14 * 86_400.0
    kept_changes: int = 20_000
    poll_s: float = 0.05
    cached_placements: int = 2_000_000
    cached_columns: int = 64 << 20  # octets of texts and sort keys, for searches
    cached_wire: int = 64 << 20  # octets of columns that were sent
    limits: WriterLimits = field(default_factory=WriterLimits)


class SnapshotSource(Protocol):
    async def get(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None) -> Snapshot: ...

    def offer(self, account: AccountId, mailbox: MailboxId, snapshot: Snapshot) -> Snapshot:
        """One that somebody has read, the owner's. The freshest there is."""


class StoreCore:
    """`shards` are open from `SqliteStore.open` to `close`. `snapshots`: those kept for sessions."""

    snapshots: SnapshotSource

    def __init__(
        self,
        locate: Callable[[AccountId], int],
        quota: Callable[[AccountId], QuotaLimits],
        clock: Clock,
        options: StoreOptions,
    ) -> None:
        self._locate = locate
        self.quota = quota
        self.clock = clock
        self.options = options
        self.shards: list[Shard] = []
        self.space: FreeSpace | None = None

    def shard(self, account: AccountId) -> Shard:
        """Raises NoSuchAccount, StoreError."""
        number = self._locate(account)
        if not self.shards:
            raise StoreError("store is closed")
        if not 0 <= number < len(self.shards):
            raise NoSuchAccount(f"account {account} lies in shard {number}, which there is not")
        return self.shards[number]

    def refuse_if_full(self, shard: Shard) -> None:
        """For what adds octets. Raises StoreError."""
        if shard.is_broken:
            raise StoreBroken("disk failed")
        if self.space is not None and not self.space.has_room():
            raise StoreFull("not enough free space")
        if not shard.has_room():
            raise StoreError("store is busy")

    async def read(
        self,
        account: AccountId,
        call: Callable[Concatenate[apsw.Connection, AccountId, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """`call(connection, account, ...)` in a read transaction. The account's row is made if there is none."""
        shard = self.shard(account)
        while True:
            try:
                return await shard.readers.run(_checked, account, lambda c: call(c, account, *args, **kwargs))
            except _NoRow:
                await shard.write(account, lambda unit: None)

    async def look(
        self,
        account: AccountId,
        call: Callable[Concatenate[apsw.Connection, AccountId, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """As `read`, in the event loop's thread: for what takes some microseconds, less than a thread costs."""
        shard = self.shard(account)
        try:
            return shard.look(lambda c: _checked(c, account, lambda c: call(c, account, *args, **kwargs)))
        except _NoRow:
            return await self.read(account, call, *args, **kwargs)

    def write(self, account: AccountId, call: Callable[[Unit], T]) -> asyncio.Future[T]:
        return self.shard(account).write(account, call)


class _NoRow(Exception):
    pass


def _checked(connection: apsw.Connection, account: AccountId, call: Callable[[apsw.Connection], T]) -> T:
    found = select_rows(connection, "removed", "SELECT removed FROM account WHERE account = ?", (account,))
    if not found:
        raise _NoRow
    if found[0][0] is not None:
        raise NoSuchAccount(f"account {account} was removed")
    return call(connection)
