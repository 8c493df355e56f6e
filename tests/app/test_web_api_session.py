"""Signing in at the web page: who gets in, what strangers learn, what ends a session, what other sites may not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.directory_admin import open_directory
from posthouse.adapters.sqlite.directory_credentials import SqliteCredentials
from posthouse.adapters.sqlite.directory_web import DirectoryWriter, SqliteWebSessions
from posthouse.app.web_api_desk import Cookies
from posthouse.manage.accounts import AppPasswordOptions
from posthouse.ports.directory_admin import AccountChange
from posthouse.ports.web_sessions import WebSessionId
from posthouse.serve.http_messages import HttpRequest
from posthouse.trust.web_logins import WebLogins, WebLoginSettings
from tests.app.web_api_kit import ALICE, HOST, PASSWORD, Browser, House, open_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


async def test_the_right_password_signs_in_and_the_cookie_is_believed(house: House) -> None:
    browser = house.browser()
    answer = await browser.sign_in()
    assert answer.status == 200
    assert answer.json["account"]["id"] == "A1"
    assert answer.cookies[0].startswith("__Host-posthouse=")
    assert answer.cookies[0].endswith("; HttpOnly; SameSite=Strict; Secure")
    assert answer.headers["cache-control"] == "no-store"
    shown = (await browser.call("GET", "/api/session")).json
    assert shown["account"] == {
        "id": "A1",
        "name": "alice@example.org",
        "displayName": "Alice",
        "isAdmin": False,
        "addresses": ["alice@example.org"],
    }
    assert shown["server"] == {"hostname": HOST, "version": "1.2.3", "undoSeconds": 10.0, "maxUpload": 50_000_000}
    assert shown["secondFactors"] == []
    assert shown["csrf"] is None


async def test_without_a_cookie_nobody_is_signed_in(house: House) -> None:
    answer = await house.browser().call("GET", "/api/session")
    assert answer.status == 401
    assert "Basic" not in answer.headers.get("www-authenticate", "")
    assert answer.detail


async def test_an_unknown_name_and_a_wrong_password_get_the_same_answer_and_cost_the_same(house: House) -> None:
    answers, runs = [], []
    for name in ("alice@example.org", "nobody@example.org", "nobody@elsewhere.example", "not an address"):
        before = house.hasher.runs
        answer = await Browser(house.app, "203.0.113.9").sign_in(name, "wrong")
        answers.append((answer.status, answer.body, sorted(answer.headers.items())))
        runs.append(house.hasher.runs - before)
    assert answers[0][0] == 401
    assert all(each == answers[0] for each in answers)
    assert runs == [1, 1, 1, 1]


async def test_guesses_are_slowed_down_and_a_name_that_does_not_exist_likewise(house: House) -> None:
    for name in ("alice@example.org", "nobody@example.org"):
        house.pauses.clear()
        guests = [Browser(house.app, f"203.0.113.{number}") for number in range(8)]
        statuses = [(await guest.sign_in(name, f"guess from {guest.peer}")).status for guest in guests]
        assert statuses == [401] * 8
        assert house.pauses == [1.0, 2.0, 4.0, 8.0]


async def test_many_guesses_at_once_are_not_looked_at(house: House) -> None:
    browsers = [Browser(house.app, f"203.0.113.{number}") for number in range(20)]
    answers = await asyncio.gather(*(each.sign_in(password=f"guess {n}") for n, each in enumerate(browsers)))
    statuses = [answer.status for answer in answers]
    assert statuses.count(401) == 5
    assert statuses.count(429) == 15
    assert house.hasher.runs == 5


async def test_a_disabled_account_is_told_so_only_with_the_right_password(house: House) -> None:
    house.admin.change_account(ALICE, AccountChange(is_disabled=True))
    assert (await house.browser().sign_in(password="wrong")).status == 401
    assert (await house.browser().sign_in()).status == 403


async def test_an_app_password_does_not_open_the_page(house: House) -> None:
    password = await house.passwords.add_app(ALICE, "Phone", AppPasswordOptions())
    answer = await house.browser().sign_in(password=password)
    assert answer.status == 403
    assert not answer.cookies
    limited = await house.passwords.add_app(ALICE, "Reader", AppPasswordOptions(scopes=["read"]))
    assert (await house.browser().sign_in(password=limited)).status == 403


async def test_without_tls_only_this_machine_signs_in(house: House) -> None:
    elsewhere = Browser(house.app, "192.0.2.7", "http", headers={"x-posthouse": "1"})
    answer = await elsewhere.sign_in()
    assert answer.status == 403
    assert "https" in answer.detail
    assert house.hasher.runs == 0
    here = Browser(house.app, "127.0.0.1", "http", "localhost:8080", headers={"x-posthouse": "1"})
    answer = await here.sign_in()
    assert answer.status == 200
    assert answer.cookies[0].startswith("posthouse=")
    assert "Secure" not in answer.cookies[0]
    assert (await here.call("GET", "/api/session")).status == 200


async def test_a_cookie_that_was_given_over_https_does_not_count_without_it(house: House) -> None:
    browser = await house.signed_in()
    token = browser.cookie.partition("=")[2]
    plain = Browser(house.app, "192.0.2.9", "http", cookie=f"__Host-posthouse={token}; posthouse={token}")
    plain.headers["origin"] = f"http://{HOST}"
    assert (await plain.call("GET", "/api/session")).status == 401


async def test_a_sign_in_that_another_site_asks_for_is_refused(house: House) -> None:
    for headers in (
        {"x-posthouse": None},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        body = {"username": "alice@example.org", "password": PASSWORD}
        answer = await house.browser().call("POST", "/api/session", body, headers=headers)
        assert answer.status == 403, headers
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = await house.browser().call("POST", "/api/session", raw=b"username=alice", headers=form)
    assert answer.status == 415
    assert house.hasher.runs == 0


async def test_a_change_by_another_site_is_refused_though_the_cookie_comes_along(house: House) -> None:
    browser = await house.signed_in()
    for method, path in (("DELETE", "/api/session"), ("DELETE", "/api/sessions/1"), ("POST", "/api/password")):
        for headers in ({"x-posthouse": None}, {"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}):
            answer = await browser.call(method, path, {"old": "x", "new": "y"}, headers=headers)
            assert answer.status == 403, (method, path, headers)
    assert (await browser.call("GET", "/api/session", headers={"sec-fetch-site": "cross-site"})).status == 403
    assert (await browser.call("GET", "/api/session")).status == 200


async def test_signing_out_ends_the_session_and_takes_the_cookie_away(house: House) -> None:
    browser = await house.signed_in()
    cookie = browser.cookie
    answer = await browser.call("DELETE", "/api/session")
    assert answer.status == 204
    assert answer.body == b""
    assert "Max-Age=0" in answer.cookies[0]
    browser.cookie = cookie
    assert (await browser.call("GET", "/api/session")).status == 401
    assert (await browser.call("DELETE", "/api/session")).status == 204


async def test_sessions_are_listed_and_one_is_ended_from_another(house: House) -> None:
    desk = await house.signed_in()
    phone = Browser(house.app, "203.0.113.5")
    phone.headers["user-agent"] = "Phone/1"
    house.clock.advance(60)
    await phone.sign_in()
    listed = (await desk.call("GET", "/api/sessions")).json
    assert [(each["address"], each["userAgent"], each["isCurrent"]) for each in listed] == [
        ("203.0.113.5", "Phone/1", False),
        ("192.0.2.7", "", True),
    ]
    assert listed[0]["created"].endswith("Z")
    assert (await desk.call("DELETE", f"/api/sessions/{listed[0]['id']}")).status == 204
    assert (await phone.call("GET", "/api/session")).status == 401
    assert len((await desk.call("GET", "/api/sessions")).json) == 1


async def test_signing_in_again_ends_the_session_that_the_browser_had(house: House) -> None:
    browser = await house.signed_in()
    before = browser.cookie
    assert (await browser.sign_in()).status == 200
    assert browser.cookie != before
    assert len((await browser.call("GET", "/api/sessions")).json) == 1
    browser.cookie = before
    assert (await browser.call("GET", "/api/session")).status == 401


async def test_nobody_ends_the_session_of_somebody_else(house: House) -> None:
    alice = await house.signed_in()
    bob = await house.signed_in("bob@example.org", "bob's own")
    session = (await alice.call("GET", "/api/sessions")).json[0]["id"]
    for wanted in (session, "999", "x", "-1", "1" * 40):
        assert (await bob.call("DELETE", f"/api/sessions/{wanted}")).status == 404
    assert (await alice.call("GET", "/api/session")).status == 200


async def test_a_password_set_by_the_administrator_ends_all_sessions_at_once(house: House) -> None:
    browser = await house.signed_in()
    await house.passwords.set_main(ALICE, "another")
    assert (await browser.call("GET", "/api/session")).status == 401


async def test_disabling_an_account_ends_its_sessions_at_once(house: House) -> None:
    browser = await house.signed_in()
    house.admin.change_account(ALICE, AccountChange(is_disabled=True))
    assert (await browser.call("GET", "/api/session")).status == 401


async def test_another_worker_knows_the_session_and_its_end_at_once(house: House) -> None:
    browser = await house.signed_in()
    token = browser.cookie.partition("=")[2]
    people, writer = open_directory(house.path), DirectoryWriter(house.path)
    credentials = SqliteCredentials(people, house.path)
    try:
        other = WebLogins(SqliteWebSessions(people, writer), credentials, people, house.clock, bytes)
        found = other.find(token)
        assert found is not None
        assert found.login.account == ALICE
        await other.sessions.end(found.session.id)
        assert (await browser.call("GET", "/api/session")).status == 401
    finally:
        writer.close()
        credentials.close()
        people.close()


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"username": 1, "password": "x"}', 400),
        (b'{"username": "x"}', 400),
        (b'{"username": "x", "password": "y", "more": 1}', 400),
        (b'{"username": "' + b"x" * 2000 + b'", "password": "y"}', 400),
        (b'{"username": "\xff", "password": "y"}', 400),
        (b'{"username": "\\ud800", "password": "y"}', 400),
        (b"[" * 50_000, 400),
        (b" " * 70_000, 413),
        (b'{"username": "a\\u0000b", "password": "y\\u0000"}', 401),
    ],
)
async def test_nonsense_is_a_problem_document(house: House, raw: bytes, status: int) -> None:
    answer = await house.browser().call("POST", "/api/session", raw=raw)
    assert answer.status == status
    assert answer.json["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"


async def test_what_is_not_there_and_what_is_not_allowed_are_problem_documents(house: House) -> None:
    answer = await house.browser().call("GET", "/api/nothing/here")
    assert (answer.status, answer.json["status"]) == (404, 404)
    answer = await house.browser().call("PUT", "/api/session")
    assert (answer.status, answer.headers["allow"]) == (405, "POST, GET, DELETE")
    assert answer.json["title"] == "Method Not Allowed"


async def test_a_websocket_with_our_cookie_must_come_from_our_page(house: House) -> None:
    browser = await house.signed_in()
    for headers in ({"origin": None}, {"origin": "https://evil.example"}, {"sec-fetch-site": "same-site"}):
        answer = await browser.call("GET", "/api/session", headers={"upgrade": "websocket", **headers})
        assert answer.status == 403, headers
    assert (await browser.call("GET", "/api/session", headers={"upgrade": "websocket"})).status == 200


async def test_what_lasts_hears_that_its_session_was_ended(house: House) -> None:
    browser = await house.signed_in()
    name, _, token = browser.cookie.partition("=")
    request = HttpRequest("GET", "/jmap/eventsource", {}, {"host": HOST, "cookie": f"{name}={token}"}, "192.0.2.7")
    visit = await Cookies(house.logins).find(replace(request, scheme="https"))
    assert visit is not None
    assert visit.login.account == ALICE
    assert visit.why_over() == ""
    await house.sessions.end(WebSessionId(int(visit.session)))
    assert visit.why_over() == "This session was ended; sign in again"


async def test_requests_that_last_do_not_keep_a_session_from_growing_old(house: House) -> None:
    browser = await house.signed_in()
    request = HttpRequest("GET", "/jmap/ws", {}, {"host": HOST, "cookie": browser.cookie}, "192.0.2.7", scheme="https")
    visit = await Cookies(house.logins).find(request)
    assert visit is not None
    house.clock.advance(WebLoginSettings().idle_s)
    assert visit.why_over()
