"""The server side of SMTP and LMTP without input and output (RFC 5321, RFC 2033; extensions in server_settings).

    core.greet(Reply(220, "", "mail.example.org ESMTP"))
    core.receive(data)
    while (event := core.next_event()) is not NEED_DATA:
        ...                               # events marked (answer): core.answer(reply) before the next one
    write(core.take_output())

What the client pipelined is worked off in order and its replies come out of one `take_output`. The core answers by
itself what needs no decision: NOOP, RSET, HELP, VRFY, EXPN, whatever is out of sequence or malformed, and limits.

Trusts nothing the client says. Keeps one unfinished line, or less than 4 KiB of a message, beside what the last
`receive` brought; a driver that waits for an answer stops reading, so that this stays bounded. Never looks at a clock:
`timeout_s` tells how long the driver may wait in the present state. Has no part in what is durable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from posthouse.message.envelope import BodyType
from posthouse.message.reply import Reply
from posthouse.protocol.smtp import server_replies as replies
from posthouse.protocol.smtp.grammar import CommandError, parse_chunk, refuse, refuse_argument
from posthouse.protocol.smtp.server_commands import read_etrn, read_hello, read_mail, read_rcpt, read_xclient
from posthouse.protocol.smtp.server_events import (
    AuthData,
    AuthStarted,
    BodyPiece,
    Closing,
    DataStarted,
    Etrn,
    Event,
    Hello,
    MailFrom,
    MessageEnd,
    Quit,
    RcptTo,
    Reset,
    StartTls,
    Xclient,
)
from posthouse.protocol.smtp.server_replies import render_reply
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.protocol.smtp.states import FACTS, IN_TRANSACTION, MOVES, OUT_OF_SEQUENCE, State, Wait
from posthouse.protocol.wire.chunks import ChunkReader
from posthouse.protocol.wire.dots import DotReader
from posthouse.protocol.wire.lines import LineBuffer, LineProblem
from posthouse.protocol.wire.need_data import NEED_DATA, NeedData
from posthouse.protocol.wire.text import TextCheck

__all__ = [
    "NEED_DATA",
    "AuthData",
    "AuthStarted",
    "BodyPiece",
    "Closing",
    "DataStarted",
    "Etrn",
    "Event",
    "Hello",
    "MailFrom",
    "MessageEnd",
    "Quit",
    "RcptTo",
    "Reset",
    "ServerSettings",
    "SmtpServer",
    "StartTls",
    "State",
    "Xclient",
    "render_reply",
]

# Looking a member up in its Enum takes 0.1 us, and these are on the path of every message.
_BODY: Final = State.BODY
_READY: Final = State.READY
_SEVENBIT: Final = BodyType.SEVENBIT
_DATA_STARTED: Final = DataStarted()
_DEAF: Final = frozenset({State.HANDSHAKE, State.CLOSED})
_SILENT: Final = frozenset({State.GREETING, State.HANDSHAKE, State.CLOSED})
_PRODUCTIVE: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT", "QUIT"})
_FOREIGN_VERBS: Final = frozenset({"GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT"})  # a browser made to speak to us
_OLD_VERBS: Final = frozenset({"EXPN", "TURN", "SEND", "SOML", "SAML"})
_MAX_OVERSHOOT: Final = 1000  # recipients beyond the limit that are still no errors


class SmtpServer:
    """One session.

    `offers_tls` and `offers_xclient` are for the driver to set before EHLO; `error_count` and `command_count` count
    since the last message taken; `discarded_input` is how many octets came behind STARTTLS in plain text and were
    dropped (CVE-2011-0411); `pipelined_early`: the client did not wait for replies without being offered PIPELINING.
    """

    __slots__ = (
        "_awaited",
        "_body",
        "_body_type",
        "_chunk_refusal",
        "_input",
        "_output",
        "_queued",
        "_resumed_state",
        "_target",
        "_text",
        "_tried",
        "accepted",
        "command_count",
        "discarded_input",
        "error_count",
        "hello_domain",
        "is_esmtp",
        "message_count",
        "offers_tls",
        "offers_xclient",
        "pipelined_early",
        "settings",
        "smtputf8",
        "state",
        "tls_active",
    )

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.state = State.GREETING
        self.offers_tls = False
        self.offers_xclient = False
        self.tls_active = False
        self.hello_domain = ""
        self.is_esmtp = False
        self.error_count = 0
        self.command_count = 0
        self.message_count = 0  # messages answered with a positive reply
        self.discarded_input = 0
        self.pipelined_early = False
        self._input = LineBuffer(settings.max_line)
        self._output: list[bytes] = []
        self._awaited: Event | None = None
        self._queued: Event | None = None  # told before anything else is read
        self._target = State.GREETING  # the state after a positive answer
        self._clear_transaction(State.GREETING)

    def _clear_transaction(self, state: State) -> None:
        self.state = state
        self.accepted = 0  # recipients with a positive reply
        self.smtputf8 = False
        self._tried = 0  # recipients named, whatever became of them
        self._body_type = _SEVENBIT
        self._body: DotReader | ChunkReader | None = None
        self._text: TextCheck | None = None
        self._chunk_refusal: Reply | None = None
        self._resumed_state = _READY

    # -- for the driver

    @property
    def phase(self) -> str:
        """What the session is at, for the log."""
        return FACTS[self.state].phase

    @property
    def timeout_s(self) -> float:
        """How long to wait for the client in this state."""
        is_body = FACTS[self.state].wait is Wait.BODY
        return self.settings.body_timeout_s if is_body else self.settings.command_timeout_s

    @property
    def in_transaction(self) -> bool:
        return self.state in IN_TRANSACTION

    @property
    def unread(self) -> int:
        """Octets received and not used yet."""
        return len(self._input)

    @property
    def talked_early(self) -> bool:
        """The client sent something before our greeting."""
        return self.state is State.GREETING and len(self._input) > 0

    def greet(self, reply: Reply) -> None:
        """220, or 554: then only QUIT is understood (RFC 5321 §3.1)."""
        self._output.append(render_reply(reply))
        self.state = State.START if reply.is_positive else State.REFUSED

    def receive(self, data: bytes) -> None:
        if self.state not in _DEAF:
            self._input.receive(data)
        elif self.state is State.HANDSHAKE:
            self.discarded_input += len(data)

    def take_output(self) -> bytes:
        output = self._output
        if not output:
            return b""
        joined = output[0] if len(output) == 1 else b"".join(output)
        output.clear()
        return joined

    def tls_started(self) -> None:
        """The handshake is done; the session is as new (RFC 3207 §4.2). Also for implicit TLS, before `greet`."""
        self.tls_active = True
        self.offers_tls = False
        if self.state is not State.GREETING:
            self._start_over()

    def next_event(self) -> Event | NeedData:
        if self._awaited is not None:
            raise RuntimeError(f"{type(self._awaited).__name__} was not answered")
        if self._queued is not None:
            return self._tell_queued()
        source = self._input
        while True:
            event: Event | NeedData | None
            state = self.state
            if state is _BODY:
                event = self._read_body()
            elif source.position == len(source.data) or state in _SILENT:
                return NEED_DATA
            else:
                line = source.next_line()
                event = self._take_line(line) if line is not NEED_DATA else NEED_DATA
            if event is NEED_DATA:
                return NEED_DATA
            if event is not None:
                if type(event) in _AFTER_YES:
                    self._awaited = event
                return event

    def answer(self, reply: Reply) -> None:
        """The answer to the event just told."""
        event = self._awaited
        if isinstance(event, MessageEnd) and self.settings.lmtp:
            self.answer_each([reply] * self.accepted)
            return
        if event is None:
            raise RuntimeError("nothing to answer")
        self._awaited = None
        if not self.is_esmtp and len(self._input):
            self.pipelined_early = True
        is_positive = 200 <= reply.code < 400
        if not is_positive or type(event) is not Hello:
            self._output.append(render_reply(reply, self.smtputf8))
        if is_positive:
            _AFTER_YES[type(event)](self, event)
        else:
            self._after_no(event, reply)

    def answer_each(self, answers: Sequence[Reply]) -> None:
        """The answers to `MessageEnd` in LMTP: one for each accepted recipient, in order (RFC 2033 §4.2)."""
        if not isinstance(self._awaited, MessageEnd) or len(answers) != self.accepted:
            raise RuntimeError(f"{len(answers)} answers do not fit {self._awaited} with {self.accepted} recipients")
        self._awaited = None
        self._output.extend([render_reply(reply, self.smtputf8) for reply in answers])
        self._end_transaction(any(reply.is_positive for reply in answers))
        if any(reply.code == 421 for reply in answers):
            self._queued = self._close("421 answered")

    # -- events and answers

    def _tell_queued(self) -> Event:
        event = self._queued
        assert event is not None
        self._queued = None
        if type(event) in _AFTER_YES:
            self._awaited = event
        return event

    def _after_no(self, event: Event, reply: Reply) -> None:
        # A message that cannot be taken now (452 of a full disk) is no error of the client's.
        self.error_count += not (isinstance(event, MailFrom | MessageEnd) and reply.code < 500)
        if isinstance(event, DataStarted):
            self._clear_transaction(_READY)
        elif isinstance(event, MessageEnd):
            self._end_transaction(False)
        if reply.code == 421:
            self._queued = self._close("421 answered")

    def _close(self, reason: str) -> Closing:
        self._clear_transaction(State.CLOSED)
        self._input.clear()
        return Closing(reason)

    def _say_and_close(self, reply: Reply, reason: str) -> Closing:
        self._output.append(render_reply(reply))
        return self._close(reason)

    def _start_over(self) -> None:
        self.discarded_input += len(self._input)
        self._input.clear()
        self.hello_domain = ""
        self.is_esmtp = False
        self._clear_transaction(State.START)

    def _after_hello(self, event: Event) -> None:
        assert isinstance(event, Hello)
        self.hello_domain = event.domain
        self.is_esmtp = event.is_esmtp
        self.state = self._target
        first = f"{self.settings.hostname} greets {event.domain}"
        if not event.is_esmtp:
            self._output.append(render_reply(Reply(250, "", first)))
            return
        self._output.append(render_reply(Reply(250, "", "\n".join([first, *self._list_keywords()]))))

    def _list_keywords(self) -> list[str]:
        return self.settings.list_keywords(tls=self.offers_tls, xclient=self.offers_xclient)

    def _after_mail(self, event: Event) -> None:
        assert isinstance(event, MailFrom)
        self.smtputf8 = event.smtputf8
        self._body_type = event.body
        self.state = self._target

    def _after_rcpt(self, event: Event) -> None:
        self.accepted += 1
        self.state = self._target

    def _after_data(self, event: Event) -> None:
        self._body = DotReader()
        self._text = TextCheck(self.settings.text_limits)
        self.state = self._target

    def _after_end(self, event: Event) -> None:
        self._end_transaction(True)

    def _after_starttls(self, event: Event) -> None:
        self.state = self._target
        self.discarded_input += len(self._input)
        self._input.clear()

    def _after_xclient(self, event: Event) -> None:
        self.hello_domain = ""
        self.is_esmtp = False
        self._clear_transaction(self._target)

    def _after_etrn(self, event: Event) -> None:
        """Nothing changes."""

    def _after_quit(self, event: Event) -> None:
        self._clear_transaction(self._target)
        self._input.clear()

    def _end_transaction(self, is_taken: bool) -> None:
        self._clear_transaction(_READY)
        if is_taken:
            self.message_count += 1
            self.command_count = 0
            self.error_count = 0

    # -- commands

    def _take_line(self, line: bytes | LineProblem) -> Event | None:
        if self.error_count >= self.settings.max_errors:
            return self._say_and_close(replies.TOO_MANY_ERRORS, "too many errors")
        try:
            if isinstance(line, LineProblem):
                raise CommandError(replies.LINE_PROBLEMS[line])
            verb, _, argument = line.decode("utf-8").rstrip(" \t").partition(" ")
            return self._take_command(verb.upper(), argument)
        except CommandError as error:
            reply = error.reply
        except UnicodeDecodeError:
            reply = replies.NOT_UTF8
        self.error_count += 1
        self._output.append(render_reply(reply))
        return None

    def _take_command(self, verb: str, argument: str) -> Event | None:
        if verb not in _PRODUCTIVE:
            self.command_count += 1
        if self.command_count > self.settings.max_commands:
            return self._say_and_close(replies.TOO_MANY_COMMANDS, "too many commands")
        handler = _HANDLERS.get(verb)
        if handler is None:
            return self._take_unknown(verb)
        target = MOVES[self.state].get(verb)
        if target is not None:
            self._target = target
        elif verb != "BDAT":  # its chunk has to be read all the same
            if verb == "DATA":
                raise CommandError(self._choose_sequence_reply())
            refuse(503, "5.5.1", OUT_OF_SEQUENCE[self.state])
        return handler(self, argument)

    def _choose_sequence_reply(self) -> Reply:
        """For what is out of sequence, the message included when no recipient was accepted (RFC 2920 §3.1)."""
        if self.state is State.MAIL and self._tried and not self.settings.lmtp:
            return replies.NO_RECIPIENTS
        return Reply(503, "5.5.1", OUT_OF_SEQUENCE[self.state])

    def _take_unknown(self, verb: str) -> Event | None:
        if verb in _FOREIGN_VERBS:
            return self._say_and_close(replies.NOT_SMTP, "not SMTP")
        raise CommandError(replies.NOT_IMPLEMENTED if verb in _OLD_VERBS else replies.UNKNOWN_COMMAND)

    def _take_helo(self, argument: str) -> Event:
        return self._reset_before(read_hello("HELO", argument, self.settings))

    def _take_ehlo(self, argument: str) -> Event:
        return self._reset_before(read_hello("EHLO", argument, self.settings))

    def _take_lhlo(self, argument: str) -> Event:
        return self._reset_before(read_hello("LHLO", argument, self.settings))

    def _reset_before(self, event: Event) -> Event:
        """RFC 5321 §4.1.4: EHLO in mid-transaction is RSET too."""
        if self.state not in IN_TRANSACTION:
            return event
        self._clear_transaction(_READY)
        self._queued = event
        return Reset()

    def _take_mail(self, argument: str) -> Event | None:
        settings = self.settings
        if settings.max_messages and self.message_count >= settings.max_messages:
            return self._say_and_close(replies.TOO_MANY_MESSAGES, "too many messages")
        return read_mail(argument, settings)

    def _take_rcpt(self, argument: str) -> Event | None:
        self._tried += 1
        limit = self.settings.max_recipients
        if self.accepted < limit:
            return read_rcpt(argument, self.settings, self.smtputf8)
        # No error of the client's: RFC 5321 §4.5.3.1.10 lets it send the rest in another transaction.
        self.error_count += self._tried > 2 * limit + _MAX_OVERSHOOT
        self._output.append(render_reply(replies.TOO_MANY_RECIPIENTS))
        return None

    def _take_data(self, argument: str) -> Event:
        refuse_argument(argument)
        if self._body_type is BodyType.BINARYMIME:  # RFC 3030 §3
            raise CommandError(replies.NEEDS_BDAT)
        return _DATA_STARTED

    def _take_bdat(self, argument: str) -> Event | None:
        if not self.settings.offers("CHUNKING"):
            raise CommandError(replies.UNKNOWN_COMMAND)
        chunk = parse_chunk(argument)
        if chunk is None:  # nobody knows where the chunk ends and the next command begins
            return self._say_and_close(replies.BAD_CHUNK, "BDAT without size")
        self._resumed_state = self.state
        if "BDAT" not in MOVES[self.state]:
            self._chunk_refusal = self._choose_sequence_reply()
        if self._chunk_refusal is not None or not chunk[0]:
            self.command_count += 1
        if self._text is None:
            is_binary = self._body_type is BodyType.BINARYMIME
            self._text = TextCheck(self.settings.binary_limits if is_binary else self.settings.text_limits)
        self._body = ChunkReader(*chunk)
        self.state = State.BODY
        return None

    def _take_starttls(self, argument: str) -> Event:
        if self.tls_active:
            refuse(503, "5.5.1", "TLS is active already")
        if not self.offers_tls or "STARTTLS" in self.settings.hidden:
            raise CommandError(replies.NOT_IMPLEMENTED)
        refuse_argument(argument)
        return StartTls()

    def _take_auth(self, argument: str) -> Event | None:
        raise CommandError(replies.NOT_IMPLEMENTED)  # see server_auth.py

    def _take_etrn(self, argument: str) -> Event:
        return read_etrn(argument, self.settings)

    def _take_xclient(self, argument: str) -> Event:
        if not self.offers_xclient:
            refuse(550, "5.7.0", "Not for you")
        return read_xclient(argument)

    def _take_rset(self, argument: str) -> Event | None:
        refuse_argument(argument)
        self._output.append(render_reply(replies.OK))
        if self.state not in IN_TRANSACTION:
            return None
        self._clear_transaction(self._target)
        return Reset()

    def _take_noop(self, argument: str) -> Event | None:
        self._output.append(render_reply(replies.OK))
        return None

    def _take_help(self, argument: str) -> Event | None:
        self._output.append(render_reply(replies.HELP))
        return None

    def _take_vrfy(self, argument: str) -> Event | None:
        if not argument:
            refuse(501, "5.5.4", "Syntax: VRFY address")
        self._output.append(render_reply(replies.VRFY))
        return None

    def _take_quit(self, argument: str) -> Event:
        refuse_argument(argument)
        return Quit()

    # -- the message

    def _read_body(self) -> Event | NeedData | None:
        body, text, source = self._body, self._text, self._input
        assert body is not None
        assert text is not None
        if not body.is_done:
            piece, source.position = body.read(source.data, source.position)
            if piece:
                kept = text.take(piece, body.has_no_bare_cr) if self._chunk_refusal is None else b""
                return BodyPiece(kept) if kept else None
        return self._end_body(body, text) if body.is_done else NEED_DATA

    def _end_body(self, body: DotReader | ChunkReader, text: TextCheck) -> Event | None:
        self._body = None
        if isinstance(body, ChunkReader) and (self._chunk_refusal is not None or not body.is_last):
            self._end_chunk(text)
            return None
        text.finish()
        return MessageEnd(text.size, replies.TEXT_PROBLEMS[text.problem] if text.problem is not None else None)

    def _end_chunk(self, text: TextCheck) -> None:
        """A chunk that is not the last, or not wanted: the core answers it by itself (RFC 3030 §2)."""
        if self._chunk_refusal is not None:
            self._output.append(render_reply(self._chunk_refusal))
            self._chunk_refusal = self._text = None
            self.state = self._resumed_state
            return
        reply = replies.TEXT_PROBLEMS[text.problem] if text.problem is not None else replies.OK
        self._output.append(render_reply(reply))
        self.state = State.CHUNKS


_AFTER_YES: Final[Mapping[type, Callable[[SmtpServer, Event], None]]] = {
    Hello: SmtpServer._after_hello,
    MailFrom: SmtpServer._after_mail,
    RcptTo: SmtpServer._after_rcpt,
    DataStarted: SmtpServer._after_data,
    MessageEnd: SmtpServer._after_end,
    StartTls: SmtpServer._after_starttls,
    Xclient: lambda core, event: core._after_xclient(event),
    AuthStarted: SmtpServer._after_etrn,
    AuthData: SmtpServer._after_etrn,
    Etrn: SmtpServer._after_etrn,
    Quit: SmtpServer._after_quit,
}
_HANDLERS: Final[Mapping[str, Callable[[SmtpServer, str], Event | None]]] = {
    "HELO": SmtpServer._take_helo,
    "EHLO": SmtpServer._take_ehlo,
    "LHLO": SmtpServer._take_lhlo,
    "MAIL": SmtpServer._take_mail,
    "RCPT": SmtpServer._take_rcpt,
    "DATA": SmtpServer._take_data,
    "BDAT": SmtpServer._take_bdat,
    "STARTTLS": SmtpServer._take_starttls,
    "AUTH": lambda core, argument: core._take_auth(argument),
    "ETRN": SmtpServer._take_etrn,
    "XCLIENT": SmtpServer._take_xclient,
    "RSET": SmtpServer._take_rset,
    "NOOP": SmtpServer._take_noop,
    "HELP": SmtpServer._take_help,
    "VRFY": SmtpServer._take_vrfy,
    "QUIT": SmtpServer._take_quit,
}
