"""Bodies that come and answers that go piece by piece, and what becomes of them when somebody is slow or goes."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from posthouse.serve.admission import Admission
from posthouse.serve.http_messages import BodyTooLarge, HttpAnswer, HttpRequest, HttpRoute, refuse
from posthouse.serve.http_reading import HttpLimits
from tests.serve.http_kit import Lab, serving

POST = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"


class Pieces:
    """An answer's body that never ends by itself."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)
        self.closed = asyncio.Event()

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self.pieces:
            await asyncio.get_running_loop().create_future()
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        self.closed.set()


async def wait_for(event: asyncio.Event) -> None:
    async with asyncio.timeout(5):
        await event.wait()


async def count(request: HttpRequest) -> HttpAnswer:
    assert request.pieces is not None
    return HttpAnswer(body=b"%d" % sum([len(piece) async for piece in request.pieces]))


def streamed(body: Pieces | AsyncIterator[bytes], **headers: str) -> HttpRoute:
    async def answer(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(body=body, headers={name.replace("_", "-"): value for name, value in headers.items()})

    return HttpRoute("/", answer)


# -- bodies


async def test_a_body_is_read_piece_by_piece() -> None:
    async with serving(HttpRoute("/", count, ("POST",), body_limit=10 << 20, is_streamed=True)) as lab:
        size = 3 << 20
        answer = await lab.send(POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
    assert answer.endswith(b"\r\n\r\n%d" % size)


async def test_a_chunked_body_is_bounded_as_it_comes() -> None:
    async with serving(HttpRoute("/", count, ("POST",), body_limit=10, is_streamed=True)) as lab:
        chunks = b"Transfer-Encoding: chunked\r\n\r\n" + b"5\r\nhello\r\n" * 3 + b"0\r\n\r\n"
        assert (await lab.send(POST + chunks)).startswith(b"HTTP/1.1 413 ")


async def test_a_route_may_say_in_its_own_words_that_a_body_is_too_large() -> None:
    async def answer(request: HttpRequest) -> HttpAnswer:
        try:
            await request.read_all()
        except BodyTooLarge:
            raise refuse(400, "Too long") from None
        return HttpAnswer()

    async with serving(HttpRoute("/", answer, ("POST",), body_limit=10, is_streamed=True)) as lab:
        assert b'"Too long"' in await lab.send(POST + b"Content-Length: 11\r\n\r\nhello world")


async def test_who_is_refused_before_its_body_is_read_sees_the_answer_and_is_closed() -> None:
    async def answer(_: HttpRequest) -> HttpAnswer:
        raise refuse(401, "Unauthorized")

    route = HttpRoute("/", answer, ("POST",), body_limit=10 << 20, is_streamed=True)
    async with serving(route, limits=HttpLimits(discard_s=0.05)) as lab:
        length = b"Content-Length: %d\r\n\r\n" % (1 << 20)
        assert (await lab.send(POST + length + b"x" * (1 << 20))).startswith(b"HTTP/1.1 401 ")
        told = await lab.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + length + b"only this")
    assert told.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in told.lower()


async def test_who_sends_far_too_much_sees_why_it_is_not_taken() -> None:
    size = 64 << 20
    async with serving(HttpRoute("/", count, ("POST",), body_limit=10, is_streamed=True)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % size)
        for _ in range(size >> 20):  # as clients do that look for an answer only when all is sent
            writer.write(b"x" * (1 << 20))
            await writer.drain()
        told = await asyncio.wait_for(reader.read(), 20)
        writer.close()
    assert told.startswith(b"HTTP/1.1 413 ") and b"connection: close" in told.lower()


async def test_who_asks_first_whether_it_may_send_is_told_at_once() -> None:
    async with serving(HttpRoute("/", count, ("POST",), body_limit=10)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(POST + b"Content-Length: 100\r\nExpect: 100-continue\r\n\r\n")
        told = await asyncio.wait_for(reader.readuntil(b"}"), 5)
        writer.close()
    assert told.startswith(b"HTTP/1.1 413 ")


async def test_a_little_that_nobody_reads_does_not_end_the_connection() -> None:
    async with serving(HttpRoute("/", count, ("GET",))) as lab:
        again = b"Content-Length: 4\r\n\r\nhiho" + b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        told = await lab.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + again)
    assert told.startswith(b"HTTP/1.1 405 ") and told.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize("path", ["/nothing", "/posted"])
async def test_a_request_without_a_body_that_is_refused_does_not_end_the_connection(path: str) -> None:
    async with serving(HttpRoute("/", count, ("GET",)), HttpRoute("/posted", count, ("POST",))) as lab:
        again = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        told = await lab.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode() + again)
    assert told.startswith(b"HTTP/1.1 40") and told.count(b"HTTP/1.1 ") == 2


async def test_a_body_that_stops_coming_is_408() -> None:
    async with serving(
        HttpRoute("/", count, ("POST",), is_streamed=True), limits=HttpLimits(stuck_s=0.05, discard_s=0.05)
    ) as lab:
        assert (await lab.send(POST + b"Content-Length: 10\r\n\r\nhello")).startswith(b"HTTP/1.1 408 ")


async def test_a_client_that_goes_within_its_body_ends_the_handler() -> None:
    ended = asyncio.Event()

    async def answer(request: HttpRequest) -> HttpAnswer:
        try:
            await request.read_all()
        finally:
            ended.set()
        return HttpAnswer()

    async with serving(HttpRoute("/", answer, ("POST",), is_streamed=True)) as lab:
        _, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(POST + b"Content-Length: 10\r\n\r\nhello")
        await writer.drain()
        writer.close()
        await wait_for(ended)
    assert lab.log.events == []


# -- answers


async def test_an_answer_goes_piece_by_piece_and_ends() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece

    async with serving(streamed(pieces())) as lab:
        answer = await lab.get("/")
    assert b"transfer-encoding: chunked" in answer.lower()
    assert answer.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")


async def test_an_answer_of_known_length_says_so() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"onetwo"

    async with serving(streamed(pieces(), Content_Length="6")) as lab:
        answer = await lab.get("/")
    assert b"content-length: 6" in answer.lower()
    assert answer.endswith(b"\r\n\r\nonetwo")


async def test_a_stream_is_closed_when_its_client_goes() -> None:
    body = Pieces(b"first")
    async with serving(streamed(body)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"first")
        assert not body.closed.is_set()
        writer.close()
        await wait_for(body.closed)
    assert lab.log.events == []


async def test_a_stream_is_closed_when_its_client_reads_no_more() -> None:
    body = Pieces(*[b"x" * 65536] * 1000)
    async with serving(streamed(body), limits=HttpLimits(stuck_s=0.05)) as lab:
        client = socket.create_connection(("127.0.0.1", lab.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await wait_for(body.closed)
        client.close()
    assert body.pieces


async def test_the_answer_to_head_has_no_body_and_closes_its_pieces() -> None:
    body = Pieces(b"first")
    async with serving(streamed(body, Content_Length="5")) as lab:
        answer = await lab.send(b"HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await wait_for(body.closed)
    assert b"content-length: 5" in answer.lower()
    assert answer.endswith(b"\r\n\r\n")


async def test_a_defect_within_an_answer_breaks_it_off_and_is_logged() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one"
        raise KeyError("secret")

    async with serving(streamed(pieces())) as lab:
        answer = await lab.get("/")
    assert b"one" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert lab.log.events == [("error", "HTTP answer failed", {"path": "/"})]


async def test_a_stream_that_never_ends_is_cut_off_when_draining() -> None:
    body = Pieces(b"first")
    async with serving(streamed(body)) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"first")
        await lab.server.drain(0.05)
        await wait_for(body.closed)
        writer.close()


async def test_a_stream_gives_back_its_place_when_it_ends() -> None:
    admission, body = Admission(), Pieces(b"first")
    async with serving(streamed(body), admission=admission) as lab:
        reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"first")
        assert admission.total == 1
        writer.close()
        await wait_for(body.closed)
    assert admission.total == 0


@pytest.mark.parametrize("name", ["x-content-type-options", "referrer-policy", "content-security-policy"])
async def test_every_answer_keeps_browsers_from_guessing(name: str) -> None:
    async with serving(streamed(Pieces())) as lab:
        for path in ("/", "/none"):
            lines = await head_of(lab, path)
            assert sum(line.startswith(f"{name}:".encode()) for line in lines) == 1


async def head_of(lab: Lab, path: str) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.lower().split(b"\r\n")


async def test_a_route_may_have_headers_of_its_own_and_cookies() -> None:
    async def answer(_: HttpRequest) -> HttpAnswer:
        headers = {"content-security-policy": "sandbox", "X-Frame-Options": "SAMEORIGIN"}
        return HttpAnswer(headers=headers, cookies=("a=1; HttpOnly", "b=2"))

    async with serving(HttpRoute("/", answer)) as lab:
        lines = await head_of(lab, "/")
    assert [line for line in lines if line.startswith((b"content-security", b"x-frame"))] == [
        b"x-frame-options: sameorigin",
        b"content-security-policy: sandbox",
    ]
    assert [line for line in lines if line.startswith(b"set-cookie")] == [
        b"set-cookie: a=1; httponly",
        b"set-cookie: b=2",
    ]


async def test_a_header_with_a_line_break_is_never_sent() -> None:
    async def answer(_: HttpRequest) -> HttpAnswer:
        return HttpAnswer(headers={"X-Name": "a\r\nSet-Cookie: evil=1"})

    async with serving(HttpRoute("/", answer)) as lab:
        told = await lab.get("/")
    assert b"evil" not in told


# -- clients that are slow, or read nothing


async def large(_: HttpRequest) -> HttpAnswer:
    return HttpAnswer(body=b"x" * (4 << 20))


async def test_a_large_answer_reaches_who_takes_it_slowly() -> None:
    limits = HttpLimits(keep_alive_s=0, head_s=0.2)
    async with serving(HttpRoute("/", large), limits=limits) as lab:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        client.connect(("127.0.0.1", lab.port))
        reader, writer = await asyncio.open_connection(sock=client, limit=16384)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        taken = 0
        while piece := await reader.read(16384):
            taken += len(piece)
            await asyncio.sleep(0.003)
        writer.close()
    assert taken == 4 << 20


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
async def test_who_takes_nothing_of_its_answer_is_let_go(more: bytes) -> None:
    admission, limits = Admission(), HttpLimits(keep_alive_s=0, head_s=0.05, stuck_s=0.05)
    async with serving(HttpRoute("/", large), limits=limits, admission=admission) as lab:
        client = socket.create_connection(("127.0.0.1", lab.port))
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + more + b"\r\n")
        async with asyncio.timeout(5):
            while not admission.total:
                await asyncio.sleep(0.001)
            while admission.total:
                await asyncio.sleep(0.001)
        client.close()
