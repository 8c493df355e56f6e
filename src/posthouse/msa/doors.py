"""The ways to send from the message store (ports/sending.py): the Outbox, UID SUBMIT, and the program's own Sent copy.

All of them end in submit(). Of several messages each is checked before the first is sent, so that a refusal means that
nothing went; what the store refuses between two of them is told with how many had gone. sending.md rules 1 to 10.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, Role
from posthouse.message.reply import Reply
from posthouse.message.trace import Origin, hidden_prefix
from posthouse.msa import outbox
from posthouse.msa.rails import OUTBOX_IS_OFF, refuse_for_outbox
from posthouse.msa.sent import SentParts, file_upload
from posthouse.msa.submit import Refused, SubmitOptions, Submitted, Submitter
from posthouse.ports.clock import Clock
from posthouse.ports.login import Login, Scope
from posthouse.ports.sending import SendRefused, SentCopy, WantedEnvelope
from posthouse.ports.store import Added, Addition, Annotations, Blobs, Changes, Fields, Mailboxes, Submission
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
    changes: Changes
    clock: Clock
    hostname: str
    outbox: str = "Outbox"
    undo_s: float = 0.0


class Doors:
    """`posthouse.ports.sending.Sending`."""

    def __init__(self, parts: DoorParts) -> None:
        self._parts = parts
        self._prefix = hidden_prefix(Origin(parts.hostname, "", "", "", ""))
        self._busy: set[tuple[AccountId, EmailId]] = set()  # what `send_stored` is at

    # -- the Outbox

    async def is_outbox_on(self, account: AccountId) -> bool:
        return await outbox.is_open(self._parts.annotations, account)

    def check_annotation(self, login: Login, entry: str, value: bytes | None) -> None:
        if entry != outbox.ENTRY:
            return
        if Scope.SEND not in login.scopes:
            raise SendRefused(
                "5.7.1 This password may not be used to send mail, nor to open the Outbox", is_policy=True
            )
        if value is not None and value.strip().lower() not in outbox.STATES:
            raise SendRefused('5.5.4 The Outbox is "on" or "off"')

    async def note_annotation(self, account: AccountId, entry: str) -> None:
        if entry == outbox.ENTRY:
            is_on = await self.is_outbox_on(account)
            await outbox.follow(self._parts.mailboxes, account, self._parts.outbox, is_on=is_on)

    async def send(
        self, login: Login, messages: Sequence[bytes], source: str, emails: Sequence[EmailId] = ()
    ) -> list[SentCopy]:
        parts = self._parts
        is_on, now = await self.is_outbox_on(login.account), parts.clock.now()
        waiting = [await parts.sent.submissions.waiting(login.account, email) for email in emails]
        waiting += [None] * (len(messages) - len(waiting))
        fresh = [message for message, one in zip(messages, waiting, strict=True) if one is None]
        if not is_on and not fresh:
            _refuse(OUTBOX_IS_OFF)
        for message in fresh:
            _refuse(refuse_for_outbox(message, len(messages), now, is_on=is_on))
        _refuse(await parts.submitter.check(login, fresh))
        sent: list[SentCopy] = []
        for message, one in zip(messages, waiting, strict=True):
            try:
                copy = None if one is None else await self._release(login, one)
                sent.append(copy or await self._send_fresh(login, message, source))
            except SendRefused as refusal:
                raise _tell_gone(refusal, len(sent)) from None
        return sent

    async def _send_fresh(self, login: Login, message: bytes, source: str) -> SentCopy:
        options = SubmitOptions(undo_s=self._parts.undo_s, prefix=self._prefix, protocol="IMAP")
        return _describe(await self._parts.submitter.submit(login, message, None, options, source))

    async def _release(self, login: Login, waiting: Submission) -> SentCopy | None:
        result = await self._parts.submitter.release(login, waiting)
        return None if result is None else replace(_describe(result), is_released=True)

    async def note_removed(self, account: AccountId, since: ModSeq) -> None:
        changed = await self._parts.changes.in_account(account, since)
        await self._parts.submitter.handover.trace_canceled(account, changed.submissions_changed)

    # -- what lies in the store

    async def send_stored(
        self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str, *, files: bool = False
    ) -> SentCopy:
        with self.hold_email(login.account, email):
            return await self._send_stored(login, email, envelope, source, files)

    @contextmanager
    def hold_email(self, account: AccountId, email: EmailId) -> Iterator[None]:
        """Nobody else sends it meanwhile. Raises SendRefused."""
        key = account, email
        if key in self._busy:
            raise SendRefused("5.5.0 That message is being submitted in this moment", is_race=True)
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)

    async def _send_stored(
        self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str, files: bool
    ) -> SentCopy:
        parts, wanted = self._parts, _make_envelope(login, envelope)
        waiting = await parts.sent.submissions.waiting(login.account, email) if files and wanted is None else None
        copy = None if waiting is None else await self._release(login, waiting)
        if copy is not None:
            return copy
        octets = await parts.blobs.read(login.account, email)
        is_filed = not files or await self._is_in_sent(login.account, email)
        options = SubmitOptions(
            undo_s=0.0 if is_filed else parts.undo_s,
            existing=email if is_filed else None,
            prefix=self._prefix,
            protocol="IMAP",
            identity=f"email {email}" if files else "",
        )
        return _describe(await parts.submitter.submit(login, octets, wanted, options, source))

    async def _is_in_sent(self, account: AccountId, email: EmailId) -> bool:
        boxes = await self._parts.mailboxes.list_all(account)
        sent = next((box.id for box in boxes if box.role is Role.SENT), None)
        rows = await self._parts.sent.messages.load_emails(account, [email], Fields.NONE)
        return sent is not None and bool(rows) and sent in rows[0].placements

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        return await file_upload(self._parts.sent, login, mailbox, octets, addition)


def _refuse(reply: Reply | None) -> None:
    if reply is not None:
        raise make_refusal(reply)


def make_refusal(reply: Reply) -> SendRefused:
    is_temporary = reply.code < 500
    is_about_policy = ".7." in reply.enhanced
    return SendRefused(
        f"{reply.enhanced} {reply.text}",
        is_policy=is_about_policy and not is_temporary,
        is_temporary=is_temporary,
        is_limit=is_about_policy and is_temporary,
    )


def _tell_gone(refusal: SendRefused, gone: int) -> SendRefused:
    if gone:
        refusal.text += f" ({gone} of them were sent before this one)"
    return refusal


def _describe(result: Submitted | Refused) -> SentCopy:
    """Raises SendRefused."""
    if isinstance(result, Refused):
        raise make_refusal(result.reply)
    return SentCopy(result.mailbox, result.uid, result.uidvalidity, result.is_repeat, result.send_at)


def _make_envelope(login: Login, wanted: WantedEnvelope) -> Envelope | None:
    """None: by the message. Raises SendRefused."""
    if wanted.sender is None and not wanted.recipients and not wanted.options:
        return None
    try:
        mail = parse_mail_parameters(describe_parameters(wanted.options), _OFFERED)
        recipients = tuple(make_recipient(address, said) for address, said in wanted.recipients)
        sender = (
            parse_wanted(wanted.sender if wanted.sender is not None else login.name) if wanted.sender != "" else None
        )
    except CommandError as refused:
        raise make_refusal(refused.reply) from None
    return Envelope(sender, recipients, mail.body, mail.smtputf8, mail.ret, mail.envid, mail.mt_priority)


def make_recipient(address: str, said: Mapping[str, str | None]) -> Recipient:
    parameters = parse_rcpt_parameters(describe_parameters(said), _OFFERED)
    return Recipient(parse_wanted(address), parameters.notify, parameters.orcpt)


def describe_parameters(said: Mapping[str, str | None]) -> str:
    return " ".join(name if value is None else f"{name}={value}" for name, value in said.items())


def parse_wanted(address: str) -> Address:
    try:
        return parse_address(address)
    except AddressError as error:
        raise SendRefused(f"5.1.3 <{address}> is not an address: {error}") from None
