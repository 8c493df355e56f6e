"""Email/set (RFC 8621 §4.6): drafts are made, mailboxes and keywords of emails changed, emails destroyed.

Each record is one transaction of the store; those of one call are handed in together, so that they are committed
together. A record that is refused changes nothing. What leaves Scheduled is taken back (docs/internals.md "A
submission"), which is told to who sends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from posthouse.access.jmap.composing import Stamp, compose_email, list_blobs
from posthouse.access.jmap.email_changes import read_change, read_placing
from posthouse.access.jmap.email_set_adding import Boxes, add_email, check_targets, read_blobs, tell_refusal
from posthouse.access.jmap.emails import EmailGetArguments, plan_emails
from posthouse.access.jmap.header_forms import CONVENIENT
from posthouse.access.jmap.keywords import read_keywords
from posthouse.access.jmap.method import Call, read_state, write_state
from posthouse.access.jmap.outcome import SetOutcome
from posthouse.message.mailbox import EmailId, MailboxId, ModSeq, Role
from posthouse.message.objectids import find_email
from posthouse.ports.store import Fields, FlagDelta, NoSuchMailbox, StoreRefusal
from posthouse.protocol.jmap.arguments import SetArguments, read_arguments
from posthouse.protocol.jmap.errors import RecordRefused, SetErrorType, refuse_record
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import JsonObject

_SHOWN = ("id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt")
_ALSO = frozenset({*CONVENIENT, "preview", "hasAttachment"})  # which a patch may name with the value they have
_LARGE = 256 * 1024  # octets of blobs from which on a message is put together beside the loop


async def set_emails(call: Call) -> Answer:
    asked = read_arguments(SetArguments, call.arguments)
    old_state = write_state(await call.begin_set(asked))
    owner, store = call.owner, call.parts.store
    work = _Work(call, {box.id: box for box in await store.mailboxes.list_all(owner)})
    await work.create(asked.create or {})
    await work.update(asked.update or {}, frozenset(asked.destroy or ()))
    await work.destroy(asked.destroy or ())
    if work.has_left_scheduled:
        await call.parts.sending.note_removed(owner, read_state(old_state))
    return work.outcome.respond(asked.account_id, old_state, write_state(await store.changes.modseq(owner)))


@dataclass(frozen=True, slots=True)
class _Move:
    """What `Messages.place` is to do."""

    email: EmailId
    into: Sequence[MailboxId] = ()
    out_of: Sequence[MailboxId] = ()
    flags: FlagDelta | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.into or self.out_of or self.flags)


class _Work:
    def __init__(self, call: Call, boxes: Boxes) -> None:
        self._call, self._boxes = call, boxes
        self._scheduled = frozenset(box.id for box in boxes.values() if box.role is Role.SCHEDULED)
        self.outcome = SetOutcome()
        self.has_left_scheduled = False

    # -- create

    async def create(self, records: Mapping[str, JsonObject]) -> None:
        for name, record in records.items():
            try:
                made = await self._create_one(record)
            except RecordRefused as refused:
                self.outcome.not_created[name] = refused.error
            else:
                self.outcome.created[name] = made
                self._call.created[name] = str(made["id"])

    async def _create_one(self, record: JsonObject) -> JsonObject:
        call, parts = self._call, self._call.parts
        placing = read_placing(call.owner, record, call.created)
        check_targets(call, self._boxes, placing.mailboxes)
        blobs = await read_blobs(call, list_blobs(record))
        stamp = Stamp(parts.clock.now(), f"{parts.make_token()}@{parts.hostname}", parts.make_token())
        compose = partial(compose_email, record, blobs, stamp)
        is_large = sum(map(len, blobs.values())) > _LARGE
        octets = await parts.compute.run(compose) if is_large else compose()
        return await add_email(call, self._boxes, octets, placing)

    # -- update

    async def update(self, patches: Mapping[str, JsonObject], destroyed: Collection[str]) -> None:
        current = await self._show(patches)
        moves: dict[str, _Move] = {}
        for text, patch in patches.items():
            try:
                email = self._find(text)
                if email not in current:
                    raise refuse_record(SetErrorType.NOT_FOUND)
                if text in destroyed:
                    raise refuse_record(SetErrorType.WILL_DESTROY)
                moves[text] = self._plan(email, current[email], patch)
            except RecordRefused as refused:
                self.outcome.not_updated[text] = refused.error
        failed = await self._carry_out(moves)
        self.outcome.not_updated |= {text: error.error for text, error in failed.items()}
        self.outcome.updated |= {text: None for text in moves if text not in failed}

    async def _show(self, patches: Mapping[str, JsonObject]) -> dict[EmailId, JsonObject]:
        """The emails as they are, with all that a patch may name."""
        emails = [email for text in patches if (email := self._find_id(text)) is not None]
        if not emails:
            return {}
        call, messages = self._call, self._call.parts.store.messages
        named = {pointer.partition("/")[0] for patch in patches.values() for pointer in patch}
        shown = [*_SHOWN, *named.intersection(_ALSO)]
        plan = plan_emails(EmailGetArguments(account_id="", properties=shown), call.owner)
        rows = await messages.load_emails(call.owner, list(dict.fromkeys(emails)), plan.fields)
        keywords = await messages.keywords(call.owner)
        return {row.email: plan.make(row, None, keywords) for row in rows}

    def _plan(self, email: EmailId, current: JsonObject, patch: JsonObject) -> _Move:
        call = self._call
        change = read_change(call.owner, current, patch, call.created)
        check_targets(call, self._boxes, change.into)
        if change.flags is None:
            return _Move(email, change.into, change.out_of)
        before = read_keywords(current["keywords"])
        return _Move(email, change.into, change.out_of, FlagDelta(change.flags - before, before - change.flags))

    # -- destroy

    async def destroy(self, ids: Sequence[str]) -> None:
        found = {text: self._find_id(text) for text in dict.fromkeys(ids)}
        emails = [email for email in dict.fromkeys(found.values()) if email is not None]
        owner, messages = self._call.owner, self._call.parts.store.messages
        rows = await messages.load_emails(owner, emails, Fields.NONE) if emails else []
        places = {row.email: tuple(row.placements) for row in rows}
        moves = {
            text: _Move(email, out_of=places[email])
            for text, email in found.items()
            if email is not None and email in places
        }
        refused = await self._carry_out(moves)
        self.outcome.destroyed += [text for text in moves if text not in refused]
        self.outcome.not_destroyed |= {text: error.error for text, error in refused.items()}
        missing = refuse_record(SetErrorType.NOT_FOUND).error
        self.outcome.not_destroyed |= {text: missing for text in found if text not in moves}

    # -- both

    def _find(self, text: str) -> EmailId:
        email = self._find_id(text)
        if email is None:
            raise refuse_record(SetErrorType.NOT_FOUND)
        return email

    def _find_id(self, text: str) -> EmailId | None:
        known = resolve_id(text, self._call.created)
        return None if known is None else find_email(self._call.owner, known)

    async def _carry_out(self, moves: Mapping[str, _Move]) -> dict[str, RecordRefused]:
        """All at once. Those that the store refuses; raises StoreError when it cannot do it now."""
        texts = [text for text, move in moves.items() if not move.is_empty]
        results = await asyncio.gather(*[self._place(moves[text]) for text in texts], return_exceptions=True)
        refused: dict[str, RecordRefused] = {}
        for text, result in zip(texts, results, strict=True):
            if isinstance(result, StoreRefusal):
                refused[text] = _tell(result)
            elif isinstance(result, BaseException):
                raise result
            else:
                self.has_left_scheduled |= not self._scheduled.isdisjoint(moves[text].out_of)
        return refused

    async def _place(self, move: _Move) -> ModSeq:
        messages = self._call.parts.store.messages
        return await messages.place(self._call.owner, move.email, move.into, move.out_of, move.flags)


def _tell(refusal: StoreRefusal) -> RecordRefused:
    if isinstance(refusal, NoSuchMailbox) and "email" in str(refusal):
        return refuse_record(SetErrorType.NOT_FOUND)
    return tell_refusal(refusal)
