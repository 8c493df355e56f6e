"""An account in a real store, mail that goes in and out of it, and all of what is in it for comparing."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import QuotaLimits, StoreOptions
from posthouse.adapters.sqlite.store_imports import SqliteImports
from posthouse.manage.transfer import Importer, ImportOptions, ImportParts, ImportResult
from posthouse.manage.transfer_export import Exporter, ExportParts, ExportResult, find_paths
from posthouse.message.mailbox import AccountId, UidRange
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.store import Fields
from posthouse.ports.transfer import Sink, Source
from tests.conformance.store_kit import RoomyFiles

ALICE, BOB = AccountId(1), AccountId(2)
LIMIT = 1 << 20
INLINE = 64 << 10


@dataclass(frozen=True)
class Kept:
    """A message as the store has it."""

    octets: bytes
    flags: frozenset[str] = frozenset()
    received: float = 0.0
    zone_minutes: int = 0


@dataclass
class Depot:
    store: SqliteStore
    clock: FakeClock
    quotas: dict[AccountId, QuotaLimits] = field(default_factory=dict)
    reports: list[tuple[int, int]] = field(default_factory=list)

    async def bring(
        self,
        source: Source,
        account: AccountId = ALICE,
        *,
        again: bool = False,
        labels: bool = True,
        quota: bool = True,
    ) -> ImportResult:
        store = self.store
        parts = ImportParts(
            store.mailboxes, store.messages, SqliteImports(store.core), parse_message, FakeCompute(), self.clock
        )
        options = ImportOptions(INLINE, ignores_quota=not quota, uses_labels=labels, is_again=again)
        return await Importer(account, parts, options, lambda *report: self.reports.append(report)).run(source)

    async def take(self, sink: Sink, account: AccountId = ALICE) -> ExportResult:
        store = self.store
        parts = ExportParts(store.mailboxes, store.messages, store.blobs, FakeCompute())
        return await Exporter(account, parts, lambda *report: self.reports.append(report)).run(sink)

    async def everything(self, account: AccountId = ALICE) -> dict[str, list[Kept]]:
        """By mailbox, in the order of UIDs; empty mailboxes too."""
        boxes = await self.store.mailboxes.list_all(account)
        paths = find_paths(boxes)
        table = await self.store.messages.keywords(account)
        found: dict[str, list[Kept]] = {}
        for box in boxes:
            rows = await self.store.messages.load(account, box.id, (UidRange(1, 2**32 - 1),), Fields.DATES)
            kept = []
            for row in rows:
                assert row.placement is not None
                octets = await self.store.blobs.read(account, row.email)
                flags = frozenset(table.flags_of(row.placement.flags))
                kept.append(Kept(octets, flags, row.received, row.zone_minutes))
            found["/".join(paths[box.id])] = kept
        return found


@contextlib.asynccontextmanager
async def open_depot(path: Path) -> AsyncIterator[Depot]:
    clock = FakeClock()
    quotas: dict[AccountId, QuotaLimits] = {}
    store = SqliteStore(
        str(path / "store"),
        lambda account: account % 2,
        clock,
        quota=lambda account: quotas.get(account, (None, None)),
        options=StoreOptions(shards=2, inline_limit=INLINE),
        files=RoomyFiles(),
    )
    await store.open()
    try:
        yield Depot(store, clock, quotas)
    finally:
        await store.close()


def make_letter(number: int, text: str = "hello\n", header: str = "") -> bytes:
    """With LF, as it lies in files."""
    return (
        f"From: Ann <ann@example.com>\nTo: bob@example.net\nSubject: number {number}\n"
        f"Date: Tue, 14 Nov 2023 22:13:20 +0100\nMessage-ID: <{number}@example.com>\n{header}\n{text}"
    ).encode()


def wire(octets: bytes) -> bytes:
    return octets.replace(b"\n", b"\r\n")
