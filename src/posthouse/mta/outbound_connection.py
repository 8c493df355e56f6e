"""An open connection to a next hop that delivers one message after the other (RFC 5321 §3.3, RFC 2033).

Trusts the spool (a body's lines end in CRLF) and nothing that the peer says. Keeps no state that outlives the
process: until `deliver` returns Delivered the message is the queue's, so a crash sends it again (RFC 5321 §4.5.4.1
prefers a duplicate to a loss). Does not decide about retries, and does not re-encode: `adapt` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType, Envelope
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound_types import (
    Adapt,
    AdaptedMessage,
    DeliveryResult,
    Mode,
    NotTried,
    OutboundSettings,
    StaleConnection,
)
from posthouse.mta.outbound_wire import Wire, WireFailed
from posthouse.ports.spool import Body, QueuedMessage, QueuedRecipient, SpoolError
from posthouse.ports.stream import TlsFacts
from posthouse.protocol.smtp.client import TOO_MANY, Manner, Step, TooMany, Transaction
from posthouse.protocol.smtp.client_commands import mail_command, rcpt_command
from posthouse.protocol.smtp.client_data import DotStuffer, stuff_whole
from posthouse.protocol.smtp.client_extensions import Extensions

SLICE_OCTETS = 131072
MAX_HEADER_OCTETS = 1 << 20  # how far a file is read to see whether its header is ASCII

# Reading a member off its enum class costs 100 ns each time.
_BODY: Final = Step.BODY
_DONE: Final = Step.DONE
_NEEDS_UTF8 = Reply(550, "5.6.7", "The next host does not accept internationalised mail (SMTPUTF8)")


@dataclass(frozen=True, slots=True)
class HopFacts:
    """What an opened connection is, fixed for its life."""

    mode: Mode
    extensions: Extensions
    capabilities: HopCapabilities
    settings: OutboundSettings
    adapt: Adapt


class Connection:
    """Made by `Connector.open`. One `deliver` at a time."""

    __slots__ = (
        "_facts",
        "_has_said_quit",
        "_is_last",
        "_is_open",
        "_mails",
        "_needs_reset",
        "_rcpt_max",
        "_usual_manner",
        "_wire",
        "messages_sent",
    )

    def __init__(self, wire: Wire, facts: HopFacts) -> None:
        self._wire = wire
        self._facts = facts
        self._is_open = True
        self._is_last = False
        self._has_said_quit = False
        self._needs_reset = False
        self._mails = 0  # transactions begun
        self._rcpt_max = facts.extensions.rcpt_max
        self._usual_manner = Manner(facts.extensions.pipelining, lmtp=facts.mode is Mode.LMTP)
        self.messages_sent = 0

    @property
    def remote(self) -> str:
        """For logs, reports and `Outcome.remote`: "mx1.example.net[192.0.2.1]:25"."""
        return self._wire.label

    @property
    def extensions(self) -> Extensions:
        return self._facts.extensions

    @property
    def tls(self) -> TlsFacts | None:
        return self._wire.stream.tls

    @property
    def max_recipients(self) -> int | None:
        """Recipients in one transaction, as announced (RFC 9422 §4.2) or as learnt from a refusal. None: no limit."""
        return self._rcpt_max

    @property
    def max_messages(self) -> int | None:
        """Transactions in one connection (RFC 9422 §4.1). None: no limit."""
        return self._facts.extensions.mail_max

    @property
    def is_reusable(self) -> bool:
        """Another message may be tried here."""
        limit = self._facts.extensions.mail_max
        if self._has_said_quit:
            return False
        return self._is_open and not self._wire.has_input and (limit is None or self._mails < limit)

    async def deliver(
        self, message: QueuedMessage, recipients: Sequence[QueuedRecipient], *, is_last: bool = False
    ) -> list[DeliveryResult]:
        """One transaction. The results are in the order of `recipients`.

        `is_last`: nothing else will be sent here, so QUIT may go out behind the final dot (RFC 2920 §3.1); call
        `quit` all the same.
        Raises StaleConnection when this connection was used before and died before anything of this message was
        accepted.
        """
        if not self.is_reusable:
            self.close()
            return self._give_up(recipients)
        self._is_last = is_last and self._facts.extensions.pipelining
        try:
            adapted = await self._adapt(message)
        except SpoolError as error:
            return [_unreadable(error)] * len(recipients)
        if isinstance(adapted, Refused):
            return [adapted] * len(recipients)
        with_utf8 = message.envelope.smtputf8 and self._facts.capabilities.smtputf8
        if with_utf8 or not message.envelope.smtputf8:
            return await self._deliver_limited(message.envelope, adapted, recipients, with_utf8)
        return await self._deliver_downgraded(message.envelope, adapted, recipients)

    def _give_up(self, recipients: Sequence[QueuedRecipient]) -> list[DeliveryResult]:
        if self._mails:
            raise StaleConnection(self.remote)
        text = f"{self.remote} closed the connection or spoke unasked before the first message"
        return [Deferred(Reply(451, "4.4.2", text), self.remote, site_failed=True)] * len(recipients)

    async def reset(self) -> bool:
        """Ask with RSET whether the connection is alive; False: it is closed now."""
        with contextlib.suppress(WireFailed):
            if self._is_open and (await self._wire.ask(b"RSET\r\n", Step.RSET)).is_positive:
                self._needs_reset = False
                return True
        self.close()
        return False

    async def quit(self) -> None:
        """Say QUIT, wait a little for the answer (RFC 5321 §4.1.1.10), close. Never raises."""
        if self._is_open:
            if not self._has_said_quit:
                self._wire.write(b"QUIT\r\n")
            with contextlib.suppress(WireFailed):
                await self._wire.next_reply(Step.QUIT)
        self.close()

    def close(self) -> None:
        self._is_open = False
        self._wire.close()

    async def _adapt(self, message: QueuedMessage) -> AdaptedMessage | Refused:
        hop = self._facts.capabilities
        body = message.envelope.body
        if (hop.eightbitmime and body is not BodyType.BINARYMIME) or (hop.binarymime and body is BodyType.BINARYMIME):
            return AdaptedMessage(message.trace, message.body, body)
        return await self._facts.adapt(message, hop)

    async def _deliver_downgraded(
        self, envelope: Envelope, adapted: AdaptedMessage, recipients: Sequence[QueuedRecipient]
    ) -> list[DeliveryResult]:
        """Without SMTPUTF8 at the hop: only what turns out to be ASCII, domains as A-labels (RFC 6531 §3.2)."""
        refused = Refused(_NEEDS_UTF8, self.remote)
        sender = envelope.sender
        try:
            if (sender is not None and sender.needs_smtputf8) or not await _has_ascii_header(adapted):
                return [refused] * len(recipients)
        except SpoolError as error:
            return [_unreadable(error)] * len(recipients)
        possible = [each for each in recipients if not each.recipient.address.needs_smtputf8]
        if not possible:
            return [refused] * len(recipients)
        results = iter(await self._deliver_limited(envelope, adapted, possible, False))
        return [refused if each.recipient.address.needs_smtputf8 else next(results) for each in recipients]

    async def _deliver_limited(
        self, envelope: Envelope, adapted: AdaptedMessage, recipients: Sequence[QueuedRecipient], with_utf8: bool
    ) -> list[DeliveryResult]:
        hop = self._facts.extensions
        size = adapted.size
        if hop.size and size > hop.size:  # RFC 1870 §6.1
            text = f"Message of {size} octets is larger than the {hop.size} that the next host takes"
            return [Refused(Reply(552, "5.3.4", text), self.remote)] * len(recipients)
        now = recipients[: self._rcpt_max]
        mail = mail_command(envelope, size, self._choose_body_type(adapted), hop, with_utf8)
        rcpts = [rcpt_command(each.recipient, hop, with_utf8) for each in now]
        transaction = Transaction(mail, rcpts, self._choose_manner(adapted))
        results = await self._run(transaction, adapted)
        rest = len(recipients) - len(now)
        return results + [NotTried(self.remote)] * rest if rest else results

    def _choose_body_type(self, adapted: AdaptedMessage) -> BodyType:
        """What was declared, or 8BITMIME where we see that the sender's declaration was too modest."""
        inline = adapted.body.inline
        if adapted.body_type is BodyType.SEVENBIT and inline is not None and not inline.isascii():
            return BodyType.EIGHTBITMIME
        return adapted.body_type

    def _choose_manner(self, adapted: AdaptedMessage) -> Manner:
        facts = self._facts
        is_binary = adapted.body_type is BodyType.BINARYMIME  # RFC 3030 §3: never with DATA
        is_large = facts.settings.use_chunking and adapted.body.size >= facts.settings.chunking_from
        is_chunked = is_binary or (is_large and facts.extensions.chunking)
        if not is_chunked and not self._needs_reset:
            return self._usual_manner
        return replace(self._usual_manner, bdat=is_chunked, reset=self._needs_reset)

    async def _run(self, transaction: Transaction, adapted: AdaptedMessage) -> list[DeliveryResult]:
        """Drive one transaction to its end and say what came of it."""
        is_reused = self._mails > 0
        self._mails += 1
        failed: WireFailed | None = None
        try:
            await self._converse(transaction, adapted)
        except WireFailed as error:
            failed = error
        except BaseException:
            self.close()  # cancelled in the middle: nobody may go on here
            raise
        self._needs_reset = transaction.needs_reset
        if failed is not None or transaction.is_broken:
            self.close()
            if is_reused and not transaction.has_answer:
                raise StaleConnection(self.remote)
        return self._collect(transaction, failed)

    async def _converse(self, transaction: Transaction, adapted: AdaptedMessage) -> None:
        wire = self._wire
        wire.write(transaction.start())
        while (step := transaction.step) is not _DONE:
            if step is _BODY:
                await self._send_body(transaction, adapted)
                transaction.body_sent()
                continue
            line = transaction.take(await wire.next_reply(step))
            if line:
                wire.write(line)

    async def _send_body(self, transaction: Transaction, adapted: AdaptedMessage) -> None:
        wire = self._wire
        if wire.has_input:  # an answer to a message that it has not seen would be taken for the answer to it
            raise WireFailed(Reply(451, "4.5.0", f"{wire.label} answers before it is asked"), Step.BODY)
        inline = adapted.body.inline
        if inline is not None and not transaction.is_chunked:
            self._has_said_quit = self._is_last
            wire.write(stuff_whole(adapted.trace + inline, b"QUIT\r\n" if self._is_last else b""))
            return
        try:
            if transaction.is_chunked:
                wire.write(b"BDAT %d LAST\r\n%b" % (adapted.size, adapted.trace))
                await self._send_chunk(adapted.body, inline)
            else:
                await self._send_stuffed(adapted)
        except SpoolError as error:
            raise WireFailed(Reply(451, "4.3.0", f"message cannot be read: {error}"), Step.BODY) from None
        except WireFailed as failed:
            await self._hear_last_words(transaction, failed)

    async def _send_chunk(self, body: Body, inline: bytes | None) -> None:
        if inline is not None:
            self._wire.write(inline)
            await self._wire.drain(Step.BODY)
            return
        for offset in range(0, body.size, SLICE_OCTETS):
            self._wire.write(await _read_slice(body, offset))
            await self._wire.drain(Step.BODY)

    async def _send_stuffed(self, adapted: AdaptedMessage) -> None:
        stuffer = DotStuffer()
        self._wire.write(stuffer.stuff(adapted.trace))
        for offset in range(0, adapted.body.size, SLICE_OCTETS):
            self._wire.write(stuffer.stuff(await _read_slice(adapted.body, offset)))
            await self._wire.drain(Step.BODY)
        self._wire.write(stuffer.finish())

    async def _hear_last_words(self, transaction: Transaction, failed: WireFailed) -> None:
        """A server that hangs up on a large message often said why ("552 too big"); that is the better answer."""
        if not self._wire.has_input:
            raise failed
        reply = await self._wire.next_reply(Step.QUIT)
        if reply.code >= 400:
            transaction.body_sent()
            transaction.take(reply)
        raise failed

    def _collect(self, transaction: Transaction, failed: WireFailed | None) -> list[DeliveryResult]:
        common = transaction.common_verdict
        if common is not None and common.code < 300:
            self.messages_sent += 1
            return [self._make_delivered(common)] * transaction.accepted
        verdicts = transaction.verdicts()
        results: list[DeliveryResult] = [self._weigh(verdict, failed) for verdict in verdicts]
        if any(isinstance(result, Delivered) for result in results):
            self.messages_sent += 1
        if TOO_MANY in verdicts:
            self._rcpt_max = transaction.accepted
        return results

    def _weigh(self, verdict: Reply | TooMany | None, failed: WireFailed | None) -> DeliveryResult:
        if isinstance(verdict, TooMany):
            return NotTried(self.remote)
        if verdict is not None:
            return self._judge(verdict)
        # No answer. Before the body it is the site's fault; behind it the message itself may be what kills the peer.
        reply = failed.reply if failed is not None else Reply(451, "4.5.0", "no answer for this recipient")
        return Deferred(reply, self.remote, site_failed=failed is not None and failed.step < Step.BODY)

    def _judge(self, reply: Reply) -> Outcome:
        if reply.code >= 500:
            return Refused(reply, self.remote)
        if reply.code >= 400:
            return Deferred(reply, self.remote, site_failed=reply.code == 421)
        return self._make_delivered(reply)

    def _make_delivered(self, reply: Reply) -> Delivered:
        is_relayed = self._facts.mode is not Mode.LMTP
        return Delivered(reply, self.remote, is_relayed, is_relayed and self._facts.extensions.dsn)


def _unreadable(error: SpoolError) -> Deferred:
    return Deferred(Reply(451, "4.3.0", f"message cannot be read: {error}"))


async def _read_slice(body: Body, offset: int) -> bytes:
    piece = await body.read(offset, SLICE_OCTETS)
    if len(piece) != min(SLICE_OCTETS, body.size - offset):
        raise SpoolError("body is shorter than it was")
    return piece


async def _has_ascii_header(adapted: AdaptedMessage) -> bool:
    """Whether the header section has no UTF-8 (RFC 6532 §3), so that SMTPUTF8 is not needed for it."""
    start = adapted.body.inline
    if start is None:
        start = await adapted.body.read(0, MAX_HEADER_OCTETS)
    end = start.find(b"\r\n\r\n")
    return adapted.trace.isascii() and (start if end < 0 else start[:end]).isascii()
