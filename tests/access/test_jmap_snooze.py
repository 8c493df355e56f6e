"""Emails that are put away until a time: where they are meanwhile, and how they come back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from posthouse.access.jmap import snooze_methods
from posthouse.access.jmap.methods import JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.access.jmap.snooze_moves import SNOOZE_KIND, find_email, wake
from posthouse.message.mailbox import MAX_KEYWORDS, EmailId, MailboxId, Role
from posthouse.message.objectids import name_email, name_mailbox
from posthouse.ports.records import Record
from posthouse.ports.store import Added
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.request import MethodCall, Request
from tests.access.jmap_kit import ALICE, LOGIN, Desk, letter, make_parts
from tests.msa.submit_kit import House

LATER, LATER_S = "2100-01-01T00:00:00Z", 4102444800.0


def open_desk() -> Desk:
    house = House()
    parts = make_parts(house)
    return Desk(house, parts, JmapServer(parts, SessionBuilder(parts), [snooze_methods.METHODS]))


async def add(desk: Desk, *where: Role | MailboxId, flags: tuple[str, ...] = ("\\Seen",)) -> Added:
    return await desk.add(letter("one"), *where, flags=frozenset(flags))


async def snooze(desk: Desk, email: EmailId, **more: object) -> Any:
    members = {"emailId": name_email(ALICE.id, email), "until": LATER, **more}
    told: Any = await desk.call("Snooze/set", create={"new": members})
    return (told["created"] or told["notCreated"])["new"]


async def flags_of(desk: Desk, email: EmailId) -> set[str]:
    found = await find_email(desk.store, ALICE.id, email)
    assert found is not None
    return set(found.flags)


async def due(desk: Desk, now: float = LATER_S) -> list[Record]:
    return [item.record for item in await desk.memory.records.due(now, 10) if item.kind == SNOOZE_KIND]


async def wake_all(desk: Desk) -> list[bool]:
    return [await wake(desk.store, desk.memory.records, ALICE.id, record) for record in await due(desk)]


async def test_a_snoozed_email_lies_in_snoozed_and_knows_where_it_goes_back() -> None:
    desk = open_desk()
    work = (await desk.store.mailboxes.create(ALICE.id, "Work")).id
    added = await add(desk, Role.INBOX, work)
    boxes = {name_mailbox(ALICE.id, box): True for box in added.mailboxes}
    assert await snooze(desk, added.email) == {"id": "Z1", "mailboxIds": boxes}
    assert await desk.where(added.email) == {"Snoozed"}
    assert await flags_of(desk, added.email) == {"\\Seen"}
    told: Any = await desk.call("Snooze/get", ids=None)
    email = name_email(ALICE.id, added.email)
    assert told["list"] == [{"id": "Z1", "emailId": email, "until": LATER, "mailboxIds": boxes}]


async def test_at_its_time_it_comes_back_unread_and_says_why() -> None:
    desk = open_desk()
    work = (await desk.store.mailboxes.create(ALICE.id, "Work")).id
    added = await add(desk, Role.INBOX, work, flags=("\\Seen", "\\Flagged", "mine"))
    await snooze(desk, added.email)
    state = (await desk.call("Snooze/get", ids=[]))["state"]
    assert await due(desk, LATER_S - 1) == []
    assert await wake_all(desk) == [True]
    assert await desk.where(added.email) == {"INBOX", "Work"}
    assert await flags_of(desk, added.email) == {"\\Flagged", "mine", "$snoozed"}
    assert (await desk.call("Snooze/changes", sinceState=state))["destroyed"] == ["Z1"]
    assert await due(desk) == []


async def test_it_comes_back_also_where_no_more_keywords_can_be() -> None:
    desk = open_desk()
    await add(desk, flags=tuple(f"keyword{number}" for number in range(MAX_KEYWORDS)))
    added = await add(desk)
    await snooze(desk, added.email)
    assert await wake_all(desk) == [True]
    assert await desk.where(added.email) == {"INBOX"}
    assert await flags_of(desk, added.email) == set()


async def test_waking_twice_does_it_once() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    [record] = await due(desk)
    assert await wake(desk.store, desk.memory.records, ALICE.id, record)
    assert not await wake(desk.store, desk.memory.records, ALICE.id, record)
    assert await desk.where(added.email) == {"INBOX"}


async def test_a_kill_between_coming_back_and_forgetting_leaves_the_email_where_it_is() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    snoozed = (await desk.store.mailboxes.open_role(ALICE.id, Role.SNOOZED)).id
    inbox = (await desk.store.mailboxes.open_role(ALICE.id, Role.INBOX)).id
    await desk.store.messages.place(ALICE.id, added.email, [inbox], [snoozed], frozenset({"\\Seen"}))
    assert await wake_all(desk) == [False]
    assert await flags_of(desk, added.email) == {"\\Seen"}
    assert await due(desk) == []


async def test_destroying_brings_it_back_now_as_it_was() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    assert (await desk.call("Snooze/set", destroy=["Z1"]))["destroyed"] == ["Z1"]
    assert await desk.where(added.email) == {"INBOX"}
    assert await flags_of(desk, added.email) == {"\\Seen"}


async def test_where_it_goes_back_and_when_can_be_given_and_changed() -> None:
    desk = open_desk()
    work = (await desk.store.mailboxes.create(ALICE.id, "Work")).id
    added = await add(desk)
    await snooze(desk, added.email, mailboxIds={name_mailbox(ALICE.id, work): True})
    told: Any = await desk.call("Snooze/set", update={"Z1": {"until": "2101-01-01T00:00:00Z"}})
    assert told["updated"] == {"Z1": None}
    assert await due(desk) == []
    assert len(await due(desk, LATER_S * 2)) == 1
    await desk.call("Snooze/set", destroy=["Z1"])
    assert await desk.where(added.email) == {"Work"}


async def test_a_mailbox_that_is_gone_is_replaced_by_inbox() -> None:
    desk = open_desk()
    work = (await desk.store.mailboxes.create(ALICE.id, "Work")).id
    added = await add(desk, work)
    await snooze(desk, added.email)
    await desk.store.mailboxes.remove(ALICE.id, work)
    assert await wake_all(desk) == [True]
    assert await desk.where(added.email) == {"INBOX"}


async def test_an_email_that_was_destroyed_wakes_nothing() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    snoozed = (await desk.store.mailboxes.open_role(ALICE.id, Role.SNOOZED)).id
    await desk.store.messages.place(ALICE.id, added.email, [], [snoozed])
    assert await wake_all(desk) == [False]
    assert await due(desk) == []


async def test_snoozing_again_after_it_came_back_takes_the_keyword_away() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    await wake_all(desk)
    await snooze(desk, added.email)
    assert await flags_of(desk, added.email) == set()


async def test_an_email_is_snoozed_once() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    assert await snooze(desk, added.email) == {"type": "alreadyExists", "existingId": "Z1"}
    other = (await add(desk)).email
    members = {"emailId": name_email(ALICE.id, other), "until": LATER}
    told: Any = await desk.call("Snooze/set", create={"a": members, "b": members})
    assert list(told["created"]) == ["a"]
    assert told["notCreated"]["b"]["properties"] == ["emailId"]


async def test_a_snooze_of_an_email_that_was_moved_out_by_hand_is_replaced() -> None:
    desk = open_desk()
    added = await add(desk)
    await snooze(desk, added.email)
    snoozed = (await desk.store.mailboxes.open_role(ALICE.id, Role.SNOOZED)).id
    archive = (await desk.store.mailboxes.open_role(ALICE.id, Role.ARCHIVE)).id
    await desk.store.messages.place(ALICE.id, added.email, [archive], [snoozed])
    assert (await snooze(desk, added.email))["id"] == "Z2"
    told: Any = await desk.call("Snooze/get", ids=None)
    assert [one["id"] for one in told["list"]] == ["Z2"]
    await wake_all(desk)
    assert await desk.where(added.email) == {"Archive"}


async def test_creation_ids_of_the_request_are_understood() -> None:
    desk = open_desk()
    added = await add(desk)
    work = (await desk.store.mailboxes.create(ALICE.id, "Work")).id
    known = {"email": name_email(ALICE.id, added.email), "box": name_mailbox(ALICE.id, work)}

    async def create(**mailboxes: bool) -> Any:
        new = {"emailId": "#email", "until": LATER, "mailboxIds": {f"#{name}": True for name in mailboxes}}
        arguments: JsonObject = {"accountId": "A7", "create": {"new": new}}
        request = Request(desk.server.capabilities, (MethodCall("Snooze/set", arguments, "c"),), known)
        response = await desk.server.run(LOGIN, "192.0.2.7", request)
        return json.loads(response.as_json())["methodResponses"][0][1]

    assert (await create(box=True, never=True))["notCreated"]["new"]["properties"] == ["mailboxIds/#never"]
    assert (await create(box=True))["created"]["new"]["id"] == "Z1"
    await wake_all(desk)
    assert await desk.where(added.email) == {"Work"}


async def test_mail_that_waits_to_be_sent_is_not_snoozed() -> None:
    desk = open_desk()
    added = await add(desk, Role.SCHEDULED)
    assert (await snooze(desk, added.email))["type"] == "forbidden"
    assert await desk.where(added.email) == {"Scheduled"}


async def test_nothing_goes_back_into_scheduled_or_snoozed() -> None:
    desk = open_desk()
    added = await add(desk)
    for role in (Role.SCHEDULED, Role.SNOOZED):
        box = name_mailbox(ALICE.id, (await desk.store.mailboxes.open_role(ALICE.id, role)).id)
        told = await snooze(desk, added.email, mailboxIds={box: True})
        assert (told["type"], told["properties"]) == ("invalidProperties", [f"mailboxIds/{box}"])


@pytest.mark.parametrize(
    ("members", "wrong"),
    [
        ({"emailId": "M7-99"}, ["emailId"]),
        ({"emailId": "M8-1"}, ["emailId"]),
        ({"emailId": None}, ["emailId"]),
        ({"until": "soon"}, ["until"]),
        ({"until": "2000-01-01T00:00:00Z"}, ["until"]),
        ({"mailboxIds": ["F7-1"]}, ["mailboxIds"]),
        ({"mailboxIds": {"F7-1": False}}, ["mailboxIds/F7-1"]),
        ({"mailboxIds": {"F7-99": True}}, ["mailboxIds/F7-99"]),
        ({"why": "later"}, ["why"]),
    ],
)
async def test_what_a_snooze_cannot_be_is_named(members: dict[str, object], wrong: list[str]) -> None:
    desk = open_desk()
    added = await add(desk)
    told = await snooze(desk, added.email, **members)
    assert (told["type"], told["properties"]) == ("invalidProperties", wrong)
    assert await desk.where(added.email) == {"INBOX"}


async def test_the_email_of_a_snooze_cannot_be_changed() -> None:
    desk = open_desk()
    await snooze(desk, (await add(desk)).email)
    told: Any = await desk.call("Snooze/set", update={"Z1": {"emailId": "M7-2"}, "Z9": {"until": LATER}})
    assert told["notUpdated"]["Z1"]["properties"] == ["emailId"]
    assert told["notUpdated"]["Z9"] == {"type": "notFound"}
