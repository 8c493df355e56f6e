"""Telling senders what came of a message: reports, stored together with the outcomes they are about.

A report is made at the end of its round, or `TELL_AFTER_S` after the first outcome in it that must be told, when some
recipients take longer: a slow host does not keep a sender waiting for what is known of the others. Recipients that
fared alike within that time are in one report.

After a crash there is either neither or both of a report and the outcome it is about (mta/rounds, docs/internals.md).
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

from posthouse.mta.bounce import make_report
from posthouse.mta.outcomes import OutcomeNotes
from posthouse.mta.reports import ReportSettings, original_length, plan_reports, read_original
from posthouse.mta.rounds import Round, Told
from posthouse.mta.schedule import RetrySchedule
from posthouse.ports.clock import Clock, Random
from posthouse.ports.observe import Log
from posthouse.ports.spool import NewMessage, Settlement, SpoolError

TELL_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class TellerParts:
    settings: ReportSettings
    schedule: RetrySchedule
    notes: OutcomeNotes
    clock: Clock
    random: Random
    log: Log


class Teller:
    def __init__(self, parts: TellerParts) -> None:
        self._parts = parts
        self._open: deque[tuple[float, Round]] = deque()  # with something to tell, by the time of their first outcome

    def watch(self, round_: Round) -> None:
        """It goes on and has something to tell since just now."""
        self._open.append((self._parts.clock.monotonic() + TELL_AFTER_S, round_))

    def take_due(self) -> list[Round]:
        """Rounds that should not wait for their end any longer."""
        due: list[Round] = []
        now = self._parts.clock.monotonic()
        while self._open and self._open[0][0] <= now:
            round_ = self._open.popleft()[1]
            if round_.reported and not round_.is_over and not round_.is_telling:
                due.append(round_)
        return due

    async def tell(self, round_: Round, settlement: Settlement, told: Told) -> list[NewMessage] | None:
        """Store the settlement with the reports about `told`; the reports, None when nothing could be stored."""
        parts, message = self._parts, round_.message
        settings = parts.settings
        try:
            original = await read_original(message, original_length(message, told, settings.max_original))
            now = parts.clock.now()
            drafts = await asyncio.to_thread(plan_reports, message, told, settings, now, original)
            schedule, random, expand = parts.schedule, parts.random, settings.expand
            reports = [make_report(round_.spool, draft, now, schedule, random, expand) for draft in drafts]
            settlement.reports = reports
            await round_.spool.settle(settlement)
        except SpoolError as error:
            parts.log.error("report could not be stored", id=message.id, error=str(error))
            return None
        for report in reports:
            parts.notes.note_report(message, report)
        return reports
