"""Connector and dialer together over real sockets, against a small server that stores what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.net.dialer import NetDialer
from posthouse.adapters.net.tls import ClientContexts, make_self_signed, make_server_context
from posthouse.message.outcome import Delivered
from posthouse.mta.outbound import ConnectFailed, Connection, Connector, HopPlan, OutboundSettings, TlsPolicy
from posthouse.ports.observe import FakeLog
from posthouse.ports.stream import Endpoint
from tests.mta.outbound_kit import FileLikeBody, message


class Sink:
    """Speaks SMTP with STARTTLS and CHUNKING; `mails` are the bodies as they came. `stalls`: says 220 and no more."""

    def __init__(self, tls: ssl.SSLContext, *, stalls: bool = False, extensions: bytes = b"") -> None:
        self._tls = tls
        self._stalls = stalls
        self._extensions = extensions
        self.mails: list[bytes] = []
        self.connections = 0
        self.encrypted = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"220 sink\r\n")
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                if not await self._answer(line, reader, writer):
                    break
        writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        match line.split()[0]:
            case b"EHLO":
                writer.write(b"250-sink\r\n250-STARTTLS\r\n" + self._extensions + b"250 PIPELINING\r\n")
            case b"STARTTLS":
                writer.write(b"220 go\r\n")
                if self._stalls:
                    await reader.read()
                    return False
                await writer.start_tls(self._tls)
                self.encrypted += 1
            case b"DATA":
                writer.write(b"354 go\r\n")
                self.mails.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(b"250 2.0.0 stored\r\n")
            case b"BDAT":
                self.mails.append(await reader.readexactly(int(line.split()[1])))
                writer.write(b"250 2.0.0 stored\r\n")
            case b"QUIT":
                writer.write(b"221 bye\r\n")
                return False
            case _:
                writer.write(b"250 ok\r\n")
        return True


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    directory: Path = tmp_path_factory.mktemp("sink")
    paths = str(directory / "cert.pem"), str(directory / "key.pem")
    make_self_signed("sink.example", *paths)
    return make_server_context(*paths)


@contextlib.asynccontextmanager
async def running(sink: Sink) -> AsyncIterator[Endpoint]:
    server = await asyncio.start_server(sink.serve, "127.0.0.1", 0, limit=1 << 24)
    try:
        yield Endpoint("sink.example", "127.0.0.1", server.sockets[0].getsockname()[1])
    finally:
        server.close()


def make_connector() -> Connector:
    settings = OutboundSettings("me.example", tls_s=0.2, use_chunking=True)
    return Connector(NetDialer(ClientContexts()), settings, FakeLog(), SystemClock(), lambda: "nonce")


async def test_several_messages_over_one_encrypted_connection(server_tls: ssl.SSLContext) -> None:
    sink = Sink(server_tls)
    async with running(sink) as endpoint:
        opened = await make_connector().open(HopPlan([endpoint]))
        assert isinstance(opened, Connection)
        assert opened.tls is not None
        for number in range(3):
            queued = message("r1", body=b"%d\r\n.\r\n" % number)
            (outcome,) = await opened.deliver(queued, queued.recipients, is_last=number == 2)
            assert isinstance(outcome, Delivered)
        await opened.quit()
    assert sink.mails == [b"Received: from x\r\n%d\r\n..\r\n.\r\n" % number for number in range(3)]
    assert sink.connections == sink.encrypted == 1


async def test_a_peer_that_stalls_after_starttls_gets_the_mail_in_plaintext(server_tls: ssl.SSLContext) -> None:
    sink = Sink(server_tls, stalls=True)
    connector = make_connector()
    async with running(sink) as endpoint:
        for connections in (2, 3):  # the second time without trying
            opened = await connector.open(HopPlan([endpoint]))
            assert isinstance(opened, Connection)
            queued = message("r1")
            (outcome,) = await opened.deliver(queued, queued.recipients)
            assert isinstance(outcome, Delivered)
            await opened.quit()
            assert sink.connections == connections


async def test_a_peer_that_stalls_after_starttls_gets_nothing_where_tls_is_required(server_tls: ssl.SSLContext) -> None:
    sink = Sink(server_tls, stalls=True)
    async with running(sink) as endpoint:
        opened = await make_connector().open(HopPlan([endpoint], tls=TlsPolicy.REQUIRED))
    assert isinstance(opened, ConnectFailed)
    assert sink.connections == 1


@pytest.mark.parametrize("extensions", [b"", b"250-CHUNKING\r\n"])
async def test_a_large_file_arrives_whole_by_data_and_by_bdat(server_tls: ssl.SSLContext, extensions: bytes) -> None:
    sink = Sink(server_tls, extensions=extensions)
    body = b".".join(b"%d\r\n" % number for number in range(200_000))
    async with running(sink) as endpoint:
        opened = await make_connector().open(HopPlan([endpoint]))
        assert isinstance(opened, Connection)
        queued = message("r1", body=FileLikeBody(body))
        (outcome,) = await opened.deliver(queued, queued.recipients)
        assert isinstance(outcome, Delivered)
        await opened.quit()
    (mail,) = sink.mails
    if not extensions:
        mail = mail.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n.")
    assert mail == b"Received: from x\r\n" + body
