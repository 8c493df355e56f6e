"""What is done to the store now and then, by one worker at a time: whoever holds the lock `store/duty`.

Accounts that the directory removed are marked in the store within a minute, brought back there when the directory has
them again, and forgotten by the directory when the store has erased them. Hourly what is over for good goes: mail
after the undelete time, bodies nobody refers to, old changes. Killed anywhere, the next holder goes on: each step looks
at what both sides say.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from contextlib import AbstractContextManager

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_accounts import find_removed, has_account
from posthouse.app.store import Whereabouts
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Accounts, DirectoryError
from posthouse.ports.directory_admin import DirectoryAdmin, RemovedAccount
from posthouse.ports.observe import Log
from posthouse.ports.store import StoreError, StoreRefusal

LOOK_S = 60.0
_PURGE_S = 3600.0


class DutyLock:
    """Held from the first success to the end of the process, or `release`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor: int | None = None

    def take(self) -> bool:
        if self._descriptor is not None:
            return True
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


class StoreDuty:
    """`undelete_s`: as the store has it. `open_admin` opens the directory for writing, for a moment."""

    def __init__(
        self,
        store: SqliteStore,
        whereabouts: Whereabouts,
        accounts: Accounts,
        open_admin: Callable[[], AbstractContextManager[DirectoryAdmin]],
        lock: DutyLock,
        tools: tuple[Clock, Log],
    ) -> None:
        self._store, self._whereabouts, self._accounts = store, whereabouts, accounts
        self._open_admin, self._lock = open_admin, lock
        self._clock, self._log = tools
        self._next_purge = 0.0

    async def look(self) -> None:
        """Every minute. Does nothing while another worker does it."""
        if not self._lock.take():
            return
        try:
            await self._match_accounts()
            if self._clock.monotonic() >= self._next_purge:
                self._next_purge = self._clock.monotonic() + _PURGE_S
                await self._store.purge(self._clock.now())
        except (StoreError, StoreRefusal, DirectoryError, OSError) as error:
            self._log.warning("store could not be looked after", error=str(error))

    def release(self) -> None:
        self._lock.release()

    async def _match_accounts(self) -> None:
        with self._open_admin() as admin:
            gone = {each.account: each for each in admin.list_removed()}
            self._whereabouts.removed = {account: each.shard for account, each in gone.items()}
            marked = await find_removed(self._store.core)
            for account in gone.keys() - marked:
                await self._remove(gone[account], admin)
            for account in marked - gone.keys():
                await self._restore(account)

    async def _remove(self, entry: RemovedAccount, admin: DirectoryAdmin) -> None:
        """Not marked: removed just now, or erased since, or it never had mail."""
        if await has_account(self._store.core, entry.account):
            await self._store.remove_account(entry.account)
            self._log.info("account removed", account=entry.account)
        elif entry.removed_at + self._store.core.options.undelete_s < self._clock.now():
            admin.forget_account(entry.account)
            self._log.info("account erased", account=entry.account)

    async def _restore(self, account: AccountId) -> None:
        if self._accounts.get(account) is not None and await self._store.restore_account(account):
            self._log.info("account restored", account=account)
