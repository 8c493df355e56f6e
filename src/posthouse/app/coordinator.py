"""The coordinator: one small process that knows what workers share, and the door for commands.

All it knows is in memory. When it dies, workers go on with 1/N of what is shared; they reconnect to the next one
(its sockets outlive it) and tell it everything again. Only the sum of the counters of workers that ended before
is lost then. It trusts workers to be of the same server (SO_PEERCRED: same user), nothing else.

It does not touch the disk and takes no decision about mail.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec
import uvloop

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.log import StderrLog
from posthouse.adapters.metrics import COUNTER, HISTOGRAM, PlainMetrics, Sample, Snapshot, merge, render
from posthouse.app import feed, login_failures, maildrops, session_slots
from posthouse.app.control import Asked, ControlServer, Unanswered, add_up, ask_all, merge_pages
from posthouse.app.coordinator_web import WebQuestions
from posthouse.app.exchange import News, Report, to_arguments
from posthouse.app.launch import Launch
from posthouse.app.rpc import Channel, Connections, Handlers
from posthouse.app.shared_sites import SharedSites, WindowSettings, windows_of
from posthouse.app.sockets import peer_uid
from posthouse.app.supervised import SupervisorLine, begin
from posthouse.app.worker_context import Arguments, Handler, LinkError
from posthouse.config.settings import Settings
from posthouse.manage.operations import add_changes
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log
from posthouse.serve.admission import ConnectionCounts

TICK_S = 0.1
_GATHER_S = 0.01
_RELOAD_S = 90.0
_NO_LIMIT = 1 << 62
_MAX_ENDED = 64


class Hello(msgspec.Struct, frozen=True):
    """Who a worker is. The same one after a reconnect says the same."""

    index: int
    generation: int
    pid: int


@dataclass(slots=True)
class ConnectedWorker:
    """`number` is the connection's and never used again; `last` are the figures it told last."""

    number: int
    hello: Hello
    channel: Channel
    last: Snapshot

    @property
    def name(self) -> str:
        return f"worker {self.hello.generation}.{self.hello.index}"

    async def call(self, op: str, args: Arguments, timeout_s: float) -> object:
        return await self.channel.call(op, args, timeout_s)


class Shared:
    """What workers share, and how each hears what concerns it."""

    def __init__(self, worker_count: int, windows: WindowSettings, clock: Clock, log: Log) -> None:
        self.workers: dict[int, ConnectedWorker] = {}
        self.requests: dict[str, Handler] = {}  # what workers may ask beside what is here
        self._clock = clock
        self._log = log
        self._numbers = itertools.count(1)
        self._sites = SharedSites(worker_count, windows)
        self._counts = ConnectionCounts()
        self._slots = session_slots.SharedSlots()
        self._maildrops = maildrops.SharedMaildrops()
        self._ended: dict[Hello, Snapshot] = {}
        self._long_ended: Snapshot = []
        self._flush: asyncio.TimerHandle | None = None

    def configure(self, worker_count: int, windows: WindowSettings) -> None:
        self._sites.configure(worker_count, windows)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One worker's connection, until it is gone."""
        connection: socket.socket = writer.get_extra_info("socket")
        if peer_uid(connection) not in (0, os.geteuid()):
            writer.close()
            return
        handlers = Handlers()
        number = next(self._numbers)
        channel = Channel(reader, writer, handlers, self._log, f"worker connection {number}")

        async def welcome(args: Arguments) -> object:
            self._join(ConnectedWorker(number, msgspec.convert(args, Hello), channel, []))
            return {}

        async def tell_metrics(_: Arguments) -> object:
            return await self.read_metrics()

        handlers.requests["hello"] = welcome
        handlers.requests["metrics"] = tell_metrics
        handlers.requests |= self.requests
        handlers.notices["report"] = lambda args: self._take_report(number, args)
        for op in (feed.OP, login_failures.OP):
            handlers.notices[op] = partial(self._pass_on, number, op)
        self._serve_readers(number, handlers)
        handlers.notices["bye"] = lambda args: self._take_figures(number, args.get("metrics"))
        try:
            await channel.run()
        finally:
            self._leave(number)

    def _serve_readers(self, number: int, handlers: Handlers) -> None:
        """What IMAP and POP3 sessions of all workers share."""

        async def lock(args: Arguments) -> object:
            return number in self.workers and self._maildrops.lock(number, args)

        handlers.requests[maildrops.LOCK] = lock
        handlers.notices[maildrops.UNLOCK] = partial(self._maildrops.unlock, number)
        handlers.notices[maildrops.HELD] = partial(self._maildrops.take_held, number)
        handlers.notices[session_slots.OP] = partial(self._take_slots, number)

    def _take_slots(self, number: int, args: Arguments) -> None:
        if number in self.workers:
            self._slots.take(number, args)
            self._flush_soon()

    def _join(self, worker: ConnectedWorker) -> None:
        self._ended.pop(worker.hello, None)
        self.workers[worker.number] = worker
        self._sites.join(worker.number)
        if counts := self._counts.everything_for(worker.number):
            worker.channel.notify("news", to_arguments(News(connections=counts)))
        self._slots.greet(worker.number, worker.channel)
        self._flush_soon()
        self._log.debug("worker joined", worker=worker.name, pid=worker.hello.pid)

    def _leave(self, number: int) -> None:
        worker = self.workers.pop(number, None)
        if worker is None:
            return
        self._keep_ended(worker)
        self._sites.forget(number)
        self._counts.forget(number)
        self._slots.forget(number)
        self._maildrops.forget(number)
        self._flush_soon()
        self._log.debug("worker left", worker=worker.name, pid=worker.hello.pid)

    def _pass_on(self, number: int, op: str, args: Arguments) -> None:
        """A hint for all other workers (app/feed.py, app/login_failures.py)."""
        for worker in self.workers.values():
            if worker.number != number:
                worker.channel.notify(op, args)

    def _take_report(self, number: int, args: Arguments) -> None:
        report = msgspec.convert(args, Report)
        if number not in self.workers:
            return
        self._sites.report(number, report.sites, self._clock.now())
        self._counts.report(number, report.connections.items())
        if report.errors:
            for other, worker in self.workers.items():
                if other != number:
                    worker.channel.notify("news", to_arguments(News(errors=report.errors)))
        self._flush_soon()

    def _flush_soon(self) -> None:
        """Reports of several workers in one go, yet soon."""
        if self._flush is None:
            self._flush = asyncio.get_running_loop().call_later(_GATHER_S, self.flush)

    def flush(self) -> None:
        """Tell every worker what changed. Also called each tick: the times of dead sites pass by themselves."""
        if self._flush is not None:
            self._flush.cancel()
            self._flush = None
        sites = self._sites.plan(self._clock.now())
        counts = self._counts.take_news()
        for number, worker in self.workers.items():
            if arguments := to_arguments(News(sites.get(number, []), counts(number))):
                worker.channel.notify("news", arguments)
        self._slots.flush((number, worker.channel) for number, worker in self.workers.items())

    # -- figures

    def _take_figures(self, number: int, told: object) -> None:
        if (worker := self.workers.get(number)) is not None:
            worker.last = msgspec.convert(told, list[Sample])

    async def read_metrics(self) -> str:
        """The whole server's, as Prometheus text."""
        return render(await self.read_samples())

    async def read_samples(self) -> Snapshot:
        """Counters of workers that ended stay in the sum."""
        unanswered = Unanswered()

        async def ask(worker: ConnectedWorker) -> None:
            told = await unanswered.ask(worker, "metrics", {}, 3.0)
            if told is not None:
                self._take_figures(worker.number, told)

        await asyncio.gather(*(ask(worker) for worker in list(self.workers.values())))
        own = PlainMetrics()
        own.gauge("posthouse_workers", "Workers connected to the coordinator").set(len(self.workers))
        own.gauge("posthouse_workers_unanswered", "Workers that did not tell their figures").set(len(unanswered.names))
        told = [worker.last for worker in self.workers.values()]
        return merge([*told, *self._ended.values(), self._long_ended, own.snapshot()])

    def _keep_ended(self, worker: ConnectedWorker) -> None:
        """Only what adds up is kept. The latest by name, for they may have lost no more than the connection."""
        self._ended[worker.hello] = [sample for sample in worker.last if sample.kind in (COUNTER, HISTOGRAM)]
        if len(self._ended) > _MAX_ENDED:
            self._long_ended = merge([self._long_ended, self._ended.pop(next(iter(self._ended)))])


class Operations:
    """What commands may ask, in terms of workers and supervisor."""

    def __init__(self, shared: Shared, line: SupervisorLine) -> None:
        self._shared = shared
        self._line = line
        self._reloads: dict[int, asyncio.Future[str]] = {}
        self._numbers = itertools.count(1)
        line.on("reloaded", self._take_reloaded)

    def register(self, control: ControlServer) -> None:
        control.streams |= {
            "queue.list": self.list_queue,
            "queue.show": self.show_message,
            "sessions.list": self.list_sessions,
        }
        control.answers |= {
            "queue.stats": self.read_stats,
            "queue.change": self.change_queue,
            "sessions.kill": self.kill_session,
            "metrics": self.read_metrics,
            "status": self.read_status,
            "reload": self.reload,
            "stop": self.stop,
        }

    def _workers(self) -> list[Asked]:
        return [*self._shared.workers.values()]

    async def list_queue(self, args: Arguments) -> AsyncIterator[object]:
        limit = args.get("limit")
        unanswered = Unanswered()
        bound = limit if isinstance(limit, int) and limit > 0 else _NO_LIMIT
        async for item in merge_pages(self._workers(), "queue.list", args, bound, unanswered):
            yield item
        _raise_unanswered(unanswered)

    async def show_message(self, args: Arguments) -> AsyncIterator[object]:
        unanswered = Unanswered()
        found = await ask_all(self._workers(), "queue.show", args, unanswered)
        if not found:
            _raise_unanswered(unanswered)
            raise ValueError(f"no message {args.get('id')} in the queue")
        yield found[0]

    async def list_sessions(self, args: Arguments) -> AsyncIterator[object]:
        unanswered = Unanswered()
        for answer in await ask_all(self._workers(), "sessions.list", args, unanswered):
            for session in answer if isinstance(answer, list) else []:
                yield session
        _raise_unanswered(unanswered)

    async def read_stats(self, args: Arguments) -> object:
        unanswered = Unanswered()
        total = add_up(await ask_all(self._workers(), "queue.stats", args, unanswered))
        _raise_unanswered(unanswered)
        return total

    async def change_queue(self, args: Arguments) -> object:
        """An id is only called unknown when everybody was heard."""
        unanswered = Unanswered()
        total = add_changes(args, await ask_all(self._workers(), "queue.change", args, unanswered))
        unknown = [] if unanswered.names else total["unknown"]
        return {**total, "unknown": unknown, "unanswered": unanswered.names}

    async def kill_session(self, args: Arguments) -> object:
        unanswered = Unanswered()
        answers = await ask_all(self._workers(), "sessions.kill", args, unanswered)
        changed = sum(answer for answer in answers if isinstance(answer, int))
        return {"changed": changed, "unanswered": unanswered.names}

    async def read_metrics(self, _: Arguments) -> object:
        return await self._shared.read_metrics()

    async def read_status(self, _: Arguments) -> object:
        workers = [
            {"index": w.hello.index, "generation": w.hello.generation, "pid": w.hello.pid}
            for w in self._shared.workers.values()
        ]
        return {"coordinator": os.getpid(), "supervisor": os.getppid(), "workers": workers}

    async def reload(self, _: Arguments) -> object:
        """The supervisor does it; its error is the client's to read."""
        number = next(self._numbers)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reloads[number] = future
        try:
            if not self._line.send("reload", {"number": number}):
                raise ValueError("the supervisor cannot be reached")
            async with asyncio.timeout(_RELOAD_S):
                error = await future
        except TimeoutError:
            raise ValueError("the reload is not over yet; see the log") from None
        finally:
            del self._reloads[number]
        if error:
            raise ValueError(error)
        return {}

    async def stop(self, _: Arguments) -> object:
        if not self._line.send("stop"):
            raise ValueError("the supervisor cannot be reached")
        return {}

    def _take_reloaded(self, args: Mapping[str, object], _: Sequence[int]) -> None:
        number, error = args.get("number"), args.get("error")
        future = self._reloads.get(number) if isinstance(number, int) else None
        if future is not None and not future.done():
            future.set_result(str(error or ""))


def _raise_unanswered(unanswered: Unanswered) -> None:
    if unanswered.names:
        raise LinkError(f"incomplete, not answered by: {', '.join(unanswered.names)}")


async def run_coordinator(launch: Launch, settings: Settings, log: StderrLog) -> int:
    """Until the supervisor says stop, or is gone."""
    line = SupervisorLine(launch.channel)
    shared = Shared(launch.worker_count, windows_of(settings), SystemClock(), log)
    control = ControlServer(launch.server_uid, log)
    operations = Operations(shared, line)
    operations.register(control)
    questions = WebQuestions(operations, shared.read_samples, SystemClock(), log)
    shared.requests |= questions.handlers()

    def configure(args: Mapping[str, object], _: Sequence[int]) -> None:
        shared.configure(msgspec.convert(args["worker_count"], int), msgspec.convert(args["windows"], WindowSettings))

    line.on("configure", configure)
    line.start(heeds_sigterm=False)
    connections = [Connections(shared.serve), Connections(control.serve)]
    servers = [
        await asyncio.start_unix_server(serve, sock=socket.socket(fileno=number))
        for serve, number in zip(connections, (launch.link, launch.control), strict=True)
    ]
    line.send("ready")
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(_tick(shared)), loop.create_task(questions.sample_forever())]
    await line.endings.get()
    for task in tasks:
        task.cancel()
    for server in servers:
        server.close()
    for each in connections:
        await each.close()
    line.close()
    return 0


async def _tick(shared: Shared) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        shared.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    launch, settings, log = begin(arguments)
    log = log.bind(process="coordinator")
    # A service manager signals the whole group: workers still need us while they end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        code = runner.run(run_coordinator(launch, settings, log))
    log.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
