"""Which reports an attempt causes, and to whom they go (RFC 3461 §5, RFC 5321 §6.1).

`plan_reports` is pure: it takes what came of an attempt and gives back whole messages; the runner stores them
in the same transaction as the outcome, so that after a crash there is either neither or both. One report per
kind, with every recipient that fared alike in it.

Never to the empty sender: a message from `<>` that fails is dropped, unless it is a report of our own: then the
postmaster gets it (a double bounce) or, when there is no postmaster, it is held in the queue where
`posthouse queue` shows it. A double bounce that fails ends there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import assert_never

from posthouse.message.address import Address, Domain, LocalPart
from posthouse.message.envelope import BodyType, Envelope, Notify, Recipient, Ret
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.message.report import (
    MAX_RETURNED_HEADER,
    Report,
    ReportAction,
    ReportedRecipient,
    ReportKind,
    compose_report,
)
from posthouse.ports.spool import QueuedMessage, QueuedRecipient

_STATUS = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")


@dataclass(frozen=True, slots=True)
class Expired:
    """Time ran out; `reply` and `remote` are of the last attempt, None when there was none."""

    reply: Reply | None = None
    remote: str = ""


@dataclass(frozen=True, slots=True)
class Delayed:
    """Still being tried, and old enough that the sender should know. `retry_until`: when it will expire."""

    reply: Reply | None
    remote: str
    retry_until: Instant


Result = Outcome | Expired | Delayed


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """`max_original`: beyond it only the header section of a message is returned. `expand`: of the directory."""

    hostname: str
    postmaster: Address | None = None
    max_original: int = 1_000_000
    expand: Callable[[Address], Sequence[Address]] = lambda address: (address,)


@dataclass(frozen=True, slots=True)
class ReportDraft:
    """A report to be queued with `is_report`. `held`: nobody to send it to; `message_id` as in its header."""

    envelope: Envelope
    data: bytes
    held: bool = False


def original_length(message: QueuedMessage, results: Sequence[tuple[QueuedRecipient, Result]], limit: int) -> int:
    """How many octets of the message `plan_reports` needs to see: 0, its header section at most, or all of it."""
    kinds = {reported[0] for one, result in results if (reported := _judge(one, result)) is not None}
    if not kinds:
        return 0
    if ReportKind.FAILURE in kinds and _wants_full(message, limit):
        return message.size
    return min(message.size, MAX_RETURNED_HEADER)


async def read_original(message: QueuedMessage, length: int) -> bytes:
    """The first `length` octets of the message, trace included. Raises SpoolError."""
    rest = length - len(message.trace)
    if rest <= 0:
        return message.trace[:length]
    if message.body.inline is not None:
        return message.trace + message.body.inline[:rest]
    return message.trace + await message.body.read(0, rest)


def plan_reports(
    message: QueuedMessage,
    results: Sequence[tuple[QueuedRecipient, Result]],
    settings: ReportSettings,
    now: Instant,
    original: bytes,
) -> list[ReportDraft]:
    """The reports due now. `original` is what `read_original` gave for `original_length`."""
    by_kind: dict[ReportKind, list[ReportedRecipient]] = {}
    for one, result in results:
        judged = _judge(one, result)
        if judged is not None:
            by_kind.setdefault(judged[0], []).append(judged[1])
    if not by_kind:
        return []
    to = _choose_addressee(message, settings)
    if to is None:
        return []
    is_double = message.envelope.sender is None
    if is_double:  # only the failure of a report is the postmaster's concern
        by_kind = {kind: some for kind, some in by_kind.items() if kind is ReportKind.FAILURE}
    return [_draft(message, kind, some, (to, settings, now, original)) for kind, some in by_kind.items()]


def _choose_addressee(message: QueuedMessage, settings: ReportSettings) -> Address | None:
    if message.envelope.sender is not None:
        return message.envelope.sender
    if not message.is_report:
        return None  # RFC 5321 §6.1: no report about a message from <>
    postmaster = settings.postmaster or _own_postmaster(settings)
    if any(one.recipient.address == postmaster for one in message.recipients):
        return None  # the double bounce itself came back
    return postmaster


def _own_postmaster(settings: ReportSettings) -> Address:
    return Address(LocalPart("postmaster"), Domain(settings.hostname.lower()))


def _draft(
    message: QueuedMessage,
    kind: ReportKind,
    recipients: list[ReportedRecipient],
    context: tuple[Address, ReportSettings, Instant, bytes],
) -> ReportDraft:
    to, settings, now, original = context
    is_double = message.envelope.sender is None
    is_full = (
        kind is ReportKind.FAILURE and len(original) >= message.size and _wants_full(message, settings.max_original)
    )
    data = compose_report(
        Report(
            kind=kind,
            hostname=settings.hostname,
            to=to,
            recipients=recipients,
            queue_id=message.id,
            arrived=message.arrived,
            now=now,
            original=original,
            is_full=is_full,
            envid=message.envelope.envid,
            source=message.source,
            is_utf8=message.envelope.smtputf8,
            is_double=is_double,
        )
    )
    body = BodyType.SEVENBIT if data.isascii() else BodyType.EIGHTBITMIME
    envelope = Envelope(None, (Recipient(to),), body=body, smtputf8=to.needs_smtputf8)
    return ReportDraft(envelope, data, held=is_double and settings.postmaster is None)


def _wants_full(message: QueuedMessage, limit: int) -> bool:
    """RET tells for failures (RFC 3461 §4.3); without it the whole message, when it is not too large."""
    return (
        message.envelope.ret is not Ret.HDRS
        and message.envelope.body is not BodyType.BINARYMIME
        and message.size <= limit
    )


def _judge(one: QueuedRecipient, result: Result) -> tuple[ReportKind, ReportedRecipient] | None:
    """What the sender is told about this recipient, if anything (NOTIFY, RFC 3461 §4.1)."""
    notify = one.recipient.notify
    match result:
        case Delivered():
            return _judge_success(one, result) if notify & Notify.SUCCESS else None
        case Deferred():
            return None
        case Delayed(reply, remote, retry_until):
            if notify and not notify & Notify.DELAY:
                return None
            status = _status_of(reply, "4", "4.0.0")
            delayed = ReportedRecipient(one.recipient, ReportAction.DELAYED, status, reply, remote, retry_until)
            return ReportKind.DELAY, delayed
        case Refused(reply, remote):
            return _judge_failure(one, _status_of(reply, "5", "5.0.0"), reply, remote)
        case Expired(reply, remote):
            return _judge_failure(one, "4.4.7", reply, remote)  # RFC 3463 §3.5
    assert_never(result)


def _judge_success(one: QueuedRecipient, result: Delivered) -> tuple[ReportKind, ReportedRecipient] | None:
    if result.dsn_passed:
        return None  # the next hop has taken over the duty (RFC 3461 §5.2.2)
    action = ReportAction.RELAYED if result.relayed else ReportAction.DELIVERED
    status = _status_of(result.reply, "2", "2.0.0")
    return ReportKind.SUCCESS, ReportedRecipient(one.recipient, action, status, result.reply, result.remote)


def _judge_failure(
    one: QueuedRecipient, status: str, reply: Reply | None, remote: str
) -> tuple[ReportKind, ReportedRecipient] | None:
    notify = one.recipient.notify
    if notify and not notify & Notify.FAILURE:
        return None
    return ReportKind.FAILURE, ReportedRecipient(one.recipient, ReportAction.FAILED, status, reply, remote)


def _status_of(reply: Reply | None, status_class: str, default: str) -> str:
    """The reply's enhanced status, in the class of what we report: the peer's own classes do not always agree."""
    if reply is None or not _STATUS.fullmatch(reply.status):
        return default
    return status_class + reply.status[1:]
