"""Compact arrays of mailboxes, kept for the worker's sessions and brought up to date by what changed since.

A snapshot is never changed: a fresher one is another object, and an unchanged mailbox gives the same arrays again. What
is kept is bounded by the number of placements; the longest unused go first. A reader of a shared mailbox gets the
owner's arrays with flags of its own.

Whether anything changed is asked in the event loop's thread, which takes some microseconds, and a few changes are read
there, too. Many flags changed by this process are not read at all: the writer says what it did (`FlagsPatch`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import cast

import apsw

from posthouse.adapters.sqlite.database import roll_back
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_changes import read_mailbox_changes
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.store_reader import as_seen_by, read_mailbox_state, read_seen, read_snapshot
from posthouse.adapters.sqlite.store_sql import read_number
from posthouse.message.mailbox import AccountId, MailboxChange, MailboxId, ModSeq, Snapshot
from posthouse.ms.snapshots import apply_change, apply_flags
from posthouse.ms.uidsets import count

Key = tuple[int, int]  # account, mailbox

_FEW = 256  # changes that are read in the event loop
_MOST = 100_000  # flags that are patched there
_STATE = (
    "SELECT uidvalidity, uidnext, m.modseq, a.modseq FROM mailbox m CROSS JOIN account a ON a.account = m.account"
    " WHERE m.account = ? AND mailbox = ? AND a.removed IS NULL"
)
_TOUCHED = "SELECT coalesce(sum(high - low + 1), 0) FROM change WHERE account = ? AND modseq > ? AND mailbox = ?"


class Snapshots:
    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._kept: OrderedDict[Key, Snapshot] = OrderedDict()
        self._placements = 0

    async def get(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None) -> Snapshot:
        known = self._kept.get((account, mailbox))
        fresh = None if known is None else self._look(account, mailbox, known)
        if fresh is None:
            fresh = await self._core.read(account, _refresh, mailbox, known)
        fresh = self._keep((account, mailbox), fresh)
        if viewer is None or viewer == account:
            return fresh
        seen = await self._core.read(account, read_seen, mailbox, viewer)
        return Snapshot(
            fresh.uidvalidity,
            fresh.uidnext,
            fresh.modseq,
            fresh.uids,
            as_seen_by(fresh.flags, fresh.uids, seen),
            fresh.modseqs,
            fresh.highest,
        )

    def offer(self, account: AccountId, mailbox: MailboxId, snapshot: Snapshot) -> Snapshot:
        return self._keep((account, mailbox), snapshot)

    def apply(self, patches: Iterable[FlagsPatch]) -> None:
        """What has just been committed, before anybody hears of it."""
        for patch in patches:
            key = (patch.account, patch.mailbox)
            known = self._kept.get(key)
            if known is not None and known.highest == patch.since and count(patch.uids) <= _MOST:
                self._keep(key, apply_flags(known, patch.uids, (patch.add, patch.keep), ModSeq(patch.modseq)))

    def _look(self, account: AccountId, mailbox: MailboxId, known: Snapshot) -> Snapshot | None:
        """In the event loop. None: there is more to do than is good there."""
        connection = self._core.shard(account).watching
        try:
            row = connection.execute(_STATE, (account, mailbox)).fetchone()
            if row is None:
                return None
            uidvalidity, uidnext, highest, modseq = cast("tuple[int, int, int, int]", row)
            if uidvalidity != known.uidvalidity or modseq < known.modseq:
                return None
            if modseq == known.modseq:
                return known
            if highest == known.highest:  # something else in the account
                return _with_modseq(known, modseq)
            touched = read_number(connection, _TOUCHED, (account, known.modseq, mailbox)) or 0
            if uidnext - known.uidnext + touched > _FEW:
                return None
            change = _read_changes(connection, account, mailbox, known.modseq)
        except apsw.Error:
            return None
        return apply_change(known, change) if change.is_complete else None

    def _keep(self, key: Key, snapshot: Snapshot) -> Snapshot:
        """The freshest one, which another read or a patch may have brought meanwhile."""
        old = self._kept.get(key)
        if old is not None and old.uidvalidity == snapshot.uidvalidity and old.modseq > snapshot.modseq:
            snapshot = old
        self._drop(key)
        self._kept[key] = snapshot
        self._placements += len(snapshot.uids)
        while self._placements > self._core.options.cached_placements and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))
        return snapshot

    def _drop(self, key: Key) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._placements -= len(old.uids)


def _with_modseq(known: Snapshot, modseq: int) -> Snapshot:
    return Snapshot(
        known.uidvalidity,
        known.uidnext,
        ModSeq(modseq),
        known.uids,
        known.flags,
        known.modseqs,
        known.highest,
    )


def _read_changes(connection: apsw.Connection, account: AccountId, mailbox: MailboxId, since: ModSeq) -> MailboxChange:
    connection.execute("BEGIN")
    try:
        return read_mailbox_changes(connection, account, mailbox, since)
    finally:
        roll_back(connection)


def _refresh(connection: apsw.Connection, account: AccountId, mailbox: MailboxId, known: Snapshot | None) -> Snapshot:
    if known is None:
        return read_snapshot(connection, account, mailbox)
    uidvalidity, _, _, modseq = read_mailbox_state(connection, account, mailbox)
    if uidvalidity != known.uidvalidity:
        return read_snapshot(connection, account, mailbox)
    if modseq == known.modseq:
        return known
    change = read_mailbox_changes(connection, account, mailbox, known.modseq)
    if not change.is_complete:
        return read_snapshot(connection, account, mailbox)
    return apply_change(known, change)
