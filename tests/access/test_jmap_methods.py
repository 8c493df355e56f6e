"""Requests as a whole: every call is answered in its place, whatever happens in it (RFC 8620 §3)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from posthouse.access.jmap.method import Call, Method, Methods
from posthouse.access.jmap.methods import TABLES, JmapServer, join_tables
from posthouse.access.jmap.session import SessionBuilder, SessionSettings
from posthouse.message.mailbox import Role
from posthouse.ports.login import Scope
from posthouse.ports.store import NoSuchAccount, OverQuota, StoreError
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.limits import CORE
from posthouse.protocol.jmap.problems import ProblemType, RequestRefused
from posthouse.protocol.jmap.request import MethodCall, Request
from posthouse.protocol.jmap.session import MAIL, SUBMISSION, VAPID
from tests.access.jmap_kit import HOME, LOGIN, ME, Desk, make_parts, open_desk
from tests.msa.submit_kit import ALICE, House


async def echo(call: Call) -> Answer:
    return dict(call.arguments)


async def fail(call: Call) -> Answer:
    raise ZeroDivisionError


async def change_and_fail(call: Call) -> Answer:
    await call.parts.store.mailboxes.open_role(call.owner, Role.ARCHIVE)
    raise StoreError("disk")


async def create(call: Call) -> Answer:
    call.created["new"] = "F7-1"
    return {}


async def imply(call: Call) -> Answer:
    call.extra.append(("Email/set", {"updated": None}))
    call.extra.append(("Email/set", MethodError(ErrorType.STATE_MISMATCH)))
    return {}


def raising(error: Exception) -> Methods:
    async def run(call: Call) -> Answer:
        raise error

    return {"Test/get": Method(MAIL, run), "Test/set": Method(MAIL, run)}


PLAIN: Methods = {
    "Test/echo": Method(MAIL, echo),
    "Test/get": Method(MAIL, fail),
    "Test/set": Method(MAIL, change_and_fail),
    "Test/make": Method(MAIL, create),
    "Test/imply": Method(MAIL, imply),
    "Test/send": Method(SUBMISSION, echo),
}


def open_test_desk(table: Methods = PLAIN) -> Desk:
    house = House()
    parts = make_parts(house)
    return Desk(house, parts, JmapServer(parts, SessionBuilder(parts), [table]))


async def test_calls_are_answered_in_order_and_one_that_fails_ends_no_other() -> None:
    desk = open_test_desk()
    answers = await desk.ask(("Test/echo", {"a": 1}), ("Test/get", {}), ("Test/echo", {"b": 2}))
    assert answers == [("Test/echo", {"a": 1}), ("error", {"type": "serverFail"}), ("Test/echo", {"b": 2})]


async def test_a_defect_is_logged_and_tells_the_client_nothing() -> None:
    desk = open_test_desk()
    assert (await desk.ask(("Test/get", {})))[0][1] == {"type": "serverFail"}
    assert desk.house.log.events[-1] == ("error", "jmap method failed", {"method": "Test/get", "account": LOGIN.name})


async def test_a_call_that_failed_and_changed_something_is_server_partial_fail() -> None:
    assert await open_test_desk().fail("Test/set") == "serverPartialFail"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (StoreError("disk"), "serverUnavailable"),
        (NoSuchAccount(), "accountNotFound"),
        (OverQuota(), "serverFail"),
        (MethodError(ErrorType.ANCHOR_NOT_FOUND), "anchorNotFound"),
    ],
)
async def test_what_the_store_says_is_told_in_the_words_of_jmap(error: Exception, told: str) -> None:
    desk = open_test_desk(raising(error))
    assert await desk.fail("Test/get") == told
    assert await desk.fail("Test/set") == told


async def test_an_unknown_method_and_one_of_a_capability_that_is_not_used() -> None:
    desk = open_test_desk()
    assert await desk.fail("Test/nothing") == "unknownMethod"
    request = Request(frozenset({CORE}), (MethodCall("Test/echo", {}, "c"),))
    response = await desk.server.run(LOGIN, HOME, request)
    assert response.method_responses == [("error", {"type": "unknownMethod"}, "c")]


async def test_what_the_password_is_not_good_for_is_forbidden() -> None:
    desk = open_test_desk()
    assert await desk.as_login(replace(LOGIN, scopes=frozenset({Scope.READ}))).fail("Test/send") == "forbidden"
    assert await desk.as_login(replace(LOGIN, scopes=frozenset({Scope.SEND}))).fail("Test/echo") == "forbidden"


async def test_creation_ids_are_those_of_the_whole_request() -> None:
    desk = open_test_desk()
    await desk.ask(("Test/make", {}))
    assert desk.created == {"new": "F7-1"}


async def test_responses_of_implied_calls_follow_with_the_same_call_id() -> None:
    desk = open_test_desk()
    request = Request(frozenset({MAIL}), (MethodCall("Test/imply", {}, "c"),))
    response = await desk.server.run(LOGIN, HOME, request)
    assert [(name, call_id) for name, _, call_id in response.method_responses] == [
        ("Test/imply", "c"),
        ("Email/set", "c"),
        ("error", "c"),
    ]


async def test_a_result_is_referred_to_by_a_later_call() -> None:
    reference = {"resultOf": "c0", "name": "Test/echo", "path": "/ids/0"}
    answers = await open_test_desk().ask(("Test/echo", {"ids": ["x"]}), ("Test/echo", {"#one": reference}))
    assert answers[1][1] == {"one": "x"}


@pytest.mark.parametrize(
    ("octets", "problem"),
    [
        (b"{", ProblemType.NOT_JSON),
        (b"[]", ProblemType.NOT_REQUEST),
        (b'{"using":["urn:nobody"],"methodCalls":[]}', ProblemType.UNKNOWN_CAPABILITY),
        (b'{"using":[],"methodCalls":[' + b",".join([b'["a",{},"c"]'] * 65) + b"]}", ProblemType.LIMIT),
    ],
)
async def test_a_request_that_is_none_is_refused_as_a_whole(octets: bytes, problem: ProblemType) -> None:
    with pytest.raises(RequestRefused) as refused:
        await open_test_desk().server.answer(LOGIN, HOME, octets)
    assert (refused.value.problem.type, refused.value.problem.status) == (problem, 400)


def test_two_methods_of_one_name_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="Test/"):
        join_tables([PLAIN, PLAIN])


async def test_no_two_modules_have_the_same_method_and_each_capability_is_told() -> None:
    desk = await open_desk()
    methods = join_tables(TABLES)
    assert {method.capability for method in methods.values()} <= desk.server.capabilities


# -- the session


async def test_the_session_tells_what_there_is_and_where() -> None:
    desk = await open_desk()
    session = json.loads(desk.server.sessions.build(LOGIN, "https://mail.ours.example").as_json())
    assert session["username"] == ALICE.address
    assert session["apiUrl"] == "https://mail.ours.example/jmap/api"
    assert session["downloadUrl"].endswith("/jmap/download/{accountId}/{blobId}/{name}?accept={type}")
    assert session["uploadUrl"].endswith("/jmap/upload/{accountId}/")
    assert session["eventSourceUrl"].endswith("?types={types}&closeafter={closeafter}&ping={ping}")
    assert session["capabilities"]["urn:ietf:params:jmap:websocket"]["url"] == "wss://mail.ours.example/jmap/ws"
    assert session["capabilities"][CORE]["maxObjectsInGet"] == 500
    account = session["accounts"][ME]
    assert (account["name"], account["isPersonal"], account["isReadOnly"]) == (ALICE.address, True, False)
    assert account["accountCapabilities"][SUBMISSION]["maxDelayedSend"] == 86400 * 30
    assert session["primaryAccounts"][MAIL] == ME


async def test_the_session_of_a_password_that_only_reads_tells_nothing_of_sending() -> None:
    desk = await open_desk()
    login = replace(LOGIN, scopes=frozenset({Scope.READ}))
    session = desk.server.sessions.build(login, "http://127.0.0.1:8080")
    assert SUBMISSION not in session.accounts[ME].account_capabilities
    assert SUBMISSION not in session.primary_accounts
    assert MAIL in session.accounts[ME].account_capabilities


async def test_the_state_of_the_session_is_that_of_each_response_by_whatever_name_we_are_reached() -> None:
    desk = await open_desk()
    sessions = desk.server.sessions
    response = await desk.server.run(LOGIN, HOME, Request(frozenset({CORE}), ()))
    states = {sessions.build(LOGIN, base).state for base in ("https://a.example", "http://127.0.0.1")}
    assert states == {response.session_state} == {sessions.state(LOGIN)}
    assert sessions.state(replace(LOGIN, scopes=frozenset({Scope.READ}))) not in states


async def test_the_key_for_push_is_told_where_there_is_one() -> None:
    parts = (await open_desk()).parts
    assert VAPID not in SessionBuilder(parts).capabilities
    assert VAPID in SessionBuilder(parts, SessionSettings(vapid_key="BKey")).capabilities
