"""The message store of a server: where it lies, who is in it, and what delivers into it.

The directory says in which shard an account lies and how much it may hold. More shards than are configured are
opened when there are more: fewer in the configuration means that new accounts go to fewer, never that old ones are
out of reach. What stands beside the ports of `SqliteStore.store`, for JMAP and for vacation answers:
`SqliteStore.records` (ports/records.py) and `SqliteStore.answered` (ports/answered.py).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import QuotaLimits, StoreOptions
from posthouse.config.settings import Settings
from posthouse.mda.filing import ByDetail, Parcel, Stage
from posthouse.mda.store_delivery import AccountPostman, PostmanParts, PostmanSettings
from posthouse.message.mailbox import AccountId
from posthouse.message.parse import parse_message
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.observe import Log
from posthouse.ports.store import NoSuchAccount, Store

_DATABASE = re.compile(r"(\d+)\.db")


def store_path(settings: Settings) -> str:
    return os.path.join(settings.data, "store")


class Whereabouts:
    """What the store asks about accounts. `removed`: shards of accounts that the directory does not name any more."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts
        self.removed: dict[AccountId, int] = {}

    def locate(self, account: AccountId) -> int:
        """Raises NoSuchAccount, DirectoryError."""
        found = self._accounts.get(account)
        if found is not None:
            return found.shard
        if account in self.removed:
            return self.removed[account]
        raise NoSuchAccount(f"there is no account {account}")

    def limits(self, account: AccountId) -> QuotaLimits:
        found = self._accounts.get(account)
        return (None, None) if found is None else (found.quota_octets, found.quota_emails)


def make_store(settings: Settings, whereabouts: Whereabouts, clock: Clock) -> SqliteStore:
    """To be opened and closed by the caller."""
    path, store = store_path(settings), settings.store
    options = StoreOptions(
        shards=max(store.shards, _count_shards(path)),
        inline_limit=store.body_file_size,
        min_free=Space(store.min_free, settings.queue.min_free_inodes),
        undelete_s=store.undelete.total_seconds(),
    )
    made = SqliteStore(path, whereabouts.locate, clock, quota=whereabouts.limits, options=options)
    made.set_search(SqliteSearch)
    return made


def _count_shards(path: str) -> int:
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return 0
    return max((int(match[1]) + 1 for name in names if (match := _DATABASE.fullmatch(name))), default=0)


async def open_store(settings: Settings, accounts: Accounts, clock: Clock) -> SqliteStore:
    """For commands. Raises StoreError."""
    store = make_store(settings, Whereabouts(accounts), clock)
    await store.open()
    return store


def make_postman(
    settings: Settings,
    store: Store,
    people: tuple[Whereabouts, Directory],
    compute: Compute,
    log: Log,
    after: Callable[[Parcel], None] | None = None,
) -> AccountPostman:
    """Sieve scripts will be a stage before the one for tags. `after` hears of what was delivered."""
    whereabouts, directory = people
    stages: list[Stage] = [ByDetail(store.mailboxes)] if settings.delivery.tag_mailbox else []
    parts = PostmanParts(store.messages, directory, parse_message, compute, log, whereabouts.locate, after)
    retries_full = settings.delivery.over_quota_queued == "later"
    return AccountPostman(parts, stages, PostmanSettings(settings.store.body_file_size, retries_full=retries_full))
