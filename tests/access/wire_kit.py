"""A connection in memory for sessions of IMAP and POP3: keeps what is written, brings what a client sends.

    wire = MemoryWire()
    session = Pop3Session(wire, desk)
    talk = Talk(wire, session)
    assert await talk.say(b"NOOP\\r\\n") == b"+OK\\r\\n"

Nothing is timed: `Talk.say` returns when the session has nothing to do any more. Deadlines are only noted.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from posthouse.message.peer import Peer
from posthouse.ports.access import AccessSession, ConnectionLost, Wire
from posthouse.ports.login import Login

HOME = "192.0.2.7"
_TURNS = 2_000


@dataclass
class MemoryWire:
    """A `posthouse.ports.access.Wire`. `writes` are the single writes; `can_tls` and `fails_tls` say what STARTTLS
    does. `block`: from now on `drain` waits until `unblock`. `lose`: the client is gone.
    """

    peer: Peer = field(default_factory=lambda: Peer(HOME))
    can_tls: bool = False
    fails_tls: bool = False
    writes: list[bytes] = field(default_factory=list)
    is_closing: bool = False
    is_paused: bool = False
    is_compressed: bool = False
    expected_s: float = 0.0
    errors: int = 0
    login_name: str = ""
    drains: int = 0
    taken: int = 0  # writes that `take` has given away
    _free: asyncio.Event = field(default_factory=asyncio.Event)
    _is_blocked: bool = False

    def write(self, data: bytes) -> None:
        if not self.is_closing:
            self.writes.append(data)

    async def drain(self) -> None:
        self.drains += 1
        if self._is_blocked:
            await self._free.wait()
        if self.is_closing:
            raise ConnectionLost

    @property
    def has_tls(self) -> bool:
        return self.can_tls and not self.peer.tls_version

    async def start_tls(self) -> None:
        await asyncio.sleep(0)
        if self.fails_tls or self.is_closing:
            self.is_closing = True
            raise ConnectionLost
        self.peer.tls_version = "TLSv1.3"

    def compress(self) -> None:
        self.is_compressed = True

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def expect(self, seconds: float) -> None:
        self.expected_s = seconds

    def note_error(self) -> None:
        self.errors += 1

    def note_login(self, login: Login | None) -> None:
        self.login_name = login.name if login is not None else ""

    def close(self) -> None:
        self.is_closing = True
        self.unblock()

    # -- the test's side

    def block(self) -> None:
        self._is_blocked = True
        self._free.clear()

    def unblock(self) -> None:
        self._is_blocked = False
        self._free.set()

    @property
    def is_blocked(self) -> bool:
        return self._is_blocked

    def take(self) -> bytes:
        """What was written since the last `take`."""
        data = b"".join(self.writes[self.taken :])
        self.taken = len(self.writes)
        return data


@dataclass
class Talk:
    """A client that knows when the session is at rest: no task of the loop but the test's own has work left."""

    wire: MemoryWire
    session: AccessSession

    async def begin(self) -> bytes:
        self.session.begin()
        return await self.hear()

    async def say(self, data: bytes) -> bytes:
        """The answers, once there is nothing more to come."""
        if not self.wire.is_closing:
            self.session.receive(data)
        return await self.hear()

    async def hear(self) -> bytes:
        await settle()
        return self.wire.take()

    async def lose(self) -> None:
        """The connection breaks, as the driver tells it."""
        self.wire.is_closing = True
        self.wire.unblock()
        self.session.ended()
        await settle()


async def settle() -> None:
    """Until the tasks of this loop are done or wait for something that only the test can bring."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)
        if len(asyncio.all_tasks()) <= 1:
            break
    await asyncio.sleep(0)


def _fits(wire: MemoryWire) -> Wire:
    """The type checker sees that it is one."""
    return wire
