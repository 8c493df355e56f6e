"""The IMAP server core: lines and literals become commands (RFC 9051 §2.2, §4.3; LITERAL+ of RFC 7888).

It never waits and does no mail. Limits are looked at before anything is kept: the length of a command, the size of each
literal, how much all literals of a command may be. A literal that may fill the memory is announced (`BigLiteral`) and
taken only when the session says so. What is refused is passed over in constant memory, and the dialogue goes on; only
what cannot be followed any more ends it. Lines end with CRLF; a bare LF is taken for it, as Dovecot does: commands are
not messages, nothing can be smuggled past their end.
"""

from __future__ import annotations

import base64
import binascii
import re

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

_LITERAL = re.compile(rb"(~?)\{([0-9]{1,20})(\+?)\}\Z")
_HEAD = re.compile(rb'([^\x00-\x20\x7f-\xff(){%*"\\+]+) (?:UID )?([A-Za-z0-9]+)', re.IGNORECASE)
_TAG = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\+]+')
_MESSAGES = frozenset({"APPEND", "REPLACE"})
_MAX_TAG = 100
_MOST_LITERALS = 1_000  # of one command
_LONGEST_SKIP = 4  # times the largest message: what a client sends without being asked


class ImapServer:
    """`is_utf8`: text may be UTF-8. `is_uid_only`: no sequence numbers (RFC 9586)."""

    __slots__ = (
        "_buffer",
        "_errors",
        "_is_binary",
        "_is_skipping",
        "_kept",
        "_limits",
        "_literals",
        "_mode",
        "_output",
        "_pending",
        "_pieces",
        "_scanned",
        "_skip",
        "_texts",
        "_wanted",
        "is_uid_only",
        "is_utf8",
        "state",
    )

    def __init__(self, limits: ImapLimits) -> None:
        self._limits = limits
        self.state = State.NOT_AUTHENTICATED
        self.is_utf8 = self.is_uid_only = False
        self._errors = 0
        self._output = b""
        self._mode = ""  # "auth", "idle": what the next line is
        self.tls_started()

    def tls_started(self) -> None:
        """Everything that came before belongs to nobody (CVE-2011-0411)."""
        self._buffer = b""
        self._scanned = 0  # of the buffer: there is no LF in it
        self._forget_command()
        self._skip = 0  # octets of a literal that nobody wants
        self._is_skipping = False  # the rest of the command neither

    def _forget_command(self) -> None:
        self._texts: list[bytes] = []
        self._literals: list[Literal] = []
        self._kept = 0  # octets of both
        self._pieces: list[bytes] = []  # of the literal that comes in
        self._wanted = 0  # octets of it that are still to come
        self._is_binary = False
        self._pending: BigLiteral | None = None

    # -- what comes in

    @property
    def unread(self) -> int:
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        if not self._buffer and self._wanted and self._pending is None:
            taken = data[: self._wanted] if len(data) > self._wanted else data
            self._pieces.append(taken)
            self._wanted -= len(taken)
            data = data[len(taken) :]
        elif not self._buffer and self._skip:
            dropped = min(len(data), self._skip)
            self._skip -= dropped
            data = data[dropped:]
        self._buffer = self._buffer + data if self._buffer else data

    def take_output(self) -> bytes:
        output, self._output = self._output, b""
        return output

    def next_event(self) -> Event | NeedData:
        while True:
            if self._pending is not None or not self._take_octets():
                return NEED_DATA
            line = self._take_line()
            if not isinstance(line, bytes):
                return line
            event = self._take(line)
            if event is not None:
                return self._count(event)

    def _count(self, event: Event) -> Event:
        if isinstance(event, Command):
            self._errors = 0
        elif isinstance(event, Refused):
            self._errors += 1
            if self._errors > self._limits.errors:
                return Closing("Too many wrong commands")
        return event

    def reset_errors(self) -> None:
        self._errors = 0

    def _take_octets(self) -> bool:
        """Those of a literal. False: there are more to come."""
        if self._skip:
            dropped = min(len(self._buffer), self._skip)
            self._skip -= dropped
            self._drop(dropped)
            return not self._skip
        if self._wanted:
            taken = self._buffer[: self._wanted]
            self._pieces.append(taken)
            self._wanted -= len(taken)
            self._drop(len(taken))
            if self._wanted:
                return False
        if self._pieces:
            octets = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
            self._pieces = []
            self._literals.append(Literal(octets, is_binary=self._is_binary))
        return True

    def _drop(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._scanned = 0

    def _take_line(self) -> bytes | Event | NeedData:
        end = self._buffer.find(b"\n", self._scanned)
        room = self._limits.command - sum(map(len, self._texts))
        if (end if end >= 0 else len(self._buffer)) > room + 1:
            return self._overlong(end)
        if end < 0:
            self._scanned = len(self._buffer)
            return NEED_DATA
        line = self._buffer[:end]
        self._drop(end + 1)
        return line.removesuffix(b"\r")

    def _overlong(self, end: int) -> Event:
        """There is a bound to what is looked through for the end of such a line, too."""
        if end < 0:
            return Closing(f"The command is longer than {self._limits.command} octets")
        tag = self._tag_of(self._texts[0] if self._texts else self._buffer[:_MAX_TAG])
        self._drop(end + 1)
        self._forget_command()
        return self._count(Refused(tag, b"BAD", b"", f"The command is longer than {self._limits.command} octets"))

    # -- lines

    def _take(self, line: bytes) -> Event | None:
        """None: there is more of the command to come, or this was of none."""
        if self._mode:
            return self._take_answer(line)
        literal = _LITERAL.search(line)
        if self._is_skipping:
            if literal is None:
                self._is_skipping = False
            elif literal[3]:
                self._skip = int(literal[2])
                return self._refuse_endless(self._skip)
            else:
                self._is_skipping = False  # it waits for leave that it does not get
            return None
        if literal is None:
            self._texts.append(line)
            return self._parse()
        self._texts.append(line[: literal.start()])
        return self._announce(int(literal[2]), is_binary=bool(literal[1]), is_synchronising=not literal[3])

    def _take_answer(self, line: bytes) -> Event:
        mode, self._mode = self._mode, ""
        if mode == "idle":
            if line.upper() == b"DONE":
                return Done()
            return Refused(self._tag_of(line), b"BAD", b"", "DONE was expected: IDLE is over")
        if line == b"*":
            return AuthResponse(None)
        try:
            return AuthResponse(base64.b64decode(line, validate=True))
        except (binascii.Error, ValueError):
            return AuthResponse(None, is_bad=True)

    def expect_auth(self) -> None:
        """The next line answers a challenge (RFC 9051 §6.2.2)."""
        self._mode = "auth"

    def expect_done(self) -> None:
        self._mode = "idle"

    # -- literals

    def _announce(self, size: int, *, is_binary: bool, is_synchronising: bool) -> Event | None:
        head = _HEAD.match(self._texts[0])
        name = head[2].decode("ascii").upper() if head is not None else ""
        problem = self._find_problem(name, size)
        if problem is not None:
            return self._refuse_literal(problem, size, is_synchronising=is_synchronising)
        self._kept += size
        self._wanted, self._is_binary = size, is_binary
        if not size:
            self._literals.append(Literal(b"", is_binary=is_binary))
        if size >= self._limits.big_literal:
            tag = head[1] if head is not None else b"*"
            self._pending = BigLiteral(tag, name, size, is_synchronising)
            return self._pending
        if is_synchronising:
            self._output += b"+ OK\r\n"
        return None

    def _find_problem(self, name: str, size: int) -> str | None:
        limits = self._limits
        is_message = name in _MESSAGES and self.state is not State.NOT_AUTHENTICATED
        if self.state is State.NOT_AUTHENTICATED:
            most = limits.literal_before_login
        else:
            most = limits.message if is_message else limits.literal
        if size > most:
            return f"A literal of {size} octets is too large here: at most {most}"
        total = most * (limits.messages_per_append if is_message else 1)
        if self._kept + size > total or len(self._literals) >= _MOST_LITERALS:
            return "The literals of this command are too many, or too large together"
        return None

    def _refuse_literal(self, problem: str, size: int, *, is_synchronising: bool) -> Event:
        tag = self._tag_of(self._texts[0])
        self._forget_command()
        if not is_synchronising:
            self._skip, self._is_skipping = size, True
            endless = self._refuse_endless(size)
            if endless is not None:
                return endless
        status = b"BAD" if self.state is State.NOT_AUTHENTICATED else b"NO"
        return Refused(tag, status, b"TOOBIG", problem)

    def _refuse_endless(self, size: int) -> Event | None:
        most = self._limits.literal_before_login if self.state is State.NOT_AUTHENTICATED else self._limits.message
        return Closing("The literal is too large to be passed over") if size > _LONGEST_SKIP * most else None

    def accept_literal(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None and pending.is_synchronising:
            self._output += b"+ OK\r\n"

    def refuse_literal(self) -> None:
        pending = self._pending
        self._forget_command()
        if pending is not None and not pending.is_synchronising:
            self._skip, self._is_skipping = pending.size, True

    # -- commands

    def _parse(self) -> Event | None:
        texts, literals = self._texts, self._literals
        self._forget_command()
        if len(texts) == 1 and not texts[0].strip():
            return None  # empty lines are nothing
        try:
            tag, request = parse_command(texts, literals, self)
        except SyntaxProblem as problem:
            return Refused(self._tag_of(texts[0]), problem.status, problem.code, problem.text)
        return Command(tag, request)

    @property
    def limits(self) -> ImapLimits:
        return self._limits

    def _tag_of(self, text: bytes) -> bytes:
        tag = _TAG.match(text)
        return tag[0] if tag is not None and tag.end() <= _MAX_TAG else b"*"
