"""Who wants to hear of changes, and what is told them (RFC 8620 §7.1): one look into the store for all who listen to an
account, whoever changed it.

    hub = PushHub(changes, records, log)
    listener = await hub.listen(account, types, since)      # since: the state a client has seen, None: from now on
    heard = await listener.wait()                           # StateChange, or PING; raises ListenerOver
    listener.close()
    hub.sweep(now)                                          # every second: pings, and who may listen no more

What a slow client has not taken is merged with what came since, so a listener never holds more than one state for each
type. States are the account's modification sequence; only types that changed are told. Nothing is durable: a client
that comes back says what it saw last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.message.objectids import name_account
from posthouse.ports.observe import Log
from posthouse.ports.records import Records
from posthouse.ports.store import AccountChanges, Changes, StoreError, StoreRefusal, Subscription
from posthouse.protocol.jmap.push import StateChange

# What a kind of record is called in JMAP.
RECORD_TYPES: Final[Mapping[str, str]] = {
    "identity": "Identity",
    "vacation": "VacationResponse",
    "snooze": "Snooze",
    "search": "SavedSearch",
    "preference": "Preference",
}
PUSH_TYPE: Final = "PushSubscription"  # for our own ears: clients are not told of it (RFC 8620 §7.2)
_KINDS: Final = {**RECORD_TYPES, "push": PUSH_TYPE}
MAIL_TYPES: Final = ("Email", "EmailDelivery", "Thread", "Mailbox", "EmailSubmission")
ALL_TYPES: Final = frozenset((*MAIL_TYPES, *RECORD_TYPES.values()))
_PAUSE_S = 0.02  # between two looks at an account: what comes in one stream is told in a few
_LONGEST_S = 60.0
_CHECKED_AT_ONCE = 200  # 5 us each: the directory is asked whether it changed


class ListenerOver(Exception):
    """Nothing more will be told; the text says why."""


class Ping:
    """It is time to show that the connection is alive."""


PING: Final = Ping()
Heard = StateChange | Ping


class Listener:
    """One client's ear. `types` None: all. `why_over`: why it may hear no more, "" while it may."""

    __slots__ = ("_account", "_hub", "_is_ping_due", "_over", "_pending", "_types", "_waiter", "ping_at", "why_over")

    def __init__(
        self, hub: PushHub, account: AccountId, types: frozenset[str] | None, why_over: Callable[[], str]
    ) -> None:
        self._hub, self._account, self._types = hub, account, types
        self._pending: dict[str, str] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._is_ping_due = False
        self._over = ""
        self.why_over = why_over
        self.ping_at = 0.0  # by the clock of `sweep`; 0: no pings

    async def wait(self) -> Heard:
        """Raises ListenerOver."""
        while not self._over and self._pending is None and not self._is_ping_due:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._over:
            raise ListenerOver(self._over)
        if self._pending is not None:
            told, self._pending = self._pending, None
            return StateChange({name_account(self._account): told})
        self._is_ping_due = False
        return PING

    @property
    def account(self) -> AccountId:
        return self._account

    def hear(self, types: frozenset[str] | None) -> None:
        """Of these types from now on."""
        self._types = types
        if self._pending is not None and types is not None:
            self._pending = {name: state for name, state in self._pending.items() if name in types} or None

    def tell(self, states: Mapping[str, str]) -> None:
        types = ALL_TYPES if self._types is None else self._types
        wanted = {name: state for name, state in states.items() if name in types}
        if wanted:
            self._pending = {**(self._pending or {}), **wanted}
            self._wake()

    def ping(self) -> None:
        self._is_ping_due = True
        self._wake()

    def end(self, reason: str) -> None:
        self._over = self._over or reason
        self._wake()

    def close(self) -> None:
        """By who listened."""
        self._hub.forget(self._account, self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class PushHub:
    """One per worker. `again_s`: until a store that could not answer is asked again; doubled, up to a minute."""

    def __init__(self, changes: Changes, records: Records, log: Log, again_s: float = 1.0) -> None:
        self._changes, self._records, self._log, self._again_s = changes, records, log, again_s
        self._ears: dict[AccountId, _Ear] = {}
        self._unchecked: list[Listener] = []
        self._is_over = False

    def count(self, account: AccountId) -> int:
        ear = self._ears.get(account)
        return len(ear.listeners) if ear is not None else 0

    @property
    def total(self) -> int:
        return sum(len(ear.listeners) for ear in self._ears.values())

    def list_all(self) -> list[Listener]:
        return [listener for ear in self._ears.values() for listener in ear.listeners]

    async def listen(
        self,
        account: AccountId,
        types: frozenset[str] | None,
        why_over: Callable[[], str],
        since: ModSeq | None = None,
    ) -> Listener:
        """What changed after `since` is told at once. Raises StoreError, StoreRefusal."""
        listener = Listener(self, account, types, why_over)
        if self._is_over:
            listener.end(STOPPED)
            return listener
        ear = self._ears.get(account)
        if ear is None:
            ear = self._ears[account] = _Ear(account, self._changes, self._records, self._log, self._again_s)
        ear.listeners.add(listener)
        try:
            await ear.ready()
            if since is not None:
                await self.catch_up(listener, since)
        except BaseException:
            listener.close()
            raise
        return listener

    async def catch_up(self, listener: Listener, since: ModSeq) -> None:
        """It hears what changed after that. Raises StoreError, StoreRefusal."""
        ear = self._ears.get(listener.account)
        if ear is not None:
            listener.tell(await ear.find_states(since))

    def forget(self, account: AccountId, listener: Listener) -> None:
        ear = self._ears.get(account)
        if ear is None:
            return
        ear.listeners.discard(listener)
        if not ear.listeners:
            ear.close()
            del self._ears[account]

    def sweep(self, now: float) -> None:
        for listener in self.list_all():
            if 0 < listener.ping_at <= now:
                listener.ping_at = 0.0
                listener.ping()
        if not self._unchecked:
            self._unchecked = self.list_all()
        some, self._unchecked = self._unchecked[:_CHECKED_AT_ONCE], self._unchecked[_CHECKED_AT_ONCE:]
        for listener in some:
            reason = listener.why_over()
            if reason:
                listener.end(reason)

    def end_all(self, reason: str) -> None:
        """The worker is told to go. Clients come back, to another."""
        self._is_over = True
        for listener in self.list_all():
            listener.end(reason)


STOPPED = "The server stops, come back soon"
GONE = "The account is gone"


class _Ear:
    """What is heard of one account."""

    __slots__ = (
        "_account",
        "_again_s",
        "_changes",
        "_is_stale",
        "_log",
        "_looking",
        "_records",
        "_seen",
        "_watch",
        "listeners",
    )

    def __init__(self, account: AccountId, changes: Changes, records: Records, log: Log, again_s: float) -> None:
        self._account, self._changes, self._records, self._log = account, changes, records, log
        self._again_s = again_s
        self._seen: ModSeq | None = None
        self._looking: asyncio.Task[None] | None = None
        self._is_stale = False
        self._watch: Subscription = changes.watch(account, self._note)
        self.listeners: set[Listener] = set()

    async def ready(self) -> None:
        """From here on nothing is missed."""
        if self._seen is None:
            seen = await self._changes.modseq(self._account)
            if self._seen is None:
                self._seen = seen

    def close(self) -> None:
        self._watch.cancel()
        if self._looking is not None:
            self._looking.cancel()

    def _note(self) -> None:
        self._is_stale = True
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            while self._is_stale:
                self._is_stale = False
                self._seen, states = await self._find_again()
                for listener in self.listeners:
                    listener.tell(states)
                await asyncio.sleep(_PAUSE_S)
        except StoreRefusal as error:  # the account was removed
            self._log.info("changes not told any more", account=int(self._account), error=repr(error))
            for listener in list(self.listeners):
                listener.end(GONE)
        finally:
            self._looking = None

    async def _find_again(self) -> tuple[ModSeq, dict[str, str]]:
        """Until the store answers, from where the last look ended: the change may be the last for a long time.
        Raises StoreRefusal.
        """
        wait_s = self._again_s
        while True:
            try:
                await self.ready()
                assert self._seen is not None
                return await self._find(self._seen)
            except StoreError as error:
                self._log.warning("changes not told yet", account=int(self._account), error=repr(error))
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_S)

    async def find_states(self, since: ModSeq) -> dict[str, str]:
        """Of the types that changed after that."""
        return (await self._find(since))[1]

    async def _find(self, since: ModSeq) -> tuple[ModSeq, dict[str, str]]:
        changes = await self._changes.in_account(self._account, since)
        kinds = await self._records.kinds_changed(self._account, since)
        types = [*_list_mail_types(changes), *(_KINDS[kind] for kind in sorted(kinds) if kind in _KINDS)]
        return changes.modseq, dict.fromkeys(types, str(changes.modseq))


def _list_mail_types(changes: AccountChanges) -> Sequence[str]:
    """Of a state that is too old nobody knows what changed since, so it may be all."""
    if not changes.is_complete:
        return MAIL_TYPES
    mailboxes = (
        changes.mailboxes_created
        or changes.mailboxes_updated
        or changes.mailboxes_counted
        or changes.mailboxes_destroyed
    )
    changed = (
        changes.created or changes.updated or changes.destroyed,
        changes.created,
        changes.threads_changed,
        mailboxes,
        changes.submissions_changed,
    )
    return [name for name, some in zip(MAIL_TYPES, changed, strict=True) if some]
