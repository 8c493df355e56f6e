"""JMAP's routes on a real listener, with everything behind them in memory. Alice's password is "right"."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from posthouse.access.jmap.methods import TABLES, JmapServer
from posthouse.access.jmap.push_hub import PushHub
from posthouse.access.jmap.session import SessionBuilder
from posthouse.app.web import Visit
from posthouse.app.web_blobs import BlobDesk
from posthouse.app.web_events import EventDesk
from posthouse.app.web_jmap import JmapRoutes
from posthouse.app.web_jmap_desk import JmapDesk
from posthouse.app.web_limits import AccountLimits, UsageLimits
from posthouse.app.web_socket import SocketDesk
from posthouse.ports.uploads_memory import MemoryUploads
from posthouse.protocol.jmap.limits import CoreLimits
from posthouse.serve.http_messages import HttpRequest, refuse
from tests.access.jmap_kit import LOGIN, ME, Desk, make_parts
from tests.msa.submit_kit import House
from tests.serve.http_kit import Lab, serving

__all__ = ["ME", "WebLab", "open_web"]

AUTH = "Authorization: Right"
HEADERS = {"Authorization": "Right"}
USAGE = UsageLimits(requests=2, uploads=2, streams=2, requests_per_minute=0, downloads=2)
CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def read_reply(octets: bytes) -> Reply:
    """Of a connection that is closed behind it."""
    head, _, body = octets.partition(b"\r\n\r\n")
    start, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if headers.get("transfer-encoding") == "chunked":
        body = unchunk(body)
    return Reply(int(start.split()[1]), headers, body)


def unchunk(octets: bytes) -> bytes:
    pieces = []
    while octets:
        size, _, octets = octets.partition(b"\r\n")
        pieces.append(octets[: int(size, 16)])
        octets = octets[int(size, 16) + 2 :]
    return b"".join(pieces)


class Stream:
    """An event stream as a client reads it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0

    async def start(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        self.head = head.decode().lower()
        self.status = int(head.split()[1])

    async def next(self) -> dict[str, str]:
        """Fields of the next event; {} for a comment; EOFError at the end."""
        async with asyncio.timeout(5):
            size = int(await self._reader.readuntil(b"\r\n"), 16)
            if not size:
                raise EOFError
            text = (await self._reader.readexactly(size + 2)).decode().strip()
        pairs = (line.partition(": ") for line in text.split("\n"))
        return {name: value for name, _, value in pairs if name.strip(":")}

    def close(self) -> None:
        self._writer.close()


class WebLab:
    def __init__(self, desk: Desk, web: JmapDesk, lab: Lab) -> None:
        self.desk, self.web, self.lab = desk, web, lab
        self.log = lab.log

    @property
    def port(self) -> int:
        return self.lab.port

    async def send(self, method: str, path: str, body: bytes = b"", *headers: str) -> Reply:
        lines = [
            f"{method} {path} HTTP/1.1",
            "Host: mail.example.org:8080",
            "Connection: close",
            f"Content-Length: {len(body)}",
            *(headers or (AUTH,)),
        ]
        return read_reply(await self.lab.send("\r\n".join([*lines, "", ""]).encode() + body))

    async def ask(self, *calls: tuple[str, dict[str, Any]], **members: Any) -> Reply:
        request = {"using": [CORE, MAIL], "methodCalls": [[*call, "0"] for call in calls], **members}
        return await self.post(json.dumps(request).encode())

    async def post(self, body: bytes, content_type: str = "application/json") -> Reply:
        return await self.send("POST", "/jmap/api", body, AUTH, f"Content-Type: {content_type}")

    @asynccontextmanager
    async def stream(self, query: str = "types=*&closeafter=no&ping=0", *headers: str) -> AsyncIterator[Stream]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"GET /jmap/eventsource?{query} HTTP/1.1", "Host: a", *(headers or (AUTH,)), "", ""]
        writer.write("\r\n".join(lines).encode())
        stream = Stream(reader, writer)
        await stream.start()
        try:
            yield stream
        finally:
            stream.close()


class Door:
    """Lets in who says "Right"; `reason`: why he must go."""

    def __init__(self) -> None:
        self.reason = ""

    async def identify(self, request: HttpRequest) -> Visit:
        if request.headers.get("authorization") != "Right":
            raise refuse(401, "Unauthorized")
        return Visit(LOGIN, lambda: self.reason)


@asynccontextmanager
async def open_web(
    usage: UsageLimits = USAGE, limits: CoreLimits | None = None, door: Door | None = None
) -> AsyncIterator[WebLab]:
    house = House()
    parts = make_parts(house)
    parts = replace(
        parts,
        limits=limits or CoreLimits(max_size_upload=2_000_000, max_size_request=10_000),
        uploads=MemoryUploads(house.clock, lambda: house.make_token().replace("-", ""), max_octets=5_000_000),
    )
    server = JmapServer(parts, SessionBuilder(parts), TABLES)
    hub = PushHub(parts.store.changes, house.store.records, house.log)
    web = JmapDesk((door or Door()).identify, parts, server, AccountLimits(usage, house.clock), hub)
    routes = [each for kind in (JmapRoutes, BlobDesk, EventDesk, SocketDesk) for each in kind(web).list_routes()]
    async with serving(*routes) as lab:
        yield WebLab(Desk(house, parts, server), web, lab)
