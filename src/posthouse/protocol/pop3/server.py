"""The server side of POP3 without input and output (RFC 1939).

    core = Pop3Server(Pop3Limits())
    core.receive(data)
    while (event := core.next_event()) is not NEED_DATA:
        ...                       # write the answer (replies.py); move `core.state` on as commands succeed

Events are the commands themselves, the answer to a challenge, `Refused` (a line that is wrong in itself; the words
for the client are in it) and `Closing` (say this, and close).

Lines end with CRLF and nothing else (wire/lines.py), as everywhere in this server. A command has at most 255 octets
(RFC 2449 §4), but AUTH and the answers to challenges (RFC 5034 §4). Trusts nothing. Keeps one unfinished line beside
what came in. Never looks at a clock. Nothing here is durable.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from posthouse.protocol.pop3.commands import AuthResponse, Command
from posthouse.protocol.pop3.grammar import VERBS, CommandError, decode_base64, read_command
from posthouse.protocol.pop3.states import ALLOWED, PHASES, State, refuse_in
from posthouse.protocol.wire.lines import LineBuffer, LineProblem
from posthouse.protocol.wire.need_data import NEED_DATA, NeedData

_LINE_PROBLEMS: Final[Mapping[LineProblem, str]] = {
    LineProblem.BARE_LF: "Bare LF: lines end with CRLF",
    LineProblem.BARE_CR: "Bare CR: lines end with CRLF",
    LineProblem.TOO_LONG: "Line too long",
}
# What other programs say first who took this for their port.
_FOREIGN: Final = frozenset({"GET", "POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "EHLO", "HELO", "MAIL"})


@dataclass(frozen=True, slots=True)
class Pop3Limits:
    """Octets, CRLF included. `errors`: refused commands in a row until the session is closed; before the login all
    count, whatever is between them.
    """

    command: int = 255  # RFC 2449 §4
    auth: int = 12_288 + 2  # a line of an exchange, as in RFC 4954 §4
    errors: int = 10


@dataclass(frozen=True, slots=True)
class Refused:
    text: str


@dataclass(frozen=True, slots=True)
class Closing:
    text: str


Event = Command | AuthResponse | Refused | Closing


class Pop3Server:
    __slots__ = ("_input", "_limits", "errors", "state")

    def __init__(self, limits: Pop3Limits) -> None:
        self._limits = limits
        self._input = LineBuffer(max(limits.command, limits.auth))
        self.state = State.AUTHORIZATION
        self.errors = 0

    @property
    def phase(self) -> str:
        """What the log says we were at."""
        return PHASES[self.state]

    @property
    def unread(self) -> int:
        """Octets that wait to be taken."""
        return len(self._input)

    def receive(self, data: bytes) -> None:
        self._input.receive(data)

    def next_event(self) -> Event | NeedData:
        if self.state is State.CLOSED:
            return NEED_DATA
        line = self._input.next_line()
        if line is NEED_DATA:
            return NEED_DATA
        if self.errors >= self._limits.errors:
            self.state = State.CLOSED
            return Closing("Too many errors, closing connection")
        if self.state is State.CHALLENGED:
            return self._take_response(line)
        try:
            return self._take_line(line)
        except CommandError as error:
            return Refused(str(error))

    def count_error(self) -> None:
        """A command was refused, and the client is to blame."""
        self.errors += 1

    def count_success(self) -> None:
        """Guesses of passwords are not made up for by what always works."""
        if self.state is State.TRANSACTION:
            self.errors = 0

    def expect_response(self) -> None:
        """A challenge was sent: the next line answers it."""
        self.state = State.CHALLENGED

    def tls_started(self) -> None:
        """As new (RFC 2595 §4); what came behind STLS is gone (CVE-2011-0411)."""
        self._input.clear()
        self.state = State.AUTHORIZATION

    # -- lines

    def _take_line(self, line: bytes | LineProblem) -> Event:
        if isinstance(line, LineProblem):
            raise CommandError(_LINE_PROBLEMS[line])
        keyword, _, argument = line.partition(b" ")
        verb = keyword.decode("ascii", "replace").upper()
        if len(line) + 2 > self._limits.command and verb != "AUTH":
            raise CommandError(_LINE_PROBLEMS[LineProblem.TOO_LONG])
        if verb not in ALLOWED[self.state]:
            return self._refuse_verb(verb)
        return read_command(verb, argument)

    def _refuse_verb(self, verb: str) -> Event:
        if verb in VERBS:
            raise CommandError(refuse_in(self.state, verb))
        if verb in _FOREIGN and self.state is not State.TRANSACTION:
            self.state = State.CLOSED
            return Closing("This is not the protocol spoken here, closing connection")
        raise CommandError("APOP is not offered" if verb == "APOP" else "Unknown command")

    def _take_response(self, line: bytes | LineProblem) -> Event:
        """RFC 5034 §4: base64, or "*" to give up. An empty line is an answer of no octets."""
        self.state = State.AUTHORIZATION  # unless another challenge comes
        if isinstance(line, LineProblem):
            return AuthResponse(None, _LINE_PROBLEMS[line])
        if line == b"*":
            return AuthResponse(None, "Authentication cancelled")
        try:
            return AuthResponse(decode_base64(line))
        except CommandError as error:
            return AuthResponse(None, str(error))
