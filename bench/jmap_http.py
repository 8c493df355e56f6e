"""The rows of bench/jmap.py that need a server: the same requests by HTTP, from connections that are kept.

The server runs as it would for people, but for the limit of requests per minute; its mailbox is filled through the
store before. Client and server share the machine.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http.client
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from bench.accounts import PASSWORD, make_accounts
from bench.imap_corpus import make_letters
from bench.imap_sides import find_ports, name_user
from bench.jmap_corpus import make_additions
from bench.lab import LabError, Process, make_base, remove_base
from bench.sides import PROGRAM
from posthouse.adapters.clock import SystemClock
from posthouse.app.account_tools import open_account_tools
from posthouse.app.directory import open_for_admin
from posthouse.app.store import open_store
from posthouse.config.reader import load
from posthouse.message.mailbox import AccountId

MESSAGES = 5_000
_ROUND = 500
_REPEATS = 20
_SECONDS = 3.0
_START_S = 60.0
_WAYS = 4  # connections at once


class Connection:
    """One that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._key = base64.b64encode(f"{name_user(0)}:{PASSWORD}".encode()).decode()

    @classmethod
    async def open(cls, port: int) -> Connection:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, octets: bytes) -> bytes:
        self._writer.write(
            f"POST /jmap/api HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {self._key}\r\nContent-Type:"
            f" application/json\r\nContent-Length: {len(octets)}\r\n\r\n".encode()
            + octets
        )
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200"):
            raise LabError(head.decode())
        if b"transfer-encoding: chunked" in head:
            return await self._read_chunks()
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await self._reader.readexactly(size)

    async def _read_chunks(self) -> bytes:
        pieces = []
        while size := int(await self._reader.readline(), 16):
            pieces.append(await self._reader.readexactly(size))
            await self._reader.readline()
        await self._reader.readline()
        return b"".join(pieces)

    def close(self) -> None:
        self._writer.close()


async def measure_http(port: int, screen: bytes, get: bytes, count: int) -> dict[str, float]:
    """`screen`: the request for the first screen; `get`: one for Email/get, with %IDS% for the ids."""
    connection = await Connection.open(port)
    times: list[float] = []
    emails: list[dict[str, object]] = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        answer = await connection.ask(screen)
        times.append(time.perf_counter() - started)
        emails = json.loads(answer)["methodResponses"][1][1]["list"]
    if len(emails) != count:
        raise LabError(f"{len(emails)} emails")
    request = get.replace(b'"%IDS%"', json.dumps([one["id"] for one in emails]).encode())
    figures = {
        "http_first_request_ms": round(times[0] * 1e3, 2),
        "http_first_screen_ms": round(statistics.median(times[1:]) * 1e3, 2),
        "http_get_50_per_s": await _count([connection], request),
    }
    more = [connection, *[await Connection.open(port) for _ in range(_WAYS - 1)]]
    figures["http_get_50_per_s_4_connections"] = await _count(more, request)
    for one in more:
        one.close()
    return figures


async def _count(connections: list[Connection], request: bytes) -> float:
    started = time.perf_counter()

    async def run(connection: Connection) -> int:
        done = 0
        while time.perf_counter() - started < _SECONDS:
            if not await connection.ask(request):
                raise LabError("an empty answer")
            done += 1
        return done

    total = sum(await asyncio.gather(*map(run, connections)))
    return round(total / (time.perf_counter() - started), 1)


# The server.


@contextlib.contextmanager
def serve(messages: int = MESSAGES) -> Iterator[tuple[int, AccountId]]:
    """Its port and the account."""
    base = make_base()
    port, _ = find_ports()
    configuration = base / "posthouse.toml"
    lines = [
        'hostname = "ph.test"',
        f'data = "{base}/data"',
        f'runtime = "{base}/run"',
        "[web]",
        "requests_per_minute = 0",
        "[[listener]]",
        'service = "http"',
        f'bind = "127.0.0.1:{port}"',
        'tls = "off"',
    ]
    configuration.write_text("\n".join(lines) + "\n")
    make_accounts(configuration, 1, with_password=True)
    process = None
    try:
        account = asyncio.run(_fill(configuration, messages))
        process = _start(base, configuration, port)
        yield port, account
    finally:
        if process is not None:
            process.stop()
        remove_base(base)


async def _fill(configuration: Path, messages: int) -> AccountId:
    settings = load(str(configuration))
    with open_account_tools(settings) as tools:
        account = tools.accounts.find(name_user(0)).id
    with contextlib.closing(open_for_admin(settings)) as admin:
        store = await open_store(settings, admin.directory, SystemClock())
        letters = make_letters(messages)
        for start in range(0, messages, _ROUND):
            await store.messages.add(account, make_additions(letters, start))
        await store.close()
    return account


def _start(base: Path, configuration: Path, port: int) -> Process:
    source = str(Path(__file__).resolve().parent.parent / "src")
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, (source, os.environ.get("PYTHONPATH"))))}
    command = [sys.executable, "-c", PROGRAM, "-c", str(configuration), "serve"]
    process = Process(command, base / "posthouse.log", environment)
    _wait_ready(port, process)
    return process


def _wait_ready(port: int, process: Process) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_START_S)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise LabError(f"the server is not ready: {process.read_tail()}")
