"""A worker: listeners, inbound sessions, spool shards, runner; built from its context and driven through its life.

Everything a worker knows that matters is in its shards. When it dies its shards are adopted by another worker;
when it drains it keeps them until its transactions are over, then releases them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.dns.resolver import DnsResolver, DnsSettings
from posthouse.adapters.dns.system import make_servers
from posthouse.adapters.maildir import FileMaildirs
from posthouse.adapters.net.dialer import NetDialer
from posthouse.adapters.net.tls import ClientContexts, make_server_context
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.app.directory import open_for_worker
from posthouse.app.journal_tending import tend_forever
from posthouse.app.shards import Shards
from posthouse.app.site_sync import SiteSync
from posthouse.app.submit import SubmitServer
from posthouse.app.wiring import Wiring, inbound_figures, outcome_figures, smtp_figures
from posthouse.app.worker_context import Accepting, OpenListener, TlsFiles, WorkerContext
from posthouse.app.worker_figures import Sources, WorkerFigures
from posthouse.config.directory import CombinedDirectory
from posthouse.manage.operations import QueueOperations
from posthouse.manage.rates import RateMeter
from posthouse.manage.sessions import SessionOperations
from posthouse.mda.delivery import LocalMailboxes
from posthouse.mda.maildir_delivery import MaildirPostman
from posthouse.message.instant import Instant
from posthouse.message.peer import Peer
from posthouse.mta.adapt import MessageAdapter
from posthouse.mta.bounce import plan_bounce
from posthouse.mta.carrier import Carrier
from posthouse.mta.crew import CrewParts
from posthouse.mta.inbound import Desk, InboundSession
from posthouse.mta.lmtp_delivery import LmtpDelivery
from posthouse.mta.outbound import Connector
from posthouse.mta.outcomes import OutcomeNotes
from posthouse.mta.peer_names import PeerNames
from posthouse.mta.planner import Planner
from posthouse.mta.provider_policy import ProviderPolicy
from posthouse.mta.routing import Router
from posthouse.mta.runner import Runner, RunnerParts
from posthouse.mta.sites import Sites
from posthouse.ports.spool import QueuedMessage, Settlement, Spool
from posthouse.serve.smtp import SmtpService

_TICK_S = 0.1
_DUE_S = 1.0
_SWEEP_S = 1.0
_STOP_S = 6.0


@dataclass(slots=True)
class _Door:
    """One listener: the service, and the server that accepts for it."""

    listener: OpenListener
    service: SmtpService
    server: Accepting | None = None


class Worker:
    """`posthouse.app.worker_context.WorkerRole`."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._wiring = Wiring(context.settings, context.worker_count, context.files)
        self._doors: list[_Door] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._tls = make_server_context(context.tls.certificate, context.tls.key)
        self._submit: SubmitServer | None = None
        self._figures = outcome_figures(context.metrics)
        self._resolver = self._make_resolver()
        self._people = open_for_worker(context.settings)
        self._directory = CombinedDirectory(self._people, self._wiring.directory())
        self._reports = self._wiring.reports(self._directory.expand)
        self._names = PeerNames(self._resolver) if context.settings.smtp.look_up_names else None
        self._router = self._make_router()
        self._planner = Planner(Sites(self._wiring.sites()), self._wiring.planner())
        self._sync = SiteSync(self._planner, context.shares)
        self._maildirs = FileMaildirs(context.settings.hostname)
        self._compute = ThreadCompute()
        postman = MaildirPostman(self._maildirs, self._compute, context.log)
        self._mailboxes = LocalMailboxes(postman, None, context.log)
        self._runner = self._make_runner()
        spool = Path(context.settings.data) / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        pool = ShardPool(str(spool), context.clock, options=self._wiring.spool_options())
        self._shards = Shards(pool, self._runner, context.log)
        sources = Sources(self._shards.owned, self._runner, self._planner, context.losses)
        self._own_figures = WorkerFigures(context.metrics, sources, context.clock)

    # -- parts

    def _make_resolver(self) -> DnsResolver:
        context, dns = self._context, self._context.settings.dns
        servers = make_servers([(bind.host, bind.port) for bind in dns.servers])
        settings = DnsSettings(
            timeout_s=dns.timeout.total_seconds(),
            attempts=dns.attempts,
            total_s=dns.timeout.total_seconds() * dns.attempts,
            cache_entries=dns.cache_entries,
        )
        return DnsResolver(servers, context.clock, settings)

    def _make_router(self) -> Router:
        wiring = self._wiring
        clock = self._context.clock
        chance = random.SystemRandom()
        return Router(wiring.routes(), self._resolver, wiring.routing(), clock, chance, self._directory)

    def _make_runner(self) -> Runner:
        context, wiring = self._context, self._wiring
        dialer = NetDialer(ClientContexts(), context.settings.outbound.source)
        adapt = MessageAdapter(self._compute).adapt
        connector = Connector(dialer, wiring.outbound(), context.log, context.clock, secrets.token_urlsafe, adapt)
        outbound = context.settings.outbound
        carrier = Carrier(
            connector,
            self._router,
            self._mailboxes,
            outbound.recipients_per_transaction,
            outbound.messages_per_connection,
        )
        rules = ProviderPolicy(wiring.rules(), self._planner, context.clock, context.log)
        crew = CrewParts(self._planner, carrier, rules, self._sync, context.clock, context.log)
        return Runner(
            RunnerParts(
                planner=self._planner,
                routes=self._router,
                crew=crew,
                schedule=wiring.schedule(),
                notes=OutcomeNotes(context.journal, context.log, self._figures),
                clock=context.clock,
                random=random.Random(),
                log=context.log,
                settings=wiring.runner(self._reports),
            )
        )

    def _make_desk(self, *, is_lmtp: bool) -> Desk:
        context = self._context
        return Desk(
            settings=self._wiring.inbound(self._shards.current().inline_limit),
            policy=self._router,
            directory=self._directory,
            spool=self._shards.current,
            onward=self._runner,
            clock=context.clock,
            log=context.log,
            journal=context.journal,
            figures=inbound_figures(context.metrics),
            mailboxes=self._make_lmtp() if is_lmtp else None,
        )

    def _make_lmtp(self) -> LmtpDelivery:
        context = self._context
        notes = OutcomeNotes(context.journal, context.log, self._figures)
        return LmtpDelivery(self._router, self._mailboxes, self._runner, notes, context.clock)

    # -- life

    async def start(self) -> None:
        context = self._context
        await self._shards.open_first()
        for listener in context.listeners:
            self._doors.append(self._make_door(listener))
        self._register()
        for work in (
            self._every(_TICK_S, self._tick),
            self._every(_DUE_S, self._runner.claim_due),
            self._every(_SWEEP_S, self._sweep),
            self._shards.tend(),
            tend_forever(context.settings, context.clock, context.log, context.index),
            self._every(_SWEEP_S, self._own_figures.count_queue),
        ):
            self._tasks.append(asyncio.create_task(work))
        for door in self._doors:
            door.server = await context.accept(door.listener, door.service)
        if context.submit_socket is not None:
            desk = self._make_desk(is_lmtp=False)
            size = context.settings.smtp.max_message_size
            self._submit = SubmitServer(lambda peer: InboundSession(desk, peer), size, context.log)
            await self._submit.start(context.submit_socket)

    def _make_door(self, listener: OpenListener) -> _Door:
        context = self._context
        is_lmtp = listener.settings.service == "lmtp"
        desk = self._make_desk(is_lmtp=is_lmtp)

        def make_role(peer: Peer) -> InboundSession:
            if self._names is not None:
                self._names.look_up(peer)
            return InboundSession(desk, peer)

        service = SmtpService(
            settings=self._wiring.listener(listener.settings),
            make_role=make_role,
            admission=context.admission,
            clock=context.clock,
            log=context.log,
            figures=smtp_figures(context.metrics, listener.settings.service),
            tls=None if listener.settings.tls == "off" else self._tls,
        )
        return _Door(listener, service)

    def _register(self) -> None:
        context, figures = self._context, self._figures
        received = context.metrics.counter("posthouse_messages_received_total", "Messages answered 250.")
        self._rates = (
            RateMeter(lambda: _value(received), context.clock),
            RateMeter(lambda: _value(figures.relayed) + _value(figures.delivered), context.clock),
        )
        operations = QueueOperations(
            spools=self._shards.owned,
            active=self._runner,
            clock=context.clock,
            make_bounce=self._plan_bounce,
            rates=lambda: (self._rates[0].per_second(), self._rates[1].per_second()),
            journal=context.journal,
        )
        sessions = SessionOperations(
            f"{context.generation}.{context.index}",
            lambda: ((door.listener.settings.service, door.service.sessions) for door in self._doors),
        )
        handlers: dict[str, Callable[..., Awaitable[object]]] = {**operations.handlers(), **sessions.handlers()}
        for op, handler in handlers.items():
            context.link.register(op, handler)

    async def _plan_bounce(self, spool: Spool, message: QueuedMessage, now: Instant) -> Settlement:
        return await plan_bounce(spool, message, now, self._reports, self._wiring.schedule(), random.Random())

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - a defect in one round must not end all that follow
                self._context.log.error("periodic work failed", error=repr(error))
            await asyncio.sleep(seconds)

    async def _tick(self) -> None:
        self._sync.tell()
        await self._runner.tick()

    async def _sweep(self) -> None:
        for door in self._doors:
            door.service.sweep()
        for meter in self._rates:
            meter.sample()
        self._planner.forget_idle_sites(self._context.clock.now())
        self._own_figures.update()

    def renew_tls(self, files: TlsFiles) -> None:
        self._tls = make_server_context(files.certificate, files.key)
        for door in self._doors:
            if door.service.tls is not None:
                door.service.tls = self._tls

    async def drain(self, deadline_s: float) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        for door in self._doors:
            if door.server is not None:
                door.server.close()
            door.service.drain()
        if self._submit is not None:
            await self._submit.drain(min(deadline_s, _STOP_S))
        while any(door.service.sessions for door in self._doors) and loop.time() < until:
            await asyncio.sleep(0.05)
        for door in self._doors:
            door.service.abort()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._names is not None:
            await self._names.close()
        await self._runner.stop(_STOP_S)
        await self._shards.close()
        await self._maildirs.close()
        self._compute.close()
        self._people.close()


def _value(counter: object) -> float:
    value = getattr(counter, "value", 0.0)
    return float(value)
