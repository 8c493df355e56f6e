"""The IMAP server core: lines and literals become commands (RFC 9051 §2.2, §4.3; LITERAL+ of RFC 7888).

It never waits and does no mail. Limits are looked at before anything is kept: the length of a command, the size of each
literal, how much all literals of a command may be. A literal that may fill the memory is announced (`BigLiteral`) and
taken only when the session says so. What is refused is refused as a whole, literals that the client did not wait with
included: it is passed over in constant memory up to its end, and the dialogue goes on; only what cannot be followed
any more ends it.
"""

from __future__ import annotations

import base64
import binascii
import enum
import re
from typing import Final

from posthouse.protocol.imap.framing import LineBuffer, TooMuchError
from posthouse.protocol.imap.grammar import parse_command
from posthouse.protocol.imap.reader import Literal, SyntaxProblem
from posthouse.protocol.imap.server_events import (
    AuthResponse,
    BigLiteral,
    Closing,
    Command,
    Done,
    Event,
    ImapLimits,
    Refused,
    State,
)
from posthouse.protocol.wire.need_data import NEED_DATA, NeedData

_LITERAL: Final = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\Z")
_LONGEST_MARK: Final = 25
_HEAD: Final = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]{1,100}) (?:UID )?([A-Za-z0-9]+)', re.IGNORECASE)
_TAG: Final = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]{1,100}(?= |\Z)')
_MESSAGES: Final = frozenset({"APPEND", "REPLACE"})
_LONGEST_TEXT: Final = 200
_MOST_LITERALS: Final = 1_000  # of one command
_LONGEST_SKIP: Final = 4  # times the largest message: what a client sends without being asked

_MOST_BLANK_LINES = 10


class _Phase(enum.Enum):
    LINE = "a line of a command"
    LITERAL = "a literal"
    DECISION = "what the session says of a big literal"
    SKIP = "a literal that nobody wants"
    AUTH = "an answer to a challenge"
    IDLE = "DONE"
    OVER = "nothing"


class ImapServer:
    """`is_utf8`: text may be UTF-8. `is_uid_only`: no sequence numbers (RFC 9586)."""

    __slots__ = (
        "_announced",
        "_blank_lines",
        "_buffer",
        "_errors",
        "_is_binary",
        "_is_passing",
        "_kept",
        "_literals",
        "_output",
        "_phase",
        "_refusal",
        "_room",
        "_tag",
        "_texts",
        "_unasked",
        "is_uid_only",
        "is_utf8",
        "limits",
        "state",
    )

    def __init__(self, limits: ImapLimits) -> None:
        self.limits = limits
        self.state = State.NOT_AUTHENTICATED
        self.is_utf8 = self.is_uid_only = False
        self._buffer = LineBuffer()
        self._output: list[bytes] = []
        self._errors = 0
        self._blank_lines = 0  # in a row
        self._tag = b"*"  # of the command that came last
        self._begin_command()

    def _begin_command(self) -> None:
        self._phase = _Phase.LINE
        self._texts: list[bytes] = []
        self._literals: list[Literal] = []
        self._room = self.limits.command
        self._kept = 0  # octets of literals
        self._unasked = 0  # those of them that the session was not asked about
        self._is_binary = False
        self._announced: BigLiteral | None = None
        self._is_passing = False  # it is refused, its rest is passed over
        self._refusal: Refused | None = None  # what is said of it then
        self._buffer.is_long = False

    # -- the session's side

    @property
    def unread(self) -> int:
        return self._buffer.unread

    def receive(self, data: bytes) -> None:
        if self._phase is not _Phase.OVER:
            self._buffer.receive(data)

    def take_output(self) -> bytes:
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        return output

    def reset_errors(self) -> None:
        self._errors = 0

    def tls_started(self) -> None:
        """Everything that came before belongs to nobody (CVE-2011-0411)."""
        self._buffer.clear()
        self._output.clear()
        self._begin_command()

    def expect_auth(self) -> None:
        """The next line answers a challenge (RFC 9051 §6.2.2)."""
        self._phase = _Phase.AUTH

    def expect_done(self) -> None:
        self._phase = _Phase.IDLE

    def accept_literal(self) -> None:
        if self._announced is not None:
            self._take_literal(self._announced.size, is_synchronising=self._announced.is_synchronising)

    def refuse_literal(self) -> None:
        """The session answers; nothing more is told of that command."""
        announced = self._announced
        self._begin_command()
        if announced is not None and not announced.is_synchronising:
            self._is_passing = True
            self._skip(announced.size)

    def next_event(self) -> Event | NeedData:
        event: Event | NeedData | None = None
        try:
            while event is None:
                event = self._advance()
        except TooMuchError:
            return self._close("That is more than can be passed over")
        if isinstance(event, Command):
            self._errors = 0
        elif isinstance(event, Refused):
            self._errors += 1
            if self._errors > self.limits.errors:
                return self._close("Too many wrong commands")
        return event

    def _close(self, text: str) -> Closing:
        self._buffer.clear()
        self._begin_command()
        self._phase = _Phase.OVER
        return Closing(text)

    # -- phases

    def _advance(self) -> Event | NeedData | None:
        """None: go on."""
        match self._phase:
            case _Phase.LINE:
                return self._read_line()
            case _Phase.LITERAL:
                octets = self._buffer.read_literal()
                if octets is None:
                    return NEED_DATA
                self._literals.append(Literal(octets, is_binary=self._is_binary))
            case _Phase.SKIP:
                if not self._buffer.has_skipped:
                    return NEED_DATA
            case _Phase.AUTH:
                return self._read_answer()
            case _Phase.IDLE:
                return self._read_done()
            case _:
                return NEED_DATA
        self._phase = _Phase.LINE
        return None

    def _read_answer(self) -> Event | NeedData:
        line = self._buffer.read_line(self.limits.command)
        if line is None:
            return NEED_DATA
        is_long = self._buffer.is_long
        self._begin_command()
        if line == b"*" and not is_long:
            return AuthResponse(None)
        try:
            return AuthResponse(None, is_bad=True) if is_long else AuthResponse(base64.b64decode(line, validate=True))
        except (binascii.Error, ValueError):
            return AuthResponse(None, is_bad=True)

    def _read_done(self) -> Event | NeedData:
        line = self._buffer.read_line(self.limits.command)
        if line is None:
            return NEED_DATA
        is_done = line.upper() == b"DONE" and not self._buffer.is_long
        self._begin_command()
        return Done() if is_done else Refused(self._tag, b"BAD", b"", "DONE was expected: IDLE is over")

    # -- commands

    def _read_line(self) -> Event | NeedData | None:
        line = self._buffer.read_line(self._room)
        if line is None:
            return NEED_DATA
        if not self._is_passing:
            if not self._texts:
                tag = _TAG.match(self._buffer.head if self._buffer.is_long else line)
                self._tag = b"*" if tag is None else tag[0]
            if self._buffer.is_long:
                self._refuse(b"BAD", b"", f"The command is longer than {self.limits.command} octets")
        mark = _LITERAL.search(line, max(0, len(line) - _LONGEST_MARK)) if line.endswith(b"}") else None
        if mark is not None:
            return self._announce(line, mark)
        if self._is_passing:
            return self._finish()
        self._texts.append(line)
        return self._parse()

    def _refuse(self, status: bytes, code: bytes, text: str) -> None:
        self._is_passing = True
        self._refusal = Refused(self._tag, status, code, text)
        self._texts, self._literals = [], []

    def _finish(self) -> Refused | None:
        """What was passed over is at its end."""
        refusal = self._refusal
        self._begin_command()
        return refusal

    def _parse(self) -> Event | None:
        texts, literals = self._texts, self._literals
        self._begin_command()
        if len(texts) == 1 and not texts[0].strip():
            self._blank_lines += 1
            if self._blank_lines <= _MOST_BLANK_LINES:
                return None  # some programs end a literal with one too many
            return Refused(b"*", b"BAD", b"", "An empty line is no command")
        self._blank_lines = 0
        try:
            return Command(*parse_command(texts, literals, self))
        except SyntaxProblem as problem:
            return Refused(self._tag, problem.status, problem.code, problem.text[:_LONGEST_TEXT])

    # -- literals

    def _announce(self, line: bytes, mark: re.Match[bytes]) -> Event | None:
        size, is_synchronising = int(mark[2]), not mark[3]
        name = ""
        if not self._is_passing:
            self._room -= len(line)
            self._texts.append(line[: mark.start()])
            head = _HEAD.match(self._texts[0])
            name = "" if head is None else head[2].decode("ascii").upper()
            self._check_literal(name, size)
        if self._is_passing:
            if is_synchronising:
                return self._finish()  # it waits for leave that it does not get
            self._skip(size)
            return None
        self._kept += size
        self._is_binary = bool(mark[1])
        if size >= self.limits.big_literal or self._unasked + size > self.limits.literal:
            self._phase = _Phase.DECISION
            self._announced = BigLiteral(self._tag, name, size, is_synchronising)
            return self._announced
        self._unasked += size
        self._take_literal(size, is_synchronising=is_synchronising)
        return None

    def _check_literal(self, name: str, size: int) -> None:
        limits = self.limits
        is_known = self.state is not State.NOT_AUTHENTICATED
        is_message = is_known and name in _MESSAGES
        most = limits.message if is_message else limits.literal if is_known else limits.literal_before_login
        total = most * (limits.messages_per_append if is_message else 1)
        status = b"NO" if is_known else b"BAD"
        if size > most:
            self._refuse(status, b"TOOBIG", f"A literal of {size} octets is too large here: at most {most}")
        elif self._kept + size > total or len(self._literals) >= _MOST_LITERALS:
            self._refuse(status, b"TOOBIG", "The literals of this command are too many, or too large together")

    def _take_literal(self, size: int, *, is_synchronising: bool) -> None:
        if is_synchronising:
            self._output.append(b"+ OK\r\n")
        self._phase = _Phase.LITERAL
        self._buffer.begin_literal(size)

    def _skip(self, size: int) -> None:
        most = self.limits.literal_before_login if self.state is State.NOT_AUTHENTICATED else self.limits.message
        if size > _LONGEST_SKIP * most:
            raise TooMuchError
        self._buffer.is_long = False
        self._phase = _Phase.SKIP
        self._buffer.begin_skip(size)
