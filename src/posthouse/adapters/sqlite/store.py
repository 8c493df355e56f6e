"""The message store on SQLite: `ports.store` over a few shards (docs/internals.md "Store").

Trusts: that the directory is ours (0700), and `locate`, which says where an account lies. Guarantees: what a future
resolves with is on disk; after a crash every shard is in a state of docs/internals.md. Several processes may have the
store open. Search is another adapter's: its factory is handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import DatabaseRefused
from posthouse.adapters.sqlite.disk import Disk, FreeSpace
from posthouse.adapters.sqlite.store_base import QuotaLimits, StoreCore, StoreOptions, no_limits
from posthouse.adapters.sqlite.store_blobs import SqliteBlobs
from posthouse.adapters.sqlite.store_changes import SqliteChanges
from posthouse.adapters.sqlite.store_mailboxes import SqliteMailboxes
from posthouse.adapters.sqlite.store_messages import SqliteMessages
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.store_purge import (
    forget_changes,
    mark_removed,
    purge_shard,
    restore_account,
    undelete_emails,
)
from posthouse.adapters.sqlite.store_quotas import SqliteQuotas
from posthouse.adapters.sqlite.store_records import SqliteAnswered, SqliteRecords
from posthouse.adapters.sqlite.store_shard import Shard, open_files
from posthouse.adapters.sqlite.store_sharing import SqliteAnnotations, SqliteSharing
from posthouse.adapters.sqlite.store_snapshots import Snapshots
from posthouse.adapters.sqlite.store_submissions import SqliteSubmissions
from posthouse.adapters.sqlite.store_thread_places import SqliteThreads
from posthouse.adapters.sqlite.store_watch import Watchers
from posthouse.adapters.sqlite.store_works import Committed
from posthouse.message.mailbox import AccountId, EmailId, ModSeq
from posthouse.ports.clock import Clock
from posthouse.ports.store import Search, Store, StoreError

SearchFactory = Callable[[StoreCore], Search]
_DISK_THREADS = 4


class SqliteStore:
    """`quota`: (octets, emails) of an account, None without limit. `on_commit` is called in the event loop with the
    accounts a commit of this process changed, while anybody watches any, for other processes to be told; what they
    tell goes to `hint`.
    """

    def __init__(
        self,
        directory: str,
        locate: Callable[[AccountId], int],
        clock: Clock,
        *,
        quota: Callable[[AccountId], QuotaLimits] = no_limits,
        options: StoreOptions | None = None,
        files: Files | None = None,
    ) -> None:
        self._directory = directory
        self._files = files or Files()
        self.core = StoreCore(locate, quota, clock, options or StoreOptions())
        self._executor = ThreadPoolExecutor(_DISK_THREADS, "store disk")
        self.disk = Disk(self._files, self._executor)
        self._snapshots = self.core.snapshots = Snapshots(self.core)
        self._watchers = Watchers(self.core)
        self._search: Search | None = None
        self.on_commit: Callable[[Sequence[AccountId]], None] | None = None
        self.mailboxes = SqliteMailboxes(self.core)
        self.messages = SqliteMessages(self.core, self.disk, self._snapshots)
        self.blobs = SqliteBlobs(self.core)
        self.changes = SqliteChanges(self.core, self._watchers)
        self.quotas = SqliteQuotas(self.core)
        self.submissions = SqliteSubmissions(self.core)
        self.sharing = SqliteSharing(self.core)
        self.annotations = SqliteAnnotations(self.core)
        self.threads = SqliteThreads(self.core)
        self.records = SqliteRecords(self.core)
        self.answered = SqliteAnswered(self.core)

    async def open(self) -> None:
        """Raises StoreError, with the reason, when a shard cannot be used."""
        options, clock = self.core.options, self.core.clock
        await self.disk.run(self._files.make_directory, self._directory)
        self.core.space = FreeSpace(self._files, self._directory, options.min_free, clock)
        for number in range(options.shards):
            try:
                opened = await self.disk.run(open_files, self._directory, number, self._files)
            except DatabaseRefused as error:
                await self.close()
                raise StoreError(str(error)) from error
            self.core.shards.append(
                Shard(opened, self.disk, clock, options.limits, self._tell, self.core.space.note_full)
            )

    def set_search(self, factory: SearchFactory) -> None:
        self._search = factory(self.core)

    @property
    def store(self) -> Store:
        """The ports together. Search must have been set."""
        if self._search is None:
            raise StoreError("no search was set")
        return Store(
            self.mailboxes,
            self.messages,
            self.blobs,
            self.changes,
            self._search,
            self.quotas,
            self.submissions,
            self.sharing,
            self.annotations,
            self.threads,
        )

    # What commits tell.

    def _tell(self, committed: list[Committed], patches: list[FlagsPatch]) -> None:
        self._snapshots.apply(patches)
        now = self.core.clock.monotonic()
        for account, modseq, emails, octets in committed:
            self.quotas.note(AccountId(account), emails, octets, now)
            self._watchers.note(AccountId(account), modseq)
        if self.on_commit is not None and self._watchers.is_anyone_watching():
            self.on_commit([AccountId(account) for account, _, _, _ in committed])

    def hint(self, accounts: Iterable[AccountId]) -> None:
        """Another process has changed these accounts, it says."""
        self._watchers.hint(accounts)

    # What an administrator and the clock ask for.

    async def ensure_account(self, account: AccountId) -> None:
        """Its row and INBOX, which also come by themselves at first need."""
        await self.core.write(account, lambda unit: None)

    async def remove_account(self, account: AccountId) -> None:
        """NoSuchAccount for everything from now on; erased by `purge` after the undelete time."""
        await self.core.write(account, mark_removed)

    async def restore_account(self, account: AccountId) -> bool:
        """Within the undelete time. False when there is nothing to restore."""
        return await self.core.shard(account).write(None, partial(restore_account, account=account))

    async def undelete(self, account: AccountId, emails: Sequence[EmailId]) -> list[EmailId]:
        """Expunged emails, back where they were. Returns their new ids."""
        return await self.core.write(account, lambda unit: undelete_emails(unit, emails))

    async def purge(self, now: float) -> None:
        """What is over for good by then; in slices, beside normal work. To be run about hourly."""
        for shard in self.core.shards:
            await purge_shard(self.core, self.disk, shard, int(now * 1e6))

    async def forget_changes(self, account: AccountId, until: ModSeq) -> None:
        """Who knows nothing later than that must look anew."""
        await self.core.write(account, lambda unit: forget_changes(unit, until))

    def figures(self) -> list[dict[str, float]]:
        """For metrics, per shard: names are the last part of a metric's name."""
        return [shard.figures() for shard in self.core.shards]

    @property
    def is_broken(self) -> bool:
        return any(shard.is_broken for shard in self.core.shards)

    async def close(self) -> None:
        """Everything handed in is committed."""
        self._watchers.close()
        await self.quotas.close()
        shards, self.core.shards = self.core.shards, []
        for shard in shards:
            await shard.close()
        self._executor.shutdown()
