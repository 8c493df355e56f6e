"""How many threads each mailbox has, and how many of them are unread (RFC 8621 §2): counted once in a worker's life.

A thread is unread in its mailboxes when one of its emails is, wherever that lies but in Trash; in Trash by what lies
there. Drafts are not unread.

Of each account a worker keeps which threads each mailbox has and which are unread, and the counts. Of what changed
since, the store is asked where those threads are now. What was read too early is read again the next time, as the state
is asked first. What is kept is bounded by the number of threads; the longest unused accounts go first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence

from posthouse.access.jmap.mailboxes import ThreadCounts
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, ModSeq, Role, ThreadId
from posthouse.ports.store import Store
from posthouse.ports.store_threads import ThreadPlaces

MAX_THREADS = 1_000_000  # in all accounts of a worker
_MANY = 5_000  # emails and threads touched, from which on all are counted anew


class Tally:
    """Of one account at `modseq`. `unread` leaves Trash out. Pure."""

    def __init__(self, modseq: ModSeq, trash: MailboxId | None, places: ThreadPlaces) -> None:
        self.modseq, self.trash = modseq, trash
        self._there = places.there
        self._unread, self._unread_in_trash = _split_unread(places, trash)
        self._totals = {mailbox: len(threads) for mailbox, threads in self._there.items()}
        self._unreads = {mailbox: len(threads & self._unread_for(mailbox)) for mailbox, threads in self._there.items()}

    def __len__(self) -> int:
        return sum(self._totals.values())

    def _unread_for(self, mailbox: MailboxId) -> set[ThreadId]:
        return self._unread_in_trash if mailbox == self.trash else self._unread

    def replace(self, threads: Iterable[ThreadId], places: ThreadPlaces) -> None:
        """`places`: where these threads are now."""
        unread, in_trash = _split_unread(places, self.trash)
        for mailbox in places.there:
            self._there.setdefault(mailbox, set())
        for thread in threads:
            self._count(thread, -1)
            for mailbox, members in self._there.items():
                _put(members, thread, is_in=thread in places.there.get(mailbox, ()))
            _put(self._unread, thread, is_in=thread in unread)
            _put(self._unread_in_trash, thread, is_in=thread in in_trash)
            self._count(thread, 1)

    def _count(self, thread: ThreadId, step: int) -> None:
        for mailbox, members in self._there.items():
            if thread in members:
                self._totals[mailbox] = self._totals.get(mailbox, 0) + step
                if thread in self._unread_for(mailbox):
                    self._unreads[mailbox] = self._unreads.get(mailbox, 0) + step

    def count(self) -> dict[MailboxId, ThreadCounts]:
        """Mailboxes that never had a thread are left out."""
        return {mailbox: ThreadCounts(total, self._unreads.get(mailbox, 0)) for mailbox, total in self._totals.items()}


def _split_unread(places: ThreadPlaces, trash: MailboxId | None) -> tuple[set[ThreadId], set[ThreadId]]:
    elsewhere = [threads for mailbox, threads in places.unread.items() if mailbox != trash]
    return set[ThreadId]().union(*elsewhere), set() if trash is None else places.unread.get(trash, set())


def _put(members: set[ThreadId], thread: ThreadId, *, is_in: bool) -> None:
    if is_in:
        members.add(thread)
    else:
        members.discard(thread)


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
            modseq = await store.changes.modseq(account)
            known = Tally(modseq, trash, await store.threads.places(account))
        self._keep(account, known)
        return known.count()

    def _keep(self, account: AccountId, tally: Tally) -> None:
        self._kept[account] = tally
        self._kept.move_to_end(account)
        while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._max_threads:
            self._kept.popitem(last=False)


async def _catch_up(store: Store, account: AccountId, tally: Tally) -> bool:
    """False: too much changed, or too long ago."""
    modseq = await store.changes.modseq(account)
    if modseq == tally.modseq:
        return True
    changes = await store.changes.in_account(account, tally.modseq)
    emails = [*changes.created, *changes.updated]
    if not changes.is_complete or len(emails) + len(changes.threads_changed) > _MANY:
        return False
    threads, places = await store.threads.places_of(account, changes.threads_changed, emails)
    tally.replace(threads, places)
    tally.modseq = min(modseq, changes.modseq)
    return True
