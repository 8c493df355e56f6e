"""The octets of a maildrop's messages, read from the store as clients ask for them: mostly one after the other.

A message up to PIECE octets is read whole, a larger one in pieces. Who asks for the message behind the last one gets
the next small ones read along, in one go: waiting for the store costs several times more than reading. What is held
for a session is bounded by PIECE, whatever the size of its messages.
"""

from __future__ import annotations

from posthouse.access.pop3.answers import Broken, Err
from posthouse.access.pop3.maildrop import Maildrop
from posthouse.ports.store import Blobs, NoSuchMailbox, StoreError, StoreRefusal

PIECE = 128 * 1024
_MESSAGES = 64  # read at once


class Bodies:
    __slots__ = ("_ahead", "_blobs", "_drop", "_expected")

    def __init__(self, drop: Maildrop, blobs: Blobs) -> None:
        self._drop = drop
        self._blobs = blobs
        self._ahead: dict[int, bytes] = {}  # by place
        self._expected = -1  # the place behind the one asked for last

    async def read_first(self, place: int) -> bytes:
        """All of a message, or PIECE octets of a larger one. Raises Err when it is gone, StoreError."""
        if place not in self._ahead:
            self._ahead.clear()
            if place == self._expected:
                await self._read_ahead(place)
        self._expected = place + 1
        octets = self._ahead.pop(place, None)
        return octets if octets is not None else await self._read_one(place)

    async def read_piece(self, place: int, offset: int) -> bytes:
        """Another piece of a message that `read_first` gave the beginning of. Raises Broken."""
        length = min(PIECE, self._drop.size(place) - offset)
        try:
            piece = await self._blobs.read(self._drop.account, self._drop.email(place), offset, length)
        except (StoreError, StoreRefusal) as error:
            raise Broken(repr(error)) from error
        if len(piece) < length:
            raise Broken("a message is shorter than it was")
        return piece

    async def _read_one(self, place: int) -> bytes:
        length = min(self._drop.size(place), PIECE)
        try:
            octets = await self._blobs.read(self._drop.account, self._drop.email(place), 0, length)
        except NoSuchMailbox:
            raise Err("Another program has removed this message", is_mistake=False) from None
        if len(octets) < length:
            raise StoreError("a message is shorter than it was")
        return octets

    async def _read_ahead(self, place: int) -> None:
        """Those that are gone are left out: who asks for one of them is told so."""
        places = self._drop.list_small(place, PIECE, _MESSAGES)
        if len(places) < 2:
            return
        found = await self._blobs.read_many(self._drop.account, [self._drop.email(each) for each in places])
        for each, octets in zip(places, found, strict=True):
            if octets is not None and len(octets) == self._drop.size(each):
                self._ahead[each] = octets
