"""Compact arrays of mailboxes, kept for the worker's sessions and brought up to date by what changed since.

A snapshot is never changed: a fresher one is another object, and an unchanged mailbox gives the same arrays again. What
is kept is bounded by the number of placements; the longest unused go first. A reader of a shared mailbox gets the
owner's arrays with flags of its own.
"""

from __future__ import annotations

from collections import OrderedDict

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_changes import read_mailbox_changes
from posthouse.adapters.sqlite.store_reader import as_seen_by, read_mailbox_state, read_seen, read_snapshot
from posthouse.message.mailbox import AccountId, MailboxId, Snapshot
from posthouse.ms.snapshots import apply_change


class Snapshots:
    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._kept: OrderedDict[tuple[AccountId, MailboxId], Snapshot] = OrderedDict()
        self._placements = 0

    async def get(self, account: AccountId, mailbox: MailboxId, viewer: AccountId | None) -> Snapshot:
        known = self._kept.get((account, mailbox))
        fresh = await self._core.read(account, _refresh, mailbox, known)
        self._keep((account, mailbox), fresh)
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

    def _keep(self, key: tuple[AccountId, MailboxId], snapshot: Snapshot) -> None:
        self._drop(key)
        self._kept[key] = snapshot
        self._placements += len(snapshot.uids)
        while self._placements > self._core.options.cached_placements and len(self._kept) > 1:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: tuple[AccountId, MailboxId]) -> None:
        old = self._kept.pop(key, None)
        if old is not None:
            self._placements -= len(old.uids)


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
