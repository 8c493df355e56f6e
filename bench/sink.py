"""An SMTP sink with STARTTLS, for what smtp-sink cannot do: takes everything, counts, keeps nothing.

Prints `mesg=N` as smtp-sink does. Not a server: lines and dots are trusted.
"""

from __future__ import annotations

import argparse
import asyncio
import ssl
import sys
from typing import cast

import uvloop

EHLO = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE 0\r\n"


class Counter:
    def __init__(self) -> None:
        self.messages = 0

    async def report(self) -> None:
        said = -1
        while True:
            if self.messages != said:
                said = self.messages
                sys.stdout.write(f"mesg={said}\n")
                sys.stdout.flush()
            await asyncio.sleep(0.02)


class SinkProtocol(asyncio.Protocol):
    def __init__(self, counter: Counter, context: ssl.SSLContext | None) -> None:
        self.counter = counter
        self.context = context
        self.is_data = False
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        is_first = self.transport is None
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        if is_first:
            self.transport.write(b"220 sink ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while self.take():
            pass

    def take(self) -> bool:
        """One command or one message; False when more is needed."""
        if self.is_data:
            end = self.buffer.find(b"\r\n.\r\n")
            if end < 0:
                self.buffer = self.buffer[-4:]
                return False
            self.buffer, self.is_data = self.buffer[end + 5 :], False
            self.counter.messages += 1
            self.write(b"250 2.0.0 Ok\r\n")
            return True
        line, newline, rest = self.buffer.partition(b"\r\n")
        if not newline:
            return False
        self.buffer = rest
        self.obey(line[:8].upper())
        return True

    def obey(self, verb: bytes) -> None:
        if verb.startswith(b"EHLO"):
            self.write(EHLO + (b"250-STARTTLS\r\n" if self.context else b"") + b"250 DSN\r\n")
        elif verb.startswith(b"DATA"):
            self.is_data = True
            self.write(b"354 Go\r\n")
        elif verb.startswith(b"QUIT"):
            self.write(b"221 Bye\r\n")
            if self.transport:
                self.transport.close()
        elif verb == b"STARTTLS":
            self.write(b"220 Go\r\n")
            asyncio.get_running_loop().create_task(self.start_tls())
        else:
            self.write(b"250 2.1.0 Ok\r\n")

    def write(self, data: bytes) -> None:
        if self.transport:
            self.transport.write(data)

    async def start_tls(self) -> None:
        context, self.context = self.context, None
        assert context is not None
        assert self.transport is not None
        try:
            upgraded = await asyncio.get_running_loop().start_tls(self.transport, self, context, server_side=True)
        except OSError:
            return
        if upgraded:
            self.transport = upgraded


async def serve(arguments: argparse.Namespace) -> None:
    context = None
    if arguments.certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(arguments.certificate, arguments.key)
    counter = Counter()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SinkProtocol(counter, context), arguments.address, arguments.port, backlog=1000
    )
    async with server:
        await counter.report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
