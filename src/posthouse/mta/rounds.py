"""What came of a message's attempt, as changes to store: one `Round` per message in hand.

Pure. A round begins with the recipients that are due and ends when each has an outcome or was let go. What needs
no report is stored at once, so that a crash repeats as little as possible. What fails is stored only together with
its report, at the end of the round or some seconds after the first failure (mta/telling): one report names all
recipients that fared alike until then, and after a crash there is either neither or both (docs/internals.md). A
success is stored at once, so that it is not repeated; a crash before its report costs the receipt.

    outcome of a recipient          its row                                     reported
    Delivered                       leaves, or `relayed`/`delivered`, at once   with the others, if NOTIFY=SUCCESS
    Deferred, time left             waiting, attempts + 1, new next_attempt     once, when it is late (Delayed)
    Deferred, time over             expired                                     with the others
    Refused                         failed                                      with the others
    let go (site failed, held)      untouched: it already holds a next_attempt  no
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from posthouse.message.envelope import Notify
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.mta.reports import Delayed, Expired, Result
from posthouse.mta.schedule import Expire, RetrySchedule
from posthouse.ports.clock import Random
from posthouse.ports.spool import QueuedMessage, QueuedRecipient, RecipientChange, Settlement, Spool, Status

Told = list[tuple[QueuedRecipient, Result]]


class Round:
    """`open` counts the due recipients that have no outcome yet. `unsaved` are changes that wait for their report."""

    __slots__ = ("is_telling", "message", "open", "reported", "spool", "started", "unsaved", "withdrawn")

    def __init__(self, message: QueuedMessage, spool: Spool, due: Sequence[QueuedRecipient]) -> None:
        self.message = message
        self.spool = spool
        self.open = len(due)
        self.unsaved: list[RecipientChange] = []
        self.reported: Told = []
        self.is_telling = False  # a report is being stored before the end: the end waits for it
        self.started = False  # a recipient was really tried
        self.withdrawn = False  # an administrator took it out of the schedule

    def start(self) -> None:
        """It is tried now: noted where a killed worker leaves it (`Spool.mark_in_hand`)."""
        if not self.started:
            self.started = True
            self.spool.mark_in_hand(self.message.id)

    @property
    def is_over(self) -> bool:
        return self.open <= 0

    def let_go(self, count: int) -> None:
        """`count` recipients leave the round untried; their rows say when they are tried next."""
        self.open -= count

    def note(
        self, results: Iterable[tuple[QueuedRecipient, Outcome]], now: Instant, schedule: RetrySchedule, random: Random
    ) -> list[RecipientChange]:
        """Take outcomes; returns the changes to store now, which is all of them but those that wait for a report."""
        at_once: list[RecipientChange] = []
        for one, outcome in results:
            self.open -= 1
            change, result = judge(self.message, one, outcome, (now, schedule, random))
            one.status, one.next_attempt, one.attempts = change.status, change.next_attempt, change.attempts
            one.last_reply, one.last_remote = change.last_reply, change.last_remote
            if result is not None:
                self.reported.append((one, result))
            if result is None or isinstance(result, Delivered):
                at_once.append(change)  # what has gone out must not go out again after a crash
            else:
                self.unsaved.append(change)
        return at_once

    def take_told(self) -> tuple[Settlement, Told]:
        """What waits for a report, to be stored with it before the end."""
        changes, self.unsaved = self.unsaved, []
        told, self.reported = self.reported, []
        return Settlement(self.message.id, changes, warned=_has_delay(told)), told

    def give_back(self, settlement: Settlement, told: Told) -> None:
        """It could not be stored: it is tried again at the end."""
        self.unsaved = [*settlement.changes, *self.unsaved]
        self.reported = [*told, *self.reported]

    def conclude(self, at_once: list[RecipientChange]) -> Settlement:
        """Everything that is not stored yet, at the end of the round; the reports are added by the runner."""
        message = self.message
        if all(one.status.is_final for one in message.recipients):
            return Settlement(message.id, remove=True)
        return Settlement(message.id, at_once + self.unsaved, warned=_has_delay(self.reported))


def expiry_of(message: QueuedMessage, schedule: RetrySchedule) -> Instant:
    """When it goes back; sooner where its sender said so (RFC 2852 §4, mode R)."""
    expiry, by = schedule.expiry(message.arrived, message.is_report), message.envelope.deliver_by
    return min(expiry, by.at) if by is not None and by.is_return else expiry


def list_final(message: QueuedMessage) -> list[RecipientChange]:
    """The rows of a message that has ended, where it cannot leave yet."""
    return [
        RecipientChange(one.number, one.status, None, one.attempts, one.last_reply, one.last_remote, one.next_hop)
        for one in message.recipients
        if one.status.is_final
    ]


def _has_delay(told: Told) -> bool:
    return any(isinstance(result, Delayed) for _, result in told)


def judge(
    message: QueuedMessage,
    one: QueuedRecipient,
    outcome: Outcome,
    context: tuple[Instant, RetrySchedule, Random],
) -> tuple[RecipientChange, Result | None]:
    """The new row of a recipient, and what its sender may have to be told."""
    match outcome:
        case Delivered():
            status = Status.RELAYED if outcome.relayed else Status.DELIVERED
            change = _final(one, status, outcome)
            notify = one.recipient.notify  # seldom set, and flags are slow to compare
            return change, outcome if notify and notify & Notify.SUCCESS else None
        case Refused():
            return _final(one, Status.FAILED, outcome), outcome
        case Deferred():
            return _judge_deferred(message, one, outcome, context)
    assert_never(outcome)


def _final(one: QueuedRecipient, status: Status, outcome: Outcome) -> RecipientChange:
    return RecipientChange(
        one.number, status, None, one.attempts + 1, outcome.reply, outcome.remote, next_hop=one.next_hop
    )


def _judge_deferred(
    message: QueuedMessage,
    one: QueuedRecipient,
    outcome: Deferred,
    context: tuple[Instant, RetrySchedule, Random],
) -> tuple[RecipientChange, Result | None]:
    now, schedule, random = context
    by = message.envelope.deliver_by
    if by is not None and by.is_return and now >= by.at:  # RFC 2852 §4.1.3
        return _final(one, Status.EXPIRED, outcome), Expired(outcome.reply, outcome.remote)
    verdict = schedule.judge(
        message.arrived, one.attempts + 1, now, random, is_report=message.is_report, warned=message.warned
    )
    if isinstance(verdict, Expire):
        change = _final(one, Status.EXPIRED, outcome)
        return change, Expired(outcome.reply, outcome.remote)
    at = verdict.at
    if outcome.retry_after_s is not None:
        at = min(Instant(now + outcome.retry_after_s), schedule.expiry(message.arrived, message.is_report))
    is_late = verdict.warn
    if by is not None:
        at = by.at if now < by.at < at else at  # looked at when its time is over
        is_late = is_late or (now >= by.at and not message.warned and not message.is_report)
    change = RecipientChange(
        one.number, Status.WAITING, at, one.attempts + 1, outcome.reply, outcome.remote, one.next_hop
    )
    if not is_late:
        return change, None
    return change, Delayed(outcome.reply, outcome.remote, schedule.expiry(message.arrived, message.is_report))
