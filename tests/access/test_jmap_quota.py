"""Quota/get, /changes, /query and /queryChanges (RFC 9425)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.message.mailbox import MailboxId, UidRange
from posthouse.ports.store import FlagEdit, FlagMode
from tests.access.jmap_kit import ALICE, Desk, letter, open_desk


@pytest.fixture
async def desk() -> Desk:
    made = await open_desk(letter("one"))
    made.house.accounts.accounts[ALICE.id] = replace(ALICE, quota_octets=10_000, quota_emails=50)
    return made


async def test_what_is_limited_and_how_much_of_it_is_used(desk: Desk) -> None:
    usage = await desk.store.quotas.usage(ALICE.id)
    told = await desk.call("Quota/get", ids=None)
    assert [(quota["id"], quota["used"], quota["hardLimit"]) for quota in told["list"]] == [
        ("octets", usage.octets, 10_000),
        ("emails", 1, 50),
    ]
    assert told["list"][0] == {
        "id": "octets",
        "resourceType": "octets",
        "used": usage.octets,
        "hardLimit": 10_000,
        "scope": "account",
        "name": "Storage",
        "types": ["Mail"],
        "warnLimit": None,
        "softLimit": None,
        "description": None,
    }


async def test_an_account_without_limits_has_no_quotas(desk: Desk) -> None:
    desk.house.accounts.accounts[ALICE.id] = ALICE
    told = await desk.call("Quota/get", ids=["octets"])
    assert (told["list"], told["notFound"]) == ([], ["octets"])


async def test_what_a_get_refuses(desk: Desk) -> None:
    told = await desk.call("Quota/get", ids=["emails", "x"], properties=["used"])
    assert (told["list"], told["notFound"]) == ([{"id": "emails", "used": 1}], ["x"])
    assert await desk.fail("Quota/get", properties=["colour"]) == "invalidArguments"
    assert await desk.fail("Quota/get", accountId="A1") == "accountNotFound"
    assert await desk.fail("Quota/get", ids=["x"] * 501) == "requestTooLarge"


async def test_mail_that_comes_changes_what_is_used_and_a_flag_does_not(desk: Desk) -> None:
    since = (await desk.call("Quota/get"))["state"]
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
    await desk.store.messages.set_flags(ALICE.id, MailboxId(1), (UidRange(1, 1),), edit)
    assert (await desk.call("Quota/changes", sinceState=since))["updated"] == []
    await desk.add(letter("two"))
    told = await desk.call("Quota/changes", sinceState=since)
    assert (told["updated"], told["updatedProperties"]) == (["octets", "emails"], ["used"])
    assert told["newState"] == (await desk.call("Quota/get"))["state"]
    assert await desk.fail("Quota/changes", sinceState=since, maxChanges=1) == "cannotCalculateChanges"
    assert await desk.fail("Quota/changes", sinceState="x") == "cannotCalculateChanges"


async def test_queries(desk: Desk) -> None:
    told = await desk.call("Quota/query", sort=[{"property": "name"}], calculateTotal=True)
    assert (told["ids"], told["total"], told["canCalculateChanges"]) == (["emails", "octets"], 2, True)
    told = await desk.call("Quota/query", sort=[{"property": "used", "isAscending": False}])
    assert told["ids"] == ["octets", "emails"]
    for members, ids in (
        ({"resourceType": "count"}, ["emails"]),
        ({"name": "STOR"}, ["octets"]),
        ({"scope": "domain"}, []),
        ({"type": "Mail"}, ["octets", "emails"]),
        ({"operator": "NOT", "conditions": [{"resourceType": "count"}]}, ["octets"]),
        ({"operator": "OR", "conditions": [{"resourceType": "count"}, {"scope": "account"}]}, ["octets", "emails"]),
        ({"operator": "AND", "conditions": [{"resourceType": "count"}, {"name": "x"}]}, []),
    ):
        assert (await desk.call("Quota/query", filter=members))["ids"] == ids
    assert await desk.fail("Quota/query", filter={"colour": "x"}) == "invalidArguments"
    assert await desk.fail("Quota/query", sort=[{"property": "scope"}]) == "unsupportedSort"
    assert await desk.fail("Quota/query", anchor="x") == "anchorNotFound"


async def test_what_became_of_a_query(desk: Desk) -> None:
    since = (await desk.call("Quota/query"))["queryState"]
    await desk.add(letter("two"))
    told = await desk.call("Quota/queryChanges", sinceQueryState=since, calculateTotal=True)
    assert (told["removed"], told["total"]) == (["emails", "octets"], 2)
    assert [added["id"] for added in told["added"]] == ["octets", "emails"]
    assert await desk.fail("Quota/queryChanges", sinceQueryState=since, maxChanges=1) == "tooManyChanges"
    assert await desk.fail("Quota/queryChanges", sinceQueryState="x") == "cannotCalculateChanges"
