"""From the store's row to the spool and back: the hand-over of submissions (docs/internals.md, "Submission").

    store row pending  ->  spool row with the submission's key  ->  store row queued (or held)  ->  delivery

Only the owner of the spool shard that the row names inserts the spool row, and nothing is delivered before the store's
row says "queued": so whoever adopts the shard after a crash meets either the spool row or that mark. `replay` looks
for rows that are pending and due: scheduled mail, what a crash left, what a full spool refused.

Final outcomes go the other way: `record` writes them to the account's shard before the spool forgets the message.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import msgspec

from posthouse.message.address import Address, parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId, ShardNumber, split_queue_id
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, Role, SubmissionId, UidRange
from posthouse.message.reply import Reply
from posthouse.message.trace import complete_received
from posthouse.msa.conduct import Conducts
from posthouse.msa.ticket import Ticket, decode_ticket, open_envelope
from posthouse.ports.bodies import keep_body
from posthouse.ports.clock import Clock
from posthouse.ports.directory import Accounts, Directory, DirectoryError
from posthouse.ports.observe import Journal, Log
from posthouse.ports.spool import (
    Action,
    Body,
    InlineBody,
    NewMessage,
    QueuedMessage,
    Selection,
    Spool,
    SpoolError,
    Status,
    SubmissionKey,
)
from posthouse.ports.store import (
    Fields,
    FlagEdit,
    FlagMode,
    Mailboxes,
    Messages,
    RecipientFate,
    StoreError,
    StoreRefusal,
    Submission,
    Submissions,
    SubmissionState,
)

SUBMIT_FAILED = "$SubmitFailed"
COPY_IN_SENT = "$CopyInSent"  # on what waits in Scheduled: the program has put its own copy into Sent already
_REPLAY_LIMIT = 200
_RECORD_TRIES = 5
_FAILED = frozenset({"failed", "expired"})
_TROUBLE = (StoreError, StoreRefusal, SpoolError, DirectoryError)


class Onward(Protocol):
    """The side that delivers (mta/runner.py)."""

    def first_retry(self, now: Instant, octets: int) -> Instant: ...

    def announce(self, queue_id: QueueId) -> None:
        """It will be given to `take_announced`; until then nobody else is to pick it up."""

    def take_announced(self, message: QueuedMessage) -> None: ...

    def withdraw(self, ids: Sequence[QueueId]) -> None: ...


@dataclass(slots=True)
class Fresh:
    """A submission that was stored just now."""

    account: AccountId
    id: SubmissionId
    ticket: Ticket
    message_id: str
    source: str
    wire: Body
    spool: Spool
    queue_id: QueueId
    email: EmailId | None = None
    is_scheduled: bool = False

    @property
    def key(self) -> SubmissionKey:
        return SubmissionKey(self.account, self.id)


@dataclass(frozen=True, slots=True)
class HandOverParts:
    """`spool` is the shard for new mail (raises SpoolError), `spools` all that this worker owns."""

    submissions: Submissions
    mailboxes: Mailboxes
    messages: Messages
    accounts: Accounts
    directory: Directory
    spool: Callable[[], Spool]
    spools: Callable[[], Sequence[Spool]]
    onward: Onward
    conducts: Conducts
    clock: Clock
    log: Log
    journal: Journal


class HandOver:
    """One per worker. `busy` are the submissions that are being handed over here."""

    def __init__(self, parts: HandOverParts) -> None:
        self._parts = parts
        self._busy: dict[SubmissionKey, asyncio.Task[None]] = {}

    @property
    def spool(self) -> Callable[[], Spool]:
        return self._parts.spool

    @property
    def journal(self) -> Journal:
        return self._parts.journal

    # -- forward

    def start(self, fresh: Fresh) -> None:
        """Go on with what is stored; the answer does not wait for it."""
        self._run(fresh.key, self._hand_over(fresh, None))

    def _run(self, key: SubmissionKey, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._busy[key] = task
        task.add_done_callback(lambda _: self._busy.pop(key, None))

    async def settle_down(self) -> None:
        """Until nothing is being handed over: at the end of a worker, and for tests."""
        while self._busy:
            await asyncio.wait(list(self._busy.values()))

    async def _hand_over(self, fresh: Fresh, found: QueuedMessage | None) -> None:
        parts = self._parts
        queue_id = found.id if found is not None else fresh.queue_id
        parts.onward.announce(queue_id)
        try:
            message = found or await self._insert(fresh)
            wanted = SubmissionState.HELD if fresh.ticket.hold else SubmissionState.QUEUED
            if not await parts.submissions.change(fresh.account, fresh.id, wanted):
                wanted = await self._learn(fresh, message)
            if fresh.is_scheduled and wanted is SubmissionState.QUEUED:
                await self.file_sent(fresh.account, fresh.email, fresh.ticket)
        except _TROUBLE as error:
            parts.log.warning("hand-over put off", submission=f"{fresh.account}.{fresh.id}", error=str(error))
            parts.onward.withdraw([queue_id])
            return
        except BaseException:
            parts.onward.withdraw([queue_id])
            raise
        if wanted is SubmissionState.QUEUED:
            parts.onward.take_announced(message)
        else:
            parts.onward.withdraw([queue_id])

    async def _learn(self, fresh: Fresh, message: QueuedMessage) -> SubmissionState:
        """It is in another state by now: canceled meanwhile, or marked before a crash."""
        known = await self._parts.submissions.get(fresh.account, fresh.id)
        state = SubmissionState.QUEUED if known is None else known.state
        if state is SubmissionState.CANCELED:
            await message_gone(self._spool_of(message), message, self._parts.clock.now())
        return state

    def _spool_of(self, message: QueuedMessage) -> Spool:
        shard, _ = split_queue_id(message.id)
        for spool in self._parts.spools():
            if spool.shard == shard:
                return spool
        raise SpoolError("the shard is not here any more")

    async def _insert(self, fresh: Fresh) -> QueuedMessage:
        parts, now = self._parts, self._parts.clock.now()
        envelope = self._expand(open_envelope(fresh.ticket))
        ticket, trace = fresh.ticket, b""
        if ticket.prefix:
            sole = parse_address(ticket.recipients[0].address) if len(ticket.recipients) == 1 else None
            trace = complete_received(ticket.prefix, ticket.protocol, fresh.queue_id, sole, now)
        body = fresh.wire
        if not isinstance(body, InlineBody):
            body = await keep_body(body, fresh.spool.inline_limit, fresh.spool.open_body)
        message = await fresh.spool.accept(
            NewMessage(
                fresh.queue_id,
                envelope,
                trace,
                body,
                now,
                parts.onward.first_retry(now, body.size),
                source=fresh.source,
                message_id=fresh.message_id,
                held=bool(fresh.ticket.hold),
                submission=fresh.key,
            )
        )
        self._note_received(fresh, message)
        return message

    def _expand(self, envelope: Envelope) -> Envelope:
        """Aliases are followed here, so that each end of them is a row; ORCPT keeps what was asked for."""
        found: dict[Address, Recipient] = {}
        for one in envelope.recipients:
            targets = self._parts.directory.expand(one.address) if one.address.domain else (one.address,)
            for target in targets:
                if target == one.address:
                    found[target] = one
                else:
                    orcpt = one.orcpt or ("rfc822" if one.address.is_ascii else "utf-8", str(one.address))
                    found.setdefault(target, Recipient(target, one.notify, orcpt))
        return replace(envelope, recipients=tuple(found.values()))

    def _note_received(self, fresh: Fresh, message: QueuedMessage) -> None:
        named = [one.address for one in fresh.ticket.recipients]
        targets = [str(one.recipient.address) for one in message.recipients]
        self._parts.journal.record(
            "received",
            message.id,
            sender=fresh.ticket.sender or "",
            recipients=named,
            targets=targets if targets != named else None,
            size=message.size,
            peer=fresh.source,
            submission=f"{fresh.account}.{fresh.id}",
            message_id=fresh.message_id,
            held=fresh.ticket.hold or None,
        )

    # -- what is due: scheduled mail, and what a crash left

    async def replay(self) -> None:
        """Every second, and so at most a second after a shard was adopted."""
        parts = self._parts
        by_shard = {spool.shard: spool for spool in parts.spools() if not spool.is_broken}
        if not by_shard:
            return
        for one in await parts.submissions.due(list(by_shard), parts.clock.now(), _REPLAY_LIMIT):
            key = SubmissionKey(one.account, one.id)
            spool = by_shard.get(ShardNumber(one.spool_shard))
            if spool is not None and key not in self._busy:
                self._run(key, self._replay(one, spool))

    async def _replay(self, one: Submission, spool: Spool) -> None:
        parts = self._parts
        try:
            if one.send_at and await self.is_withdrawn(one):
                await self.cancel(one.account, one.id)
                return
            ticket = self._hold_of_disabled(one, decode_ticket(one.envelope))
            found = await spool.find_submission(SubmissionKey(one.account, one.id))
            wire: Body = InlineBody(b"") if found else await parts.submissions.wire(one.account, one.id)
            inline = wire.inline
            body = InlineBody(inline) if inline is not None and wire.size <= spool.inline_limit else wire
        except (*_TROUBLE, ValueError) as error:
            parts.log.warning("hand-over put off", submission=f"{one.account}.{one.id}", error=str(error))
            return
        fresh = Fresh(one.account, one.id, ticket, one.message_id, one.source, body, spool, spool.reserve_id())
        fresh.email, fresh.is_scheduled = one.email, one.email is not None  # it may have been released
        await self._hand_over(fresh, found)

    def _hold_of_disabled(self, one: Submission, ticket: Ticket) -> Ticket:
        """Scheduled mail of an account that may not send any more waits for an administrator. Raises DirectoryError."""
        if not one.send_at or ticket.hold:
            return ticket
        account = self._parts.accounts.get(one.account)
        if account is not None and not account.is_disabled:
            return ticket
        return msgspec.structs.replace(ticket, hold="the account is disabled")

    async def is_withdrawn(self, one: Submission) -> bool:
        """Rule 8: it was moved out of Scheduled, or deleted. An email that was never filed cannot be; one that was
        released in this moment has left, too. What came by JMAP may lie anywhere; the store sees it leave Scheduled.
        """
        if one.email is None or not decode_ticket(one.envelope).is_tied:
            return False
        scheduled = await self._find_scheduled(one.account)
        rows = await self._parts.messages.load_emails(one.account, [one.email], Fields.NONE)
        if scheduled is not None and rows and scheduled.id in rows[0].placements:
            return False
        known = await self._parts.submissions.get(one.account, one.id)
        return known is not None and known.send_at > 0

    async def _find_scheduled(self, account: AccountId) -> Mailbox | None:
        boxes = await self._parts.mailboxes.list_all(account)
        return next((box for box in boxes if box.role is Role.SCHEDULED), None)

    async def file_sent(self, account: AccountId, email: EmailId | None, ticket: Ticket) -> None:
        """What was scheduled is sent now: from Scheduled to Sent, or nowhere. Done already: nothing."""
        scheduled = await self._find_scheduled(account) if email is not None else None
        if scheduled is None or email is None:
            return
        messages = self._parts.messages
        rows = await messages.load_emails(account, [email], Fields.NONE)
        placement = rows[0].placements.get(scheduled.id) if rows else None
        if placement is None:
            return
        uids = (UidRange(placement.uid, placement.uid),)
        table = await messages.keywords(account)
        if ticket.keeps and COPY_IN_SENT not in table.flags_of(placement.flags):
            sent = await self._parts.mailboxes.open_role(account, Role.SENT)
            await messages.move(account, scheduled.id, uids, account, sent.id)
        else:
            await messages.set_flags(account, scheduled.id, uids, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
            await messages.expunge(account, scheduled.id, uids)

    async def release(self, waiting: Submission) -> bool:
        """It need not wait for its time. False: it is not waiting any more. `replay` sends it within a second.

        From the first commit on it goes, wherever its email is put; a crash before the move to Sent: `replay` makes it.
        """
        if not await self._parts.submissions.release(waiting.account, waiting.id):
            return False
        self._parts.journal.record(
            "released", f"{waiting.account}.{waiting.id}", message_id=waiting.message_id, was_for=waiting.send_at
        )
        await self.file_sent(waiting.account, waiting.email, decode_ticket(waiting.envelope))
        return True

    async def cancel(self, account: AccountId, submission: SubmissionId) -> bool:
        """Take it back, while it is pending. The email stays where it lies."""
        is_taken_back = await self._parts.submissions.change(account, submission, SubmissionState.CANCELED)
        if is_taken_back:
            await self.trace_canceled(account, [submission])
        return is_taken_back

    async def trace_canceled(self, account: AccountId, submissions: Sequence[SubmissionId]) -> None:
        """Those of them that are canceled: the store does it itself when their email leaves Scheduled."""
        for submission in submissions:
            known = await self._parts.submissions.get(account, submission)
            if known is not None and known.state is SubmissionState.CANCELED:
                self._parts.journal.record("canceled", f"{account}.{submission}", message_id=known.message_id)

    # -- for the runner

    async def clear(self, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
        """Those that may be tried. For messages with a submission that were never tried: what the store says counts."""
        cleared: list[QueuedMessage] = []
        for message in messages:
            if message.submission is None or any(one.attempts for one in message.recipients):
                cleared.append(message)
                continue
            try:
                if await self._may_go(message, *message.submission):
                    cleared.append(message)
            except _TROUBLE as error:
                self._parts.log.warning("submission could not be looked at", id=message.id, error=str(error))
        return cleared

    async def _may_go(self, message: QueuedMessage, account: AccountId, submission: SubmissionId) -> bool:
        parts = self._parts
        known = await parts.submissions.get(account, submission)
        if known is None:
            return True  # the account is gone; what it sent is still owed
        if known.state is SubmissionState.CANCELED:
            await message_gone(self._spool_of(message), message, parts.clock.now())
            return False
        if known.state is SubmissionState.PENDING:
            return False  # `replay` sees to it
        if known.state is SubmissionState.HELD:  # an administrator released it
            await parts.submissions.change(account, submission, SubmissionState.QUEUED)
            parts.conducts.forget(account)
        if known.email is not None:
            await self.file_sent(account, known.email, decode_ticket(known.envelope))
        return True

    # -- back

    async def record(self, message: QueuedMessage) -> bool:
        """Rule 9: the final outcomes so far, durable in the account's shard when this returns True."""
        if message.submission is None:
            return True
        fates = read_fates(message, self._parts.clock.now())
        if not fates:
            return True
        account, submission = message.submission
        for count in range(_RECORD_TRIES):
            try:
                await self._parts.submissions.record(account, submission, fates, read_rest(message, fates))
                break
            except StoreRefusal:
                return True  # the account or the row is gone: nobody is left to tell
            except StoreError as error:
                self._parts.log.warning("outcome not recorded yet", id=message.id, error=str(error))
                await asyncio.sleep(min(10.0, 0.1 * 4**count))
        else:
            return False
        failed = sum(1 for fate in fates.values() if fate.outcome in _FAILED)
        if failed:
            self._parts.conducts.note_failed(account, failed)
            await self._mark_failed(account, submission)
        return True

    async def give_up(self, messages: Sequence[QueuedMessage], why: str) -> None:
        """An administrator took them out of the spool: their recipients have failed, and the account hears of it."""
        for message in messages:
            if message.submission is None:
                continue
            for one in message.recipients:
                if not one.status.is_final:
                    one.status, one.last_reply = Status.FAILED, Reply(550, "5.7.0", why)
            try:
                await self._parts.submissions.change(*message.submission, SubmissionState.QUEUED)
            except (StoreError, StoreRefusal) as error:
                self._parts.log.warning("submission not given up", id=message.id, error=str(error))
                continue
            await self.record(message)
            self._parts.conducts.forget(message.submission.account)

    async def _mark_failed(self, account: AccountId, submission: SubmissionId) -> None:
        """$SubmitFailed on the copy in Sent; it is a help for people, so a failure here stops nothing."""
        parts = self._parts
        try:
            known = await parts.submissions.get(account, submission)
            if known is None or known.email is None:
                return
            edit = FlagEdit(FlagMode.ADD, frozenset({SUBMIT_FAILED}))
            for row in await parts.messages.load_emails(account, [known.email], Fields.NONE):
                for mailbox, placement in row.placements.items():
                    uids = (UidRange(placement.uid, placement.uid),)
                    await parts.messages.set_flags(account, mailbox, uids, edit)
        except (StoreError, StoreRefusal) as error:
            parts.log.warning("failure could not be marked", account=account, error=str(error))


def read_fates(message: QueuedMessage, now: Instant) -> dict[str, RecipientFate]:
    """By the addresses that were submitted; of an alias the worst that came of it, once all of it has ended.

    A program may give an ORCPT that is not what it submitted, so both names count.
    """
    fates: dict[str, RecipientFate] = {}
    unfinished: set[str] = set()
    for one in message.recipients:
        recipient = one.recipient
        names = {str(recipient.address), recipient.orcpt[1] if recipient.orcpt else str(recipient.address)}
        if not one.status.is_final:
            unfinished |= names
            continue
        reply = str(one.last_reply or "")
        for name in names:
            known = fates.get(name)
            if known is None or known.outcome not in _FAILED:
                fates[name] = RecipientFate(name, one.status.value, reply, now, one.last_remote)
    return {name: fate for name, fate in fates.items() if name not in unfinished}


def read_rest(message: QueuedMessage, fates: Mapping[str, RecipientFate]) -> RecipientFate | None:
    """When all has ended: for submitted addresses that were merged with others, the worst outcome there is."""
    if not all(one.status.is_final for one in message.recipients):
        return None
    return next((fate for fate in fates.values() if fate.outcome in _FAILED), next(iter(fates.values()), None))


async def message_gone(spool: Spool, message: QueuedMessage, now: Instant) -> None:
    """It was taken back before it was marked: its spool rows go."""
    await spool.change(Selection(ids=frozenset({message.id})), Action.DELETE, now)
