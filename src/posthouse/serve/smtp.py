"""The SMTP and LMTP driver: moves bytes between a transport and the core, and events to a role.

It trusts nobody: what the peer sends is bounded by the core's limits, by the read buffer of one `data_received`
while an answer is awaited, and by a deadline per state. There is no task per session: replies that take time are
futures, and a session that waits for one reads no further. After a crash nothing here needs recovery.

RFC 5321 §4.5.3.2 (timeouts), RFC 3207 (bytes behind STARTTLS are dropped by the core), RFC 2033.
It does not decide anything about mail: that is the role's part.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from posthouse.message.peer import Network, Peer, is_in_networks, normalise_address
from posthouse.message.reply import Reply
from posthouse.ports.login import Login
from posthouse.protocol.smtp import server as core
from posthouse.protocol.smtp.server_auth import AuthSmtpServer
from posthouse.serve.channel import note_channel
from posthouse.serve.connection import ALL_DAY_S, SHUTDOWN, Connection, DoorSettings, Service, ignore
from posthouse.serve.smtp_auth import AuthRole, offer_logins
from posthouse.serve.smtp_role import Answer, Pending, SmtpRole

__all__ = [
    "Answer",
    "Pending",
    "SmtpConnection",
    "SmtpRole",
    "SmtpService",
    "SmtpServiceSettings",
]


@dataclass(frozen=True, slots=True)
class SmtpServiceSettings(DoorSettings):
    """`min_rate` octets/s keep a message alive; `max_unread` octets may come in while an answer is awaited."""

    core: core.ServerSettings
    lmtp: bool = False
    xclient_networks: Sequence[Network] = ()
    greet_delay_s: float = 0.0
    message_timeout_s: float = 3600.0
    min_rate: int = 512
    max_unread: int = 1 << 20


@dataclass(slots=True, kw_only=True)
class SmtpService(Service):
    """What the sessions of one listener share. Drained, idle sessions end now, the others after the message in hand."""

    settings: SmtpServiceSettings
    make_role: Callable[[Peer], SmtpRole]

    def __call__(self) -> SmtpConnection:
        return SmtpConnection(self)

    def shut_down(self, reason: str) -> None:
        """Who is still here has a message in hand."""


_TIMEOUT = Reply(421, "4.4.2", "Timeout, closing connection")
_BROKEN = Reply(451, "4.3.0", "Internal error, the message was not taken; try again later")
_NO_TLS = Reply(454, "4.7.0", "TLS is not available now")
_EARLY = Reply(554, "5.5.1", "You spoke before the greeting")
_BUSY = frozenset({core.State.MAIL, core.State.RCPT, core.State.CHUNKS, core.State.BODY, core.State.HANDSHAKE})


class SmtpConnection(Connection):
    """One session. `_waiting` says that an answer is awaited and no event may be taken."""

    __slots__ = (
        "_errors_seen",
        "_has_ended",
        "_in_body",
        "_message_until",
        "_waiting",
        "core",
        "role",
    )

    service: SmtpService

    def __init__(self, service: SmtpService) -> None:
        Connection.__init__(self, service)
        has_logins = service.settings.core.auth
        self.core = (AuthSmtpServer if has_logins else core.SmtpServer)(service.settings.core)
        self.role: SmtpRole | None = None
        self._waiting = True  # nothing is taken from the core before the greeting
        self._has_ended = False  # the peer sends no more
        self._in_body = False
        self._message_until = 0.0
        self._errors_seen = 0

    @property
    def login(self) -> Login | None:
        has_logins = self.service.settings.core.auth and self.role is not None
        return self._auth_role.login if has_logins else None

    # -- the transport's side

    def _receive(self, data: bytes) -> None:
        self.core.receive(data)
        if not self._waiting:
            self._run()
        elif self.role is not None and self.core.unread > self.service.settings.max_unread:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Who ends its side behind its last command still reads the answers (Exim does so). Under TLS they are lost:
        asyncio closes both sides at once.
        """
        self._has_ended = True
        return self._waiting and self.role is not None and self._transport.get_extra_info("ssl_object") is None

    def _ended(self) -> None:
        if self.role is not None:
            self.role.closed()
            self.role = None

    def pause_writing(self) -> None:
        self._transport.pause_reading()  # who does not read our replies sends no more commands

    def resume_writing(self) -> None:
        if not self._waiting:
            self._transport.resume_reading()

    # -- the beginning

    def _open(self) -> None:
        service = self.service
        self.role = service.make_role(self.peer)
        may_announce = is_in_networks(self.peer.address, service.settings.xclient_networks)
        self.core.offers_xclient = may_announce and not self.peer.is_stand_in
        self.core.offers_tls = service.tls is not None
        self._offer_logins()

    def _write_refusal(self, reply: Reply) -> None:
        self._transport.write(core.render_reply(reply))

    def _offer_logins(self) -> None:
        if isinstance(self.core, AuthSmtpServer):
            offer_logins(self.core, self._auth_role)

    def _greet(self) -> None:
        settings = self.service.settings
        if settings.greet_delay_s and not settings.implicit_tls:
            asyncio.get_running_loop().call_later(settings.greet_delay_s, self._greet_if_silent)
        else:
            self._greet_now()

    def _greet_if_silent(self) -> None:
        if self.core.unread and not self._closing:
            self.service.log.info("client talked before the greeting", peer=self.peer.address)
            self._say_and_close(_EARLY)
        else:
            self._greet_now()

    def _greet_now(self) -> None:
        if self._closing:
            return
        kind = "LMTP" if self.service.settings.lmtp else "ESMTP"
        self.core.greet(Reply(220, "", f"{self.service.settings.core.hostname} {kind} Posthouse"))
        self._waiting = False
        self._run()

    async def _upgrade(self) -> bool:
        self.core.tls_started()  # what came in plaintext is dropped
        return await Connection._upgrade(self)

    async def _upgrade_and_continue(self) -> None:
        if await self._upgrade():
            self._continue()

    def _note_channel(self, secured: ssl.SSLObject | None, context: ssl.SSLContext) -> None:
        if self.service.settings.core.auth:
            note_channel(self.peer, secured, context)
            self._offer_logins()

    # -- the dialogue

    def _run(self) -> None:
        """Take events until one must be waited for or more bytes are needed; then one write."""
        handlers = _HANDLERS
        take = self.core.next_event
        progress = False
        while not self._waiting:
            event = take()
            if event is core.NEED_DATA:
                break
            progress = True
            handlers[type(event)](self, event)
        output = self.core.take_output()
        if output:
            if self.core.error_count != self._errors_seen and self._tarpit(output):
                return
            self._transport.write(output)
        if self._closing or (self._has_ended and not self._waiting):
            self._close()
        elif (progress or output) and not self._in_body and not self._is_upgrading:
            self.deadline = self.service.clock.monotonic() + (ALL_DAY_S if self._waiting else self.core.timeout_s)
            if self.service.draining:
                self.leave()

    def _tarpit(self, output: bytes) -> bool:
        """Hold the replies of a client that only makes errors; True when they are held."""
        service, errors = self.service, self.core.error_count
        now = service.clock.monotonic()
        new, self._errors_seen = errors - self._errors_seen, errors
        if new < 0:  # a message was taken: the count begins anew
            return False
        service.figures.errors.inc(new)
        address = self.peer.address
        service.admission.note_error(address, now, new)
        delay = service.admission.delay(address, now)
        if not delay:
            return False
        was_waiting, self._waiting = self._waiting, True
        self.deadline = now + delay + self.core.timeout_s
        asyncio.get_running_loop().call_later(delay, self._end_tarpit, output, was_waiting)
        return True

    def _end_tarpit(self, output: bytes, was_waiting: bool) -> None:
        if self.role is None:
            return
        self._transport.write(output)
        if self._closing:
            self._close()
        elif not was_waiting:
            self._continue()

    def _answer(self, answer: Answer) -> None:
        if isinstance(answer, Reply):
            self.core.answer(answer)
        elif isinstance(answer, list):
            self.core.answer_each(answer)
        else:
            self._waiting = True
            answer.add_done_callback(self._answered)

    def _answered(self, future: asyncio.Future[Any]) -> None:
        if self.role is None:
            return  # the peer has gone; the message, if accepted, is in the queue all the same
        try:
            answer: Reply | list[Reply] = future.result()
        except Exception as error:  # noqa: BLE001 - a defect of ours must not cost the peer an answer
            self.service.log.error("a session's answer failed", peer=self.peer.address, error=repr(error))
            answer = _BROKEN
        if isinstance(answer, Reply):
            self.core.answer(answer)
        else:
            self.core.answer_each(answer)
        self._continue()

    def _continue(self) -> None:
        self._waiting = False
        if not self._closing:
            self._transport.resume_reading()
        self._run()

    def _on_hello(self, event: core.Hello) -> None:
        self._answer(self._role.hello(event))

    def _on_mail(self, event: core.MailFrom) -> None:
        self._answer(SHUTDOWN if self.service.draining else self._role.mail(event))

    def _on_rcpt(self, event: core.RcptTo) -> None:
        self._answer(self._role.rcpt(event))

    def _on_data(self, event: core.DataStarted) -> None:
        self._answer(self._role.data())

    def _on_piece(self, event: core.BodyPiece) -> None:
        settings = self.service.settings
        now = self.service.clock.monotonic()
        if not self._in_body:
            self._in_body = True
            self._message_until = now + settings.message_timeout_s
            self.deadline = now + self.core.timeout_s
        # A deadline that grows with what comes: one byte a second does not hold a session open for ever.
        latest = min(self._message_until, now + self.core.timeout_s)
        self.deadline = min(latest, self.deadline + len(event.data) / settings.min_rate)
        busy = self._role.body(event.data)
        if busy is not None:
            self._waiting = True
            self._transport.pause_reading()
            busy.add_done_callback(self._body_written)

    def _body_written(self, future: asyncio.Future[None]) -> None:
        if self.role is not None:
            self._continue()

    def _on_end(self, event: core.MessageEnd) -> None:
        self._in_body = False
        self._answer(self._role.end(event))

    def _on_reset(self, event: core.Reset) -> None:
        self._in_body = False
        self._role.reset()

    def _on_tls(self, event: core.StartTls) -> None:
        if self.service.tls is None:
            self.core.answer(_NO_TLS)
            return
        self.core.answer(Reply(220, "2.0.0", "Ready to start TLS"))
        self._transport.write(self.core.take_output())
        self._role.reset()
        if self.service.settings.core.auth:
            self._auth_role.forget_login()
        self._waiting = True
        self._begin_tls()
        asyncio.get_running_loop().create_task(self._upgrade_and_continue()).add_done_callback(ignore)

    def _on_auth(self, event: core.AuthStarted) -> None:
        self._answer(self._auth_role.auth(event))

    def _on_auth_data(self, event: core.AuthData) -> None:
        self._answer(self._auth_role.auth_data(event))

    def _on_etrn(self, event: core.Etrn) -> None:
        self._answer(self._role.etrn(event.domain))

    def _on_xclient(self, event: core.Xclient) -> None:
        """The announced client takes the place of the real one, limits included; then a new greeting."""
        service = self.service
        announced = event.attributes.get("ADDR")
        self._role.closed()
        service.admission.release(self.peer.address)
        if announced is not None:
            self.peer.address = normalise_address(announced)
        if "ADDR" in event.attributes:
            self.peer.is_stand_in = announced is None
        self.peer.port = int(event.attributes.get("PORT") or 0)
        self.peer.name = event.attributes.get("NAME") or ""
        self.role = service.make_role(self.peer)
        self._offer_logins()
        refusal = self._count()
        if refusal is not None:
            self._closing = True
        self.core.answer(refusal or Reply(220, "", f"{service.settings.core.hostname} ESMTP Posthouse"))

    def _on_quit(self, event: core.Quit) -> None:
        self.core.answer(Reply(221, "2.0.0", "Bye"))
        self._finish()

    def _on_closing(self, event: core.Closing) -> None:
        self.service.log.info("session closed", peer=self.peer.address, reason=event.reason)
        self._finish()

    def _finish(self) -> None:
        self._closing = True
        self._waiting = True  # take no further event; what was answered is still written

    @property
    def _role(self) -> SmtpRole:
        assert self.role is not None
        return self.role

    @property
    def _auth_role(self) -> AuthRole:
        return cast(AuthRole, self._role)  # a service with `auth` makes no other

    # -- the end

    def time_out(self) -> None:
        if self._closing:
            self.abort()
            return
        self.service.figures.timeouts.inc()
        self.service.log.info("session timed out", peer=self.peer.address, phase=self.core.phase)
        if self.role is None or self._transport.get_write_buffer_size() or self._is_upgrading:
            self.abort()  # who does not read would not read the 421 either
            return
        self._say_and_close(_TIMEOUT)

    def leave(self) -> None:
        if not self._waiting and not self._in_body and self.core.state not in _BUSY:
            self._say_and_close(SHUTDOWN)

    def kick(self, reason: str) -> None:
        """End the session for an administrator; a message in hand is not taken."""
        self._say_and_close(Reply(421, "4.7.0", reason))

    def _say_and_close(self, reply: Reply) -> None:
        self._write_refusal(reply)
        self._close()


_HANDLERS: dict[type, Callable[[SmtpConnection, Any], None]] = {
    core.Hello: SmtpConnection._on_hello,
    core.MailFrom: SmtpConnection._on_mail,
    core.RcptTo: SmtpConnection._on_rcpt,
    core.DataStarted: SmtpConnection._on_data,
    core.BodyPiece: SmtpConnection._on_piece,
    core.MessageEnd: SmtpConnection._on_end,
    core.Reset: SmtpConnection._on_reset,
    core.StartTls: SmtpConnection._on_tls,
    core.AuthStarted: SmtpConnection._on_auth,
    core.AuthData: SmtpConnection._on_auth_data,
    core.Etrn: SmtpConnection._on_etrn,
    core.Xclient: SmtpConnection._on_xclient,
    core.Quit: SmtpConnection._on_quit,
    core.Closing: SmtpConnection._on_closing,
}
