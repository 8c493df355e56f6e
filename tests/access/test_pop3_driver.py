"""POP3 over real sockets and TLS, through the driver of the server, with Python's poplib as the client."""

from __future__ import annotations

import asyncio
import contextlib
import poplib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest
import trustme

from posthouse.access.pop3.session import Pop3Session
from posthouse.adapters.net.tls import make_server_context
from posthouse.message.mailbox import Flag
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.serve.access import AccessService, AccessServiceSettings
from posthouse.serve.admission import Admission, AdmissionLimits
from posthouse.serve.connection import DoorFigures
from tests.access.pop3_kit import LOGIN, PostOffice, letter, open_office

Result = TypeVar("Result")
USER = "alice@example.org"
LARGE = b"Subject: large\r\n\r\n" + b".a line of a large message, with a dot before it\r\n" * 100_000
authority = trustme.CA()


def make_client_context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@contextlib.asynccontextmanager
async def open_door(office: PostOffice, path: Path, *, implicit_tls: bool = False) -> AsyncIterator[int]:
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(path / "server.pem"))
    service = AccessService(
        settings=AccessServiceSettings(implicit_tls=implicit_tls),
        make_session=lambda wire: Pop3Session(wire, office.desk),
        render_refusal=lambda reply: b"-ERR no\r\n",
        admission=Admission(AdmissionLimits()),
        clock=FakeClock(),
        log=FakeLog(),
        figures=DoorFigures(*(FakeFigure() for _ in range(5))),
        tls=make_server_context(str(path / "server.pem"), str(path / "server.pem")),
    )
    server = await asyncio.get_running_loop().create_server(service, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        service.abort()
        await asyncio.sleep(0)


async def beside(work: Callable[[], Result]) -> Result:
    return await asyncio.get_running_loop().run_in_executor(None, work)


@pytest.mark.parametrize("implicit_tls", [True, False])
async def test_poplib_reads_and_deletes(tmp_path: Path, implicit_tls: bool) -> None:
    office = await open_office(letter("one", ".\r\n..two\r\n"), letter("two"), LARGE)

    def read(port: int) -> list[bytes]:
        pop: poplib.POP3
        if implicit_tls:
            pop = poplib.POP3_SSL("localhost", port, timeout=10, context=make_client_context())
        else:
            pop = poplib.POP3("localhost", port, timeout=10)
            pop.stls(make_client_context())
        assert "STLS" not in pop.capa()
        pop.user(USER)
        pop.pass_("right")
        messages = [b"".join(line + b"\r\n" for line in pop.retr(number)[1]) for number in (1, 2, 3)]
        pop.dele(1)
        pop.dele(3)
        pop.quit()
        return messages

    async with open_door(office, tmp_path, implicit_tls=implicit_tls) as port:
        assert await beside(lambda: read(port)) == [letter("one", ".\r\n..two\r\n"), letter("two"), LARGE]
    assert await office.left() == {2: Flag.SEEN}
    assert not office.maildrops.locked


async def test_a_client_that_reads_nothing_costs_a_piece_and_hinders_nobody(tmp_path: Path) -> None:
    office = await open_office(*[LARGE] * 3)
    async with open_door(office, tmp_path) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(LOGIN + b"RETR 1\r\nRETR 2\r\nRETR 3\r\n")
        assert (await reader.readline()).startswith(b"+OK")
        other_reader, other = await asyncio.open_connection("127.0.0.1", port)
        await other_reader.readline()
        other.write(LOGIN)
        await other_reader.readline()
        assert (await other_reader.readline()).startswith(b"-ERR [IN-USE]")
        writer.transport.abort()
        while office.maildrops.locked:  # the driver hears of it
            await asyncio.sleep(0.001)
        other.write(LOGIN)
        await other_reader.readline()
        assert (await other_reader.readline()).startswith(b"+OK 3 ")
        other.close()
    assert await office.left() == {1: Flag(0), 2: Flag(0), 3: Flag(0)}


async def test_who_closes_behind_quit_has_quit(tmp_path: Path) -> None:
    """Under TLS, where the driver hears of both at once."""
    office = await open_office(letter("one"), letter("two"))

    def read(port: int) -> None:
        plain = socket.create_connection(("localhost", port), timeout=10)
        secured = make_client_context().wrap_socket(plain, server_hostname="localhost")
        for command in (b"", b"USER alice@example.org\r\n", b"PASS right\r\n", b"DELE 1\r\n"):
            secured.sendall(command)
            assert secured.recv(1000).startswith(b"+OK")
        secured.sendall(b"QUIT\r\n")
        secured.close()

    async with open_door(office, tmp_path, implicit_tls=True) as port:
        await beside(lambda: read(port))
        while office.maildrops.locked:
            await asyncio.sleep(0.001)
    assert await office.left() == {2: Flag(0)}
