"""Hints between workers that accounts have changed, so that a session in one soon hears of a delivery by another.

A hint names accounts, nothing more: who cares looks into the store, where the truth is. Hints go over the worker's
connection to the coordinator, which passes them on to all other workers, those that drain after a reload too. The
first goes at once, those that follow it are merged for a moment, bounded; none is waited for. One that is lost, or that
cannot be sent because the coordinator is being replaced, costs the 50 ms until the next look at the database's version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from posthouse.app.worker_context import Arguments, Link
from posthouse.message.mailbox import AccountId

OP = "changed"
_MERGE_S = 0.002
_MAX_ACCOUNTS = 5_000


class ChangeFeed:
    """One per worker. `receive` gets the accounts that changed elsewhere."""

    def __init__(self, link: Link, receive: Callable[[frozenset[AccountId]], None]) -> None:
        self._link, self._receive = link, receive
        self._pending: set[AccountId] = set()
        self._not_before = 0.0  # by the loop's clock
        link.on_notice(OP, self._take)

    def note(self, accounts: Iterable[AccountId]) -> None:
        """They changed here. Called in the event loop."""
        pending = self._pending
        if not pending:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._not_before:
                loop.call_soon(self._send)
            else:
                loop.call_at(self._not_before, self._send)
        if len(pending) < _MAX_ACCOUNTS:
            pending.update(accounts)

    def _send(self) -> None:
        accounts, self._pending = self._pending, set()
        self._not_before = asyncio.get_running_loop().time() + _MERGE_S
        if accounts:
            self._link.notify(OP, {"accounts": list(accounts)})

    def _take(self, args: Arguments) -> None:
        accounts = args.get("accounts")
        if isinstance(accounts, list):
            self._receive(frozenset(AccountId(each) for each in accounts if isinstance(each, int)))
