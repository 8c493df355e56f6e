"""What JMAP says over a WebSocket (RFC 8887 §4): one JSON object per text message. Pure.

Frames, and that a message is text, are the business of the WebSocket itself. A message that is wrong is answered, and
the connection goes on.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import msgspec

from posthouse.protocol.jmap.json import JsonObject, NotJson, convert, decode_json, encode_json, make_object
from posthouse.protocol.jmap.limits import DEFAULT_LIMITS, DEPTH, CoreLimits
from posthouse.protocol.jmap.problems import Problem, ProblemType, RequestRefused
from posthouse.protocol.jmap.request import Request, Response, check_size, read_request

SUBPROTOCOL = "jmap"  # RFC 8887 §4.1


@dataclass(frozen=True, slots=True)
class SocketRequest:
    """`id` as the client gave it, told back; None: it gave none."""

    id: str | None
    request: Request


@dataclass(frozen=True, slots=True)
class PushEnable:
    """`types` None: all. `push_state`: the last one the client saw (RFC 8887 §4.3.5.2)."""

    types: frozenset[str] | None
    push_state: str | None


@dataclass(frozen=True, slots=True)
class PushDisable:
    """RFC 8887 §4.3.5.3."""


SocketMessage = SocketRequest | PushEnable | PushDisable


class SocketRefused(Exception):
    """To be answered with `write_error`."""

    def __init__(self, problem: Problem, request_id: str | None = None) -> None:
        super().__init__(problem.detail)
        self.problem, self.request_id = problem, request_id


class _Enable(msgspec.Struct, rename="camel"):
    data_types: list[str] | None = None
    push_state: str | None = None


def parse_message(octets: bytes, capabilities: Collection[str], limits: CoreLimits = DEFAULT_LIMITS) -> SocketMessage:
    """Raises SocketRefused."""
    try:
        check_size(len(octets), limits)
        value = decode_json(octets, DEPTH)
    except RequestRefused as refused:
        raise SocketRefused(refused.problem) from None
    except NotJson as problem:
        raise SocketRefused(Problem(ProblemType.NOT_JSON, str(problem))) from None
    if not isinstance(value, dict):
        raise SocketRefused(Problem(ProblemType.NOT_REQUEST, "A message is an object"))
    match value.get("@type"):
        case "Request":
            return _read_request(value, capabilities, limits)
        case "WebSocketPushEnable":
            return _read_enable(value)
        case "WebSocketPushDisable":
            return PushDisable()
        case _:
            raise SocketRefused(Problem(ProblemType.NOT_REQUEST, "There is no message of that @type"))


def _read_request(value: JsonObject, capabilities: Collection[str], limits: CoreLimits) -> SocketRequest:
    request_id = value.get("id")
    if request_id is not None and not isinstance(request_id, str):
        raise SocketRefused(Problem(ProblemType.NOT_REQUEST, "The id is no string"))
    try:
        return SocketRequest(request_id, read_request(value, capabilities, limits))
    except RequestRefused as refused:
        raise SocketRefused(refused.problem, request_id) from None


def _read_enable(value: JsonObject) -> PushEnable:
    try:
        wish = convert(value, _Enable)
    except msgspec.ValidationError as problem:
        raise SocketRefused(Problem(ProblemType.NOT_REQUEST, str(problem))) from None
    return PushEnable(None if wish.data_types is None else frozenset(wish.data_types), wish.push_state)


def write_response(response: Response, request_id: str | None) -> bytes:
    """RFC 8887 §4.3.2."""
    return _write("Response", make_object(response), request_id)


def write_error(problem: Problem, request_id: str | None = None) -> bytes:
    """RFC 8887 §4.3.4."""
    return _write("RequestError", problem.as_object(), request_id)


def _write(kind: str, members: JsonObject, request_id: str | None) -> bytes:
    start: JsonObject = {"@type": kind} if request_id is None else {"@type": kind, "requestId": request_id}
    return encode_json(start | members)
