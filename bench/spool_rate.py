"""How many messages a second one shard takes in and settles, durably, and what each costs in processor time.

    python bench/spool_rate.py [--directory DIR] [--seconds 10] [--octets 4096] [--in-flight 64] [--inline-limit N]

Prints one JSON object. Processor time is of the whole process: event loop, writer thread, SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import tempfile
import time

import uvloop

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions, SqliteSpool
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.instant import Instant
from posthouse.ports.spool import Body, InlineBody, NewMessage, RecipientChange, Settlement, Status


class WallClock:
    def now(self) -> Instant:
        return Instant(time.time())

    def monotonic(self) -> float:
        return time.monotonic()


class Load:
    """`in_flight` sessions, each: accept, settle with removal, again."""

    def __init__(self, spool: SqliteSpool, octets: int) -> None:
        self.spool = spool
        self.body = os.urandom(octets)
        self.waits: list[float] = []
        self.end = 0.0

    async def make_body(self) -> Body:
        if len(self.body) <= self.spool.inline_limit:
            return InlineBody(self.body)
        writer = self.spool.open_body()
        for start in range(0, len(self.body), 65536):
            await writer.write(self.body[start : start + 65536])
        return await writer.finish()

    async def play_session(self, number: int) -> None:
        trace = b"Received: from client.example (client.example [192.0.2.1])\r\n" + b"x" * 150
        envelope = Envelope(
            parse_address("sender@example.org"), (Recipient(parse_address(f"user@domain{number}.example.net")),)
        )
        done = [RecipientChange(0, Status.RELAYED, None, 1, None, "", "")]
        while (now := time.time()) < self.end:
            started = time.perf_counter()
            queue_id = self.spool.reserve_id()
            body = await self.make_body()
            message = await self.spool.accept(
                NewMessage(queue_id, envelope, trace, body, Instant(now), Instant(now + 300), "192.0.2.1", "<a@b.c>")
            )
            self.waits.append(time.perf_counter() - started)
            self.spool.mark_in_hand(message.id)
            await self.spool.settle(Settlement(message.id, done, remove=True))
            self.spool.unmark_in_hand(message.id)


async def measure(arguments: argparse.Namespace) -> dict[str, float]:
    directory = tempfile.mkdtemp(dir=arguments.directory)
    pool = ShardPool(
        directory, WallClock(), options=SpoolOptions(inline_limit=arguments.inline_limit, min_free=Space(0, 0))
    )
    try:
        spool = await pool.take_free_shard()
        load = Load(spool, arguments.octets)
        load.end = time.time() + arguments.seconds
        started, processor, worst = time.perf_counter(), time.process_time(), 0.0
        await asyncio.gather(*(load.play_session(number) for number in range(arguments.in_flight)))
        took, used = time.perf_counter() - started, time.process_time() - processor
        figures = spool.figures()
        worst = figures["worst_checkpoint_seconds"]
        await spool.close()
        return summarise(load.waits, took, used, worst, figures["writes"] / figures["commits"])
    finally:
        pool.close()
        shutil.rmtree(directory)


def summarise(waits: list[float], took: float, used: float, worst_checkpoint: float, batch: float) -> dict[str, float]:
    waits.sort()
    count = len(waits)
    return {
        "messages": count,
        "per_second": round(count / took),
        "processor_us_per_message": round(used / count * 1e6, 1),
        "accept_p50_ms": round(waits[count // 2] * 1e3, 2),
        "accept_p99_ms": round(waits[count * 99 // 100] * 1e3, 2),
        "accept_worst_ms": round(waits[-1] * 1e3, 2),
        "worst_checkpoint_ms": round(worst_checkpoint * 1e3, 1),
        "writes_per_commit": round(batch, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--octets", type=int, default=4096)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--inline-limit", type=int, default=SpoolOptions().inline_limit)
    arguments = parser.parse_args()
    print(json.dumps(uvloop.run(measure(arguments))))


if __name__ == "__main__":
    main()
