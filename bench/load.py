"""Load that smtp-source cannot make: many recipients, many users, STARTTLS, a steady rate, idle sessions, slow ones.

Runs in a process of its own, for both sides alike, and prints one JSON object.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import resource
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import uvloop

LINE = b"The quick brown fox jumps over the lazy dog and then writes home about it.\r\n"


def make_message(size: int, sender: bytes = b"a@src.test") -> bytes:
    head = b"From: <" + sender + b">\r\nTo: <b@dst.test>\r\nSubject: a message of the load\r\n\r\n"
    return (head + LINE * (size // len(LINE) + 1))[: max(size - 2, len(head))] + b"\r\n"


class Session:
    """One SMTP connection, pipelining."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    is_lmtp = False
    sender = b"a@src.test"

    @classmethod
    async def open(cls, arguments: argparse.Namespace, context: ssl.SSLContext | None) -> Session:
        session = cls(*await asyncio.open_connection("127.0.0.1", arguments.port))
        session.is_lmtp = arguments.lmtp
        hello = b"LHLO load.test\r\n" if arguments.lmtp else b"EHLO load.test\r\n"
        await session.expect(b"220")
        await session.ask(hello, b"250")
        if context:
            await session.ask(b"STARTTLS\r\n", b"220")
            await session.writer.start_tls(context)
            await session.ask(hello, b"250")
        if arguments.auth:
            name, _, password = arguments.auth.partition(":")
            session.sender = name.encode()
            token = base64.b64encode(f"\0{name}\0{password}".encode())
            await session.ask(b"AUTH PLAIN %s\r\n" % token, b"235")
        return session

    async def expect(self, code: bytes) -> None:
        line = await self.reader.readuntil(b"\r\n")
        while line[3:4] == b"-":
            line = await self.reader.readuntil(b"\r\n")
        if not line.startswith(code):
            raise RuntimeError(f"wanted {code.decode()}, got {line.decode(errors='replace')!r}")

    async def ask(self, command: bytes, code: bytes) -> None:
        self.writer.write(command)
        await self.expect(code)

    async def send(self, recipients: list[bytes], message: bytes) -> float:
        """One transaction; seconds from the final dot to its 250."""
        words = [b"MAIL FROM:<%s>\r\n" % self.sender, *(b"RCPT TO:<%s>\r\n" % name for name in recipients), b"DATA\r\n"]
        self.writer.write(b"".join(words))
        for _ in range(len(recipients) + 1):
            await self.expect(b"250")
        await self.expect(b"354")
        self.writer.writelines((message, b".\r\n"))
        start = time.perf_counter()
        for _ in range(len(recipients) if self.is_lmtp else 1):
            await self.expect(b"250")
        return time.perf_counter() - start

    async def send_large(self, size: int, chunk: bytes) -> None:
        self.writer.write(b"MAIL FROM:<a@src.test>\r\nRCPT TO:<b@dst.test>\r\nDATA\r\n")
        for code in (b"250", b"250", b"354"):
            await self.expect(code)
        self.writer.write(b"Subject: large\r\n\r\n")
        for _ in range(size // len(chunk)):
            self.writer.write(chunk)
            await self.writer.drain()
        await self.ask(b".\r\n", b"250")

    async def quit(self) -> None:
        await self.ask(b"QUIT\r\n", b"221")
        self.writer.close()


@dataclass
class Work:
    """What is still to send, shared by all sessions of this process."""

    arguments: argparse.Namespace
    context: ssl.SSLContext | None
    message: bytes
    next_number: int = 0
    latencies: list[float] = field(default_factory=list)

    def take(self) -> list[bytes] | None:
        """Recipients of the next message; None when all are sent."""
        number = self.next_number
        if number >= self.arguments.messages:
            return None
        self.next_number = number + 1
        users, domains, each = self.arguments.users, self.arguments.domains, self.arguments.recipients
        names = (number * each + i for i in range(each))
        if domains == 1:
            return [b"u%d@dst.test" % (name % users) for name in names]
        return [b"u%d@d%d.test" % (name % users, name % domains) for name in names]


async def run_session(work: Work) -> None:
    session = None
    while (recipients := work.take()) is not None:
        session = session or await Session.open(work.arguments, work.context)
        work.latencies.append(await session.send(recipients, work.message))
        if work.arguments.each:
            await session.quit()
            session = None
    if session:
        await session.quit()


async def send(arguments: argparse.Namespace, context: ssl.SSLContext | None) -> dict[str, float]:
    """As many as the server takes, on `--sessions` connections."""
    work = Work(
        arguments, context, make_message(arguments.size, arguments.auth.partition(":")[0].encode() or b"a@src.test")
    )
    start = time.perf_counter()
    await asyncio.gather(*(run_session(work) for _ in range(arguments.sessions)))
    return {"seconds": time.perf_counter() - start, **summarise(work.latencies)}


async def pace(arguments: argparse.Namespace, context: ssl.SSLContext | None) -> dict[str, float]:
    """A steady `--rate`, each message begun at its time whether or not earlier ones are answered."""
    work = Work(
        arguments, context, make_message(arguments.size, arguments.auth.partition(":")[0].encode() or b"a@src.test")
    )
    free: asyncio.Queue[Session] = asyncio.Queue()
    for _ in range(arguments.sessions):
        free.put_nowait(await Session.open(arguments, context))
    late = 0

    async def send_one(recipients: list[bytes]) -> None:
        session = await free.get()
        work.latencies.append(await session.send(recipients, work.message))
        free.put_nowait(session)

    start = time.perf_counter()
    tasks = []
    while (recipients := work.take()) is not None:
        delay = start + work.next_number / arguments.rate - time.perf_counter()
        if delay > 0:
            await asyncio.sleep(delay)
        late += free.empty()
        tasks.append(asyncio.create_task(send_one(recipients)))
    await asyncio.gather(*tasks)
    return {"seconds": time.perf_counter() - start, "waited_for_a_session": late, **summarise(work.latencies)}


async def idle(arguments: argparse.Namespace, context: ssl.SSLContext | None) -> dict[str, float]:
    """Opens `--sessions` and holds them until standard input ends."""
    gate = asyncio.Semaphore(50)

    async def open_one() -> Session:
        async with gate:
            return await Session.open(arguments, context)

    sessions = await asyncio.gather(*(open_one() for _ in range(arguments.sessions)))
    print(json.dumps({"open": len(sessions)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    return {"open": len(sessions)}


async def large(arguments: argparse.Namespace, context: ssl.SSLContext | None) -> dict[str, float]:
    """`--sessions` clients each sending one message of `--size` at once, and one that asks NOOP all the while."""
    chunk = LINE * 800
    probe = await Session.open(arguments, context)
    senders = [await Session.open(arguments, context) for _ in range(arguments.sessions)]
    tasks = [asyncio.create_task(session.send_large(arguments.size, chunk)) for session in senders]
    waits: list[float] = []
    start = time.perf_counter()
    while not all(task.done() for task in tasks):
        asked = time.perf_counter()
        await probe.ask(b"NOOP\r\n" if len(waits) % 50 else b"RSET\r\n", b"250")
        waits.append(time.perf_counter() - asked)
        await asyncio.sleep(0.01)
        if len(waits) % 90 == 0:  # servers end sessions that only say NOOP
            probe.writer.close()
            probe = await Session.open(arguments, context)
    await asyncio.gather(*tasks)
    return {"seconds": time.perf_counter() - start, **summarise(waits)}


def summarise(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [0.0]

    def pick(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000

    return {"count": len(values), "p50_ms": pick(0.5), "p99_ms": pick(0.99), "worst_ms": ordered[-1] * 1000}


MODES: dict[str, Callable[[argparse.Namespace, ssl.SSLContext | None], Awaitable[dict[str, float]]]] = {
    "send": send,
    "pace": pace,
    "idle": idle,
    "large": large,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--recipients", type=int, default=1, help="of each message")
    parser.add_argument("--users", type=int, default=1)
    parser.add_argument("--domains", type=int, default=1)
    parser.add_argument("--rate", type=float, default=0.0, help="messages a second (pace)")
    parser.add_argument("--each", action="store_true", help="a connection per message")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--lmtp", action="store_true")
    parser.add_argument("--auth", default="", help="name:password; the name is also the sender")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = None
    if arguments.tls:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    coroutine = MODES[arguments.mode](arguments, context)

    async def run() -> dict[str, float]:
        return await coroutine

    print(json.dumps(uvloop.run(run())), flush=True)


if __name__ == "__main__":
    main()
