"""The main program of a worker: builds its context, runs a `WorkerRole` through its life.

Life: start, "ready" to the supervisor, then a first word to end: "drain" (after a reload: clients may go on for
long) or "stop". A stop while draining shortens the deadline. Whoever kills a worker loses nothing that was
answered with 250: that is the role's and the spool's care.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import socket
import ssl
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import uvloop

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.journal import HourJournal
from posthouse.adapters.log import StderrLog
from posthouse.adapters.memory import keep_large_blocks_apart
from posthouse.adapters.metrics import PlainMetrics
from posthouse.app.acceptor import Acceptor, Board
from posthouse.app.exchange import WorkerExchange
from posthouse.app.launch import Launch, tls_files
from posthouse.app.rpc import CoordinatorLink
from posthouse.app.shared_sites import WorkerShares, windows_of
from posthouse.app.sockets import connect_unix
from posthouse.app.supervised import Ending, SupervisorLine, begin
from posthouse.app.worker_context import (
    Accepting,
    Arguments,
    Losses,
    OpenListener,
    WorkerContext,
    WorkerFactory,
    WorkerRole,
)
from posthouse.config.settings import Settings
from posthouse.serve.admission import Admission, AdmissionLimits

_RESERVED_DESCRIPTORS = 200


class WorkerProcess:
    """Everything around the role."""

    def __init__(self, launch: Launch, settings: Settings, log: StderrLog, make_worker: WorkerFactory) -> None:
        self._launch = launch
        self._log = log
        self._clock = SystemClock()
        self._line = SupervisorLine(launch.channel)
        self._tls_fds = [launch.certificate, launch.key]
        self._listeners = [
            OpenListener(listener, socket.socket(fileno=number))
            for listener, number in zip(settings.listener, launch.listeners, strict=True)
        ]
        self._metrics = PlainMetrics()
        self._journal = HourJournal(Path(settings.data) / "journal", str(launch.index), self._clock)
        self._link = self._make_link()
        self._context = self._make_context(settings)
        self._worker: WorkerRole = make_worker(self._context)

    async def run(self) -> int:
        """The exit code."""
        self._line.on("tls", self._renew_tls)
        self._line.start()
        loop = asyncio.get_running_loop()
        helpers = [loop.create_task(self._link.run()), loop.create_task(self._exchange.run())]
        try:
            await self._worker.start()
            self._line.send("ready")
            await self._drain(await self._line.endings.get())
            self._link.notify("bye", {"metrics": self._metrics.snapshot()})
        finally:
            for helper in helpers:
                helper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*helpers, return_exceptions=True)
            self._line.close()
        return 0

    # -- the end

    async def _drain(self, ending: Ending) -> None:
        loop = asyncio.get_running_loop()
        hurry = loop.create_task(self._line.endings.get())
        while True:
            self._log.info("worker ends", how=ending.op, deadline_s=ending.deadline_s)
            draining = loop.create_task(self._worker.drain(ending.deadline_s, may_stay=ending.op == "drain"))
            await asyncio.wait([draining, hurry], return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                break
            draining.cancel()
            await asyncio.gather(draining, return_exceptions=True)
            ending, hurry = hurry.result(), loop.create_task(self._line.endings.get())
        hurry.cancel()
        if (error := draining.exception()) is not None:
            self._log.error("drain failed", kind=type(error).__name__, reason=str(error))
        await self._worker.stop()
        self._journal.flush()

    # -- making the context

    def _make_link(self) -> CoordinatorLink:
        launch = self._launch
        hello = {"index": launch.index, "generation": launch.generation, "pid": os.getpid()}

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_unix_connection(sock=connect_unix(launch.link_path))

        async def tell_metrics(_: Arguments) -> object:
            return self._metrics.snapshot()

        link = CoordinatorLink(connect, hello, self._log)
        link.register("metrics", tell_metrics)
        return link

    def _make_context(self, settings: Settings) -> WorkerContext:
        launch = self._launch
        limits = settings.limits
        shares = WorkerShares(launch.worker_count, windows_of(settings))
        admission = Admission(
            AdmissionLimits(
                total=limits.connections,
                own=_connections_that_fit(),
                per_address=limits.connections_per_address,
                per_network=limits.connections_per_network,
                free_errors=settings.smtp.soft_errors,
                delay_per_error_s=settings.smtp.error_delay.total_seconds(),
            ),
            settings.smtp.trusted_networks,
        )
        board = Board(launch.board, launch.index, launch.worker_count, lambda: admission.own, self._clock)
        self._exchange = WorkerExchange(self._link, shares, admission, self._clock, launch.worker_count, board.publish)

        async def accept(
            listener: OpenListener, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
        ) -> Accepting:
            acceptor = Acceptor(listener.socket, factory, board, limits.backlog, self._log)
            acceptor.tls = tls
            await acceptor.start()
            return acceptor

        return WorkerContext(
            settings=settings,
            index=launch.index,
            worker_count=launch.worker_count,
            generation=launch.generation,
            listeners=self._listeners,
            accept=accept,
            submit_socket=socket.socket(fileno=launch.submit),
            files=launch.files,
            tls=launch.tls,
            runtime=Path(launch.runtime),
            link=self._link,
            shares=shares,
            admission=admission,
            log=self._log,
            journal=self._journal,
            metrics=self._metrics,
            losses=lambda: Losses(self._journal.dropped, self._log.dropped),
            clock=self._clock,
        )

    # -- certificates

    def _renew_tls(self, _: Mapping[str, object], descriptors: Sequence[int]) -> None:
        """New handshakes use the new certificate; sessions go on with what they have."""
        if len(descriptors) != 2:
            return
        files = tls_files(*descriptors)
        try:
            self._worker.renew_tls(files)
        except OSError as error:
            self._log.error("new certificate not taken", reason=str(error))
            for number in descriptors:
                os.close(number)
            return
        self._context.tls = files
        for number in self._tls_fds:
            os.close(number)
        self._tls_fds = list(descriptors)
        self._log.info("certificate renewed")


def _connections_that_fit() -> int:
    """Half of our descriptors, the rest being for what mail needs on its way: files, databases, the next hop."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(16, (soft - _RESERVED_DESCRIPTORS) // 2)


def _make_real_worker(context: WorkerContext) -> WorkerRole:
    from posthouse.app.worker import Worker

    return Worker(context)


async def _run(launch: Launch, settings: Settings, log: StderrLog, make_worker: WorkerFactory) -> int:
    return await WorkerProcess(launch, settings, log, make_worker).run()


def main(arguments: Sequence[str] | None = None, make_worker: WorkerFactory = _make_real_worker) -> int:
    """`make_worker` lets tests run another role in a real process."""
    keep_large_blocks_apart()
    launch, settings, log = begin(arguments)
    log = log.bind(process=f"worker {launch.generation}.{launch.index}")
    code = 1
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_run(launch, settings, log, make_worker))
    except Exception:  # noqa: BLE001 - the log is where a defect must show; the supervisor starts another
        log.error("worker failed")
    log.flush()
    return code


if __name__ == "__main__":
    sys.exit(main())
