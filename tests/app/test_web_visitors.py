"""Who is calling by HTTP: Basic, Bearer, the cookie of a web session, and what strangers hear."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest

from posthouse.app.web import Visit, Visitors
from posthouse.message.peer import Peer
from posthouse.ports.credentials import FakeTokenSource, TokenFacts
from posthouse.ports.login import Login, Scope
from posthouse.serve.http_messages import HttpAnswer, HttpRefused, HttpRequest, refuse
from posthouse.trust.login import SaslConversation
from tests.trust.test_login import ALICE, HOME, Rig

COOKIE = Login(ALICE, "alice@example.org", "COOKIE", scopes=frozenset({Scope.READ}))


def make_visitors(rig: Rig, reason: str = "") -> Visitors:
    def converse(scope: Scope, peer: Peer) -> SaslConversation:
        return SaslConversation(rig.authenticator, peer, scope)

    return Visitors(converse, lambda login: reason)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


def request(authorization: str = "", scheme: str = "https", peer: str = HOME, **headers: str) -> HttpRequest:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization:
        fields["authorization"] = authorization
    return HttpRequest("GET", "/", {}, fields, peer, scheme=scheme)


RIGHT = basic("alice@example.org", "right")


async def deny(visitors: Visitors, asked: HttpRequest, scope: Scope = Scope.READ) -> HttpAnswer:
    with pytest.raises(HttpRefused) as refused:
        await visitors.identify(asked, scope)
    answer = refused.value.answer
    assert answer.content_type == "application/problem+json"
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body)["status"] == answer.status
    return answer


async def test_the_right_password_by_basic() -> None:
    rig = Rig()
    row = await rig.add()
    visit = await make_visitors(rig).identify(request(RIGHT))
    assert (visit.login.account, visit.login.credential, visit.session) == (ALICE, row.id, "")
    assert visit.login.mechanism == "BASIC"
    assert visit.why_over() == ""


async def test_a_token_by_bearer() -> None:
    rig = Rig(tokens=FakeTokenSource({"good": TokenFacts("alice@example.org", frozenset(Scope))}))
    visitors = make_visitors(rig)
    assert (await visitors.identify(request("Bearer good"))).login.account == ALICE
    assert (await deny(visitors, request("bearer bad"))).status == 401


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        basic("alice@example.org", "wrong"),
        basic("nobody@example.org", "right"),
        "Basic ???",
        "Basic YWI=",
        "Basic \xff",
        "Bearer \xff",
        "Digest x",
    ],
)
async def test_whoever_is_not_known_is_told_how_to_log_in(authorization: str) -> None:
    rig = Rig()
    await rig.add()
    answer = await deny(make_visitors(rig), request(authorization))
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="posthouse", charset="UTF-8", Bearer')


async def test_a_browser_is_not_made_to_ask_for_a_password_by_itself() -> None:
    answer = await deny(make_visitors(Rig()), request(sec_fetch_site="same-origin"))
    assert answer.status == 401
    assert "Basic" not in answer.headers["WWW-Authenticate"]


async def test_a_password_in_the_clear_is_not_taken() -> None:
    rig = Rig()
    await rig.add()
    visitors = make_visitors(rig)
    assert (await deny(visitors, request(RIGHT, scheme="http"))).status == 403
    assert rig.hasher.runs == 0


async def test_within_this_machine_a_password_may_be_in_the_clear_but_not_through_a_proxy() -> None:
    rig = Rig()
    await rig.add()
    visitors = make_visitors(rig)
    here = replace(request(RIGHT, scheme="http", peer="127.0.0.1"), is_local=True)
    assert (await visitors.identify(here)).login.account == ALICE
    assert (await deny(visitors, replace(here, is_local=False))).status == 403


async def test_a_password_that_is_for_something_else_is_403() -> None:
    rig = Rig()
    await rig.add(scopes=frozenset({Scope.SEND}))
    assert (await deny(make_visitors(rig), request(RIGHT))).status == 403
    assert (await make_visitors(rig).identify(request(RIGHT), Scope.SEND)).login.account == ALICE


async def test_whoever_guesses_too_often_waits() -> None:
    rig = Rig()
    await rig.add()
    visitors = make_visitors(rig)
    statuses = [(await deny(visitors, request(basic("alice@example.org", f"guess{n}")))).status for n in range(30)]
    assert statuses[0] == 401
    assert statuses[-1] == 429


class Cookies:
    def __init__(self, visit: Visit | None) -> None:
        self.visit = visit

    async def find(self, request: HttpRequest) -> Visit | None:
        if request.headers.get("origin") == "https://evil.example":
            raise refuse(403, "Forbidden")
        return self.visit


async def test_a_web_session_is_asked_last() -> None:
    rig = Rig()
    await rig.add()
    visitors = make_visitors(rig)
    visitors.cookies = Cookies(Visit(COOKIE, lambda: "signed out", "7"))
    visit = await visitors.identify(request())
    assert (visit.login, visit.session, visit.why_over()) == (COOKIE, "7", "signed out")
    assert (await visitors.identify(request(RIGHT))).session == ""
    assert (await deny(visitors, request(basic("alice@example.org", "wrong")))).status == 401


async def test_a_web_session_is_good_for_its_scopes_and_from_our_page_only() -> None:
    visitors = make_visitors(Rig())
    visitors.cookies = Cookies(Visit(COOKIE, lambda: ""))
    assert (await deny(visitors, request(), Scope.SEND)).status == 403
    assert (await deny(visitors, request(origin="https://evil.example"))).status == 403
    visitors.cookies = Cookies(None)
    assert (await deny(visitors, request())).status == 401
