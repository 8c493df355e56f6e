"""A million deferred messages: start-up, memory, listing by domain, claims, changes by hand, beside new mail.

    python bench/spool_million.py [--directory DIR] [--messages 1000000] [--domains 10000] [--keep]

Fills a shard (some minutes), then measures in a process of its own, so that memory is that of a fresh start.
Prints one JSON object. With --directory an existing shard is used again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import uvloop

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions, SqliteSpool
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply
from posthouse.ports.spool import (
    Action,
    DueRow,
    InlineBody,
    NewMessage,
    RecipientChange,
    Selection,
    Settlement,
    Status,
)

REPLY = Reply(451, "4.4.1", "connection to mx.example.net[192.0.2.25]:25 timed out")
_ROUND = 2000


class WallClock:
    def now(self) -> Instant:
        return Instant(time.time())

    def monotonic(self) -> float:
        return time.monotonic()


def make_pool(directory: str) -> ShardPool:
    options = SpoolOptions(min_free=Space(0, 0), limits=WriterLimits(max_octets=256 << 20))
    return ShardPool(directory, WallClock(), options=options)


def make_new(spool: SqliteSpool, number: int, domains: int, body: bytes) -> NewMessage:
    now = time.time()
    envelope = Envelope(
        parse_address(f"sender{number % 1000}@example.org"),
        (Recipient(parse_address(f"user{number}@domain{number % domains}.example.net")),),
    )
    trace = b"Received: from client.example (client.example [192.0.2.1])\r\n" + b"x" * 150
    return NewMessage(
        spool.reserve_id(), envelope, trace, InlineBody(body), Instant(now), Instant(now + 300), "192.0.2.1", "<a@b.c>"
    )


async def fill(directory: str, messages: int, domains: int) -> None:
    """Accepted and deferred, due over the next four hours."""
    pool = make_pool(directory)
    spool = await pool.take_free_shard()
    body = os.urandom(2048)
    for start in range(0, messages, _ROUND):
        numbers = range(start, min(start + _ROUND, messages))
        accepted = await asyncio.gather(*(spool.accept(make_new(spool, number, domains, body)) for number in numbers))
        await asyncio.gather(
            *(
                spool.settle(
                    Settlement(
                        message.id,
                        [
                            RecipientChange(
                                0,
                                Status.WAITING,
                                Instant(time.time() + 600 + hash(message.id) % 14_400),
                                1,
                                REPLY,
                                "mx.example.net[192.0.2.25]:25",
                            )
                        ],
                    )
                )
                for message in accepted
            )
        )
    await spool.close()
    pool.close()


def resident_mib() -> float:
    with open("/proc/self/statm", encoding="ascii") as stream:
        return int(stream.read().split()[1]) * resource.getpagesize() / (1 << 20)


class Watch:
    """New mail beside everything else: the worst time from `accept` to durable."""

    def __init__(self, spool: SqliteSpool) -> None:
        self.worst_ms = 0.0
        self._spool = spool
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            started = time.perf_counter()
            message = await self._spool.accept(make_new(self._spool, 1, 1, b"x" * 2048))
            self.worst_ms = max(self.worst_ms, (time.perf_counter() - started) * 1e3)
            await self._spool.settle(Settlement(message.id, remove=True))
            await asyncio.sleep(0.005)

    def stop(self) -> float:
        self._task.cancel()
        return round(self.worst_ms, 1)


class Stopwatch:
    def __init__(self) -> None:
        self.figures: dict[str, float] = {}

    async def time(self, name: str, awaited: object) -> object:
        started = time.perf_counter()
        result = await awaited  # type: ignore[misc]
        self.figures[f"{name}_s"] = round(time.perf_counter() - started, 3)
        return result


async def measure(directory: str) -> dict[str, float]:
    empty = resident_mib()
    watch, pool = Stopwatch(), make_pool(directory)
    started = time.perf_counter()
    spool = await pool.take_free_shard()
    await spool.load_unfinished(Instant(time.time()), 10_000)
    await spool.load_sites()
    figures = watch.figures
    figures["start_s"] = round(time.perf_counter() - started, 3)
    figures["memory_after_start_mib"] = round(resident_mib() - empty, 1)
    accepts = Watch(spool)
    await watch.time("list_domain", spool.find(Selection(domain="domain7.example.net"), 1000))
    await watch.time("list_sender", spool.find(Selection(sender="sender7@example.org"), 1000))
    await watch.time("list_deferred", spool.find(Selection(status="deferred"), 1000))
    await watch.time("stats", spool.stats())
    now = Instant(time.time() + 7200)

    def reschedule(row: DueRow) -> Instant:
        return Instant(now + 14_400)

    await watch.time("claim_1000", spool.claim_due(now, 1000, lambda _: False, reschedule))
    await watch.time("claim_1000_with_10000_in_memory", claim_beside(spool, now))
    figures["accept_worst_ms_reading"] = accepts.stop()
    accepts = Watch(spool)
    for action in (Action.HOLD, Action.RELEASE):
        await watch.time(f"{action.value}_all", spool.change(Selection(), action, now))
    await watch.time("delete_domain", spool.change(Selection(domain="domain8.example.net"), Action.DELETE, now))
    figures["accept_worst_ms_changing"] = accepts.stop()
    figures["worst_checkpoint_ms"] = round(spool.figures()["worst_checkpoint_seconds"] * 1e3, 1)
    figures["memory_at_end_mib"] = round(resident_mib() - empty, 1)
    figures["messages"] = (await spool.stats()).messages
    figures["database_mib"] = round(sum(entry.stat().st_size for entry in os.scandir(spool.path)) / (1 << 20))
    await watch.time("close", spool.close())
    pool.close()
    return figures


async def claim_beside(spool: SqliteSpool, now: Instant) -> None:
    left = 10_000

    def is_in_memory(_: object) -> bool:
        nonlocal left
        left -= 1
        return left >= 0

    await spool.claim_due(now, 1000, is_in_memory, lambda row: Instant(now + 14_400))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=10_000)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(uvloop.run(measure(arguments.directory))))
        return
    directory = arguments.directory or tempfile.mkdtemp()
    os.makedirs(directory, exist_ok=True)
    started = time.perf_counter()
    if not os.path.exists(f"{directory}/0"):
        uvloop.run(fill(directory, arguments.messages, arguments.domains))
    print(f"filled in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    subprocess.run([sys.executable, __file__, "--measure", "--directory", directory], check=True)
    if not arguments.keep:
        shutil.rmtree(directory)


if __name__ == "__main__":
    main()
