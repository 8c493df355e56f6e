"""A token issuer on loopback, by HTTPS: keys, introspection, and ways to fail."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import trustme
from joserfc import jwt
from joserfc.jwk import RSAKey

from posthouse.adapters.fetch import HttpFetch
from posthouse.ports.resolver import FakeResolver

NAME = "id.example"


@dataclass
class Issuer:
    """`known` are opaque tokens and what is said about them. `raw` is answered instead of everything else."""

    authority: trustme.CA
    port: int = 0
    keys: list[RSAKey] = field(default_factory=list)
    known: dict[str, dict[str, object]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    cookies: list[str] = field(default_factory=list)  # one for each request
    basic: str = ""
    raw: bytes | None = None
    is_silent: bool = False
    drips: bool = False
    server: asyncio.Server | None = None

    def url(self, path: str) -> str:
        return f"https://{NAME}:{self.port}/{path}"

    def fetch(self, timeout_s: float = 5.0, authority: trustme.CA | None = None, **names: list[str]) -> HttpFetch:
        context = ssl.create_default_context()
        (authority or self.authority).configure_trust(context)
        addresses = names.get("addresses", ["127.0.0.1"])
        return HttpFetch(FakeResolver(ipv4={NAME: addresses}), context, timeout_s, allow_private=True)

    def sign(self, claims: dict[str, object], key: RSAKey, kind: str = "at+jwt") -> str:
        return jwt.encode({"alg": "RS256", "kid": str(key.kid), "typ": kind}, claims, key)

    async def start(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(NAME).configure_cert(context)
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=context)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.requests.append(head.split(" ", 2)[1])
        self.cookies.append(headers.get("cookie", ""))
        assert headers["host"] == f"{NAME}:{self.port}"
        if self.is_silent:
            await reader.read()
            return
        if self.raw is not None:
            answer = self.raw
        elif head.startswith("GET /jwks "):
            answer = _page({"keys": [key.as_dict(private=False) for key in self.keys]})
        else:
            assert head.startswith("POST /introspect ")
            written = next(line for line in head.split("\r\n") if line.lower().startswith("authorization: "))
            self.basic = base64.b64decode(written.split(" ")[2]).decode()
            answer = _page(self.known.get(parse_qs(body.decode())["token"][0], {"active": False}))
        await self._write(writer, answer)

    async def _write(self, writer: asyncio.StreamWriter, answer: bytes) -> None:
        for octet in answer if self.drips else ():
            writer.write(bytes([octet]))
            await writer.drain()
            await asyncio.sleep(0.02)
        if not self.drips:
            writer.write(answer)
            await writer.drain()


def _page(value: object) -> bytes:
    body = json.dumps(value).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)


@contextlib.asynccontextmanager
async def open_issuer() -> AsyncIterator[Issuer]:
    issuer = Issuer(trustme.CA(), keys=[RSAKey.generate_key(2048, {"kid": "one"})])
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()
