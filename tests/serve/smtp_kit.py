"""The SMTP driver on a real loopback socket, with the inbound role on fakes and a clock that stands."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from posthouse.message.peer import Peer
from posthouse.mta.inbound import InboundSession
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.connection import DoorFigures
from posthouse.serve.smtp import SmtpService, SmtpServiceSettings
from tests.mta.inbound_kit import Desktop

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
BASE = SmtpServiceSettings(ServerSettings("mx.ours.example"))


@dataclass
class Door:
    """`port` accepts; `desktop` shows what was taken; `service` is the driver."""

    desktop: Desktop
    service: SmtpService
    port: int

    async def connect(self) -> Talk:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        return Talk(reader, writer)

    async def greeted(self) -> Talk:
        talk = await self.connect()
        assert (await talk.line()).startswith("220 ")
        return talk

    def sweep_after(self, seconds: float) -> None:
        self.desktop.clock.advance(seconds)
        self.service.sweep()


class Talk:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, text: str | bytes) -> None:
        self.writer.write(text if isinstance(text, bytes) else text.encode())

    async def line(self) -> str:
        """The next line, "" at the end of the connection."""
        with contextlib.suppress(ConnectionError):
            return (await asyncio.wait_for(self.reader.readline(), 5)).decode()
        return ""

    async def reply(self) -> str:
        """The last line of the next reply."""
        line = await self.line()
        while line[3:4] == "-":
            line = await self.line()
        return line

    async def say(self, text: str) -> str:
        self.send(text + "\r\n")
        return await self.reply()

    async def rest(self) -> str:
        with contextlib.suppress(ConnectionError):
            return (await asyncio.wait_for(self.reader.read(), 5)).decode()
        return ""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def open_door(
    settings: SmtpServiceSettings = BASE,
    *,
    tls: ssl.SSLContext | None = None,
    limits: AdmissionLimits | None = None,
) -> AsyncIterator[Door]:
    desktop = Desktop()
    service = SmtpService(
        settings=replace(settings),
        make_role=lambda peer: _make_role(desktop, peer),
        admission=Admission(limits or AdmissionLimits()),
        clock=desktop.clock,
        log=FakeLog(),
        figures=DoorFigures(*(FakeFigure() for _ in range(5))),
        tls=tls,
    )
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", 0)
    try:
        yield Door(desktop, service, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        service.abort()
        await asyncio.sleep(0)


def _make_role(desktop: Desktop, peer: Peer) -> InboundSession:
    return InboundSession(desktop.desk, peer)
