"""Quota/get, /changes, /query and /queryChanges (RFC 9425 §4): how many octets and emails the account may have.

There is one quota for each that is limited, none where nothing is. Their state is the account's: any change of mail may
change what is used, and an administrator's change of a limit is seen by the next /get.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from posthouse.access.jmap.method import Call, Method, Methods, read_state, write_state
from posthouse.protocol.jmap.arguments import (
    ChangesArguments,
    Comparator,
    Filter,
    FilterCondition,
    FilterOperator,
    GetArguments,
    QueryArguments,
    QueryChangesArguments,
    check_sort,
    pick_properties,
    read_arguments,
    read_filter,
)
from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject, convert
from posthouse.protocol.jmap.limits import check_get_size
from posthouse.protocol.jmap.responses import ChangesResponse, GetResponse
from posthouse.protocol.jmap.session import QUOTA
from posthouse.protocol.jmap.windows import answer_query, answer_query_changes, compare_results

_OCTETS, _EMAILS = "octets", "emails"
_NAMES = {_OCTETS: "Storage", _EMAILS: "Messages"}
_PROPERTIES = (
    "id",
    "resourceType",
    "used",
    "hardLimit",
    "scope",
    "name",
    "types",
    "warnLimit",
    "softLimit",
    "description",
)
_USED = ("used",)


async def _list_quotas(call: Call) -> list[JsonObject]:
    """All of the account's, as objects (RFC 9425 §4.1)."""
    account = call.parts.accounts.get(call.owner)
    limits = {} if account is None else {_OCTETS: account.quota_octets, _EMAILS: account.quota_emails}
    usage = await call.parts.store.quotas.usage(call.owner)
    used = {_OCTETS: usage.octets, _EMAILS: usage.emails}
    return [
        {
            "id": name,
            "resourceType": "octets" if name == _OCTETS else "count",
            "used": used[name],
            "hardLimit": limit,
            "scope": "account",
            "name": _NAMES[name],
            "types": ["Mail"],
            "warnLimit": None,
            "softLimit": None,
            "description": None,
        }
        for name, limit in limits.items()
        if limit is not None
    ]


async def get_quotas(call: Call) -> Answer:
    asked = read_arguments(GetArguments, call.arguments)
    call.check_account(asked.account_id)
    properties = pick_properties(asked.properties, _PROPERTIES, _PROPERTIES)
    check_get_size(len(asked.ids or ()), call.parts.limits)
    state = await call.state()
    known = {str(quota["id"]): quota for quota in await _list_quotas(call)}
    wanted = list(known) if asked.ids is None else list(dict.fromkeys(asked.ids))
    return GetResponse(
        account_id=asked.account_id,
        state=state,
        list=[{name: known[text][name] for name in properties} for text in wanted if text in known],
        not_found=[text for text in wanted if text not in known],
    )


async def list_changes(call: Call) -> Answer:
    """RFC 9425 §4.3: what is used changes with the mail."""
    asked = read_arguments(ChangesArguments, call.arguments)
    call.check_account(asked.account_id)
    state, updated = await _since(call, asked.since_state)
    if asked.max_changes is not None and len(updated) > asked.max_changes:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES, "More changed at once than is wanted at once")
    return ChangesResponse(
        account_id=asked.account_id,
        old_state=asked.since_state,
        new_state=state,
        updated=updated,
        updated_properties=_USED if updated else None,
    )


async def _since(call: Call, since: str) -> tuple[str, list[str]]:
    """The state now, and whose use may have changed."""
    changes = await call.parts.store.changes.in_account(call.owner, read_state(since))
    if not changes.is_complete:
        raise MethodError(ErrorType.CANNOT_CALCULATE_CHANGES)
    if not (changes.created or changes.destroyed):
        return write_state(changes.modseq), []
    return write_state(changes.modseq), [str(quota["id"]) for quota in await _list_quotas(call)]


# -- query


class _Condition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """RFC 9425 §4.4."""

    name: str | None = None
    scope: str | None = None
    resource_type: str | None = None
    type: str | None = None


async def query(call: Call) -> Answer:
    asked = read_arguments(QueryArguments, call.arguments)
    call.check_account(asked.account_id)
    state = await call.state()
    ids = await _find(call, asked)
    return answer_query(asked, state, ids, call.parts.limits.max_objects_in_get)


async def _find(call: Call, asked: QueryArguments | QueryChangesArguments) -> list[str]:
    sort = check_sort(asked.sort, call.parts.limits.collation_algorithms)
    wanted = read_filter(asked.filter)
    test = (lambda quota: True) if wanted is None else _compile(wanted)
    found = [quota for quota in await _list_quotas(call) if test(quota)]
    for comparator in reversed(sort):
        found.sort(key=_sort_key(comparator), reverse=not comparator.is_ascending)
    return [str(quota["id"]) for quota in found]


def _sort_key(comparator: Comparator) -> Callable[[JsonObject], tuple[int, str]]:
    match comparator.property:
        case "name":
            return lambda quota: (0, str(quota["name"]))
        case "used":
            return lambda quota: (int(str(quota["used"])), "")
        case other:
            raise MethodError(ErrorType.UNSUPPORTED_SORT, f"Quotas are not sorted by {other[:100]!r}")


def _compile(wanted: Filter) -> Callable[[JsonObject], bool]:
    match wanted:
        case FilterOperator(operator, conditions):
            tests = [_compile(condition) for condition in conditions]
            if operator == "AND":
                return lambda quota: all(test(quota) for test in tests)
            return lambda quota: any(test(quota) for test in tests) == (operator == "OR")
        case FilterCondition(members):
            condition = _read_condition(members)
            return lambda quota: _matches(quota, condition)


def _read_condition(members: Mapping[str, object]) -> _Condition:
    try:
        return convert(dict(members), _Condition)
    except msgspec.ValidationError as problem:
        raise invalid_arguments(str(problem)) from None


def _matches(quota: JsonObject, condition: _Condition) -> bool:
    return (
        (condition.name is None or condition.name.lower() in str(quota["name"]).lower())
        and condition.scope in (None, quota["scope"])
        and condition.resource_type in (None, quota["resourceType"])
        and condition.type in (None, "Mail")
    )


async def query_changes(call: Call) -> Answer:
    asked = read_arguments(QueryChangesArguments, call.arguments)
    call.check_account(asked.account_id)
    state, touched = await _since(call, asked.since_query_state)
    ids = await _find(call, asked)
    delta = compare_results(ids, touched, asked.max_changes)
    return answer_query_changes(asked, state, delta, len(ids))


METHODS: Methods = {
    "Quota/get": Method(QUOTA, get_quotas),
    "Quota/changes": Method(QUOTA, list_changes),
    "Quota/query": Method(QUOTA, query),
    "Quota/queryChanges": Method(QUOTA, query_changes),
}
