"""What HTTP handlers get and give: plain values that know no framework.

    async def handler(request: HttpRequest) -> HttpAnswer: ...
    HttpRoute("/jmap/upload/{account}/", handler, ("POST",), body_limit=50 << 20, is_streamed=True)
    HttpRoute("/{rest*}", show_page)                 # everything that no other route takes
    SocketRoute("/jmap/ws", meet, ("jmap",))         # async def meet(request) -> Talk; async def talk(socket) -> None

Raise `HttpRefused(answer)` to end a request early. Every answer gets the headers of `SAFE_HEADERS` unless it has its
own of that name. Pure. RFC 9110; cookies as RFC 6265 §5.4 sends them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

PROBLEM = "application/problem+json"
JSON = "application/json"
SAFE_HEADERS: Final[Mapping[str, str]] = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cache-Control": "no-store",
}


class BodyTooLarge(Exception):
    """More than the route takes, while its body is read piece by piece; answered by 413 when nobody catches it."""


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`peer` is the client's address, normalised, "" on a unix socket; behind a trusted proxy the one it tells. Header
    names are in lower case; of `query` the last value counts. `parameters`: what stood in the route's braces, decoded.

    `scheme`: how the client came, "http" or "https". `is_local`: it never left this machine, nor did a proxy speak for
    somebody else. `body` is empty on a streamed route, where `pieces` is iterated once; it raises BodyTooLarge.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    peer: str
    body: bytes = b""
    parameters: Mapping[str, str] = field(default_factory=dict)
    scheme: str = "http"
    is_local: bool = False
    pieces: AsyncIterator[bytes] | None = None

    async def read_all(self) -> bytes:
        """Of a streamed route, by who has looked at the head first. Raises BodyTooLarge."""
        return b"".join([piece async for piece in self.pieces]) if self.pieces is not None else self.body

    @property
    def cookies(self) -> dict[str, str]:
        """The first of each name counts: the more specific one is sent first."""
        found: dict[str, str] = {}
        for pair in self.headers.get("cookie", "").split(";"):
            name, is_pair, value = pair.strip().partition("=")
            if is_pair:
                found.setdefault(name, value.strip('"'))
        return found

    @property
    def origin(self) -> str:
        """What a browser writes in Origin for a page of ours."""
        return f"{self.scheme}://{self.headers.get('host', '')}"


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """`body` may come piece by piece; such an iterator is closed when the client goes, whatever it waits for. Give
    Content-Length in `headers` where it is known. `cookies`: values of Set-Cookie fields.
    """

    status: int = 200
    body: bytes | AsyncIterator[bytes] = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: Sequence[str] = ()


class HttpRefused(Exception):
    """Ends a request with this answer."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


Handler = Callable[[HttpRequest], Awaitable[HttpAnswer]]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """`{name}` in the path takes one segment, `{name*}` at its end the rest; literal segments win. GET answers HEAD.

    `body_limit` and `request_s` None: those of the listener. `request_s` is the time until the handler has answered;
    a streamed answer then ends when its client does not take any for `stuck_s` of the listener.
    """

    path: str
    handler: Handler
    methods: Sequence[str] = ("GET",)
    body_limit: int | None = None
    request_s: float | None = None
    is_streamed: bool = False


class SocketClosed(Exception):
    """The client, or the server's end, has closed the WebSocket."""


class WebSocket(Protocol):
    """RFC 6455, of text messages. Pings, fragments and closing are looked after."""

    async def receive(self) -> str:
        """The next message. Raises SocketClosed."""

    async def send(self, text: str) -> None:
        """Waits while the client does not read. Raises SocketClosed."""

    async def close(self, code: int = 1000, reason: str = "") -> None: ...


Talk = Callable[[WebSocket], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SocketRoute:
    """`handler` is asked before the handshake is answered and may raise HttpRefused; what it gives does the talking.
    `subprotocols`: one of them must be asked for, where there are any.
    """

    path: str
    handler: Callable[[HttpRequest], Awaitable[Talk]]
    subprotocols: Sequence[str] = ()


AnyRoute = HttpRoute | SocketRoute


def answer_json(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    return HttpAnswer(status, msgspec.json.encode(value), JSON, headers or {})


def answer_problem(status: int, title: str, detail: str = "", kind: str = "about:blank", **more: object) -> HttpAnswer:
    """RFC 9457."""
    members: dict[str, object] = {"type": kind, "title": title, "status": status, **more}
    if detail:
        members["detail"] = detail
    return HttpAnswer(status, msgspec.json.encode(members), PROBLEM)


def refuse(status: int, title: str, detail: str = "") -> HttpRefused:
    return HttpRefused(answer_problem(status, title, detail))
