"""The runner with fakes all round: a memory spool, a clock that stands, next hops that answer what they are told."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from posthouse.message.address import Address, parse_address
from posthouse.message.envelope import Envelope, Notify, Recipient
from posthouse.message.outcome import Deferred, Delivered, Refused
from posthouse.message.reply import Reply
from posthouse.mta.carrier import Carrier
from posthouse.mta.crew import CrewParts
from posthouse.mta.outbound import DeliveryResult
from posthouse.mta.outcomes import OutcomeFigures, OutcomeNotes
from posthouse.mta.planner import Part, Planner, PlannerSettings
from posthouse.mta.provider_policy import ProviderPolicy
from posthouse.mta.recording import SubmittedMail
from posthouse.mta.reports import ReportSettings
from posthouse.mta.rules import Rules
from posthouse.mta.runner import Runner, RunnerParts, RunnerSettings
from posthouse.mta.schedule import RetrySchedule
from posthouse.mta.sites import Sites
from posthouse.mta.targets import Destination, SiteHost, SiteKey, SmtpSite
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeFigure, FakeJournal, FakeLog
from posthouse.ports.spool import InlineBody, NewMessage, QueuedMessage
from posthouse.ports.spool_memory import MemorySpool

OK = Delivered(Reply(250, "2.0.0", "ok"), "mx.there.example[192.0.2.1]:25", relayed=True)
LATER = Deferred(Reply(451, "4.7.1", "greylisted"), "mx.there.example[192.0.2.1]:25")
NEVER = Refused(Reply(550, "5.1.1", "no such user"), "mx.there.example[192.0.2.1]:25")
DEAD = Deferred(Reply(451, "4.4.1", "connection refused"), "", site_failed=True)


@dataclass
class FakeRoutes:
    """Each domain is its own site. `slow` ones must be asked for; `fixed` ones have a destination of their own."""

    slow: set[str] = field(default_factory=set)
    fixed: dict[str, Destination] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def route_now(self, address: Address) -> Destination | None:
        return None if address.domain in self.slow else self._find(address)

    async def route(self, address: Address) -> Destination:
        self.asked.append(address.domain)
        await asyncio.sleep(0)
        if self.gate is not None:
            await self.gate.wait()
        return self._find(address)

    def _find(self, address: Address) -> Destination:
        fixed = self.fixed.get(address.domain)
        return fixed or SmtpSite(SiteKey(f"mx:{address.domain}"), (SiteHost(0, address.domain, 25),), uses_mx=True)


@dataclass
class FakeHops:
    """`answer` says what becomes of each recipient; `parts` lists what was carried. `gate` makes them wait."""

    answer: Callable[[Part, Address], DeliveryResult] = lambda part, address: OK
    parts: list[tuple[str, list[str]]] = field(default_factory=list)
    connections: int = 0
    gate: asyncio.Event | None = None
    max_recipients: int = 100
    gates: Mapping[str, asyncio.Event] = field(default_factory=dict)  # by domain

    def make_channel(self, on_open: Callable[[], None]) -> FakeChannel:
        self.connections += 1
        return FakeChannel(self)


class FakeChannel:
    is_usable = True

    def __init__(self, hops: FakeHops) -> None:
        self._hops = hops
        self.failure: str | None = None
        self.max_recipients = hops.max_recipients

    async def carry(self, part: Part) -> list[DeliveryResult]:
        self._hops.parts.append((part.message.id, [str(one.recipient.address) for one in part.recipients]))
        if self._hops.gate is not None:
            await self._hops.gate.wait()
        for one in part.recipients:
            if (gate := self._hops.gates.get(one.recipient.address.domain)) is not None:
                await gate.wait()
        await asyncio.sleep(0)
        results = [self._hops.answer(part, one.recipient.address) for one in part.recipients]
        dead = next((each for each in results if each is DEAD), None)
        self.failure = None if dead is None else str(DEAD.reply)
        return results

    def retire(self) -> None:
        self.is_usable = False

    async def quit(self) -> None:
        return None

    def close(self) -> None:
        return None


class NoEvents:
    def succeeded(self, site: SiteKey) -> None:
        return None

    def failed(self, site: SiteKey) -> None:
        return None


class Bench:
    """A runner over one shard. `settle` lets everything that can happen now happen."""

    def __init__(
        self,
        hops: FakeHops | None = None,
        settings: Mapping[str, int] | None = None,
        submitted: SubmittedMail | None = None,
        **planner: Any,
    ) -> None:
        self.submitted = submitted
        self.clock = FakeClock()
        self.spool = MemorySpool(self.clock)
        self.hops = hops or FakeHops()
        self.routes = FakeRoutes()
        self.log, self.journal = FakeLog(), FakeJournal()
        self.postmaster: Address | None = parse_address("admin@here.example")
        self.planner = Planner(Sites(), PlannerSettings(**planner))
        self.runner = self._make_runner(settings or {})
        self.runner.add_spool(self.spool)

    def _make_runner(self, settings: Mapping[str, Any]) -> Runner:
        rules = ProviderPolicy(Rules(), self.planner, self.clock, self.log)
        carrier = cast(Carrier, self.hops)
        figures = OutcomeFigures(*(FakeFigure() for _ in range(6)))
        return Runner(
            RunnerParts(
                planner=self.planner,
                routes=self.routes,
                crew=CrewParts(self.planner, carrier, rules, NoEvents(), self.clock, self.log),
                schedule=RetrySchedule(),
                notes=OutcomeNotes(self.journal, self.log, figures),
                clock=self.clock,
                random=random.Random(7),
                log=self.log,
                settings=RunnerSettings(
                    ReportSettings("mx.here.example", self.postmaster), start_spread_s=0.0, **settings
                ),
                submitted=self.submitted,
            )
        )

    async def accept(
        self, *recipients: str, sender: str | None = "alice@here.example", notify: Notify = Notify.UNSET, **more: bool
    ) -> QueuedMessage:
        """Queue a message and hand it to the runner, as receiving does."""
        new = self.compose(*recipients, sender=sender, notify=notify, **more)
        message = await self.spool.accept(new)
        self.runner.take(message)
        return message

    def compose(
        self, *recipients: str, sender: str | None, notify: Notify = Notify.UNSET, is_report: bool = False
    ) -> NewMessage:
        now = self.clock.now()
        envelope = Envelope(
            parse_address(sender) if sender else None,
            tuple(Recipient(parse_address(each), notify) for each in recipients),
        )
        body = InlineBody(b"Subject: hello\r\nMessage-ID: <1@here.example>\r\n\r\nhello\r\n")
        first = self.runner.first_retry(now, body.size)
        return NewMessage(self.spool.reserve_id(), envelope, b"", body, now, first, is_report=is_report)

    async def settle(self) -> None:
        for _ in range(60):
            await asyncio.sleep(0)
        await asyncio.sleep(0.02)  # reports are made in a thread
        for _ in range(60):
            await asyncio.sleep(0)

    async def pass_time(self, seconds: float) -> None:
        """Time passes; what is due is claimed, as the worker does every second."""
        self.clock.advance(seconds)
        await self.runner.tick()
        await self.runner.claim_due()
        await self.settle()

    def reports_for(self, address: str) -> int:
        """How many messages went to that address alone."""
        return sum(recipients == [address] for _, recipients in self.hops.parts)

    def stored(self) -> Sequence[QueuedMessage]:
        return list(self.spool.disk.messages.values())
