"""The queue operations on the files of a data directory, for commands that hold its lock while no server runs.

The very functions that workers run (manage/operations.py), over all shards. Durable as in a server: a change is
committed when it is reported.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.journal import HourJournal
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.app.control_client import Arguments, ControlError
from posthouse.app.directory import open_for_worker
from posthouse.app.wiring import Wiring
from posthouse.config.settings import Settings
from posthouse.manage.operations import QueueOperations, add_changes
from posthouse.manage.queue import NothingActive
from posthouse.message.instant import Instant
from posthouse.mta.bounce import plan_bounce
from posthouse.ports.spool import QueuedMessage, Settlement, Spool, SpoolError

PAGE = 500

Handlers = dict[str, Callable[[Arguments], Awaitable[object]]]


class OfflineControl:
    """A `control_client.Control`. Close it before the lock is given back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._runner = asyncio.Runner()
        self._stack = contextlib.AsyncExitStack()
        try:
            self._handlers = self._runner.run(self._open())
        except BaseException:
            self.close()
            raise

    def stream(self, op: str, args: Arguments) -> Iterator[dict[str, object]]:
        if op == "queue.show":
            found = self._ask(op, args)
            if not isinstance(found, dict):
                raise ControlError(f"no message {args.get('id')} in the queue")
            yield found
        elif op == "queue.list":
            yield from self._stream_pages(args)

    def call(self, op: str, args: Arguments) -> object:
        answer = self._ask(op, args)
        return add_changes(args, [answer]) if op == "queue.change" else answer

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def _stream_pages(self, args: Arguments) -> Iterator[dict[str, object]]:
        limit = args.get("limit")
        left = limit if isinstance(limit, int) else 1 << 62
        after: object = None
        while left > 0:
            page = self._ask("queue.list", {**args, "after": after, "limit": min(left, PAGE)})
            items = page["items"] if isinstance(page, dict) else []
            yield from items
            if len(items) < PAGE:
                return
            left -= len(items)
            after = items[-1]["id"]

    def _ask(self, op: str, args: Arguments) -> object:
        handler = self._handlers.get(op)
        if handler is None:
            raise ControlError("no server is running")
        try:
            return self._runner.run(_wait_for(handler(args)))
        except (ValueError, SpoolError) as error:
            raise ControlError(str(error)) from None

    async def _open(self) -> Handlers:
        clock, wiring, data = SystemClock(), Wiring(self._settings, 1, {}), Path(self._settings.data)
        pool = ShardPool(str(data / "spool"), clock, options=wiring.spool_options())
        self._stack.callback(pool.close)
        spools = await pool.adopt_orphans()
        for spool in spools:
            self._stack.push_async_callback(spool.close)
        if pool.refused:
            raise ControlError("; ".join(pool.refused.values()))
        journal = HourJournal(data / "journal", "command", clock)
        self._stack.callback(journal.flush)
        directory = open_for_worker(self._settings)
        self._stack.callback(directory.close)
        reports, schedule, chance = wiring.reports(directory.expand), wiring.schedule(), random.SystemRandom()

        async def make_bounce(spool: Spool, message: QueuedMessage, now: Instant) -> Settlement:
            return await plan_bounce(spool, message, now, reports, schedule, chance)

        return QueueOperations(lambda: spools, NothingActive(), clock, make_bounce, journal=journal).handlers()


async def _wait_for(answer: Awaitable[object]) -> object:
    return await answer
