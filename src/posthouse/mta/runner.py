"""The runner: gives the planner its jobs and stores what comes of them.

It holds the messages that are in hand (`Round`s), routes their recipients, and settles outcomes in the spool; the
connections are mta/crew, the reports mta/telling. It decides nothing itself: when (mta/schedule),
whose turn (mta/planner), where (mta/routing), what to tell the sender (mta/reports) are pure and elsewhere.

After a crash nothing of this is needed: each row in the spool holds a next attempt, stored before the attempt.
A message may then be delivered twice, if its hop had taken it and that was not stored yet; it is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.address import Address, Domain
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.backlog import Backlog, delay_for
from posthouse.mta.carrier import DISCARDED
from posthouse.mta.crew import Crew, CrewParts
from posthouse.mta.outcomes import OutcomeNotes
from posthouse.mta.planner import Job, Planner, flow_of
from posthouse.mta.recording import Recording, SubmittedMail
from posthouse.mta.reports import ReportSettings
from posthouse.mta.rounds import Round, expiry_of
from posthouse.mta.schedule import RetrySchedule, Vigil
from posthouse.mta.targets import (
    STORE_SITE,
    AccountBox,
    Destination,
    Discarded,
    MaildirBox,
    Rejected,
    SiteKey,
    SmtpSite,
    Unroutable,
)
from posthouse.mta.telling import Teller, TellerParts
from posthouse.ports.clock import Clock, Random
from posthouse.ports.observe import Log
from posthouse.ports.spool import (
    Action,
    DueRow,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientChange,
    Selection,
    Settlement,
    SiteRow,
    Spool,
    SpoolError,
    Status,
)


class Routes(Protocol):
    """Where a recipient goes (mta/routing.py)."""

    def route_now(self, address: Address) -> Destination | None:
        """From what is at hand; None: ask with `route`."""

    async def route(self, address: Address) -> Destination: ...


@dataclass(frozen=True, slots=True)
class RunnerSettings:
    """`max_parked`: ids of messages kept in memory that wait for room. Beyond it mail is read back when it is due.

    From `slow_above` messages that wait on, new mail comes more slowly; from `refuse_above` on not at all.
    """

    reports: ReportSettings
    max_parked: int = 100_000
    claim_limit: int = 500
    start_limit: int = 10_000
    start_spread_s: float = 10.0
    slow_above: int = 50_000
    refuse_above: int = 1_000_000


@dataclass(slots=True)
class RunnerParts:
    """What the runner works with."""

    planner: Planner
    routes: Routes
    crew: CrewParts
    schedule: RetrySchedule
    notes: OutcomeNotes
    clock: Clock
    random: Random
    log: Log
    settings: RunnerSettings
    submitted: SubmittedMail | None = None


_TOO_LATE = Deferred(Reply(451, "4.4.7", "It waited too long for its turn"))
_MAX_SITES = 10_000
_MAX_DOMAINS = 1000


class Runner:
    """One per worker, over all the shards the worker owns."""

    def __init__(self, parts: RunnerParts) -> None:
        self._parts = parts
        self._spools: dict[str, Spool] = {}
        self._rounds: dict[QueueId, Round] = {}
        self._unrouted: dict[Domain, list[tuple[Round, QueuedRecipient]]] = {}
        self._backlog = Backlog(parts.settings.max_parked)
        self._crew = Crew(parts.crew, self)
        self._starting: set[QueueId] = set()  # picked up at a start or announced, not begun yet
        self._recording = Recording(parts.submitted, parts.log)
        self._vigil = Vigil(parts.clock)
        self._teller = Teller(
            TellerParts(parts.settings.reports, parts.schedule, parts.notes, parts.clock, parts.random, parts.log)
        )
        self._waiting_domains: dict[SiteKey, set[Domain]] = {}  # of dead sites: whose mail was let go untried

    def connect_store(self, submitted: SubmittedMail) -> None:
        """Before any shard is picked up; the store's side needs the runner to exist first."""
        self._recording = Recording(submitted, self._parts.log)

    # -- shards

    def add_spool(self, spool: Spool) -> None:
        self._spools[spool.reserve_id()[:2]] = spool

    async def pick_up(self, spool: Spool) -> None:
        """Add a shard and try what was never tried in it, spread over some seconds, so that a start is no storm.

        To be called before the shard takes new mail: what is read here must not be in hand already.
        """
        parts = self._parts
        found: list[QueuedMessage] = []
        try:
            for row in await spool.load_sites():
                parts.planner.sites.restore(row)
            found = await self._recording.clear(
                await spool.load_unfinished(parts.clock.now(), parts.settings.start_limit)
            )
        except SpoolError as error:
            parts.log.warning("shard could not be read", shard=spool.shard, error=str(error))
        # Until their turn comes they count as held, so that they are not claimed as due meanwhile and sent twice.
        self._starting.update(message.id for message in found)
        self.add_spool(spool)
        self._crew.start(self._begin_in_turn(found))

    async def _begin_in_turn(self, found: Sequence[QueuedMessage]) -> None:
        slices = 20
        for index in range(slices):
            for message in found[index::slices]:
                if message.id in self._starting and not self._crew.is_stopping:
                    self._starting.discard(message.id)
                    self._begin(message, _untried(message))
            if len(found) > slices:
                await asyncio.sleep(self._parts.settings.start_spread_s / slices)

    def holds_any(self, spool: Spool) -> bool:
        return any(round_.spool is spool for round_ in self._rounds.values())

    def remove_spool(self, spool: Spool) -> bool:
        """Nothing more is taken from it; what waits in memory is dropped. False: it was not here."""
        kept = {prefix: one for prefix, one in self._spools.items() if one is not spool}
        was_here = len(kept) < len(self._spools)
        self._spools = kept
        if was_here:
            self.withdraw([queue_id for queue_id, round_ in self._rounds.items() if round_.spool is spool])
        return was_here

    def find_round(self, queue_id: QueueId) -> Round | None:
        return self._rounds.get(queue_id)

    def save_site(self, row: SiteRow) -> None:
        for spool in self._spools.values():
            spool.save_site(row)

    def note_dropped(self, site: SiteKey, jobs: Iterable[Job], reason: str) -> None:
        """The planner threw out what waited for a site that is dead now."""
        for job in jobs:
            round_ = self._rounds.get(job.message.id)
            if round_ is not None:
                self._note_waiting(site, job.recipients)
                self.let_go(round_, job.recipients, reason)

    def _note_waiting(self, site: SiteKey, some: Sequence[QueuedRecipient]) -> None:
        """Bounded: what is forgotten here waits for its own next attempt."""
        if site not in self._waiting_domains and len(self._waiting_domains) >= _MAX_SITES:
            del self._waiting_domains[next(iter(self._waiting_domains))]
        domains = self._waiting_domains.setdefault(site, set())
        if len(domains) < _MAX_DOMAINS:
            domains.update(one.recipient.address.domain for one in some)

    def note_recovered(self, site: SiteKey) -> None:
        """What was let go while the site was dead need not wait for its own time."""
        self.save_site(self._parts.planner.sites.get(site).to_row())
        for domain in self._waiting_domains.pop(site, ()):
            self.retry_domain(domain)

    def holds(self, queue_id: QueueId) -> bool:
        return queue_id in self._rounds or queue_id in self._backlog or queue_id in self._starting

    @property
    def is_idle(self) -> bool:
        return not self._rounds

    # -- new mail (the Onward of mta/inbound.py)

    def first_retry(self, now: Instant, octets: int) -> Instant:
        parts = self._parts
        if self._backlog.is_full:
            return now  # it will be read back in its order
        return parts.schedule.next_attempt(now, 0, now, False, parts.random)

    def take(self, message: QueuedMessage) -> None:
        flow = flow_of(message.envelope.sender, message.source)
        if self._crew.is_stopping:
            return
        if self._backlog.has_flow(flow) or not self._parts.planner.has_room(message.size, flow):
            self._backlog.add(message.id, flow)
            return
        self._begin(message, _untried(message))

    def announce(self, queue_id: QueueId) -> None:
        """It will come with `take_announced`; until then nobody else picks it up."""
        self._starting.add(queue_id)

    def take_announced(self, message: QueuedMessage) -> None:
        """Nothing happens when it was held or deleted meanwhile."""
        if message.id in self._starting:
            self._starting.discard(message.id)
            if not self.holds(message.id):
                self.take(message)

    def count_held(self) -> tuple[int, int, int]:
        """Messages in memory; those that wait on disk for room; about how many of these we have no id of."""
        backlog = self._backlog
        return len(self._rounds), len(backlog) + backlog.spilled, backlog.spilled

    def mail_delay(self) -> float | None:
        settings, backlog = self._parts.settings, self._backlog
        waiting = len(self._rounds) + len(backlog) + backlog.spilled
        return delay_for(waiting, settings.slow_above, settings.refuse_above)

    def retry_domain(self, domain: str) -> None:
        self._crew.start(self._retry(Selection(domain=domain)))

    async def _retry(self, selection: Selection) -> None:
        for spool in list(self._spools.values()):
            try:
                await spool.change(selection, Action.RETRY, self._parts.clock.now())
            except SpoolError as error:
                self._parts.log.warning("queue run failed", shard=spool.shard, error=str(error))

    # -- a message in hand

    def _begin(self, message: QueuedMessage, due: Sequence[QueuedRecipient]) -> None:
        spool = self._spools.get(message.id[:2])
        if spool is None or not due:
            return
        round_ = self._rounds[message.id] = Round(message, spool, due)
        route_now = self._parts.routes.route_now
        if len(due) == 1:
            destination = route_now(due[0].recipient.address)
            if destination is not None:
                self._dispatch(round_, destination, due)
            else:
                self._route_later(round_, due[0])
            return
        groups: dict[Destination, list[QueuedRecipient]] = {}
        for one in due:
            destination = route_now(one.recipient.address)
            if destination is None:
                self._route_later(round_, one)
            else:
                groups.setdefault(destination, []).append(one)
        for destination, some in groups.items():
            self._dispatch(round_, destination, some)

    def _route_later(self, round_: Round, one: QueuedRecipient) -> None:
        address = one.recipient.address
        waiting = self._unrouted.get(address.domain)
        if waiting is None:
            self._unrouted[address.domain] = [(round_, one)]
            self._crew.start(self._route(address))
        else:
            waiting.append((round_, one))

    async def _route(self, address: Address) -> None:
        """One question for all recipients of a domain that wait for the answer."""
        routes = self._parts.routes
        try:
            answer = await routes.route(address)
        except Exception as error:  # noqa: BLE001 - a defect of ours must not strand what is in hand
            self._parts.log.error("routing failed", domain=address.domain, error=repr(error))
            answer = Unroutable(Deferred(Reply(451, "4.4.3", "Routing failed here, see the log")))
        waiting = self._unrouted.pop(address.domain)
        groups: dict[tuple[int, Destination], tuple[Round, list[QueuedRecipient]]] = {}
        for round_, one in waiting:
            destination = routes.route_now(one.recipient.address) or answer
            groups.setdefault((id(round_), destination), (round_, []))[1].append(one)
        for (_, destination), (round_, some) in groups.items():
            self._dispatch(round_, destination, some)

    def _dispatch(self, round_: Round, destination: Destination, some: Sequence[QueuedRecipient]) -> None:
        """Give the planner its job, or the recipients their outcome when there is nowhere to go."""
        if round_.withdrawn:
            self._drop(round_, some)
        elif isinstance(destination, SmtpSite):
            self.offer(round_, destination.key, destination, some)
        elif isinstance(destination, AccountBox):
            self.offer(round_, STORE_SITE, destination, some)
        elif isinstance(destination, MaildirBox):
            self.offer(round_, SiteKey(f"maildir:{destination.root}"), destination, some)
        elif isinstance(destination, Unroutable):
            self.settle(round_, [(one, destination.outcome) for one in some])
        elif isinstance(destination, Rejected):
            self.settle(round_, [(one, Refused(destination.reply)) for one in some])
        else:
            assert isinstance(destination, Discarded)
            self.settle(round_, [(one, DISCARDED) for one in some])

    def offer(self, round_: Round, site: SiteKey, destination: Destination, some: Sequence[QueuedRecipient]) -> None:
        parts = self._parts
        message = round_.message
        hop = site.partition(":")[2] if site.startswith("mx:") else site
        for one in some:
            one.next_hop = hop
        flow = flow_of(message.envelope.sender, message.source)
        now = parts.clock.now()
        expires = parts.schedule.deadline(message.arrived, message.is_report, self._was_tried(some))
        by = message.envelope.deliver_by
        if by is not None and by.is_return:
            expires = min(expires, by.at)
            if now >= by.at:
                self.settle(round_, [(one, _TOO_LATE) for one in some])
                return
        if parts.planner.offer(Job(message, site, destination, some, flow, expires), now):
            self._crew.pump_soon()
        elif parts.planner.sites.get(site).closed_until(now) is None:
            self._backlog.add(message.id, flow)
            self._drop(round_, some)
        else:
            self._note_waiting(site, some)
            self.let_go(round_, some, parts.planner.sites.get(site).why_closed())

    def let_go(self, round_: Round, some: Sequence[QueuedRecipient], reason: str) -> None:
        """The site is dead: rows already hold a next attempt, so nothing is written unless time has run out."""
        parts = self._parts
        now = parts.clock.now()
        message = round_.message
        is_over = now >= expiry_of(message, parts.schedule)
        is_late = parts.schedule.should_warn(message.arrived, now, message.is_report, message.warned)
        if self._was_tried(some) if is_over else is_late:
            outcome = Deferred(Reply(451, "4.4.1", reason), site_failed=True)
            self.settle(round_, [(one, outcome) for one in some])
        else:
            self._drop(round_, some)

    def _was_tried(self, some: Sequence[QueuedRecipient]) -> bool:
        """No sleep, stop or jump of the clock made us miss the attempt that is due now."""
        due = some[0].next_attempt
        return due is None or self._vigil.was_tried(due)

    def _drop(self, round_: Round, some: Sequence[QueuedRecipient]) -> None:
        round_.let_go(len(some))
        self._end_if_over(round_, [])

    # -- outcomes

    def settle(self, round_: Round, results: Sequence[tuple[QueuedRecipient, Outcome]]) -> None:
        """Outcomes of recipients. When the message was held or deleted meanwhile, only a success still counts."""
        parts = self._parts
        now = parts.clock.now()
        if round_.withdrawn:
            failed = [one for one, outcome in results if not isinstance(outcome, Delivered)]
            results = [(one, outcome) for one, outcome in results if isinstance(outcome, Delivered)]
            round_.let_go(len(failed))
        for one, outcome in results:
            parts.notes.note(round_.message, one, outcome, now)
        had_to_tell = bool(round_.reported)
        at_once = round_.note(results, now, parts.schedule, parts.random)
        if round_.reported and not had_to_tell and not round_.is_over:
            self._teller.watch(round_)
        self._end_if_over(round_, at_once)

    def _end_if_over(self, round_: Round, at_once: list[RecipientChange]) -> None:
        message = round_.message
        if not round_.is_over:
            if at_once:
                self._store(round_, Settlement(message.id, at_once))
                if message.submission is not None:
                    self._crew.start(self._recording.note(message))
            return
        if round_.is_telling:
            round_.unsaved += at_once
            return
        if round_.started:
            round_.spool.unmark_in_hand(message.id)
        if round_.reported:
            self._crew.start(self._tell_at_end(round_, at_once))
        elif not at_once and not round_.unsaved:
            del self._rounds[message.id]
        elif message.submission is not None:
            self._crew.start(self._store_recorded(round_, at_once))
        else:
            self._store(round_, round_.conclude(at_once))

    async def _store_recorded(self, round_: Round, at_once: list[RecipientChange]) -> None:
        self._store(round_, await self._recording.conclude(round_, round_.conclude(at_once)))

    def _store(self, round_: Round, settlement: Settlement) -> None:
        future = round_.spool.settle(settlement)
        if round_.is_over:
            future.add_done_callback(lambda done: self._stored(round_, done))
        else:
            future.add_done_callback(self._log_unstored)

    def _stored(self, round_: Round, done: asyncio.Future[None]) -> None:
        self._rounds.pop(round_.message.id, None)
        self._log_unstored(done)

    def _log_unstored(self, done: asyncio.Future[None]) -> None:
        error = done.exception() if not done.cancelled() else None
        if error is not None:
            # The rows keep their next attempt: what was delivered may be delivered again.
            self._parts.log.error("outcome could not be stored", error=str(error))

    async def _tell_at_end(self, round_: Round, at_once: list[RecipientChange]) -> None:
        """The end of a round that has something to tell: rows and reports in one transaction."""
        try:
            settlement = await self._recording.conclude(round_, round_.conclude(at_once))
            reports = await self._teller.tell(round_, settlement, round_.reported)
        finally:
            self._rounds.pop(round_.message.id, None)
        await self._take_reports(round_.spool, reports or ())

    async def _tell_early(self, round_: Round) -> None:
        """Others of the message take longer: they do not keep the sender waiting."""
        settlement, told = round_.take_told()
        reports = None
        try:
            reports = await self._teller.tell(round_, settlement, told)
        finally:
            round_.is_telling = False
            if reports is None:
                round_.give_back(settlement, told)
            self._end_if_over(round_, [])
        await self._take_reports(round_.spool, reports or ())

    async def _take_reports(self, spool: Spool, reports: Iterable[NewMessage]) -> None:
        for report in reports:
            if not report.held:
                stored = await spool.load(report.id)
                if stored is not None and not self.holds(stored.id):
                    self.take(stored)

    # -- what comes round

    async def tick(self) -> None:
        """Several times a second: timers of the planner, expiry in memory, room for what waits on disk."""
        planner, now = self._parts.planner, self._parts.clock.now()
        if self._vigil.check():
            self._parts.log.warning("the clock jumped, or the machine slept")
            planner.recheck()
        for job in planner.expired(now):
            round_ = self._rounds.get(job.message.id)
            if round_ is not None:
                self.settle(round_, [(one, _TOO_LATE) for one in job.recipients])
        for round_ in self._teller.take_due():
            round_.is_telling = True
            self._crew.start(self._tell_early(round_))
        self._crew.pump_soon()
        await self._unpark()

    async def _unpark(self) -> None:
        for flow in self._backlog.flows():
            while self._parts.planner.has_room(0, flow) and (batch := self._backlog.take(flow, 100)):
                await self._read_back(batch)

    async def _read_back(self, batch: Sequence[QueueId]) -> None:
        by_shard: dict[str, set[QueueId]] = {}
        for queue_id in batch:
            if queue_id in self._rounds:
                continue
            by_shard.setdefault(queue_id[:2], set()).add(queue_id)
        for prefix, ids in by_shard.items():
            spool = self._spools.get(prefix)
            if spool is None:
                continue
            for message in await spool.find(Selection(ids=frozenset(ids)), len(ids)):
                if message.id not in self._rounds:
                    self._begin(message, _untried(message))

    async def claim_due(self) -> None:
        """Every second or so: mail whose time has come, as long as there is room."""
        if self._recording.has_untold:
            self._crew.start(self._recording.tell_again())
        is_all = True
        for spool in list(self._spools.values()):
            is_all &= await self._claim_from(spool)
        if is_all and not len(self._backlog):
            self._backlog.note_nothing_due()

    async def _claim_from(self, spool: Spool) -> bool:
        """True when nothing is left there that is due."""
        parts = self._parts
        while not self._crew.is_stopping and parts.planner.has_room(0, ""):
            now = parts.clock.now()
            active = parts.planner.active
            limit = max(1, min(parts.settings.claim_limit, active.max_messages - active.messages))
            try:
                found = await spool.claim_due(now, limit, self.holds, self._reschedule)
            except SpoolError as error:
                parts.log.warning("due mail could not be read", shard=spool.shard, error=str(error))
                return False
            self._backlog.note_claimed(len(found))
            for message in await self._recording.clear(found):
                if message.id not in self._rounds:
                    self._begin(message, _due(message, now))
            if len(found) < limit:
                return True
        return False

    def _reschedule(self, row: DueRow) -> Instant:
        parts = self._parts
        now = parts.clock.now()
        # What was let go with a dead site has no finished attempt: its age tells how patient to be.
        attempts = max(row.attempts, parts.schedule.attempts_for_age(now - row.arrived))
        return parts.schedule.next_attempt(row.arrived, attempts, now, row.is_report, parts.random)

    # -- administration and the end

    def list_tried(self) -> dict[QueueId, set[int]]:
        """Recipients whose delivery is being attempted now, by message."""
        tried: dict[QueueId, set[int]] = {}
        for part in self._crew.list_parts():
            tried.setdefault(part.message.id, set()).update(one.number for one in part.recipients)
        return tried

    def withdraw(self, ids: Iterable[QueueId]) -> None:
        """Held, deleted or bounced: what no connection has in hand leaves memory; the rows are changed by the spool."""
        for queue_id in ids:
            self._backlog.discard(queue_id)
            self._starting.discard(queue_id)
            round_ = self._rounds.get(queue_id)
            if round_ is None:
                continue
            round_.withdrawn = True
            for job in self._parts.planner.withdraw(queue_id):
                self._drop(round_, job.recipients)

    def wake(self, ids: Iterable[QueueId]) -> None:
        """Their rows were made due (retry, release): look now, also for sites that are dead or suspended."""
        if any(True for _ in ids):
            self._parts.planner.sites.give_another_try()
            self._parts.planner.recheck()
            self._crew.start(self.claim_due())

    async def stop(self, deadline_s: float) -> None:
        """Finish what connections have in hand, close them; the rest is in the spool."""
        await self._crew.stop(deadline_s)


def _due(message: QueuedMessage, now: Instant) -> list[QueuedRecipient]:
    return [
        one
        for one in message.recipients
        if one.status is Status.WAITING and one.next_attempt is not None and one.next_attempt <= now
    ]


def _untried(message: QueuedMessage) -> list[QueuedRecipient]:
    return [one for one in message.recipients if one.status is Status.WAITING and not one.attempts]
