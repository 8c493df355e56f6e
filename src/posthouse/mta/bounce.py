"""`queue bounce`: an administrator gives a message up, and its sender is told as for any other failure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from posthouse.message.address import Address
from posthouse.message.envelope import Recipient
from posthouse.message.header import inspect_head
from posthouse.message.instant import Instant
from posthouse.message.outcome import Refused
from posthouse.message.reply import Reply
from posthouse.mta.reports import ReportDraft, ReportSettings, original_length, plan_reports, read_original
from posthouse.mta.schedule import RetrySchedule
from posthouse.ports.clock import Random
from posthouse.ports.directory import DirectoryError
from posthouse.ports.spool import InlineBody, NewMessage, QueuedMessage, Settlement, Spool

_GIVEN_UP = Refused(Reply(550, "5.7.0", "The administrator of this server has stopped the delivery of this message"))


def make_report(
    spool: Spool,
    draft: ReportDraft,
    now: Instant,
    schedule: RetrySchedule,
    random: Random,
    expand: Callable[[Address], Sequence[Address]],
) -> NewMessage:
    """A report as a message to be queued in the shard of the message it is about. Its address may be an alias."""
    try:
        targets = [Recipient(target) for to in draft.envelope.recipients for target in expand(to.address)]
    except DirectoryError:  # it is tried as it is
        targets = list(draft.envelope.recipients)
    first = schedule.next_attempt(now, 0, now, True, random)
    return NewMessage(
        spool.reserve_id(),
        replace(draft.envelope, recipients=tuple(targets)),
        b"",
        InlineBody(draft.data),
        now,
        first,
        source="report",
        message_id=inspect_head(draft.data).message_id,
        is_report=True,
        held=draft.held,
    )


async def plan_bounce(
    spool: Spool,
    message: QueuedMessage,
    now: Instant,
    settings: ReportSettings,
    schedule: RetrySchedule,
    random: Random,
) -> Settlement:
    """Every recipient without an end fails now; the message leaves. Raises SpoolError."""
    results = [(one, _GIVEN_UP) for one in message.recipients if not one.status.is_final]
    original = await read_original(message, original_length(message, results, settings.max_original))
    drafts = plan_reports(message, results, settings, now, original)
    reports = [make_report(spool, draft, now, schedule, random, settings.expand) for draft in drafts]
    return Settlement(message.id, remove=True, reports=reports)
