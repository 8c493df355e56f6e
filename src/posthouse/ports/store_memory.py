"""The message store's fake: passes the same conformance suite as the real one, and fails when it is told to.

Nothing here is durable; what is in it outlives nobody. Any account exists from its first use on, until it is removed.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports.answered_memory import MemoryAnswered
from posthouse.ports.clock import Clock
from posthouse.ports.records_memory import MemoryRecords
from posthouse.ports.store import NoSuchAccount, Store, StoreBroken, StoreError, StoreFull
from posthouse.ports.store_memory_mailboxes import MailboxLimits, MemoryMailboxes
from posthouse.ports.store_memory_messages import Doors, MemoryBlobs, MemoryMessages
from posthouse.ports.store_memory_reading import MemoryChanges, MemoryQuotas, MemorySearch, MemoryThreads
from posthouse.ports.store_memory_sharing import MemoryAnnotations, MemorySharing
from posthouse.ports.store_memory_state import AccountState
from posthouse.ports.store_memory_submissions import MemorySubmissions

_LIMITS = MailboxLimits()


@dataclass(frozen=True, slots=True)
class QuotaLimit:
    """None: without limit."""

    octets: int | None = None
    emails: int | None = None


class MemoryStore:
    """All ports of the store: `mailboxes`, `messages`, `blobs`, `changes`, `search`, `quotas`, `submissions`,
    `sharing`, `annotations`, `threads`. Beside them `records` (ports/records.py) and `answered` (ports/answered.py).

    Switches: `full` refuses new mail as a full disk does (changes of mail already held go on); `broken` refuses every
    change as after a failed fsync; `error` is what any use raises. `quotas_of` are the limits of accounts.
    `forget_changes` is what age does to the record of changes.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        inline_limit: int = 128 * 1024,
        max_records: int = 100_000,
        limits: MailboxLimits = _LIMITS,
    ) -> None:
        self.full = False
        self.broken = False
        self.error: StoreError | None = None
        self.quotas_of: dict[AccountId, QuotaLimit] = {}
        self._clock, self._max_records = clock, max_records
        self._accounts: dict[AccountId, AccountState] = {}
        self._removed: set[AccountId] = set()
        doors = Doors(clock, self._read, self._write, self._grow, self._has_room, self._check_growth)
        self.mailboxes = MemoryMailboxes(self._read, self._write, limits)
        self.messages = MemoryMessages(doors, inline_limit)
        self.blobs = MemoryBlobs(doors, inline_limit)
        self.changes = MemoryChanges(self._read)
        self.search = MemorySearch(self._read)
        self.quotas = MemoryQuotas(self._read, self._has_room)
        self.submissions = MemorySubmissions(doors, self._accounts, inline_limit)
        self.sharing = MemorySharing(self._read, self._write, self._accounts)
        self.annotations = MemoryAnnotations(self._read, self._write)
        self.threads = MemoryThreads(self._read)
        self.records = MemoryRecords(self._read, self._write, self._accounts)
        self.answered = MemoryAnswered(self._write)

    def as_store(self) -> Store:
        return Store(
            self.mailboxes,
            self.messages,
            self.blobs,
            self.changes,
            self.search,
            self.quotas,
            self.submissions,
            self.sharing,
            self.annotations,
            self.threads,
        )

    def remove_account(self, account: AccountId) -> None:
        self._accounts.pop(account, None)
        for state in self._accounts.values():
            for box in state.boxes.values():
                box.grants = {key: grant for key, grant in box.grants.items() if key[0] != account}
        self._removed.add(account)

    def forget_changes(self, account: AccountId, until: ModSeq) -> None:
        self._read(account).forget_until(until)

    def _read(self, account: AccountId) -> AccountState:
        if self.error is not None:
            raise self.error
        if account in self._removed:
            raise NoSuchAccount(account)
        state = self._accounts.get(account)
        if state is None:
            state = self._accounts[account] = AccountState(account, self._clock.now(), self._max_records)
        return state

    def _write(self, account: AccountId) -> AccountState:
        if self.broken:
            raise StoreBroken("disk failed")
        return self._read(account)

    def _grow(self, account: AccountId) -> AccountState:
        self._check_growth()
        return self._read(account)

    def _check_growth(self) -> None:
        if self.error is not None:
            raise self.error
        if self.broken:
            raise StoreBroken("disk failed")
        if self.full:
            raise StoreFull("not enough free space")

    def _has_room(self, account: AccountId, emails: int, octets: int) -> bool:
        limit = self.quotas_of.get(account)
        if limit is None:
            return True
        state = self._read(account)
        fits = limit.octets is None or state.octets + octets <= limit.octets
        return fits and (limit.emails is None or len(state.emails) + emails <= limit.emails)
