"""One POP3 session per maildrop, over all workers (`posthouse.ports.access.Maildrops`; RFC 1939 §4).

The coordinator holds the locks, by the worker that has them: a worker that is gone has none. A new coordinator is told
by the workers which they hold. Without a coordinator, and in the moment until it was told, only this worker is looked
at: then two sessions of two workers may have one maildrop, and the second to delete a message finds it gone.
"""

from __future__ import annotations

import msgspec

from posthouse.app.worker_context import Arguments, Link, LinkError
from posthouse.message.mailbox import AccountId

LOCK, UNLOCK, HELD = "maildrop.lock", "maildrop.unlock", "maildrop.held"
_PATIENCE_S = 2.0


class WorkerMaildrops:
    """The worker's side."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._held: set[AccountId] = set()
        link.on_connect(self._tell_all)

    async def lock(self, account: AccountId) -> bool:
        if account in self._held:
            return False
        self._held.add(account)
        try:
            is_ours = await self._link.call(LOCK, {"account": account}, _PATIENCE_S) is True
        except LinkError:
            return True
        except BaseException:
            self.unlock(account)
            raise
        if not is_ours:
            self._held.discard(account)
        return is_ours

    def unlock(self, account: AccountId) -> None:
        self._held.discard(account)
        self._link.notify(UNLOCK, {"account": account})

    def _tell_all(self) -> None:
        if self._held:
            self._link.notify(HELD, {"accounts": sorted(self._held)})


class SharedMaildrops:
    """The coordinator's side."""

    def __init__(self) -> None:
        self._holders: dict[int, int] = {}

    def lock(self, worker: int, args: Arguments) -> bool:
        return self._holders.setdefault(msgspec.convert(args.get("account"), int), worker) == worker

    def unlock(self, worker: int, args: Arguments) -> None:
        account = msgspec.convert(args.get("account"), int)
        if self._holders.get(account) == worker:
            del self._holders[account]

    def take_held(self, worker: int, args: Arguments) -> None:
        for account in msgspec.convert(args.get("accounts"), list[int]):
            self._holders.setdefault(account, worker)

    def forget(self, worker: int) -> None:
        for account in [account for account, holder in self._holders.items() if holder == worker]:
            del self._holders[account]
