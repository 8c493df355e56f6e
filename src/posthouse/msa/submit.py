"""submit(): the one door behind every way to send (SMTP 587/465, Outbox, UID SUBMIT, JMAP, sendmail).

Everything is checked first; then the message in Sent or Scheduled, the submission and its idempotency key are one
durable transaction of the account's shard of the store; only then the answer is "yes". After a crash the store's row
is there or not, and msa/handover.py goes on from it (docs/internals.md, "Submission"): nothing that was answered "yes"
is lost, nothing is sent twice.

`plan_submission` decides, from values alone; `Submitter` fetches what it needs and stores what it decided.

Trusts the login it is given. RFC 6409 §6, §8; RFC 8098 §2.1 (the empty sender of receipts). It parses no protocol.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from posthouse.message.address import Address
from posthouse.message.envelope import BodyType, Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role, SubmissionId, Uid, UidValidity
from posthouse.message.parsed import ParsedMessage
from posthouse.message.reply import Reply
from posthouse.msa.conduct import Conducts
from posthouse.msa.handover import Fresh, HandOver
from posthouse.msa.header import Head, Unfit, derive_recipients, find_senders, repair_head, split_message
from posthouse.msa.limits import Conduct, fold_address, network_of, plan_hold, plan_limit
from posthouse.msa.ticket import encode_ticket, make_ticket
from posthouse.ports.bodies import keep_body
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Accounts, Directory, DirectoryError, Standing
from posthouse.ports.login import Login, SaveSent, Scope
from posthouse.ports.observe import Counter, Log
from posthouse.ports.spool import Body, InlineBody, SpoolError, SpoolFull
from posthouse.ports.store import (
    Addition,
    Messages,
    NewSubmission,
    OverQuota,
    StoreError,
    StoreFull,
    StoreRefusal,
    Submission,
    Submissions,
    SubmissionState,
)
from posthouse.ports.store import Submitted as StoredSubmission

KEY_OCTETS = 16

_NO_SCOPE = Reply(550, "5.7.1", "This password may not be used to send mail")
NO_DIRECTORY = Reply(451, "4.3.0", "Addresses cannot be looked up now, try again later")
_DISABLED = Reply(550, "5.7.1", "This account may not send mail now")
_BARE = Reply(554, "5.6.0", "The message has bare CR, bare LF or NUL characters in it")
_NO_RECIPIENTS = Reply(554, "5.5.1", "There are no recipients")
_FULL = Reply(452, "4.3.1", "Not enough room for mail now, try again later")
_OVER_QUOTA = Reply(552, "5.2.2", "The mailbox is full: there is no room for the copy in Sent")
_LATER = Reply(451, "4.3.0", "The mail could not be stored, try again later")


FindRejection = Callable[[Address], Reply | None]


def reject_nobody(address: Address) -> Reply | None:
    return None


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """`send_at`, seconds since 1970, or `undo_s` from now: until then it lies in Scheduled and can be taken back.

    `existing`: an email of the account's that is sent; no other copy is filed. `prefix`, `protocol`: how the Received
    field begins (message/trace.py). `identity`: what the message is known by when it has no Message-ID or Date; whoever
    gives one wants no double, whatever the credential says. `sent_as`: the client's identity; with one, where the
    email lies is the client's business (RFC 8621 §7).
    """

    send_at: float = 0.0
    undo_s: float = 0.0
    existing: EmailId | None = None
    prefix: bytes = b""
    protocol: str = "ESMTPSA"
    deduplicates: bool = True
    identity: str = ""
    sent_as: str = ""


@dataclass(frozen=True, slots=True)
class Submitted:
    """`queue_id` "" unless it goes out now. `is_repeat`: it was here already, nothing is sent again.

    `send_at` 0: at once; of a repeat: it still waits for that time. `hold`: why it waits for an administrator, "" if it
    does not.
    """

    id: SubmissionId
    queue_id: QueueId | None
    email: EmailId | None = None
    mailbox: MailboxId | None = None
    uid: Uid | None = None
    uidvalidity: UidValidity | None = None
    is_repeat: bool = False
    send_at: float = 0.0
    hold: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """`reply` is what SMTP says; other doors take its enhanced code and text."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class SubmitSettings:
    hostname: str
    inline_limit: int = 64 * 1024  # of the store: larger bodies are written in pieces
    key_ttl_s: float = 86400.0


@dataclass(frozen=True, slots=True)
class SubmitFigures:
    submitted: Counter
    refused: Counter
    repeated: Counter
    held: Counter


@dataclass(frozen=True, slots=True)
class SubmitParts:
    """`parse` is message/parse.py beside the loop for large messages; `make_token` gives unguessable letters.
    `find_rejection`: what the routes say to an address at once (`to = "reject:..."`).
    """

    settings: SubmitSettings
    accounts: Accounts
    directory: Directory
    submissions: Submissions
    messages: Messages
    conducts: Conducts
    handover: HandOver
    parse: Callable[[bytes], Awaitable[ParsedMessage]]
    make_token: Callable[[], str]
    clock: Clock
    log: Log
    figures: SubmitFigures
    find_rejection: FindRejection = reject_nobody


@dataclass(slots=True)
class Plan:
    """What is to be stored and sent. `key` b"": nothing counts as a repeat."""

    envelope: Envelope
    filed: bytes
    wire: bytes
    message_id: str
    key: bytes = b""
    folded: Sequence[str] = field(default_factory=list)


# -- deciding


def check_login(login: Login, accounts: Accounts) -> Reply | None:
    account = accounts.get(login.account)
    if account is None or account.is_disabled:
        return _DISABLED
    return None if Scope.SEND in login.scopes else _NO_SCOPE


def check_sender(account: AccountId, sender: Address | None, accounts: Accounts) -> Reply | None:
    """Rule 2, of the envelope. The empty sender is judged by the message (`check_authors`)."""
    if sender is None or accounts.may_send_as(account, sender):
        return None
    return Reply(550, "5.7.1", f"This account may not send as <{sender}>")


def check_authors(account: AccountId, head: Head, accounts: Accounts) -> None:
    """Rule 2, of the message. Raises Unfit."""
    for author in find_senders(head):
        if not accounts.may_send_as(account, author):
            raise Unfit(550, "5.7.1", f"This account may not send as <{author}>")


def check_recipient(
    address: Address, directory: Directory, find_rejection: FindRejection = reject_nobody
) -> Reply | None:
    """Early and clear, instead of a bounce. RFC 6409 §4.2: domains are fully qualified."""
    if not address.domain:
        return Reply(550, "5.1.1", "There is no postmaster here")
    try:
        standing = directory.look_up(address)
    except DirectoryError:
        return NO_DIRECTORY
    if standing is Standing.UNKNOWN:
        return Reply(550, "5.1.1", f"There is no mailbox <{address}> here")
    is_complete = "." in address.domain or address.domain.startswith("[")
    if standing is Standing.ELSEWHERE and not is_complete:
        return Reply(550, "5.1.3", f"The domain of <{address}> is not complete")
    rejection = find_rejection(address)
    return None if rejection is None else replace(rejection, text=f"<{address}>: {rejection.text}")


def check_octets(data: bytes) -> Reply | None:
    """Rule 4: CRLF only, no NUL."""
    pairs = data.count(b"\r\n")
    is_clean = data.count(b"\r") == pairs and data.count(b"\n") == pairs and b"\0" not in data
    return None if is_clean else _BARE


def plan_envelope(head: Head, envelope: Envelope | None) -> Envelope:
    """Rule 1: an explicit one wins. Raises Unfit."""
    if envelope is not None and envelope.recipients:
        return envelope
    recipients = tuple(Recipient(address) for address in derive_recipients(head))
    if envelope is not None:
        return replace(envelope, recipients=recipients)
    return Envelope(find_senders(head)[0], recipients)


def describe_body(envelope: Envelope, wire: bytes, head: bytes) -> Envelope:
    """8BITMIME and SMTPUTF8 as the message needs them, whatever the program said (RFC 6409 §8, RFC 6531 §3.4)."""
    body = envelope.body
    if body is not BodyType.BINARYMIME:
        body = BodyType.SEVENBIT if wire.isascii() else BodyType.EIGHTBITMIME
    addresses = [one.address for one in envelope.recipients] + ([envelope.sender] if envelope.sender else [])
    utf8 = any(address.needs_smtputf8 for address in addresses) or _is_utf8(head)
    return replace(envelope, body=body, smtputf8=utf8)


def _is_utf8(head: bytes) -> bool:
    """Octets beyond ASCII that are no UTF-8 are old 8-bit headers, which no extension covers."""
    if head.isascii():
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def make_key(account: AccountId, envelope: Envelope, wire: bytes) -> bytes:
    """Rule 6. Message-ID and Date of the program, and Resent fields, are part of `wire`."""
    digest = hashlib.blake2b(wire, digest_size=KEY_OCTETS)
    recipients = sorted(str(one.address) for one in envelope.recipients)
    digest.update("\0".join([str(account), str(envelope.sender or ""), *recipients]).encode("utf-8", "replace"))
    return digest.digest()


def plan_submission(
    parts: SubmitParts, login: Login, data: bytes, envelope: Envelope | None, identity: str = ""
) -> Plan:
    """Rules 1 to 4 and 6. Raises Unfit."""
    accounts, directory = parts.accounts, parts.directory
    _refuse(check_login(login, accounts))
    is_binary = envelope is not None and envelope.body is BodyType.BINARYMIME
    _refuse(None if is_binary else check_octets(data))
    head, body = split_message(data)
    # RFC 3030 §3 frees the body only: behind a bare LF in the header a From or Bcc would escape the rules.
    _refuse(check_octets(head.octets) if is_binary else None)
    chosen = plan_envelope(head, envelope)
    _refuse(None if chosen.recipients else _NO_RECIPIENTS)
    _refuse(check_sender(login.account, chosen.sender, accounts))
    check_authors(login.account, head, accounts)
    for one in chosen.recipients:
        _refuse(check_recipient(one.address, directory, parts.find_rejection))
    now = parts.clock.now()
    fixed = repair_head(head, now, lambda: f"<{parts.make_token()}@{parts.settings.hostname}>")
    rest = data[body:]
    filed = fixed.filed + rest
    wire = filed if fixed.wire is fixed.filed else fixed.wire + rest
    chosen = describe_body(chosen, wire, fixed.wire)
    known_by = wire if fixed.is_known else identity.encode("ascii")
    key = make_key(login.account, chosen, known_by) if known_by else b""
    return Plan(chosen, filed, wire, fixed.message_id, key, [fold_address(str(r.address)) for r in chosen.recipients])


def _refuse(reply: Reply | None) -> None:
    if reply is not None:
        raise Unfit(reply.code, reply.enhanced, reply.text)


def plan_time(options: SubmitOptions, now: Instant) -> float:
    """When it is to be sent; 0: at once."""
    send_at = max(options.send_at, now + options.undo_s if options.undo_s else 0.0)
    return send_at if send_at > now else 0.0


# -- doing


class Submitter:
    """One per worker."""

    def __init__(self, parts: SubmitParts) -> None:
        self._parts = parts

    @property
    def handover(self) -> HandOver:
        return self._parts.handover

    @property
    def parts(self) -> SubmitParts:
        return self._parts

    async def submit(
        self,
        login: Login,
        message: bytes,
        envelope: Envelope | None = None,
        options: SubmitOptions | None = None,
        source: str = "",
    ) -> Submitted | Refused:
        """`message` in CRLF form. `source`: the address it came from, or words such as "jmap". Never raises."""
        parts, options = self._parts, options or SubmitOptions()
        try:
            plan = plan_submission(parts, login, message, envelope, options.identity)
            conduct = await parts.conducts.of(login.account)
            now = parts.clock.now()
            limits = parts.conducts.limits
            refusal = plan_limit(conduct, now, len(plan.folded), limits)
            if refusal is not None and not await self._is_repeat(login, plan, options):
                raise Unfit(refusal.code, refusal.enhanced, refusal.text)
            hold = plan_hold(conduct, now, plan.folded, network_of(source), limits)
            result = await self._store(login, plan, options, source, hold)
        except Unfit as unfit:
            return self._note_refused(login, unfit.reply)
        except (StoreError, StoreRefusal, SpoolError, DirectoryError) as error:
            return self._note_refused(login, reply_for(error), error)
        self._note(login, plan, source, result)
        return result

    async def check(self, login: Login, messages: Sequence[bytes]) -> Reply | None:
        """What would be refused of these messages, which are sent one after the other. Never raises."""
        parts = self._parts
        try:
            _refuse(check_login(login, parts.accounts))
            plans = [plan_submission(parts, login, message, None) for message in messages]
            conduct = await parts.conducts.of(login.account)
            if self._plan_limits(conduct, plans) is not None:
                fresh = [plan for plan in plans if not await self._is_repeat(login, plan, SubmitOptions())]
                _refuse(self._plan_limits(conduct, fresh))
        except Unfit as unfit:
            return self._note_refused(login, unfit.reply).reply
        except (StoreError, StoreRefusal, DirectoryError) as error:
            return self._note_refused(login, reply_for(error), error).reply
        return None

    def _plan_limits(self, conduct: Conduct, plans: Sequence[Plan]) -> Reply | None:
        """Each for itself, and all together."""
        now, limits = self._parts.clock.now(), self._parts.conducts.limits
        for plan in plans:
            refusal = plan_limit(conduct, now, len(plan.folded), limits)
            if refusal is not None:
                return refusal
        total = sum(len(plan.folded) for plan in plans)
        return plan_limit(conduct, now, total, limits, len(plans)) if len(plans) > 1 else None

    async def _is_repeat(self, login: Login, plan: Plan, options: SubmitOptions) -> bool:
        """A repeat sends nothing, so no limit holds it up."""
        if not _uses_key(login, plan, options):
            return False
        return await self._parts.submissions.is_known(login.account, plan.key, self._parts.clock.now())

    async def release(self, login: Login, waiting: Submission) -> Submitted | Refused | None:
        """What waits in Scheduled is sent now, and its copy is in Sent. None: it was taken back meanwhile."""
        parts = self._parts
        try:
            _refuse(check_login(login, parts.accounts))
            if not await parts.handover.release(waiting):
                known = await parts.submissions.get(waiting.account, waiting.id)
                if known is None or known.state is SubmissionState.CANCELED:
                    return None
        except Unfit as unfit:
            return self._note_refused(login, unfit.reply)
        except (StoreError, StoreRefusal, DirectoryError, ValueError) as error:
            return self._note_refused(login, reply_for(error), error)
        return Submitted(waiting.id, None, waiting.email)

    async def _store(self, login: Login, plan: Plan, options: SubmitOptions, source: str, hold: str) -> Submitted:
        """A repeat of what waits in Scheduled is no loss only while it will go from there."""
        parts = self._parts
        result = await self._store_once(login, plan, options, source, hold)
        if not result.is_repeat:
            return result
        known = await parts.submissions.get(login.account, result.id)
        if known is None or known.state is not SubmissionState.PENDING or not known.send_at:
            return result
        if await parts.handover.is_withdrawn(known) and await parts.handover.cancel(login.account, known.id):
            return await self._store_once(login, plan, options, source, hold)
        return replace(result, send_at=known.send_at)

    async def _store_once(self, login: Login, plan: Plan, options: SubmitOptions, source: str, hold: str) -> Submitted:
        """Rule 5: one transaction, then the hand-over."""
        parts, now = self._parts, self._parts.clock.now()
        send_at = plan_time(options, now)
        keeps = login.save_sent is not SaveSent.NEVER
        ticket = make_ticket(plan.envelope, options.prefix, options.protocol, hold, keeps or bool(options.sent_as))
        ticket.identity, ticket.is_tied = options.sent_as, not options.sent_as
        spool = parts.handover.spool()
        wire = await self._make_body(login.account, plan.wire)
        filed = await self._make_addition(login.account, plan, wire, send_at, keeps, options)
        uses_key = _uses_key(login, plan, options)
        new = NewSubmission(
            encode_ticket(ticket),
            tuple(str(one.address) for one in plan.envelope.recipients),
            wire,
            SubmissionState.PENDING,
            spool.shard,
            filed,
            options.existing,
            plan.key if uses_key else b"",
            now + parts.settings.key_ttl_s if uses_key else 0.0,
            send_at,
            source,
            plan.message_id,
        )
        stored = await parts.submissions.submit(login.account, new)
        result = _make_result(stored, send_at, hold)
        if stored.is_repeat or send_at:
            return result
        queue_id = spool.reserve_id()
        parts.handover.start(Fresh(login.account, stored.id, ticket, plan.message_id, source, wire, spool, queue_id))
        return replace(result, queue_id=queue_id)

    async def _make_body(self, account: AccountId, octets: bytes) -> Body:
        parts = self._parts
        open_writer = partial(parts.messages.open_body, account)
        return await keep_body(InlineBody(octets), parts.settings.inline_limit, open_writer)

    async def _make_addition(
        self, account: AccountId, plan: Plan, wire: Body, send_at: float, keeps: bool, options: SubmitOptions
    ) -> Addition | None:
        """Rules 7 and 8: the copy in Sent, or in Scheduled until it is sent."""
        if options.existing is not None or not (keeps or send_at):
            return None
        body = wire if plan.filed is plan.wire else await self._make_body(account, plan.filed)
        message = await self._parts.parse(plan.filed)
        return Addition(
            (Role.SCHEDULED if send_at else Role.SENT,),
            body,
            message,
            received=self._parts.clock.now(),
            flags=frozenset({"\\Seen"}),
        )

    # -- telling

    def _note(self, login: Login, plan: Plan, source: str, result: Submitted) -> None:
        parts, figures = self._parts, self._parts.figures
        figures.submitted.inc()
        if result.is_repeat:
            figures.repeated.inc()
        else:
            parts.conducts.note_sent(login.account, plan.folded, network_of(source), is_held=bool(result.hold))
        if result.hold:
            figures.held.inc()
            parts.log.warning("submission held", account=login.name, reason=result.hold, peer=source)
        parts.handover.journal.record(
            "repeated" if result.is_repeat else "submitted",
            result.queue_id or f"{login.account}.{result.id}",
            account=login.name,
            sender=str(plan.envelope.sender or ""),
            recipients=[str(one.address) for one in plan.envelope.recipients],
            size=len(plan.wire),
            peer=source,
            message_id=plan.message_id,
            credential=login.credential_name or login.mechanism,
            send_at=result.send_at or None,
            hold=result.hold or None,
        )

    def _note_refused(self, login: Login, reply: Reply, error: Exception | None = None) -> Refused:
        self._parts.figures.refused.inc()
        reason = {} if error is None else {"error": str(error) or type(error).__name__}
        self._parts.log.info("submission refused", account=login.name, reply=str(reply), **reason)
        return Refused(reply)


def _uses_key(login: Login, plan: Plan, options: SubmitOptions) -> bool:
    return bool(plan.key and (options.identity or (options.deduplicates and login.deduplicates)))


def _make_result(stored: StoredSubmission, send_at: float, hold: str) -> Submitted:
    return Submitted(
        stored.id,
        None,
        stored.email,
        stored.mailbox,
        stored.uid,
        stored.uidvalidity,
        stored.is_repeat,
        0.0 if stored.is_repeat else send_at,
        "" if stored.is_repeat else hold,
    )


def reply_for(error: Exception) -> Reply:
    """What the program hears when it could not be stored."""
    if isinstance(error, OverQuota):
        return _OVER_QUOTA
    if isinstance(error, StoreFull | SpoolFull):
        return _FULL
    if isinstance(error, StoreRefusal):
        return Reply(554, "5.2.0", f"The copy cannot be filed: {str(error) or type(error).__name__}")
    return _LATER
