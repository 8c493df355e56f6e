"""How many threads each mailbox has, and how many of them are unread (RFC 8621 §2): counted once in a worker's life.

A thread is one number, its shape: a bit for each mailbox it has an email in, and two that say where it is unread. Of
each account a worker keeps the shape of every thread and how many threads have each shape; there are few shapes, so
that the counts of all mailboxes are a short sum. What changed since is looked at thread by thread, as it is now: what
was read too early is read again the next time.

A thread is unread in its mailboxes when one of its emails is, wherever that lies but in Trash; in Trash by what lies
there. Drafts are not unread. What is kept is bounded by the number of threads; the longest unused accounts go first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from posthouse.access.jmap.mailboxes import ThreadCounts
from posthouse.message.mailbox import MAX_UID, AccountId, Flag, Mailbox, MailboxId, ModSeq, Role, ThreadId, UidRange
from posthouse.ms.keywords import is_visible
from posthouse.ports.store import AccountChanges, Fields, Store, WireColumn

MAX_THREADS = 1_000_000  # in all accounts of a worker
_MANY = 2_000  # threads and emails touched, from which on all is counted anew
_READ = int(Flag.SEEN) | int(Flag.DRAFT)
_UNREAD, _UNREAD_IN_TRASH, _FIRST_MAILBOX = 1, 2, 2
_ALL = (UidRange(1, MAX_UID),)


class Tally:
    """Of one account at `modseq`. Pure."""

    def __init__(self, modseq: ModSeq, trash: MailboxId | None) -> None:
        self.modseq, self.trash = modseq, trash
        self.shapes: dict[ThreadId, int] = {}
        self._bits: dict[MailboxId, int] = {}
        self._known: dict[int, int] = {}  # one object for each shape
        self._counts: Counter[int] = Counter()

    def shape_of(self, placements: Iterable[tuple[MailboxId, int]]) -> int:
        """Of the visible placements of a thread's emails, or of some of them: shapes add up by "or"."""
        shape = 0
        for mailbox, flags in placements:
            shape |= self._bit_of(mailbox)
            if not flags & _READ:
                shape |= _UNREAD_IN_TRASH if mailbox == self.trash else _UNREAD
        return shape

    def _bit_of(self, mailbox: MailboxId) -> int:
        bit = self._bits.get(mailbox)
        if bit is None:
            bit = self._bits[mailbox] = 1 << (_FIRST_MAILBOX + len(self._bits))
        return bit

    def set_shape(self, thread: ThreadId, shape: int) -> None:
        """0: it is gone."""
        old = self.shapes.pop(thread, 0)
        self._counts[old] -= 1
        if not self._counts[old]:
            del self._counts[old]
        if shape:
            self.shapes[thread] = self._known.setdefault(shape, shape)
            self._counts[shape] += 1

    def fill(self, shapes: dict[ThreadId, int]) -> None:
        self.shapes = shapes
        self._counts = Counter(shapes.values())

    def count(self) -> dict[MailboxId, ThreadCounts]:
        """Mailboxes without a thread are left out."""
        counts: dict[MailboxId, ThreadCounts] = {}
        for mailbox, bit in self._bits.items():
            unread = _UNREAD_IN_TRASH if mailbox == self.trash else _UNREAD
            there = [(shape, count) for shape, count in self._counts.items() if shape & bit]
            total = sum(count for _, count in there)
            counts[mailbox] = ThreadCounts(total, sum(count for shape, count in there if shape & unread))
        return counts


class ThreadTallies:
    """One per worker."""

    def __init__(self, max_threads: int = MAX_THREADS) -> None:
        self._max_threads = max_threads
        self._kept: OrderedDict[AccountId, Tally] = OrderedDict()

    async def count(
        self, store: Store, account: AccountId, mailboxes: Sequence[Mailbox]
    ) -> Mapping[MailboxId, ThreadCounts]:
        """`mailboxes`: all of the account."""
        trash = next((mailbox.id for mailbox in mailboxes if mailbox.role is Role.TRASH), None)
        known = self._kept.get(account)
        if known is None or known.trash != trash or not await _catch_up(store, account, known):
            known = await _count_all(store, account, trash, mailboxes)
        self._keep(account, known)
        return known.count()

    def _keep(self, account: AccountId, tally: Tally) -> None:
        self._kept[account] = tally
        self._kept.move_to_end(account)
        while len(self._kept) > 1 and sum(len(kept.shapes) for kept in self._kept.values()) > self._max_threads:
            self._kept.popitem(last=False)


async def _count_all(store: Store, account: AccountId, trash: MailboxId | None, mailboxes: Sequence[Mailbox]) -> Tally:
    """The modseq is asked first: what changes meanwhile is looked at again the next time."""
    tally = Tally(await store.changes.modseq(account), trash)
    shapes: dict[ThreadId, int] = {}
    for mailbox in mailboxes:
        if mailbox.total > mailbox.deleted:
            await _add_mailbox(store, account, mailbox.id, tally, shapes)
    tally.fill(shapes)
    return tally


async def _add_mailbox(
    store: Store, account: AccountId, mailbox: MailboxId, tally: Tally, shapes: dict[ThreadId, int]
) -> None:
    snapshot = await store.messages.snapshot(account, mailbox)
    flags = dict(zip(snapshot.uids, snapshot.flags, strict=True))
    read, unread = (tally.shape_of([(mailbox, bits)]) for bits in (_READ, 0))
    get, get_flags = shapes.get, flags.get
    for uid, thread in await store.messages.wire(account, mailbox, _ALL, (WireColumn.THREAD,)):
        bits = get_flags(uid, Flag.DELETED)
        if is_visible(bits):
            shapes[thread] = get(thread, 0) | (read if bits & _READ else unread)


async def _catch_up(store: Store, account: AccountId, tally: Tally) -> bool:
    """False: too much changed, or too long ago."""
    modseq = await store.changes.modseq(account)
    if modseq == tally.modseq:
        return True
    changes = await store.changes.in_account(account, tally.modseq)
    touched = len(changes.created) + len(changes.updated) + len(changes.threads_changed)
    if not changes.is_complete or touched > _MANY:
        return False
    threads = await _threads_touched(store, account, changes)
    emails = await store.messages.thread(account, threads)
    ids = [email for members in emails.values() for email in members]
    rows = {row.email: row for row in await store.messages.load_emails(account, ids, Fields.NONE)}
    for thread in threads:
        placements = [
            (mailbox, placement.flags)
            for email in emails.get(thread, ())
            if email in rows
            for mailbox, placement in rows[email].placements.items()
            if is_visible(placement.flags)
        ]
        tally.set_shape(thread, tally.shape_of(placements))
    tally.modseq = min(modseq, changes.modseq)
    return True


async def _threads_touched(store: Store, account: AccountId, changes: AccountChanges) -> list[ThreadId]:
    rows = await store.messages.load_emails(account, [*changes.created, *changes.updated], Fields.DATES)
    return list(dict.fromkeys([*changes.threads_changed, *[row.thread for row in rows]]))
