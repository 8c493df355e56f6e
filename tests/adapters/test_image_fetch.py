"""Pictures from elsewhere: which addresses are asked, what is told of us, what is taken. Real HTTP on loopback."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from posthouse.adapters.image_fetch import MAX_REDIRECTS, PictureFetch, is_asked
from posthouse.ports.fetch import FetchError
from posthouse.ports.resolver import FakeResolver

NAME = "pictures.example"
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "0.0.0.0",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "192.0.2.1",
    "198.18.0.1",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:8.8.8.8",
    "::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "fe80::1",
    "fc00::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2001:0:0:0:0:0:80ff:fffe",
]


@pytest.mark.parametrize("address", PRIVATE)
async def test_an_address_that_is_not_public_is_not_asked(address: str) -> None:
    assert not is_asked(address)
    known = {NAME: [address]}
    resolver = FakeResolver(ipv6=known) if ":" in address else FakeResolver(ipv4=known)
    host = f"[{address}]" if ":" in address else address
    async with fetching(resolver) as fetch:
        for url in (f"http://{NAME}/x.png", f"http://{host}/x.png"):
            with pytest.raises(FetchError, match="no address that may be asked"):
                await fetch.get(url)


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001:800::2004", "64:ff9b::808:808"])
def test_a_public_address_is_asked(address: str) -> None:
    assert is_asked(address)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://pictures.example/x",
        "gopher://pictures.example/x",
        "http://user:password@pictures.example/x",
        "http://pictures.example:22/x",
        "http://pictures.example:8080/x",
        "http:///x",
        "//pictures.example/x",
        "http://2130706433/x",
        "http://0x7f.1/x",
        "http://0177.0.0.1/x",
        "http://localhost/x",
        "http://localhost./x",
        "http://[::1%25lo]/x",
        "http://pictures.example\r\nX: y/",
        "",
    ],
)
async def test_what_is_no_url_of_a_picture_is_not_asked(url: str) -> None:
    async with fetching(FakeResolver(ipv4={NAME: ["8.8.8.8"]})) as fetch:
        with pytest.raises(FetchError):
            await fetch.get(url)


# -- talking


@dataclass
class Web:
    """`answers` by path; what was asked, head by head."""

    answers: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    port: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.asked.append(head)
            answer = self.answers.get(head.split(" ")[1], b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            writer.write(answer.replace(b"PORT", str(self.port).encode()))
            await writer.drain()
            if b"Content-Length" not in answer and b"chunked" not in answer:
                await reader.read()  # hangs until the client goes
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def answer(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *fields, "", ""]
    return "\r\n".join(head).encode() + body


@asynccontextmanager
async def fetching(resolver: FakeResolver, **more: object) -> AsyncIterator[PictureFetch]:
    fetch = PictureFetch(resolver, CONTEXT, **more)  # type: ignore[arg-type]
    yield fetch
    await fetch.close()


@asynccontextmanager
async def talking(**more: object) -> AsyncIterator[tuple[Web, Callable[[str], str], PictureFetch]]:
    web = Web()
    server = await asyncio.start_server(web.talk, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    resolver = FakeResolver(ipv4={NAME: ["127.0.0.1"], "private.example": ["127.0.0.2", "10.0.0.1"]})
    async with server, fetching(resolver, may_ask="127.0.0.1".__eq__, is_strict=False, **more) as fetch:
        yield web, lambda path: f"http://{NAME}:{web.port}{path}", fetch


async def test_nothing_is_told_of_the_reader() -> None:
    async with talking() as (web, url, fetch):
        web.answers["/x?u=1"] = answer(b"picture", "Set-Cookie: a=b; Path=/")
        assert await fetch.get(url("/x?u=1#part")) == b"picture"
        assert await fetch.get(url("/x?u=1")) == b"picture"
    for head in web.asked:
        names = {line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line}
        assert names <= {"host", "accept", "accept-encoding", "user-agent", "connection"}
        assert f"Host: {NAME}:" in head
        assert "python" not in head.lower()


async def test_redirects_are_followed_a_few_times() -> None:
    async with talking() as (web, url, fetch):
        web.answers["/a"] = answer(b"", "Location: /b", status="302 Found")
        web.answers["/b"] = answer(b"", f"Location: http://{NAME}:PORT/c", status="301 Moved")
        web.answers["/c"] = answer(b"here")
        assert await fetch.get(url("/a")) == b"here"
        web.answers["/loop"] = answer(b"", "Location: /loop", status="307 Temporary Redirect")
        with pytest.raises(FetchError, match="too many redirects"):
            await fetch.get(url("/loop"))
    assert len(web.asked) == 3 + MAX_REDIRECTS + 1


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "javascript:1", "http://u:p@pictures.example/", "http://nowhere.example/"]
)
async def test_a_redirect_is_looked_at_like_the_first_url(target: str) -> None:
    async with talking() as (web, url, fetch):
        web.answers["/a"] = answer(b"", f"Location: {target}", status="302 Found")
        with pytest.raises(FetchError):
            await fetch.get(url("/a"))


@pytest.mark.parametrize("host", ["127.0.0.2", "10.0.0.1", "[::1]", "private.example"])
async def test_a_redirect_to_a_private_address_is_not_followed(host: str) -> None:
    """Here 127.0.0.1 is all there is of the public network."""
    async with talking() as (web, url, fetch):
        web.answers["/a"] = answer(b"", f"Location: http://{host}:PORT/b", status="302 Found")
        with pytest.raises(FetchError, match="no address that may be asked"):
            await fetch.get(url("/a"))
    assert len(web.asked) == 1


async def test_of_several_addresses_only_those_that_may_be_asked_are() -> None:
    async with talking() as (web, _, fetch):
        fetch._resolver.ipv4["both.example"] = ["10.0.0.1", "127.0.0.1"]  # type: ignore[attr-defined]
        web.answers["/x"] = answer(b"picture")
        assert await fetch.get(f"http://both.example:{web.port}/x") == b"picture"


async def test_too_much_is_not_taken() -> None:
    async with talking(limit=1000) as (web, url, fetch):
        web.answers["/told"] = answer(b"x" * 1001)
        web.answers["/chunked"] = (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3e8\r\n" + b"x" * 1000 + b"\r\n" + b"1\r\nx\r\n0\r\n\r\n"
        )
        for path in ("/told", "/chunked"):
            with pytest.raises(FetchError, match="more than 1000 octets"):
                await fetch.get(url(path))


async def test_a_compressed_answer_is_not_taken() -> None:
    async with talking() as (web, url, fetch):
        web.answers["/x"] = answer(b"\x1f\x8b\x08", "Content-Encoding: gzip")
        with pytest.raises(FetchError, match="compressed"):
            await fetch.get(url("/x"))


async def test_a_server_that_never_answers_is_given_up() -> None:
    async with talking(timeout_s=0.2) as (web, url, fetch):
        web.answers["/slow"] = b"HTTP/1.1 200 OK\r\n"
        with pytest.raises(FetchError, match="TimeoutError"):
            await fetch.get(url("/slow"))


async def test_an_answer_other_than_200_is_no_picture() -> None:
    async with talking() as (_, url, fetch):
        with pytest.raises(FetchError, match="status 404"):
            await fetch.get(url("/none"))


async def test_a_form_is_posted_and_its_redirect_left() -> None:
    async with talking() as (web, url, fetch):
        web.answers["/leave"] = answer(b"", "Location: /other", status="302 Found")
        assert await fetch.post_form(url("/leave"), {"List-Unsubscribe": "One-Click"}) == 302
    assert len(web.asked) == 1
    assert web.asked[0].startswith("POST /leave ")
    async with fetching(FakeResolver(ipv4={NAME: ["8.8.8.8"]})) as strict:
        with pytest.raises(FetchError, match="only https"):
            await strict.post_form(f"http://{NAME}/leave", {})
