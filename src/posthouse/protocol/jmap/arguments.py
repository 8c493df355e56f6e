"""Arguments of the standard methods (RFC 8620 §5) as typed values: /get /changes /set /copy /query /queryChanges.

`read_arguments` is strict: what is missing, of another type or not known is invalidArguments, and the description says
where. Methods with arguments of their own derive from these structs. Ids of records may be any text: one that cannot be
an id of ours is not found, which is for the method to say. Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

import msgspec

from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.ids import Id
from posthouse.protocol.jmap.json import MAX_INT, JsonObject, convert

UnsignedInt = Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)]
Int = Annotated[int, msgspec.Meta(ge=-MAX_INT, le=MAX_INT)]
PositiveInt = Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]

MAX_FILTER_DEPTH = 32
MAX_CONDITIONS = 1000
MAX_COMPARATORS = 20


class Arguments(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True):
    """What all of them have: names in camel case, none that is not known."""


class GetArguments(Arguments):
    """RFC 8620 §5.1. `ids` None: all there are."""

    account_id: str
    ids: list[str] | None = None
    properties: list[str] | None = None


class ChangesArguments(Arguments):
    """RFC 8620 §5.2."""

    account_id: str
    since_state: str
    max_changes: PositiveInt | None = None


class SetArguments(Arguments):
    """RFC 8620 §5.3. Values of `create` are records, of `update` patches."""

    account_id: str
    if_in_state: str | None = None
    create: dict[Id, JsonObject] | None = None
    update: dict[str, JsonObject] | None = None
    destroy: list[str] | None = None

    @property
    def size(self) -> int:
        return len(self.create or ()) + len(self.update or ()) + len(self.destroy or ())


class CopyArguments(Arguments, kw_only=True):
    """RFC 8620 §5.4."""

    from_account_id: str
    if_from_in_state: str | None = None
    account_id: str
    if_in_state: str | None = None
    create: dict[Id, JsonObject]
    on_success_destroy_original: bool = False
    destroy_from_if_in_state: str | None = None


class Comparator(msgspec.Struct, rename="camel"):
    """RFC 8620 §5.5. `keyword` goes with three properties of RFC 8621 §4.4.2."""

    property: str
    is_ascending: bool = True
    collation: str | None = None
    keyword: str | None = None


class QueryArguments(Arguments):
    """RFC 8620 §5.5. `filter` is read by `read_filter`."""

    account_id: str
    filter: JsonObject | None = None
    sort: list[Comparator] | None = None
    position: Int = 0
    anchor: str | None = None
    anchor_offset: Int = 0
    limit: UnsignedInt | None = None
    calculate_total: bool = False


class QueryChangesArguments(Arguments, kw_only=True):
    """RFC 8620 §5.6."""

    account_id: str
    filter: JsonObject | None = None
    sort: list[Comparator] | None = None
    since_query_state: str
    max_changes: PositiveInt | None = None
    up_to_id: str | None = None
    calculate_total: bool = False


_Kind = TypeVar("_Kind", bound=Arguments)


def read_arguments(kind: type[_Kind], arguments: Mapping[str, object]) -> _Kind:
    """Raises MethodError."""
    try:
        return convert(arguments, kind)
    except msgspec.ValidationError as problem:
        raise invalid_arguments(str(problem)) from None


def pick_properties(asked: Sequence[str] | None, known: Collection[str], default: Sequence[str]) -> list[str]:
    """What a /get shows, "id" always. Raises MethodError for a property that there is not (RFC 8620 §5.1)."""
    if asked is None:
        return list(default)
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise invalid_arguments(f"There is no property {unknown[0][:100]!r}")
    return list(dict.fromkeys(["id", *asked]))


def check_state(wanted: str | None, current: str) -> None:
    """`ifInState` (RFC 8620 §5.3). Raises MethodError."""
    if wanted is not None and wanted != current:
        raise MethodError(ErrorType.STATE_MISMATCH, f"The state is {current}")


# -- filters


@dataclass(frozen=True, slots=True)
class FilterOperator:
    """`operator`: AND, OR, NOT (none of them)."""

    operator: str
    conditions: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class FilterCondition:
    """As it was given; what it means is the business of the type it is for."""

    members: Mapping[str, object]


Filter = FilterOperator | FilterCondition


def read_filter(value: Mapping[str, object] | None) -> Filter | None:
    """A tree of at most MAX_FILTER_DEPTH and MAX_CONDITIONS. Raises MethodError."""
    if value is None:
        return None
    count, level = 0, [value]
    for _ in range(MAX_FILTER_DEPTH):
        count += len(level)
        level = [inner for item in level if "operator" in item for inner in _conditions_of(item)]
        if count + len(level) > MAX_CONDITIONS:
            break
        if not level:
            return _make_filter(value)
    raise MethodError(ErrorType.UNSUPPORTED_FILTER, "The filter is too large")


def _conditions_of(operator: Mapping[str, object]) -> list[JsonObject]:
    conditions = operator.get("conditions")
    if operator["operator"] not in ("AND", "OR", "NOT") or set(operator) != {"operator", "conditions"}:
        raise invalid_arguments("A FilterOperator has an operator, AND, OR or NOT, and conditions")
    if not isinstance(conditions, list) or not all(isinstance(item, dict) for item in conditions):
        raise invalid_arguments("The conditions of a FilterOperator are a list of filters")
    return conditions


def _make_filter(value: Mapping[str, object]) -> Filter:
    if "operator" not in value:
        return FilterCondition(value)
    return FilterOperator(str(value["operator"]), tuple([_make_filter(item) for item in _conditions_of(value)]))


def check_sort(sort: Sequence[Comparator] | None, collations: Collection[str]) -> Sequence[Comparator]:
    """Raises MethodError for a collation we have not, or too many comparators."""
    for comparator in sort or ():
        if comparator.collation is not None and comparator.collation not in collations:
            raise MethodError(ErrorType.UNSUPPORTED_SORT, f"There is no collation {comparator.collation[:100]!r}")
    if sort and len(sort) > MAX_COMPARATORS:
        raise MethodError(ErrorType.UNSUPPORTED_SORT, "Too many comparators")
    return sort or ()
