"""Administration of what the server has in hand: what is asked of the coordinator, and what is made of its answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from posthouse.app.worker_context import LinkError
from posthouse.message.ids import Serial, ShardNumber, make_queue_id
from tests.app.web_api_kit import Browser, House, open_house

ID = make_queue_id(ShardNumber(1), Serial(12345))
ITEM: dict[str, object] = {
    "id": ID,
    "sender": "alice@example.org",
    "recipients": [
        {
            "address": "bob@elsewhere.example",
            "status": "deferred",
            "attempts": 2,
            "next_attempt": "2026-11-24T10:00:00.000Z",
            "last_reply": "452 4.2.2 Over quota",
            "next_hop": "mx.elsewhere.example",
        }
    ],
    "size": 1000,
    "arrived": "2026-11-24T09:00:00.000Z",
    "held": False,
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async for opened in open_house(tmp_path):
        yield opened


@pytest.fixture
async def root(house: House) -> Browser:
    return await house.signed_in("root@example.org", "root's own")


# -- queue


async def test_the_queue_is_listed_with_reasons_in_plain_words(house: House, root: Browser) -> None:
    house.link.answers["web.queue.list"] = {"items": [ITEM], "more": True, "unanswered": ""}
    answer = await root.call("GET", "/api/admin/queue?domain=elsewhere.example&sender=%3C%3E&status=deferred&limit=5")
    recipient = answer.json["items"][0]["recipients"][0]
    assert (recipient["reasonCode"], recipient["reason"]) == ("mailbox-full", "The mailbox is full")
    assert recipient["last_reply"] == "452 4.2.2 Over quota"
    assert answer.json["more"] is True
    assert house.link.asked == [
        ("web.queue.list", {"domain": "elsewhere.example", "sender": "<>", "status": "deferred", "limit": 5})
    ]


async def test_a_worker_that_does_not_answer_is_named(house: House, root: Browser) -> None:
    told = "incomplete, not answered by: worker 1.0 (gone)"
    house.link.answers["web.queue.list"] = {"items": [ITEM], "more": False, "unanswered": told}
    assert (await root.call("GET", "/api/admin/queue")).json["unanswered"] == told


@pytest.mark.parametrize(
    "query",
    ["status=lost", "domain=not%20a%20domain", "sender=nonsense", "after=x", "limit=0", "limit=99999999999", "limit=a"],
)
async def test_a_question_that_makes_no_sense_asks_nobody(house: House, root: Browser, query: str) -> None:
    answer = await root.call("GET", f"/api/admin/queue?{query}")
    assert answer.status == 400
    assert answer.detail
    assert house.link.asked == []


async def test_without_a_coordinator_it_is_a_503(house: House, root: Browser) -> None:
    for method, path, body in (
        ("GET", "/api/admin/queue", None),
        ("GET", f"/api/admin/queue/{ID}", None),
        ("POST", "/api/admin/queue/retry", {"all": True}),
        ("GET", "/api/admin/sessions", None),
        ("DELETE", "/api/admin/sessions/1.0-ab", None),
        ("GET", "/api/admin/figures", None),
    ):
        answer = await root.call(method, path, body)
        assert answer.status == 503, path
        assert answer.detail == "no coordinator"


async def test_one_message_is_shown(house: House, root: Browser) -> None:
    house.link.answers["web.queue.show"] = lambda args: ITEM if args == {"id": ID} else None
    shown = (await root.call("GET", f"/api/admin/queue/{ID.lower()}")).json
    assert shown["recipients"][0]["reasonCode"] == "mailbox-full"
    other = make_queue_id(ShardNumber(2), Serial(12345))
    assert (await root.call("GET", f"/api/admin/queue/{other}")).status == 404
    assert (await root.call("GET", "/api/admin/queue/nonsense")).status == 404


@pytest.mark.parametrize("action", ["hold", "release", "retry", "delete", "bounce"])
async def test_messages_are_changed_by_id_domain_sender_or_all(house: House, root: Browser, action: str) -> None:
    house.link.answers["web.queue.change"] = {"changed": 1, "unknown": [], "unanswered": []}
    for body in (
        {"ids": [ID]},
        {"domain": "elsewhere.example"},
        {"sender": ""},
        {"status": "deferred"},
        {"all": True},
    ):
        answer = await root.call("POST", f"/api/admin/queue/{action}", body)
        assert answer.json == {"changed": 1, "unknown": [], "unanswered": []}
        assert house.link.asked[-1] == ("web.queue.change", {**body, "action": action})


@pytest.mark.parametrize(
    "body",
    [None, {}, {"all": False}, {"ids": ["x"]}, {"ids": ID}, {"domain": "a b"}, {"status": "lost"}, {"every": True}],
)
async def test_nothing_selected_is_a_mistake_not_everything(house: House, root: Browser, body: object) -> None:
    assert (await root.call("POST", "/api/admin/queue/delete", body)).status == 400
    assert house.link.asked == []


async def test_there_are_no_other_actions(root: Browser) -> None:
    assert (await root.call("POST", "/api/admin/queue/explode", {"all": True})).status == 405


# -- trace


async def test_the_story_of_a_message_is_told_in_words(house: House, root: Browser) -> None:
    house.records = [
        {"at": 1_790_000_000.0, "step": "received", "id": ID, "sender": "alice@example.org"},
        {"at": 1_790_000_001.0, "step": "relayed", "id": ID, "recipient": "bob@elsewhere.example"},
    ]
    story = (await root.call("GET", f"/api/admin/trace?q={ID}")).json[0]
    assert (story["id"], story["began"]) == (ID, "2026-09-21T14:13:20.000Z")
    assert [record["words"] for record in story["records"]] == ["received", "handed on"]
    assert story["records"][1]["details"] == "recipient bob@elsewhere.example"
    assert story["records"][0]["time"] == "2026-09-21T14:13:20.000Z"


async def test_nothing_known_is_an_empty_list_and_nothing_asked_is_a_mistake(house: House, root: Browser) -> None:
    assert (await root.call("GET", f"/api/admin/trace?q={quote('<a@b>')}")).json == []
    assert (await root.call("GET", "/api/admin/trace")).status == 400
    assert (await root.call("GET", "/api/admin/trace?q=x&limit=500")).status == 400


async def test_a_journal_that_cannot_be_read_is_told(house: House, root: Browser) -> None:
    house.records = OSError(5, "Input/output error")
    answer = await root.call("GET", "/api/admin/trace?q=x")
    assert answer.status == 503
    assert "Input/output error" in answer.detail


# -- sessions


async def test_sessions_of_all_doors_and_of_the_page_are_listed(house: House, root: Browser) -> None:
    imap = {
        "id": "1.0-ab",
        "service": "imap",
        "peer": "192.0.2.1",
        "name": None,
        "login": "bob@example.org",
        "doing": "INBOX",
        "tls": "TLSv1.3",
        "since": "2026-11-24T09:00:00.000Z",
    }
    house.link.answers["web.sessions.list"] = {"items": [imap], "unanswered": ""}
    await house.signed_in()
    listed = (await root.call("GET", "/api/admin/sessions")).json["items"]
    assert listed[0] == imap
    assert sorted(each["login"] for each in listed[1:]) == ["alice@example.org", "root@example.org"]
    assert {each["service"] for each in listed[1:]} == {"web"}


async def test_a_session_of_any_door_is_ended(house: House, root: Browser) -> None:
    house.link.answers["web.sessions.kill"] = lambda args: {"changed": int(args["id"] == "1.0-ab"), "unanswered": []}
    assert (await root.call("DELETE", "/api/admin/sessions/1.0-ab")).status == 204
    assert (await root.call("DELETE", "/api/admin/sessions/1.0-cd")).status == 404
    alice = await house.signed_in()
    session = house.sessions.list_for(house.logins.accounts.find("alice@example.org").id)[0]  # type: ignore[union-attr]
    assert (await root.call("DELETE", f"/api/admin/sessions/web-{session.id}")).status == 204
    assert (await alice.call("GET", "/api/session")).status == 401
    assert (await root.call("DELETE", "/api/admin/sessions/web-999")).status == 404
    assert (await root.call("DELETE", "/api/admin/sessions/web-x")).status == 404


# -- figures


async def test_figures_come_from_the_coordinator(house: House, root: Browser) -> None:
    told = {"at": "2026-11-24T09:00:00.000Z", "now": {"received": 5}, "minutes": []}
    house.link.answers["web.figures"] = told
    assert (await root.call("GET", "/api/admin/figures")).json == told


async def test_what_the_link_refuses_is_told_as_it_is(house: House, root: Browser) -> None:
    house.link.answers["web.figures"] = LinkError("the coordinator did not answer within 25 s")
    answer = await root.call("GET", "/api/admin/figures")
    assert (answer.status, answer.detail) == (503, "the coordinator did not answer within 25 s")
