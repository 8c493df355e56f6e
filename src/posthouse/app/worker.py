"""A worker: listeners, inbound sessions, spool shards, runner; built from its context and driven through its life.

Everything a worker knows that matters is in its shards. When it dies its shards are adopted by another worker;
when it drains it keeps them until its transactions are over, then releases them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.dns.resolver import DnsResolver, DnsSettings
from posthouse.adapters.dns.system import make_servers
from posthouse.adapters.maildir import FileMaildirs
from posthouse.adapters.net.dialer import NetDialer
from posthouse.adapters.net.tls import ClientContexts, ServerContext, make_server_context
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.store_imports import SqliteImports
from posthouse.app import access
from posthouse.app.directory import directory_path, lend_admin, open_for_worker
from posthouse.app.due_records import LOOK_DUE_S, DueRecords, make_due_records
from posthouse.app.feed import ChangeFeed
from posthouse.app.journal_tending import tend_forever
from posthouse.app.search import TextSearch
from posthouse.app.shards import Shards
from posthouse.app.site_sync import SiteSync
from posthouse.app.store import Whereabouts, make_postman, make_store, store_path
from posthouse.app.store_duty import LOOK_S, DutyLock, StoreDuty
from posthouse.app.submission import People, Submission, World
from posthouse.app.submit import SubmitServer
from posthouse.app.vacation import QueueOutgoing, make_vacation
from posthouse.app.web import Visitors, WebContext
from posthouse.app.web_listeners import SERVICE as HTTP
from posthouse.app.web_listeners import WebListeners
from posthouse.app.wiring import Wiring, door_figures, inbound_figures, outcome_figures
from posthouse.app.wiring_login import FLUSH_S, Logins, LoginWiring, client_authorities
from posthouse.app.worker_context import Accepting, OpenListener, TlsFiles, WorkerContext
from posthouse.app.worker_figures import Sources, WorkerFigures
from posthouse.config.directory import CombinedDirectory
from posthouse.manage.operations import QueueOperations
from posthouse.manage.rates import RateMeter
from posthouse.manage.sessions import SessionOperations
from posthouse.mda.delivery import LocalMailboxes
from posthouse.mda.filing import Parcel
from posthouse.mda.maildir_delivery import MaildirPostman
from posthouse.mda.vacation import REFRESH_S, Vacation
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
from posthouse.ports.login import Scope
from posthouse.ports.spool import QueuedMessage, Settlement, Spool
from posthouse.serve.connection import Service
from posthouse.serve.smtp import SmtpService, SmtpServiceSettings
from posthouse.serve.smtp_role import SmtpRole

_TICK_S = 0.1
_DUE_S = 1.0
_SWEEP_S = 1.0
_STOP_S = 6.0


@dataclass(slots=True)
class _Door:
    """One listener: the service, and the server that accepts for it."""

    listener: OpenListener
    service: Service
    server: Accepting | None = None


class Worker:
    """`posthouse.app.worker_context.WorkerRole`."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._wiring = Wiring(context.settings, context.worker_count, context.files)
        self._doors: list[_Door] = []
        self._tasks: list[asyncio.Task[None]] = []
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
        self._whereabouts = Whereabouts(self._people)
        self._store = make_store(context.settings, self._whereabouts, context.clock)
        self._search = TextSearch(self._store, context.settings.data, context.log)
        self._feed = ChangeFeed(context.link, self._store.hint)
        self._store.on_commit = self._feed.note
        self._mailboxes = self._make_mailboxes()
        self._runner = self._make_runner()
        spool = Path(context.settings.data) / "spool"
        spool.mkdir(mode=0o700, exist_ok=True)
        pool = ShardPool(str(spool), context.clock, options=self._wiring.spool_options())
        self._shards = Shards(pool, self._runner, context.log)
        self._logins = self._make_logins()
        self._submission = self._make_submission()
        self._runner.connect_store(self._submission.handover)
        pool.may_remove = self._submission.may_remove
        self._readers = self._make_readers()
        self._web = WebListeners(context)
        self._duty = self._make_duty()
        self._vacation = self._make_vacation()
        self._due = self._make_due()
        sources = Sources(self._shards.owned, self._runner, self._planner, context.losses, self._store.figures)
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

    def _make_mailboxes(self) -> LocalMailboxes:
        context, compute = self._context, self._compute
        people = (self._whereabouts, self._directory)
        store = self._store.store
        accounts = make_postman(context.settings, store, people, compute, context.log, self._note_delivered)
        return LocalMailboxes(MaildirPostman(self._maildirs, compute, context.log), accounts, context.log)

    def _note_delivered(self, parcel: Parcel) -> None:
        self._vacation.note(parcel)

    def _make_vacation(self) -> Vacation:
        context = self._context
        outgoing = QueueOutgoing(self._shards.current, self._runner, self._directory, context.clock, context.journal)
        return make_vacation(context.settings, self._store, self._people, outgoing, context.log)

    def _make_due(self) -> DueRecords:
        context = self._context
        lock = DutyLock(os.path.join(store_path(context.settings), "due"))
        return make_due_records(self._store.store, self._store.records, lock, context.clock, context.log)

    def _make_logins(self) -> Logins:
        context, settings = self._context, self._context.settings
        credentials = SqliteCredentials(self._people, directory_path(settings))
        login = LoginWiring(
            settings,
            credentials,
            self._people,
            context.clock,
            context.log,
            self._resolver,
            self._wiring.read,
            self._people.spell_login,
        )
        return Logins(login, credentials.close, context.metrics, context.link)

    def _make_submission(self) -> Submission:
        context = self._context
        world = World(
            self._store.store,
            self._shards.current,
            self._shards.owned,
            self._runner,
            self._compute,
            context.clock,
            context.log,
            context.journal,
            context.metrics,
            context.worker_count,
            context.settings.store.body_file_size,
            self._router.find_rejection,
        )
        return Submission(context.settings, People(self._people, self._directory), world)

    def _make_readers(self) -> access.Readers:
        world = access.ReadingWorld(
            self._store.store,
            self._people,
            self._directory,
            partial(self._logins.converse, Scope.READ),
            self._logins.why_over,
            self._submission.submitter,
            self._compute,
        )
        return access.Readers(self._context, world)

    def _make_web(self) -> WebContext:
        from posthouse.app.web_uploads import UploadsFolder

        context = self._context
        uploads = UploadsFolder(context.settings, context.clock)
        web = WebContext(
            settings=context.settings,
            index=context.index,
            worker_count=context.worker_count,
            link=context.link,
            clock=context.clock,
            log=context.log,
            metrics=context.metrics,
            store=self._store.store,
            records=self._store.records,
            uploads=uploads.files,
            imports=SqliteImports(self._store.core),
            accounts=self._people,
            directory=self._directory,
            resolver=self._resolver,
            compute=self._compute,
            sending=self._readers.make_sending(),
            visitors=Visitors(self._logins.converse, self._logins.why_over),
        )
        uploads.tend(web)
        return web

    def _make_duty(self) -> StoreDuty:
        context, settings = self._context, self._context.settings
        lock = DutyLock(os.path.join(store_path(settings), "duty"))
        open_admin, tools = partial(lend_admin, settings), (context.clock, context.log)
        return StoreDuty(self._store, self._whereabouts, self._people, open_admin, lock, tools)

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
            room=self._store.quotas,
        )

    def _make_lmtp(self) -> LmtpDelivery:
        context = self._context
        notes = OutcomeNotes(context.journal, context.log, self._figures)
        return LmtpDelivery(self._router, self._mailboxes, self._runner, notes, context.clock)

    # -- life

    async def start(self) -> None:
        context = self._context
        await self._store.open()
        await self._search.start()
        await self._shards.open_first()
        for listener in (each for each in context.listeners if each.settings.service != HTTP):
            self._doors.append(self._make_door(listener))
        self._register()
        for work in (
            self._every(_TICK_S, self._tick),
            self._every(_DUE_S, self._runner.claim_due),
            self._every(_SWEEP_S, self._sweep),
            self._shards.tend(),
            tend_forever(context.settings, context.clock, context.log, context.index),
            self._every(_SWEEP_S, self._own_figures.count_queue),
            self._every(_SWEEP_S, self._submission.handover.replay),
            self._every(LOOK_S, self._duty.look),
            self._every(LOOK_DUE_S, self._due.look),
            self._every(REFRESH_S, self._vacation.refresh),
            self._every(FLUSH_S, self._logins.flush),
            self._search.run(),
        ):
            self._tasks.append(asyncio.create_task(work))
        for door in self._doors:
            door.server = await context.accept(door.listener, door.service)
        await self._web.start(self._make_web)
        for seconds, duty in self._web.periodic:
            self._tasks.append(asyncio.create_task(self._every(seconds, duty)))
        if context.submit_socket is not None:
            desk = self._make_desk(is_lmtp=False)
            size = context.settings.smtp.max_message_size
            self._submit = SubmitServer(lambda peer: InboundSession(desk, peer), size, context.log)
            await self._submit.start(context.submit_socket)
        self._web.is_ready = True

    def _make_door(self, listener: OpenListener) -> _Door:
        spoken = listener.settings.service
        settings = self._wiring.listener(listener.settings)
        service: Service
        if spoken in access.SERVICES:
            service = self._readers.make_service(listener.settings, settings)
        else:
            service = self._make_smtp(spoken, settings)
        if listener.settings.tls != "off":
            service.tls = self._make_tls(spoken, self._context.tls)
        return _Door(listener, service)

    def _make_smtp(self, spoken: str, settings: SmtpServiceSettings) -> SmtpService:
        context = self._context
        if spoken == "submission":
            settings = replace(settings, core=self._submission.adapt(settings.core))
        return SmtpService(
            settings=settings,
            make_role=self._make_roles(spoken),
            admission=context.admission,
            clock=context.clock,
            log=context.log,
            figures=door_figures(context.metrics, spoken),
        )

    def _make_roles(self, service: str) -> Callable[[Peer], SmtpRole]:
        if service == "submission":
            return self._submission.make_role(partial(self._logins.converse, Scope.SEND))
        desk = self._make_desk(is_lmtp=service == "lmtp")

        def make_role(peer: Peer) -> SmtpRole:
            if self._names is not None:
                self._names.look_up(peer)
            return InboundSession(desk, peer)

        return make_role

    def _make_tls(self, service: str, files: TlsFiles) -> ServerContext:
        authorities = client_authorities(self._context.settings, service)
        return make_server_context(files.certificate, files.key, client_ca=authorities)

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
            submitted=self._submission.handover,
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
        self._readers.tell()
        await self._runner.tick()

    async def _sweep(self) -> None:
        for door in self._doors:
            door.service.sweep()
        self._readers.look_after([(door.listener.settings.service, door.service) for door in self._doors])
        for meter in self._rates:
            meter.sample()
        self._planner.forget_idle_sites(self._context.clock.now())
        self._own_figures.update()

    def renew_tls(self, files: TlsFiles) -> None:
        for door in self._doors:
            if door.service.tls is not None:
                door.service.tls = self._make_tls(door.listener.settings.service, files)
        self._web.renew_tls(files)

    async def drain(self, deadline_s: float, *, may_stay: bool) -> None:
        await asyncio.gather(self._drain_doors(deadline_s, may_stay=may_stay), self._web.drain(deadline_s))

    async def _drain_doors(self, deadline_s: float, *, may_stay: bool) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        for door in self._doors:
            if door.server is not None:
                door.server.close()
            door.service.drain()
        if self._submit is not None:
            await self._submit.drain(min(deadline_s, _STOP_S))
        if may_stay:
            await self._wait_for_clients(until - min(_STOP_S, deadline_s / 2))
        for door in self._doors:
            door.service.shut_down(access.RELOADED if may_stay else access.STOPPED)
        await self._wait_for_clients(until)
        for door in self._doors:
            door.service.abort()

    async def _wait_for_clients(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        while any(door.service.sessions for door in self._doors) and loop.time() < until:
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._names is not None:
            await self._names.close()
        await self._web.close()
        await self._runner.stop(_STOP_S)
        await self._submission.handover.settle_down()
        await self._vacation.settle_down()
        await self._shards.close()
        await self._maildirs.close()
        await self._logins.close()
        await self._search.close()
        await self._store.close()
        self._duty.release()
        self._due.release()
        self._compute.close()
        self._people.close()


def _value(counter: object) -> float:
    value = getattr(counter, "value", 0.0)
    return float(value)
