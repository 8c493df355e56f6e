"""Messages: added, looked at, flagged, copied, moved, expunged. The work is done in the modules this one imports."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence
from typing import Any

from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_bodies import HashedBodyWriter
from posthouse.adapters.sqlite.store_copy import copy_between, copy_within, find_moved, move_within
from posthouse.adapters.sqlite.store_expunge import expunge_deleted, find_placements, remove_placements
from posthouse.adapters.sqlite.store_flags import set_flags
from posthouse.adapters.sqlite.store_place import place_email
from posthouse.adapters.sqlite.store_reader import (
    read_emails,
    read_keywords,
    read_placed_emails,
    read_placements,
    read_threads,
    read_uidls,
)
from posthouse.adapters.sqlite.store_snapshots import Snapshots
from posthouse.adapters.sqlite.store_sql import compress
from posthouse.adapters.sqlite.store_wire import WireReader
from posthouse.adapters.sqlite.store_works import AddWork, Unit
from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    KeywordTable,
    MailboxId,
    ModSeq,
    Placement,
    Snapshot,
    ThreadId,
    Uid,
    UidSet,
)
from posthouse.ports.spool import BodyWriter
from posthouse.ports.store import (
    Added,
    Addition,
    CopyResult,
    EmailRow,
    Fields,
    FlagDelta,
    FlagEdit,
    FlagResult,
    StoreRefusal,
    WireColumn,
)
from posthouse.ports.store import StoreError as StoreFailure

_SLICE = 500  # emails per read
_serials = itertools.count()


class SqliteMessages:
    def __init__(self, core: StoreCore, disk: Disk, snapshots: Snapshots) -> None:
        self._core = core
        self._disk = disk
        self._snapshots = snapshots
        self._wire = WireReader(core, snapshots)

    def add(self, account: AccountId, additions: Sequence[Addition]) -> asyncio.Future[list[Added]]:
        future: asyncio.Future[list[Added]] = asyncio.get_running_loop().create_future()
        try:
            shard = self._core.shard(account)
            self._core.refuse_if_full(shard)
            limits = self._core.quota(account)
        except (StoreFailure, StoreRefusal) as error:
            future.set_exception(error)
            return future
        octets = sum(1000 + len(addition.body.inline or b"") for addition in additions)
        shard.submit(AddWork(future, account, additions, limits, octets))
        return future

    def open_body(self, account: AccountId) -> BodyWriter:
        shard = self._core.shard(account)
        self._core.refuse_if_full(shard)
        return HashedBodyWriter(self._disk, f"{shard.path}.tmp/{os.getpid()}-{next(_serials)}")

    async def snapshot(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None = None) -> Snapshot:
        return await self._snapshots.get(account, mailbox, viewer)

    async def load(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, fields: Fields, viewer: AccountId | None = None
    ) -> list[EmailRow]:
        placements = await self._core.read(account, read_placements, mailbox, uids, viewer)
        if fields is Fields.NONE:
            return [EmailRow(placement.email, placement=placement) for placement in placements]
        rows: list[EmailRow] = []
        for start in range(0, len(placements), _SLICE):
            rows += await self._load_slice(account, placements[start : start + _SLICE], fields)
        return rows

    async def _load_slice(self, account: AccountId, placements: Sequence[Placement], fields: Fields) -> list[EmailRow]:
        emails = list(dict.fromkeys(placement.email for placement in placements))
        found = await self._core.read(account, read_emails, emails, fields)
        rows = []
        for placement in placements:
            email = found.get(placement.email)
            if email is not None:
                rows.append(_with_placement(email, placement))
        return rows

    async def wire(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, columns: Sequence[WireColumn]
    ) -> list[tuple[Any, ...]]:
        return await self._wire.read(account, mailbox, uids, columns)

    async def uidls(self, account: AccountId, mailbox: MailboxId) -> dict[Uid, str]:
        return await self._core.read(account, read_uidls, mailbox)

    async def load_emails(self, account: AccountId, emails: Sequence[EmailId], fields: Fields) -> list[EmailRow]:
        rows: list[EmailRow] = []
        for start in range(0, len(emails), _SLICE):
            piece = emails[start : start + _SLICE]
            rows += await self._core.read(account, read_placed_emails, piece, fields)
        return rows

    async def thread(self, account: AccountId, threads: Sequence[ThreadId]) -> dict[ThreadId, list[EmailId]]:
        return await self._core.read(account, read_threads, threads)

    async def keywords(self, account: AccountId) -> KeywordTable:
        return await self._core.look(account, read_keywords)

    async def set_flags(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, edit: FlagEdit, viewer: AccountId | None = None
    ) -> FlagResult:
        reader = None if viewer == account else viewer
        return await self._core.write(account, lambda unit: set_flags(unit, mailbox, uids, edit, reader))

    async def copy(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        if account == target_account:
            return await self._core.write(account, lambda unit: copy_within(unit, mailbox, uids, target))
        copied, _ = await copy_between(self._core, self._disk, (account, mailbox, uids), (target_account, target))
        return copied

    async def move(
        self, account: AccountId, mailbox: MailboxId, uids: UidSet, target_account: AccountId, target: MailboxId
    ) -> CopyResult:
        if account == target_account:
            return await self._core.write(account, lambda unit: move_within(unit, mailbox, uids, target))
        copied, emails = await copy_between(self._core, self._disk, (account, mailbox, uids), (target_account, target))

        def call(unit: Unit) -> None:
            box = unit.state.mailbox(mailbox)
            going = find_moved(find_placements(unit, box, compress(copied.source)), emails)
            remove_placements(unit, box, going)

        await self._core.write(account, call)
        return copied

    async def expunge(self, account: AccountId, mailbox: MailboxId, uids: UidSet | None = None) -> UidSet:
        return await self._core.write(account, lambda unit: expunge_deleted(unit, mailbox, uids))

    async def place(
        self,
        account: AccountId,
        email: EmailId,
        into: Sequence[MailboxId],
        out_of: Sequence[MailboxId],
        flags: frozenset[str] | FlagDelta | None = None,
    ) -> ModSeq:
        return await self._core.write(account, lambda unit: place_email(unit, email, into, out_of, flags))


def _with_placement(row: EmailRow, placement: Placement) -> EmailRow:
    if row.placement is None:
        row.placement = placement
        return row
    return EmailRow(  # the email is in the mailbox twice
        row.email,
        row.thread,
        row.size,
        row.prefix_size,
        row.received,
        row.zone_minutes,
        row.message,
        row.head,
        placement,
    )
