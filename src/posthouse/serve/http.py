"""HTTP inside a worker's loop: the only place of starlette and uvicorn. Routes are handed in by app.

Handlers take and return plain values; they know neither framework. Clients are not trusted: heads and bodies are
bounded, each has a deadline, and connections pass admission like everybody else's. Nothing is kept over a crash.
RFC 9110, RFC 9112 as far as uvicorn and httptools speak them. No HTTP/2, no websockets.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from posthouse.message.peer import normalise_address
from posthouse.message.reply import Reply
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Octets and seconds. `head_s` is also how long a connection may do nothing before its first request."""

    head: int = 64 << 10
    body: int = 1 << 20
    head_s: float = 20.0
    request_s: float = 60.0
    keep_alive_s: int = 30
    backlog: int = 1024


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`peer` is the client's address, normalised, "" on a unix socket. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpRoute:
    path: str
    handler: Callable[[HttpRequest], Awaitable[HttpAnswer]]
    methods: Sequence[str] = ("GET",)


class HttpAdmission(Protocol):
    """Connection limits (serve/admission.py)."""

    def admit(self, address: str, now: float) -> Reply | None: ...

    def release(self, address: str) -> None: ...


class HttpServer:
    """One listener of one worker."""

    def __init__(
        self,
        routes: Sequence[HttpRoute],
        admission: HttpAdmission,
        clock: Clock,
        log: Log,
        limits: HttpLimits | None = None,
    ) -> None:
        self._limits = limits or HttpLimits()
        self._admission = admission
        self._clock = clock
        self._log = log
        self._app = Starlette(routes=[self._make_route(route) for route in routes])
        self._server: uvicorn.Server | None = None
        self._serving: asyncio.Task[None] | None = None

    async def start(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accept on an inherited, listening socket."""
        config = uvicorn.Config(
            self._app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=self._limits.keep_alive_s,
            backlog=self._limits.backlog,
        )
        config.load()
        config.ssl = tls
        config.http_protocol_class = self._make_protocol()
        self._server = _QuietServer(config)
        self._serving = asyncio.get_running_loop().create_task(self._server.serve([listener]))
        while not self._server.started:
            if self._serving.done():
                self._serving.result()
                raise RuntimeError("the HTTP listener ended before it began")
            await asyncio.sleep(0)

    async def drain(self, deadline_s: float) -> None:
        """Stop accepting; requests in hand are answered, idle connections closed. The rest ends at the deadline."""
        if self._server is None or self._serving is None:
            return
        self._server.should_exit = True
        done, _ = await asyncio.wait([self._serving], timeout=deadline_s)
        if not done:
            self._server.force_exit = True
            for connection in list(self._server.server_state.connections):
                connection.transport.abort()
            await asyncio.wait([self._serving], timeout=1.0)

    def _make_route(self, route: HttpRoute) -> Route:
        async def endpoint(request: Request) -> Response:
            return await self._answer(route, request)

        return Route(route.path, endpoint, methods=list(route.methods))

    async def _answer(self, route: HttpRoute, request: Request) -> Response:
        try:
            async with asyncio.timeout(self._limits.request_s):
                answer = await route.handler(await self._read(request))
        except TimeoutError:
            return Response("too slow\n", 408, media_type="text/plain")
        except HTTPException:
            raise
        except Exception:  # noqa: BLE001 - one request's defect is one request's 500
            self._log.error("HTTP request failed", path=route.path)
            return Response("internal error\n", 500, media_type="text/plain")
        headers = {"Content-Type": answer.content_type, "X-Content-Type-Options": "nosniff", **answer.headers}
        return Response(answer.body, answer.status, headers)

    async def _read(self, request: Request) -> HttpRequest:
        pieces, size = [], 0
        async for piece in request.stream():
            size += len(piece)
            if size > self._limits.body:
                raise HTTPException(413)
            pieces.append(piece)
        return HttpRequest(
            method=request.method,
            path=request.url.path,
            query=dict(request.query_params),
            headers=dict(request.headers),
            peer=normalise_address(request.client.host) if request.client else "",
            body=b"".join(pieces),
        )

    def _make_protocol(self) -> type[HttpToolsProtocol]:
        limits, admission, clock = self._limits, self._admission, self._clock

        class Guarded(_GuardedProtocol):
            bounds = (limits, admission, clock)

        return Guarded


class _QuietServer(uvicorn.Server):
    """Signals are the worker's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class _Guard:
    limits: HttpLimits
    admission: HttpAdmission
    clock: Clock
    address: str = ""
    is_admitted: bool = False
    is_in_head: bool = True
    head_octets: int = 0
    timer: asyncio.TimerHandle | None = None


class _GuardedProtocol(HttpToolsProtocol):
    """uvicorn bounds neither the size of a head nor the time a client takes for it."""

    bounds: ClassVar[tuple[HttpLimits, HttpAdmission, Clock]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._guard = _Guard(*self.bounds)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        guard = self._guard
        guard.address = normalise_address(self.client[0]) if self.client else ""
        if guard.admission.admit(guard.address, guard.clock.monotonic()) is not None:
            transport.abort()
            return
        guard.is_admitted = True
        self._await_head(0.0)

    def connection_lost(self, exc: Exception | None) -> None:
        guard = self._guard
        if guard.is_admitted:
            guard.is_admitted = False
            guard.admission.release(guard.address)
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        guard = self._guard
        if guard.is_in_head:
            guard.head_octets += len(data)
            if guard.head_octets > guard.limits.head:
                self.transport.abort()

    def on_headers_complete(self) -> None:
        self._guard.is_in_head = False
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head(self._guard.limits.keep_alive_s)

    def _await_head(self, idle_s: float) -> None:
        guard = self._guard
        guard.is_in_head, guard.head_octets = True, 0
        self._stop_timer()
        if not self.transport.is_closing():
            guard.timer = self.loop.call_later(idle_s + guard.limits.head_s, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._guard.timer is not None:
            self._guard.timer.cancel()
            self._guard.timer = None
