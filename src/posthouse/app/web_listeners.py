"""The http listeners of a worker: made ready, renewed, drained. What they answer is in web_routes.py.

web = WebListeners(context)
await web.start(make_context)      # nothing is imported or made without an http listener
web.periodic                       # (seconds, work) for the worker to call
await web.drain(10.0)
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from posthouse.adapters.net.tls import make_server_context
from posthouse.app.wiring import door_figures
from posthouse.app.worker_context import Accepting, OpenListener, TlsFiles, WorkerContext

if TYPE_CHECKING:
    from posthouse.app.web import WebContext
    from posthouse.serve.http import HttpServer
    from posthouse.serve.http_messages import AnyRoute
    from posthouse.serve.http_reading import HttpLimits

SERVICE = "http"
_Work = tuple[float, Callable[[], Awaitable[None]]]


class WebListeners:
    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._listeners = [each for each in context.listeners if each.settings.service == SERVICE]
        self._web: WebContext | None = None
        self._servers: list[HttpServer] = []
        self._accepting: list[Accepting] = []
        self._tls: list[ssl.SSLContext] = []
        self.is_ready = False

    @property
    def periodic(self) -> Sequence[_Work]:
        return self._web.periodic if self._web is not None else ()

    async def start(self, make_context: Callable[[], WebContext]) -> None:
        """Accepts from now on; `is_ready` is what /readyz tells."""
        if not self._listeners:
            return
        from posthouse.app.web_routes import make_all_routes

        for name in ("uvicorn.error", "uvicorn.access"):  # what matters is in our own log
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        self._web = make_context()
        routes = [*self._make_own_routes(), *make_all_routes(self._web)]
        for listener in self._listeners:
            await self._open(listener, routes)

    def _make_own_routes(self) -> Sequence[AnyRoute]:
        from posthouse.app.http_routes import make_routes

        context = self._context
        token_file = context.settings.metrics.token_file
        token = context.files[token_file].strip() if token_file is not None else None
        return make_routes(context.link, context.metrics, token, lambda: self.is_ready)

    async def _open(self, listener: OpenListener, routes: Sequence[AnyRoute]) -> None:
        from posthouse.serve.http import HttpDoor, HttpServer

        context = self._context
        door = HttpDoor(
            trusted=context.settings.web.trusted_proxies,
            proxy_networks=listener.settings.proxy_protocol,
            figures=door_figures(context.metrics, SERVICE),
        )
        server = HttpServer(routes, context.admission, context.clock, context.log, self._make_limits(), door)
        self._servers.append(server)
        self._accepting.append(await context.accept(listener, server.make_protocol, self._make_tls(listener)))

    def _make_limits(self) -> HttpLimits:
        from posthouse.serve.http_reading import HttpLimits

        settings = self._context.settings
        return HttpLimits(backlog=settings.limits.backlog, message=settings.web.max_request)

    def _make_tls(self, listener: OpenListener) -> ssl.SSLContext | None:
        if listener.settings.tls != "implicit":
            return None
        context = make_server_context(self._context.tls.certificate, self._context.tls.key)
        self._tls.append(context)
        return context

    def renew_tls(self, files: TlsFiles) -> None:
        """New handshakes use the new certificate. Raises OSError."""
        for context in self._tls:
            context.load_cert_chain(files.certificate, files.key)

    async def drain(self, deadline_s: float) -> None:
        """Nobody new; what is in hand is answered; what would last is told to go. May be called again."""
        self.is_ready = False
        for each in self._accepting:
            each.close()
        if self._web is not None:
            for end in self._web.draining:
                end()
        await asyncio.gather(*(server.drain(deadline_s) for server in self._servers))

    async def close(self) -> None:
        """Behind `drain`."""
        if self._web is not None:
            for close in self._web.closing:
                await close()
