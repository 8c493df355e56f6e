"""What the handlers of commands work with: who the client is, its maildrop, and its replies.

`session.py` runs the dialogue and is a `Context`; handlers see this class alone.
"""

from __future__ import annotations

import asyncio

from posthouse.access.pop3.bodies import Bodies
from posthouse.access.pop3.desk import Desk
from posthouse.access.pop3.maildrop import Maildrop
from posthouse.ports.access import ConnectionLost, Wire
from posthouse.ports.login import Login
from posthouse.protocol.pop3.server import Pop3Server
from posthouse.trust.login import SaslConversation

_FULL = 65_536  # octets that wait to be written together


class Context:
    """`name`: what USER said. `utf8`: UTF8 was said (RFC 6856 §2.1). `bodies`: only in TRANSACTION."""

    __slots__ = (
        "_out",
        "_out_size",
        "bodies",
        "conversation",
        "core",
        "desk",
        "is_over",
        "login",
        "maildrop",
        "name",
        "utf8",
        "wire",
    )

    def __init__(self, wire: Wire, desk: Desk) -> None:
        self.wire = wire
        self.desk = desk
        self.core = Pop3Server(desk.settings.limits)
        self.conversation: SaslConversation | None = None
        self.name = ""
        self.utf8 = False
        self.login: Login | None = None
        self.maildrop: Maildrop | None = None
        self.bodies: Bodies
        self.is_over = False  # nothing is taken any more
        self._out: list[bytes] = []
        self._out_size = 0

    @property
    def drop(self) -> Maildrop:
        """Only in TRANSACTION."""
        assert self.maildrop is not None
        return self.maildrop

    def open(self, maildrop: Maildrop) -> None:
        self.maildrop = maildrop
        self.bodies = Bodies(maildrop, self.desk.store.blobs)

    def write(self, reply: bytes) -> None:
        """It goes out with what comes next, in order."""
        self._out.append(reply)
        self._out_size += len(reply)

    def flush(self) -> None:
        if self._out:
            data = self._out[0] if len(self._out) == 1 else b"".join(self._out)
            self._out, self._out_size = [], 0
            self.wire.write(data)

    @property
    def is_full(self) -> bool:
        """Enough waits to be written."""
        return self._out_size >= _FULL

    async def breathe(self) -> None:
        """To be called after each slice of output: others get their turn, a slow client is waited for. Raises
        ConnectionLost when the client is gone.
        """
        if self.is_full:
            self.flush()
            await self.wire.drain()
        if self.wire.is_closing:
            raise ConnectionLost
        await asyncio.sleep(0)

    # -- what others are kept from

    def release(self) -> None:
        """The maildrop and the slot are free again. May be called twice."""
        login, self.login = self.login, None
        if login is not None:
            self.desk.maildrops.unlock(login.account)
            self.desk.slots.leave(login.account, self.wire.peer.address)
