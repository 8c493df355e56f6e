"""The SMTP driver with clients that behave and clients that do not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.net.tls import make_self_signed, make_server_context
from posthouse.serve.admission import AdmissionLimits
from tests.serve.smtp_kit import BASE, LOOPBACK, Door, Talk, open_door

MESSAGE = "MAIL FROM:<a@else.example>\r\nRCPT TO:<bob@ours.example>\r\nDATA\r\n"


async def wait_for(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    base: Path = tmp_path_factory.mktemp("tls")
    certificate, key = str(base / "cert.pem"), str(base / "key.pem")
    make_self_signed("mx.ours.example", certificate, key)
    return certificate, key


@pytest.fixture
def server_tls(tls_files: tuple[str, str]) -> ssl.SSLContext:
    return make_server_context(*tls_files)


@pytest.fixture
def client_tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def upgrade(talk: Talk, context: ssl.SSLContext) -> None:
    await talk.writer.start_tls(context)


async def test_pipelined_commands_are_answered_in_one_write() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO client.example\r\n" + MESSAGE)
        assert (await talk.reply()).startswith("250")
        replies = (await talk.reader.read(4096)).decode().splitlines()
        assert [line[:3] for line in replies] == ["250", "250", "354"]
        assert (await talk.say("Subject: x\r\n\r\nhello\r\n.")).startswith("250 2.0.0 Ok: queued as")
        assert (await talk.say("QUIT")).startswith("221")
        assert await talk.line() == ""
        assert len(door.desktop.onward.taken) == 1


async def test_commands_behind_the_final_dot_wait_for_its_reply() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO c.example\r\n" + MESSAGE + "Subject: x\r\n\r\nhello\r\n.\r\nNOOP\r\nQUIT\r\n")
        codes = [line[:3] for line in (await talk.rest()).splitlines() if line[3] == " "]
        assert codes == ["250", "250", "250", "354", "250", "250", "221"]


async def test_a_client_that_ends_its_side_behind_quit_still_reads_all_replies() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO c.example\r\n" + MESSAGE + "Subject: x\r\n\r\nhello\r\n.\r\nQUIT\r\n")
        talk.writer.write_eof()
        codes = [line[:3] for line in (await talk.rest()).splitlines() if line[3] == " "]
        assert codes == ["250", "250", "250", "354", "250", "221"]
        await wait_for(lambda: not door.service.sessions)


async def test_a_client_that_ends_its_side_between_commands_is_let_go() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.writer.write_eof()
        assert await talk.rest() == ""
        await wait_for(lambda: not door.service.sessions)


async def test_starttls_and_what_was_pipelined_behind_it_is_dropped(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    async with open_door(tls=server_tls) as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        talk.send("STARTTLS\r\nMAIL FROM:<evil@else.example>\r\n")
        assert (await talk.reply()).startswith("220")
        await upgrade(talk, client_tls)
        assert (await talk.say("RCPT TO:<bob@ours.example>")).startswith("503")
        assert "STARTTLS" not in await talk.say("EHLO c.example")
        talk.send(MESSAGE)
        assert [(await talk.reply())[:3] for _ in range(3)] == ["250", "250", "354"]
        assert (await talk.say("Subject: x\r\n\r\nhello\r\n.")).startswith("250")
        trace = door.desktop.onward.taken[0].trace
        assert b"with ESMTPS id" in trace
        assert b"version=TLSv1.3 cipher=TLS_" in trace
        await talk.close()


async def test_implicit_tls_begins_with_the_handshake(server_tls: ssl.SSLContext, client_tls: ssl.SSLContext) -> None:
    async with open_door(replace(BASE, implicit_tls=True), tls=server_tls) as door:
        reader, writer = await asyncio.open_connection("127.0.0.1", door.port, ssl=client_tls)
        talk = Talk(reader, writer)
        assert (await talk.line()).startswith("220")
        assert "STARTTLS" not in await talk.say("EHLO c.example")
        await talk.close()


async def test_a_handshake_that_comes_before_tls_is_there_to_take_it(
    server_tls: ssl.SSLContext, client_tls: ssl.SSLContext
) -> None:
    """In the packet of the PROXY header; a busy worker may read it as early without one."""
    settings = replace(BASE, implicit_tls=True, proxy_networks=LOOPBACK)
    async with open_door(settings, tls=server_tls) as door:
        talk = await door.connect()
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = client_tls.wrap_bio(incoming, outgoing)
        with pytest.raises(ssl.SSLWantReadError):
            session.do_handshake()
        talk.send(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 465\r\n" + outgoing.read())
        incoming.write(await asyncio.wait_for(talk.reader.read(65536), 5))
        session.do_handshake()
        talk.send(outgoing.read())
        async with asyncio.timeout(5):
            greeting = b""
            while not greeting:
                incoming.write(await talk.reader.read(65536))
                with contextlib.suppress(ssl.SSLWantReadError):
                    greeting = session.read(100)
        assert greeting.startswith(b"220 ")
        await talk.close()


async def test_a_handshake_that_fails_or_stalls_ends_the_session(server_tls: ssl.SSLContext) -> None:
    async with open_door(tls=server_tls) as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        await talk.say("STARTTLS")
        talk.send("this is no handshake\r\n" * 10)
        await talk.rest()
        await wait_for(lambda: not door.service.sessions)
        stalled = await door.greeted()
        await stalled.say("EHLO c.example")
        await stalled.say("STARTTLS")
        door.sweep_after(100)
        assert await stalled.rest() == ""


async def test_a_silent_client_is_told_421_after_its_time() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        door.sweep_after(299)
        assert len(door.service.sessions) == 1
        door.sweep_after(2)
        assert (await talk.line()).startswith("421 4.4.2")
        assert await talk.line() == ""


async def test_a_client_that_sends_one_byte_per_second_does_not_stay_for_ever() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        for _ in range(400):
            if not door.service.sessions:
                break
            talk.send("N")
            await asyncio.sleep(0.001)
            door.sweep_after(1)
        assert not door.service.sessions


async def test_a_message_that_comes_one_byte_per_second_ends_too() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO c.example\r\n" + MESSAGE)
        for _ in range(4):
            await talk.reply()
        for _ in range(400):
            if not door.service.sessions:
                break
            talk.send("x" * 70 + "\r\n")
            await asyncio.sleep(0.001)
            door.sweep_after(1)
        assert not door.service.sessions
        assert door.desktop.onward.taken == []


async def test_a_client_that_reads_nothing_is_not_read_from_either() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.writer.transport.pause_reading()  # type: ignore[attr-defined]
        talk.send("EHLO c.example\r\n" + "VRFY someone\r\n" * 20)
        await asyncio.sleep(0.05)
        door.sweep_after(400)
        await wait_for(lambda: not door.service.sessions)


async def test_a_client_that_talks_before_the_greeting_is_refused() -> None:
    async with open_door(replace(BASE, greet_delay_s=0.05)) as door:
        talk = await door.connect()
        talk.send("EHLO c.example\r\n")
        assert (await talk.rest()).startswith("554 5.5.1")


async def test_connection_limits_answer_421_and_count_back() -> None:
    async with open_door(limits=AdmissionLimits(per_address=2)) as door:
        first, second = await door.greeted(), await door.greeted()
        third = await door.connect()
        assert (await third.rest()).startswith("421 4.7.0")
        await first.close()
        await wait_for(lambda: len(door.service.sessions) == 1)
        assert (await (await door.connect()).line()).startswith("220")
        await second.close()


async def test_a_client_that_only_makes_errors_is_slowed_and_then_closed() -> None:
    limits = AdmissionLimits(free_errors=3, delay_per_error_s=0.01, max_delay_s=0.05)
    async with open_door(limits=limits) as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        replies = [await talk.say("BOGUS") for _ in range(20)]
        assert all(reply.startswith("500") for reply in replies)
        assert (await talk.say("NOOP")).startswith("421 4.7.0")
        assert await talk.line() == ""
        errors = door.service.figures.errors
        assert getattr(errors, "value", 0) >= 20


async def test_many_unknown_recipients_slow_the_next_connection_too() -> None:
    limits = AdmissionLimits(free_errors=2, delay_per_error_s=0.02, max_delay_s=0.1)
    async with open_door(limits=limits) as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        await talk.say("MAIL FROM:<a@else.example>")
        for number in range(10):
            assert (await talk.say(f"RCPT TO:<u{number}@ours.example>")).startswith("550 5.1.1")
        again = await door.greeted()
        await again.say("EHLO c.example")
        before = asyncio.get_running_loop().time()
        await again.say("BOGUS")
        assert asyncio.get_running_loop().time() - before >= 0.09


async def test_behind_proxy_only_the_announced_address_counts() -> None:
    settings = replace(BASE, proxy_networks=LOOPBACK)
    async with open_door(settings, limits=AdmissionLimits(per_address=1)) as door:
        talk = await door.connect()
        talk.send("PROXY TCP4 192.0.2.9 127.0.0.1 4711 25\r\n")
        assert (await talk.line()).startswith("220")
        await talk.say("EHLO c.example")
        await talk.say("MAIL FROM:<a@else.example>")
        assert (await talk.say("RCPT TO:<victim@elsewhere.example>")).startswith("550 5.7.1")
        other = await door.connect()
        other.send(b"\r\n\r\n\x00\r\nQUIT\n\x21\x21\x00\x24")
        address = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.9")
        other.send(address + address + struct.pack("!HH", 4711, 25))
        assert (await other.rest()).startswith("421 4.7.0")  # the same address, in another form


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"])
async def test_a_proxy_that_names_no_client_is_not_trusted_for_its_own_address(header: bytes) -> None:
    async with open_door(replace(BASE, proxy_networks=LOOPBACK, xclient_networks=LOOPBACK)) as door:
        talk = await door.connect()
        talk.send(header)
        assert (await talk.line()).startswith("220")
        assert (await talk.say("XCLIENT ADDR=127.0.0.1"))[0] == "5"
        await talk.say("EHLO c.example")
        await talk.say("MAIL FROM:<a@else.example>")
        assert (await talk.say("RCPT TO:<victim@elsewhere.example>")).startswith("550 5.7.1")


async def test_a_proxy_network_that_does_not_say_proxy_is_cut_off() -> None:
    async with open_door(replace(BASE, proxy_networks=LOOPBACK)) as door:
        talk = await door.connect()
        talk.send("EHLO c.example\r\n")
        assert await talk.rest() == ""
        silent = await door.connect()
        await wait_for(lambda: len(door.service.sessions) == 1)
        door.sweep_after(11)
        assert await silent.rest() == ""


async def test_proxy_from_an_address_not_configured_is_a_command_like_any_other() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        assert (await talk.say("PROXY TCP4 10.1.2.3 127.0.0.1 4711 25"))[0] == "5"


async def test_xclient_takes_the_place_of_the_client_where_it_is_configured() -> None:
    async with open_door(replace(BASE, xclient_networks=LOOPBACK)) as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        assert (await talk.say("XCLIENT ADDR=192.0.2.9 PORT=99 NAME=host.else.example")).startswith("220")
        await talk.say("EHLO c.example")
        await talk.say("MAIL FROM:<a@else.example>")
        assert (await talk.say("RCPT TO:<victim@elsewhere.example>")).startswith("550 5.7.1")
        assert (await talk.say("RCPT TO:<bob@ours.example>")).startswith("250")
        await talk.say("DATA")
        assert (await talk.say("Subject: x\r\n\r\nhello\r\n.")).startswith("250")
        assert b"(host.else.example [192.0.2.9])" in door.desktop.onward.taken[0].trace


async def test_xclient_without_an_address_is_not_trusted_for_its_own() -> None:
    async with open_door(replace(BASE, xclient_networks=LOOPBACK)) as door:
        talk = await door.greeted()
        await talk.say("EHLO proxy.example")
        assert (await talk.say("XCLIENT ADDR=[UNAVAILABLE]")).startswith("220")
        await talk.say("EHLO c.example")
        await talk.say("MAIL FROM:<a@else.example>")
        assert (await talk.say("RCPT TO:<victim@elsewhere.example>")).startswith("550 5.7.1")


async def test_xclient_from_elsewhere_is_refused() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        await talk.say("EHLO c.example")
        assert (await talk.say("XCLIENT ADDR=10.0.0.1")).startswith("550 5.7.0")


async def test_draining_ends_idle_sessions_and_lets_a_message_in_hand_finish() -> None:
    async with open_door() as door:
        idle, busy = await door.greeted(), await door.greeted()
        busy.send("EHLO c.example\r\n" + MESSAGE)
        for _ in range(4):
            await busy.reply()
        door.service.drain()
        assert (await idle.line()).startswith("421 4.3.2")
        assert (await busy.say("Subject: x\r\n\r\nhello\r\n.")).startswith("250 2.0.0")
        assert (await busy.line()).startswith("421 4.3.2")
        assert len(door.desktop.onward.taken) == 1
        late = await door.connect()
        assert (await late.rest()).startswith("421")


async def test_a_client_that_vanishes_in_mid_message_leaves_nothing() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO c.example\r\n" + MESSAGE + "x" * 5000 + "\r\n" + "y" * 5000)
        await asyncio.sleep(0.02)
        await talk.close()
        await wait_for(lambda: not door.service.sessions)
        assert door.desktop.onward.taken == []


async def test_a_client_that_goes_before_the_reply_has_its_message_in_the_queue_all_the_same() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        talk.send("EHLO c.example\r\n" + MESSAGE + "Subject: x\r\n\r\nhello\r\n.\r\n")
        talk.writer.close()
        await wait_for(lambda: len(door.desktop.onward.taken) == 1)


async def test_an_administrator_can_end_a_session() -> None:
    async with open_door() as door:
        talk = await door.greeted()
        session = next(iter(door.service.sessions))
        session.kick("Ended by the administrator")
        assert (await talk.rest()).startswith("421 4.7.0 Ended by the administrator")


async def test_eight_clients_with_large_messages_leave_another_session_responsive() -> None:
    async with open_door() as door:
        loaders = [asyncio.create_task(_send_large(door)) for _ in range(8)]
        talk = await door.greeted()
        loop = asyncio.get_running_loop()
        worst = 0.0
        for _ in range(20):
            before = loop.time()
            assert (await talk.say("NOOP")).startswith("250")
            worst = max(worst, loop.time() - before)
        await asyncio.gather(*loaders)
        assert worst < 1.0  # a body taken in one go would stop everybody for seconds
        assert len(door.desktop.onward.taken) == 8


async def _send_large(door: Door) -> None:
    talk = await door.greeted()
    talk.send("EHLO c.example\r\n" + MESSAGE)
    for _ in range(4):
        await talk.reply()
    line = b"z" * 70 + b"\r\n"
    talk.send("Subject: large\r\n\r\n")
    for _ in range(40):
        talk.send(line * 1000)
        await talk.writer.drain()
    assert (await talk.say(".")).startswith("250")
    await talk.close()
