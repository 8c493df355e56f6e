"""Plays a dialogue script against the SMTP server core, with a role that decides by the names of mailboxes.

MAIL   local part `refused`: 550 5.7.1, else 250 2.1.0 Sender OK
RCPT   `unknown`: 550 5.1.1, `later`: 451 4.2.1, `gone`: 421 4.3.2, else 250 2.1.5 Recipient OK
DATA   sender's local part `nodata`: 451 4.3.0, else 354
end    250 2.6.0 Message taken, or the problem; LMTP answers for each recipient, `full`: 452 4.2.2
ETRN   domain `busy.example`: 458, else 250
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields

from posthouse.message.reply import Reply
from posthouse.protocol.smtp import server as smtp
from posthouse.protocol.wire.need_data import NEED_DATA
from tests.dialogues.dialogue_script import Script, Step, unescape

Cut = Callable[[bytes], Iterable[bytes]]

HOST = "mx.example.org"


def make_core(settings: dict[str, object], abilities: frozenset[str] = frozenset()) -> smtp.SmtpServer:
    known = {field.name for field in fields(smtp.ServerSettings) if field.init}
    assert settings.keys() <= known
    core = smtp.SmtpServer(smtp.ServerSettings(HOST, **settings))  # type: ignore[arg-type]
    core.offers_tls = "tls" in abilities
    core.offers_xclient = "xclient" in abilities
    return core


class Player:
    """A core with its role. `events` are those told so far, pieces of one message joined."""

    def __init__(self, core: smtp.SmtpServer) -> None:
        self.core = core
        self.events: list[smtp.Event] = []
        self.output = b""
        self.message = b""
        self.messages: list[bytes] = []
        self.is_closed = False
        self._sender = ""
        self._recipients: list[str] = []
        core.greet(Reply(220, "", f"{HOST} ESMTP"))
        self.output += core.take_output()

    def feed(self, octets: bytes) -> None:
        if self.is_closed:
            return
        self.core.receive(octets)
        self.run()

    def run(self) -> None:
        while (event := self.core.next_event()) is not NEED_DATA:
            if isinstance(event, smtp.BodyPiece):
                self.message += event.data
                continue
            self.events.append(event)
            self._take(event)
        self.output += self.core.take_output()

    def _take(self, event: smtp.Event) -> None:
        match event:
            case smtp.Closing():
                self.is_closed = True
            case smtp.Reset():
                self.message = b""
            case smtp.MessageEnd() if self.core.settings.lmtp and event.problem is None:
                self.core.answer_each(list(map(self._answer_lmtp, self._recipients)))
                self._end(event)
            case _:
                self.core.answer(self._decide(event))
                if isinstance(event, smtp.MessageEnd):
                    self._end(event)
                self.is_closed = self.is_closed or isinstance(event, smtp.Quit)

    def _end(self, event: smtp.MessageEnd) -> None:
        if event.problem is None:
            self.messages.append(self.message)
        self.message = b""

    def _answer_lmtp(self, local: str) -> Reply:
        return Reply(452, "4.2.2", "Mailbox full") if local == "full" else Reply(250, "2.1.5", f"{local} has it")

    def _decide(self, event: smtp.Event) -> Reply:
        match event:
            case smtp.MailFrom():
                self._sender = event.sender.local if event.sender is not None else ""
                self._recipients = []
                return _answer_mail(self._sender)
            case smtp.RcptTo():
                reply = _answer_rcpt(event.recipient.address.local)
                if reply.is_positive:
                    self._recipients.append(event.recipient.address.local)
                return reply
            case smtp.DataStarted():
                if self._sender == "nodata":
                    return Reply(451, "4.3.0", "Not now")
                return Reply(354, "", "Go ahead")
            case smtp.MessageEnd():
                return event.problem or Reply(250, "2.6.0", "Message taken")
            case smtp.Etrn():
                busy = event.domain == "busy.example"
                return Reply(458, "4.5.0", "Busy") if busy else Reply(250, "2.0.0", f"Queue of {event.domain} started")
            case smtp.StartTls() | smtp.Xclient():
                return Reply(220, "", "Ready")
            case smtp.Quit():
                return Reply(221, "2.0.0", "Bye")
            case _:
                return Reply(250, "", "")


def _answer_mail(local: str) -> Reply:
    return Reply(550, "5.7.1", "Not you") if local == "refused" else Reply(250, "2.1.0", "Sender OK")


def _answer_rcpt(local: str) -> Reply:
    answers = {
        "unknown": Reply(550, "5.1.1", "No such user"),
        "later": Reply(451, "4.2.1", "Later"),
        "gone": Reply(421, "4.3.2", "Going down"),
    }
    return answers.get(local, Reply(250, "2.1.5", "Recipient OK"))


def play(script: Script, cut: Cut) -> Player:
    """All octets up to the next expectation go together, cut by `cut`."""
    player = Player(make_core(script.settings, script.abilities))
    heard = _Ear(script, player)
    waiting = b""
    for step in script.steps:
        if step.kind == "C":
            waiting += step.octets
            continue
        for piece in cut(waiting):
            player.feed(piece)
        waiting = b""
        heard.check(step)
    assert not waiting, f"{script.name}: the script ends with octets nobody answers"
    assert not heard.left(), f"{script.name}: the server also said {heard.left()!r}"
    return player


class _Ear:
    def __init__(self, script: Script, player: Player) -> None:
        self._script = script
        self._player = player
        self._position = 0
        self._events_seen = 0
        self._body: bytes | None = None

    def left(self) -> bytes:
        return self._player.output[self._position :]

    def check(self, step: Step) -> None:
        where = f"{self._script.name}: {step.kind}: {step.text}"
        if step.kind == "S":
            self._body = None
            line, separator, _ = self.left().partition(b"\r\n")
            assert separator, f"{where}: nothing was said"
            self._position += len(line) + 2
            said = line.decode("utf-8")
            fits = said.startswith(step.text[:-3]) if step.text.endswith("...") else said == step.text
            assert fits, f"{where}: but it was {said!r}"
        elif step.kind == "E":
            told = [type(event).__name__ for event in self._player.events[self._events_seen :]]
            assert step.text in told, f"{where}: told were {told}"
            self._events_seen += told.index(step.text) + 1
        elif step.kind == "TLS":
            self._player.core.tls_started()
        elif step.kind == "END":
            assert self._player.is_closed, f"{where}: still open"
        else:
            self._check_body_line(unescape(step.text), where)

    def _check_body_line(self, line: bytes, where: str) -> None:
        if self._body is None:
            assert self._player.messages, f"{where}: no message was taken"
            self._body = self._player.messages[-1]
        first, _, self._body = self._body.partition(b"\r\n")
        assert first == line, f"{where}: but it was {first!r}"
