"""What an SMTP or LMTP client did, as the server core tells its driver. `receive`, `next_event`, `answer`.

Events marked (answer) stop the core until `SmtpServer.answer` was called; all others are only told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from posthouse.message.address import Address
from posthouse.message.envelope import BodyType, Recipient, Ret
from posthouse.message.reply import Reply


@dataclass(frozen=True, slots=True)
class Hello:
    """HELO, EHLO or LHLO (answer). The core writes hostname and keywords itself; only a refusal is sent as given."""

    domain: str
    is_esmtp: bool


class ByTime(NamedTuple):
    """BY (RFC 2852 §4): `seconds` from now, or ago. `is_return`: mode R, else N. `is_traced`: T."""

    seconds: int
    is_return: bool
    is_traced: bool


class MailFrom(NamedTuple):
    """MAIL (answer). `size` is the announced SIZE or 0. `sender` None is `<>`. `envid` has xtext decoded.

    `hold_for_s` in seconds or `hold_until` in seconds since 1970: when it is to be sent (RFC 4865 §4).

    A tuple, because a frozen dataclass with so many fields takes 0.8 us more to make.
    """

    sender: Address | None
    body: BodyType = BodyType.SEVENBIT
    smtputf8: bool = False
    ret: Ret | None = None
    envid: str | None = None
    size: int = 0
    mt_priority: int = 0
    hold_for_s: int | None = None
    hold_until: float | None = None
    by: ByTime | None = None


@dataclass(frozen=True, slots=True)
class RcptTo:
    """RCPT (answer)."""

    recipient: Recipient


@dataclass(frozen=True, slots=True)
class DataStarted:
    """DATA with at least one recipient (answer: 354, or a refusal, which ends the transaction). Not told for BDAT."""


@dataclass(frozen=True, slots=True)
class BodyPiece:
    """The next octets of the message, dots undone, CRLF checked. After a problem no more of them come."""

    data: bytes


@dataclass(frozen=True, slots=True)
class MessageEnd:
    """The message has come in whole (answer, or `answer_each` for LMTP). Ends the transaction.

    `size` counts its octets. With a `problem` that must be the answer, and what came in pieces is to be dropped.
    """

    size: int
    problem: Reply | None = None


@dataclass(frozen=True, slots=True)
class StartTls:
    """STARTTLS (answer). After 220: write the output, do the handshake, call `tls_started`."""


@dataclass(frozen=True, slots=True)
class AuthStarted:
    """AUTH (answer: 334 with a challenge, 235, or a refusal). `initial` is decoded; None: there was none."""

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthData:
    """The client's answer to a 334 (answer: as for AuthStarted)."""

    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Etrn:
    """ETRN (answer), RFC 1985 §5. `domain` may begin with "@" (with all below it) or "#" (a queue's name)."""

    domain: str


@dataclass(frozen=True, slots=True)
class Xclient:
    """XCLIENT (answer: 220 and a greeting, after which the session is as new).

    Keys are upper case; a value of None is one that the proxy does not know.
    """

    attributes: Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Reset:
    """The transaction was given up by the client (RSET, or EHLO in mid-transaction): drop what there is of it."""


@dataclass(frozen=True, slots=True)
class Quit:
    """QUIT (answer: 221). Then write the output and close; nothing else will come."""


@dataclass(frozen=True, slots=True)
class Closing:
    """We end the session; the reply is in the output. Write it and close. `reason` is for the log."""

    reason: str


Event = (
    Hello
    | MailFrom
    | RcptTo
    | DataStarted
    | BodyPiece
    | MessageEnd
    | StartTls
    | AuthStarted
    | AuthData
    | Etrn
    | Xclient
    | Reset
    | Quit
    | Closing
)
