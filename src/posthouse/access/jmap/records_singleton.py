"""/get and /set of types of which an account has one object, with the id "singleton" (RFC 8621 §8 is one).

Kept as the first record of its kind, made by the first /set; until then it is shown with its defaults. The errors are
those of RFC 8620 §5.3: it cannot be created or destroyed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from posthouse.access.jmap.method import Call, write_state
from posthouse.access.jmap.records_methods import pick
from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.ports.records import NEW, Record, RecordEdit, Records, Value, write_value
from posthouse.ports.store_errors import TooMany
from posthouse.protocol.jmap.arguments import (
    GetArguments,
    SetArguments,
    pick_properties,
    read_arguments,
)
from posthouse.protocol.jmap.errors import (
    RecordRefused,
    SetError,
    SetErrorType,
    invalid_properties,
    refuse_record,
)
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.patches import apply_patch
from posthouse.protocol.jmap.responses import GetResponse, SetResponse

ID = "singleton"
_SINGLETON = SetError(str(SetErrorType.SINGLETON))
_NOT_FOUND = SetError(str(SetErrorType.NOT_FOUND))


@dataclass(frozen=True, slots=True)
class Singleton:
    """`defaults` of all properties but the id. `read` gives what is kept of an object with these properties; raises
    RecordRefused.
    """

    kind: str
    defaults: Mapping[str, object]
    read: Callable[[JsonObject], Value]

    @property
    def properties(self) -> tuple[str, ...]:
        return ("id", *self.defaults)


async def find_singleton(records: Records, account: AccountId, kind: str) -> Record | None:
    """None: nobody has set it yet."""
    found = await records.list_all(account, kind)
    return found[0] if found else None


def _show(singleton: Singleton, record: Record | None) -> JsonObject:
    return {"id": ID, **singleton.defaults, **(record.value if record is not None else {})}


async def get_singleton(call: Call, singleton: Singleton) -> GetResponse:
    arguments = read_arguments(GetArguments, call.arguments)
    owner = call.check_account(arguments.account_id)
    names = pick_properties(arguments.properties, singleton.properties, singleton.properties)
    ids = [ID] if arguments.ids is None else list(dict.fromkeys(arguments.ids))
    check_get_size(len(ids), call.parts.limits)
    state = await call.state()
    shown = _show(singleton, await find_singleton(call.parts.records, owner, singleton.kind))
    return GetResponse(
        account_id=arguments.account_id,
        state=state,
        list=[pick(shown, names)] if ID in ids else [],
        not_found=[text for text in ids if text != ID],
    )


async def set_singleton(call: Call, singleton: Singleton) -> SetResponse:
    arguments = read_arguments(SetArguments, call.arguments)
    before = await call.begin_set(arguments)
    not_updated = dict.fromkeys(arguments.update or (), _NOT_FOUND)
    old, now, updated = before, before, False
    if arguments.update and ID in arguments.update:
        del not_updated[ID]
        try:
            now = await _update(call, singleton, arguments.update[ID])
            old, updated = ModSeq(now - 1), True
        except RecordRefused as refused:
            not_updated[ID] = refused.error
    return SetResponse(
        account_id=arguments.account_id,
        old_state=write_state(old),
        new_state=write_state(now),
        updated={ID: None} if updated else None,
        not_created=dict.fromkeys(arguments.create or (), _SINGLETON) or None,
        not_updated=not_updated or None,
        not_destroyed={text: _SINGLETON if text == ID else _NOT_FOUND for text in arguments.destroy or ()} or None,
    )


async def _update(call: Call, singleton: Singleton, patch: JsonObject) -> ModSeq:
    """Returns the state of the change."""
    record = await find_singleton(call.parts.records, call.owner, singleton.kind)
    changed = apply_patch(_show(singleton, record), patch, singleton.defaults)
    wrong = [name for name in changed if name not in singleton.properties]
    if wrong:
        raise invalid_properties(wrong)
    if changed.pop("id", None) != ID:
        raise invalid_properties(["id"], "It cannot be changed")
    edit = RecordEdit(_check_size(singleton.read(changed)), record.id if record is not None else NEW)
    [made] = await call.parts.records.edit(call.owner, singleton.kind, [edit])
    return made.changed if made is not None else await call.parts.store.changes.modseq(call.owner)


def _check_size(value: Value) -> Value:
    try:
        write_value(value)
    except TooMany as error:
        raise refuse_record(SetErrorType.TOO_LARGE, str(error)) from None
    return value
