"""Import, export, undelete and the Outbox on a data directory: what the commands work with, server or no server.

A running server hears of what is committed here as of any commit of another process.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_gone import GoneEmail, list_gone
from posthouse.adapters.sqlite.store_imports import SqliteImports
from posthouse.app.directory import open_for_worker
from posthouse.app.store import open_store
from posthouse.config.settings import Settings
from posthouse.manage.transfer import Importer, ImportOptions, ImportParts, ImportResult
from posthouse.manage.transfer_export import Exporter, ExportParts, ExportResult, find_paths
from posthouse.message.mailbox import AccountId
from posthouse.message.parse import parse_message
from posthouse.msa import outbox
from posthouse.ports.directory import Account
from posthouse.ports.store import NoSuchAccount
from posthouse.ports.transfer import Report, Sink, Source


@dataclass(frozen=True, slots=True)
class Office:
    account: Account
    store: SqliteStore
    compute: ThreadCompute

    @property
    def id(self) -> AccountId:
        return self.account.id

    async def run_import(self, source: Source, options: ImportOptions, report: Report) -> ImportResult:
        """Cancelling it leaves whole batches."""
        store = self.store
        parts = ImportParts(
            store.mailboxes, store.messages, SqliteImports(store.core), parse_message, self.compute, SystemClock()
        )
        try:
            return await Importer(self.id, parts, options, report).run(source)
        finally:
            source.close()

    async def run_export(self, sink: Sink, report: Report) -> ExportResult:
        store = self.store
        parts = ExportParts(store.mailboxes, store.messages, store.blobs, self.compute)
        return await Exporter(self.id, parts, report).run(sink)

    async def list_gone(self, age: timedelta | None, mailbox: str | None) -> list[tuple[GoneEmail, str]]:
        """What can be brought back, each with the mailbox it was in ("" when that is gone too)."""
        since = 0.0 if age is None else SystemClock().now() - age.total_seconds()
        paths = find_paths(await self.store.mailboxes.list_all(self.id))
        found = await list_gone(self.store.core, self.id, since)
        named = [(each, "/".join(paths.get(each.mailbox, ()))) for each in found]
        return [(each, name) for each, name in named if mailbox is None or name == mailbox]


@contextlib.asynccontextmanager
async def open_office(settings: Settings, login: str) -> AsyncIterator[Office]:
    """Raises StoreError, DirectoryError, NoSuchAccount."""
    async with contextlib.AsyncExitStack() as stack:
        directory = open_for_worker(settings)
        stack.callback(directory.close)
        account = directory.find(login)
        if account is None:
            raise NoSuchAccount(f"there is no account {login}")
        store = await open_store(settings, directory, SystemClock())
        stack.push_async_callback(store.close)
        compute = ThreadCompute()
        stack.callback(compute.close)
        yield Office(account, store, compute)


async def turn_outbox(settings: Settings, login: str, *, is_on: bool) -> None:
    """Raises StoreError, DirectoryError, NoSuchAccount."""
    async with open_office(settings, login) as office:
        store = office.store.store
        await outbox.turn(store.annotations, store.mailboxes, office.id, settings.imap.outbox, is_on=is_on)


async def is_outbox_on(settings: Settings, login: str) -> bool:
    """Raises StoreError, DirectoryError, NoSuchAccount."""
    async with open_office(settings, login) as office:
        return await outbox.is_open(office.store.store.annotations, office.id)


async def hide_capabilities(settings: Settings, login: str, names: Sequence[str]) -> None:
    """Of IMAP, from that account's programs; none given: nothing. Raises StoreError, DirectoryError, NoSuchAccount."""
    from posthouse.access.imap.capabilities import HIDDEN_ENTRY

    async with open_office(settings, login) as office:
        value = " ".join(names).encode("ascii", "replace") or None
        await office.store.store.annotations.write(office.id, None, office.id, {HIDDEN_ENTRY: value})
