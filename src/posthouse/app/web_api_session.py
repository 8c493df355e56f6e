"""Signing in and out at the web page, and the sessions of an account (docs/manual.md "HTTP API").

A password goes through the authenticator of all other doors, with its counting and its delays; the answer to an unknown
name and to a wrong password is one and the same. Only who has shown the right password learns that a second factor is
missing. App passwords are for programs: here they are refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import msgspec

from posthouse.app.web import deny, peer_of, wait_turn
from posthouse.app.web_api_desk import ApiDesk, browser_request
from posthouse.app.web_api_table import Access, ApiCall, Endpoint, not_found
from posthouse.message.instant import format_rfc3339
from posthouse.message.mailbox import AccountId
from posthouse.message.objectids import name_account
from posthouse.ports.credentials import CredentialKind
from posthouse.ports.directory import Account
from posthouse.ports.login import Login, Scope
from posthouse.ports.web_sessions import NO_SESSION, WebSession, WebSessionId
from posthouse.serve.http_messages import HttpRefused, answer_problem, refuse
from posthouse.trust.login import Accepted
from posthouse.trust.web_factors import CodeVerdict
from posthouse.trust.web_guard import find_forgery, find_token, make_cookie, make_end, may_sign_in
from posthouse.trust.web_logins import MECHANISM, Browser

Short = Annotated[str, msgspec.Meta(max_length=1000)]


class SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    username: Short
    password: Short
    code: Annotated[str, msgspec.Meta(max_length=64)] = ""


class AccountShown(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    name: str
    display_name: str
    is_admin: bool
    addresses: list[str]


class ServerShown(msgspec.Struct, frozen=True, rename="camel"):
    hostname: str
    version: str
    undo_seconds: float
    max_upload: int


class SignedInShown(msgspec.Struct, frozen=True, rename="camel"):
    account: AccountShown


class StandingShown(msgspec.Struct, frozen=True, rename="camel"):
    account: AccountShown
    second_factors: list[str]
    server: ServerShown
    csrf: None = None


class SessionShown(msgspec.Struct, frozen=True, rename="camel"):
    id: str
    created: str
    last_used: str
    address: str
    user_agent: str
    means: str
    is_current: bool


def show_own(account: Account) -> AccountShown:
    addresses = list(account.addresses) or [account.address]
    return AccountShown(name_account(account.id), account.address, account.display_name, account.is_admin, addresses)


class SessionApi:
    def __init__(self, desk: ApiDesk) -> None:
        self._desk = desk

    def endpoints(self) -> list[Endpoint]:
        refusals = (401, 403, 415, 429)
        return [
            Endpoint(
                "POST",
                "/api/session",
                "Sign in with a password, and a code where a second factor is on. Sets the cookie of the session."
                " Where a second factor is missing, `needs` names what would do.",
                self.sign_in,
                Access.NOBODY,
                takes=SignIn,
                gives=SignedInShown,
                statuses=refusals,
            ),
            Endpoint(
                "GET", "/api/session", "Who is signed in, and what the server is.", self.show, gives=StandingShown
            ),
            Endpoint("DELETE", "/api/session", "Sign out.", self.sign_out, Access.NOBODY, statuses=(403,)),
            Endpoint("GET", "/api/sessions", "Web sessions of the account.", self.list_all, gives=list[SessionShown]),
            Endpoint("DELETE", "/api/sessions/{id}", "End one of them.", self.end, statuses=(404,)),
        ]

    async def sign_in(self, call: ApiCall) -> object:
        check_page(call)
        wanted = call.take(SignIn)
        login = await _check_login(self._desk, call, wanted.username, wanted.password)
        means, has_codes = "password", self._desk.has_codes(login.account)
        if has_codes:
            await self._check_code(login.account, wanted.code)
            means = "password and code"
        await self._desk.own.settle_main(login.account, NO_SESSION, has_codes=has_codes)
        login = replace(login, credential=self._main(login))
        account = self._desk.accounts.get(login.account)
        if account is None:
            raise refuse(401, "Unauthorized", _WRONG)
        await begin_session(self._desk, call, login, means)
        return SignedInShown(show_own(account))

    def _main(self, login: Login) -> int:
        """Its scopes were written a moment ago, perhaps."""
        main = self._desk.logins.main_password(login.account) if login.credential else None
        return 0 if main is None else main.id

    async def _check_code(self, account: AccountId, code: str) -> None:
        if not code:
            needs = ["totp", *(["passkey"] if self._desk.factors.passkeys(account) else [])]
            detail = "A second factor is needed"
            raise HttpRefused(answer_problem(401, "Unauthorized", detail, needs=needs))
        await check_code(self._desk, account, code)

    async def show(self, call: ApiCall) -> object:
        assert call.account is not None
        facts = self._desk.facts
        factors = ["totp"] if self._desk.has_codes(call.owner) else []
        if self._desk.factors.passkeys(call.owner):
            factors.append("passkey")
        server = ServerShown(facts.hostname, facts.version, facts.undo_s, facts.max_upload)
        return StandingShown(show_own(call.account), factors, server)

    async def sign_out(self, call: ApiCall) -> object:
        """Also of a session that is over: the cookie goes in any case."""
        browser = browser_request(call.request)
        cookies = self._desk.visitors.cookies
        visit = await cookies.find(call.request) if cookies is not None else None
        if visit is not None:
            await self._desk.sessions.end(WebSessionId(int(visit.session)))
        call.cookies.append(make_end(browser))
        return None

    async def list_all(self, call: ApiCall) -> object:
        rows = self._desk.sessions.list_for(call.owner)
        return [show_session(row, call.session) for row in rows if self._desk.logins.is_alive(row)]

    async def end(self, call: ApiCall) -> object:
        wanted = read_number(call.parameter("id"), "session")
        if not await self._desk.sessions.end(WebSessionId(wanted), call.owner):
            raise not_found("session")
        return None


_WRONG = "User name or password are wrong"
_WRONG_OWN = "The password is wrong"


def show_session(row: WebSession, current: int) -> SessionShown:
    return SessionShown(
        str(row.id),
        format_rfc3339(row.created),
        format_rfc3339(row.last_used),
        row.address,
        row.agent,
        row.means,
        row.id == current,
    )


def check_page(call: ApiCall) -> None:
    """A sign-in that another site asks for would put somebody into an account that is not his."""
    browser = browser_request(call.request)
    if not may_sign_in(browser):
        raise refuse(403, "Forbidden", "Signing in needs https, or a browser on this machine")
    forgery = find_forgery(browser)
    if forgery:
        raise refuse(403, "Forbidden", forgery)


async def confirm_password(desk: ApiDesk, call: ApiCall, password: str) -> None:
    """The account's own, shown again before something that matters. Counted like a sign-in. Raises HttpRefused."""
    login = await _check_login(desk, call, call.login.name, password)
    if login.account != call.owner:
        raise refuse(401, "Unauthorized", _WRONG_OWN)


async def _check_login(desk: ApiDesk, call: ApiCall, username: str, password: str) -> Login:
    """Raises HttpRefused."""
    conversation = desk.visitors.converse(Scope.MANAGE, peer_of(call.request))
    turn = await wait_turn(conversation.check_password(username, password, MECHANISM))
    if not isinstance(turn, Accepted):
        raise deny(turn, answer_problem(401, "Unauthorized", _WRONG))
    rows = desk.credentials.list_for(turn.login.account)
    if any(row.id == turn.login.credential and row.kind is CredentialKind.APP for row in rows):
        raise refuse(403, "Forbidden", "This is an app password: here the account's own password is needed")
    return turn.login


async def check_code(desk: ApiDesk, account: AccountId, code: str) -> None:
    """Raises HttpRefused."""
    verdict = await desk.codes.check(account, code)
    if verdict is not CodeVerdict.RIGHT:
        desk.log.info("code denied", account=account, reason=verdict.value)
        raise refuse_code(verdict)


def refuse_code(verdict: CodeVerdict) -> HttpRefused:
    if verdict is CodeVerdict.TOO_FAST:
        return refuse(429, "Too Many Requests", "Too many wrong codes, try again later")
    return refuse(401, "Unauthorized", "This code is wrong, or was used before")


async def begin_session(desk: ApiDesk, call: ApiCall, login: Login, means: str, passkey: int = 0) -> None:
    """Puts the cookie into the answer. A session that this browser had before ends."""
    request = call.request
    before = desk.logins.find(find_token(browser_request(request), request.cookies))
    if before is not None:
        await desk.sessions.end(before.session.id)
    browser = Browser(request.peer or "local", request.headers.get("user-agent", ""))
    token = await desk.logins.begin(login, browser, means, passkey)
    desk.log.info("signed in at the web page", login=login.name, peer=browser.address, means=means)
    call.cookies.append(make_cookie(browser_request(request), token, desk.facts.longest_session_s))


def read_number(text: str, what: str) -> int:
    """An id of the path. Raises HttpRefused."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise not_found(what)
    return int(text)
