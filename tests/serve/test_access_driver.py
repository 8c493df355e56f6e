"""The driver of IMAP and POP3: PROXY, limits, TLS, backpressure, deadlines, the end."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.net.tls import make_self_signed, make_server_context
from posthouse.serve.access import AccessConnection, AccessServiceSettings
from posthouse.serve.admission import AdmissionLimits
from tests.serve.access_kit import LOOPBACK, PATIENCE_S, Door, open_door
from tests.serve.smtp_kit import Talk

BASE = AccessServiceSettings()


async def wait_for(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.002)


def connection_of(door: Door) -> AccessConnection:
    [connection] = door.service.sessions
    assert isinstance(connection, AccessConnection)
    return connection


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    base: Path = tmp_path_factory.mktemp("tls")
    files = str(base / "cert.pem"), str(base / "key.pem")
    make_self_signed("mx.ours.example", *files)
    return make_server_context(*files)


@pytest.fixture
def client_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def say(talk: Talk, text: str) -> str:
    talk.send(text + "\r\n")
    return await talk.line()


# -- the beginning


async def test_a_session_is_greeted_and_served() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        assert await say(talk, "ECHO one") == "one\r\n"
        assert await say(talk, "QUIT") == "bye\r\n"
        assert await talk.line() == ""
        await wait_for(lambda: door.sessions[0].is_over)
        assert not door.service.sessions


async def test_a_client_beyond_the_limits_is_told_so_in_its_protocol() -> None:
    async with open_door(limits=AdmissionLimits(per_address=1)) as door:
        first = await door.greeted()
        second = await door.connect()
        assert await second.rest() == "no Too many connections from your address, try again later\r\n"
        await first.close()
        await wait_for(lambda: not door.service.sessions)
        await door.greeted()


async def test_behind_a_proxy_only_the_announced_address_counts() -> None:
    async with open_door(replace(BASE, proxy_networks=LOOPBACK)) as door:
        talk = await door.connect()
        talk.send("PROXY TCP4 192.0.2.7 192.0.2.1 4000 143\r\nECHO early\r\n")
        assert await talk.line() == "ready\r\n"
        assert await talk.line() == "early\r\n"
        assert connection_of(door).peer.address == "192.0.2.7"


async def test_a_client_that_sends_no_proxy_header_is_cut_off() -> None:
    async with open_door(replace(BASE, proxy_networks=LOOPBACK)) as door:
        talk = await door.connect()
        await wait_for(lambda: door.service.sessions)
        door.sweep_after(11)
        assert await talk.rest() == ""
        assert not door.sessions


# -- TLS


async def test_bytes_behind_starttls_are_dropped(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with open_door(tls=server_tls) as door:
        talk = await door.greeted()
        assert await say(talk, "TLS?") == "True \r\n"
        assert await say(talk, "STARTTLS\r\nECHO injected") == "begin\r\n"
        await talk.writer.start_tls(client_tls)
        assert await say(talk, "TLS?") == "False TLSv1.3\r\n"
        assert connection_of(door).peer.channel_bindings


async def test_implicit_tls_begins_with_the_handshake(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with open_door(replace(BASE, implicit_tls=True), tls=server_tls) as door:
        talk = Talk(*await asyncio.open_connection("127.0.0.1", door.port, ssl=client_tls))
        assert await talk.line() == "ready\r\n"
        assert await say(talk, "TLS?") == "False TLSv1.3\r\n"


async def test_a_handshake_that_fails_ends_the_session_and_whoever_awaits_it(server_tls: ssl.SSLContext) -> None:
    async with open_door(tls=server_tls) as door:
        talk = await door.greeted()
        assert await say(talk, "STARTTLS") == "begin\r\n"
        talk.send("this is no handshake\r\n")
        await talk.rest()
        await wait_for(lambda: door.sessions[0].has_lost)


# -- who reads slowly, and who is gone


async def test_a_session_waits_for_a_client_that_does_not_read() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("MUCH 30000000\r\n")
        await wait_for(lambda: connection_of(door)._is_full)
        assert connection_of(door)._transport.get_write_buffer_size() < 300_000
        end = b""
        while not end.endswith(b"\r\ndone\r\n"):
            end = end[-8:] + await talk.reader.read(1 << 20)


async def test_a_client_that_goes_ends_what_is_written_to_it() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("MUCH 30000000\r\n")
        await wait_for(lambda: connection_of(door)._is_full)
        talk.writer.transport.abort()
        await wait_for(lambda: door.sessions[0].has_lost and door.sessions[0].is_over)


async def test_a_client_that_reads_nothing_for_long_is_cut_off() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("MUCH 30000000\r\n")
        await wait_for(lambda: connection_of(door)._is_full)
        door.sweep_after(BASE.stuck_s - 1)
        assert door.service.sessions
        door.sweep_after(2)
        await wait_for(lambda: not door.service.sessions)
        await wait_for(lambda: door.sessions[0].has_lost)


async def test_a_client_that_ends_its_side_still_gets_its_answers() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("ECHO one\r\nECHO two\r\nQUIT\r\n")
        talk.writer.write_eof()
        assert await talk.rest() == "one\r\ntwo\r\nbye\r\n"


# -- deadlines and errors


async def test_a_silent_client_is_timed_out_by_its_session() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        door.sweep_after(PATIENCE_S - 1)
        assert await say(talk, "ECHO still") == "still\r\n"
        await wait_for(lambda: door.sessions[0].task is None)
        door.sweep_after(PATIENCE_S - 1)
        assert door.service.sessions
        door.sweep_after(2)
        assert await talk.rest() == "too late\r\n"


async def test_a_client_that_stays_after_the_farewell_is_cut_off() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        door.sessions[0].wire.close()
        with contextlib.suppress(ConnectionError):
            await talk.rest()
        door.sweep_after(6)
        await wait_for(lambda: not door.service.sessions)


async def test_what_was_written_before_the_end_reaches_a_client_on_a_slow_line() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        wire = door.sessions[0].wire
        wire.write(b"x" * 20_000_000)
        wire.close()
        await asyncio.sleep(0)
        door.sweep_after(60)
        assert len(await talk.rest()) == 20_000_000


async def test_a_client_that_only_makes_errors_waits_for_its_answers() -> None:
    async with open_door(limits=AdmissionLimits(free_errors=2, delay_per_error_s=0.1)) as door:
        talk = await door.greeted()
        assert await say(talk, "BAD") == "bad\r\n"
        assert await say(talk, "BAD") == "bad\r\n"
        before = asyncio.get_running_loop().time()
        talk.send("BAD\r\nECHO behind\r\nQUIT\r\n")
        assert await talk.rest() == "bad\r\nbehind\r\nbye\r\n"
        assert asyncio.get_running_loop().time() - before > 0.09


# -- the end


async def test_a_draining_service_lets_its_sessions_stay_and_nobody_in() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        door.service.drain()
        assert await say(talk, "ECHO still") == "still\r\n"
        assert (await (await door.connect()).rest()).startswith("no Service is shutting down")
        door.service.shut_down("come back soon")
        assert await talk.rest() == "bye come back soon\r\n"


async def test_an_administrator_sees_who_it_is_and_can_end_it() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        assert await say(talk, "LOGIN anna@ours.example") == "in\r\n"
        connection = connection_of(door)
        assert connection.login_name == "anna@ours.example"
        assert connection.doing == f"heard {len(b'LOGIN anna@ours.example') + 2}"
        connection.kick("Ended")
        assert await talk.rest() == "bye Ended\r\n"
