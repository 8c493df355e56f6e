"""What every connection to us goes through, whatever is spoken on it: PROXY header, limits, TLS, a deadline, an end.

It trusts nobody: until a connection is admitted it costs a few hundred octets and ends after `proxy_timeout_s`. There
is no task per connection; TLS handshakes are tasks while they last. After a crash nothing here needs recovery.

SMTP (smtp.py) and the protocols to read mail by (access.py) say what is done with the octets.
"""

from __future__ import annotations

import asyncio
import ssl
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from posthouse.message.peer import Network, Peer, is_in_networks, normalise_address
from posthouse.message.reply import Reply
from posthouse.ports.clock import Clock
from posthouse.ports.login import Login
from posthouse.ports.observe import Counter, Gauge, Log
from posthouse.protocol.proxy import header as proxy
from posthouse.serve.channel import note_cipher

SHUTDOWN = Reply(421, "4.3.2", "Service is shutting down, come back soon")
ALL_DAY_S = 86400.0
_GOODBYE_S = 5.0  # for what was written last, then the connection is torn down


class Admission(Protocol):
    """Connection limits and slowing down of clients that only make errors (serve/admission.py)."""

    def admit(self, address: str, now: float) -> Reply | None: ...

    def release(self, address: str) -> None: ...

    def note_error(self, address: str, now: float, weight: float = 1.0) -> None: ...

    def delay(self, address: str, now: float) -> float: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorSettings:
    """What holds for every listener, whatever is spoken."""

    implicit_tls: bool = False
    proxy_networks: Sequence[Network] = ()
    proxy_timeout_s: float = 10.0
    tls_timeout_s: float = 60.0


@dataclass(slots=True)
class DoorFigures:
    """What `/metrics` shows of a listener."""

    connections: Counter
    refused: Counter
    open_sessions: Gauge
    timeouts: Counter
    errors: Counter


@dataclass(slots=True, kw_only=True)
class Service(ABC):
    """What the connections of one listener share."""

    settings: DoorSettings
    admission: Admission
    clock: Clock
    log: Log
    figures: DoorFigures
    tls: ssl.SSLContext | None = None
    draining: bool = False
    sessions: set[Connection] = field(default_factory=set)

    @abstractmethod
    def __call__(self) -> Connection:
        """A new one, for the event loop."""

    def sweep(self) -> None:
        """Ends sessions whose deadline passed. Once a second: 5,000 sessions cost about a millisecond."""
        now = self.clock.monotonic()
        for session in [session for session in self.sessions if session.deadline < now]:
            session.time_out()

    def drain(self) -> None:
        """Nobody new comes in; those who are here leave as their protocol has it."""
        self.draining = True
        for session in list(self.sessions):
            session.leave()

    @abstractmethod
    def shut_down(self, reason: str) -> None:
        """Those whom `drain` let stay are told to go, within seconds."""

    def abort(self) -> None:
        for session in list(self.sessions):
            session.abort()


class Connection(asyncio.Protocol, ABC):
    """One connection. Subclasses fill in what follows `_admit`."""

    __slots__ = (
        "_closing",
        "_early",
        "_is_admitted",
        "_is_upgrading",
        "_preamble",
        "_transport",
        "deadline",
        "peer",
        "service",
        "started_at",
    )

    service: Service

    def __init__(self, service: Service) -> None:
        self.service = service
        self._transport: asyncio.Transport
        self.peer = Peer("")
        self.deadline = 0.0
        self.started_at = service.clock.now()
        self._closing = False
        self._is_admitted = False
        self._is_upgrading = False  # from the decision for TLS to the end of the handshake
        self._preamble: bytes | None = None
        self._early: bytes | None = None  # of the handshake, while TLS is not yet there to take it

    # -- for the list of sessions

    @property
    def login(self) -> Login | None:
        """Who has logged in, and by what."""
        return None

    @property
    def login_name(self) -> str:
        return self.login.name if self.login is not None else ""

    @property
    def doing(self) -> str:
        return ""

    # -- what is spoken

    @abstractmethod
    def _open(self) -> None:
        """Admitted: make who will talk."""

    @abstractmethod
    def _greet(self) -> None:
        """TLS, where it is implicit, is on."""

    @abstractmethod
    def _receive(self, data: bytes) -> None:
        """Octets, decrypted, behind the PROXY header."""

    @abstractmethod
    def _ended(self) -> None:
        """The connection is gone, perhaps before it was opened."""

    @abstractmethod
    def _note_channel(self, secured: ssl.SSLObject | None, context: ssl.SSLContext) -> None:
        """TLS is on. Where people log in: what their mechanisms may bind to."""

    @abstractmethod
    def _write_refusal(self, reply: Reply) -> None:
        """In the words of the protocol; the connection is closed behind it."""

    @abstractmethod
    def time_out(self) -> None:
        """The deadline has passed."""

    @abstractmethod
    def leave(self) -> None:
        """The server drains."""

    @abstractmethod
    def kick(self, reason: str) -> None:
        """End the session for an administrator."""

    # -- the transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        service = self.service
        service.sessions.add(self)
        service.figures.connections.inc()
        service.figures.open_sessions.inc()
        self.peer = _peer_of(self._transport)
        self.deadline = service.clock.monotonic() + service.settings.proxy_timeout_s
        if is_in_networks(self.peer.address, service.settings.proxy_networks):
            self._preamble = b""
        else:
            self._admit()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        if self._preamble is not None:
            data = self._read_proxy(self._preamble + data)
            if not data:
                return
        if self._early is not None:
            self._early += data
            return
        self._receive(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        service = self.service
        if self in service.sessions:
            service.sessions.discard(self)
            service.figures.open_sessions.dec()
        if self._is_admitted:
            self._is_admitted = False
            service.admission.release(self.peer.address)
        self._ended()

    # -- the beginning

    def _read_proxy(self, data: bytes) -> bytes:
        """The bytes behind the PROXY header, b"" when it is not complete yet."""
        try:
            header = proxy.parse_proxy(data)
        except proxy.ProxyError as error:
            self.service.log.warning("proxy header refused", peer=self.peer.address, reason=str(error))
            self.abort()
            return b""
        if header is proxy.NEED_DATA:
            self._preamble = data
            return b""
        self._preamble = None
        if header.source is not None:
            self.peer.address, self.peer.port = normalise_address(header.source), header.source_port
        self.peer.is_stand_in = header.source is None
        self._admit()
        return b"" if self._closing else data[header.length :]

    def _admit(self) -> None:
        service = self.service
        refusal = SHUTDOWN if service.draining else self._count()
        if refusal is not None:
            service.figures.refused.inc()
            service.log.info("connection refused", peer=self.peer.address, reason=refusal.text)
            self._write_refusal(refusal)
            self._close()
            return
        self._open()
        if service.settings.implicit_tls:
            self._begin_tls()
            loop = asyncio.get_running_loop()
            loop.create_task(self._upgrade_and_greet()).add_done_callback(ignore)
        else:
            self._greet()

    def _count(self) -> Reply | None:
        """Why not, or None: this connection is counted from now on."""
        refusal = self.service.admission.admit(self.peer.address, self.service.clock.monotonic())
        self._is_admitted = refusal is None
        return refusal

    # -- TLS

    async def _upgrade_and_greet(self) -> None:
        if await self._upgrade():
            self._greet()

    def _begin_tls(self) -> None:
        """What comes from now on is the handshake's, also before `_upgrade` runs: a busy worker hears of a connection
        and of its first bytes at once.
        """
        self._is_upgrading = True
        self._early = b""
        self.deadline = self.service.clock.monotonic() + self.service.settings.tls_timeout_s + 5

    async def _upgrade(self) -> bool:
        """True: TLS is on. Else the connection is gone."""
        service = self.service
        context = service.tls
        assert context is not None
        loop = asyncio.get_running_loop()
        # From here on only decrypted bytes come to us, perhaps before this task goes on.
        early, self._early = self._early, None
        if early:
            loop.call_soon(_hand_on, self._transport, early)
        try:
            secured = await loop.start_tls(
                self._transport,
                self,
                context,
                server_side=True,
                ssl_handshake_timeout=service.settings.tls_timeout_s,
            )
        except (OSError, ssl.SSLError, asyncio.CancelledError) as error:
            service.log.info("TLS handshake failed", peer=self.peer.address, reason=str(error) or type(error).__name__)
            self.abort()
            return False
        if secured is None or self._closing:
            self.abort()
            return False
        self._transport = secured
        self._is_upgrading = False
        note_cipher(self.peer, secured)
        self._note_channel(secured.get_extra_info("ssl_object"), context)
        return True

    # -- the end

    def _close(self) -> None:
        self._closing = True
        self.deadline = self.service.clock.monotonic() + _GOODBYE_S  # then the sweeper aborts it
        self._transport.close()

    def abort(self) -> None:
        self._closing = True
        self._transport.abort()


def _hand_on(transport: asyncio.Transport, data: bytes) -> None:
    """To the protocol that `start_tls` has put in our place, before anything that is read from now on."""
    protocol = cast(asyncio.BufferedProtocol, transport.get_protocol())
    while data and not transport.is_closing():
        buffer = memoryview(protocol.get_buffer(len(data)))
        count = min(len(buffer), len(data))
        buffer[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


def ignore(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


def _peer_of(transport: asyncio.Transport) -> Peer:
    name: object = transport.get_extra_info("peername")
    local: object = transport.get_extra_info("sockname")
    if not isinstance(name, tuple):
        return Peer("", uid=None)
    local_address, local_port = (str(local[0]), int(local[1])) if isinstance(local, tuple) else ("", 0)
    return Peer(normalise_address(str(name[0])), int(name[1]), normalise_address(local_address), local_port)
