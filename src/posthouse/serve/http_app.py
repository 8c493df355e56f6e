"""An ASGI application of plain routes: finds the route, reads the request, lets the handler answer, writes the answer.

It stands in the place of a framework: an answer that lasts for hours costs one task and a few frames here, and each
answer gets the headers that keep browsers from guessing. One request's defect is one request's 500. Nothing durable.
RFC 9110, RFC 6455 as far as it is asked of the application.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from posthouse.message.peer import Network
from posthouse.ports.observe import Log
from posthouse.serve.http_messages import (
    SAFE_HEADERS,
    AnyRoute,
    BodyTooLarge,
    HttpAnswer,
    HttpRefused,
    HttpRequest,
    HttpRoute,
    SocketClosed,
    SocketRoute,
    answer_problem,
)
from posthouse.serve.http_reading import (
    BodyReader,
    ClientGone,
    HttpLimits,
    Receive,
    Scope,
    check_host,
    join_headers,
    read_head,
)
from posthouse.serve.http_routing import Router, read_parameters

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_NOT_FOUND = answer_problem(404, "Not Found")
_TOO_LARGE = answer_problem(413, "Content Too Large")
_TOO_SLOW = answer_problem(408, "Request Timeout")
_FAILED = answer_problem(500, "Internal Server Error")
_NO_SUBPROTOCOL = answer_problem(400, "Bad Request", "None of the subprotocols is spoken here")
_WITHOUT_LENGTH = (204, 304)
_PIECE = 256 * 1024
_GOING_AWAY = 1001  # RFC 6455 §7.4.1
_ONLY_TEXT = 1003
_FAILED_CODE = 1011


class WatchedConnection(Protocol):
    """What http.py puts into the scope's state: the connection of a request."""

    @property
    def is_stuck(self) -> bool:
        """The client does not take what is sent to it."""

    def cancel_when_lost(self, task: asyncio.Task[Any] | None) -> None: ...


@dataclass(frozen=True, slots=True)
class AppSettings:
    limits: HttpLimits
    trusted: Sequence[Network] = ()


class HttpApp:
    def __init__(self, routes: Sequence[AnyRoute], settings: AppSettings, log: Log) -> None:
        self._router = Router(routes)
        self._settings, self._limits = settings, settings.limits
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._meet(scope, receive, send)
            return
        body = BodyReader(receive, self._limits.body, self._limits)
        try:
            answer = await self._answer(scope, body)
        except ClientGone:
            return
        try:
            is_read = body.is_complete or await body.skip(join_headers(scope["headers"]))
            await self._write(scope, send, answer, None if is_read else body)
        finally:
            if not isinstance(answer.body, bytes):
                await _close(answer.body)

    # -- requests

    async def _answer(self, scope: Scope, body: BodyReader) -> HttpAnswer:
        """Raises ClientGone."""
        try:
            check_host(scope)
            found = self._find(scope, str(scope["method"]))
            if isinstance(found, HttpAnswer):
                return found
            async with asyncio.timeout(found.request_s or self._limits.request_s):
                request = read_head(scope, self._settings.trusted, _parameters(found, scope))
                return await self._handle(found, request, body)
        except HttpRefused as refused:
            return refused.answer
        except BodyTooLarge:
            return _TOO_LARGE
        except TimeoutError:
            return _TOO_SLOW
        except ClientGone:
            raise
        except Exception:  # noqa: BLE001 - one request's defect is one request's 500
            self._log.error("HTTP request failed", path=str(scope["path"]))
            return _FAILED

    async def _handle(self, route: HttpRoute, request: HttpRequest, body: BodyReader) -> HttpAnswer:
        body.limit = self._limits.body if route.body_limit is None else route.body_limit
        if route.is_streamed:
            return await route.handler(replace(request, pieces=body.pieces(request.headers)))
        return await route.handler(replace(request, body=await body.read_all(request.headers)))

    def _find(self, scope: Scope, method: str) -> HttpRoute | HttpAnswer:
        fitting = self._router.find(_raw_path(scope))
        routes = [route for route in fitting if isinstance(route, HttpRoute)]
        for route in routes:
            if method in route.methods or (method == "HEAD" and "GET" in route.methods):
                return route
        if routes:
            allowed = sorted({name for route in routes for name in route.methods})
            return replace(answer_problem(405, "Method Not Allowed"), headers={"Allow": ", ".join(allowed)})
        return answer_problem(426, "Upgrade Required", "This is a WebSocket") if fitting else _NOT_FOUND

    # -- answers

    async def _write(self, scope: Scope, send: Send, answer: HttpAnswer, unread: BodyReader | None) -> None:
        """`unread`: a body the client is still sending. It hears the answer first: who listens stops sending."""
        headers = make_headers(answer)
        if unread is not None:
            headers.append((b"connection", b"close"))
        connection: WatchedConnection = scope["state"]["connection"]
        if isinstance(answer.body, bytes):
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            await self._send_octets(send, connection, answer.body, unread)
            return
        pieces = answer.body
        connection.cancel_when_lost(asyncio.current_task())
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": headers})
            if scope["method"] != "HEAD":
                async for piece in pieces:
                    if piece:
                        await self._send_piece(send, connection, piece, has_more=True)
        except TimeoutError:
            return  # the client does not read; the connection is closed upon an answer that has no end
        except Exception:
            self._log.error("HTTP answer failed", path=str(scope["path"]))
            raise
        finally:
            connection.cancel_when_lost(None)
        if unread is not None:
            await unread.discard()
        await self._send_piece(send, connection, b"", has_more=False)

    async def _send_octets(
        self, send: Send, connection: WatchedConnection, octets: bytes, unread: BodyReader | None
    ) -> None:
        """In pieces, so that of a large answer no more waits for its client than was taken to be sent."""
        at = 0
        try:
            while len(octets) - at > _PIECE:
                await self._send_piece(send, connection, octets[at : at + _PIECE], has_more=True)
                at += _PIECE
            await self._send_piece(send, connection, octets[at:] if at else octets, has_more=unread is not None)
            if unread is not None:
                await unread.discard()
                await self._send_piece(send, connection, b"", has_more=False)
        except TimeoutError:
            return  # the client does not read; the connection is closed upon an answer that has no end

    async def _send_piece(self, send: Send, connection: WatchedConnection, piece: bytes, *, has_more: bool) -> None:
        message = {"type": "http.response.body", "body": piece, "more_body": has_more}
        if not connection.is_stuck:
            await send(message)
            return
        async with asyncio.timeout(self._limits.stuck_s):
            await send(message)

    # -- WebSockets

    async def _meet(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        route = next((each for each in self._router.find(_raw_path(scope)) if isinstance(each, SocketRoute)), None)
        if route is None:
            await _refuse_socket(send, _NOT_FOUND)
            return
        spoken = next((name for name in scope["subprotocols"] if name in route.subprotocols), None)
        if route.subprotocols and spoken is None:
            await _refuse_socket(send, _NO_SUBPROTOCOL)
            return
        socket = _Socket(receive, send, self._limits.stuck_s)
        try:
            talk = await self._open(route, scope)
        except HttpRefused as refused:
            await _refuse_socket(send, refused.answer)
            return
        await send({"type": "websocket.accept", "subprotocol": spoken, "headers": []})
        try:
            await talk(socket)
        except SocketClosed:
            return
        except Exception:  # noqa: BLE001 - one connection's defect is its own
            self._log.error("WebSocket failed", path=route.path)
            await socket.close(_FAILED_CODE, "internal error")
        else:
            await socket.close(_GOING_AWAY)

    async def _open(self, route: SocketRoute, scope: Scope) -> Callable[[_Socket], Awaitable[None]]:
        """Raises HttpRefused."""
        try:
            async with asyncio.timeout(self._limits.request_s):
                check_host(scope)
                return await route.handler(read_head(scope, self._settings.trusted, {}))
        except TimeoutError:
            raise HttpRefused(_TOO_SLOW) from None
        except HttpRefused:
            raise
        except Exception:  # noqa: BLE001 - one request's defect is one request's 500
            self._log.error("HTTP request failed", path=route.path)
            raise HttpRefused(_FAILED) from None


class _Socket:
    """`WebSocket` on ASGI."""

    __slots__ = ("_is_closed", "_receive", "_send", "_stuck_s")

    def __init__(self, receive: Receive, send: Send, stuck_s: float) -> None:
        self._receive, self._send, self._stuck_s = receive, send, stuck_s
        self._is_closed = False

    async def receive(self) -> str:
        if self._is_closed:
            raise SocketClosed
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self._is_closed = True
            raise SocketClosed
        text: str | None = message.get("text")
        if text is None:
            await self.close(_ONLY_TEXT, "only text is spoken here")
            raise SocketClosed
        return text

    async def send(self, text: str) -> None:
        await self._say({"type": "websocket.send", "text": text})

    async def close(self, code: int = 1000, reason: str = "") -> None:
        if not self._is_closed:
            self._is_closed = True
            try:
                await self._say({"type": "websocket.close", "code": code, "reason": reason}, is_last=True)
            except SocketClosed:
                return

    async def _say(self, message: MutableMapping[str, Any], *, is_last: bool = False) -> None:
        if self._is_closed and not is_last:
            raise SocketClosed
        try:
            async with asyncio.timeout(self._stuck_s):
                await self._send(message)
        except (OSError, RuntimeError):  # gone, not reading (TimeoutError is an OSError), or closed a moment ago
            self._is_closed = True
            raise SocketClosed from None


async def _refuse_socket(send: Send, answer: HttpAnswer) -> None:
    """An ordinary answer instead of the handshake (RFC 6455 §4.2.2)."""
    body = answer.body if isinstance(answer.body, bytes) else b""
    headers = make_headers(answer)
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body, "more_body": False})


def make_headers(answer: HttpAnswer) -> list[tuple[bytes, bytes]]:
    fields = {name.lower(): value for name, value in SAFE_HEADERS.items()}
    fields["content-type"] = answer.content_type
    fields.update({name.lower(): value for name, value in answer.headers.items()})
    if isinstance(answer.body, bytes) and answer.status not in _WITHOUT_LENGTH:
        fields.setdefault("content-length", str(len(answer.body)))
    return [*_encode(fields.items()), *_encode(("set-cookie", each) for each in answer.cookies)]


def _encode(fields: Any) -> Iterator[tuple[bytes, bytes]]:
    """A field with a line break would end the head: uvicorn refuses it, which is our 500."""
    for name, value in fields:
        yield name.encode("ascii"), value.encode("latin-1")


def _raw_path(scope: Scope) -> str:
    return bytes(scope["raw_path"]).decode("ascii", "replace")


def _parameters(route: HttpRoute, scope: Scope) -> dict[str, str]:
    return read_parameters(route.path, _raw_path(scope))


async def _close(pieces: AsyncIterator[bytes]) -> None:
    close = getattr(pieces, "aclose", None)
    if close is not None:
        await close()
