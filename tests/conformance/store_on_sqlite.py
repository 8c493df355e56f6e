"""The store on SQLite, as the suite opens it: two shards, ALICE and BOB in different ones."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import QuotaLimits, StoreOptions
from posthouse.message.mailbox import AccountId, MailboxId, ModSeq, Uid
from posthouse.message.search import SearchKey, SortBy
from posthouse.ports.clock import FakeClock
from posthouse.ports.store import EmailRow, SearchResult
from tests.conformance.store_kit import Office

_NO_QUOTA: QuotaLimits = (None, None)


class RoomyFiles(Files):
    """The real disk, with as much room as the test says."""

    def __init__(self) -> None:
        self.is_full = False

    def space(self, path: str) -> Space:
        return Space(0, 0) if self.is_full else Space(1 << 40, 1 << 40)


class NoSearch:
    """For tests that do not search."""

    async def search(
        self,
        account: AccountId,
        program: SearchKey,
        mailbox: MailboxId | None = None,
        sort: Sequence[SortBy] = (),
        viewer: AccountId | None = None,
    ) -> SearchResult:
        raise NotImplementedError

    async def thread_references(self, account: AccountId, mailbox: MailboxId, uids: Sequence[Uid]) -> list[EmailRow]:
        raise NotImplementedError


@dataclass
class SqliteControl:
    store: SqliteStore
    files: RoomyFiles
    clock: FakeClock
    quotas: dict[AccountId, QuotaLimits]

    def set_quota(self, account: AccountId, octets: int | None = None, emails: int | None = None) -> None:
        self.quotas[account] = (octets, emails)

    def set_full(self, is_full: bool) -> None:
        self.files.is_full = is_full
        self.clock.advance(2.0)  # free space is looked at once a second

    async def remove_account(self, account: AccountId) -> None:
        await self.store.remove_account(account)

    async def forget_changes(self, account: AccountId, until: ModSeq) -> None:
        await self.store.forget_changes(account, until)


@contextlib.asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Office]:
    clock, files = FakeClock(), RoomyFiles()
    quotas: dict[AccountId, QuotaLimits] = {}
    store = SqliteStore(
        str(path / "store"),
        lambda account: account % 2,
        clock,
        quota=lambda account: quotas.get(account, _NO_QUOTA),
        options=StoreOptions(shards=2),
        files=files,
    )
    await store.open()
    store.set_search(lambda core: NoSearch())
    try:
        yield Office(clock, store.store, SqliteControl(store, files, clock, quotas))
    finally:
        await store.close()
