"""The ways to send from the message store (ports/sending.py): the Outbox, UID SUBMIT, and the program's own Sent copy.

All of them end in submit(). Of several messages each is checked before the first is sent, so that a refusal means that
nothing went; what the store refuses between two of them is told with how many had gone. sending.md rules 1 to 10.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.mailbox import AccountId, EmailId, MailboxId
from posthouse.message.reply import Reply
from posthouse.message.trace import Origin, hidden_prefix
from posthouse.msa import outbox
from posthouse.msa.rails import refuse_for_outbox
from posthouse.msa.sent import SentParts, file_upload
from posthouse.msa.submit import Refused, SubmitOptions, Submitted, Submitter
from posthouse.ports.clock import Clock
from posthouse.ports.login import Login
from posthouse.ports.sending import SendRefused, SentCopy, WantedEnvelope
from posthouse.ports.store import Added, Addition, Annotations, Blobs, Mailboxes
from posthouse.protocol.smtp.grammar import CommandError
from posthouse.protocol.smtp.params import parse_mail_parameters, parse_rcpt_parameters

_OFFERED = frozenset({"BODY", "SMTPUTF8", "RET", "ENVID", "MT-PRIORITY", "NOTIFY", "ORCPT"})


@dataclass(frozen=True, slots=True)
class DoorParts:
    """`undo_s`: what goes by the Outbox waits that long in Scheduled. `outbox`: the name of that mailbox."""

    submitter: Submitter
    sent: SentParts
    mailboxes: Mailboxes
    blobs: Blobs
    annotations: Annotations
    clock: Clock
    hostname: str
    outbox: str = "Outbox"
    undo_s: float = 0.0


class Doors:
    """`posthouse.ports.sending.Sending`."""

    def __init__(self, parts: DoorParts) -> None:
        self._parts = parts
        self._prefix = hidden_prefix(Origin(parts.hostname, "", "", "", ""))

    # -- the Outbox

    async def is_outbox_on(self, account: AccountId) -> bool:
        return await outbox.is_open(self._parts.annotations, account)

    async def note_annotation(self, account: AccountId, entry: str) -> None:
        if entry == outbox.ENTRY:
            is_on = await self.is_outbox_on(account)
            await outbox.follow(self._parts.mailboxes, account, self._parts.outbox, is_on=is_on)

    async def send(self, login: Login, messages: Sequence[bytes], source: str) -> list[SentCopy]:
        parts = self._parts
        is_on, now = await self.is_outbox_on(login.account), parts.clock.now()
        for message in messages:
            _refuse(refuse_for_outbox(message, len(messages), now, is_on=is_on))
            _refuse(parts.submitter.check(login, message))
        sent: list[SentCopy] = []
        for message in messages:
            options = SubmitOptions(undo_s=parts.undo_s, prefix=self._prefix, protocol="IMAP")
            result = await parts.submitter.submit(login, message, None, options, source)
            if isinstance(result, Refused):
                raise _make_refusal(result.reply, len(sent))
            sent.append(_describe(result))
        return sent

    # -- what lies in the store

    async def send_stored(self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str) -> SentCopy:
        octets = await self._parts.blobs.read(login.account, email)
        options = SubmitOptions(existing=email, prefix=self._prefix, protocol="IMAP")
        result = await self._parts.submitter.submit(login, octets, _make_envelope(login, envelope), options, source)
        if isinstance(result, Refused):
            raise _make_refusal(result.reply)
        return _describe(result)

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        return await file_upload(self._parts.sent, login, mailbox, octets, addition)


def _refuse(reply: Reply | None) -> None:
    if reply is not None:
        raise _make_refusal(reply)


def _make_refusal(reply: Reply, gone: int = 0) -> SendRefused:
    text = f"{reply.enhanced} {reply.text}"
    if gone:
        text += f" ({gone} of them were sent before this one)"
    return SendRefused(text, is_policy=".7." in reply.enhanced, is_temporary=reply.code < 500)


def _describe(result: Submitted) -> SentCopy:
    return SentCopy(result.mailbox, result.uid, result.uidvalidity, result.is_repeat)


def _make_envelope(login: Login, wanted: WantedEnvelope) -> Envelope | None:
    """None: by the message. Raises SendRefused."""
    if wanted.sender is None and not wanted.recipients and not wanted.options:
        return None
    try:
        mail = parse_mail_parameters(_write_parameters(wanted.options), _OFFERED)
        recipients = tuple(_make_recipient(address, said) for address, said in wanted.recipients)
        sender = _parse(wanted.sender if wanted.sender is not None else login.name) if wanted.sender != "" else None
    except CommandError as refused:
        raise _make_refusal(refused.reply) from None
    return Envelope(sender, recipients, mail.body, mail.smtputf8, mail.ret, mail.envid, mail.mt_priority)


def _make_recipient(address: str, said: Mapping[str, str | None]) -> Recipient:
    parameters = parse_rcpt_parameters(_write_parameters(said), _OFFERED)
    return Recipient(_parse(address), parameters.notify, parameters.orcpt)


def _write_parameters(said: Mapping[str, str | None]) -> str:
    return " ".join(name if value is None else f"{name}={value}" for name, value in said.items())


def _parse(address: str) -> Address:
    try:
        return parse_address(address)
    except AddressError as error:
        raise SendRefused(f"5.1.3 <{address}> is not an address: {error}") from None
