"""Mailboxes as JMAP lists them (ms/listings.py), kept by the worker for what was listed last.

What is kept is completed with what came and cleared of what went, by the worker's snapshot of the mailbox; threads that
became one are looked for in the record of changes. Bounded by the number of placements, the longest unused goes first.
Used in the event loop; rows are read in the reader's thread, those of a whole mailbox from indexes alone: `email` has
fat rows.
"""

from __future__ import annotations

import asyncio
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import compress
from typing import NamedTuple, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_book import THREADS_MERGED
from posthouse.adapters.sqlite.store_changes import read_horizon
from posthouse.adapters.sqlite.store_reader import read_mailbox_state, read_modseq
from posthouse.adapters.sqlite.store_sql import (
    IN_LIST,
    numbers_json,
    placements_in,
    read_number,
    select_numbers,
    select_rows,
)
from posthouse.adapters.sqlite.store_thread_places import read_thread_map
from posthouse.message.mailbox import AccountId, Flag, MailboxId, ModSeq, Snapshot, Uid, UidSet, UidValidity
from posthouse.ms.keywords import merge_flags
from posthouse.ms.listings import Came, Listing, advance, change_threads, list_missing, make_listing
from posthouse.ms.uidsets import from_sorted

_AT_ONCE = 16_384  # numbers in one text: the event loop waits while it becomes numbers
_SMALL = 8  # a mailbox with less than that part of the account's emails is read by itself
_WEIGHT = 4  # of a placement here to one of a snapshot
_read_numbers = msgspec.json.Decoder(list[int]).decode

_PLACED = (
    "SELECT group_concat(uid || ',' || flags || ',' || modseq || ',' || email) FROM (SELECT uid, flags, modseq, email"
    f" FROM placement WHERE account = ? AND mailbox = ? AND uid > ? ORDER BY uid LIMIT {_AT_ONCE})"
)
_RECEIVED = (
    "SELECT group_concat(received || ',' || email) FROM (SELECT received, email FROM email INDEXED BY email_received"
    f" WHERE account = ? AND (received, email) > (?, ?) ORDER BY received, email LIMIT {_AT_ONCE})"
)
_OF_MAILBOX = (
    "SELECT DISTINCT e.received, e.email, e.thread FROM placement p CROSS JOIN email e"
    " ON e.account = ?1 AND e.email = p.email WHERE p.account = ?1 AND p.mailbox = ?2 ORDER BY e.received, e.email"
)
_TOTAL = "SELECT total FROM mailbox WHERE account = ? AND mailbox = ?"
_COUNTS = (
    "SELECT emails, (SELECT coalesce(sum(total), 0) FROM mailbox m WHERE m.account = a.account) FROM account a"
    " WHERE account = ?"
)
_MANIFOLD = (
    "SELECT email AS n FROM placement INDEXED BY placement_email WHERE account = ? GROUP BY email HAVING count(*) > 1"
)
_FLAGS_OF = f"SELECT email, flags FROM placement INDEXED BY placement_email WHERE account = ? AND email {IN_LIST}"
_MERGED = "SELECT count(*) FROM change WHERE account = ? AND modseq > ? AND kind = ?"
_VISIBLE = f"SELECT email AS n FROM placement WHERE account = ? AND NOT flags & {int(Flag.DELETED)}"
_FIRST = -(2**63)


class Columns(NamedTuple):
    """Emails in their order, when each was received, their threads."""

    order: array[int]
    received: array[int]
    threads: array[int]


class KeptListings:
    """`large`: placements above which a mailbox is read by two readers."""

    def __init__(self, core: StoreCore, large: int = _AT_ONCE) -> None:
        self._core, self._large = core, large
        self._kept: OrderedDict[tuple[AccountId, MailboxId], Listing] = OrderedDict()
        self._placements = 0

    async def get(self, account: AccountId, mailbox: MailboxId) -> Listing:
        """Up to date. Raises NoSuchMailbox."""
        known, fresh = self._kept.get((account, mailbox)), None
        if known is not None:
            fresh = await self._follow(account, mailbox, known)
        if fresh is None:
            fresh = await self._read(account, mailbox)
            kept = self._core.snapshots.offer(account, mailbox, fresh.snapshot)
            if kept.uids == fresh.snapshot.uids and kept.flags == fresh.snapshot.flags:
                fresh.snapshot = kept
        self._keep((account, mailbox), fresh)
        return fresh

    async def _read(self, account: AccountId, mailbox: MailboxId) -> Listing:
        """A large mailbox by two readers at once, if nothing happens between."""
        if not await self._core.look(account, _is_large, mailbox, self._large):
            return await self._core.read(account, _read_listing, mailbox)
        (snapshot, emails), (modseq, columns) = await asyncio.gather(
            self._core.read(account, _read_placed, mailbox), self._core.read(account, _read_order)
        )
        if modseq == snapshot.modseq:
            fresh = await asyncio.to_thread(_join, snapshot, emails, columns)
            if fresh is not None:
                return fresh
        return await self._core.read(account, _read_listing, mailbox)

    async def _follow(self, account: AccountId, mailbox: MailboxId, known: Listing) -> Listing | None:
        snapshot = await self._core.snapshots.get(account, mailbox, None)
        if snapshot is known.snapshot:
            return known
        missing = list_missing(known, snapshot)
        if missing is None:
            return None
        came = await self._core.read(account, _read_came, mailbox, from_sorted(missing)) if missing else []
        fresh = advance(known, snapshot, came)
        if fresh is None or not await self._core.look(account, _have_merged, known.snapshot.modseq):
            return fresh
        return change_threads(fresh, await self._core.read(account, read_thread_map))

    def _keep(self, key: tuple[AccountId, MailboxId], listing: Listing) -> None:
        old = self._kept.pop(key, None)
        self._placements += len(listing.emails) - (0 if old is None else len(old.emails))
        self._kept[key] = listing
        while self._placements * _WEIGHT > self._core.options.cached_placements and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._placements -= len(oldest.emails)

    async def flags(self, account: AccountId, listing: Listing) -> array[int]:
        """Parallel to `listing.emails`: the bits that JMAP shows of each, of all mailboxes together (ms/keywords)."""
        emails, placements = await self._core.look(account, _read_counts)
        if emails == placements:  # each in one mailbox only
            return listing.snapshot.flags
        merged = await self._core.read(account, _read_merged, set(listing.emails))
        if not merged:
            return listing.snapshot.flags
        pairs = zip(listing.emails, listing.snapshot.flags, strict=True)
        return array("Q", [merged.get(email, bits) for email, bits in pairs])


def _read_counts(connection: apsw.Connection, account: AccountId) -> tuple[int, int]:
    return cast("tuple[int, int]", connection.execute(_COUNTS, (account,)).fetchone())


def _read_merged(connection: apsw.Connection, account: AccountId, wanted: set[int]) -> dict[int, int]:
    """Of those in more than one mailbox, or twice in one."""
    manifold = [email for email in select_numbers(connection, _MANIFOLD, (account,)) if email in wanted]
    rows = select_rows(connection, "email, flags", _FLAGS_OF, (account, numbers_json(manifold)))
    found: dict[int, list[int]] = {}
    for email, flags in cast("list[tuple[int, int]]", rows):
        found.setdefault(email, []).append(flags)
    return {email: merge_flags(flags) or 0 for email, flags in found.items()}


def _have_merged(connection: apsw.Connection, account: AccountId, since: int) -> bool:
    if since < read_horizon(connection, account):
        return True
    return bool(read_number(connection, _MERGED, (account, since, THREADS_MERGED)))


def _read_came(connection: apsw.Connection, account: AccountId, mailbox: MailboxId, uids: UidSet) -> list[Came]:
    source, bound = placements_in(uids)
    tables, _, where = source.partition(" WHERE ")
    rows = select_rows(
        connection,
        "uid, email, received, thread",
        f"SELECT p.uid, p.email, e.received, e.thread FROM {tables} CROSS JOIN email e ON e.account = ?1"
        f" AND e.email = p.email WHERE {where} ORDER BY p.uid",
        (account, mailbox, bound),
    )
    return [Came(*cast("list[int]", row)) for row in rows]


# -- a whole mailbox


def _is_large(connection: apsw.Connection, account: AccountId, mailbox: MailboxId, large: int) -> bool:
    """It has many emails, and a good part of the account's. Raises NoSuchMailbox."""
    read_mailbox_state(connection, account, mailbox)
    total = read_number(connection, _TOTAL, (account, mailbox)) or 0
    there, _ = _read_counts(connection, account)
    return total > large and total * _SMALL >= there


def _read_order(connection: apsw.Connection, account: AccountId) -> tuple[int, Columns]:
    return read_modseq(connection, account), _read_ordered(connection, account, None)


def _join(snapshot: Snapshot, emails: array[int], columns: Columns) -> Listing | None:
    """None: it does not fit."""
    wanted = set(emails)
    if len(wanted) < len(columns.order):
        chosen = list(map(wanted.__contains__, columns.order))
        order, received, threads = (array(column.typecode, compress(column, chosen)) for column in columns)
        columns = Columns(order, received, threads)
    return make_listing(snapshot, emails, *columns) if len(columns.order) == len(wanted) else None


def _read_listing(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> Listing:
    snapshot, emails = _read_placed(connection, account, mailbox)
    wanted = set(emails)
    there, _ = _read_counts(connection, account)
    if len(wanted) * _SMALL < there:
        columns = _read_small(connection, account, mailbox)
    else:
        columns = _read_ordered(connection, account, wanted)
    return make_listing(snapshot, emails, *columns)


def _read_placed(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> tuple[Snapshot, array[int]]:
    """The snapshot, and the emails of its UIDs: of one look."""
    uidvalidity, uidnext, highest, modseq = read_mailbox_state(connection, account, mailbox)
    uids, flags, modseqs, emails = array("I"), array("Q"), array("Q"), array("Q")
    more = True
    while more:
        text = cast("str | None", connection.execute(_PLACED, (account, mailbox, uids[-1] if uids else 0)).get)
        numbers = _read_numbers(f"[{text or ''}]")
        for start, column in enumerate((uids, flags, modseqs, emails)):
            column.extend(numbers[start::4])
        more = len(numbers) == 4 * _AT_ONCE
    snapshot = Snapshot(UidValidity(uidvalidity), Uid(uidnext), ModSeq(modseq), uids, flags, modseqs, ModSeq(highest))
    return snapshot, emails


def _read_small(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> Columns:
    rows = select_rows(connection, "email, received, thread", _OF_MAILBOX, (account, mailbox))
    emails, received, threads = zip(*cast("list[list[int]]", rows), strict=True) if rows else ((), (), ())
    return Columns(array("Q", emails), array("q", received), array("Q", threads))


def _read_ordered(connection: apsw.Connection, account: AccountId, wanted: set[int] | None) -> Columns:
    """By two indexes of the whole account; `wanted` None: all there are."""
    order, received = array("Q"), array("q")
    last: Sequence[int] = (_FIRST, 0)
    more = True
    while more:
        text = cast("str | None", connection.execute(_RECEIVED, (account, *last)).get)
        numbers = _read_numbers(f"[{text or ''}]")
        more = len(numbers) == 2 * _AT_ONCE
        last = numbers[-2:]
        if wanted is not None and not wanted.issuperset(numbers[1::2]):
            pairs = [pair for pair in zip(numbers[0::2], numbers[1::2], strict=True) if pair[1] in wanted]
            received.extend([pair[0] for pair in pairs])
            order.extend([pair[1] for pair in pairs])
        else:
            received.extend(numbers[0::2])
            order.extend(numbers[1::2])
    thread_of = read_thread_map(connection, account).get
    return Columns(order, received, array("Q", map(thread_of, order, order)))


def read_everything(connection: apsw.Connection, account: AccountId) -> Columns:
    """All emails that JMAP sees."""
    return _read_ordered(connection, account, set(select_numbers(connection, _VISIBLE, (account,))))
