"""What a login comes to, and the words for it in SMTP (RFC 4954 §6, RFC 5248; RFC 3463 for the codes).

The client hears the same for an unknown name and for a wrong password. What only the right password may learn
(disabled, not for this) comes after it was right.
"""

from __future__ import annotations

import base64
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.message.reply import Reply
from posthouse.ports.login import Login
from posthouse.protocol.sasl.server import Challenge


class Why(enum.Enum):
    """Why a login was denied; the other protocols have their own words for these."""

    WRONG = "wrong"  # name or password, whichever
    MALFORMED = "malformed"
    DISABLED = "disabled"
    SCOPE = "scope"  # the right password, but not good for this service
    TOO_FAST = "too fast"  # too many failures before; the password was not looked at
    UNAVAILABLE = "unavailable"  # nobody can tell now; try again
    NEEDS_TLS = "needs TLS"
    UNKNOWN_MECHANISM = "unknown mechanism"
    TOO_WEAK = "mechanism too weak"


@dataclass(frozen=True, slots=True)
class Accepted:
    login: Login


@dataclass(frozen=True, slots=True)
class Denied:
    why: Why

    @property
    def reply(self) -> Reply:
        return _REPLIES[self.why]


Verdict = Accepted | Denied
Turn = Challenge | Accepted | Denied

_REPLIES: Final[Mapping[Why, Reply]] = {
    Why.WRONG: Reply(535, "5.7.8", "Authentication credentials invalid"),
    Why.MALFORMED: Reply(501, "5.5.2", "That is not what the mechanism asks for"),
    Why.DISABLED: Reply(535, "5.7.13", "This account is disabled"),
    Why.SCOPE: Reply(535, "5.7.8", "This password is not for this service"),
    Why.TOO_FAST: Reply(454, "4.7.0", "Too many failed logins, try again later"),
    Why.UNAVAILABLE: Reply(454, "4.7.0", "Logging in is not possible now, try again later"),
    Why.NEEDS_TLS: Reply(538, "5.7.11", "Start TLS first: this mechanism would show the password"),
    Why.UNKNOWN_MECHANISM: Reply(504, "5.5.4", "Mechanism is not offered"),
    Why.TOO_WEAK: Reply(534, "5.7.9", "That mechanism is too weak for this server"),
}
_ACCEPTED: Final = Reply(235, "2.7.0", "Authentication succeeded")


def smtp_reply(turn: Turn) -> Reply:
    """RFC 4954 §4: 334 with the challenge in base64, 235, or the refusal."""
    if isinstance(turn, Challenge):
        return Reply(334, "", base64.b64encode(turn.data).decode("ascii"))
    return _ACCEPTED if isinstance(turn, Accepted) else turn.reply
