"""What the store keeps of a submission for the hand-over, opaque to it: the envelope and how the Received field begins.

Versioned by its shape: fields are only ever added at the end, with defaults.
"""

from __future__ import annotations

import msgspec

from posthouse.message.address import parse_address
from posthouse.message.envelope import BodyType, DeliverBy, Envelope, Notify, Recipient, Ret
from posthouse.message.instant import Instant


class TicketRecipient(msgspec.Struct, array_like=True, omit_defaults=True):
    address: str
    notify: int = 0
    orcpt: tuple[str, str] | None = None


class Ticket(msgspec.Struct, array_like=True, omit_defaults=True):
    """`prefix` and `protocol` are of the Received field. `hold` says why it waits for an administrator, "" if not.

    `keeps`: what lies in Scheduled moves to Sent when it is sent; else it goes. `by`: at, mode R, trace (RFC 2852).
    `is_tied`: it waits in Scheduled, or not at all. `identity`: of the client (RFC 8621 §6), "" for other doors.
    """

    sender: str | None
    recipients: list[TicketRecipient]
    body: str
    smtputf8: bool
    ret: str | None
    envid: str | None
    mt_priority: int
    by: tuple[float, bool, bool] | None
    prefix: bytes
    protocol: str
    hold: str = ""
    keeps: bool = True
    is_tied: bool = True
    identity: str = ""


def make_ticket(envelope: Envelope, prefix: bytes, protocol: str, hold: str, keeps: bool) -> Ticket:
    by = envelope.deliver_by
    return Ticket(
        None if envelope.sender is None else str(envelope.sender),
        [TicketRecipient(str(one.address), int(one.notify), one.orcpt) for one in envelope.recipients],
        envelope.body.value,
        envelope.smtputf8,
        envelope.ret.value if envelope.ret else None,
        envelope.envid,
        envelope.mt_priority,
        None if by is None else (by.at, by.is_return, by.is_traced),
        prefix,
        protocol,
        hold,
        keeps,
    )


def encode_ticket(ticket: Ticket) -> bytes:
    return msgspec.msgpack.encode(ticket)


def decode_ticket(octets: bytes) -> Ticket:
    """Raises ValueError when it is none."""
    try:
        return msgspec.msgpack.decode(octets, type=Ticket)
    except msgspec.MsgspecError as error:
        raise ValueError(f"not a submission of ours: {error}") from None


def open_envelope(ticket: Ticket) -> Envelope:
    return Envelope(
        parse_address(ticket.sender) if ticket.sender is not None else None,
        tuple(Recipient(parse_address(one.address), Notify(one.notify), one.orcpt) for one in ticket.recipients),
        BodyType(ticket.body),
        ticket.smtputf8,
        Ret(ticket.ret) if ticket.ret else None,
        ticket.envid,
        ticket.mt_priority,
        DeliverBy(Instant(ticket.by[0]), ticket.by[1], ticket.by[2]) if ticket.by else None,
    )
