"""Real loopback sockets: the dialer and its streams, on asyncio's own loop and on uvloop, plain and with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme
import uvloop

from posthouse.adapters.net.dialer import NetDialer
from posthouse.adapters.net.stream import INPUT_HIGH_WATER, NetStream
from posthouse.adapters.net.tls import ClientContexts, make_server_context
from posthouse.ports.stream import Endpoint, Stream, StreamError, StreamTimeout, TlsCheck

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoopPolicy:
    return uvloop.EventLoopPolicy() if request.param == "uvloop" else asyncio.DefaultEventLoopPolicy()


class Authority:
    """A certificate authority: its file, a server context for localhost, client contexts that trust it."""

    def __init__(self, directory: Path) -> None:
        ca = trustme.CA()
        self.ca_file = str(directory / "ca.pem")
        ca.cert_pem.write_to_path(self.ca_file)
        issued = ca.issue_cert("localhost")
        self.certificate, self.key = str(directory / "cert.pem"), str(directory / "key.pem")
        issued.cert_chain_pems[0].write_to_path(self.certificate)
        issued.private_key_pem.write_to_path(self.key)

    def make_server(self) -> ssl.SSLContext:
        return make_server_context(self.certificate, self.key)

    def make_client(self) -> ClientContexts:
        return ClientContexts(self.ca_file)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@contextlib.asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Endpoint]:
    """One server; what its handler raises when the client leaves is of no interest."""

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await serve(reader, writer)
        writer.close()

    server = await asyncio.start_server(guarded, host, 0, ssl=tls)
    try:
        port = server.sockets[0].getsockname()[1]
        yield Endpoint("localhost", host, port)
    finally:
        server.close()


@pytest.fixture
def dialer(authority: Authority) -> NetDialer:
    return NetDialer(authority.make_client())


async def read_all(stream: Stream) -> bytes:
    parts = []
    while part := await stream.read(5):
        parts.append(part)
    return b"".join(parts)


async def test_bytes_go_out_and_come_back_and_the_end_is_seen(dialer: NetDialer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.readexactly(4) + b">")

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        stream.write(b"ab")
        stream.write(b"cd")
        await stream.drain(5)
        assert await read_all(stream) == b"<abcd>"
        assert stream.has_input, "the end counts"
        assert stream.tls is None
        stream.close()
        stream.close()


async def test_a_refused_connection_says_so(dialer: NetDialer) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        with pytest.raises(StreamError) as caught:
            await dialer.connect(Endpoint("x", "127.0.0.1", holder.getsockname()[1]), 5)
    assert caught.value.phase == "connect"
    assert str(caught.value) == "Connection refused"


async def test_a_connection_that_is_not_made_in_time(dialer: NetDialer) -> None:
    with socket.socket() as full:  # a listener whose queue is full swallows the SYN
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with contextlib.ExitStack() as fillers:
            for _ in range(4):
                filler = fillers.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            with pytest.raises(StreamTimeout) as caught:
                await dialer.connect(Endpoint("x", "127.0.0.1", full.getsockname()[1]), 0.1)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize(("source", "host"), [("127.0.0.9", "127.0.0.1"), ("::1", "::1")])
async def test_the_configured_source_address_of_the_peers_family_is_used(source: str, host: str) -> None:
    seen: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(writer.get_extra_info("peername")[0])

    dialer = NetDialer(ClientContexts(), ["127.0.0.9", "::1"])
    async with serving(serve, host=host) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        assert await stream.read(5) == b""
        stream.close()
    assert seen == [source]


async def test_a_source_address_that_is_not_ours_is_our_trouble_not_the_peers() -> None:
    dialer = NetDialer(ClientContexts(), ["192.0.2.77"])
    with pytest.raises(StreamError) as caught:
        await dialer.connect(Endpoint("x", "127.0.0.1", 9), 5)
    assert caught.value.phase == "local"


async def test_a_unix_socket(dialer: NetDialer, tmp_path: Path) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"lmtp")
        writer.close()

    path = str(tmp_path / "s")
    server = await asyncio.start_unix_server(serve, path)
    stream = await dialer.connect(Endpoint("local", path, 0), 5)
    assert await read_all(stream) == b"lmtp"
    stream.close()
    server.close()
    with pytest.raises(StreamError) as caught:
        await dialer.connect(Endpoint("local", str(tmp_path / "missing"), 0), 5)
    assert caught.value.phase == "connect"


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_a_silent_peer_runs_into_the_deadline_each_time_anew(dialer: NetDialer) -> None:
    async with serving(silent) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        for timeout_s in (0.05, 0.02, 0.05):
            began = asyncio.get_running_loop().time()
            with pytest.raises(StreamTimeout) as caught:
                await stream.read(timeout_s)
            assert caught.value.phase == "read"
            assert asyncio.get_running_loop().time() - began >= timeout_s - 0.01
        stream.close()


async def test_a_short_deadline_after_a_long_one_is_kept(dialer: NetDialer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"first")
        await reader.read()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        assert await stream.read(300) == b"first"
        with pytest.raises(StreamTimeout):
            await stream.read(0.05)
        stream.close()


async def test_an_answer_that_comes_late_but_in_time_is_read_though_an_old_timer_fires(dialer: NetDialer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"1")
        await reader.readexactly(1)
        asyncio.get_running_loop().call_later(0.15, writer.write, b"2")
        await reader.read()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        assert await stream.read(0.05) == b"1"
        stream.write(b"x")
        assert await stream.read(5) == b"2", "the timer of 0.05 s must not end this wait"
        stream.close()


async def test_a_peer_that_does_not_read_stops_the_writer_in_time(dialer: NetDialer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        with pytest.raises(StreamTimeout) as caught:
            while True:
                stream.write(b"x" * 1_000_000)
                await stream.drain(0.05)
        assert caught.value.phase == "write"
        stream.close()
        with pytest.raises(StreamError):
            await stream.drain(1)


async def test_a_peer_that_resets_is_an_error_at_the_next_step_and_what_it_said_is_kept(dialer: NetDialer) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"552 too big\r\n")
        await reader.readexactly(1)
        raw: socket.socket = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        stream.write(b"x")
        while True:
            try:
                stream.write(b"x" * 100_000)
                await stream.drain(1)
            except StreamError as error:
                assert error.phase == "write"
                break
            await asyncio.sleep(0)
        assert stream.has_input
        assert await stream.read(1) == b"552 too big\r\n"
        with contextlib.suppress(StreamError):
            assert await stream.read(1) == b""
        stream.close()


async def test_a_flood_that_nobody_reads_is_bounded(dialer: NetDialer) -> None:
    total = 8_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * total)
        await writer.drain()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        first = await stream.read(5)
        for _ in range(50):
            await asyncio.sleep(0)
        second = await stream.read(5)
        assert len(second) <= INPUT_HIGH_WATER + 262144
        assert len(first) + len(second) + len(await read_all(stream)) == total
        stream.close()


async def test_closing_ends_a_wait(dialer: NetDialer) -> None:
    async with serving(silent) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        reading = asyncio.ensure_future(stream.read(5))
        await asyncio.sleep(0)
        stream.close()
        with pytest.raises(StreamError):
            await reading
        assert await stream.read(5) == b""
        stream.write(b"nothing happens")


async def test_what_was_written_before_close_still_goes_out(dialer: NetDialer) -> None:
    got: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closed.wait()
        got.set_result(len(await reader.read()))

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        assert isinstance(stream, NetStream)
        assert stream._transport is not None
        written = 0
        while not stream._transport.get_write_buffer_size():  # until some of it waits in our own buffer
            stream.write(b"x" * 65536)
            written += 65536
            await asyncio.sleep(0)
        stream.close()
        closed.set()
        assert await got == written


# TLS


def starting_tls(authority: Authority, before: bytes = b"220 go\r\n") -> Serve:
    """A server that answers the first line with `before`, then does the handshake and echoes what it gets."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(before)
        await writer.start_tls(authority.make_server())
        while data := await reader.read(65536):
            writer.write(b"echo:" + data)

    return serve


async def test_starttls_encrypts_and_tells_version_and_cipher(dialer: NetDialer, authority: Authority) -> None:
    async with serving(starting_tls(authority)) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        stream.write(b"STARTTLS\r\n")
        assert await stream.read(5) == b"220 go\r\n"
        facts = await stream.start_tls(TlsCheck.VERIFIED, "localhost", 5)
        assert facts.version == "TLSv1.3"
        assert facts.cipher.startswith("TLS_")
        assert facts.bits >= 128
        assert stream.tls == facts
        stream.write(b"EHLO\r\n")
        assert await stream.read(5) == b"echo:EHLO\r\n"
        stream.close()


async def test_the_second_connection_to_a_host_resumes_the_session_of_the_first(authority: Authority) -> None:
    context = authority.make_server()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session: ssl.SSLObject = writer.get_extra_info("ssl_object")
        writer.write(b"resumed" if session.session_reused else b"whole")

    contexts = authority.make_client()
    async with serving(serve, context) as endpoint:
        for check, expected in (
            (TlsCheck.ANY, b"whole"),
            (TlsCheck.ANY, b"resumed"),
            (TlsCheck.VERIFIED, b"whole"),
            (TlsCheck.VERIFIED, b"resumed"),
        ):
            stream = await NetDialer(contexts).connect(endpoint, 5, tls=check)
            assert await read_all(stream) == expected
            stream.close()


async def wait_for_input(stream: Stream) -> None:
    while not stream.has_input:
        await asyncio.sleep(0.001)


async def test_bytes_before_the_handshake_never_come_out_after_it(dialer: NetDialer, authority: Authority) -> None:
    async with serving(starting_tls(authority, b"220 go\r\n250 injected\r\n")) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        stream.write(b"STARTTLS\r\n")
        await wait_for_input(stream)
        await stream.start_tls(TlsCheck.ANY, "localhost", 5)
        stream.write(b"x")
        assert await stream.read(5) == b"echo:x"
        stream.close()


async def test_tls_from_the_first_byte(dialer: NetDialer, authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")

    async with serving(serve, authority.make_server()) as endpoint:
        stream = await dialer.connect(endpoint, 5, tls=TlsCheck.VERIFIED)
        assert stream.tls is not None
        assert await read_all(stream) == b"220 hello\r\n"
        stream.close()


@pytest.mark.parametrize(
    ("host", "contexts", "word"),
    [("wrong.example", "trusting", "ostname"), ("localhost", "system", "certificate")],
)
async def test_a_certificate_that_is_not_right_is_refused_when_looked_at(
    authority: Authority, host: str, contexts: str, word: str
) -> None:
    dialer = NetDialer(authority.make_client() if contexts == "trusting" else ClientContexts())
    async with serving(starting_tls(authority)) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        stream.write(b"STARTTLS\r\n")
        await stream.read(5)
        with pytest.raises(StreamError) as caught:
            await stream.start_tls(TlsCheck.VERIFIED, host, 5)
        assert caught.value.phase == "tls"
        assert word in str(caught.value)
        stream.close()


@pytest.mark.parametrize("host", ["localhost", "wrong.example", "127.0.0.1", ""])
async def test_any_certificate_will_do_when_opportunistic(authority: Authority, host: str) -> None:
    async with serving(starting_tls(authority)) as endpoint:
        stream = await NetDialer(ClientContexts()).connect(endpoint, 5)
        stream.write(b"STARTTLS\r\n")
        await stream.read(5)
        assert (await stream.start_tls(TlsCheck.ANY, host, 5)).version == "TLSv1.3"
        stream.close()


async def test_a_peer_that_accepts_starttls_and_stalls_runs_into_the_handshakes_own_deadline(
    dialer: NetDialer,
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 go\r\n")
        await reader.read()

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        await stream.read(5)
        with pytest.raises(StreamTimeout) as caught:
            await stream.start_tls(TlsCheck.ANY, "localhost", 0.1)
        assert caught.value.phase == "tls"
        stream.close()


@pytest.mark.parametrize("answer", [b"", b"454 not really\r\n"])
async def test_a_peer_that_accepts_starttls_and_then_does_not_do_it(dialer: NetDialer, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 go\r\n")
        await reader.read(1)
        writer.write(answer)

    async with serving(serve) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        await stream.read(5)
        with pytest.raises(StreamError) as caught:
            await stream.start_tls(TlsCheck.ANY, "localhost", 5)
        assert caught.value.phase == "tls"
        with contextlib.suppress(StreamError):
            assert await stream.read(1) == b""
        stream.close()


async def test_a_host_name_that_sni_cannot_carry_is_an_error_not_a_defect(dialer: NetDialer) -> None:
    async with serving(silent) as endpoint:
        stream = await dialer.connect(endpoint, 5)
        with pytest.raises(StreamError) as caught:
            await stream.start_tls(TlsCheck.ANY, ".leading.dot.example", 5)
        assert caught.value.phase == "tls"
        stream.close()


async def test_a_large_body_goes_through_tls_with_drain(dialer: NetDialer, authority: Authority) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        total = 0
        while total < 3_000_000:
            total += len(await reader.read(65536))
        writer.write(b"%d" % total)

    async with serving(serve, authority.make_server()) as endpoint:
        stream = await dialer.connect(endpoint, 5, tls=TlsCheck.ANY)
        for _ in range(30):
            stream.write(b"x" * 100_000)
            await stream.drain(5)
        assert await stream.read(5) == b"3000000"
        stream.close()
