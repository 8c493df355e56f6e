"""What is kept beside mail by JMAP: the vacation response, preferences, saved searches (RFC 8621 §8, docs/jmap.md)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from posthouse.access.jmap import records_saved, vacation_methods
from posthouse.access.jmap.methods import JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.message.mailbox import ModSeq
from posthouse.ports import records
from posthouse.ports.login import Scope
from tests.access.jmap_kit import LOGIN, Desk, make_parts
from tests.msa.submit_kit import House

NOTHING = {
    "id": "singleton",
    "isEnabled": False,
    "fromDate": None,
    "toDate": None,
    "subject": None,
    "textBody": None,
    "htmlBody": None,
}


def open_desk() -> Desk:
    house = House()
    parts = make_parts(house)
    tables = [records_saved.METHODS, vacation_methods.METHODS]
    return Desk(house, parts, JmapServer(parts, SessionBuilder(parts), tables))


async def update(desk: Desk, kind: str, **patch: object) -> Any:
    return await desk.call(f"{kind}/set", update={"singleton": patch})


async def read(desk: Desk, kind: str) -> Any:
    return (await desk.call(f"{kind}/get", ids=["singleton"]))["list"][0]


async def test_a_vacation_response_is_there_before_anybody_set_it() -> None:
    desk = open_desk()
    told = await desk.call("VacationResponse/get", ids=None)
    assert (told["list"], told["notFound"]) == ([NOTHING], [])


async def test_a_vacation_response_is_set_and_parts_of_it_reset() -> None:
    desk = open_desk()
    told = await update(desk, "VacationResponse", isEnabled=True, subject="Away", fromDate="2027-01-01T00:00:00Z")
    assert told["updated"] == {"singleton": None}
    assert int(told["newState"]) == int(told["oldState"]) + 1
    expected = NOTHING | {"isEnabled": True, "subject": "Away", "fromDate": "2027-01-01T00:00:00Z"}
    assert await read(desk, "VacationResponse") == expected
    await update(desk, "VacationResponse", subject=None, textBody="I am away.")
    assert await read(desk, "VacationResponse") == expected | {"subject": None, "textBody": "I am away."}


@pytest.mark.parametrize("kind", ["VacationResponse", "Preference"])
async def test_a_singleton_is_neither_created_nor_destroyed(kind: str) -> None:
    told: Any = await open_desk().call(f"{kind}/set", create={"a": {}}, destroy=["singleton", "other"])
    assert told["notCreated"]["a"]["type"] == "singleton"
    assert told["notDestroyed"] == {"singleton": {"type": "singleton"}, "other": {"type": "notFound"}}
    assert told["oldState"] == told["newState"]


@pytest.mark.parametrize("kind", ["VacationResponse", "Preference"])
async def test_there_is_no_singleton_by_another_id(kind: str) -> None:
    desk = open_desk()
    told: Any = await desk.call(f"{kind}/set", update={"other": {}})
    assert told["notUpdated"] == {"other": {"type": "notFound"}}
    assert (await desk.call(f"{kind}/get", ids=["x", "y"])) | {"state": ""} == {
        "accountId": "A7",
        "state": "",
        "list": [],
        "notFound": ["x", "y"],
    }


@pytest.mark.parametrize(
    ("patch", "wrong"),
    [
        ({"isEnabled": "yes"}, ["isEnabled"]),
        ({"fromDate": "tomorrow"}, ["fromDate"]),
        ({"toDate": "2027-01-01T00:00:00+01:00"}, ["toDate"]),
        ({"fromDate": "2027-02-01T00:00:00Z", "toDate": "2027-01-01T00:00:00Z"}, ["fromDate", "toDate"]),
        ({"subject": "a\r\nBcc: eve@x.example"}, ["subject"]),
        ({"textBody": 7}, ["textBody"]),
        ({"id": "other"}, ["id"]),
        ({"mood": "good"}, ["mood"]),
    ],
)
async def test_what_a_vacation_response_cannot_be_is_named(patch: dict[str, object], wrong: list[str]) -> None:
    told = (await update(open_desk(), "VacationResponse", **patch))["notUpdated"]["singleton"]
    assert (told["type"], told["properties"]) == ("invalidProperties", wrong)


async def test_a_text_that_is_too_long_is_too_large() -> None:
    told = await update(open_desk(), "VacationResponse", textBody="x" * 70_000)
    assert told["notUpdated"]["singleton"]["type"] == "tooLarge"


async def test_who_may_only_read_sets_no_vacation_response() -> None:
    desk = open_desk().as_login(replace(LOGIN, scopes=frozenset({Scope.READ})))
    assert await read(desk, "VacationResponse") == NOTHING
    assert await desk.fail("VacationResponse/set", update={"singleton": {"isEnabled": True}}) == "forbidden"


async def test_another_account_is_not_found() -> None:
    desk = open_desk()
    for method in ("VacationResponse/get", "Preference/get", "SavedSearch/get"):
        assert await desk.fail(method, accountId="A8", ids=None) == "accountNotFound"


@pytest.mark.parametrize("kind", ["VacationResponse", "Preference", "SavedSearch"])
async def test_a_state_that_is_over_changes_nothing(kind: str) -> None:
    desk = open_desk()
    state = (await desk.call(f"{kind}/get", ids=[]))["state"]
    await update(desk, "VacationResponse", subject="other")
    assert await desk.fail(f"{kind}/set", ifInState=state, update={}) == "stateMismatch"


async def test_preferences_are_changed_member_by_member() -> None:
    desk = open_desk()
    assert await read(desk, "Preference") == {"id": "singleton", "value": {}}
    await update(desk, "Preference", **{"value/theme": "dark", "value/senders": ["a@b.example"]})
    await update(desk, "Preference", **{"value/theme": "light"})
    assert (await read(desk, "Preference"))["value"] == {"theme": "light", "senders": ["a@b.example"]}
    await update(desk, "Preference", **{"value/senders": None})
    assert (await read(desk, "Preference"))["value"] == {"theme": "light"}
    await update(desk, "Preference", value=None)
    assert (await read(desk, "Preference"))["value"] == {}


async def test_preferences_are_an_object_of_limited_size() -> None:
    desk = open_desk()
    assert (await update(desk, "Preference", value=[1]))["notUpdated"]["singleton"]["properties"] == ["value"]
    told = await update(desk, "Preference", **{"value/x": "y" * 33_000})
    assert told["notUpdated"]["singleton"]["type"] == "tooLarge"


async def test_a_search_is_saved_changed_and_destroyed_and_changes_tell_it() -> None:
    desk = open_desk()
    told: Any = await desk.call("SavedSearch/set", create={"a": {"name": "Bills", "query": "from:shop has:attachment"}})
    assert told["created"] == {"a": {"id": "S1", "sortOrder": 0}}
    state = told["newState"]
    told = await desk.call(
        "SavedSearch/set",
        create={"b": {"name": "Work", "query": "in:work", "sortOrder": 2}},
        update={"S1": {"sortOrder": 9}},
    )
    changes = await desk.call("SavedSearch/changes", sinceState=state)
    assert (changes["created"], changes["updated"], changes["destroyed"]) == (["S2"], ["S1"], [])
    assert changes["newState"] == told["newState"]
    assert (await desk.call("SavedSearch/set", destroy=["S1"]))["destroyed"] == ["S1"]
    found: Any = await desk.call("SavedSearch/get", ids=None, properties=["name", "sortOrder"])
    assert found["list"] == [{"id": "S2", "name": "Work", "sortOrder": 2}]


async def test_a_search_that_goes_is_not_changed_as_well() -> None:
    desk = open_desk()
    await desk.call("SavedSearch/set", create={"a": {"name": "Bills", "query": "x"}})
    told: Any = await desk.call("SavedSearch/set", update={"S1": {"name": "y"}, "S9": {}}, destroy=["S1", "S9"])
    assert told["notUpdated"] == {"S1": {"type": "willDestroy"}, "S9": {"type": "notFound"}}
    assert told["destroyed"] == ["S1"]
    assert told["notDestroyed"] == {"S9": {"type": "notFound"}}


async def test_ids_that_cannot_be_ours_are_not_found() -> None:
    ids = ["", "S", "S0", "S01", "S-1", "Z1", "S１", "S" + "9" * 30, "\x00", "S1"]
    found = await open_desk().call("SavedSearch/get", ids=ids)
    assert (found["list"], found["notFound"]) == ([], ids)


async def test_an_unknown_property_is_an_invalid_argument() -> None:
    desk = open_desk()
    assert await desk.fail("SavedSearch/get", ids=None, properties=["colour"]) == "invalidArguments"
    assert await desk.fail("VacationResponse/get", ids=None, properties=["colour"]) == "invalidArguments"
    told: Any = await desk.call("SavedSearch/set", create={"a": {"name": "x", "query": "y", "colour": 1}})
    assert told["notCreated"]["a"] == {"type": "invalidProperties", "properties": ["colour"]}


async def test_a_patch_of_what_is_not_there_is_an_invalid_patch() -> None:
    told = await update(open_desk(), "Preference", **{"value/a/b": 1})
    assert told["notUpdated"]["singleton"]["type"] == "invalidPatch"


async def test_changes_of_too_long_ago_or_too_many_cannot_be_calculated() -> None:
    desk = open_desk()
    state = (await desk.call("SavedSearch/get", ids=[]))["state"]
    searches = {name: {"name": name, "query": "x"} for name in ("a", "b")}
    state_then = (await desk.call("SavedSearch/set", create=searches))["newState"]
    for since in ("nonsense", "99999"):
        assert await desk.fail("SavedSearch/changes", sinceState=since) == "cannotCalculateChanges"
    assert await desk.fail("SavedSearch/changes", sinceState=state, maxChanges=1) == "cannotCalculateChanges"
    assert (await desk.call("SavedSearch/changes", sinceState=state, maxChanges=2))["created"] == ["S1", "S2"]
    desk.memory.forget_changes(LOGIN.account, ModSeq(int(str(state_then))))
    assert await desk.fail("SavedSearch/changes", sinceState=state) == "cannotCalculateChanges"


async def test_beyond_the_limit_no_record_is_created_and_the_rest_is_done() -> None:
    desk = open_desk()
    many = [records.RecordEdit({"name": "n", "query": "q", "sortOrder": 0})] * records.MAX_RECORDS
    await desk.memory.records.edit(LOGIN.account, "search", many)
    new = {"name": "x", "query": "y"}
    told: Any = await desk.call("SavedSearch/set", create={"a": new}, update={"S2": {"name": "z"}})
    assert told["notCreated"]["a"]["type"] == "overQuota"
    assert told["updated"] == {"S2": None}
    assert await desk.fail("SavedSearch/get", ids=None) == "requestTooLarge"


async def test_a_change_of_somebody_else_in_between_is_not_passed_over() -> None:
    desk = open_desk()
    state = (await desk.call("SavedSearch/get", ids=[]))["state"]
    await update(desk, "Preference", **{"value/x": 1})
    told = await desk.call("SavedSearch/set", create={"a": {"name": "x", "query": "y"}})
    assert told["oldState"] != state
    assert int(str(told["newState"])) == int(str(told["oldState"])) + 1
