"""Identity/get, /changes and /set (RFC 8621 §6)."""

from __future__ import annotations

from posthouse.access.jmap.identities import IDENTITY, IdentityRules, find_default, list_identities
from posthouse.access.jmap.method import Call, Method, Methods, write_state
from posthouse.access.jmap.records_methods import (
    SetPlan,
    carry_out,
    get_changes,
    get_records,
    plan_set,
    write_response,
)
from posthouse.message.mailbox import ModSeq
from posthouse.ports.records import Record, RecordEdit
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.responses import SetResponse
from posthouse.protocol.jmap.session import SUBMISSION


async def _make_rules(call: Call) -> IdentityRules:
    parts, owner = call.parts, call.owner
    found = await list_identities(parts.records, parts.accounts, owner)
    return IdentityRules(parts.accounts, owner, find_default(found, parts.accounts.get(owner)))


async def get_identities(call: Call) -> Answer:
    return await get_records(call, await _make_rules(call))


async def list_changes(call: Call) -> Answer:
    await _make_rules(call)
    return await get_changes(call, IDENTITY)


async def set_identities(call: Call) -> Answer:
    rules = await _make_rules(call)
    plan = await plan_set(call, rules)
    await carry_out(call, rules, plan)
    others = await _unmark_others(call, plan)
    response = await write_response(call, await _make_rules(call), plan)
    return _tell_others(response, others)


async def _unmark_others(call: Call, plan: SetPlan) -> list[Record]:
    """One is the default: who was it before is it no longer. Returns those."""
    now = [*plan.outcome.updated.values(), *plan.outcome.created.values()]
    chosen = [record for record in now if record.value.get("isDefault")]
    if not chosen:
        return []
    records = call.parts.records
    others = [
        RecordEdit({**record.value, "isDefault": False}, record.id)
        for record in await records.list_all(call.owner, IDENTITY.kind)
        if record.value.get("isDefault") and record.id != chosen[-1].id
    ]
    changed = await records.edit(call.owner, IDENTITY.kind, others) if others else []
    return [record for record in changed if record is not None]


def _tell_others(response: SetResponse, others: list[Record]) -> SetResponse:
    """Their change was nobody's request, so that it is told in full (RFC 8620 §5.3)."""
    if others:
        told = {IDENTITY.name(record.id): {"isDefault": False} for record in others}
        response.updated = {**told, **{name: told.get(name) for name in response.updated or ()}}
        response.old_state = write_state(ModSeq(int(response.new_state) - 2))
    return response


METHODS: Methods = {
    "Identity/get": Method(SUBMISSION, get_identities),
    "Identity/changes": Method(SUBMISSION, list_changes),
    "Identity/set": Method(SUBMISSION, set_identities),
}
