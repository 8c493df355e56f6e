"""Who waits for changes of an account, and how they hear of them.

Own commits are told at once; those of other processes by their hints, and by a look at `PRAGMA data_version` (some
microseconds) every 50 ms per shard that has watchers, so that a lost hint costs 50 ms and not a message. While a shard
has watchers its lock file says so, which is what others ask before they send hints (`is_anyone_watching`). All on the
event loop's thread. Callbacks are hints: they say that something may have changed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_shard import Shard
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, read_number, select_rows
from posthouse.message.mailbox import AccountId
from posthouse.ports.store import StoreError

_LOOKS = 20  # that may come late before others think that nobody watches


class Watch:
    """A `Subscription`."""

    __slots__ = ("_watchers", "account", "callback")

    def __init__(self, watchers: Watchers, account: AccountId, callback: Callable[[], None]) -> None:
        self._watchers = watchers
        self.account = account
        self.callback = callback

    def cancel(self) -> None:
        self._watchers.drop(self)


class Watchers:
    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._watches: dict[AccountId, dict[Watch, None]] = {}
        self._modseqs: dict[AccountId, int] = {}
        self._versions: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._looking: set[asyncio.Task[None]] = set()

    def watch(self, account: AccountId, callback: Callable[[], None]) -> Watch:
        shard = self._core.shard(account)
        self._mark(shard)  # before the look: what comes later is told
        watch = Watch(self, account, callback)
        self._watches.setdefault(account, {})[watch] = None
        if account not in self._modseqs:
            found = read_number(shard.watching, "SELECT modseq FROM account WHERE account = ?", (account,))
            self._modseqs[account] = found or 0
        if self._timer is None:
            self._set_timer()
        return watch

    def drop(self, watch: Watch) -> None:
        watches = self._watches.get(watch.account, {})
        watches.pop(watch, None)
        if not watches:
            self._watches.pop(watch.account, None)
            self._modseqs.pop(watch.account, None)

    def note(self, account: AccountId, modseq: int) -> None:
        """A commit of this process."""
        if account in self._watches and self._modseqs.get(account) != modseq:
            self._modseqs[account] = modseq
            self._call(account)

    def hint(self, accounts: Iterable[AccountId]) -> None:
        """Another process says that it changed these."""
        for account in accounts:
            if account in self._watches:
                self._call(account)

    def _call(self, account: AccountId) -> None:
        for watch in list(self._watches.get(account, ())):
            watch.callback()

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._core.options.poll_s, self.look)

    def look(self) -> None:
        """At every shard that somebody watches."""
        self._timer = None
        if not self._watches or not self._core.shards:
            return
        by_shard: dict[Shard, list[AccountId]] = {}
        for account in self._watches:
            by_shard.setdefault(self._core.shard(account), []).append(account)
        for shard, accounts in by_shard.items():
            self._mark(shard)
            if self._is_changed(shard):
                task = asyncio.get_running_loop().create_task(self._compare(shard, accounts))
                self._looking.add(task)
                task.add_done_callback(self._looking.discard)
        self._set_timer()

    def _mark(self, shard: Shard) -> None:
        shard.gate.set_watched(max(shard.gate.watched_until, self._now() + _LOOKS * self._core.options.poll_s))

    def is_anyone_watching(self) -> bool:
        """In any process; a moment later than the last one stops."""
        now = self._now()
        return any(shard.gate.watched_until > now for shard in self._core.shards)

    def _now(self) -> float:
        return self._core.clock.monotonic()

    def _is_changed(self, shard: Shard) -> bool:
        try:
            version = read_number(shard.watching, "PRAGMA data_version")
        except apsw.Error:
            return False
        if self._versions.get(shard.path) == version:
            return False
        self._versions[shard.path] = cast(int, version)
        return True

    async def _compare(self, shard: Shard, accounts: list[AccountId]) -> None:
        try:
            rows = await shard.readers.run(_read_modseqs, accounts)
        except (StoreError, RuntimeError):  # closed meanwhile, or the disk: the next look tells
            return
        for account, modseq in rows:
            self.note(AccountId(account), modseq)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._watches.clear()


def _read_modseqs(connection: apsw.Connection, accounts: list[AccountId]) -> list[tuple[int, int]]:
    rows = select_rows(
        connection,
        "account, modseq",
        f"SELECT account, modseq FROM account WHERE account {IN_LIST}",
        (numbers_json(accounts),),
    )
    return cast("list[tuple[int, int]]", rows)
