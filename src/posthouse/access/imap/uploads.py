"""How much of a worker's memory its clients fill at once, with messages that they upload or have decoded.

Who finds no room waits for it. Small ones go by large ones that wait, a bounded number of times, so that a client that
stalls in the middle of a large one does not stop everybody. An account that has some already gets half of the room at
most.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId

_MOST_GONE_BY = 100


_PATIENCE_S = 60.0
_LEAST_RATE = 2_048  # octets a second


@dataclass(slots=True)
class Upload:
    """What one session holds: `octets` of room, of which so many have `come` since then."""

    account: AccountId
    since: float
    octets: int = 0
    come: int = 0

    @property
    def deadline(self) -> float:
        """Who holds room must go on with it."""
        return self.since + _PATIENCE_S + self.come / _LEAST_RATE


@dataclass(slots=True)
class _Waiting:
    octets: int
    account: AccountId
    turn: asyncio.Future[None]
    gone_by: int = 0


class Uploads:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._of: dict[AccountId, int] = {}
        self._waiting: list[_Waiting] = []

    @property
    def taken(self) -> int:
        return self._taken

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def take(self, octets: int, account: AccountId) -> None:
        """Give them back. One that is larger than all of it waits until nobody else has any."""
        if self._fits(octets, account) and not any(each.gone_by >= _MOST_GONE_BY for each in self._waiting):
            self._count_gone_by(len(self._waiting))
            self._add(octets, account)
            return
        waiting = _Waiting(octets, account, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            else:
                self.give_back(octets, account)
            raise

    def give_back(self, octets: int, account: AccountId) -> None:
        self._add(-octets, account)
        at = 0
        while at < len(self._waiting):
            first = self._waiting[at]
            if self._fits(first.octets, first.account):
                del self._waiting[at]
                self._count_gone_by(at)
                self._add(first.octets, first.account)
                first.turn.set_result(None)
            elif first.gone_by >= _MOST_GONE_BY:
                return
            else:
                at += 1

    def _count_gone_by(self, count: int) -> None:
        for each in self._waiting[:count]:
            each.gone_by += 1

    def _add(self, octets: int, account: AccountId) -> None:
        self._taken += octets
        of = self._of.get(account, 0) + octets
        if of:
            self._of[account] = of
        else:
            del self._of[account]

    def _fits(self, octets: int, account: AccountId) -> bool:
        if not self._taken:
            return True
        own = self._of.get(account, 0)
        return self._taken + octets <= self._limit and (not own or own + octets <= self._limit // 2)
