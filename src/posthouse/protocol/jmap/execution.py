"""A request on its way: which call is next, with its references resolved, and what was answered (RFC 8620 §3).

    execution = Execution(request, methods, limits)
    while (call := execution.next_call()) is not None:
        ... execution.answer(arguments)   or   execution.refuse(error)
    execution.make_response(session_state)

Calls are answered in their order, one after the other. The core answers itself what needs nobody else: unknown
methods, references that lead nowhere, Core/echo. Pure: who carries calls out, waits.

References may name what references brought (Core/echo), so that a short request could ask for an endless answer: all
that references bring is counted, and a request gets no more of it than a request may be long.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.json import JsonObject, convert, make_plain
from posthouse.protocol.jmap.limits import CORE, DEFAULT_LIMITS, CoreLimits
from posthouse.protocol.jmap.pointers import PointerFails, find_value
from posthouse.protocol.jmap.request import MethodCall, Request, Response

_ECHO = "Core/echo"  # RFC 8620 §4
_ERROR = "error"
_CORE_METHODS = {_ECHO: CORE}

Answer = msgspec.Struct | Mapping[str, object]


class _Reference(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """A ResultReference (RFC 8620 §3.7)."""

    result_of: str
    name: str
    path: str


class Execution:
    """`methods`: the capability that each method belongs to. A method of a capability that the request does not use
    is unknown to it (RFC 8620 §3.3).
    """

    def __init__(self, request: Request, methods: Mapping[str, str], limits: CoreLimits = DEFAULT_LIMITS) -> None:
        self._request, self._methods = request, {**_CORE_METHODS, **methods}
        self._next = 0
        self._current: MethodCall | None = None
        self._answered: list[tuple[str, object, str]] = []
        self._room = limits.max_size_request  # for what references bring
        self.created: dict[str, str] = dict(request.created_ids or {})

    def next_call(self) -> MethodCall | None:
        """The next call for somebody to carry out; None: all are answered. The one before must be answered."""
        assert self._current is None
        while self._next < len(self._request.calls):
            call = self._request.calls[self._next]
            self._next += 1
            try:
                ready = MethodCall(call.name, self._resolve(call), call.call_id)
            except MethodError as error:
                self._answered.append((_ERROR, error.as_object(), call.call_id))
                continue
            if call.name != _ECHO:
                self._current = ready
                return ready
            self._answered.append((_ECHO, ready.arguments, call.call_id))
        return None

    def answer(self, arguments: Answer) -> None:
        """The current call's response; `add` may give more before it or after it."""
        call = self._take()
        self._answered.append((call.name, arguments, call.call_id))

    def refuse(self, error: MethodError) -> None:
        call = self._take()
        self._answered.append((_ERROR, error.as_object(), call.call_id))

    def add(self, name: str, arguments: Answer) -> None:
        """One more response to the call that was answered last, such as that of an implied Email/set
        (RFC 8620 §3.4, RFC 8621 §7.5).
        """
        assert self._current is None and self._answered
        self._answered.append((name, arguments, self._answered[-1][2]))

    def add_error(self, error: MethodError) -> None:
        self.add(_ERROR, error.as_object())

    def make_response(self, session_state: str) -> Response:
        """`createdIds` are told to who sent some (RFC 8620 §3.4)."""
        told = msgspec.UNSET if self._request.created_ids is None else self.created
        return Response(self._answered, session_state, told)

    def _take(self) -> MethodCall:
        call = self._current
        assert call is not None
        self._current = None
        return call

    # -- references

    def _resolve(self, call: MethodCall) -> JsonObject:
        """The call's arguments. Raises MethodError."""
        capability = self._methods.get(call.name)
        if capability is None or capability not in self._request.using:
            raise MethodError(ErrorType.UNKNOWN_METHOD)
        if not any(name.startswith("#") for name in call.arguments):
            return call.arguments
        resolved: JsonObject = {}
        for name, value in call.arguments.items():
            if name.startswith("#"):
                if name[1:] in call.arguments:
                    raise invalid_arguments(f"There are both {name[1:][:100]!r} and a reference for it")
                resolved[name[1:]] = self._look_up(name, value)
            else:
                resolved[name] = value
        return resolved

    def _look_up(self, name: str, value: object) -> object:
        try:
            reference = convert(value, _Reference)
        except msgspec.ValidationError as problem:
            raise _no_result(f"{name[:100]}: {problem}") from None
        for number, (answered, arguments, call_id) in enumerate(self._answered):
            if call_id != reference.result_of:
                continue
            if answered != reference.name:
                raise _no_result(f"{call_id[:100]!r} was answered by {answered[:100]!r}")
            if not isinstance(arguments, dict):
                arguments = make_plain(arguments)
                self._answered[number] = (answered, arguments, call_id)
            return self._find(arguments, reference.path)
        raise _no_result(f"No call {reference.result_of[:100]!r} was answered before")

    def _find(self, arguments: object, path: str) -> object:
        try:
            found = find_value(arguments, path)
        except PointerFails as problem:
            raise _no_result(str(problem)) from None
        self._room -= _measure(found, self._room)
        if self._room < 0:
            raise MethodError(ErrorType.REQUEST_TOO_LARGE, "The references of this request bring too much")
        return found


def _no_result(description: str) -> MethodError:
    return MethodError(ErrorType.INVALID_RESULT_REFERENCE, description)


def _measure(value: object, room: int) -> int:
    """About how many octets its JSON has; stops counting above `room`."""
    size = 0
    waiting = [value]
    while waiting and size <= room:
        item = waiting.pop()
        size += 2
        if isinstance(item, str):
            size += len(item)
        elif isinstance(item, list):
            waiting += item
        elif isinstance(item, dict):
            size += sum(map(len, item))
            waiting += item.values()
    return size
