"""COPY and MOVE. Within an account one transaction over placements; between accounts the target first.

RFC 9051 §6.4.7 and §6.4.8, RFC 4315 §3. Between accounts the copy is durable before the source is expunged: killed in
between, the email is in both (docs/internals.md "An email"). Octets go through memory a message at a time in small
batches; large bodies piece by piece.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_blobs import StoredBody, find_stored
from posthouse.adapters.sqlite.store_bodies import HashedBodyWriter
from posthouse.adapters.sqlite.store_book import MailboxState
from posthouse.adapters.sqlite.store_expunge import find_placements, remove_placements
from posthouse.adapters.sqlite.store_reader import read_emails, read_keywords, read_placements
from posthouse.adapters.sqlite.store_sql import compress, ranges_json
from posthouse.adapters.sqlite.store_works import AddWork, Unit
from posthouse.message.mailbox import (
    MAX_UID,
    AccountId,
    EmailId,
    Flag,
    KeywordTable,
    MailboxId,
    ModSeq,
    Placement,
    Uid,
    UidSet,
    UidValidity,
)
from posthouse.ports.spool import Body, InlineBody
from posthouse.ports.store import Added, Addition, CopyResult, EmailRow, Fields, TooMany

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_EVERYTHING = Fields.DATES | Fields.ENVELOPE | Fields.STRUCTURE | Fields.HEAD | Fields.KEYS | Fields.TEXTS
_PIECE_OCTETS = 1 << 20
_BATCH = 50  # emails read at once between accounts

_COPY = (
    "INSERT INTO placement SELECT p.account, ?4, ?5 + row_number() OVER (ORDER BY p.uid) - 1, p.email, p.flags, ?6, ?7"
    " FROM json_each(?3) r CROSS JOIN placement p"
    " ON p.account = ?1 AND p.mailbox = ?2 AND p.uid BETWEEN r.value ->> 0 AND r.value ->> 1"
)

Going = list[tuple[int, int, int, int]]


def copy_within(unit: Unit, mailbox: int, uids: UidSet, target: int) -> CopyResult:
    copied, _ = _copy(unit, unit.state.mailbox(mailbox), uids, unit.state.mailbox(target))
    return copied


def move_within(unit: Unit, mailbox: int, uids: UidSet, target: int) -> CopyResult:
    box = unit.state.mailbox(mailbox)
    copied, found = _copy(unit, box, uids, unit.state.mailbox(target))
    remove_placements(unit, box, found, is_move=True)
    return copied


def _copy(unit: Unit, box: MailboxState, uids: UidSet, target: MailboxState) -> tuple[CopyResult, Going]:
    found = find_placements(unit, box, uids)
    if not found:
        return CopyResult(UidValidity(target.uidvalidity), (), (), ModSeq(unit.state.modseq)), found
    first = target.uidnext
    if first + len(found) > MAX_UID:
        raise TooMany("UIDs of the mailbox are used up")
    there = compress(row[0] for row in found)
    unit.connection.execute(
        _COPY,
        (unit.account, box.mailbox, ranges_json(there), target.mailbox, first, unit.modseq, unit.now_us),
    )
    target.uidnext = first + len(found)
    target.modseq = unit.modseq
    target.total += len(found)
    target.octets += sum(row[3] for row in found)
    target.deleted += sum(1 for row in found if row[2] & _DELETED)
    target.unseen += sum(1 for row in found if not row[2] & (_SEEN | _DELETED))
    unit.book.mark_mailbox(unit.state, target)
    return CopyResult(
        UidValidity(target.uidvalidity),
        tuple(Uid(row[0]) for row in found),
        tuple(Uid(uid) for uid in range(first, target.uidnext)),
        ModSeq(unit.modseq),
    ), found


def find_moved(found: Going, emails: Sequence[EmailId]) -> Going:
    """Of the placements that are still there, those that were copied."""
    wanted = set(emails)
    return [row for row in found if row[1] in wanted]


async def copy_between(
    core: StoreCore, disk: Disk, source: tuple[AccountId, MailboxId, UidSet], target: tuple[AccountId, MailboxId]
) -> tuple[CopyResult, list[EmailId]]:
    """All in one transaction of the target. Also returns the emails of the source."""
    account, mailbox, uids = source
    target_account, target_mailbox = target
    placements = await core.read(account, read_placements, mailbox, uids, None)
    table = await core.read(account, read_keywords)
    additions: list[Addition] = []
    kept: list[Placement] = []
    for start in range(0, len(placements), _BATCH):
        piece = placements[start : start + _BATCH]
        rows = await core.read(account, read_emails, [p.email for p in piece], _EVERYTHING)
        for placement in piece:
            row = rows.get(placement.email)
            if row is not None:
                addition = await _as_addition(core, disk, account, target, row, _names(table, placement))
                additions.append(addition)
                kept.append(placement)
    shard = core.shard(target_account)
    core.refuse_if_full(shard)
    future: asyncio.Future[list[Added]] = asyncio.get_running_loop().create_future()
    shard.submit(AddWork(future, target_account, additions, core.quota(target_account), 0))
    added = await future
    if not added:
        return await _empty(core, target_account, target_mailbox), []
    return CopyResult(
        added[0].uidvalidities[0],
        tuple(placement.uid for placement in kept),
        tuple(one.uids[0] for one in added),
        added[0].modseq,
    ), [placement.email for placement in kept]


async def _empty(core: StoreCore, account: AccountId, mailbox: MailboxId) -> CopyResult:
    def call(unit: Unit) -> CopyResult:
        return CopyResult(UidValidity(unit.state.mailbox(mailbox).uidvalidity), (), (), ModSeq(unit.state.modseq))

    return await core.write(account, call)


def _names(table: KeywordTable, placement: Placement) -> frozenset[str]:
    return frozenset(table.flags_of(placement.flags))


async def _as_addition(
    core: StoreCore,
    disk: Disk,
    account: AccountId,
    target: tuple[AccountId, MailboxId],
    row: EmailRow,
    flags: frozenset[str],
) -> Addition:
    assert row.message is not None
    stored = await core.read(account, find_stored, row.email)
    whole = StoredBody(core, account, stored)
    prefix = await whole.read(0, row.prefix_size)
    size = stored.size - row.prefix_size
    body = await _carry(core, disk, whole, (row.prefix_size, size), target[0])
    return Addition((target[1],), body, row.message, prefix, row.received, row.zone_minutes, flags)


async def _carry(core: StoreCore, disk: Disk, whole: StoredBody, extent: tuple[int, int], target: AccountId) -> Body:
    """The octets for the target's shard."""
    offset, size = extent
    if size <= core.options.inline_limit:
        return InlineBody(await whole.read(offset, size))
    shard = core.shard(target)
    writer = HashedBodyWriter(disk, f"{shard.path}.tmp/{os.getpid()}-copy-{id(whole)}-{whole.size}")
    try:
        for start in range(offset, offset + size, _PIECE_OCTETS):
            await writer.write(await whole.read(start, min(_PIECE_OCTETS, offset + size - start)))
        return await writer.finish()
    except BaseException:
        writer.discard()
        raise
