"""Snooze/get, /changes and /set: emails that are put away until a time (docs/jmap.md, capability urn:posthouse:web).

A create puts the email into the mailbox with role `snoozed`; destroy brings it back now, as it was. At `until` the
server brings it back unread (app/due_records.py). What lies in Scheduled cannot be snoozed: it would not be sent.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.access.jmap.records_methods import (
    RecordType,
    SetPlan,
    carry_out,
    get_changes,
    get_records,
    plan_set,
    write_response,
)
from posthouse.access.jmap.records_reading import read_date
from posthouse.access.jmap.session import WEB
from posthouse.access.jmap.snooze_moves import SNOOZE_KIND, Snooze, bring_back, find_email, put_away, read_snooze
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, MailboxId, Role
from posthouse.message.objectids import find_email as find_email_id
from posthouse.message.objectids import find_mailbox, name_email, name_mailbox
from posthouse.ports.records import Record, RecordEdit
from posthouse.ports.store import NoSuchMailbox
from posthouse.protocol.jmap.errors import RecordRefused, SetError, SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import JsonObject

_SNOOZE = RecordType(SNOOZE_KIND, "Z", ("id", "emailId", "until", "mailboxIds"))


@dataclass(slots=True)
class SnoozeRules:
    """A `Rules`. `boxes` and `now` as they were when the call began; `emails` where those lie that are to be snoozed;
    `snoozed` records by email; `created` ids of the request; `taken` emails of this call.
    """

    owner: AccountId
    now: float
    boxes: Mapping[MailboxId, Mailbox]
    emails: Mapping[EmailId, Collection[MailboxId]]
    snoozed: Mapping[EmailId, Record]
    created: Mapping[str, str]
    taken: set[EmailId] = field(default_factory=set)

    @property
    def type(self) -> RecordType:
        return _SNOOZE

    @property
    def defaults(self) -> Mapping[str, object]:
        return {"mailboxIds": None}

    def show(self, record: Record) -> JsonObject:
        snooze = read_snooze(record)
        return {
            "id": _SNOOZE.name(record.id),
            "emailId": name_email(self.owner, snooze.email),
            "until": snooze.until,
            "mailboxIds": {name_mailbox(self.owner, box): True for box in snooze.mailboxes},
        }

    def read(self, members: JsonObject, old: Record | None) -> RecordEdit:
        until, due = read_date(members, "until")
        if due <= self.now:
            raise invalid_properties(["until"], "It is over")
        email = self._read_email(members, old)
        wanted = members.get("mailboxIds")
        boxes = self._find_source(email) if wanted is None else self._read_mailboxes(wanted)
        return RecordEdit(Snooze(email, boxes, until).as_value(), due=due)

    def _read_email(self, members: JsonObject, old: Record | None) -> EmailId:
        given = members.get("emailId")
        if old is not None:
            if given != name_email(self.owner, read_snooze(old).email):
                raise invalid_properties(["emailId"], "It cannot be changed")
            return read_snooze(old).email
        email = _find_email(self.owner, given, self.created)
        if email is None or email not in self.emails:
            raise invalid_properties(["emailId"], "There is no such email")
        roles = {self.boxes[box].role for box in self.emails[email] if box in self.boxes}
        if Role.SCHEDULED in roles:
            raise refuse_record(SetErrorType.FORBIDDEN, "It waits to be sent")
        if email in self.snoozed and Role.SNOOZED in roles:
            existing = _SNOOZE.name(self.snoozed[email].id)
            raise RecordRefused(SetError(str(SetErrorType.ALREADY_EXISTS), existing_id=existing))
        if email in self.taken:
            raise invalid_properties(["emailId"], "It is snoozed twice in this call")
        self.taken.add(email)
        return email

    def _find_source(self, email: EmailId) -> tuple[MailboxId, ...]:
        """Where it is now."""
        return tuple([box for box in self.emails.get(email, ()) if self._is_open(box)])

    def _read_mailboxes(self, value: object) -> tuple[MailboxId, ...]:
        if not isinstance(value, dict):
            raise invalid_properties(["mailboxIds"], "It is an object")
        found = {text: find_mailbox(self.owner, resolve_id(text, self.created) or "") for text in value}
        wrong = [
            f"mailboxIds/{text}"
            for text, box in found.items()
            if box is None or value[text] is not True or not self._is_open(box)
        ]
        if wrong:
            raise invalid_properties(wrong)
        return tuple([box for box in found.values() if box is not None])

    def _is_open(self, box: MailboxId) -> bool:
        return box in self.boxes and self.boxes[box].role not in (Role.SCHEDULED, Role.SNOOZED)

    def check_removal(self, record: Record) -> None:
        """Every one may go."""


async def _make_rules(call: Call) -> SnoozeRules:
    store, owner = call.parts.store, call.owner
    records = await call.parts.records.list_all(owner, SNOOZE_KIND)
    emails = {email: await find_email(store, owner, email) for email in _list_emails(call)}
    return SnoozeRules(
        owner,
        call.parts.clock.now(),
        {box.id: box for box in await store.mailboxes.list_all(owner)},
        {email: found.mailboxes for email, found in emails.items() if found is not None},
        {read_snooze(record).email: record for record in records},
        call.created,
    )


def _find_email(owner: AccountId, given: object, created: Mapping[str, str]) -> EmailId | None:
    known = resolve_id(given, created) if isinstance(given, str) else None
    return None if known is None else find_email_id(owner, known)


def _list_emails(call: Call) -> set[EmailId]:
    """Those that the call would snooze."""
    wanted = call.arguments.get("create")
    creates = list(wanted.values())[: call.parts.limits.max_objects_in_set] if isinstance(wanted, dict) else []
    names = [item.get("emailId") for item in creates if isinstance(item, dict)]
    found = [_find_email(call.owner, name, call.created) for name in names]
    return {email for email in found if email is not None}


async def get_snoozes(call: Call) -> Answer:
    return await get_records(call, SnoozeRules(call.owner, 0.0, {}, {}, {}, {}))


async def list_changes(call: Call) -> Answer:
    return await get_changes(call, _SNOOZE)


async def set_snoozes(call: Call) -> Answer:
    rules = await _make_rules(call)
    plan = await plan_set(call, rules)
    for record in plan.removals.values():
        await bring_back(call.parts.store, call.owner, read_snooze(record), is_woken=False)
    await carry_out(call, rules, plan)
    response = await write_response(call, rules, plan)
    await _put_away(call, plan)
    await _drop_stale(call, rules, plan)
    return response


async def _put_away(call: Call, plan: SetPlan) -> None:
    """Behind the record: killed in between, it is dropped when it is due. An email that went meanwhile stays away."""
    for record in plan.outcome.created.values():
        with contextlib.suppress(NoSuchMailbox):
            await put_away(call.parts.store, call.owner, read_snooze(record).email)


async def _drop_stale(call: Call, rules: SnoozeRules, plan: SetPlan) -> None:
    """Of emails that were moved out of Snoozed by hand and are snoozed anew."""
    emails = [read_snooze(record).email for record in plan.outcome.created.values()]
    stale = [RecordEdit(None, rules.snoozed[email].id) for email in emails if email in rules.snoozed]
    if stale:
        await call.parts.records.edit(call.owner, SNOOZE_KIND, stale)


METHODS: Methods = {
    "Snooze/get": Method(WEB, get_snoozes),
    "Snooze/changes": Method(WEB, list_changes),
    "Snooze/set": Method(WEB, set_snoozes),
}
