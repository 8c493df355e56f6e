"""Telling what came of each recipient: journal, log and figures, in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.ports.observe import Counter, Histogram, Journal, Log
from posthouse.ports.spool import NewMessage, QueuedMessage, QueuedRecipient


@dataclass(frozen=True, slots=True)
class OutcomeFigures:
    delivered: Counter
    relayed: Counter
    deferred: Counter
    failed: Counter
    reports: Counter
    delay: Histogram  # seconds from arrival to delivery


@dataclass(frozen=True, slots=True)
class OutcomeNotes:
    journal: Journal
    log: Log
    figures: OutcomeFigures

    def note(self, message: QueuedMessage, one: QueuedRecipient, outcome: Outcome, now: Instant) -> None:
        """One attempt for one recipient: a record in the journal and a line in the log."""
        step = self._count(outcome, now - message.arrived)
        recipient, reply = str(one.recipient.address), str(outcome.reply)
        self.journal.record(
            step,
            message.id,
            recipient=recipient,
            next_hop=one.next_hop,
            remote=outcome.remote,
            mailbox=outcome.mailbox if isinstance(outcome, Delivered) else "",
            reply=reply,
            attempt=one.attempts + 1,
        )
        self.log.info(
            step,
            id=message.id,
            recipient=recipient,
            remote=outcome.remote or (outcome.mailbox if isinstance(outcome, Delivered) else "") or one.next_hop,
            delay=round(now - message.arrived, 3),
            reply=reply,
        )

    def _count(self, outcome: Outcome, delay_s: float) -> str:
        figures = self.figures
        match outcome:
            case Delivered():
                figures.delay.observe(delay_s)
                if outcome.relayed:
                    figures.relayed.inc()
                    return "relayed"
                figures.delivered.inc()
                return "delivered"
            case Deferred():
                figures.deferred.inc()
                return "deferred"
            case Refused():
                figures.failed.inc()
                return "failed"
        assert_never(outcome)

    def note_report(self, message: QueuedMessage, report: NewMessage) -> None:
        """A report was queued; both ids, so that `trace` can follow it."""
        self.figures.reports.inc()
        to = str(report.envelope.recipients[0].address)
        self.journal.record("reported", message.id, report=report.id, recipient=to, held=report.held)
        self.journal.record(
            "received",
            report.id,
            sender="",
            recipients=[to],
            size=report.body.size,
            peer="report",
            message_id=report.message_id,
            about=message.id,
        )
        self.log.info("reported", id=message.id, report=report.id, recipient=to, held=report.held)
