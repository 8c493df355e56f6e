"""Usage of accounts as this worker last knew it. Own commits tell it; others' are read again after a second."""

from __future__ import annotations

import asyncio

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_reader import read_usage
from posthouse.message.mailbox import AccountId
from posthouse.ports.store import StoreError, StoreRefusal, Usage

_FRESH_S = 1.0
_MAX_KNOWN = 100_000


class SqliteQuotas:
    def __init__(self, core: StoreCore) -> None:
        self._core = core
        self._known: dict[AccountId, tuple[int, int, float]] = {}  # emails, octets, when asked
        self._asking: dict[AccountId, asyncio.Task[None]] = {}

    async def usage(self, account: AccountId) -> Usage:
        usage = await self._core.read(account, read_usage)
        self.note(account, usage.emails, usage.octets, self._core.clock.monotonic())
        return usage

    def note(self, account: AccountId, emails: int, octets: int, now: float) -> None:
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[account] = emails, octets, now

    def has_room(self, account: AccountId, octets: int) -> bool:
        """True for an account that is not known yet: it is asked again when the message is there."""
        most_octets, most_emails = self._core.quota(account)
        if most_octets is None and most_emails is None:
            return True
        known = self._known.get(account)
        if known is None or self._core.clock.monotonic() - known[2] > _FRESH_S:
            self._ask(account)
        if known is None:
            return most_octets is None or octets <= most_octets
        emails, used, _ = known
        fits = most_octets is None or used + octets <= most_octets
        return fits and (most_emails is None or emails < most_emails)

    def _ask(self, account: AccountId) -> None:
        if account not in self._asking:
            task = asyncio.get_running_loop().create_task(self._learn(account))
            self._asking[account] = task

    async def _learn(self, account: AccountId) -> None:
        try:
            await self.usage(account)
        except (StoreError, StoreRefusal, RuntimeError):  # RCPT is answered from what is known
            pass
        finally:
            self._asking.pop(account, None)

    async def close(self) -> None:
        await asyncio.gather(*self._asking.values())
