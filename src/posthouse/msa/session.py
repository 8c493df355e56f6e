"""A mail program's session on 587 or 465: who it is, what it may send, and the message into submit().

The role behind serve/smtp.py where the listener's service is "submission". Nobody is trusted for his network: AUTH is
required before MAIL (530 5.7.0). Sender and recipients are looked at as they come, so that a mistake is told at once
and by name, not by a bounce. 250 is answered when the store says that the submission is durable (msa/submit.py).

Received says "with ESMTPSA" and not from where, unless the administrator wants it: neither the user's address nor the
account is anybody else's business. A message in hand is kept in memory, `max_size` of the core bounds it.

RFC 6409 §4 to §6, RFC 4954 §4 and §6, RFC 8314 §7.4 (TLS is told in Received), RFC 4865 §4, RFC 2852 §4.1, RFC 3461.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from posthouse.message.address import Address
from posthouse.message.envelope import DeliverBy, Envelope, Recipient
from posthouse.message.instant import Instant, format_rfc3339
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.message.trace import Origin, describe_tls, hidden_prefix, received_prefix, with_protocol
from posthouse.msa.submit import (
    NO_DIRECTORY,
    FindRejection,
    Refused,
    SubmitOptions,
    Submitted,
    check_login,
    check_recipient,
    check_sender,
    reject_nobody,
)
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Accounts, Directory, DirectoryError
from posthouse.ports.login import Login, Mechanisms
from posthouse.ports.observe import Log
from posthouse.protocol.smtp import server as smtp
from posthouse.trust.login import Accepted, SaslConversation, Turn, smtp_reply

_LOG_IN = Reply(530, "5.7.0", "Log in first")
_OK_SENDER = Reply(250, "2.1.0", "Sender ok")
_OK_RECIPIENT = Reply(250, "2.1.5", "Recipient ok")
_GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
_NOT_HERE = Reply(458, "4.7.0", "Not on this service")


class Door(Protocol):
    """msa/submit.py's Submitter."""

    async def submit(
        self,
        login: Login,
        message: bytes,
        envelope: Envelope | None = None,
        options: SubmitOptions | None = None,
        source: str = "",
    ) -> Submitted | Refused: ...


@dataclass(frozen=True, slots=True)
class SubmissionSettings:
    """`undo_s`: every message waits that long in Scheduled. `max_future_s`: longest FUTURERELEASE."""

    hostname: str
    hides_address: bool = True
    undo_s: float = 0.0
    max_future_s: float = 366 * 86400.0
    postmaster: Address | None = None  # takes <Postmaster> (RFC 5321 §4.5.1)


@dataclass(frozen=True, slots=True)
class SubmissionDesk:
    """What all sessions share."""

    settings: SubmissionSettings
    submitter: Door
    accounts: Accounts
    directory: Directory
    converse: Callable[[Peer], SaslConversation]
    clock: Clock
    log: Log
    find_rejection: FindRejection = reject_nobody


class SubmissionSession:
    """`serve.smtp_auth.AuthRole`."""

    __slots__ = ("_conversation", "_desk", "_extended", "_helo", "_mail", "_pieces", "_recipients", "login", "peer")

    def __init__(self, desk: SubmissionDesk, peer: Peer) -> None:
        self._desk = desk
        self.peer = peer
        self.login: Login | None = None
        self._conversation = desk.converse(peer)
        self._helo = ""
        self._extended = False
        self._mail: smtp.MailFrom | None = None
        self._recipients: list[Recipient] = []
        self._pieces: list[bytes] = []

    # -- who it is

    def mechanisms(self) -> Mechanisms:
        return self._conversation.mechanisms()

    def auth(self, event: smtp.AuthStarted) -> Reply | asyncio.Future[Reply]:
        return self._turn(self._conversation.begin(event.mechanism, event.initial))

    def auth_data(self, event: smtp.AuthData) -> Reply | asyncio.Future[Reply]:
        return self._turn(self._conversation.step(event.data))

    def forget_login(self) -> None:
        self.login = None
        self._conversation = self._desk.converse(self.peer)

    def _turn(self, turn: Turn | asyncio.Future[Turn]) -> Reply | asyncio.Future[Reply]:
        return asyncio.ensure_future(self._await_turn(turn)) if isinstance(turn, asyncio.Future) else self._take(turn)

    async def _await_turn(self, turn: asyncio.Future[Turn]) -> Reply:
        return self._take(await turn)

    def _take(self, turn: Turn) -> Reply:
        if isinstance(turn, Accepted):
            self.login = turn.login
        return smtp_reply(turn)

    # -- the dialogue

    def hello(self, event: smtp.Hello) -> Reply:
        self._helo, self._extended = event.domain, event.is_esmtp
        return Reply(250, "", self._desk.settings.hostname)

    def mail(self, event: smtp.MailFrom) -> Reply:
        self.reset()
        login, desk = self.login, self._desk
        if login is None:
            return _LOG_IN
        try:
            refusal = (
                check_login(login, desk.accounts)
                or check_sender(login.account, event.sender, desk.accounts)
                or self._check_time(event)
            )
        except DirectoryError:
            refusal = NO_DIRECTORY
        if refusal is not None:
            self._note_refused(str(event.sender or ""), refusal)
            return refusal
        self._mail = event
        return _OK_SENDER

    def _check_time(self, event: smtp.MailFrom) -> Reply | None:
        """RFC 4865 §4: not beyond what EHLO said."""
        longest = self._desk.settings.max_future_s
        wait_s = self._send_at(event) - self._desk.clock.now()
        return Reply(501, "5.5.4", f"A message is kept for {longest:.0f} seconds at most") if wait_s > longest else None

    def rcpt(self, event: smtp.RcptTo) -> Reply:
        recipient, desk = event.recipient, self._desk
        if not recipient.address.domain and desk.settings.postmaster is not None:
            recipient = replace(recipient, address=desk.settings.postmaster)
        refusal = check_recipient(recipient.address, desk.directory, desk.find_rejection)
        if refusal is not None:
            self._note_refused(str(recipient.address), refusal)
            return refusal
        self._recipients.append(recipient)
        return _OK_RECIPIENT

    def data(self) -> Reply:
        return _GO_AHEAD

    def body(self, piece: bytes) -> asyncio.Future[None] | None:
        self._pieces.append(piece)
        return None

    def end(self, event: smtp.MessageEnd) -> Reply | asyncio.Future[Reply]:
        login, mail = self.login, self._mail
        if event.problem is not None or login is None or mail is None:
            self.reset()
            return event.problem or _LOG_IN
        message = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        envelope, options = self._make_envelope(mail), self._make_options(mail)
        self.reset()
        return asyncio.ensure_future(self._submit(login, message, envelope, options))

    async def _submit(self, login: Login, message: bytes, envelope: Envelope, options: SubmitOptions) -> Reply:
        result = await self._desk.submitter.submit(login, message, envelope, options, self.peer.label)
        return result.reply if isinstance(result, Refused) else describe_result(result)

    def etrn(self, domain: str) -> Reply:
        return _NOT_HERE

    def reset(self) -> None:
        self._mail = None
        self._recipients = []
        self._pieces = []

    def closed(self) -> None:
        self.reset()
        self._conversation.cancel()

    # -- a message

    def _send_at(self, mail: smtp.MailFrom) -> float:
        if mail.hold_for_s is not None:
            return self._desk.clock.now() + mail.hold_for_s
        return mail.hold_until or 0.0

    def _make_envelope(self, mail: smtp.MailFrom) -> Envelope:
        by = None
        if mail.by is not None:  # counted from when it is released
            start = max(self._send_at(mail), self._desk.clock.now())
            by = DeliverBy(Instant(start + mail.by.seconds), mail.by.is_return, mail.by.is_traced)
        return Envelope(
            mail.sender,
            tuple(self._recipients),
            mail.body,
            mail.smtputf8,
            mail.ret,
            mail.envid,
            mail.mt_priority,
            by,
        )

    def _make_options(self, mail: smtp.MailFrom) -> SubmitOptions:
        settings, peer = self._desk.settings, self.peer
        tls = describe_tls(peer.tls_version, peer.tls_cipher, peer.tls_bits) if peer.tls_version else ""
        origin = Origin(settings.hostname, self._helo, peer.name, peer.address, tls)
        return SubmitOptions(
            send_at=self._send_at(mail),
            undo_s=settings.undo_s,
            prefix=hidden_prefix(origin) if settings.hides_address else received_prefix(origin),
            protocol=with_protocol(
                lmtp=False, extended=self._extended, utf8=mail.smtputf8, tls=bool(peer.tls_version), auth=True
            ),
        )

    def _note_refused(self, address: str, reply: Reply) -> None:
        name = self.login.name if self.login is not None else ""
        self._desk.log.info(
            "submission refused", account=name, peer=self.peer.address, address=address, reply=str(reply)
        )


def describe_result(result: Submitted) -> Reply:
    if result.is_repeat and result.send_at:
        when = format_rfc3339(Instant(result.send_at))
        return Reply(250, "2.0.0", f"Ok: this message was submitted before, it will be sent at {when}")
    if result.is_repeat:
        return Reply(250, "2.0.0", "Ok: this message was submitted before, it is not sent again")
    if result.send_at:
        return Reply(250, "2.0.0", f"Ok: will be sent at {format_rfc3339(Instant(result.send_at))}")
    return Reply(250, "2.0.0", f"Ok: queued as {result.queue_id}")
