"""Identities of an account: those of its addresses, and its own (RFC 8621 §6)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from posthouse.access.jmap import identities_methods
from posthouse.access.jmap.identities import find_identity
from posthouse.access.jmap.methods import JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.ports.directory import Account
from tests.access.jmap_kit import ALICE, Desk, make_parts
from tests.msa.submit_kit import House

PRIMARY, SECOND = ALICE.addresses


def open_desk() -> Desk:
    house = House()
    parts = make_parts(house)
    return Desk(house, parts, JmapServer(parts, SessionBuilder(parts), [identities_methods.METHODS]))


def give_addresses(desk: Desk, *addresses: str) -> None:
    account: Account = replace(ALICE, address=addresses[0], addresses=addresses)
    desk.house.accounts.accounts[ALICE.id] = account


async def get(desk: Desk, *ids: str) -> list[Any]:
    found: list[Any] = (await desk.call("Identity/get", ids=list(ids) or None))["list"]
    return found


async def create(desk: Desk, **members: object) -> Any:
    told = await desk.call("Identity/set", create={"new": members})
    return (told["created"] or told["notCreated"])["new"]


async def update(desk: Desk, identity: str, **patch: object) -> Any:
    return await desk.call("Identity/set", update={identity: patch})


async def test_each_address_of_the_account_has_an_identity_that_cannot_be_destroyed() -> None:
    desk = open_desk()
    first, second = await get(desk)
    assert first == {
        "id": "I1",
        "name": "Alice",
        "email": PRIMARY,
        "replyTo": None,
        "bcc": None,
        "textSignature": "",
        "htmlSignature": "",
        "mayDelete": False,
        "isDefault": True,
    }
    assert (second["email"], second["isDefault"]) == (SECOND, False)
    told = await desk.call("Identity/set", destroy=["I1"])
    assert told["notDestroyed"]["I1"]["type"] == "forbidden"
    assert len(await get(desk)) == 2


async def test_two_who_look_first_at_once_make_no_identity_twice() -> None:
    desk = open_desk()
    await asyncio.gather(get(desk), get(desk))
    assert [one["email"] for one in await get(desk)] == [PRIMARY, SECOND]


async def test_an_identity_goes_and_comes_with_its_address_and_changes_tell_it() -> None:
    desk = open_desk()
    state = (await desk.call("Identity/get", ids=None))["state"]
    give_addresses(desk, PRIMARY, "new@ours.example")
    told = await desk.call("Identity/changes", sinceState=state)
    assert (told["created"], told["destroyed"]) == (["I3"], ["I2"])
    assert [one["email"] for one in await get(desk)] == [PRIMARY, "new@ours.example"]


async def test_an_address_that_is_spelled_anew_keeps_its_identity() -> None:
    desk = open_desk()
    await get(desk)
    await update(desk, "I1", textSignature="Alice")
    give_addresses(desk, PRIMARY.title(), SECOND)
    assert [(one["id"], one["textSignature"]) for one in await get(desk)] == [("I1", "Alice"), ("I2", "")]


async def test_an_identity_of_ones_own_is_made_changed_and_destroyed() -> None:
    desk = open_desk()
    made = await create(desk, name="Sales", email=SECOND, textSignature="-- \nSales", bcc=[{"email": "log@x.example"}])
    assert made == {
        "id": "I3",
        "replyTo": None,
        "bcc": [{"name": None, "email": "log@x.example"}],
        "htmlSignature": "",
        "mayDelete": True,
        "isDefault": False,
    }
    told = await update(desk, "I3", name="Service", replyTo=[{"name": "Us", "email": "us@ours.example"}], bcc=None)
    assert told["updated"] == {"I3": None}
    [one] = await get(desk, "I3")
    assert (one["name"], one["bcc"], one["textSignature"]) == ("Service", None, "-- \nSales")
    assert one["replyTo"] == [{"name": "Us", "email": "us@ours.example"}]
    assert (await desk.call("Identity/set", destroy=["I3"]))["destroyed"] == ["I3"]
    assert (await desk.call("Identity/get", ids=["I3"]))["notFound"] == ["I3"]


async def test_a_signature_of_an_address_s_identity_stays() -> None:
    desk = open_desk()
    await get(desk)
    await update(desk, "I1", htmlSignature="<b>Alice</b>")
    assert [one["htmlSignature"] for one in await get(desk)] == ["<b>Alice</b>", ""]


@pytest.mark.parametrize("address", ["eve@elsewhere.example", "carol@ours.example", "*@ours.example"])
async def test_an_address_the_account_may_not_send_as_is_forbidden_from(address: str) -> None:
    assert (await create(open_desk(), name="x", email=address))["type"] == "forbiddenFrom"


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({}, ["email"]),
        ({"email": "no address"}, ["email"]),
        ({"email": 7}, ["email"]),
        ({"email": SECOND, "name": "a\r\nBcc: eve@x.example"}, ["name"]),
        ({"email": SECOND, "name": "a\x00"}, ["name"]),
        ({"email": SECOND, "name": None}, ["name"]),
        ({"email": SECOND, "replyTo": "us@ours.example"}, ["replyTo"]),
        ({"email": SECOND, "replyTo": [{"email": "x"}]}, ["replyTo"]),
        ({"email": SECOND, "bcc": [{"name": "a\nb", "email": "x@y.example"}]}, ["bcc"]),
        ({"email": SECOND, "bcc": [{"email": "x@y.example", "more": 1}]}, ["bcc"]),
        ({"email": SECOND, "isDefault": "yes"}, ["isDefault"]),
        ({"email": SECOND, "mayDelete": True}, ["mayDelete"]),
        ({"email": SECOND, "id": "I9"}, ["id"]),
        ({"email": SECOND, "colour": "red"}, ["colour"]),
    ],
)
async def test_what_an_identity_cannot_be_is_named(members: dict[str, object], wrong: list[str]) -> None:
    told = await create(open_desk(), **members)
    assert (told["type"], told["properties"]) == ("invalidProperties", wrong)


async def test_the_address_and_what_the_server_sets_cannot_be_changed() -> None:
    desk = open_desk()
    await get(desk)
    for name, value in (("email", SECOND), ("mayDelete", True), ("id", "I2"), ("nothing", 1)):
        told = (await update(desk, "I1", **{name: value}))["notUpdated"]["I1"]
        assert (told["type"], told["properties"]) == ("invalidProperties", [name])
    assert (await update(desk, "I1", email=PRIMARY, id="I1"))["updated"] == {"I1": None}


async def test_one_identity_is_the_default() -> None:
    desk = open_desk()
    await get(desk)
    told = await desk.call("Identity/set", create={"n": {"name": "x", "email": SECOND, "isDefault": True}})
    assert [one["isDefault"] for one in await get(desk)] == [False, False, True]
    state = told["newState"]
    told = await update(desk, "I2", isDefault=True)
    assert told["updated"] == {"I2": None, "I3": {"isDefault": False}}
    assert told["oldState"] == state
    assert [one["isDefault"] for one in await get(desk)] == [False, True, False]
    assert (await desk.call("Identity/changes", sinceState=state))["updated"] == ["I2", "I3"]
    await update(desk, "I2", isDefault=False)
    assert [one["isDefault"] for one in await get(desk)] == [True, False, False]


async def test_a_sender_finds_an_identity_by_its_id() -> None:
    desk = open_desk()
    found = await find_identity(desk.parts, ALICE.id, "I2")
    assert found is not None
    assert found["email"] == SECOND
    assert await find_identity(desk.parts, ALICE.id, "I9") is None


async def test_ids_of_this_request_are_understood() -> None:
    desk = open_desk()
    answers = await desk.ask(
        ("Identity/set", {"accountId": "A7", "create": {"n": {"name": "x", "email": SECOND}}}),
        ("Identity/set", {"accountId": "A7", "update": {"#n": {"name": "y"}}}),
        ("Identity/set", {"accountId": "A7", "destroy": ["#n", "#never"]}),
    )
    assert answers[1][1]["updated"] == {"I3": None}
    assert answers[2][1]["destroyed"] == ["I3"]
    assert answers[2][1]["notDestroyed"] == {"#never": {"type": "notFound"}}
