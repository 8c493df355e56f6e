"""One mail transaction as an SMTP or LMTP client sees it (RFC 5321 §3.3, RFC 2033, RFC 2920, RFC 3030).

A `Transaction` says what to send and takes the replies in order; it never waits and holds no body. The driver:

    write(transaction.start())
    until transaction.step is DONE:
        at BODY: send the body (and, with DATA, the final dot), then body_sent()
        else:    write(transaction.take(next reply))

With PIPELINING everything up to DATA goes in one write (DATA ends a group, RFC 2920 §3.1); BDAT follows only when a
recipient was accepted. Afterwards `verdicts()` names the reply that decides about each recipient.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from posthouse.message.reply import Reply


class Step(enum.IntEnum):
    """Where a session stands. Each has a deadline of its own (RFC 5321 §4.5.3.2) and a phrase for logs and reports."""

    CONNECT = 0
    GREETING = 1
    HELLO = 2
    TLS = 3
    AUTH = 4
    RSET = 5
    MAIL = 6
    RCPT = 7
    DATA = 8
    BODY = 9
    FINAL = 10
    QUIT = 11
    DONE = 12

    @property
    def phrase(self) -> str:
        return _PHRASES[self]


_PHRASES = (
    "connecting",
    "waiting for the greeting",
    "introducing ourselves (EHLO)",
    "starting TLS",
    "logging in (AUTH)",
    "resetting (RSET)",
    "naming the sender (MAIL FROM)",
    "naming the recipients (RCPT TO)",
    "announcing the message (DATA)",
    "sending the message",
    "waiting for the answer to the whole message (it may arrive twice)",
    "saying goodbye (QUIT)",
    "being idle",
)


class TooMany(enum.Enum):
    """The server takes no more recipients in this transaction."""

    TOO_MANY = "too many recipients"


# Reading a member off its enum class costs 100 ns, which the steps of every message would pay.
_DATA: Final = Step.DATA

TOO_MANY: Final = TooMany.TOO_MANY
_TOO_MANY_CODES = ("", "4.5.3", "5.5.3")


@dataclass(frozen=True, slots=True)
class Manner:
    """How the transaction is spoken. `reset`: an earlier one was left open, RSET comes first."""

    pipelining: bool = False
    bdat: bool = False
    lmtp: bool = False
    reset: bool = False


class Transaction:
    """`mail` and `rcpts` are whole command lines; at least one recipient."""

    __slots__ = (
        "_accepted",
        "_answers",
        "_data",
        "_finals",
        "_goodbye",
        "_is_abandoned",
        "_mail",
        "_mail_line",
        "_manner",
        "_rcpt_lines",
        "is_broken",
        "needs_reset",
        "step",
    )

    def __init__(self, mail: bytes, rcpts: Sequence[bytes], manner: Manner) -> None:
        self._mail_line = mail
        self._rcpt_lines = rcpts
        self._manner = manner
        self._mail: Reply | None = None
        self._answers: list[Reply] = []
        self._accepted = 0
        self._data: Reply | None = None
        self._finals: list[Reply] = []
        self._goodbye: Reply | None = None
        self._is_abandoned = False
        self.step = Step.RSET if manner.reset else Step.MAIL
        self.needs_reset = manner.reset
        self.is_broken = False  # the peer said 421 or something that leaves no way on: close

    def start(self) -> bytes:
        first = b"RSET\r\n" if self._manner.reset else b""
        if not self._manner.pipelining:
            return first or self._mail_line
        last = b"" if self._manner.bdat else b"DATA\r\n"
        return b"".join((first, self._mail_line, *self._rcpt_lines, last))

    @property
    def is_chunked(self) -> bool:
        """The body goes with BDAT: as it is, no dots, no end marker."""
        return self._manner.bdat

    @property
    def accepted(self) -> int:
        """Recipients that the server took so far."""
        return self._accepted

    @property
    def has_answer(self) -> bool:
        """Anything at all was answered to MAIL; before that, nothing has happened."""
        return self._mail is not None

    def take(self, reply: Reply) -> bytes:
        """Take the next reply; returns what to write now, b"" for nothing."""
        step = self.step
        kind = reply.code // 100
        if kind < 4 and kind != (3 if step is _DATA else 2):  # out of step: no later answer can be believed
            return self._break(Reply(451, "4.5.0", f"unexpected answer while {step.phrase}: {reply}"))
        if reply.code == 421:  # RFC 5321 §3.8: the server is closing, whatever it was asked
            return self._break(reply)
        return _TAKE[step](self, reply)

    def body_sent(self) -> None:
        self.step = Step.FINAL

    def verdicts(self) -> list[Reply | TooMany | None]:
        """What decides about each recipient: a reply (2xx: delivered), TOO_MANY, or None: no answer came."""
        if self._mail is not None and self._mail.code >= 400:
            return [self._mail] * len(self._rcpt_lines)
        finals = iter(self._finals)
        shared = None if self._manner.lmtp else next(finals, self._goodbye)
        verdicts: list[Reply | TooMany | None] = []
        for answer in self._answers:
            if answer.code >= 400:
                verdicts.append(self._weigh_refusal(answer))
            elif self._data is not None and self._data.code >= 400:
                verdicts.append(self._data)
            else:  # RFC 2033 §4.2: LMTP has one reply for each accepted recipient, in their order
                verdicts.append(next(finals, self._goodbye) if self._manner.lmtp else shared)
        return verdicts + [self._goodbye] * (len(self._rcpt_lines) - len(verdicts))

    @property
    def common_verdict(self) -> Reply | None:
        """The one final reply when every recipient was accepted and shares it: the usual end."""
        if self._accepted == len(self._rcpt_lines) and len(self._finals) == 1 and not self._manner.lmtp:
            return self._finals[0]
        return None

    def _weigh_refusal(self, answer: Reply) -> Reply | TooMany:
        """RFC 5321 §4.5.3.1.10: 552 to RCPT is an old way to say 452, and both may mean "too many recipients"."""
        if answer.code not in (452, 552):
            return answer
        if self._accepted and answer.enhanced in _TOO_MANY_CODES:
            return TOO_MANY
        return Reply(452, "4" + answer.enhanced[1:] if answer.enhanced else "", answer.text)

    def _break(self, reply: Reply) -> bytes:
        """`reply` stands for every recipient that was not answered."""
        self._goodbye = reply
        self.is_broken = True
        self.step = Step.DONE
        return b""

    def _take_reset(self, reply: Reply) -> bytes:
        if reply.code >= 400:
            return self._break(Reply(451, "4.5.0", f"RSET was refused: {reply}"))
        self.needs_reset = False
        self.step = Step.MAIL
        return b"" if self._manner.pipelining else self._mail_line

    def _take_mail(self, reply: Reply) -> bytes:
        self._mail = reply
        if reply.code < 400:
            self.needs_reset = True
        elif not self._manner.pipelining:
            self.step = Step.DONE
            return b""
        self.step = Step.RCPT
        return b"" if self._manner.pipelining else self._rcpt_lines[0]

    def _take_rcpt(self, reply: Reply) -> bytes:
        self._answers.append(reply)
        if reply.code < 400 and self.needs_reset:  # without a valid MAIL a 250 here means nothing
            self._accepted += 1
        if len(self._answers) < len(self._rcpt_lines):
            return b"" if self._manner.pipelining else self._rcpt_lines[len(self._answers)]
        if self._manner.pipelining and not self._manner.bdat:
            self.step = Step.DATA
            return b""
        if not self._accepted:
            self.step = Step.DONE
            return b""
        self.step = Step.BODY if self._manner.bdat else Step.DATA
        return b"" if self._manner.bdat else b"DATA\r\n"

    def _take_data(self, reply: Reply) -> bytes:
        self._data = reply
        if reply.code >= 400:
            self.step = Step.DONE
            return b""
        if self._accepted:
            self.step = Step.BODY
            return b""
        # RFC 2920 §3.1: 354 although no recipient is valid. An empty message ends it; its answer decides nothing.
        if self._manner.lmtp:  # RFC 2033 §4.2 knows no reply for it
            return self._break(reply)
        self._is_abandoned = True
        self.step = Step.FINAL
        return b".\r\n"

    def _take_final(self, reply: Reply) -> bytes:
        self._finals.append(reply)
        if self._is_abandoned or not self._manner.lmtp or len(self._finals) == self._accepted:
            self.needs_reset = reply.code >= 400
            self.step = Step.DONE
        return b""

    def _take_unasked(self, reply: Reply) -> bytes:
        return self._break(Reply(451, "4.5.0", f"answer without a question: {reply}"))


_Take = Callable[[Transaction, Reply], bytes]

# By step; a tuple, because hashing an enum costs more than the rest of the look-up.
_TAKE: tuple[_Take, ...] = (
    *(Transaction._take_unasked,) * Step.RSET,
    Transaction._take_reset,
    Transaction._take_mail,
    Transaction._take_rcpt,
    Transaction._take_data,
    Transaction._take_unasked,
    Transaction._take_final,
    Transaction._take_unasked,
    Transaction._take_unasked,
)
