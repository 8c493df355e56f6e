"""What the IMAP server core tells its session, and its limits.

States (RFC 9051 §3) are set by the session as commands succeed; the core refuses commands of other states.

    state               commands
    NOT_AUTHENTICATED   any + STARTTLS AUTHENTICATE LOGIN
    AUTHENTICATED       any + ENABLE SELECT ... (all that need no selected mailbox)
    SELECTED            any + those of AUTHENTICATED + those on messages
    LOGOUT              none
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from posthouse.protocol.imap.commands import Request


class State(enum.Enum):
    NOT_AUTHENTICATED = "not authenticated"
    AUTHENTICATED = "authenticated"
    SELECTED = "selected"
    LOGOUT = "logout"


@dataclass(frozen=True, slots=True)
class ImapLimits:
    """Octets unless said otherwise. `big_literal`: from that size on a literal is taken only when the session says so
    (`BigLiteral`); `literal` is the largest that is no message.
    """

    command: int = 65_536  # a command without its literals
    literal_before_login: int = 8_192
    literal: int = 1 << 20
    message: int = 50 << 20
    messages_per_append: int = 100
    big_literal: int = 65_536
    depth: int = 50  # of parentheses
    search_keys: int = 1_000
    errors: int = 20  # refused commands in a row until the connection is closed


@dataclass(frozen=True, slots=True)
class Command:
    tag: bytes
    request: Request


@dataclass(frozen=True, slots=True)
class Refused:
    """A command that is wrong in itself. The answer is `tag status [code] text`; tag "*" where there was none."""

    tag: bytes
    status: bytes  # BAD or NO
    code: bytes  # b"" without one
    text: str


@dataclass(frozen=True, slots=True)
class BigLiteral:
    """A literal that may fill the memory is announced; call `accept_literal` or `refuse_literal`. `name` of the command
    in upper case. A refused one is passed over together with its command; the session gives the tagged answer.
    """

    tag: bytes
    name: str
    size: int
    is_synchronising: bool


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a challenge, decoded; None: it cancelled with "*", or it is not base64 (`is_bad`)."""

    data: bytes | None
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """IDLE is over (RFC 2177)."""


@dataclass(frozen=True, slots=True)
class Closing:
    """Nothing more can be read of this client: say `text` with BYE and close."""

    text: str


Event = Command | Refused | BigLiteral | AuthResponse | Done | Closing
