"""The door of JMAP into submit() (ports/sending.py, `EmailSending`): an email of the account, sent where it lies.

What is wrong is found in the order in which RFC 8621 §7.5 has words for it, and named, before submit() looks at the
same message again with all its rules: that is where it is decided.

What waits, for the undo time or because the envelope holds it (RFC 4865), is a pending submission from its first commit
on. The client then moves the email where it shall be, and `put_off` moves it on to Scheduled, where every mail program
sees it and can take it back. Killed in between, it lies where the client put it and is sent at its time all the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from posthouse.message.address import Address
from posthouse.message.envelope import Envelope, Notify, Recipient
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role, SubmissionId
from posthouse.msa.doors import Doors, describe_parameters, make_recipient, make_refusal, parse_wanted
from posthouse.msa.header import Head, Unfit, derive_recipients, find_senders, split_message
from posthouse.msa.submit import Refused, SubmitOptions, SubmitParts, check_login, check_recipient
from posthouse.msa.ticket import TicketRecipient, decode_ticket
from posthouse.ports.login import Login, SaveSent
from posthouse.ports.sending import (
    EmailWish,
    SendFault,
    SendRefused,
    SentEnvelope,
    SubmittedEmail,
    WantedEnvelope,
)
from posthouse.ports.store import Fields, FlagDelta, NoSuchMailbox, Submission, SubmissionState
from posthouse.protocol.smtp.grammar import CommandError
from posthouse.protocol.smtp.params import MailParameters, parse_mail_parameters

_HOLDS = frozenset({"HOLDFOR", "HOLDUNTIL"})
_OFFERED = frozenset({"SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "MT-PRIORITY"}) | _HOLDS
_AS_SENT = FlagDelta(frozenset({"\\Seen"}), frozenset({"\\Draft"}))
_AS_DRAFT = FlagDelta(frozenset({"\\Draft"}))
_LEFT = (Role.DRAFTS, Role.SENT)  # by what waits


class EmailDoors(Doors):
    """`posthouse.ports.sending.EmailSending`."""

    async def submit_email(self, login: Login, email: EmailId, wish: EmailWish, source: str) -> SubmittedEmail:
        with self.hold_email(login.account, email):
            return await self._submit_email(login, email, wish, source)

    async def _submit_email(self, login: Login, email: EmailId, wish: EmailWish, source: str) -> SubmittedEmail:
        parts, submitter = self._parts, self._parts.submitter
        refuse_login(login, submitter.parts)
        hold = _read_hold(wish, parts.clock.now())
        plain = {name: value for name, value in wish.envelope.options.items() if name not in {*_HOLDS, "SIZE"}}
        envelope = _make_envelope(login, replace(wish.envelope, options=plain), wish.max_recipients)
        try:
            octets = await parts.blobs.read(login.account, email)
        except NoSuchMailbox:
            raise SendRefused("5.6.0 The email is not there any more", fault=SendFault.MESSAGE) from None
        judge(login, octets, envelope, submitter.parts, wish.max_recipients)
        options = SubmitOptions(
            send_at=hold,
            undo_s=parts.undo_s,
            existing=email,
            prefix=self._prefix,
            protocol="HTTP",
            sent_as=wish.identity or "-",
        )
        result = await submitter.submit(login, octets, envelope, options, source)
        if isinstance(result, Refused):
            raise name_fault(make_refusal(result.reply))
        return SubmittedEmail(result.id, result.is_repeat, result.send_at)

    async def submit_message(self, login: Login, octets: bytes, envelope: WantedEnvelope, source: str) -> SubmissionId:
        wanted = _make_envelope(login, envelope, len(envelope.recipients))
        options = SubmitOptions(prefix=self._prefix, protocol="HTTP")
        quiet = replace(login, save_sent=SaveSent.NEVER)
        result = await self._parts.submitter.submit(quiet, octets, wanted, options, source)
        if isinstance(result, Refused):
            raise name_fault(make_refusal(result.reply))
        return result.id

    # -- what waits

    async def put_off(self, account: AccountId, submission: SubmissionId) -> None:
        parts, submissions = self._parts, self._parts.sent.submissions
        known = await submissions.get(account, submission)
        if known is None or known.email is None or not _is_waiting(known):
            return
        scheduled = await parts.mailboxes.open_role(account, Role.SCHEDULED)
        places = await self._places_of(account, known.email)
        if not places or scheduled.id in places:
            return
        boxes = await parts.mailboxes.list_all(account)
        left = [box.id for box in boxes if box.role in _LEFT and box.id in places]
        await parts.sent.messages.place(account, known.email, [scheduled.id], left, _AS_SENT)
        known = await submissions.get(account, submission)
        if known is None or known.email is None or _is_waiting(known):
            return
        if known.state is SubmissionState.CANCELED:  # in this moment
            await self._make_draft(account, known.email)
        else:  # its time has come in this moment
            await parts.submitter.handover.file_sent(account, known.email, decode_ticket(known.envelope))

    async def cancel(self, account: AccountId, submission: SubmissionId) -> bool:
        """What lies in Scheduled is taken back by leaving it, which is one commit of the store: killed anywhere, it is
        a draft, or it still waits.
        """
        parts, submissions = self._parts, self._parts.sent.submissions
        known = await submissions.get(account, submission)
        if known is None or known.email is None or not _is_waiting(known):
            return await parts.submitter.handover.cancel(account, submission)
        if not await self._make_draft(account, known.email):
            return await self._cancel_unfiled(account, submission, known.email)
        now = await submissions.get(account, submission)
        if now is not None and now.state is SubmissionState.CANCELED:
            await parts.submitter.handover.trace_canceled(account, [submission])
            return True
        await self._make_sent(account, known)  # its time has come in this moment
        return False

    async def _cancel_unfiled(self, account: AccountId, submission: SubmissionId, email: EmailId) -> bool:
        """It does not lie in Scheduled yet, or not any more."""
        is_taken_back = await self._parts.submitter.handover.cancel(account, submission)
        if is_taken_back:
            await self._make_draft(account, email)  # `put_off` may have come in between
        return is_taken_back

    async def _make_draft(self, account: AccountId, email: EmailId) -> bool:
        """Of what lies in Scheduled; False when it does not."""
        parts = self._parts
        scheduled = await self._find_scheduled(account)
        if scheduled is None or scheduled not in await self._places_of(account, email):
            return False
        drafts = await parts.mailboxes.open_role(account, Role.DRAFTS)
        await parts.sent.messages.place(account, email, [drafts.id], [scheduled], _AS_DRAFT)
        return True

    async def _make_sent(self, account: AccountId, known: Submission) -> None:
        """Of what was taken out of Scheduled as it went."""
        parts = self._parts
        scheduled = await self._find_scheduled(account)
        if scheduled is None or known.email is None:
            return
        places = await self._places_of(account, known.email)
        if scheduled in places:
            return
        drafts = await parts.mailboxes.open_role(account, Role.DRAFTS)
        sent = await parts.mailboxes.open_role(account, Role.SENT)
        if sent.id in places:  # it was filed before it became a draft
            await parts.sent.messages.place(account, known.email, [], [drafts.id], _AS_SENT)
            return
        await parts.sent.messages.place(account, known.email, [scheduled], [drafts.id], _AS_SENT)
        await parts.submitter.handover.file_sent(account, known.email, decode_ticket(known.envelope))

    async def _find_scheduled(self, account: AccountId) -> MailboxId | None:
        boxes = await self._parts.mailboxes.list_all(account)
        return next((box.id for box in boxes if box.role is Role.SCHEDULED), None)

    async def _places_of(self, account: AccountId, email: EmailId) -> frozenset[int]:
        rows = await self._parts.sent.messages.load_emails(account, [email], Fields.NONE)
        return frozenset(rows[0].placements) if rows else frozenset()

    def read_envelope(self, submission: Submission) -> SentEnvelope:
        ticket = decode_ticket(submission.envelope)
        options: dict[str, str | None] = {}
        if ticket.ret is not None:
            options["RET"] = ticket.ret
        if ticket.envid is not None:
            options["ENVID"] = ticket.envid
        if ticket.mt_priority:
            options["MT-PRIORITY"] = str(ticket.mt_priority)
        recipients = tuple((one.address, _read_parameters(one)) for one in ticket.recipients)
        identity = ticket.identity if ticket.identity != "-" else ""
        return SentEnvelope(WantedEnvelope(ticket.sender or "", recipients, options), identity)


def _is_waiting(submission: Submission) -> bool:
    return submission.state in (SubmissionState.PENDING, SubmissionState.HELD) and submission.send_at > 0


def _read_parameters(recipient: TicketRecipient) -> dict[str, str | None]:
    said: dict[str, str | None] = {}
    if recipient.notify:
        said["NOTIFY"] = ",".join(flag.name or "" for flag in Notify(recipient.notify))
    if recipient.orcpt is not None:
        said["ORCPT"] = ";".join(recipient.orcpt)
    return said


# -- judging


def refuse_login(login: Login, parts: SubmitParts) -> None:
    """Raises SendRefused."""
    refusal = check_login(login, parts.accounts)
    if refusal is not None:
        raise make_refusal(refusal)


def judge(login: Login, octets: bytes, envelope: Envelope | None, parts: SubmitParts, max_recipients: int) -> None:
    """What RFC 8621 §7.5 has an error for. Raises SendRefused."""
    try:
        head, _ = split_message(octets)
        authors = find_senders(head)
    except Unfit as unfit:
        raise name_fault(make_refusal(unfit.reply), SendFault.MESSAGE) from None
    sender = envelope.sender if envelope is not None else None
    if sender is not None and not parts.accounts.may_send_as(login.account, sender):
        raise _refuse_address(sender, SendFault.SENDER)
    for author in authors:
        if not parts.accounts.may_send_as(login.account, author):
            raise _refuse_address(author, SendFault.AUTHOR)
    recipients = _list_recipients(head, envelope)
    if len(recipients) > max_recipients:
        raise SendRefused("5.5.3 Too many recipients", fault=SendFault.TOO_MANY_RECIPIENTS)
    _judge_recipients(recipients, parts)


def _refuse_address(address: Address, fault: SendFault) -> SendRefused:
    return SendRefused(f"5.7.1 This account may not send as <{address}>", is_policy=True, fault=fault)


def _list_recipients(head: Head, envelope: Envelope | None) -> Sequence[Address]:
    if envelope is not None and envelope.recipients:
        return [one.address for one in envelope.recipients]
    try:
        return derive_recipients(head)
    except Unfit as unfit:
        refusal = make_refusal(unfit.reply)
        is_empty = unfit.reply.enhanced == "5.5.1"
        raise name_fault(refusal, SendFault.NO_RECIPIENTS if is_empty else SendFault.RECIPIENTS) from None


def _judge_recipients(recipients: Sequence[Address], parts: SubmitParts) -> None:
    """All that are refused for good, in one answer."""
    replies = {str(one): check_recipient(one, parts.directory, parts.find_rejection) for one in recipients}
    refused = {address: reply for address, reply in replies.items() if reply is not None}
    for reply in refused.values():
        if reply.code < 500:
            raise make_refusal(reply)
    if refused:
        raise _name_recipients(make_refusal(next(iter(refused.values()))), list(refused))


def _name_recipients(refusal: SendRefused, addresses: Sequence[str]) -> SendRefused:
    refusal.fault, refusal.addresses = SendFault.RECIPIENTS, tuple(addresses)
    return refusal


def name_fault(refusal: SendRefused, fault: SendFault = SendFault.OTHER) -> SendRefused:
    """By its enhanced code, unless it is known."""
    code = refusal.text.partition(" ")[0]
    if fault is SendFault.OTHER and not refusal.is_temporary:
        fault = _FAULTS.get(code, fault)
    refusal.fault = fault
    return refusal


_FAULTS: Mapping[str, SendFault] = {
    "5.1.3": SendFault.RECIPIENTS,
    "5.5.1": SendFault.NO_RECIPIENTS,
    "5.6.0": SendFault.MESSAGE,
    "5.2.2": SendFault.QUOTA,
}


# -- envelopes


def _read_hold(wish: EmailWish, now: float) -> float:
    """When it is to be sent; 0: at once. Raises SendRefused."""
    said = {name: value for name, value in wish.envelope.options.items() if name in _HOLDS}
    mail = _parse_options(said)
    hold = now + mail.hold_for_s if mail.hold_for_s is not None else mail.hold_until or 0.0
    if hold > now + wish.max_hold_s:
        text = f"5.5.4 Mail is held for {int(wish.max_hold_s)} seconds at most"
        raise SendRefused(text, fault=SendFault.ENVELOPE)
    return hold


def _parse_options(said: Mapping[str, str | None]) -> MailParameters:
    try:
        return parse_mail_parameters(describe_parameters(said), _OFFERED)
    except CommandError as refused:
        raise name_fault(make_refusal(refused.reply), SendFault.ENVELOPE) from None


def _make_envelope(login: Login, wanted: WantedEnvelope, max_recipients: int) -> Envelope | None:
    """None: by the message. Every recipient that is no address is named. Raises SendRefused."""
    if wanted.sender is None and not wanted.recipients and not wanted.options:
        return None
    if len(wanted.recipients) > max_recipients:
        raise SendRefused("5.5.3 Too many recipients", fault=SendFault.TOO_MANY_RECIPIENTS)
    mail = _parse_options(wanted.options)
    try:
        sender = parse_wanted(login.name if wanted.sender is None else wanted.sender) if wanted.sender != "" else None
    except SendRefused as refusal:
        raise name_fault(refusal, SendFault.SENDER) from None
    recipients: list[Recipient] = []
    wrong: list[str] = []
    for address, said in wanted.recipients:
        try:
            recipients.append(make_recipient(address, said))
        except CommandError as refused:
            raise name_fault(make_refusal(refused.reply), SendFault.ENVELOPE) from None
        except SendRefused:
            wrong.append(address)
    if wrong:
        raise _name_recipients(SendRefused(f"5.1.3 <{wrong[0]}> is not an address"), wrong)
    return Envelope(sender, tuple(recipients), mail.body, mail.smtputf8, mail.ret, mail.envid, mail.mt_priority)
