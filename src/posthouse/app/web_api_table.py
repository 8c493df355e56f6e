"""The HTTP API as a table of endpoints: from it come the routes, the checks before a handler runs, and the document.

A handler is `async def (call: ApiCall) -> object`; what it returns is written as JSON, None is 204, an `HttpAnswer`
goes out as it is. It raises `HttpRefused` (see `refuse`) for what is to be told, and `DirectoryRefusal` comes out as
409 with its own words. Every mistake is a problem document (RFC 9457). Nothing a client sends is trusted: bodies are
bounded and decoded into a type, who calls is found out for each call, and an administrator's account is looked at each
time.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from posthouse.app.web import Visit
from posthouse.app.worker_context import LinkError
from posthouse.message.mailbox import AccountId
from posthouse.ports.directory import Account, DirectoryError
from posthouse.ports.directory_admin import DirectoryRefusal
from posthouse.ports.login import Login
from posthouse.ports.store import StoreError, StoreRefusal
from posthouse.serve.http_messages import (
    HttpAnswer,
    HttpRefused,
    HttpRequest,
    HttpRoute,
    answer_json,
    answer_problem,
    refuse,
)

B = TypeVar("B")

MAX_BODY = 64 << 10
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
JSON_TYPE = "application/json"


class Access(enum.Enum):
    NOBODY = "nobody"  # no sign-in needed
    ACCOUNT = "account"  # a session of the web page
    ADMIN = "admin"  # an administrator's session, or a program of his


@dataclass(frozen=True, slots=True)
class Parameter:
    """Of the query."""

    name: str
    about: str
    is_required: bool = False
    allowed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`takes` and `gives` are types for the document and for decoding; `gives` None: 204. `takes_file`: the media types
    of a body that is read piece by piece; `gives_file`: those of an answer that is no JSON. `statuses`: refusals beside
    those that every endpoint of its access has.
    """

    method: str
    path: str
    about: str
    run: Callable[[ApiCall], Awaitable[object]]
    access: Access = Access.ACCOUNT
    takes: type | None = None
    gives: object = None
    status: int = 200
    query: Sequence[Parameter] = ()
    takes_file: Sequence[str] = ()
    gives_file: Sequence[str] = ()
    statuses: Sequence[int] = ()
    body_limit: int = MAX_BODY
    request_s: float | None = None
    tag: str = ""


@dataclass(slots=True)
class ApiCall:
    """`visit` and `account` are there where the endpoint's access asks for them."""

    request: HttpRequest
    endpoint: Endpoint
    visit: Visit | None = None
    account: Account | None = None
    cookies: list[str] = field(default_factory=list)

    @property
    def login(self) -> Login:
        assert self.visit is not None
        return self.visit.login

    @property
    def owner(self) -> AccountId:
        return self.login.account

    @property
    def session(self) -> int:
        """The web session that calls; 0 without one."""
        return int(self.visit.session) if self.visit is not None and self.visit.session else 0

    def parameter(self, name: str) -> str:
        """Of the path."""
        return self.request.parameters[name]

    def word(self, name: str, usual: str = "") -> str:
        """Of the query. Raises HttpRefused for what the table does not allow."""
        told = next(each for each in self.endpoint.query if each.name == name)
        value = self.request.query.get(name, usual)
        if told.is_required and not value:
            raise refuse(400, "Bad Request", f"The parameter {name} is missing")
        if value and told.allowed and value not in told.allowed:
            raise refuse(400, "Bad Request", f"{name} is one of: {', '.join(told.allowed)}")
        return value

    def number(self, name: str, usual: int, most: int) -> int:
        """Of the query, from 1 to `most`."""
        value = self.word(name)
        if not value:
            return usual
        if not value.isascii() or not value.isdigit() or len(value) > 9 or not 1 <= int(value) <= most:
            raise refuse(400, "Bad Request", f"{name} is a number from 1 to {most}")
        return int(value)

    def take(self, kind: type[B]) -> B:
        """The body. Raises HttpRefused."""
        assert kind is self.endpoint.takes, "the table says something else"
        if not self.request.body and "content-type" not in self.request.headers:
            return _convert(b"{}", kind)  # a body that needs nothing may be left out
        media_type = self.request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != JSON_TYPE:  # also keeps out forms of other sites, which cannot say so
            raise refuse(415, "Unsupported Media Type", "The body must be application/json")
        return _convert(self.request.body, kind)

    def pieces(self) -> AsyncIterator[bytes]:
        """Of a body that is read piece by piece."""
        assert self.request.pieces is not None
        return self.request.pieces


def _convert(body: bytes, kind: type[B]) -> B:
    try:
        return msgspec.json.decode(body, type=kind)
    except (ValueError, RecursionError) as error:
        raise refuse(400, "Bad Request", str(error)) from None


Guard = Callable[[ApiCall], Awaitable[None]]
"""Finds out who calls, and whether he may; fills `visit` and `account`. Raises HttpRefused."""


async def serve_elsewhere(call: ApiCall) -> object:
    """Of an endpoint that is only described: its route is another module's, which looks itself at who calls."""
    raise not_found(call.request.path)


class Api:
    """The table at work."""

    def __init__(self, endpoints: Sequence[Endpoint], guard: Guard) -> None:
        self.endpoints = endpoints
        self._guard = guard

    def make_routes(self) -> list[HttpRoute]:
        """One for each path, for all methods, so that a wrong one is told properly; and one for what is not there."""
        paths: dict[str, dict[str, Endpoint]] = {}
        for endpoint in self.endpoints:
            paths.setdefault(endpoint.path, {})[endpoint.method] = endpoint
        routes = [route for path, methods in paths.items() for route in self._make_path(path, methods)]
        return [*routes, HttpRoute("/api/{rest*}", _answer_nowhere, METHODS)]

    def _make_path(self, path: str, endpoints: Mapping[str, Endpoint]) -> list[HttpRoute]:
        made = [
            HttpRoute(
                path,
                self._make_handler(endpoint),
                (method,),
                endpoint.body_limit,
                endpoint.request_s,
                is_streamed=bool(endpoint.takes_file),
            )
            for method, endpoint in endpoints.items()
        ]
        allowed = ", ".join(endpoints)

        async def refuse_method(_: HttpRequest) -> HttpAnswer:
            told = answer_problem(405, "Method Not Allowed", f"Allowed here: {allowed}")
            return HttpAnswer(405, told.body, told.content_type, {"Allow": allowed})

        others = tuple(method for method in METHODS if method not in endpoints)
        return [*made, HttpRoute(path, refuse_method, others)]

    def _make_handler(self, endpoint: Endpoint) -> Callable[[HttpRequest], Awaitable[HttpAnswer]]:
        async def handle(request: HttpRequest) -> HttpAnswer:
            call = ApiCall(request, endpoint)
            try:
                await self._guard(call)
                return _write(call, await endpoint.run(call))
            except HttpRefused as refused:
                return _add_cookies(refused.answer, call)
            except DirectoryRefusal as error:
                return answer_problem(409, "Conflict", str(error))
            except StoreRefusal as error:
                return answer_problem(409, "Conflict", str(error))
            except (DirectoryError, StoreError, LinkError) as error:
                return answer_problem(503, "Service Unavailable", str(error))

        return handle


def _write(call: ApiCall, value: object) -> HttpAnswer:
    if isinstance(value, HttpAnswer):
        return _add_cookies(value, call)
    if value is None:
        return _add_cookies(HttpAnswer(204), call)
    return _add_cookies(answer_json(value, call.endpoint.status), call)


def _add_cookies(answer: HttpAnswer, call: ApiCall) -> HttpAnswer:
    if not call.cookies:
        return answer
    return HttpAnswer(answer.status, answer.body, answer.content_type, answer.headers, tuple(call.cookies))


async def _answer_nowhere(_: HttpRequest) -> HttpAnswer:
    return answer_problem(404, "Not Found", "There is no such address")


class Problem(msgspec.Struct, frozen=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str = ""
    needs: list[str] = []


def not_found(what: str) -> HttpRefused:
    return refuse(404, "Not Found", f"There is no such {what}")
