"""EmailSubmission/set (RFC 8621 §7.5): mail is sent and taken back; what then becomes of the email is one Email/set.

The order is that of the RFC: all records of the call, then the implied Email/set. Last, what still waits is put into
Scheduled (sending.md rule 8), so that where the client moved it to is where it was before it waited. Each submission is
durable before the next one begins; killed in between, what was sent is sent, and its email lies where it lay.

A submission is not destroyed while it waits: it would go all the same, and nobody could take it back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from posthouse.access.jmap.email_set import set_emails
from posthouse.access.jmap.identities import find_identity
from posthouse.access.jmap.method import Call, write_state
from posthouse.access.jmap.outcome import SetOutcome
from posthouse.access.jmap.submissions import (
    PROPERTIES,
    Shown,
    SubmissionSetArguments,
    make_submission,
    needs_canceling,
    read_new,
)
from posthouse.message.mailbox import AccountId, EmailId, SubmissionId
from posthouse.message.objectids import find_email, find_submission, name_email, name_submission
from posthouse.ports.sending import EmailWish, SendFault, SendRefused
from posthouse.ports.store import EmailRow, Fields, Submission, SubmissionState
from posthouse.protocol.jmap.arguments import read_arguments
from posthouse.protocol.jmap.errors import (
    MethodError,
    RecordRefused,
    SetError,
    SetErrorType,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import JsonObject

_FAULTS: Mapping[SendFault, SetErrorType] = {
    SendFault.SENDER: SetErrorType.FORBIDDEN_MAIL_FROM,
    SendFault.AUTHOR: SetErrorType.FORBIDDEN_FROM,
    SendFault.NO_RECIPIENTS: SetErrorType.NO_RECIPIENTS,
    SendFault.MESSAGE: SetErrorType.INVALID_EMAIL,
    SendFault.QUOTA: SetErrorType.OVER_QUOTA,
}


async def set_submissions(call: Call) -> Answer:
    asked = read_arguments(SubmissionSetArguments, call.arguments)
    owner, old_state = call.owner, write_state(await call.begin_set(asked))
    work = _Work(call, owner)
    await work.create(asked.create or {})
    await work.update(asked.update or {}, frozenset(asked.destroy or ()))
    await work.destroy(asked.destroy or ())
    answer = work.outcome.respond(
        asked.account_id, old_state, write_state(await call.parts.store.changes.modseq(owner))
    )
    await _imply(call, asked, work.emails)
    for submission in work.waiting:
        await call.parts.sending.put_off(owner, submission)
    return answer


async def _imply(call: Call, asked: SubmissionSetArguments, emails: Mapping[str, EmailId]) -> None:
    """The Email/set that follows from what succeeded, of which `emails` are the emails (RFC 8621 §7.5)."""
    update = {
        name_email(call.owner, emails[key]): patch
        for key, patch in (asked.on_success_update_email or {}).items()
        if key in emails
    }
    destroy = [name_email(call.owner, emails[key]) for key in asked.on_success_destroy_email or () if key in emails]
    if not (update or destroy):
        return
    arguments: JsonObject = {"accountId": asked.account_id, "update": update, "destroy": list(dict.fromkeys(destroy))}
    implied = replace(call, arguments=arguments, extra=[])
    try:
        call.extra.append(("Email/set", await set_emails(implied)))
    except MethodError as error:
        call.extra.append(("Email/set", error))


class _Work:
    """`emails`: of the submissions that were made, changed or destroyed, by how the client may name them. `waiting`:
    those that were made and do not go at once.
    """

    def __init__(self, call: Call, owner: AccountId) -> None:
        self._call, self._owner, self._parts = call, owner, call.parts
        self.outcome = SetOutcome()
        self.emails: dict[str, EmailId] = {}
        self.waiting: list[SubmissionId] = []

    # -- create

    async def create(self, records: Mapping[str, JsonObject]) -> None:
        for name, record in records.items():
            try:
                row, thread = await self._create_one(record)
            except RecordRefused as refused:
                self.outcome.not_created[name] = refused.error
                continue
            except SendRefused as refusal:
                self.outcome.not_created[name] = self._tell(refusal)
                continue
            text = name_submission(self._owner, row.id)
            self._call.created[name] = text
            if row.email is not None:
                self.emails[f"#{name}"] = self.emails[text] = row.email
            if row.send_at:
                self.waiting.append(row.id)
            self.outcome.created[name] = self._describe(row, thread, record)

    async def _create_one(self, record: JsonObject) -> tuple[Submission, EmailRow]:
        parts = self._parts
        new = read_new(record)
        email = await self._find_email(new.email)
        identity = resolve_id(new.identity, self._call.created)
        if identity is None or await find_identity(parts, self._owner, identity) is None:
            raise invalid_properties(["identityId"], "There is no such identity")
        if email.size > parts.max_message_size:
            raise RecordRefused(SetError(str(SetErrorType.TOO_LARGE), max_size=parts.max_message_size))
        wish = EmailWish(new.envelope, identity, parts.max_delayed_send_s, parts.max_recipients)
        made = await parts.sending.submit_email(self._call.login, email.email, wish, self._call.source)
        row = await parts.store.submissions.get(self._owner, made.id)
        assert row is not None  # it is durable
        return row, email

    async def _find_email(self, text: str) -> EmailRow:
        known = resolve_id(text, self._call.created)
        email = find_email(self._owner, known) if known is not None else None
        rows = [] if email is None else await self._parts.store.messages.load_emails(self._owner, [email], Fields.DATES)
        if not rows:
            raise invalid_properties(["emailId"], "There is no such email")
        return rows[0]

    def _describe(self, row: Submission, email: EmailRow, record: JsonObject) -> JsonObject:
        """What the client does not know of it."""
        sent = self._parts.sending.read_envelope(row)
        whole = make_submission(self._owner, Shown(row, sent, email.thread, sent.identity), PROPERTIES)
        return {name: value for name, value in whole.items() if record.get(name) is None}

    def _tell(self, refusal: SendRefused) -> SetError:
        text = refusal.text
        match refusal.fault:
            case SendFault.RECIPIENTS:
                addresses = refusal.addresses or (text,)
                return SetError(str(SetErrorType.INVALID_RECIPIENTS), text, invalid_recipients=addresses)
            case SendFault.TOO_MANY_RECIPIENTS:
                most = self._parts.max_recipients
                return SetError(str(SetErrorType.TOO_MANY_RECIPIENTS), text, max_recipients=most)
            case SendFault.ENVELOPE:
                return invalid_properties(["envelope"], text).error
            case SendFault.OTHER:
                kind = SetErrorType.RATE_LIMIT if refusal.is_limit else SetErrorType.FORBIDDEN_TO_SEND
                return SetError(str(kind), text)
            case fault:
                return SetError(str(_FAULTS[fault]), text)

    # -- update

    async def update(self, patches: Mapping[str, JsonObject], destroyed: frozenset[str]) -> None:
        for text, patch in patches.items():
            try:
                row = await self._find(text)
                if text in destroyed:
                    raise refuse_record(SetErrorType.WILL_DESTROY)
                await self._update_one(row, patch)
            except RecordRefused as refused:
                self.outcome.not_updated[text] = refused.error
                continue
            self.outcome.updated[text] = None
            if row.email is not None:
                self.emails[text] = row.email

    async def _update_one(self, row: Submission, patch: JsonObject) -> None:
        sent = self._parts.sending.read_envelope(row)
        shown = make_submission(self._owner, Shown(row, sent, None, sent.identity), PROPERTIES)
        if not needs_canceling(shown, patch):
            return
        if await self._parts.sending.cancel(self._owner, row.id):
            return
        now = await self._parts.store.submissions.get(self._owner, row.id)
        if now is None or now.state is not SubmissionState.CANCELED:  # else somebody was quicker
            raise refuse_record(SetErrorType.CANNOT_UNSEND, "It is on its way")

    async def _find(self, text: str) -> Submission:
        known = resolve_id(text, self._call.created)
        number = find_submission(self._owner, known) if known is not None else None
        row = await self._parts.store.submissions.get(self._owner, number) if number is not None else None
        if row is None or row.email is None:
            raise refuse_record(SetErrorType.NOT_FOUND)
        return row

    # -- destroy

    async def destroy(self, ids: Sequence[str]) -> None:
        for text in dict.fromkeys(ids):
            try:
                row = await self._find(text)
                if not await self._parts.store.submissions.detach(self._owner, row.id):
                    raise refuse_record(SetErrorType.FORBIDDEN, "It waits to be sent: cancel it before")
            except RecordRefused as refused:
                self.outcome.not_destroyed[text] = refused.error
                continue
            self.outcome.destroyed.append(text)
            if row.email is not None:
                self.emails[text] = row.email
