"""The driver of IMAP and POP3 on a real loopback socket, with a session of a few words and a clock that stands."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from posthouse.message.mailbox import AccountId
from posthouse.message.reply import Reply
from posthouse.ports.access import ConnectionLost, Wire
from posthouse.ports.clock import FakeClock
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.serve.access import AccessService, AccessServiceSettings
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.connection import DoorFigures
from tests.serve.smtp_kit import Talk

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
PATIENCE_S = 100.0


class Words:
    """ECHO x | STARTTLS | COMPRESS | LOGIN name | BAD | PAUSE | MUCH octets | QUIT, a line each."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.buffer = b""
        self.task: asyncio.Task[None] | None = None
        self.received = 0
        self.is_over = self.has_lost = self.is_counting = self.takes_no_more = False

    @property
    def doing(self) -> str:
        return f"heard {self.received}"

    def begin(self) -> None:
        self.wire.write(b"ready\r\n")
        self.wire.expect(PATIENCE_S)

    def receive(self, data: bytes) -> None:
        self.received += len(data)
        if self.is_counting:
            self.wire.expect(PATIENCE_S)
            if self.takes_no_more:
                self.wire.pause()
            return
        self.buffer += data
        if self.task is None:
            self.task = asyncio.get_running_loop().create_task(self._run())

    def end_of_input(self) -> None:
        if self.task is None:
            self.wire.close()

    def ended(self) -> None:
        self.is_over = True

    def time_out(self) -> None:
        self.wire.write(b"too late\r\n")
        self.wire.close()

    def shut_down(self, reason: str) -> None:
        self.wire.write(f"bye {reason}\r\n".encode())
        self.wire.close()

    async def _run(self) -> None:
        try:
            while b"\r\n" in self.buffer and not self.is_counting:
                line, _, self.buffer = self.buffer.partition(b"\r\n")
                await self._do(*line.decode().partition(" ")[::2])
            self.wire.expect(PATIENCE_S)
        except ConnectionLost:
            self.has_lost = True
        finally:
            self.task = None

    async def _do(self, word: str, rest: str) -> None:
        wire = self.wire
        match word:
            case "STARTTLS":
                wire.write(b"begin\r\n")
                self.buffer = b""
                await wire.start_tls()
            case "COMPRESS":
                wire.write(b"compressed\r\n")
                wire.compress()
            case "COUNT":
                self.is_counting, self.takes_no_more = True, rest == "once"
                wire.write(b"counting\r\n")
            case "LOGIN":
                wire.note_login(Login(AccountId(1), rest, "PLAIN"))
                wire.write(b"in\r\n")
            case "BAD":
                wire.note_error()
                wire.write(b"bad\r\n")
            case "MUCH":
                await self._write_much(int(rest))
            case "TLS?":
                wire.write(f"{wire.has_tls} {wire.peer.tls_version}\r\n".encode())
            case "QUIT":
                wire.write(b"bye\r\n")
                wire.close()
            case _:
                await asyncio.sleep(0)
                wire.write(f"{rest}\r\n".encode())

    async def _write_much(self, octets: int) -> None:
        for _ in range(octets // 65_536):
            self.wire.write(b"x" * 65_536)
            await self.wire.drain()
        self.wire.write(b"\r\ndone\r\n")


@dataclass
class Door:
    service: AccessService
    port: int
    clock: FakeClock
    sessions: list[Words] = field(default_factory=list)

    async def connect(self) -> Talk:
        return Talk(*await asyncio.open_connection("127.0.0.1", self.port))

    async def greeted(self) -> Talk:
        talk = await self.connect()
        assert await talk.line() == "ready\r\n"
        return talk

    def sweep_after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.service.sweep()


def render(reply: Reply) -> bytes:
    return f"no {reply.text}\r\n".encode()


@contextlib.asynccontextmanager
async def open_door(
    settings: AccessServiceSettings | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    limits: AdmissionLimits | None = None,
) -> AsyncIterator[Door]:
    sessions: list[Words] = []

    def make_session(wire: Wire) -> Words:
        sessions.append(Words(wire))
        return sessions[-1]

    clock = FakeClock()
    service = AccessService(
        settings=settings or AccessServiceSettings(),
        make_session=make_session,
        render_refusal=render,
        admission=Admission(limits or AdmissionLimits()),
        clock=clock,
        log=FakeLog(),
        figures=DoorFigures(*(FakeFigure() for _ in range(5))),
        tls=tls,
    )
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", 0)
    try:
        yield Door(service, server.sockets[0].getsockname()[1], clock, sessions)
    finally:
        server.close()
        service.abort()
        await asyncio.sleep(0)
