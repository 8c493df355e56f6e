"""Email/get and Email/query on stores (RFC 8621 §4.2, §4.4)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from posthouse.message.mailbox import Role
from posthouse.protocol.jmap.limits import CoreLimits
from tests.access.jmap_mail_kit import OWNER, Room, box_of, open_room
from tests.conformance.store_kit import open_memory, open_sqlite, uid_set


@pytest.fixture(params=[open_memory, open_sqlite], ids=["memory", "sqlite"])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(request.param, tmp_path) as made:
        yield made


async def ids(room: Room, **arguments: object) -> list[str]:
    found: list[str] = (await room.call("Email/query", **arguments))["ids"]
    return found


async def test_emails_are_got_in_the_order_asked_for_and_each_once(room: Room) -> None:
    one, two = await room.deliver("one"), await room.deliver("two")
    told = await room.call("Email/get", ids=[two, one, two], properties=["subject"])
    assert told["list"] == [{"id": two, "subject": "two"}, {"id": one, "subject": "one"}]
    assert told["state"] == str(await room.office.store.changes.modseq(OWNER))


async def test_ids_that_cannot_be_are_not_found(room: Room) -> None:
    one = await room.deliver()
    wrong = ["M1-999", "M2-1", "F1-1", "?", "#one", ""]
    told = await room.call("Email/get", ids=[*wrong, one], properties=["id"])
    assert (told["list"], told["notFound"]) == ([{"id": one}], wrong)


async def test_without_ids_all_emails_are_got(room: Room) -> None:
    both = {await room.deliver(), await room.deliver()}
    told = await room.call("Email/get", ids=None, properties=["id"])
    assert {item["id"] for item in told["list"]} == both


async def test_another_account_is_not_found(room: Room) -> None:
    assert await room.refuse("Email/get", accountId="A2", ids=[]) == "accountNotFound"
    assert await room.refuse("Email/query", accountId="A2") == "accountNotFound"


async def test_a_property_that_there_is_not_is_refused(room: Room) -> None:
    assert await room.refuse("Email/get", ids=[], properties=["colour"]) == "invalidArguments"
    assert await room.refuse("Email/get", ids=[], colour="red") == "invalidArguments"


async def test_bodies_are_read_where_they_are_asked_for(room: Room) -> None:
    one = await room.deliver(text="It is raining.")
    wish = {"properties": ["bodyValues", "textBody"], "fetchTextBodyValues": True}
    told = (await room.call("Email/get", ids=[one], **wish))["list"][0]
    assert told["bodyValues"]["1"]["value"] == "It is raining.\n"


async def test_the_header_of_a_large_message_is_read_without_its_body(room: Room) -> None:
    one = await room.deliver(text="It is raining.\n" * 50_000)
    assert (await room.show(one, "header:X-Mood:asText"))["header:X-Mood:asText"] == "good"
    assert (await room.show(one, "headers"))["headers"][0]["name"] == "From"


async def test_too_many_emails_are_refused(tmp_path: Path) -> None:
    async with open_room(open_memory, tmp_path, CoreLimits(max_objects_in_get=1)) as room:
        both = [await room.deliver(), await room.deliver()]
        assert await room.refuse("Email/get", ids=both) == "requestTooLarge"
        assert await room.refuse("Email/get", ids=None) == "requestTooLarge"
        assert len((await room.call("Email/get", ids=[both[0], both[0]]))["list"]) == 1


# -- Email/query


async def test_the_newest_come_first_unless_asked_otherwise(room: Room) -> None:
    one, two, three = await room.deliver(minute=5), await room.deliver(minute=1), await room.deliver(minute=9)
    assert await ids(room) == [three, one, two]
    assert await ids(room, sort=[{"property": "receivedAt"}]) == [two, one, three]


async def test_a_thread_is_listed_once_when_threads_are_collapsed(room: Room) -> None:
    one = await room.deliver(mid="1@x")
    two = await room.deliver("other", mid="2@x")
    three = await room.deliver("Re: tea", re="1@x")
    told = await room.call("Email/query", collapseThreads=True, calculateTotal=True)
    assert (told["ids"], told["total"], told["collapseThreads"]) == ([three, two], 2, True)
    assert await ids(room) == [three, two, one]
    assert await ids(room, collapseThreads=True, sort=[{"property": "receivedAt"}]) == [one, two]


async def test_of_a_thread_those_of_the_mailbox_count(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    one = await room.deliver(mid="1@x")
    await room.deliver("Re: tea", Role.SENT, re="1@x")
    assert await ids(room, filter={"inMailbox": inbox}, collapseThreads=True) == [one]


async def test_what_is_marked_deleted_is_not_there(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    await room.deliver()
    two = await room.deliver()
    await room.office.flag(box_of(inbox), uid_set(1), "\\Deleted")
    assert await ids(room, filter={"inMailbox": inbox}) == [two]
    assert await ids(room) == [two]


async def test_keywords_are_those_of_all_mailboxes_together(room: Room) -> None:
    inbox, archive = await room.mailbox(Role.INBOX), await room.mailbox(Role.ARCHIVE)
    one = await room.deliver("one", Role.INBOX, Role.ARCHIVE)
    two = await room.deliver("two")
    await room.office.flag(box_of(inbox), uid_set(1, 2), "\\Seen")
    await room.office.flag(box_of(archive), uid_set(1), "\\Flagged", "Work")
    assert await ids(room, filter={"inMailbox": inbox, "hasKeyword": "$seen"}) == [two]
    assert await ids(room, filter={"inMailbox": inbox, "notKeyword": "$seen"}) == [one]
    assert await ids(room, filter={"inMailbox": inbox, "hasKeyword": "$flagged"}) == [one]
    assert await ids(room, filter={"inMailbox": inbox, "hasKeyword": "work"}) == [one]
    assert await ids(room, filter={"hasKeyword": "unknown"}) == []


async def test_keywords_of_whole_threads(room: Room) -> None:
    one = await room.deliver("one", mid="1@x", keywords="\\Seen")
    two = await room.deliver("Re: one", Role.ARCHIVE, re="1@x", keywords="\\Flagged")
    three = await room.deliver("three", keywords="\\Seen \\Flagged")
    four = await room.deliver("four")
    assert await ids(room, filter={"allInThreadHaveKeyword": "$seen"}) == [three]
    assert await ids(room, filter={"someInThreadHaveKeyword": "$flagged"}) == [three, two, one]
    assert await ids(room, filter={"noneInThreadHaveKeyword": "$seen"}) == [four]
    inverse = {"operator": "NOT", "conditions": [{"someInThreadHaveKeyword": "$flagged"}]}
    assert await ids(room, filter=inverse) == [four]
    assert await ids(room, filter={"someInThreadHaveKeyword": "$nothing"}) == []


async def test_emails_with_a_keyword_come_first(room: Room) -> None:
    one = await room.deliver("one", mid="1@x", keywords="\\Flagged")
    two = await room.deliver("two")
    three = await room.deliver("Re: one", re="1@x")
    newest = {"property": "receivedAt", "isAscending": False}
    flagged = {"property": "hasKeyword", "keyword": "$flagged", "isAscending": False}
    assert await ids(room, sort=[flagged, newest]) == [one, three, two]
    of_threads = {"property": "someInThreadHaveKeyword", "keyword": "$flagged", "isAscending": False}
    assert await ids(room, sort=[of_threads, newest]) == [three, one, two]
    assert await ids(room, sort=[flagged, newest], collapseThreads=True) == [one, two]
    ascending = {"property": "allInThreadHaveKeyword", "keyword": "$flagged"}
    assert await ids(room, sort=[ascending]) == [three, two, one]


@pytest.mark.parametrize(
    ("window", "wanted"),
    [
        ({"position": 1, "limit": 2}, [3, 2]),
        ({"position": -2}, [1, 0]),
        ({"position": 9}, []),
        ({"limit": 0}, []),
        ({"position": -9, "limit": 1}, [4]),
        ({"anchor": 2, "limit": 2}, [2, 1]),
        ({"anchor": 2, "anchorOffset": -1, "limit": 2}, [3, 2]),
        ({"anchor": 2, "anchorOffset": -9, "limit": 1}, [4]),
        ({"anchor": 2, "anchorOffset": 2, "position": 7}, [0]),
    ],
)
async def test_a_part_of_the_result_is_given(room: Room, window: dict[str, int], wanted: list[int]) -> None:
    emails = [await room.deliver(f"number {number}") for number in range(5)]
    asked: dict[str, object] = dict(window)
    if "anchor" in window:
        asked["anchor"] = emails[window["anchor"]]
    told = await room.call("Email/query", **asked)
    assert told["ids"] == [emails[number] for number in wanted]
    assert (await room.call("Email/query", calculateTotal=True, **asked)) == told | {"total": 5}


async def test_an_anchor_that_is_not_in_the_result_is_not_found(room: Room) -> None:
    one = await room.deliver()
    assert await room.refuse("Email/query", anchor=one, filter={"subject": "cake"}) == "anchorNotFound"
    assert await room.refuse("Email/query", anchor="?") == "anchorNotFound"
    assert await room.refuse("Email/query", anchor="M1-999") == "anchorNotFound"


async def test_sorts_and_filters_that_there_are_not(room: Room) -> None:
    assert await room.refuse("Email/query", sort=[{"property": "colour"}]) == "unsupportedSort"
    assert await room.refuse("Email/query", sort=[{"property": "subject", "collation": "x"}]) == "unsupportedSort"
    late = [{"property": "subject"}, {"property": "hasKeyword", "keyword": "$seen"}]
    assert await room.refuse("Email/query", sort=late) == "unsupportedSort"
    assert await room.refuse("Email/query", sort=[{"property": "hasKeyword"}]) == "invalidArguments"
    assert await room.refuse("Email/query", filter={"colour": "red"}) == "invalidArguments"
    many = [{"someInThreadHaveKeyword": f"k{number}"} for number in range(9)]
    assert await room.refuse("Email/query", filter={"operator": "OR", "conditions": many}) == "unsupportedFilter"


async def test_mailboxes_that_there_are_not_hold_nothing(room: Room) -> None:
    await room.deliver()
    assert await ids(room, filter={"inMailbox": "F1-99"}) == []
    assert len(await ids(room, filter={"inMailboxOtherThan": ["F1-99", "?"]})) == 1


async def test_text_is_found(room: Room) -> None:
    one, two = await room.deliver(text="It is raining."), await room.deliver("cake", text="Sunshine.")
    assert await ids(room, filter={"body": "raining"}) == [one]
    assert await ids(room, filter={"text": "ann"}) == [two, one]
    assert await ids(room, filter={"text": "ann cake"}) == [two]
    assert await ids(room, filter={"text": "ann"}, limit=1) == [two]
