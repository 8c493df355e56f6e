"""Receiving: what we answer to a client, and how a message gets from a session into the spool.

Each question is a list of stages, each `(session, recipient) -> Reply | None`; the first reply ends it. Nobody is
trusted but networks that the configuration names. A route alone opens nothing: what is neither ours nor open to
anyone is refused for strangers (550 5.7.1), so that this is no open relay. An unknown recipient of a hosted domain
is refused at RCPT (550 5.1.1), never by a later bounce.

250 is answered when the spool says that the message is on disk, not before. A crash earlier leaves nothing of it.

Aliases are followed here (mta/expansion.py), so that each end of them is a row in the spool. A mailbox that is full
is refused at RCPT as well, from a figure at hand; what it cannot tell yet, delivery finds out.

RFC 5321 §3.3, §3.6, §4.4, §6.3; RFC 3461; RFC 6531. LMTP's final delivery is in mta/lmtp_delivery.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.address import Address, Domain, LocalPart
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.header import HeadFacts, inspect_head
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Network, Peer, is_in_networks
from posthouse.message.reply import Reply
from posthouse.message.trace import (
    Origin,
    complete_received,
    describe_tls,
    make_local_received,
    received_prefix,
    with_protocol,
)
from posthouse.mta.expansion import Expansion, Named, expand_recipients, join_replies
from posthouse.mta.refusals import FailedWriter, refusal_for
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Directory, DirectoryError, Standing
from posthouse.ports.observe import Counter, Journal, Log
from posthouse.ports.spool import (
    Body,
    BodyWriter,
    InlineBody,
    NewMessage,
    QueuedMessage,
    Spool,
    SpoolError,
)
from posthouse.protocol.smtp import server as smtp


class RelayPolicy(Protocol):
    """What the routes say about an address (mta/routing.py)."""

    def is_open_to_anyone(self, address: Address) -> bool:
        """A route with `accept = "anyone"` covers it: we are its MX or backup MX."""

    def delivers_here(self, address: Address) -> bool:
        """Its route ends in a mailbox of ours, so that no next host can read a second address out of it."""


class Onward(Protocol):
    """The side that delivers (mta/runner.py)."""

    def first_retry(self, now: Instant, octets: int) -> Instant:
        """The `next_attempt` to store with a new message: later when it is tried from memory, else now."""

    def take(self, message: QueuedMessage) -> None:
        """It is durable: deliver it."""

    def retry_domain(self, domain: str) -> None:
        """ETRN."""

    def mail_delay(self) -> float | None:
        """Seconds until a client may go on with a new message, more the larger the backlog; None: send it away."""


class LocalDelivery(Protocol):
    """LMTP: delivery to mailboxes before the answer (mta/lmtp_delivery.py)."""

    async def deliver(self, new: NewMessage, spool: Spool) -> list[Reply]:
        """One reply per recipient of the envelope, in order. Raises SpoolError."""


class Room(Protocol):
    """The store's `Quotas`, as far as RCPT wants to know."""

    def has_room(self, account: AccountId, octets: int) -> bool: ...


@dataclass(frozen=True, slots=True)
class InboundSettings:
    hostname: str
    trusted_networks: Sequence[Network] = ()
    postmaster: Address | None = None
    max_received: int = 50
    max_header_octets: int = 1 << 20
    inline_limit: int = 64 * 1024
    write_slice: int = 256 * 1024
    max_targets: int = 10_000  # recipients of one message when aliases have been followed
    refuses_full: bool = False  # a mailbox that is full is 552, not 452


@dataclass(frozen=True, slots=True)
class InboundFigures:
    accepted: Counter
    accepted_octets: Counter
    refused_recipients: Counter
    put_off: Counter


@dataclass(slots=True)
class Desk:
    """What all sessions share. `spool` answers with the shard that takes new mail now."""

    settings: InboundSettings
    policy: RelayPolicy
    directory: Directory
    spool: Callable[[], Spool]
    onward: Onward
    clock: Clock
    log: Log
    journal: Journal
    figures: InboundFigures
    mailboxes: LocalDelivery | None = None  # set for LMTP
    room: Room | None = None  # None: quotas are looked at in delivery only


_ROLES = frozenset({"postmaster", "abuse"})
_OK_SENDER = Reply(250, "2.1.0", "Sender ok")
_OK_RECIPIENT = Reply(250, "2.1.5", "Recipient ok")
_GO_AHEAD = Reply(354, "", "End data with <CR><LF>.<CR><LF>")
_NO_RELAY = Reply(550, "5.7.1", "Relaying denied")
_UNKNOWN = Reply(550, "5.1.1", "There is no such mailbox here")
_TOO_MANY = Reply(452, "4.5.3", "Too many recipients for one message, send it to the rest in another")
_NO_DIRECTORY = Reply(451, "4.3.0", "The address cannot be looked up now, try again later")
_FULL_NOW = Reply(452, "4.2.2", "The mailbox is full, try again later")
_FULL_MAILBOX = Reply(552, "5.2.2", "The mailbox is full")
_GONE = Reply(451, "4.4.2", "You left before the message was taken")
_LOOP = Reply(554, "5.4.6", "Too many hops: this message goes round in circles")
_OVERLOADED = Reply(421, "4.3.2", "Too much mail is waiting here, try again later")


class InboundSession:
    """The role of one SMTP or LMTP session, for serve/smtp.py. Nothing in it outlives a message but the greeting."""

    __slots__ = (
        "_desk",
        "_extended",
        "_head",
        "_helo",
        "_mail",
        "_pieces",
        "_prefix",
        "_prefix_name",
        "_recipients",
        "_size",
        "_spool",
        "_targets",
        "_writer",
        "is_trusted",
        "peer",
    )

    def __init__(self, desk: Desk, peer: Peer) -> None:
        self._desk = desk
        self.peer = peer
        is_known = not peer.address or is_in_networks(peer.address, desk.settings.trusted_networks)
        self.is_trusted = is_known and not peer.is_stand_in
        self._helo = ""
        self._extended = False
        self._prefix = b""
        self._prefix_name = ""
        self._mail: smtp.MailFrom | None = None
        self._recipients: list[Named] = []
        self._targets = 0  # of all recipients
        self._pieces: list[bytes] = []
        self._size = 0
        self._head: HeadFacts | None = None
        self._writer: BodyWriter | None = None
        self._spool: Spool | None = None  # the shard of the message in hand

    # -- the dialogue

    def hello(self, event: smtp.Hello) -> Reply:
        self._helo, self._extended, self._prefix = event.domain, event.is_esmtp, b""
        return Reply(250, "", self._desk.settings.hostname)

    def mail(self, event: smtp.MailFrom) -> Reply | asyncio.Future[Reply]:
        """When the backlog grows, accepting slows down first; then clients are sent away."""
        self.reset()
        delay = self._desk.onward.mail_delay()
        if delay is None:
            self._desk.figures.put_off.inc()
            return _OVERLOADED
        self._mail = event
        return _answer_after(delay, _OK_SENDER) if delay else _OK_SENDER

    def rcpt(self, event: smtp.RcptTo) -> Reply:
        recipient = event.recipient
        try:
            found = self._examine(recipient.address)
        except DirectoryError as error:
            self._desk.log.warning("directory failed", recipient=str(recipient.address), error=str(error))
            found = _NO_DIRECTORY
        if isinstance(found, Reply):
            return self._refuse(recipient, found)
        self._recipients.append(Named(recipient, found))
        self._targets += len(found)
        return _OK_RECIPIENT

    def _examine(self, address: Address) -> Sequence[Address] | Reply:
        """What it stands for, or why it is not taken. Raises DirectoryError."""
        for stage in RECIPIENT_STAGES:
            reply = stage(self, address)
            if reply is not None:
                return reply
        targets = self._find_targets(address)
        for check in TARGET_STAGES:
            reply = check(self, targets)
            if reply is not None:
                return reply
        return targets

    def _refuse(self, recipient: Recipient, reply: Reply) -> Reply:
        self._desk.figures.refused_recipients.inc()
        self._desk.log.info(
            "recipient refused",
            peer=self.peer.address,
            helo=self._helo,
            sender=str(self._sender or ""),
            recipient=str(recipient.address),
            reply=str(reply),
        )
        return reply

    def _find_targets(self, address: Address) -> Sequence[Address]:
        """What an address stands for. Role addresses become the postmaster setting, and what that stands for."""
        desk = self._desk
        if self.is_role_address(address):
            address = desk.settings.postmaster or self._nobody
        return desk.directory.expand(address) if address.domain else (address,)

    @property
    def _nobody(self) -> Address:
        """Stands for the postmaster that nobody named: mail to it is held."""
        return Address(LocalPart("postmaster"), Domain(self._desk.settings.hostname.lower()))

    def _is_nobodys(self, target: Address) -> bool:
        """A role address that leads to nobody: no postmaster is set, and there is no administrator."""
        desk = self._desk
        if target.local.lower() not in _ROLES:
            return False
        if desk.settings.postmaster is None and target == self._nobody:
            return True
        is_ours = desk.directory.look_up(target) is Standing.KNOWN and not desk.policy.is_open_to_anyone(target)
        return is_ours and desk.directory.mailbox_of(target) is None

    def data(self) -> Reply:
        return _GO_AHEAD

    def body(self, piece: bytes) -> asyncio.Future[None] | None:
        """Small bodies stay in memory; beyond the inline limit they go to a file in slices, while the peer waits."""
        self._pieces.append(piece)
        self._size += len(piece)
        limit = self._desk.settings.inline_limit if self._writer is None else self._desk.settings.write_slice
        waiting = sum(map(len, self._pieces)) if self._writer is not None else self._size
        if waiting <= limit:
            return None
        return asyncio.ensure_future(self._write_slice())

    def end(self, event: smtp.MessageEnd) -> Reply | asyncio.Future[Reply] | asyncio.Future[list[Reply]]:
        if event.problem is not None:
            self._note_refusal(event.problem)
            self.reset()
            return event.problem
        mailboxes = self._desk.mailboxes
        if mailboxes is not None:
            return asyncio.ensure_future(self._deliver_now(mailboxes))
        if self._writer is not None:
            return asyncio.ensure_future(self._accept_large(self._writer))
        try:
            return self._accept(InlineBody(b"".join(self._pieces) if len(self._pieces) != 1 else self._pieces[0]))
        except SpoolError as error:  # no shard takes mail now
            self.reset()
            return refusal_for(error)

    def etrn(self, domain: str) -> Reply:
        if not self.is_trusted:
            return Reply(458, "4.7.0", "Not for you")  # RFC 1985 §5.3
        self._desk.onward.retry_domain(domain)
        return Reply(250, "2.0.0", "Queue run started")

    def reset(self) -> None:
        if self._writer is not None:
            self._writer.discard()
            self._writer = None
        self._mail = None
        self._recipients = []
        self._targets = 0
        self._pieces = []
        self._size = 0
        self._head = None
        self._spool = None

    def closed(self) -> None:
        self.reset()

    # -- a message

    @property
    def _sender(self) -> Address | None:
        return self._mail.sender if self._mail is not None else None

    async def _write_slice(self) -> None:
        data = b"".join(self._pieces)
        self._pieces = []
        try:
            if self._writer is None:
                self._head = inspect_head(data[: self._desk.settings.max_header_octets])
                self._spool = self._desk.spool()
                self._writer = self._spool.open_body()
            await self._writer.write(data)
        except SpoolError as error:
            # The peer goes on sending; what comes is dropped and `end` answers.
            self._desk.log.warning("body could not be written", peer=self.peer.address, reason=str(error))
            self._writer = FailedWriter(error)

    async def _accept_large(self, writer: BodyWriter) -> Reply:
        try:
            if self._pieces:
                await writer.write(b"".join(self._pieces))
                self._pieces = []
            body = await writer.finish()
        except SpoolError as error:
            self.reset()
            return refusal_for(error)
        if self._mail is None:
            return _GONE
        self._writer = None  # from here on the spool owns the file
        return await _as_future(self._accept(body))

    def _accept(self, body: Body) -> Reply | asyncio.Future[Reply]:
        head = self._head
        if head is None:
            head = inspect_head(body.inline or b"")
        if head.received_count > self._desk.settings.max_received:
            self._note_refusal(_LOOP)
            self.reset()
            return _LOOP
        spool = self._spool or self._desk.spool()
        expansion = expand_recipients(self._recipients, self._key_of)
        return Acceptance(self, spool, self._make_message(spool, body, head, expansion)).reply

    def _key_of(self, address: Address) -> Hashable:
        """The mailbox and what the subaddress says; of addresses elsewhere, themselves."""
        try:
            local = self._desk.directory.mailbox_of(address)
        except DirectoryError:
            return address
        return address if local is None else (local.account, local.detail)

    def _make_message(self, spool: Spool, body: Body, head: HeadFacts, expansion: Expansion) -> NewMessage:
        desk, mail = self._desk, self._mail
        assert mail is not None
        now = desk.clock.now()
        queue_id = spool.reserve_id()
        recipients, named = expansion.recipients, self._recipients
        sole = named[0].recipient.address if len(named) == 1 else None
        held = frozenset([number for number, one in enumerate(recipients) if self._is_nobodys(one.address)])
        trace = self._make_trace(mail, queue_id, sole, now)
        envelope = Envelope(mail.sender, recipients, mail.body, mail.smtputf8, mail.ret, mail.envid, mail.mt_priority)
        return NewMessage(
            queue_id,
            envelope,
            trace,
            body,
            now,
            desk.onward.first_retry(now, body.size),
            source=self.peer.label,
            message_id=head.message_id,
            held=len(held) == len(recipients),
            held_numbers=held,
        )

    def _make_trace(self, mail: smtp.MailFrom, queue_id: QueueId, sole: Address | None, now: Instant) -> bytes:
        if self.peer.uid is not None:
            return make_local_received(self._desk.settings.hostname, self.peer.uid, queue_id, now)
        is_lmtp = self._desk.mailboxes is not None
        has_tls = bool(self.peer.tls_version)
        protocol = with_protocol(lmtp=is_lmtp, extended=self._extended, utf8=mail.smtputf8, tls=has_tls)
        if not self._prefix or self._prefix_name != self.peer.name:  # the name may come late (mta/peer_names.py)
            self._prefix_name = self.peer.name
            self._prefix = received_prefix(self._origin())
        return complete_received(self._prefix, protocol, queue_id, sole, now)

    def is_role_address(self, address: Address) -> bool:
        """The server's own people: `<Postmaster>`, postmaster and abuse at our name (RFC 5321 §4.5.1, RFC 2142 §4).

        Of a local user's mail (cron's to root) everybody at our name, unless that domain is hosted or routed.
        """
        if not address.domain:
            return True
        desk = self._desk
        if address.domain != desk.settings.hostname.lower():
            return False
        if self.peer.uid is None and address.local.lower() not in _ROLES:
            return False
        return desk.directory.look_up(address) is Standing.ELSEWHERE and not desk.policy.is_open_to_anyone(address)

    def _origin(self) -> Origin:
        peer = self.peer
        tls = describe_tls(peer.tls_version, peer.tls_cipher, peer.tls_bits) if peer.tls_version else ""
        return Origin(self._desk.settings.hostname, self._helo, peer.name, peer.address, tls)

    async def _deliver_now(self, mailboxes: LocalDelivery) -> list[Reply]:
        """LMTP: every recipient its own reply, after its delivery (RFC 2033 §4.2)."""
        try:
            body: Body
            if self._writer is not None:
                if self._pieces:
                    await self._writer.write(b"".join(self._pieces))
                body = await self._writer.finish()
            else:
                body = InlineBody(b"".join(self._pieces))
            if self._mail is None:
                return [_GONE]
            head = self._head or inspect_head(body.inline or b"")
            spool = self._spool or self._desk.spool()
            if head.received_count > self._desk.settings.max_received:
                return [_LOOP] * len(self._recipients)
            expansion = expand_recipients(self._recipients, self._key_of)
            new = self._make_message(spool, body, head, expansion)
            self.note_received(new)
            replies = await mailboxes.deliver(new, spool)
            return [join_replies([replies[place] for place in places]) for places in expansion.places]
        except SpoolError as error:
            return [refusal_for(error)] * len(self._recipients)
        finally:
            self.reset()

    def note_received(self, new: NewMessage) -> None:
        """We have it: journal, log and figures."""
        desk, size = self._desk, len(new.trace) + new.body.size
        targets = [str(recipient.address) for recipient in new.envelope.recipients]
        named = [str(each.recipient.address) for each in self._recipients]
        sender = str(new.envelope.sender or "")
        desk.figures.accepted.inc()
        desk.figures.accepted_octets.inc(size)
        desk.journal.record(
            "received",
            new.id,
            sender=sender,
            recipients=named,
            targets=targets if targets != named else None,
            size=size,
            peer=new.source,
            helo=self._helo,
            tls=self.peer.tls_version,
            message_id=new.message_id,
        )
        desk.log.info("received", id=new.id, sender=sender, recipients=len(targets), size=size, peer=new.source)

    def _note_refusal(self, reply: Reply) -> None:
        self._desk.figures.put_off.inc()
        self._desk.log.info("message refused", peer=self.peer.address, sender=str(self._sender or ""), reply=str(reply))


class Acceptance:
    """One message between the last dot and its reply. `reply` resolves when the spool has answered."""

    __slots__ = ("_desk", "_new", "_session", "reply")

    def __init__(self, session: InboundSession, spool: Spool, new: NewMessage) -> None:
        self._desk = session._desk
        self._session = session
        self._new = new
        self.reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        try:
            spool.accept(new).add_done_callback(self._stored)
        except SpoolError as error:
            self._answer(refusal_for(error))

    def _stored(self, stored: asyncio.Future[QueuedMessage]) -> None:
        error = stored.exception()
        if error is None:
            self._note(stored.result())
            return
        if not isinstance(error, SpoolError):
            self._desk.log.error("message could not be stored", id=self._new.id, error=repr(error))
        self._answer(refusal_for(error))

    def _note(self, message: QueuedMessage) -> None:
        new = self._new
        self._session.note_received(new)
        self._answer(Reply(250, "2.0.0", f"Ok: queued as {new.id}"))
        if not new.held:
            self._desk.onward.take(message)

    def _answer(self, reply: Reply) -> None:
        if reply.code != 250:
            self._desk.figures.put_off.inc()
            self._desk.log.warning("message not taken", peer=self._session.peer.address, reply=str(reply))
        self._session.reset()
        if not self.reply.done():
            self.reply.set_result(reply)


async def _as_future(answer: Reply | asyncio.Future[Reply]) -> Reply:
    return answer if isinstance(answer, Reply) else await answer


def _answer_after(delay_s: float, reply: Reply) -> asyncio.Future[Reply]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Reply] = loop.create_future()
    loop.call_later(delay_s, _resolve, answer, reply)
    return answer


def _resolve(answer: asyncio.Future[Reply], reply: Reply) -> None:
    if not answer.done():
        answer.set_result(reply)


# -- stages for a recipient


def refuse_relaying(session: InboundSession, address: Address) -> Reply | None:
    """Strangers may only send to what is ours or open to anyone."""
    if session.is_trusted or session.is_role_address(address):
        return None
    desk = session._desk
    if desk.directory.look_up(address) is not Standing.ELSEWHERE or desk.policy.is_open_to_anyone(address):
        return None
    return _NO_RELAY


def refuse_second_address(session: InboundSession, address: Address) -> Reply | None:
    """`user%elsewhere@ours`, `elsewhere!user@ours`, `"user@elsewhere"@ours`: a next host might send it on."""
    if session.is_trusted or not any(character in address.local for character in "%!@"):
        return None
    return None if session._desk.policy.delivers_here(address) else _NO_RELAY


def refuse_unknown(session: InboundSession, address: Address) -> Reply | None:
    if address.domain and session._desk.directory.look_up(address) is Standing.UNKNOWN:
        return _UNKNOWN
    return None


# -- stages for what it stands for


def refuse_too_many(session: InboundSession, targets: Sequence[Address]) -> Reply | None:
    """A message to many large aliases comes in several transactions."""
    limit = session._desk.settings.max_targets
    return _TOO_MANY if session._targets and session._targets + len(targets) > limit else None


def refuse_full(session: InboundSession, targets: Sequence[Address]) -> Reply | None:
    """Of an alias those that have room get it; the others' fate is told by a report."""
    desk = session._desk
    if desk.room is None:
        return None
    octets = session._mail.size if session._mail is not None else 0
    for target in targets:
        box = desk.directory.mailbox_of(target)
        if box is None or desk.room.has_room(box.account, octets):
            return None
    return _FULL_MAILBOX if desk.settings.refuses_full else _FULL_NOW


RecipientStage = Callable[[InboundSession, Address], Reply | None]
RECIPIENT_STAGES: tuple[RecipientStage, ...] = (refuse_relaying, refuse_second_address, refuse_unknown)
TargetStage = Callable[[InboundSession, Sequence[Address]], Reply | None]
TARGET_STAGES: tuple[TargetStage, ...] = (refuse_too_many, refuse_full)
