"""The submissions of the store's fake (sending.md rule 5)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace

from posthouse.message.mailbox import AccountId, EmailId, SubmissionId
from posthouse.ports.spool import Body
from posthouse.ports.store import (
    SUBMISSION_MOVES,
    Added,
    NewSubmission,
    NoSuchMailbox,
    RecipientFate,
    Submission,
    SubmissionState,
    Submitted,
)
from posthouse.ports.store_memory_messages import Doors, add_emails, answer, find_email, make_body, octets_of
from posthouse.ports.store_memory_state import AccountState, Kind, Record, StoredKey, StoredSubmission


class MemorySubmissions:
    """`accounts` are all there are, for `due`."""

    def __init__(self, doors: Doors, accounts: Mapping[AccountId, AccountState], inline_limit: int) -> None:
        self._doors, self._accounts, self._inline_limit = doors, accounts, inline_limit

    def submit(self, account: AccountId, new: NewSubmission) -> asyncio.Future[Submitted]:
        return answer(lambda: self._submit(account, new))

    def _submit(self, account: AccountId, new: NewSubmission) -> Submitted:
        state = self._doors.grow(account)
        known = state.keys.get(new.key) if new.key else None
        if known is not None and known.expires > self._doors.clock.now():
            row = state.submissions[known.submission].row
            if row.state is not SubmissionState.CANCELED:
                return Submitted(row.id, row.email, known.mailbox, known.uid, known.uidvalidity, is_repeat=True)
        wire = octets_of(new.wire)
        if new.existing is not None:
            find_email(state, new.existing)
        added = add_emails(self._doors, account, [new.filed])[0] if new.filed is not None else None
        email = added.email if added is not None else new.existing
        modseq = added.modseq if added is not None else state.begin()
        row = Submission(
            state.reserve_submission(),
            account,
            new.envelope,
            new.state,
            new.spool_shard,
            email,
            self._doors.clock.now(),
            new.send_at,
            modseq,
            new.source,
            new.message_id,
            [RecipientFate(address) for address in new.recipients],
            modseq,
        )
        state.submissions[row.id] = StoredSubmission(row, wire)
        state.note(Record(modseq, Kind.SUBMISSION, submission=row.id))
        submitted = _make_submitted(row, added)
        if new.key:
            state.keys[new.key] = StoredKey(
                row.id, new.key_expires, submitted.uid, submitted.uidvalidity, submitted.mailbox
            )
        return submitted

    async def get(self, account: AccountId, submission: SubmissionId) -> Submission | None:
        stored = self._doors.read(account).submissions.get(submission)
        return deepcopy(stored.row) if stored is not None else None

    async def list_newest(
        self, account: AccountId, limit: int = 1000, before: SubmissionId | None = None
    ) -> list[Submission]:
        submissions = self._doors.read(account).submissions
        numbers = sorted((number for number in submissions if before is None or number < before), reverse=True)
        return [deepcopy(submissions[number].row) for number in numbers[:limit]]

    async def of_emails(self, account: AccountId, emails: Sequence[EmailId]) -> list[Submission]:
        found = [row for row in await self.list_newest(account, 1 << 62) if row.email in emails]
        return [deepcopy(row) for row in found]

    async def detach(self, account: AccountId, submission: SubmissionId) -> bool:
        state = self._doors.write(account)
        stored = state.submissions.get(submission)
        if stored is None or stored.row.email is None:
            return False
        if stored.row.state in (SubmissionState.PENDING, SubmissionState.HELD):
            return False
        stored.row.email = None
        state.set_submission(state.begin(), stored, stored.row.state)
        return True

    async def due(self, spool_shards: Sequence[int], now: float, limit: int) -> list[Submission]:
        found = [
            stored.row
            for state in self._accounts.values()
            for stored in state.submissions.values()
            if stored.row.state is SubmissionState.PENDING
            and stored.row.send_at <= now
            and stored.row.spool_shard in spool_shards
        ]
        found.sort(key=lambda row: (row.send_at, row.account, row.id))
        return [deepcopy(row) for row in found[:limit]]

    async def wire(self, account: AccountId, submission: SubmissionId) -> Body:
        stored = self._doors.read(account).submissions.get(submission)
        if stored is None or stored.wire is None:
            raise NoSuchMailbox(f"submission {submission}")
        return make_body(stored.wire, self._inline_limit)

    async def change(
        self, account: AccountId, submission: SubmissionId, state: SubmissionState, spool_shard: int | None = None
    ) -> bool:
        owner = self._doors.write(account)
        stored = owner.submissions.get(submission)
        if stored is None or state not in SUBMISSION_MOVES[stored.row.state]:
            return False
        if spool_shard is not None:
            stored.row.spool_shard = spool_shard
        owner.set_submission(owner.begin(), stored, state)
        return True

    async def waiting(self, account: AccountId, email: EmailId) -> Submission | None:
        found = [
            stored.row
            for stored in self._doors.read(account).submissions.values()
            if stored.row.email == email and _is_waiting(stored.row)
        ]
        return deepcopy(max(found, key=lambda row: row.id)) if found else None

    async def release(self, account: AccountId, submission: SubmissionId) -> bool:
        owner = self._doors.write(account)
        stored = owner.submissions.get(submission)
        if stored is None or not _is_waiting(stored.row):
            return False
        stored.row.send_at = 0.0
        owner.set_submission(owner.begin(), stored, stored.row.state)
        return True

    async def is_known(self, account: AccountId, key: bytes, now: float) -> bool:
        state = self._doors.read(account)
        known = state.keys.get(key)
        if known is None or known.expires <= now:
            return False
        return state.submissions[known.submission].row.state is not SubmissionState.CANCELED

    async def record(
        self,
        account: AccountId,
        submission: SubmissionId,
        fates: Mapping[str, RecipientFate],
        rest: RecipientFate | None = None,
    ) -> None:
        owner = self._doors.write(account)
        stored = owner.submissions.get(submission)
        if stored is None:
            return
        row = stored.row
        row.recipients = [fates.get(fate.address, fate) for fate in row.recipients]
        if rest is not None:
            row.recipients = [fate if fate.outcome else replace(rest, address=fate.address) for fate in row.recipients]
        is_final = row.state is SubmissionState.QUEUED and all(fate.outcome for fate in row.recipients)
        owner.set_submission(owner.begin(), stored, SubmissionState.FINAL if is_final else row.state)


def _is_waiting(row: Submission) -> bool:
    return row.state is SubmissionState.PENDING and row.send_at > 0


def _make_submitted(row: Submission, added: Added | None) -> Submitted:
    if added is None:
        return Submitted(row.id, row.email, None, None, None)
    return Submitted(row.id, row.email, added.mailboxes[0], added.uids[0], added.uidvalidities[0])
