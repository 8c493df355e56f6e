"""All JMAP methods, and how a request of them is carried out: octets in, Response out (RFC 8620 §3).

    server = JmapServer(parts, builder)
    response = await server.answer(login, source, octets)      HTTP; raises RequestRefused
    response = await server.run(login, source, request)        WebSocket: the request is parsed already

The calls of a request run one after the other. Whatever happens within one of them is told in its place and the next
one runs: expected refusals as the error they are, a store that is not well as serverUnavailable, our own mistakes as
serverFail, with what happened in the log. Where a call that failed has changed something all the same it is
serverPartialFail, so that the client looks again (RFC 8620 §3.6.2).

Who calls is known already. What its password is not good for is `forbidden`. After a crash: each method's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from posthouse.access.jmap import (
    blob_methods,
    email_methods,
    identities_methods,
    mailbox_methods,
    mdn_methods,
    quota_methods,
    records_saved,
    snippet_methods,
    snooze_methods,
    submission_methods,
    suggestions,
    thread_methods,
    vacation_methods,
)
from posthouse.access.jmap.large_answers import write_large
from posthouse.access.jmap.method import Call, JmapParts, Method, Methods
from posthouse.access.jmap.session import SCOPES, SessionBuilder
from posthouse.ports.directory import DirectoryError
from posthouse.ports.login import Login
from posthouse.ports.store import NoSuchAccount, StoreError, StoreRefusal
from posthouse.protocol.jmap.errors import ErrorType, MethodError, RecordRefused
from posthouse.protocol.jmap.execution import Answer, Execution
from posthouse.protocol.jmap.request import MethodCall, Request, Response, parse_request

# One line for each module of methods.
TABLES: Sequence[Methods] = (
    blob_methods.METHODS,
    email_methods.METHODS,
    identities_methods.METHODS,
    mailbox_methods.METHODS,
    mdn_methods.METHODS,
    quota_methods.METHODS,
    records_saved.METHODS,
    snippet_methods.METHODS,
    snooze_methods.METHODS,
    submission_methods.METHODS,
    suggestions.METHODS,
    thread_methods.METHODS,
    vacation_methods.METHODS,
)

_CHANGING = ("/set", "/copy", "/import", "/send")


def join_tables(tables: Sequence[Methods]) -> Methods:
    """Raises ValueError when two have the same method."""
    joined: dict[str, Method] = {}
    for table in tables:
        doubles = joined.keys() & table.keys()
        if doubles:
            raise ValueError(f"two methods are called {min(doubles)}")
        joined.update(table)
    return MappingProxyType(joined)


class JmapServer:
    """One per worker."""

    def __init__(self, parts: JmapParts, sessions: SessionBuilder, tables: Sequence[Methods] = TABLES) -> None:
        self._parts, self.sessions = parts, sessions
        self._methods = join_tables(tables)
        self._capabilities = {name: method.capability for name, method in self._methods.items()}

    @property
    def capabilities(self) -> frozenset[str]:
        """What a request may use; for who parses messages of a WebSocket (protocol/jmap/websocket.py)."""
        return self.sessions.capabilities

    async def answer(self, login: Login, source: str, octets: bytes) -> Response:
        """`source`: the client's address. Raises RequestRefused: then no method has run."""
        return await self.run(login, source, parse_request(octets, self.capabilities, self._parts.limits))

    async def run(self, login: Login, source: str, request: Request) -> Response:
        execution = Execution(request, self._capabilities, self._parts.limits)
        while (wanted := execution.next_call()) is not None:
            call = Call(self._parts, login, source, wanted.arguments, execution.created)
            try:
                answer = await self._carry_out(wanted, call)
            except MethodError as error:
                execution.refuse(error)
            else:
                execution.answer(answer)
            _add_more(execution, call)
        return await write_large(execution.make_response(self.sessions.state(login)))

    async def _carry_out(self, wanted: MethodCall, call: Call) -> Answer:
        """Raises MethodError alone."""
        method = self._methods[wanted.name]
        _check_scope(method.capability, call)
        before = ""
        try:
            before = await call.state() if wanted.name.endswith(_CHANGING) else ""
            return await method.run(call)
        except MethodError:
            raise
        except Exception as error:  # noqa: BLE001 (one call's defect must not end the request)
            failure = self._describe(error, wanted.name, call)
        if before and await self._has_changed(call, before):
            failure = MethodError(ErrorType.SERVER_PARTIAL_FAIL, failure.description)
        raise failure

    def _describe(self, error: Exception, name: str, call: Call) -> MethodError:
        """Called within the `except` block, so that the log has the traceback."""
        match error:
            case NoSuchAccount():
                return MethodError(ErrorType.ACCOUNT_NOT_FOUND)
            case StoreError() | DirectoryError():
                self._parts.log.warning("jmap method put off", method=name, account=call.login.name, error=repr(error))
                return MethodError(ErrorType.SERVER_UNAVAILABLE, "The store cannot do it now; try again later")
            case StoreRefusal():
                self._parts.log.info("jmap method refused", method=name, account=call.login.name, error=repr(error))
                return MethodError(ErrorType.SERVER_FAIL, f"The store refuses it: {str(error) or type(error).__name__}")
            case RecordRefused(error=told):
                return MethodError(ErrorType.INVALID_ARGUMENTS, told.description or told.type)
            case _:
                self._parts.log.error("jmap method failed", method=name, account=call.login.name)
                return MethodError(ErrorType.SERVER_FAIL)

    async def _has_changed(self, call: Call, before: str) -> bool:
        try:
            return await call.state() != before
        except (StoreError, StoreRefusal):
            return True


def _check_scope(capability: str, call: Call) -> None:
    scope = SCOPES.get(capability)
    if scope is not None:
        call.check_scope(scope)


def _add_more(execution: Execution, call: Call) -> None:
    """Responses of implied calls, which follow the method's own (RFC 8620 §3.4, RFC 8621 §7.5)."""
    for name, more in call.extra:
        if isinstance(more, MethodError):
            execution.add_error(more)
        else:
            execution.add(name, more)
