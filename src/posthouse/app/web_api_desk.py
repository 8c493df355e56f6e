"""What the handlers of the HTTP API share, and the check before each of them: who calls, and may he.

Settings of an account need the cookie of a web session: what a program knows must not make more of itself (an app
password no passkey, one for managing none for reading). Administration may also be called by Basic or Bearer with the
scope "manage"; the main password is not enough for that where a second factor is on. An administrator's account is
looked at with every call.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from posthouse.app.web import Visit, Visitors
from posthouse.app.web_api_table import Access, ApiCall
from posthouse.app.worker_context import Link
from posthouse.manage.accounts import PasswordOperations
from posthouse.manage.web_passwords import OwnPasswords
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import Credentials
from posthouse.ports.directory import Accounts
from posthouse.ports.directory_admin import DirectoryAdmin
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import Log
from posthouse.ports.second_factors import PasskeyCheck, SecondFactors
from posthouse.ports.sending import Sending
from posthouse.ports.store import Store
from posthouse.ports.web_sessions import WebSessions
from posthouse.serve.http_messages import HttpRequest, refuse
from posthouse.trust.web_factors import Challenges, CodeDesk
from posthouse.trust.web_guard import BrowserRequest, find_forgery, find_token
from posthouse.trust.web_logins import WebLogins

T = TypeVar("T")

OVER = "This session was ended; sign in again"


@dataclass(frozen=True, slots=True)
class WebFacts:
    """What the page is told of the server."""

    hostname: str
    version: str
    undo_s: float
    max_upload: int
    longest_session_s: float


@dataclass(frozen=True, slots=True)
class ApiDesk:
    """`open_admin` opens the directory for writing, for a moment; it and what it gives block: for `with_admin`."""

    facts: WebFacts
    visitors: Visitors
    accounts: Accounts
    credentials: Credentials
    sessions: WebSessions
    logins: WebLogins
    factors: SecondFactors
    codes: CodeDesk
    challenges: Challenges
    passkeys: PasskeyCheck
    passwords: PasswordOperations
    own: OwnPasswords
    open_admin: Callable[[], AbstractContextManager[DirectoryAdmin]]
    store: Store
    sending: Sending
    link: Link
    clock: Clock
    compute: Compute
    log: Log
    secret_octets: Callable[[int], bytes]

    async def with_admin(self, work: Callable[[DirectoryAdmin], T]) -> T:
        """In a thread."""
        return await self.compute.run(partial(self._work, work))

    def _work(self, work: Callable[[DirectoryAdmin], T]) -> T:
        with self.open_admin() as admin:
            return work(admin)

    # -- who calls

    async def guard(self, call: ApiCall) -> None:
        """Before each handler. Raises HttpRefused."""
        if call.endpoint.access is Access.NOBODY:
            return
        call.visit = await self.visitors.identify(call.request, Scope.MANAGE)
        login = call.visit.login
        if not call.visit.session:
            self._check_program(call.endpoint.access, login)
        account = self.accounts.get(login.account)
        if account is None or account.is_disabled:
            raise refuse(403, "Forbidden", "This account is disabled")
        if call.endpoint.access is Access.ADMIN and not account.is_admin:
            raise refuse(403, "Forbidden", "This is for administrators")
        call.account = account

    def _check_program(self, access: Access, login: Login) -> None:
        if access is not Access.ADMIN:
            raise refuse(403, "Forbidden", "This needs a session of the web page")
        main = self.logins.main_password(login.account)
        is_app = login.credential and (main is None or login.credential != main.id)
        if not is_app and self.has_codes(login.account):
            raise refuse(403, "Forbidden", "With a second factor, programs need an app password")

    def has_codes(self, account: AccountId) -> bool:
        totp = self.factors.totp(account)
        return totp is not None and totp.is_on


class Cookies:
    """`app.web.CookieSessions`."""

    def __init__(self, logins: WebLogins) -> None:
        self._logins = logins

    async def find(self, request: HttpRequest) -> Visit | None:
        browser = browser_request(request)
        token = find_token(browser, request.cookies)
        if not token:
            return None
        is_socket = request.headers.get("upgrade", "").lower() == "websocket"
        forgery = find_forgery(browser, is_socket=is_socket)
        if forgery:
            raise refuse(403, "Forbidden", forgery)
        found = self._logins.find(token, request.peer or "local")
        if found is None:
            return None
        return Visit(found.login, partial(self._why_over, token), str(found.session.id))

    def _why_over(self, token: str) -> str:
        return "" if self._logins.find(token) is not None else OVER


def browser_request(request: HttpRequest) -> BrowserRequest:
    is_https = request.scheme == "https"
    return BrowserRequest(request.method, request.headers, request.origin, is_https, request.is_local)
