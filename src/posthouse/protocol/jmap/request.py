"""Requests and responses (RFC 8620 §3.3, §3.4): from octets to method calls, and back.

`parse_request` takes octets of a stranger and raises RequestRefused alone. Arguments of a call are plain objects; what
they must be is the business of the method (protocol/jmap/arguments.py). Pure.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.protocol.jmap.ids import Id
from posthouse.protocol.jmap.json import JsonObject, NotJson, convert, decode_json, encode_json
from posthouse.protocol.jmap.limits import DEFAULT_LIMITS, DEPTH, CoreLimits
from posthouse.protocol.jmap.problems import Problem, ProblemType, RequestRefused, refuse_limit


@dataclass(frozen=True, slots=True)
class MethodCall:
    """An Invocation (RFC 8620 §3.2)."""

    name: str
    arguments: JsonObject
    call_id: str


@dataclass(frozen=True, slots=True)
class Request:
    """`created_ids` None: the client did not ask to be told (RFC 8620 §3.3)."""

    using: frozenset[str]
    calls: tuple[MethodCall, ...]
    created_ids: Mapping[str, str] | None = None


class _Wire(msgspec.Struct, rename="camel"):
    """Members that are not known are passed over, as later specifications may bring some."""

    using: list[str]
    method_calls: list[tuple[str, dict[str, object], str]]
    created_ids: dict[Id, Id] | msgspec.UnsetType | None = msgspec.UNSET


class Response(msgspec.Struct, frozen=True, rename="camel"):
    """Method responses are (name, arguments, call id)."""

    method_responses: Sequence[tuple[str, object, str]]
    session_state: str
    created_ids: Mapping[str, str] | msgspec.UnsetType = msgspec.UNSET

    def as_json(self) -> bytes:
        return encode_json(self)


def check_content_type(value: str) -> None:
    """Raises RequestRefused: a request is application/json (RFC 8620 §3.1)."""
    if value.partition(";")[0].strip().lower() != "application/json":
        raise RequestRefused(Problem(ProblemType.NOT_JSON, "The content type must be application/json"))


def parse_request(octets: bytes, capabilities: Collection[str], limits: CoreLimits = DEFAULT_LIMITS) -> Request:
    """`capabilities`: those this server knows. Raises RequestRefused."""
    check_size(len(octets), limits)
    try:
        value = decode_json(octets, DEPTH)
    except NotJson as problem:
        raise RequestRefused(Problem(ProblemType.NOT_JSON, str(problem))) from None
    return read_request(value, capabilities, limits)


def check_size(octets: int, limits: CoreLimits) -> None:
    """Raises RequestRefused. The driver asks with Content-Length, before it reads."""
    if octets > limits.max_size_request:
        raise refuse_limit("maxSizeRequest", f"A request has at most {limits.max_size_request} octets")


def read_request(value: object, capabilities: Collection[str], limits: CoreLimits = DEFAULT_LIMITS) -> Request:
    """Of decoded JSON. Raises RequestRefused."""
    try:
        wire = convert(value, _Wire)
    except msgspec.ValidationError as problem:
        raise RequestRefused(Problem(ProblemType.NOT_REQUEST, str(problem))) from None
    unknown = sorted(set(wire.using).difference(capabilities))
    if unknown:
        detail = f"There is no capability {unknown[0][:200]!r}"
        raise RequestRefused(Problem(ProblemType.UNKNOWN_CAPABILITY, detail))
    if len(wire.method_calls) > limits.max_calls_in_request:
        raise refuse_limit("maxCallsInRequest", f"At most {limits.max_calls_in_request} calls in one request")
    created = wire.created_ids
    return Request(
        frozenset(wire.using),
        tuple([MethodCall(*call) for call in wire.method_calls]),
        None if created is msgspec.UNSET else created,
    )
