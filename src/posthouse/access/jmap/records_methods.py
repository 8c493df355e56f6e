"""The standard methods on records of ports/records.py: /get, /changes and /set of types that are nothing but records.

A type says by its `Rules` how a record is shown and read; the rest is here: which ids there are, patches, errors by
record, limits, states. All that one /set changes is one commit. Raises MethodError; the store's errors pass.

`maxChanges` below what changed is cannotCalculateChanges: there are no states in between (RFC 8620 §5.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.access.jmap.method import Call, read_state, write_state
from posthouse.message.mailbox import ModSeq
from posthouse.ports.records import Record, RecordEdit, RecordId, write_value
from posthouse.ports.store_errors import TooMany
from posthouse.protocol.jmap.arguments import (
    ChangesArguments,
    GetArguments,
    SetArguments,
    pick_properties,
    read_arguments,
)
from posthouse.protocol.jmap.errors import (
    ErrorType,
    MethodError,
    RecordRefused,
    SetError,
    SetErrorType,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.patches import apply_patch
from posthouse.protocol.jmap.responses import ChangesResponse, GetResponse, SetResponse

_MAX_DIGITS = 18
_NOT_FOUND = SetError(str(SetErrorType.NOT_FOUND))


@dataclass(frozen=True, slots=True)
class RecordType:
    """`kind`: in the store. `letter` begins an id. `properties`: all there are, "id" among them."""

    kind: str
    letter: str
    properties: tuple[str, ...]

    def name(self, number: RecordId) -> str:
        return f"{self.letter}{number}"

    def find(self, text: str | None) -> RecordId | None:
        """None: no record can have that id."""
        if text is None or text[:1] != self.letter or len(text) > _MAX_DIGITS:
            return None
        digits = text[1:]
        is_number = digits.isascii() and digits.isdigit() and digits[0] != "0"
        return RecordId(int(digits)) if is_number else None


class Rules(Protocol):
    """`defaults`: of properties that a create may leave out and that null resets."""

    @property
    def type(self) -> RecordType: ...

    @property
    def defaults(self) -> Mapping[str, object]: ...

    def show(self, record: Record) -> JsonObject:
        """All properties."""

    def read(self, members: JsonObject, old: Record | None) -> RecordEdit:
        """What is to be kept of a record with these properties (`old` None: a new one); without its id. Raises
        RecordRefused.
        """

    def check_removal(self, record: Record) -> None:
        """Raises RecordRefused."""


async def get_records(call: Call, rules: Rules) -> GetResponse:
    """RFC 8620 §5.1."""
    arguments = read_arguments(GetArguments, call.arguments)
    owner, kind = call.check_account(arguments.account_id), rules.type
    names = pick_properties(arguments.properties, kind.properties, kind.properties)
    state = await call.state()  # before the look: what comes in between is told again
    if arguments.ids is None:
        found, missing = await call.parts.records.list_all(owner, kind.kind), list[str]()
        check_get_size(len(found), call.parts.limits)
    else:
        check_get_size(len(arguments.ids), call.parts.limits)
        numbers = {text: kind.find(resolve_id(text, call.created)) for text in arguments.ids}
        wanted = list(dict.fromkeys(number for number in numbers.values() if number is not None))
        found = await call.parts.records.get(owner, kind.kind, wanted)
        there = {record.id for record in found}
        missing = [text for text, number in numbers.items() if number not in there]
    return GetResponse(
        account_id=arguments.account_id,
        state=state,
        list=[pick(rules.show(record), names) for record in found],
        not_found=missing,
    )


def pick(shown: JsonObject, names: Sequence[str]) -> JsonObject:
    return {name: shown[name] for name in names}


async def get_changes(call: Call, kind: RecordType) -> ChangesResponse:
    """RFC 8620 §5.2."""
    arguments = read_arguments(ChangesArguments, call.arguments)
    owner = call.check_account(arguments.account_id)
    changes = await call.parts.records.changes(owner, kind.kind, read_state(arguments.since_state))
    count = len(changes.created) + len(changes.updated) + len(changes.destroyed)
    if not changes.is_complete or count > (arguments.max_changes or count):
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    return ChangesResponse(
        account_id=arguments.account_id,
        old_state=arguments.since_state,
        new_state=write_state(changes.modseq),
        created=list(map(kind.name, changes.created)),
        updated=list(map(kind.name, changes.updated)),
        destroyed=list(map(kind.name, changes.destroyed)),
    )


@dataclass(slots=True)
class SetOutcome:
    """Of a /set, as it grows. `created`, `updated`: the records as they are now."""

    created: dict[str, Record] = field(default_factory=dict)
    updated: dict[str, Record] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)
    not_created: dict[str, SetError] = field(default_factory=dict)
    not_updated: dict[str, SetError] = field(default_factory=dict)
    not_destroyed: dict[str, SetError] = field(default_factory=dict)

    @property
    def has_changed(self) -> bool:
        return bool(self.created or self.updated or self.destroyed)


@dataclass(slots=True)
class SetPlan:
    """What a /set comes to, record by record. `creates` by creation id, the others by id, also where a creation id of
    the same request was given for it.
    """

    arguments: SetArguments
    before: ModSeq
    outcome: SetOutcome = field(default_factory=SetOutcome)
    creates: dict[str, RecordEdit] = field(default_factory=dict)
    updates: dict[str, RecordEdit] = field(default_factory=dict)
    removals: dict[str, Record] = field(default_factory=dict)


async def set_records(call: Call, rules: Rules) -> SetResponse:
    """RFC 8620 §5.3."""
    plan = await plan_set(call, rules)
    await carry_out(call, rules, plan)
    return await write_response(call, rules, plan)


async def plan_set(call: Call, rules: Rules) -> SetPlan:
    """Nothing is changed yet. Raises MethodError."""
    arguments = read_arguments(SetArguments, call.arguments)
    before = await call.begin_set(arguments)
    owner, kind = call.owner, rules.type
    plan = SetPlan(arguments, before)
    named = {text: kind.find(resolve_id(text, call.created)) for text in _named(arguments)}
    wanted = [number for number in named.values() if number is not None]
    found = {record.id: record for record in await call.parts.records.get(owner, kind.kind, wanted)}
    known = {text: found[number] for text, number in named.items() if number in found}
    _plan_creates(rules, plan)
    _plan_removals(rules, plan, known)
    _plan_updates(rules, plan, known)
    return plan


def _named(arguments: SetArguments) -> list[str]:
    return [*(arguments.update or ()), *(arguments.destroy or ())]


def _plan_creates(rules: Rules, plan: SetPlan) -> None:
    for name, record in (plan.arguments.create or {}).items():
        try:
            _check_names(rules.type, record, ("id",))
            plan.creates[name] = _check_size(rules.read({**rules.defaults, **record}, None))
        except RecordRefused as refused:
            plan.outcome.not_created[name] = refused.error


def _plan_removals(rules: Rules, plan: SetPlan, known: Mapping[str, Record]) -> None:
    for text in plan.arguments.destroy or ():
        try:
            if text not in known:
                raise RecordRefused(_NOT_FOUND)
            rules.check_removal(known[text])
            plan.removals[rules.type.name(known[text].id)] = known[text]
        except RecordRefused as refused:
            plan.outcome.not_destroyed[text] = refused.error


def _plan_updates(rules: Rules, plan: SetPlan, known: Mapping[str, Record]) -> None:
    going = {record.id for record in plan.removals.values()}
    for text, patch in (plan.arguments.update or {}).items():
        try:
            if text not in known:
                raise RecordRefused(_NOT_FOUND)
            if known[text].id in going:
                raise refuse_record(SetErrorType.WILL_DESTROY)
            plan.updates[rules.type.name(known[text].id)] = _read_update(rules, known[text], patch)
        except RecordRefused as refused:
            plan.outcome.not_updated[text] = refused.error


def _read_update(rules: Rules, record: Record, patch: JsonObject) -> RecordEdit:
    shown = rules.show(record)
    changed = apply_patch(shown, patch, rules.defaults)
    _check_names(rules.type, changed)
    if changed.get("id") != shown["id"]:
        raise invalid_properties(["id"], "It cannot be changed")
    edit = _check_size(rules.read(changed, record))
    return RecordEdit(edit.value, record.id, edit.due)


def _check_names(kind: RecordType, members: Mapping[str, object], more: Sequence[str] = ()) -> None:
    """`more`: which there are, but not for a client to give."""
    wrong = [name for name in members if name not in kind.properties or name in more]
    if wrong:
        raise invalid_properties(wrong)


def _check_size(edit: RecordEdit) -> RecordEdit:
    try:
        write_value(edit.value or {})
    except TooMany as error:
        raise refuse_record(SetErrorType.TOO_LARGE, str(error)) from None
    return edit


async def carry_out(call: Call, rules: Rules, plan: SetPlan) -> None:
    """In one commit; when there are too many records nothing is created."""
    try:
        await _edit(call, rules, plan)
    except TooMany as error:
        told = SetError(str(SetErrorType.OVER_QUOTA), str(error))
        plan.outcome.not_created.update(dict.fromkeys(plan.creates, told))
        plan.creates.clear()
        await _edit(call, rules, plan)


async def _edit(call: Call, rules: Rules, plan: SetPlan) -> None:
    removals = [RecordEdit(None, record.id) for record in plan.removals.values()]
    edits = [*plan.creates.values(), *plan.updates.values(), *removals]
    if not edits:
        return
    records = iter(await call.parts.records.edit(call.owner, rules.type.kind, edits))
    outcome = plan.outcome
    for name in plan.creates:
        record = next(records)
        assert record is not None
        outcome.created[name] = record
        call.created[name] = rules.type.name(record.id)
    for text in plan.updates:
        record = next(records)
        if record is None:
            outcome.not_updated[text] = _NOT_FOUND
        else:
            outcome.updated[text] = record
    outcome.destroyed.extend(plan.removals)


async def write_response(call: Call, rules: Rules, plan: SetPlan) -> SetResponse:
    """`oldState` is the state just before the change: where somebody else changed something since the client looked, it
    is another than the client's, and it asks for /changes.
    """
    outcome, now = plan.outcome, plan.before
    if outcome.has_changed:
        now = await call.parts.store.changes.modseq(call.owner)
    created = {name: _tell_new(rules, plan, name, record) for name, record in outcome.created.items()}
    return SetResponse(
        account_id=plan.arguments.account_id,
        old_state=write_state(ModSeq(now - 1) if outcome.has_changed else now),
        new_state=write_state(now),
        created=created or None,
        updated=dict.fromkeys(outcome.updated) or None,
        destroyed=outcome.destroyed or None,
        not_created=outcome.not_created or None,
        not_updated=outcome.not_updated or None,
        not_destroyed=outcome.not_destroyed or None,
    )


def _tell_new(rules: Rules, plan: SetPlan, name: str, record: Record) -> JsonObject:
    """What the client did not give, or not like that (RFC 8620 §5.3)."""
    given = (plan.arguments.create or {}).get(name, {})
    return {key: value for key, value in rules.show(record).items() if key not in given or given[key] != value}
