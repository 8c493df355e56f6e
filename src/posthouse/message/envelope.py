"""The envelope: what SMTP says about a message beside the message itself (RFC 5321 §2.3.1, RFC 3461)."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from posthouse.message.address import Address
from posthouse.message.instant import Instant


class BodyType(enum.StrEnum):
    """The BODY parameter of MAIL (RFC 6152, RFC 3030 §3)."""

    SEVENBIT = "7BIT"
    EIGHTBITMIME = "8BITMIME"
    BINARYMIME = "BINARYMIME"


class Notify(enum.IntFlag):
    """The NOTIFY parameter of RCPT (RFC 3461 §4.1). UNSET means the default: failure, and delay if we like."""

    UNSET = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8


class Ret(enum.StrEnum):
    """The RET parameter of MAIL (RFC 3461 §4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT. `orcpt` is (address type, address) with xtext decoded (RFC 3461 §4.2), e.g. ("rfc822", "a@b")."""

    address: Address
    notify: Notify = Notify.UNSET
    orcpt: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """The BY parameter of MAIL as a point in time (RFC 2852 §4). `is_return`: give the message back then (mode R),
    else only tell that it is late (mode N). `is_traced`: tell also when it was handed on (T).
    """

    at: Instant
    is_return: bool = False
    is_traced: bool = False


@dataclass(frozen=True, slots=True)
class Envelope:
    """`sender` None is the empty reverse path `<>`. `envid` has xtext decoded. `mt_priority` of RFC 6710, -9..9."""

    sender: Address | None
    recipients: tuple[Recipient, ...]
    body: BodyType = BodyType.SEVENBIT
    smtputf8: bool = False
    ret: Ret | None = None
    envid: str | None = None
    mt_priority: int = 0
    deliver_by: DeliverBy | None = None
