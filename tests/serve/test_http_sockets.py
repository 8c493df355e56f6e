"""WebSockets on a real listener, by a client library."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.http import HttpDoor
from posthouse.serve.http_messages import HttpRequest, HttpRoute, SocketClosed, SocketRoute, Talk, WebSocket, refuse
from posthouse.serve.http_reading import HttpLimits
from tests.serve.http_kit import Lab, serving
from tests.serve.test_http_requests import show

JMAP: Any = ("jmap",)


async def echo(socket: WebSocket) -> None:
    while True:
        await socket.send(await socket.receive())


def talking(talk: Talk = echo) -> SocketRoute:
    async def meet(request: HttpRequest) -> Talk:
        if request.headers.get("x-refuse"):
            raise refuse(401, "Unauthorized")
        return talk

    return SocketRoute("/ws", meet, ("jmap",))


@asynccontextmanager
async def client(lab: Lab, path: str = "/ws", **options: Any) -> AsyncIterator[ClientConnection]:
    options = {"subprotocols": JMAP, **options}
    async with connect(f"ws://127.0.0.1:{lab.port}{path}", proxy=None, **options) as connection:
        yield connection


async def test_text_goes_both_ways() -> None:
    async with serving(talking()) as lab, client(lab) as socket:
        assert socket.subprotocol == "jmap"
        for text in ("one", "zwei ü", "x" * 100_000):
            await socket.send(text)
            assert await socket.recv() == text


async def test_fragments_are_one_message() -> None:
    async with serving(talking()) as lab, client(lab) as socket:
        await socket.send(["one", " ", "message"])
        assert await socket.recv() == "one message"


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/ws", {"additional_headers": {"X-Refuse": "1"}}, 401),
        ("/ws", {"subprotocols": ("other",)}, 400),
        ("/ws", {"subprotocols": None}, 400),
        ("/none", {}, 404),
        ("/page", {}, 404),
    ],
)
async def test_who_is_refused_gets_an_ordinary_answer(path: str, options: dict[str, Any], status: int) -> None:
    async with serving(talking(), HttpRoute("/page", show)) as lab:
        with pytest.raises(InvalidStatus) as refused:
            async with client(lab, path, **options):
                raise AssertionError("it was let in")
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_ordinary_request_for_a_socket_is_told_to_upgrade() -> None:
    async with serving(talking()) as lab:
        assert (await lab.get("/ws")).startswith(b"HTTP/1.1 426 ")


async def closes_with(socket: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(5):
            await socket.recv()
    return closed.value.rcvd.code if closed.value.rcvd is not None else None


async def test_octets_are_not_spoken() -> None:
    async with serving(talking()) as lab, client(lab) as socket:
        await socket.send(b"octets")
        assert await closes_with(socket) == 1003


async def test_a_message_too_large_ends_the_connection() -> None:
    async with serving(talking(), limits=HttpLimits(message=1000)) as lab, client(lab) as socket:
        await socket.send("x" * 1001)
        assert await closes_with(socket) == 1009


async def test_a_defect_ends_its_connection_only_and_is_logged() -> None:
    async def fail(socket: WebSocket) -> None:
        raise KeyError(await socket.receive())

    async with serving(talking(fail)) as lab, client(lab) as other, client(lab) as socket:
        await socket.send("secret")
        assert await closes_with(socket) == 1011
        await other.ping()
    assert lab.log.events == [("error", "WebSocket failed", {"path": "/ws"})]


async def test_a_client_that_goes_ends_the_talk() -> None:
    ended = asyncio.Event()

    async def wait(socket: WebSocket) -> None:
        try:
            await socket.receive()
        except SocketClosed:
            ended.set()
            raise

    async with serving(talking(wait)) as lab:
        async with client(lab):
            pass
        async with asyncio.timeout(5):
            await ended.wait()
    assert lab.log.events == []


async def test_a_client_that_does_not_answer_pings_is_let_go() -> None:
    async with serving(talking(), limits=HttpLimits(ping_s=0.05)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: jmap\r\n\r\n"
        )
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        async with asyncio.timeout(5):
            await reader.read()
        writer.close()


async def test_sockets_count_as_connections_until_they_end() -> None:
    admission = Admission(AdmissionLimits(per_address=1))
    async with serving(talking(), admission=admission) as lab:
        async with client(lab):
            assert admission.total == 1
            assert (await lab.get("/ws")).startswith(b"HTTP/1.1 503 ")
        async with asyncio.timeout(5):
            while admission.total:
                await asyncio.sleep(0.001)


async def test_a_socket_knows_its_client_as_the_proxy_names_it() -> None:
    seen: list[tuple[str, bool]] = []

    async def meet(request: HttpRequest) -> Talk:
        seen.append((request.peer, request.is_local))
        raise refuse(401, "Unauthorized")

    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    door = HttpDoor(proxy_networks=(ipaddress.ip_network("127.0.0.0/8"),))
    async with serving(SocketRoute("/ws", meet), door=door) as lab:
        for header in (b"PROXY TCP4 192.0.2.9 198.51.100.1 4711 80\r\n", b"PROXY UNKNOWN\r\n"):
            assert (await lab.send(header + upgrade)).startswith(b"HTTP/1.1 401 ")
    assert seen == [("192.0.2.9", False), ("127.0.0.1", False)]


async def test_draining_ends_sockets_as_gone_away_or_restarting() -> None:
    async with serving(talking()) as lab, client(lab) as socket:
        draining = asyncio.create_task(lab.server.drain(5.0))
        assert await closes_with(socket) in (1001, 1012)
        await draining
