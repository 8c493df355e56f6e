"""Giving mail back because an administrator says so: the same reports as after a refusal by the next hop.

Rows and reports are one settlement, stored in one transaction by who asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from posthouse.message.instant import Instant
from posthouse.message.outcome import Refused
from posthouse.message.reply import Reply
from posthouse.mta.reports import ReportDraft, ReportSettings, original_length, plan_reports, read_original
from posthouse.ports.spool import (
    InlineBody,
    NewMessage,
    QueuedMessage,
    RecipientChange,
    Settlement,
    Spool,
    Status,
)

RETURNED = Reply(554, "5.7.0", "Given back by the administrator of this server")


@dataclass(frozen=True, slots=True)
class Bouncer:
    """A `manage.queue.MakeBounce`. `first_retry` gives a report's first `next_attempt`."""

    settings: ReportSettings
    first_retry: Callable[[Instant], Instant]

    async def __call__(self, spool: Spool, message: QueuedMessage, now: Instant) -> Settlement:
        """Raises SpoolError when the message cannot be read."""
        open_ones = [one for one in message.recipients if not one.status.is_final]
        results = [(one, Refused(RETURNED)) for one in open_ones]
        original = await read_original(message, original_length(message, results, self.settings.max_original))
        drafts = plan_reports(message, results, self.settings, now, original)
        changes = [
            RecipientChange(one.number, Status.FAILED, None, one.attempts, RETURNED, next_hop=one.next_hop)
            for one in open_ones
        ]
        reports = [self._make_report(spool, draft, now) for draft in drafts]
        return Settlement(message.id, changes, remove=True, reports=reports)

    def _make_report(self, spool: Spool, draft: ReportDraft, now: Instant) -> NewMessage:
        return NewMessage(
            id=spool.reserve_id(),
            envelope=draft.envelope,
            trace=b"",
            body=InlineBody(draft.data),
            arrived=now,
            first_retry=self.first_retry(now),
            source="report",
            is_report=True,
            held=draft.held,
        )
