"""HTTP inside a worker's loop: the only place of uvicorn. Routes are handed in by app (see http_messages.py).

    server = HttpServer(routes, admission, clock, log, limits)
    await server.start(socket, tls)        or   server.make_protocol for whoever accepts

Handlers take and return plain values; they know no framework. Clients are not trusted: heads and bodies are bounded,
each has a deadline, and connections pass admission like everybody else's; who does not is told 503 (RFC 9110 §15.6.4)
as long as that costs little. Nothing is kept over a crash.
A PROXY header names the client where `HttpDoor` expects one; not under TLS, which begins before we see an octet.
RFC 9110, RFC 9112 as far as uvicorn and httptools speak them; RFC 6455 by websockets. No HTTP/2.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any, ClassVar, Protocol

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from posthouse.message.peer import Network, is_in_networks, normalise_address
from posthouse.message.reply import Reply
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log
from posthouse.protocol.proxy import header as proxy
from posthouse.serve.connection import DoorFigures
from posthouse.serve.http_app import AppSettings, HttpApp
from posthouse.serve.http_messages import AnyRoute
from posthouse.serve.http_reading import HttpLimits

Client = tuple[str, int] | None

_LOOK_S = 0.02
_DATE_S = 1.0
_TURNED_AWAY = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 10\r\nconnection: close\r\ncache-control: no-store\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 47\r\n\r\n"
    b"Too many connections here now, try again later\n"
)


class HttpAdmission(Protocol):
    """Connection limits (serve/admission.py)."""

    def admit(self, address: str, now: float) -> Reply | None: ...

    def release(self, address: str) -> None: ...


@dataclass(frozen=True, slots=True)
class HttpDoor:
    """Connections from `trusted` proxies do not count as those of one address; `proxy_networks` open with a PROXY
    header.
    """

    trusted: Sequence[Network] = ()
    proxy_networks: Sequence[Network] = ()
    figures: DoorFigures | None = None


class _Turned:
    """Connections that are being turned away."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


@dataclass(frozen=True, slots=True)
class _Bounds:
    limits: HttpLimits
    admission: HttpAdmission
    clock: Clock
    log: Log
    door: HttpDoor
    turned: _Turned = field(default_factory=_Turned)


class HttpServer:
    """One listener of one worker."""

    def __init__(
        self,
        routes: Sequence[AnyRoute],
        admission: HttpAdmission,
        clock: Clock,
        log: Log,
        limits: HttpLimits | None = None,
        door: HttpDoor | None = None,
    ) -> None:
        self._limits, door = limits or HttpLimits(), door or HttpDoor()
        self._state = ServerState()
        self._config = self._make_config(HttpApp(routes, AppSettings(self._limits, door.trusted), log))
        self._protocol = _bind_protocol(_Bounds(self._limits, admission, clock, log, door))
        self._server: asyncio.Server | None = None
        self._dating: asyncio.TimerHandle | None = None

    def _make_config(self, app: HttpApp) -> uvicorn.Config:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            ws_max_size=self._limits.message,
            ws_ping_interval=self._limits.ping_s,
            ws_ping_timeout=self._limits.ping_s,
            ws_per_message_deflate=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=self._limits.keep_alive_s,
        )
        config.load()
        config.ws_protocol_class = _GuardedSocket
        return config

    @property
    def connections(self) -> int:
        return len(self._state.connections)

    def make_protocol(self) -> asyncio.Protocol:
        """Of a new connection."""
        if self._dating is None:
            self._write_date()
        return self._protocol(self._config, self._state, {}, asyncio.get_running_loop())

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept on a listening socket; a worker has its acceptor do it."""
        loop = asyncio.get_running_loop()
        create = loop.create_unix_server if listener.family == socket.AF_UNIX else loop.create_server
        self._server = await create(self.make_protocol, sock=listener, ssl=tls, backlog=self._limits.backlog)

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting; requests in hand are answered, idle connections closed. The rest ends at the deadline."""
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        while self._state.connections and loop.time() < until:
            await asyncio.sleep(_LOOK_S)
        self.abort()
        if self._dating is not None:
            self._dating.cancel()
            self._dating = None

    def abort(self) -> None:
        for connection in list(self._state.connections):
            connection.transport.abort()
        for task in list(self._state.tasks):
            task.cancel()

    def _write_date(self) -> None:
        """RFC 9110 §6.6.1, for all answers of the next second."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        self._dating = asyncio.get_running_loop().call_later(_DATE_S, self._write_date)


def _bind_protocol(bounds: _Bounds) -> type[_GuardedProtocol]:
    class Guarded(_GuardedProtocol):
        _bounds = bounds

    return Guarded


class _Guard:
    """Of one connection: whether it is counted, how long its client may be silent, whose task ends with it.

    `is_stand_in`: a proxy did not say for whom it speaks. `preamble`: of a PROXY header that is not complete; None when
    none is waited for.
    """

    __slots__ = (
        "_address",
        "_bounds",
        "_head_octets",
        "_is_admitted",
        "_is_turned",
        "_timer",
        "is_in_head",
        "is_stand_in",
        "preamble",
        "task",
    )

    def __init__(self, bounds: _Bounds) -> None:
        self._bounds = bounds
        self._address = ""
        self._is_admitted = self._is_turned = False
        self._timer: asyncio.TimerHandle | None = None
        self._head_octets = 0
        self.is_in_head = True
        self.is_stand_in = False
        self.preamble: bytes | None = None
        self.task: asyncio.Task[Any] | None = None

    def admit(self, client: Client) -> bool:
        bounds, figures = self._bounds, self._bounds.door.figures
        address = normalise_address(client[0]) if client else ""
        self._address = "" if is_in_networks(address, bounds.door.trusted) else address
        self._is_admitted = bounds.admission.admit(self._address, bounds.clock.monotonic()) is None
        if figures is not None:
            (figures.connections if self._is_admitted else figures.refused).inc()
            if self._is_admitted:
                figures.open_sessions.inc()
        return self._is_admitted

    @property
    def is_turned_away(self) -> bool:
        """It hears so upon its first octets: an answer before them could be lost with the connection."""
        return self._is_turned

    def turn_away(self, transport: asyncio.Transport) -> None:
        turned = self._bounds.turned
        if turned.count >= self._bounds.limits.turned:
            transport.abort()
            return
        turned.count += 1
        self._is_turned = True
        self.stop_timer()
        self._timer = asyncio.get_running_loop().call_later(self._bounds.limits.turned_s, transport.abort)

    def leave(self) -> None:
        if self._is_turned:
            self._is_turned = False
            self._bounds.turned.count -= 1
        if self._is_admitted:
            self._is_admitted = False
            self._bounds.admission.release(self._address)
            if self._bounds.door.figures is not None:
                self._bounds.door.figures.open_sessions.dec()
        self.stop_timer()
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def expects_proxy(self, client: Client) -> bool:
        networks = self._bounds.door.proxy_networks
        if client and networks and is_in_networks(normalise_address(client[0]), networks):
            self.preamble = b""
        return self.preamble is not None

    def read_proxy(self, data: bytes) -> tuple[Client, bytes] | None:
        """The client, as the proxy names it, and what stands behind the header. Raises ProxyError."""
        self.preamble = (self.preamble or b"") + data
        header = proxy.parse_proxy(self.preamble)
        if header is proxy.NEED_DATA:
            return None
        rest, self.preamble = self.preamble[header.length :], None
        self.is_stand_in = header.source is None
        return ((header.source, header.source_port) if header.source is not None else None), rest

    def is_head_too_long(self, octets: int) -> bool:
        if not self.is_in_head:
            return False
        self._head_octets += octets
        return self._head_octets > self._bounds.limits.head

    def await_head(self, idle_s: float, transport: asyncio.Transport) -> None:
        """Or, when nothing more will come, the end: a client that takes no more must not keep a connection."""
        self.is_in_head, self._head_octets = True, 0
        self.stop_timer()
        self._watch(idle_s + self._bounds.limits.head_s, transport)

    def _watch(self, seconds: float, transport: asyncio.Transport) -> None:
        left, loop = transport.get_write_buffer_size(), asyncio.get_running_loop()
        self._timer = loop.call_later(seconds, self._look, transport, left)

    def _look(self, transport: asyncio.Transport, before: int) -> None:
        """Who is still taking the last answer may go on."""
        if 0 < transport.get_write_buffer_size() < before:
            self._watch(self._bounds.limits.head_s, transport)
        else:
            transport.abort()

    def stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _GuardedProtocol(HttpToolsProtocol):
    """uvicorn bounds neither the size of a head nor the time a client takes for it."""

    _bounds: ClassVar[_Bounds]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.guard = _Guard(self._bounds)

    # -- for the application

    @property
    def is_stuck(self) -> bool:
        return self.flow.write_paused

    def cancel_when_lost(self, task: asyncio.Task[Any] | None) -> None:
        if task is not None and self.transport.is_closing():
            task.cancel()
        self.guard.task = task

    # -- the transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.guard.expects_proxy(self.client) or self.guard.admit(self.client):
            self.guard.await_head(0.0, transport)
        else:
            self.guard.turn_away(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.guard.leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.guard.preamble is not None:
            data = self._read_proxy(data)
            if not data:
                return
        if self.guard.is_turned_away:
            self._tell_turned_away()
            return
        super().data_received(data)
        if self.guard.is_head_too_long(len(data)):
            self.transport.abort()

    def _tell_turned_away(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_TURNED_AWAY)
            self.transport.close()

    def _read_proxy(self, data: bytes) -> bytes:
        """What stands behind the PROXY header; b"" when it is not complete, or refused."""
        try:
            found = self.guard.read_proxy(data)
        except proxy.ProxyError as error:
            self._bounds.log.warning("proxy header refused", peer=self.client and self.client[0], reason=str(error))
            self.transport.abort()
            return b""
        if found is None:
            return b""
        client, rest = found
        self.client = client or self.client
        if not self.guard.admit(self.client):
            self.guard.turn_away(self.transport)
            return rest if self.guard.is_turned_away else b""
        return rest

    # -- the parser's side

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"] = {"connection": self, "is_stand_in": self.guard.is_stand_in}

    def on_headers_complete(self) -> None:
        self.guard.is_in_head = False
        self.guard.stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self.guard.await_head(self._bounds.limits.keep_alive_s, self.transport)


class _GuardedSocket(WebSocketsSansIOProtocol):
    """What a connection becomes by an upgrade: its guard and its client go along."""

    guard: _Guard | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        before = self.transport.get_protocol()
        assert isinstance(before, _GuardedProtocol)
        self.guard, self.client = before.guard, before.client
        self.app_state = {"is_stand_in": before.guard.is_stand_in}

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.guard is not None:
            self.guard.leave()

    def on_task_complete(self, task: asyncio.Task[None]) -> None:
        """All is said; the client has a moment to take it."""
        super().on_task_complete(task)
        if self.guard is not None and not self.disconnected:
            self.guard.await_head(0.0, self.transport)
