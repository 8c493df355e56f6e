"""What the administration page asks of the whole server, by way of the worker that it talks to.

    web.queue.list {.., limit, after}   {"items", "more", "unanswered"}: as much as came, in the order of ids
    web.queue.show {id}                 the object or None
    web.queue.change {action, ...}      {changed, unknown, unanswered}
    web.sessions.list {}                {"items", "unanswered"}
    web.sessions.kill {id}              {changed, unanswered}
    web.figures {}                      now and the last hour (manage/web_figures.py)

The same operations as on the control socket; workers are trusted as there. A worker that does not answer is named, and
what the others said is shown. The figures of the last hour are kept here, bounded, and lost with this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from posthouse.adapters.metrics import Sample, Snapshot
from posthouse.app.rpc import FrameError
from posthouse.app.worker_context import Arguments, Handler, LinkError
from posthouse.manage.web_figures import Reading, Series
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log

MAX_ITEMS = 1000
_EVERY_S = 60.0

# Which samples a word of the page stands for: name, and what its labels must say.
_COUNTERS: Mapping[str, tuple[tuple[str, tuple[str, str] | None], ...]] = {
    "received": (("posthouse_messages_received_total", None),),
    "submitted": (("posthouse_submissions_total", ("answer", "submitted")),),
    "relayed": (("posthouse_attempts_total", ("outcome", "relayed")),),
    "delivered": (("posthouse_attempts_total", ("outcome", "delivered")),),
    "deferred": (("posthouse_attempts_total", ("outcome", "deferred")),),
    "failed": (("posthouse_attempts_total", ("outcome", "failed")),),
    "rejected": (("posthouse_recipients_refused_total", None), ("posthouse_messages_refused_total", None)),
}
_GAUGES = {
    "messages": "posthouse_queue_messages",
    "octets": "posthouse_queue_octets",
    "oldestSeconds": "posthouse_queue_oldest_seconds",
    "inMemory": "posthouse_messages_in_memory",
    "outboundConnections": "posthouse_outbound_connections",
    "deadSites": "posthouse_dead_sites_max",
    "workers": "posthouse_workers",
}


class ServerOperations(Protocol):
    """Of the control socket (coordinator.Operations)."""

    def list_queue(self, args: Arguments) -> AsyncIterator[object]: ...

    def show_message(self, args: Arguments) -> AsyncIterator[object]: ...

    def list_sessions(self, args: Arguments) -> AsyncIterator[object]: ...

    async def change_queue(self, args: Arguments) -> object: ...

    async def kill_session(self, args: Arguments) -> object: ...


class WebQuestions:
    def __init__(
        self, operations: ServerOperations, read: Callable[[], Awaitable[Snapshot]], clock: Clock, log: Log
    ) -> None:
        self._operations, self._read, self._clock, self._log = operations, read, clock, log
        self._series = Series()

    def handlers(self) -> dict[str, Handler]:
        return {
            "web.queue.list": self.list_queue,
            "web.queue.show": self.show_message,
            "web.queue.change": self._operations.change_queue,
            "web.sessions.list": self.list_sessions,
            "web.sessions.kill": self._operations.kill_session,
            "web.figures": self.show_figures,
        }

    async def list_queue(self, args: Arguments) -> object:
        limit = args.get("limit")
        most = min(limit, MAX_ITEMS) if isinstance(limit, int) and limit > 0 else MAX_ITEMS
        items, unanswered = await _collect(self._operations.list_queue({**args, "limit": most + 1}), most + 1)
        return {"items": items[:most], "more": len(items) > most, "unanswered": unanswered}

    async def show_message(self, args: Arguments) -> object:
        try:
            async for item in self._operations.show_message(args):
                return item
        except ValueError:
            return None
        return None

    async def list_sessions(self, args: Arguments) -> object:
        items, unanswered = await _collect(self._operations.list_sessions(args), MAX_ITEMS)
        return {"items": items, "unanswered": unanswered}

    async def show_figures(self, _: Arguments) -> object:
        return self._series.show(await self._read_now())

    async def sample_forever(self) -> None:
        while True:
            try:
                self._series.add(await self._read_now())
            except (LinkError, FrameError, ValueError) as error:
                self._log.warning("figures not read", reason=str(error))
            await asyncio.sleep(_EVERY_S)

    async def _read_now(self) -> Reading:
        return make_reading(await self._read(), self._clock)


async def _collect(items: AsyncIterator[object], most: int) -> tuple[list[object], str]:
    """What came, and who did not answer ("" for nobody)."""
    found: list[object] = []
    try:
        async for item in items:
            found.append(item)
            if len(found) >= most:
                break
    except LinkError as error:
        return found, str(error)
    return found, ""


def make_reading(snapshot: Snapshot, clock: Clock) -> Reading:
    counters = {name: sum(_value(snapshot, *place) for place in places) for name, places in _COUNTERS.items()}
    queue = {
        dict(sample.labels)["state"]: sample.values[0]
        for sample in snapshot
        if sample.name == "posthouse_queue_recipients"
    }
    gauges = {name: _value(snapshot, place, None) for name, place in _GAUGES.items()}
    delay = next((sample for sample in snapshot if sample.name == "posthouse_delivery_seconds"), None)
    if delay is None:
        return Reading(clock.now(), counters, queue=queue, gauges=gauges)
    return Reading(clock.now(), counters, delay.bounds, delay.values[:-1], queue, gauges)


def _value(snapshot: Snapshot, name: str, label: tuple[str, str] | None) -> float:
    return sum(sample.values[0] for sample in snapshot if _fits(sample, name, label))


def _fits(sample: Sample, name: str, label: tuple[str, str] | None) -> bool:
    return sample.name == name and (label is None or label in sample.labels)
