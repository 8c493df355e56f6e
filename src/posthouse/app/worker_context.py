"""What a worker process is given before it opens anything, and what it must be able to do.

`worker_process` builds the context from what the supervisor handed down and then drives a `WorkerRole` through
its life: start, (renew_tls), drain, stop. Nothing here is durable.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from posthouse.adapters.metrics import PlainMetrics
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Journal, Log

if TYPE_CHECKING:
    from posthouse.config.settings import Listener, Settings
    from posthouse.serve.admission import Admission

Arguments = Mapping[str, object]
Handler = Callable[[Arguments], Awaitable[object]]
OneWayHandler = Callable[[Arguments], None]


class LinkError(Exception):
    """The coordinator cannot be asked now, did not answer in time, or refused; go on without it."""


class Link(Protocol):
    """A worker's connection to the coordinator. It reconnects by itself; nothing here ever blocks the worker."""

    @property
    def is_connected(self) -> bool: ...

    def register(self, op: str, handler: Handler) -> None:
        """Answer requests named `op` with what `handler` returns (msgpack types); ValueError goes back as text."""

    def on_notice(self, op: str, handler: OneWayHandler) -> None:
        """Take one-way messages named `op`."""

    def on_connect(self, fill: Callable[[], None]) -> None:
        """Called after each (re)connect, so that a new coordinator can be told what it must know."""

    def on_disconnect(self, callback: Callable[[], None]) -> None: ...

    async def call(self, op: str, args: Arguments, timeout_s: float = 10.0) -> object:
        """Ask the coordinator. Raises LinkError."""

    def notify(self, op: str, args: Arguments) -> bool:
        """Send one-way; False when it was dropped (not connected, or too much is waiting already)."""


class SiteShares(Protocol):
    """This worker's part of what the whole server may do to each site. Exchanged with the coordinator every 100 ms.

    Site keys are the strings of `SiteRow.site`. With no coordinator, or before its first answer, a worker
    takes 1/N of the usual window, at least one.
    """

    def share(self, site: str) -> SiteShare: ...

    def slots(self, site: str) -> int:
        """How many connections this worker may have to `site` now. 0: another worker probes it, or it is dead."""

    def report_load(self, site: str, wanted: int, in_use: int) -> None:
        """How many this worker could use and has. Call when it changes; both 0 when done with the site."""

    def report_success(self, site: str) -> None: ...

    def report_failure(self, site: str) -> None:
        """A failure at connection level (connect, TLS, greeting, lost connection)."""

    def report_dead(self, site: str, retry_at: float, failures: int, reason: str) -> None:
        """This worker found the site dead until `retry_at` (Instant); the others leave it alone too."""

    def on_change(self, callback: Callable[[str, SiteShare], None]) -> None:
        """Told for each site whose share changed, or that another worker found dead or alive again."""


@dataclass(frozen=True, slots=True)
class SiteShare:
    """`retry_at` is 0.0 unless the site is dead for the whole server."""

    slots: int
    retry_at: float = 0.0
    failures: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Certificate chain and key as paths that `SSLContext.load_cert_chain` takes (`/proc/self/fd/N` of a memfd)."""

    certificate: str
    key: str


@dataclass(frozen=True, slots=True)
class OpenListener:
    """A listening, non-blocking socket inherited from the supervisor, shared by all workers."""

    settings: Listener
    socket: socket.socket


class Accepting(Protocol):
    """What `WorkerContext.accept` gives: a listener at work."""

    def close(self) -> None:
        """Accept no more; connections go on. May be called twice."""


class Accept(Protocol):
    async def __call__(
        self, listener: OpenListener, factory: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None = None
    ) -> Accepting:
        """`tls`: for protocols that do not begin it themselves."""


class Losses(NamedTuple):
    """What this process could not write down."""

    journal_records: int
    log_lines: int


@dataclass(slots=True)
class WorkerContext:
    """`index` is 0..worker_count-1 and is taken again by the worker that replaces this one; shards do not follow it."""

    settings: Settings
    index: int
    worker_count: int
    generation: int
    listeners: list[OpenListener]
    accept: Accept  # instead of `loop.create_server`: shares connections out between the workers
    submit_socket: socket.socket  # submit.sock, listening
    files: Mapping[str, bytes]  # what the supervisor read for us: password, recipient, rule and token files by path
    tls: TlsFiles
    runtime: Path
    link: Link
    shares: SiteShares
    admission: Admission
    log: Log
    journal: Journal
    metrics: PlainMetrics
    losses: Callable[[], Losses]
    clock: Clock


class WorkerRole(Protocol):
    """What `worker_process` runs. `posthouse.app.worker.Worker(context)` is the real one."""

    async def start(self) -> None:
        """Open everything, register with the link, begin to accept. The supervisor hears "ready" when it returns."""

    async def drain(self, deadline_s: float, *, may_stay: bool) -> None:
        """Stop accepting at once, let sessions end after what they have in hand; return when all are gone.

        `may_stay`: after a reload, who reads mail may do so until shortly before the deadline; else he is told to go.
        Returns after `deadline_s` at the latest, having ended the rest. May be cancelled and called again with a
        shorter deadline: SIGTERM while the last clients of a reload are waited for.
        """

    async def stop(self) -> None:
        """Write back what is known, close the shards. Called after `drain`, once."""

    def renew_tls(self, files: TlsFiles) -> None:
        """New handshakes use these from now on; the old paths may go away when this returns."""


WorkerFactory = Callable[[WorkerContext], WorkerRole]
