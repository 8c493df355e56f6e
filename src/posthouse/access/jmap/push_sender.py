"""State changes to push subscriptions (RFC 8620 §7.2), for devices that are not connected. By one worker at a time.

    sender = PushSender(SenderParts(...))
    await sender.look()        # every few seconds, by the worker that has the lock
    await sender.close()

Each subscription that is verified has a task that listens to its account. What changes while a push is on its way, or a
push service is asked to be patient with, is merged into the next one. After a restart each is told once more what may
have changed since it was made: nothing is kept of what was told, and a state that a client knows costs it nothing.
A subscription ends with its time, with its credential or account, and when the push service says it is gone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from posthouse.access.jmap.push_hub import PUSH_TYPE, Listener, ListenerOver, Ping, PushHub
from posthouse.access.jmap.push_records import KIND, KeptPush, read_push
from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports.clock import Clock
from posthouse.ports.directory import DirectoryError
from posthouse.ports.login import Login
from posthouse.ports.observe import Counter, Log
from posthouse.ports.records import Record, RecordEdit, RecordId, Records
from posthouse.ports.store import StoreError, StoreRefusal
from posthouse.ports.webpush import PushOutcome, WebPush

_RETRIES_S = (10.0, 60.0, 300.0)
_BETWEEN_S = 1.0  # two pushes to one device
_LEFT_S = 30.0  # when the store or the directory could not be asked
_TTL_S = 86400


@dataclass(frozen=True, slots=True)
class SenderParts:
    """`why_over`: why a login must end, "" if it need not. `pause` is asyncio.sleep."""

    hub: PushHub
    records: Records
    push: WebPush
    why_over: Callable[[Login], str]
    clock: Clock
    log: Log
    sent: Counter
    failed: Counter
    pause: Callable[[float], Awaitable[None]]


class PushSender:
    def __init__(self, parts: SenderParts) -> None:
        self._parts = parts
        self._accounts: dict[AccountId, tuple[_AccountPushes, asyncio.Task[None]]] = {}

    async def look(self) -> None:
        """Begins with accounts that have subscriptions now, and has those removed whose time is over. Raises
        StoreError.
        """
        now = self._parts.clock.now()
        for account, (pushes, task) in list(self._accounts.items()):
            if task.done():
                del self._accounts[account]
            else:
                pushes.look(now)
        for account in await self._parts.records.accounts_with(KIND):
            if account not in self._accounts:
                pushes = _AccountPushes(self._parts, account)
                self._accounts[account] = pushes, asyncio.get_running_loop().create_task(pushes.run())

    async def close(self) -> None:
        await _end([task for _, task in self._accounts.values()])
        self._accounts.clear()


class _AccountPushes:
    """The subscriptions of one account; looked at again whenever one of them changes, or its time is over."""

    def __init__(self, parts: SenderParts, account: AccountId) -> None:
        self._parts, self._account = parts, account
        self._tasks: dict[tuple[RecordId, ModSeq], asyncio.Task[None]] = {}
        self._listener: Listener | None = None
        self._next_end = math.inf

    def look(self, now: float) -> None:
        if self._next_end <= now and self._listener is not None:
            self._listener.ping()

    async def run(self) -> None:
        """Until there are none."""
        parts = self._parts
        listener: Listener | None = None
        try:
            self._listener = listener = await parts.hub.listen(self._account, frozenset({PUSH_TYPE}), lambda: "")
            while await self._match():
                await listener.wait()
        except ListenerOver:
            return
        except (StoreError, StoreRefusal) as error:  # `PushSender.look` begins anew
            parts.log.warning("push subscriptions are left for now", account=int(self._account), error=repr(error))
        finally:
            if listener is not None:
                listener.close()
            await _end(list(self._tasks.values()))

    async def _match(self) -> bool:
        """A task for each that is verified, as it is now; whether there are any at all."""
        records = await self._parts.records.list_all(self._account, KIND)
        subscriptions = [(record, read_push(record)) for record in records]
        now = self._parts.clock.now()
        over = [RecordEdit(None, record.id) for record, kept in subscriptions if kept.expires <= now]
        wanted = {(record.id, record.changed): (record, kept) for record, kept in subscriptions if kept.expires > now}
        self._next_end = min((kept.expires for _, kept in wanted.values()), default=math.inf)
        await _end([self._tasks.pop(key) for key in list(self._tasks) if key not in wanted])
        if over:
            await self._parts.records.edit(self._account, KIND, over)
        for key, (record, kept) in wanted.items():
            if key not in self._tasks and kept.is_verified:
                work = _Subscription(self._parts, self._account, record, kept).run()
                self._tasks[key] = asyncio.get_running_loop().create_task(work)
        return bool(wanted)


class _Subscription:
    def __init__(self, parts: SenderParts, account: AccountId, record: Record, kept: KeptPush) -> None:
        self._parts, self._account, self._record, self._kept = parts, account, record, kept

    async def run(self) -> None:
        """Until it is over."""
        parts = self._parts
        while True:
            try:
                await self._listen()
                return
            except ListenerOver:
                return
            except (StoreError, StoreRefusal, DirectoryError) as error:
                parts.log.warning("a push subscription is left for now", account=int(self._account), error=repr(error))
            await parts.pause(_LEFT_S)

    async def _listen(self) -> None:
        parts, kept = self._parts, self._kept
        types = None if kept.types is None else frozenset(kept.types)
        listener = await parts.hub.listen(self._account, types, lambda: "", self._record.changed)
        try:
            while True:
                heard = await listener.wait()
                if self._why_over() or (not isinstance(heard, Ping) and not await self._send(heard.as_json())):
                    await self._remove()
                    return
                await parts.pause(_BETWEEN_S)
        finally:
            listener.close()

    def _why_over(self) -> str:
        if self._kept.expires <= self._parts.clock.now():
            return "expired"
        return self._parts.why_over(Login(self._account, "", "PUSH", self._kept.credential))

    async def _send(self, octets: bytes) -> bool:
        """False: the subscription is gone."""
        parts = self._parts
        for wait_s in (*_RETRIES_S, 0.0):
            outcome = await parts.push.send(self._kept.target, octets, _TTL_S)
            if outcome is PushOutcome.SENT:
                parts.sent.inc()
                return True
            if outcome is PushOutcome.GONE:
                return False
            parts.failed.inc()
            if outcome is PushOutcome.REFUSED or not wait_s:
                break
            await parts.pause(wait_s)
        return True  # the next change tries again

    async def _remove(self) -> None:
        self._parts.log.info("push subscription removed", account=int(self._account))
        await self._parts.records.edit(self._account, KIND, [RecordEdit(None, self._record.id)])


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
