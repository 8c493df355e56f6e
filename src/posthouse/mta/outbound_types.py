"""What the sending side is told and what it answers: settings, plans and results. Values only.

`Delivered | Deferred | Refused` of message/outcome are joined by `NotTried`: the message has not been offered for
that recipient and may be at once, in another transaction. `StaleConnection` is the one signal that is an exception:
nothing has happened, take a fresh connection.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType
from posthouse.message.outcome import Deferred, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.ports.spool import Body, QueuedMessage
from posthouse.ports.stream import Endpoint


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """Deadlines in seconds for each step (RFC 5321 §4.5.3.2), and limits."""

    hostname: str
    connect_s: float = 30.0
    greeting_s: float = 300.0
    hello_s: float = 300.0
    tls_s: float = 60.0
    auth_s: float = 120.0
    reset_s: float = 20.0
    mail_s: float = 300.0
    rcpt_s: float = 300.0
    data_command_s: float = 120.0
    body_block_s: float = 180.0
    data_final_s: float = 600.0
    quit_s: float = 5.0
    use_chunking: bool = True
    chunking_from: int = 65536  # octets: looking for dots costs 0.8 us per KiB; below it the older way is the safer one
    max_attempts: int = 5  # addresses tried for one connection
    plaintext_memory_s: float = 3600.0  # how long a host whose STARTTLS failed is spoken to without


class TlsPolicy(enum.Enum):
    OFF = "off"
    OPPORTUNISTIC = "opportunistic"  # any certificate will do, and plaintext when the handshake fails
    REQUIRED = "required"  # any certificate will do, plaintext will not
    VERIFY = "verify"  # the certificate must be right


class Mode(enum.StrEnum):
    SMTP = "smtp"
    SMTPS = "smtps"  # TLS before the greeting (RFC 8314 §3.3)
    LMTP = "lmtp"


@dataclass(frozen=True, slots=True, repr=False)
class SmtpAuth:
    """How to log in to a smarthost. Its repr is the default one, without the password."""

    username: str
    password: str


@dataclass(frozen=True, slots=True)
class HopPlan:
    """Where and how to connect. `endpoints` in the order to try them."""

    endpoints: Sequence[Endpoint]
    mode: Mode = Mode.SMTP
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    auth: SmtpAuth | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One address that did not work. `spoke`: the reply is the peer's, not ours about it."""

    endpoint: Endpoint
    reply: Reply
    spoke: bool = False


@dataclass(frozen=True, slots=True)
class ConnectFailed:
    """No address worked. Refused only when every host said that it never takes mail (RFC 7504 §4)."""

    outcome: Deferred | Refused
    attempts: tuple[Attempt, ...]


@dataclass(frozen=True, slots=True)
class NotTried:
    """The server takes no more recipients in this transaction: offer the message again for this one, now.

    It said so (452 or 552 to RCPT), or we knew before asking (LIMITS RCPTMAX, RFC 9422 §4.2).
    """

    remote: str


DeliveryResult = Outcome | NotTried


class StaleConnection(Exception):
    """A kept connection turned out to be dead before the next message was begun: nothing was sent, use a fresh one."""


@dataclass(slots=True)  # not frozen: made for each message, and four times cheaper
class AdaptedMessage:
    """A message as it goes to one hop: the same octets, or re-encoded ones with their body type."""

    trace: bytes
    body: Body
    body_type: BodyType

    @property
    def size(self) -> int:
        return len(self.trace) + self.body.size


Adapt = Callable[[QueuedMessage, HopCapabilities], Awaitable[AdaptedMessage | Refused]]


async def pass_through(message: QueuedMessage, hop: HopCapabilities) -> AdaptedMessage | Refused:
    """Sends what there is, except binary octets to a hop that has no way to take them (RFC 3030 §3)."""
    if message.envelope.body is BodyType.BINARYMIME and not hop.binarymime:
        return Refused(Reply(554, "5.6.3", "The next host does not accept binary messages"))
    return AdaptedMessage(message.trace, message.body, message.envelope.body)
