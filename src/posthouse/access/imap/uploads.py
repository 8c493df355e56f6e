"""How many octets of messages a worker's clients upload at once: memory is bounded however many they are.

Who finds no room waits for it in the order of asking, before the octets are sent (RFC 9051 §4.3).
"""

from __future__ import annotations

import asyncio
from collections import deque


class Uploads:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._taken = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def taken(self) -> int:
        return self._taken

    async def take(self, octets: int) -> None:
        """Give them back. One that is larger than all of it waits until nobody else has any."""
        if not self._waiting and self._fits(octets):
            self._taken += octets
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((octets, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back(octets)
            raise

    def give_back(self, octets: int) -> None:
        self._taken -= octets
        while self._waiting:
            wanted, turn = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
            elif self._fits(wanted):
                self._waiting.popleft()
                self._taken += wanted
                turn.set_result(None)
            else:
                return

    def _fits(self, octets: int) -> bool:
        return not self._taken or self._taken + octets <= self._limit
