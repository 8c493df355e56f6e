"""Messages and recipients as rows of the spool's tables, both ways. No SQLite here: tuples in, tuples out.

Statements take many rows at once (bulk.py).
"""

from __future__ import annotations

from posthouse.adapters.sqlite.bulk import Value, insertion, per_size
from posthouse.message.address import Address, Domain, LocalPart
from posthouse.message.envelope import BodyType, DeliverBy, Envelope, Notify, Recipient, Ret
from posthouse.message.ids import QueueId, Serial, ShardNumber, make_queue_id
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, SubmissionId
from posthouse.message.reply import Reply
from posthouse.ports.spool import (
    Body,
    NewMessage,
    QueuedMessage,
    QueuedRecipient,
    RecipientChange,
    Status,
    SubmissionKey,
    make_recipients,
)

STATUSES = (Status.WAITING, Status.HELD, Status.DELIVERED, Status.RELAYED, Status.FAILED, Status.EXPIRED)
STATUS_NUMBERS = {status: number for number, status in enumerate(STATUSES)}
WAITING, HELD = 0, 1

FLAG_SMTPUTF8 = 4
FLAG_REPORT = 32
FLAG_WARNED = 64
FLAG_FILE = 128
_BODY_TYPES = (BodyType.SEVENBIT, BodyType.EIGHTBITMIME, BodyType.BINARYMIME)  # bits 0 and 1
_BODY_BITS = {body_type: bits for bits, body_type in enumerate(_BODY_TYPES)}
_RETS = (None, Ret.FULL, Ret.HDRS)  # bits 3 and 4
_RET_BITS = {ret: bits << 3 for bits, ret in enumerate(_RETS)}

MESSAGE_COLUMNS = 13
BODY_COLUMNS = 3
RECIPIENT_COLUMNS = 12
CHANGE_COLUMNS = 8
CLAIM_COLUMNS = 4
_NO_SUBMISSION = (None, None)


def _deletion(table: str) -> dict[int, str]:
    return per_size(f"DELETE FROM {table} WHERE serial IN (VALUES {{rows}})", 1)


INSERT_MESSAGES = insertion("message", MESSAGE_COLUMNS)
INSERT_BODIES = insertion("body", BODY_COLUMNS)
INSERT_RECIPIENTS = insertion("recipient", RECIPIENT_COLUMNS)
DELETE_MESSAGES = _deletion("message")
DELETE_BODIES = _deletion("body")
DELETE_RECIPIENTS = _deletion("recipient")
MARK_WARNED = per_size(f"UPDATE message SET flags = flags | {FLAG_WARNED} WHERE serial IN (VALUES {{rows}})", 1)
# A deferral of an attempt that was on its way does not release what was held meanwhile.
CHANGE_RECIPIENTS = per_size(
    f"UPDATE recipient SET status = iif(status = {HELD} AND v.column3 = {WAITING}, {HELD}, v.column3),"
    f" next_attempt = iif(status = {HELD}, NULL, v.column4), attempts = v.column5, reply = v.column6,"
    " remote = v.column7, next_hop = v.column8"
    " FROM (VALUES {rows}) AS v WHERE serial = v.column1 AND number = v.column2",
    CHANGE_COLUMNS,
)
# Only if the row is as it was read: it may have been held, deleted or settled since.
CLAIM_RECIPIENTS = per_size(
    "UPDATE recipient SET next_attempt = v.column4"
    " FROM (VALUES {rows}) AS v WHERE serial = v.column1 AND number = v.column2 AND next_attempt = v.column3",
    CLAIM_COLUMNS,
)


def join_sender(sender: Address | None) -> str | None:
    return None if sender is None else f"{sender.local}@{sender.domain}"


def _split_sender(text: str | None) -> Address | None:
    if text is None:
        return None
    local, _, domain = text.rpartition("@")  # a domain never contains "@", a local part may
    return Address(LocalPart(local), Domain(domain))


def join_reply(reply: Reply | None) -> str | None:
    return None if reply is None else f"{reply.code} {reply.enhanced} {reply.text}"


def _split_reply(text: str | None) -> Reply | None:
    if text is None:
        return None
    code, enhanced, rest = text.split(" ", 2)
    return Reply(int(code), enhanced, rest)


def join_deliver_by(by: DeliverBy | None) -> str | None:
    return None if by is None else f"{by.at!r} {'R' if by.is_return else 'N'}{'T' if by.is_traced else ''}"


def _split_deliver_by(text: str | None) -> DeliverBy | None:
    if text is None:
        return None
    at, _, mode = text.partition(" ")
    return DeliverBy(Instant(float(at)), "R" in mode, "T" in mode)


def add_message(new: NewMessage, serial: int, into: list[Value]) -> None:
    """Values of the row of `message`."""
    envelope, inline = new.envelope, new.body.inline
    flags = _BODY_BITS[envelope.body] | _RET_BITS[envelope.ret]
    if envelope.smtputf8:
        flags |= FLAG_SMTPUTF8
    if new.is_report:
        flags |= FLAG_REPORT
    if inline is None:
        flags |= FLAG_FILE
        size = new.body.size
    else:
        size = len(inline)
    sender = envelope.sender
    account, submission = new.submission or _NO_SUBMISSION
    into += (
        serial,
        None if sender is None else f"{sender.local}@{sender.domain}",
        flags,
        envelope.envid,
        envelope.mt_priority,
        new.arrived,
        len(new.trace) + size,
        new.source,
        new.message_id,
        0,
        join_deliver_by(envelope.deliver_by),
        account,
        submission,
    )


def add_recipients(new: NewMessage, serial: int, into: list[Value]) -> None:
    """Values of the rows of `recipient`."""
    usual: tuple[int, Instant | None] = (HELD, None) if new.held else (WAITING, new.first_retry)
    for number, recipient in enumerate(new.envelope.recipients):
        status, next_attempt = (HELD, None) if number in new.held_numbers else usual
        address, orcpt = recipient.address, recipient.orcpt
        into += (
            serial,
            number,
            status,
            0,
            next_attempt,
            address.domain,
            address.local,
            recipient.notify,
            None if orcpt is None else f"{orcpt[0]};{orcpt[1]}",
            None,
            "",
            "",
        )


def add_change(change: RecipientChange, serial: int, into: list[Value]) -> None:
    """Values for CHANGE_RECIPIENTS."""
    status = STATUS_NUMBERS[change.status]
    into += (
        serial,
        change.number,
        status,
        change.next_attempt if status == WAITING else None,
        change.attempts,
        join_reply(change.last_reply),
        change.last_remote,
        change.next_hop,
    )


def queue_new(new: NewMessage, body: Body) -> QueuedMessage:
    """The message as it is in the spool after `accept`."""
    return QueuedMessage(
        new.id,
        new.envelope,
        make_recipients(new),
        new.trace,
        body,
        new.arrived,
        new.source,
        new.message_id,
        new.is_report,
        submission=new.submission,
    )


RECIPIENT_SELECT = (
    "serial, number, status, attempts, next_attempt, domain, local, notify, orcpt, reply, remote, next_hop"
)
MESSAGE_SELECT = (
    "serial, sender, flags, envid, priority, arrived, size, source, message_id, crashes, deliver_by, account,"
    " submission"
)
RecipientRow = tuple[int, int, int, int, float | None, str, str, int, str | None, str | None, str, str]
MessageRow = tuple[int, str | None, int, str | None, int, float, int, str, str, int, str | None, int | None, int | None]


def read_recipient(row: RecipientRow) -> QueuedRecipient:
    _, number, status, attempts, next_attempt, domain, local, notify, orcpt, reply, remote, next_hop = row
    kind, _, original = (orcpt or "").partition(";")
    return QueuedRecipient(
        number,
        Recipient(Address(LocalPart(local), Domain(domain)), Notify(notify), (kind, original) if orcpt else None),
        STATUSES[status],
        None if next_attempt is None else Instant(next_attempt),
        attempts,
        _split_reply(reply),
        remote,
        next_hop,
    )


def read_message(
    shard: ShardNumber, row: MessageRow, recipients: list[QueuedRecipient], trace: bytes, body: Body
) -> QueuedMessage:
    serial, sender, flags, envid, priority, arrived, _, source, message_id, crashes, by, account, submission = row
    envelope = Envelope(
        _split_sender(sender),
        tuple(recipient.recipient for recipient in recipients),
        _BODY_TYPES[flags & 3],
        bool(flags & FLAG_SMTPUTF8),
        _RETS[flags >> 3 & 3],
        envid,
        priority,
        _split_deliver_by(by),
    )
    return QueuedMessage(
        id_of(shard, serial),
        envelope,
        recipients,
        trace,
        body,
        Instant(arrived),
        source,
        message_id,
        bool(flags & FLAG_REPORT),
        bool(flags & FLAG_WARNED),
        crashes,
        SubmissionKey(AccountId(account), SubmissionId(submission))
        if account is not None and submission is not None
        else None,
    )


# The digits of a queue id as int(..., 32) wants them.
_TO_PYTHON = bytes.maketrans(b"ABCDEFGHJKMNPQRSTVWXYZ", b"ABCDEFGHIJKLMNOPQRSTUV")


def serial_of(queue_id: QueueId) -> int:
    """The serial of an id we made: a third of the time of `split_queue_id`, several times per message."""
    return int(queue_id.encode().translate(_TO_PYTHON)[2:], 32)


def id_of(shard: ShardNumber, serial: int) -> QueueId:
    return make_queue_id(shard, Serial(serial))
