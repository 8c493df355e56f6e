"""SavedSearch and Preference: what the web page keeps with us (docs/jmap.md, capability urn:posthouse:web).

A SavedSearch is a query as it was typed, under a name. Preference is one free object of at most 32 KiB; its members are
the page's business, one by one changed by patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.access.jmap.records_methods import RecordType, get_changes, get_records, set_records
from posthouse.access.jmap.records_reading import read_count, read_line
from posthouse.access.jmap.records_singleton import Singleton, get_singleton, set_singleton
from posthouse.access.jmap.session import WEB
from posthouse.ports.records import Record, RecordEdit, Value, write_value
from posthouse.protocol.jmap.errors import SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.json import JsonObject

MAX_PREFERENCE_OCTETS = 32 * 1024
_SEARCH = RecordType("search", "S", ("id", "name", "query", "sortOrder"))


@dataclass(frozen=True, slots=True)
class SearchRules:
    """A `Rules`."""

    @property
    def type(self) -> RecordType:
        return _SEARCH

    @property
    def defaults(self) -> Mapping[str, object]:
        return {"sortOrder": 0}

    def show(self, record: Record) -> JsonObject:
        return {"id": _SEARCH.name(record.id), **record.value}

    def read(self, members: JsonObject, old: Record | None) -> RecordEdit:
        name = read_line(members, "name")
        if not name.strip():
            raise invalid_properties(["name"], "It has a name")
        query = read_line(members, "query")
        return RecordEdit({"name": name, "query": query, "sortOrder": read_count(members, "sortOrder")})

    def check_removal(self, record: Record) -> None:
        """Every one may go."""


async def get_searches(call: Call) -> Answer:
    return await get_records(call, SearchRules())


async def list_search_changes(call: Call) -> Answer:
    return await get_changes(call, _SEARCH)


async def set_searches(call: Call) -> Answer:
    return await set_records(call, SearchRules())


def _read_preference(members: JsonObject) -> Value:
    value = members.get("value")
    if not isinstance(value, dict):
        raise invalid_properties(["value"], "It is an object")
    kept: Value = {"value": value}
    if len(write_value(value)) > MAX_PREFERENCE_OCTETS:
        raise refuse_record(SetErrorType.TOO_LARGE, f"Preferences have at most {MAX_PREFERENCE_OCTETS} octets")
    return kept


_PREFERENCE = Singleton("preference", {"value": {}}, _read_preference)


async def get_preference(call: Call) -> Answer:
    return await get_singleton(call, _PREFERENCE)


async def set_preference(call: Call) -> Answer:
    return await set_singleton(call, _PREFERENCE)


METHODS: Methods = {
    "SavedSearch/get": Method(WEB, get_searches),
    "SavedSearch/changes": Method(WEB, list_search_changes),
    "SavedSearch/set": Method(WEB, set_searches),
    "Preference/get": Method(WEB, get_preference),
    "Preference/set": Method(WEB, set_preference),
}
