"""What every part of the HTTP side is given, and who is calling.

    def make_routes(web: WebContext) -> Sequence[AnyRoute]: ...      # one in each app/web_*.py, listed in web_routes.py
    visit = await web.visitors.identify(request, Scope.READ)         # Visit; raises HttpRefused (401, 403, 429, 503)
    visit.login.account, visit.why_over()

Somebody shows who he is by Basic (password or app password), Bearer (a token) or the cookie of a web session, in this
order. Basic and Bearer need TLS, a proxy that names https, or loopback. What long answers must do: ask `why_over` now
and then, and end when it says why. Nothing here is durable. RFC 7617, RFC 6750.
"""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from posthouse.message.peer import Peer
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.directory import Accounts, Directory
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import Log, Metrics
from posthouse.ports.records import Records
from posthouse.ports.resolver import Resolver
from posthouse.ports.store import Store
from posthouse.ports.uploads import Uploads
from posthouse.serve.http_messages import HttpAnswer, HttpRefused, HttpRequest, answer_problem, refuse
from posthouse.trust.login import Accepted, Denied, SaslConversation, Turning, Why

if TYPE_CHECKING:
    from posthouse.app.worker_context import Link
    from posthouse.config.settings import Settings
    from posthouse.ports.sending import EmailSending
    from posthouse.ports.transfer import Imports

Converse = Callable[[Scope, Peer], SaslConversation]
REALM = "posthouse"
_BASIC, _BEARER = f'Basic realm="{REALM}", charset="UTF-8"', f'Bearer realm="{REALM}"'


@dataclass(frozen=True, slots=True)
class Visit:
    """Who calls, and how to find out whether he still may. `session` is the web session's id, "" without one."""

    login: Login
    why_over: Callable[[], str]
    session: str = ""


class CookieSessions(Protocol):
    """Web sessions; set as `Visitors.cookies` by who keeps them (app/web_api.py)."""

    async def find(self, request: HttpRequest) -> Visit | None:
        """None without a cookie of ours, or when its session is over. Raises HttpRefused where the request cannot be
        trusted to come from our own page (CSRF).
        """


@dataclass(slots=True)
class Visitors:
    """`why_over`: why what that login began must end now, "" if it need not (app/wiring_login.py)."""

    converse: Converse
    why_over: Callable[[Login], str]
    cookies: CookieSessions | None = None

    async def identify(self, request: HttpRequest, scope: Scope = Scope.READ) -> Visit:
        """Raises HttpRefused."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme:
            login = await self._check(request, scope, scheme.lower(), given.strip())
            return Visit(login, lambda: self.why_over(login))
        visit = await self.cookies.find(request) if self.cookies is not None else None
        if visit is None:
            raise HttpRefused(_challenge(request, "Sign in first"))
        if scope not in visit.login.scopes:
            raise refuse(403, "Forbidden", "This session is not for that")
        return visit

    async def _check(self, request: HttpRequest, scope: Scope, scheme: str, given: str) -> Login:
        conversation = self.converse(scope, peer_of(request))
        turning: Turning
        if scheme == "basic":
            name, password = _read_basic(request, given)
            turning = conversation.check_password(name, password, "BASIC")
        elif scheme == "bearer" and given.isascii():
            turning = conversation.check_token(given)
        else:
            raise HttpRefused(_challenge(request, "There is no such way to log in"))
        turn = turning if isinstance(turning, Accepted | Denied) else await wait_turn(turning)
        if isinstance(turn, Accepted):
            return turn.login
        raise deny(turn, _challenge(request, "User name or password are wrong"))


async def wait_turn(turning: Turning) -> object:
    return await turning if isinstance(turning, Awaitable) else turning


def peer_of(request: HttpRequest) -> Peer:
    """As logins see it."""
    tls = "TLS" if request.scheme == "https" else ""
    return Peer(request.peer, tls_version=tls, is_stand_in=not request.is_local)


def _read_basic(request: HttpRequest, given: str) -> tuple[str, str]:
    """RFC 7617 §2. Raises HttpRefused."""
    try:
        name, colon, password = base64.b64decode(given, validate=True).decode("utf-8").partition(":")
    except ValueError:  # no base64, no ASCII, no UTF-8
        name = colon = password = ""
    if not colon:
        raise HttpRefused(_challenge(request, "That is no user name and password"))
    return name, password


def _challenge(request: HttpRequest, detail: str) -> HttpAnswer:
    """A browser that hears of Basic asks for a password in a window of its own, whatever the page wanted."""
    is_browser = "sec-fetch-site" in request.headers
    answer = answer_problem(401, "Unauthorized", detail)
    headers = {"WWW-Authenticate": _BEARER if is_browser else f"{_BASIC}, {_BEARER}"}
    return HttpAnswer(401, answer.body, answer.content_type, headers)


_DENIALS: Mapping[Why, tuple[int, str, str]] = {
    Why.SCOPE: (403, "Forbidden", "This password is not for that"),
    Why.DISABLED: (403, "Forbidden", "This account is disabled"),
    Why.NEEDS_TLS: (403, "Forbidden", "A password is only taken over https"),
    Why.TOO_FAST: (429, "Too Many Requests", "Too many failed logins, try again later"),
    Why.UNAVAILABLE: (503, "Service Unavailable", "Logging in is not possible now, try again later"),
}


def deny(turn: object, wrong: HttpAnswer) -> HttpRefused:
    """What a login that was not accepted is told; `wrong`: where name or password are."""
    denial = _DENIALS.get(turn.why) if isinstance(turn, Denied) else None
    return refuse(*denial) if denial is not None else HttpRefused(wrong)


@dataclass(slots=True)
class WebContext:
    """One per worker. Route makers add what must run beside them: `periodic` (seconds, work); `draining`, called when
    the worker is told to go, for answers that would last; `closing`, when all requests have ended.
    """

    settings: Settings
    index: int
    worker_count: int
    link: Link
    clock: Clock
    log: Log
    metrics: Metrics
    store: Store
    records: Records
    uploads: Uploads
    imports: Imports
    accounts: Accounts
    directory: Directory
    resolver: Resolver
    compute: Compute
    sending: EmailSending
    visitors: Visitors
    periodic: list[tuple[float, Callable[[], Awaitable[None]]]] = field(default_factory=list)
    draining: list[Callable[[], None]] = field(default_factory=list)
    closing: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
