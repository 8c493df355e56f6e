"""From what came on a connection to an HttpRequest: headers, who the client is, and the body within its bounds.

Clients are not trusted. A proxy of `trusted` networks (and whoever may open our unix socket) tells for whom it speaks
by X-Forwarded-For and X-Forwarded-Proto; from anybody else these fields only show that it is not the client itself
who talks, and then what is open to this machine is not open to it. RFC 9110, RFC 9112 §3.2 (Host).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from posthouse.message.peer import Network, Peer, is_in_networks, is_loopback, normalise_address
from posthouse.serve.http_messages import BodyTooLarge, HttpRequest, refuse

Scope = MutableMapping[str, Any]  # of ASGI
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_HOST = re.compile(r"(?:[A-Za-z0-9._-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?", re.ASCII)
_FORWARDED = ("x-forwarded-for", "x-forwarded-proto", "forwarded")
_MAX_FIELDS = 1000  # of a query
_LITTLE = 256 << 10
_DISCARDED = 256 << 20
_DISCARDING_S = 30.0


class ClientGone(Exception):
    """While its request was read."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Octets and seconds. `head_s` is also how long a connection may do nothing before its first request; `stuck_s`
    how long one piece of a streamed body or answer may take, and `min_rate` the octets per second beyond that.
    `discard_s`: how long a piece of a body that nobody wants is waited for. `message`, `ping_s`: of WebSockets.
    `turned`: connections above the limits that hear so, at a time; `turned_s`: how long they may take to ask.
    """

    head: int = 64 << 10
    body: int = 1 << 20
    head_s: float = 20.0
    request_s: float = 60.0
    keep_alive_s: int = 30
    backlog: int = 1024
    stuck_s: float = 60.0
    min_rate: int = 1024
    message: int = 10 << 20
    ping_s: float = 30.0
    discard_s: float = 2.0
    turned: int = 200
    turned_s: float = 2.0


@dataclass(frozen=True, slots=True)
class _Client:
    peer: str
    scheme: str
    is_local: bool


def read_head(scope: Scope, trusted: Sequence[Network], parameters: Mapping[str, str]) -> HttpRequest:
    """Without the body. Raises HttpRefused."""
    headers = join_headers(scope["headers"])
    client = _find_client(scope, headers, trusted)
    return HttpRequest(
        method=str(scope.get("method", "GET")),
        path=str(scope["path"]),
        query=_read_query(bytes(scope["query_string"])),
        headers=headers,
        peer=client.peer,
        parameters=parameters,
        scheme=client.scheme,
        is_local=client.is_local,
    )


def check_host(scope: Scope) -> None:
    """Raises HttpRefused: a request has one Host; only one of HTTP/1.0 may have none (RFC 9112 §3.2)."""
    hosts = [value for name, value in scope["headers"] if name == b"host"]
    if not hosts and scope.get("http_version") != "1.0":
        raise refuse(400, "Bad Request", "There is no Host field")
    if len(hosts) > 1:
        raise refuse(400, "Bad Request", "There are two Host fields")
    if hosts and not _HOST.fullmatch(hosts[0].decode("latin-1")):
        raise refuse(400, "Bad Request", "The Host field is no host")


def join_headers(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        if name not in headers:
            headers[name] = value
        else:
            headers[name] = f"{headers[name]}{'; ' if name == 'cookie' else ', '}{value}"
    return headers


def _read_query(octets: bytes) -> dict[str, str]:
    if not octets:
        return {}
    try:
        return dict(parse_qsl(octets.decode("ascii"), keep_blank_values=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise refuse(400, "Bad Request", "The query cannot be read") from None


def _find_client(scope: Scope, headers: Mapping[str, str], trusted: Sequence[Network]) -> _Client:
    """Raises HttpRefused."""
    client = scope.get("client")
    direct = normalise_address(client[0]) if client else ""
    scheme = "https" if scope["scheme"] in ("https", "wss") else "http"
    is_local = not scope["state"].get("is_stand_in", False) and is_loopback(Peer(direct))
    if not any(name in headers for name in _FORWARDED):
        is_silent_proxy = is_in_networks(direct, trusted)
        return _Client(direct, scheme, is_local and not is_silent_proxy)
    if direct and not is_in_networks(direct, trusted):
        return _Client(direct, scheme, is_local=False)
    told = _read_forwarded_for(headers.get("x-forwarded-for", ""), trusted)
    protocol = headers.get("x-forwarded-proto", scheme).rpartition(",")[2].strip().lower()
    if told is None:
        return _Client(direct, "https" if protocol == "https" else "http", is_local=False)
    return _Client(told, "https" if protocol == "https" else "http", is_local and is_loopback(Peer(told)))


def _read_forwarded_for(value: str, trusted: Sequence[Network]) -> str | None:
    """The last address that is no trusted proxy's own: what stands before it, the client may have written itself."""
    addresses = [part.strip() for part in value.split(",") if part.strip()]
    for text in reversed(addresses):
        try:
            address = normalise_address(text.strip("[]"))
        except ValueError:
            raise refuse(400, "Bad Request", "X-Forwarded-For has something that is no address") from None
        if not is_in_networks(address, trusted):
            return address
    return None


# -- the body


@dataclass(slots=True)
class BodyReader:
    """The body of one request, read once, as a whole or piece by piece."""

    receive: Receive
    limit: int
    limits: HttpLimits
    size: int = 0
    is_complete: bool = False
    started: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def read_all(self, headers: Mapping[str, str]) -> bytes:
        """Raises BodyTooLarge, ClientGone, TimeoutError."""
        return b"".join([piece async for piece in self.pieces(headers)])

    async def pieces(self, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Raises BodyTooLarge, ClientGone, TimeoutError: also when all of it together is too slow."""
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limit:
            raise BodyTooLarge
        while not self.is_complete:
            async with asyncio.timeout(self.limits.stuck_s):
                piece = await self._receive()
            if self.size > self.limit:
                raise BodyTooLarge
            self._check_pace()
            if piece:
                yield piece

    async def _receive(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        piece: bytes = message.get("body", b"")
        self.is_complete = not message.get("more_body", False)
        self.size += len(piece)
        return piece

    def _check_pace(self) -> None:
        took = asyncio.get_running_loop().time() - self.started
        if took > self.limits.stuck_s + self.size / self.limits.min_rate:
            raise TimeoutError

    async def skip(self, headers: Mapping[str, str]) -> bool:
        """What is left of it, when that is little: the connection can be used again. False: something is left."""
        length = headers.get("content-length", "" if "transfer-encoding" in headers else "0")
        if (
            not self.is_complete
            and length.isdecimal()
            and int(length) - self.size <= _LITTLE
            and "expect" not in headers
        ):
            await self.discard()
        return self.is_complete

    async def discard(self) -> None:
        """What is left of it, within bounds: a client that has not sent all yet may lose the answer when the connection
        is closed upon what it still sends. Who waits for nothing but the end sends no more, and is let go soon.
        """
        bound = self.size + _DISCARDED
        try:
            async with asyncio.timeout(_DISCARDING_S):
                while not self.is_complete and self.size < bound:
                    async with asyncio.timeout(self.limits.discard_s):
                        await self._receive()
        except (TimeoutError, ClientGone):
            return
