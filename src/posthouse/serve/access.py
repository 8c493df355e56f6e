"""The driver of the protocols to read mail by (IMAP, POP3): moves octets between a transport and a session.

It trusts nobody: what a client sends is bounded by the session, which pauses it; what it does not read is bounded by
`drain`; a deadline runs whenever the client is awaited, and another while it does not take what was written. There is
no task per connection, and an idle one keeps nothing but itself. After a crash nothing here needs recovery.

RFC 9051 §5.4 (timeouts are the session's, ended by the sweep), RFC 8314 §3 (implicit TLS), RFC 4978 (deflate.py).
Bytes that came behind STARTTLS are dropped by the session (CVE-2011-0411). It knows nothing of mail.
"""

from __future__ import annotations

import asyncio
import ssl
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from posthouse.message.reply import Reply
from posthouse.ports.access import AccessSession, ConnectionLost, Wire
from posthouse.ports.login import Login
from posthouse.serve.channel import note_channel
from posthouse.serve.connection import ALL_DAY_S, Connection, DoorSettings, Service
from posthouse.serve.deflate import Deflate

__all__ = ["AccessConnection", "AccessService", "AccessServiceSettings"]

_MUCH = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessServiceSettings(DoorSettings):
    """`stuck_s`: so long a client may take nothing of what was written to it."""

    stuck_s: float = 300.0


@dataclass(slots=True, kw_only=True)
class AccessService(Service):
    """What the connections of one listener share. `warm`: those whose compression holds memory; `cooled`: how often
    one has given it back.
    """

    settings: AccessServiceSettings
    make_session: Callable[[Wire], AccessSession]
    render_refusal: Callable[[Reply], bytes]
    warm: set[AccessConnection] = field(default_factory=set)
    cooled: int = 0

    def __call__(self) -> AccessConnection:
        return AccessConnection(self)

    def sweep(self) -> None:
        Service.sweep(self)
        for connection in list(self.warm):
            connection.cool_down()

    def shut_down(self, reason: str) -> None:
        for session in list(self.sessions):
            session.kick(reason)


class AccessConnection(Connection):
    """A `posthouse.ports.access.Wire`."""

    __slots__ = (
        "_deflate",
        "_drained",
        "_expected_s",
        "_has_ended",
        "_has_moved",
        "_held",
        "_login",
        "_is_full",
        "_is_paused",
        "_session",
    )

    service: AccessService

    def __init__(self, service: AccessService) -> None:
        Connection.__init__(self, service)
        self._session: AccessSession | None = None
        self._drained: asyncio.Future[None] | None = None  # whoever waits in `drain`
        self._held: list[bytes] | None = None  # what a client that only makes errors will get later
        self._deflate: Deflate | None = None
        self._expected_s = ALL_DAY_S
        self._has_ended = False  # the client sends no more
        self._has_moved = False  # compressed octets went by since the last sweep
        self._is_full = False  # the client does not take what was written
        self._is_paused = False  # by the session
        self._login: Login | None = None

    # -- the transport's side

    def _open(self) -> None:
        self._session = self.service.make_session(self)

    def _greet(self) -> None:
        if not self._closing and self._session is not None:
            self._session.begin()

    def _receive(self, data: bytes) -> None:
        session = self._session
        if session is None:
            return
        self.expect(ALL_DAY_S)  # until the session wants more
        if self._deflate is None:
            session.receive(data)
        else:
            self._inflate(self._deflate, data)

    def eof_received(self) -> bool:
        """Who ends its side behind its last command still reads the answers. Under TLS they are lost: asyncio closes
        both sides at once.
        """
        if self._session is None or self._closing or self._transport.get_extra_info("ssl_object") is not None:
            return False
        self._has_ended = True
        if self._deflate is None or not self._deflate.has_more:
            self._session.end_of_input()
        return True

    def _ended(self) -> None:
        if self in self.service.warm:
            self.service.warm.discard(self)
            self.service.cooled += 1
        self._release_drain()
        self._held = None
        session, self._session = self._session, None
        if session is not None:
            session.ended()

    def pause_writing(self) -> None:
        self._is_full = True
        self.deadline = self.service.clock.monotonic() + self.service.settings.stuck_s
        self._set_reading()  # who does not read our answers sends no more commands

    def resume_writing(self) -> None:
        self._is_full = False
        self.expect(self._expected_s)
        self._set_reading()
        if self._held is None:
            self._release_drain()

    def _set_reading(self) -> None:
        if self._closing or self._is_upgrading or self._transport.is_closing():
            return
        is_behind = self._deflate is not None and self._deflate.has_more
        if self._is_paused or self._is_full or is_behind or self._held is not None:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _release_drain(self) -> None:
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    # -- the session's side: octets

    @property
    def is_closing(self) -> bool:
        return self._closing

    def write(self, data: bytes) -> None:
        if self._closing:
            return
        if self._deflate is not None:
            data = self._deflate.deflate(data)
            self._keep_warm()
        if self._held is not None:
            self._held.append(data)
        else:
            self._transport.write(data)

    async def drain(self) -> None:
        if (self._is_full or self._held is not None) and not self._closing:
            if self._drained is None:
                self._drained = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._drained)
        if self._closing:
            raise ConnectionLost

    def pause(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._set_reading()

    def resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._set_reading()
            if self._deflate is not None and self._deflate.has_more:
                self._inflate_soon()

    def expect(self, seconds: float) -> None:
        self._expected_s = seconds
        if not self._closing and not self._is_full:
            self.deadline = self.service.clock.monotonic() + seconds

    # -- TLS and compression

    def _note_channel(self, secured: ssl.SSLObject | None, context: ssl.SSLContext) -> None:
        note_channel(self.peer, secured, context)

    @property
    def has_tls(self) -> bool:
        return self.service.tls is not None and not self.peer.tls_version

    async def start_tls(self) -> None:
        if self._closing:
            raise ConnectionLost
        self._begin_tls()
        self._is_paused = False  # what made the session pause is dropped
        if not await self._upgrade():
            raise ConnectionLost

    def compress(self) -> None:
        self._deflate = Deflate()

    def _inflate(self, deflate: Deflate, data: bytes) -> None:
        """One slice now, the others in later turns of the loop, as long as the session takes them."""
        if self._session is None or self._closing:
            return
        was_behind = deflate.has_more
        try:
            plain = deflate.inflate(data)
        except zlib.error as error:
            self.service.log.info("compressed data is broken", peer=self.peer.address, reason=str(error))
            self.abort()
            return
        self._keep_warm()
        if plain:
            self._session.receive(plain)
        if deflate.has_more and not self._is_paused:
            self._inflate_soon()
        if deflate.has_more != was_behind:
            self._set_reading()
        if self._has_ended and not deflate.has_more and self._session is not None:
            self._session.end_of_input()

    def _inflate_soon(self) -> None:
        assert self._deflate is not None
        asyncio.get_running_loop().call_soon(self._inflate, self._deflate, b"")

    def _keep_warm(self) -> None:
        if not self._has_moved:
            self._has_moved = True
            self.service.warm.add(self)

    def cool_down(self) -> None:
        """At every sweep: after a second of silence there is nothing to be kept."""
        if self._has_moved:
            self._has_moved = False
            return
        self.service.warm.discard(self)
        self.service.cooled += 1
        if self._deflate is not None:
            self._deflate.cool_down()

    # -- who it is, and who only makes errors

    @property
    def login(self) -> Login | None:
        return self._login

    @property
    def doing(self) -> str:
        return self._session.doing if self._session is not None else ""

    def note_login(self, login: Login | None) -> None:
        self._login = login

    def note_error(self) -> None:
        """Its answers are held, those to come too, and nothing is read meanwhile."""
        service, address = self.service, self.peer.address
        now = service.clock.monotonic()
        service.figures.errors.inc()
        service.admission.note_error(address, now)
        delay = service.admission.delay(address, now)
        if delay and self._held is None and not self._closing:
            self._held = []
            self._set_reading()
            asyncio.get_running_loop().call_later(delay, self._end_tarpit)

    def _end_tarpit(self) -> None:
        held, self._held = self._held, None
        if self._session is None:
            return
        if held:
            self._transport.write(b"".join(held))
        if self._closing:
            self._close()
            return
        self._set_reading()
        if not self._is_full:
            self._release_drain()

    # -- the end

    def _write_refusal(self, reply: Reply) -> None:
        self._transport.write(self.service.render_refusal(reply))

    def _close(self) -> None:
        Connection._close(self)
        if self._transport.get_write_buffer_size() > _MUCH:  # on a slow line it takes longer than a farewell
            self.deadline = self.service.clock.monotonic() + self.service.settings.stuck_s

    def close(self) -> None:
        if self._closing:
            return
        if self._held is not None:
            self._closing = True  # `_end_tarpit` sends what was held, then closes
            self._release_drain()
        else:
            self._close()
            self._release_drain()

    def time_out(self) -> None:
        if self._closing:
            self.abort()
            return
        self.service.figures.timeouts.inc()
        self.service.log.info("session timed out", peer=self.peer.address, account=self.login_name or None)
        if self._session is None or self._is_upgrading or self._is_full:
            self.abort()  # who does not read would not read a farewell either
            return
        self._session.time_out()

    def leave(self) -> None:
        """Who reads mail may go on doing so: see `AccessService.shut_down`."""

    def kick(self, reason: str) -> None:
        if self._session is None or self._is_upgrading:
            self.abort()
        elif not self._closing:
            self._session.shut_down(reason)
