"""The connections of a worker: one task per slot of the planner, started, called and ended as the planner says.

A task takes a part of a message, carries it over its channel, hands the outcomes to the ledger (mta/runner) and takes
the next. It decides nothing about messages. Nothing here is durable: what a killed task had in hand is in the spool.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from posthouse.message.ids import QueueId
from posthouse.message.outcome import Deferred, Delivered, Outcome
from posthouse.message.reply import Reply
from posthouse.mta.carrier import Carrier, Channel
from posthouse.mta.outbound import DeliveryResult, NotTried
from posthouse.mta.planner import Job, Part, Planner, Rest, Slot, Verb
from posthouse.mta.provider_policy import ProviderPolicy
from posthouse.mta.rounds import Round
from posthouse.mta.targets import Destination, SiteKey
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log
from posthouse.ports.spool import QueuedRecipient, SiteRow


class SiteEvents(Protocol):
    """Who shares sites between workers (app/site_sync.py)."""

    def succeeded(self, site: SiteKey) -> None: ...

    def failed(self, site: SiteKey) -> None:
        """A connection could not be made or broke; the site may be dead now."""


class Ledger(Protocol):
    """Who keeps the messages in hand (mta/runner.py)."""

    def find_round(self, queue_id: QueueId) -> Round | None: ...

    def settle(self, round_: Round, results: Sequence[tuple[QueuedRecipient, Outcome]]) -> None: ...

    def note_dropped(self, site: SiteKey, jobs: Iterable[Job], reason: str) -> None: ...

    def note_recovered(self, site: SiteKey) -> None: ...

    def offer(
        self, round_: Round, site: SiteKey, destination: Destination, some: Sequence[QueuedRecipient]
    ) -> None: ...

    def save_site(self, row: SiteRow) -> None: ...


@dataclass(frozen=True, slots=True)
class CrewParts:
    planner: Planner
    carrier: Carrier
    rules: ProviderPolicy
    events: SiteEvents
    clock: Clock
    log: Log


_GONE = Deferred(Reply(451, "4.3.2", "Delivery was interrupted here"))


class Crew:
    def __init__(self, parts: CrewParts, ledger: Ledger) -> None:
        self._parts = parts
        self._ledger = ledger
        self._tasks: set[asyncio.Task[None]] = set()
        self._resting: dict[Slot, asyncio.Future[bool]] = {}
        self._slots: set[Slot] = set()
        self._is_pump_due = False
        self.is_stopping = False

    def start(self, work: Coroutine[object, object, None]) -> None:
        """Run something of the runner's beside everything else; it is waited for at the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def list_parts(self) -> list[Part]:
        """What connections have in hand at this moment."""
        return [slot.part for slot in self._slots if slot.part is not None]

    def pump_soon(self) -> None:
        """Ask the planner once, at the end of this turn of the loop."""
        if not self._is_pump_due:
            self._is_pump_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def _pump(self) -> None:
        self._is_pump_due = False
        if self.is_stopping:
            return
        for verb, slot in self._parts.planner.plan(self._parts.clock.now()):
            if verb is Verb.OPEN:
                self.start(self._work(slot))
            else:
                waiter = self._resting.pop(slot, None)
                if waiter is not None and not waiter.done():
                    waiter.set_result(verb is Verb.USE)

    async def _work(self, slot: Slot) -> None:
        """A slot's life: take a part, carry it, settle, again; rest while there is none."""
        planner, clock = self._parts.planner, self._parts.clock
        self._slots.add(slot)
        channel = self._parts.carrier.make_channel(partial(self._note_open, slot))
        try:
            while not self.is_stopping:
                part = planner.take(slot, clock.now(), channel.max_recipients)
                if isinstance(part, Part):
                    if not await self._carry(slot, channel, part):
                        break
                elif part is Rest.CLOSE or not await self._rest(slot):
                    break
            planner.closed(slot)
            await channel.quit()
        except Exception as error:  # noqa: BLE001 - a defect of ours must not strand what is in hand
            self._parts.log.error("delivery failed", site=slot.site, error=repr(error))
            self._abandon(slot)
        finally:
            channel.close()
            planner.closed(slot)
            self._slots.discard(slot)
            self.pump_soon()

    def _note_open(self, slot: Slot) -> None:
        """A site that answers may have more than the one connection that it was tried with."""
        self._parts.planner.connected(slot)
        self.pump_soon()

    async def _rest(self, slot: Slot) -> bool:
        """Until there is work (True) or the connection is to be closed."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._resting[slot] = waiter
        try:
            return await waiter
        finally:
            self._resting.pop(slot, None)

    async def _carry(self, slot: Slot, channel: Channel, part: Part) -> bool:
        """One part over the channel. False: the slot is gone."""
        parts, ledger = self._parts, self._ledger
        round_ = ledger.find_round(part.message.id)
        assert round_ is not None
        round_.start()
        results = self._apply_rules(slot, channel, part, await channel.carry(part))
        again = self._settle(round_, part, results)
        now = parts.clock.now()
        reason = channel.failure or _why_broken(results)
        if reason is not None:
            self._note_failed(slot, parts.planner.failed(slot, now, reason), reason)
            return False
        parts.events.succeeded(slot.site)
        if parts.planner.finished(slot, now):
            parts.log.info("site is alive again", site=slot.site)
            ledger.note_recovered(slot.site)
        if again:
            ledger.offer(round_, slot.site, part.job.destination, again)
        return channel.is_usable

    def _apply_rules(
        self, slot: Slot, channel: Channel, part: Part, results: Sequence[DeliveryResult]
    ) -> Sequence[DeliveryResult]:
        """What providers mean by their replies may be more than they say."""
        ruled: list[DeliveryResult] = []
        for one, result in zip(part.recipients, results, strict=True):
            if isinstance(result, Delivered | NotTried):
                ruled.append(result)
                continue
            ruling = self._parts.rules.apply(slot.site, one.recipient.address, result)
            ruled.append(ruling.result)
            if ruling.wants_new_connection:
                channel.retire()
            self._ledger.note_dropped(slot.site, ruling.dropped, result.reply.text)
        return ruled

    def _settle(self, round_: Round, part: Part, results: Sequence[DeliveryResult]) -> list[QueuedRecipient]:
        """Settle what was tried; returns the recipients for which the message is to be offered again at once."""
        done: list[tuple[QueuedRecipient, Outcome]] = []
        again: list[QueuedRecipient] = []
        for one, result in zip(part.recipients, results, strict=True):
            if isinstance(result, NotTried):
                again.append(one)
            else:
                done.append((one, result))
        if not done:  # no progress: a hop that takes nobody must not be asked for ever
            reply = Reply(452, "4.5.3", "The next host takes no recipient")
            done, again = [(one, Deferred(reply)) for one in again], []
        self._ledger.settle(round_, done)
        return again

    def _abandon(self, slot: Slot) -> None:
        part = slot.part
        if part is not None and (round_ := self._ledger.find_round(part.message.id)) is not None:
            self._ledger.settle(round_, [(one, _GONE) for one in part.recipients])

    def _note_failed(self, slot: Slot, dropped: Iterable[Job], reason: str) -> None:
        site = self._parts.planner.sites.get(slot.site)
        if site.is_dead:
            self._parts.log.warning("site is dead", site=slot.site, reason=reason, failures=site.failures)
            self._ledger.save_site(site.to_row())
        self._parts.events.failed(slot.site)
        self._ledger.note_dropped(slot.site, dropped, reason)

    async def stop(self, deadline_s: float) -> None:
        """What is in hand is finished, nothing new is taken."""
        self.is_stopping = True
        for waiter in list(self._resting.values()):
            if not waiter.done():
                waiter.set_result(False)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=deadline_s)
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)


def _why_broken(results: Sequence[DeliveryResult]) -> str | None:
    return next((each.reply.text for each in results if isinstance(each, Deferred) and each.site_failed), None)
