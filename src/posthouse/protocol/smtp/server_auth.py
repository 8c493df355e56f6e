"""The server side of SMTP with AUTH (RFC 4954), for services where people log in.

A class of its own, so that port 25 pays nothing for it. The mechanisms are somebody else's business: AUTH and each
answer of the client become events, and 334, 235 or a refusal comes back (`answer`). The core keeps the order: AUTH
once, after EHLO, outside a transaction, not beyond the allowed failures; "*" gives it up; a line within the exchange
is never a command, whatever it looks like. STARTTLS and XCLIENT make the session as new, a login included.

Trusts nothing. Holds at most one line, of 12,288 octets (RFC 4954 §4).
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

from posthouse.message.reply import Reply
from posthouse.protocol.smtp import server_replies as replies
from posthouse.protocol.smtp.grammar import CommandError, parse_auth, refuse
from posthouse.protocol.smtp.server import SmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted, Event
from posthouse.protocol.smtp.server_replies import render_reply
from posthouse.protocol.smtp.server_settings import ServerSettings
from posthouse.protocol.smtp.states import State
from posthouse.protocol.wire.lines import LineProblem

MAX_AUTH_LINE: Final = 12288 + 2

_EVENTS: Final = frozenset({AuthStarted, AuthData})


class AuthSmtpServer(SmtpServer):
    """`mechanisms` are offered now, `mechanisms_after_tls` once TLS is active, `mechanisms_too_weak` never: the driver
    sets them before EHLO. `is_logged_in` is for the driver to read; `failed_logins` counts over the whole session.
    """

    __slots__ = ("failed_logins", "is_logged_in", "mechanisms", "mechanisms_after_tls", "mechanisms_too_weak")

    def __init__(self, settings: ServerSettings) -> None:
        super().__init__(settings)
        self._input.max_line = max(settings.max_line, MAX_AUTH_LINE)
        self.mechanisms: tuple[str, ...] = ()
        self.mechanisms_after_tls: frozenset[str] = frozenset()
        self.mechanisms_too_weak: frozenset[str] = frozenset()
        self.is_logged_in = False
        self.failed_logins = 0

    def answer(self, reply: Reply) -> None:
        if type(self._awaited) not in _EVENTS:
            super().answer(reply)
            return
        self._awaited = None
        self._output.append(render_reply(reply))
        if reply.code == 334:
            self.state = State.AUTH
            return
        self.state = State.READY
        if reply.is_positive:
            self.is_logged_in = True
            self.error_count = 0
            return
        self.error_count += 1
        self.failed_logins += reply.code in {501, 535}
        if reply.code == 421:
            self._queued = self._close("421 answered")

    def _list_keywords(self) -> list[str]:
        keywords = super()._list_keywords()
        if self.mechanisms and not self.is_logged_in:
            keywords.insert(-1, f"AUTH {' '.join(self.mechanisms)}")
        return keywords

    def _start_over(self) -> None:
        super()._start_over()
        self.is_logged_in = False  # RFC 3207 §4.2

    def _after_xclient(self, event: Event) -> None:
        super()._after_xclient(event)
        self.is_logged_in = False

    def _take_line(self, line: bytes | LineProblem) -> Event | None:
        return self._take_response(line) if self.state is State.AUTH else super()._take_line(line)

    def _take_auth(self, argument: str) -> Event | None:
        if self.is_logged_in:  # RFC 4954 §4
            refuse(503, "5.5.1", "You are logged in already")
        if not self.is_esmtp:
            refuse(503, "5.5.1", "Say EHLO first")
        if self.failed_logins >= self.settings.max_failed_logins:
            return self._say_and_close(replies.TOO_MANY_LOGINS, "too many failed logins")
        mechanism, initial = parse_auth(argument)
        if mechanism not in self.mechanisms:
            raise CommandError(self._refuse_mechanism(mechanism))
        return AuthStarted(mechanism, _decode(initial.encode("utf-8")) if initial is not None else None)

    def _refuse_mechanism(self, mechanism: str) -> Reply:
        """RFC 4954 §6."""
        if mechanism in self.mechanisms_after_tls:
            return replies.AUTH_NEEDS_TLS
        return replies.MECHANISM_TOO_WEAK if mechanism in self.mechanisms_too_weak else replies.UNKNOWN_MECHANISM

    def _take_response(self, line: bytes | LineProblem) -> Event | None:
        """RFC 4954 §4: base64, or "*" to give up. An empty line is an answer of no octets."""
        self.state = State.READY  # unless the answer is another 334
        try:
            if isinstance(line, LineProblem):
                raise CommandError(replies.LINE_PROBLEMS[line])
            if line == b"*":
                raise CommandError(replies.AUTH_CANCELLED)
            return AuthData(_decode(line))
        except CommandError as error:
            self.error_count += 1
            self._output.append(render_reply(error.reply))
            return None


def _decode(text: bytes) -> bytes:
    """Empty for "=" (an initial response of no octets). Raises CommandError."""
    if text == b"=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CommandError(replies.BAD_BASE64) from None
