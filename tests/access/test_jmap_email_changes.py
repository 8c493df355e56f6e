"""Email/changes and Email/queryChanges on stores (RFC 8621 §4.3, §4.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posthouse.message.mailbox import AccountId, ModSeq, Role
from posthouse.ports.store import AccountChanges, Changes
from tests.access.jmap_mail_kit import OWNER, Room, box_of, number_of, open_room
from tests.conformance.store_kit import open_memory, open_sqlite, uid_set


@pytest.fixture(params=[open_memory, open_sqlite], ids=["memory", "sqlite"])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(request.param, tmp_path) as made:
        yield made


async def state(room: Room) -> str:
    told: str = (await room.call("Email/get", ids=[]))["state"]
    return told


async def flag(room: Room, uid: int, *flags: str) -> None:
    await room.office.flag(box_of(await room.mailbox(Role.INBOX)), uid_set(uid), *flags)


async def test_what_came_changed_and_went_is_told(room: Room) -> None:
    one, two, three = await room.deliver(), await room.deliver(), await room.deliver()
    since = await state(room)
    four = await room.deliver()
    await flag(room, 1, "\\Seen")
    await flag(room, 4, "\\Seen")
    await room.office.store.messages.place(OWNER, number_of(two), (), (box_of(await room.mailbox(Role.INBOX)),))
    told = await room.call("Email/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([four], [one], [two])
    assert (told["oldState"], told["newState"], told["hasMoreChanges"]) == (since, await state(room), False)
    assert three not in str(told)


async def test_no_more_changes_are_told_than_are_wanted(room: Room) -> None:
    first = [await room.deliver() for _ in range(3)]
    since = await state(room)
    later = [await room.deliver() for _ in range(3)]
    for uid in (5, 1, 2):
        await flag(room, uid, "\\Flagged")
    created: list[str] = []
    updated: list[str] = []
    has_more = True
    while has_more:
        told = await room.call("Email/changes", sinceState=since, maxChanges=2)
        assert 0 < len(told["created"]) + len(told["updated"]) <= 2
        assert created + told["created"] + first >= told["updated"][:0]
        created += told["created"]
        updated += told["updated"]
        since, has_more = told["newState"], told["hasMoreChanges"]
    assert created == later
    assert set(updated) >= {first[0], first[1]} and set(updated) <= {*first, *created}
    assert since == await state(room)


async def test_changes_that_cannot_be_told_apart_are_not_calculated(room: Room) -> None:
    since = await state(room)
    await room.office.add(count=3)
    assert await room.refuse("Email/changes", sinceState=since, maxChanges=2) == "cannotCalculateChanges"
    assert len((await room.call("Email/changes", sinceState=since))["created"]) == 3


@pytest.mark.parametrize("since", ["", "x", "-1", "999999", "9" * 30])
async def test_states_that_are_none(room: Room, since: str) -> None:
    assert await room.refuse("Email/changes", sinceState=since) == "cannotCalculateChanges"
    assert await room.refuse("Email/queryChanges", sinceQueryState=since) == "cannotCalculateChanges"


async def test_changes_of_long_ago_are_not_calculated(room: Room) -> None:
    await room.deliver()
    since = await state(room)
    await room.deliver()
    await flag(room, 1, "\\Seen")
    await room.office.control.forget_changes(OWNER, await room.office.store.changes.modseq(OWNER))
    assert await room.refuse("Email/changes", sinceState=since) == "cannotCalculateChanges"
    assert await room.refuse("Email/queryChanges", sinceQueryState=since) == "cannotCalculateChanges"


async def test_how_many_changes_are_wanted_is_a_number_above_zero(room: Room) -> None:
    assert await room.refuse("Email/changes", sinceState="1", maxChanges=0) == "invalidArguments"


# -- Email/queryChanges


class Copy:
    """A client that has a result and keeps it up to date as RFC 8620 §5.6 says."""

    def __init__(self, room: Room, **query: Any) -> None:
        self.room, self.query = room, query
        self.ids: list[str] = []
        self.state = ""

    async def fetch(self) -> None:
        told = await self.room.call("Email/query", **self.query)
        assert told["canCalculateChanges"]
        self.ids, self.state = told["ids"], told["queryState"]

    async def check(self) -> dict[str, Any]:
        """It comes to the result that there is now."""
        told: dict[str, Any] = await self.room.call(
            "Email/queryChanges", sinceQueryState=self.state, calculateTotal=True, **self.query
        )
        assert told["oldQueryState"] == self.state
        self.ids = [id_ for id_ in self.ids if id_ not in told["removed"]]
        for item in told["added"]:
            self.ids.insert(item["index"], item["id"])
        self.state = told["newQueryState"]
        assert self.ids == (await self.room.call("Email/query", **self.query))["ids"]
        assert told["total"] == len(self.ids)
        return told


async def test_a_copy_of_a_mailbox_is_kept_up_to_date(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    for minute in (3, 1, 2):
        await room.deliver(minute=minute)
    unread = Copy(room, filter={"inMailbox": inbox, "notKeyword": "$seen"})
    await unread.fetch()
    await room.deliver(minute=2)
    await unread.check()
    await flag(room, 2, "\\Seen")
    await unread.check()
    await flag(room, 1, "\\Deleted")
    await unread.check()
    told = await unread.check()
    assert (told["removed"], told["added"]) == ([], [])


class Interrupted:
    """The changes of a store, which is changed once more before the first look at them."""

    def __init__(self, changes: Changes, work: Callable[[], Awaitable[object]]) -> None:
        self.modseq, self.in_mailbox, self.watch = changes.modseq, changes.in_mailbox, changes.watch
        self._changes, self._work = changes, [work]

    async def in_account(self, account: AccountId, since: ModSeq) -> AccountChanges:
        if self._work:
            await self._work.pop()()
        return await self._changes.in_account(account, since)


async def test_a_copy_is_right_when_an_email_came_and_went_meanwhile(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    await room.deliver()
    copy = Copy(room, filter={"inMailbox": inbox})
    await copy.fetch()
    await room.deliver()
    short_lived = await room.deliver()
    store = room.parts.store

    async def destroy() -> None:
        await store.messages.place(OWNER, number_of(short_lived), (), (box_of(inbox),))

    listed = (await room.call("Email/query", **copy.query))["ids"]
    room.parts = replace(room.parts, store=replace(store, changes=Interrupted(store.changes, destroy)))
    told = await room.call("Email/queryChanges", sinceQueryState=copy.state, **copy.query)
    assert [(item["id"], item["index"]) for item in told["added"]] == [(listed[0], 0), (listed[1], 1)]
    copy.ids, copy.state = listed, told["newQueryState"]
    await copy.check()


async def test_a_copy_of_threads_is_kept_up_to_date(room: Room) -> None:
    inbox, archive = await room.mailbox(Role.INBOX), await room.mailbox(Role.ARCHIVE)
    one = await room.deliver("one", mid="1@x")
    await room.deliver("two", mid="2@x")
    threads = Copy(room, filter={"inMailbox": inbox}, collapseThreads=True)
    await threads.fetch()
    three = await room.deliver("Re: one", re="1@x", mid="3@x")
    told = await threads.check()
    assert told["removed"] == sorted([one, three]) and told["added"] == [{"id": three, "index": 0}]
    await room.office.store.messages.place(OWNER, number_of(three), (box_of(archive),), (box_of(inbox),))
    await threads.check()
    assert threads.ids[1] == one
    await room.office.store.messages.place(OWNER, number_of(three), (box_of(inbox),), ())
    await threads.check()


async def test_a_copy_is_right_when_threads_become_one(room: Room) -> None:
    threads = Copy(room, collapseThreads=True)
    await room.deliver("one", mid="1@x")
    await room.deliver("one", mid="2@x")
    await threads.fetch()
    assert len(threads.ids) == 2
    letter = b"Subject: Re: one\r\nMessage-ID: <3@x>\r\nReferences: <1@x> <2@x>\r\n\r\nBoth.\r\n"
    await room.deliver(octets=letter)
    await threads.check()
    assert len(threads.ids) == 1


async def test_a_copy_by_keywords_of_threads_is_kept_up_to_date(room: Room) -> None:
    flagged = Copy(room, filter={"someInThreadHaveKeyword": "$flagged"})
    await room.deliver("one", mid="1@x")
    await room.deliver("Re: one", re="1@x")
    await flagged.fetch()
    await flag(room, 2, "\\Flagged")
    await flagged.check()
    assert len(flagged.ids) == 2


async def test_more_changes_than_are_wanted_of_a_query(room: Room) -> None:
    await room.deliver()
    since = (await room.call("Email/query"))["queryState"]
    await room.deliver()
    assert await room.refuse("Email/queryChanges", sinceQueryState=since, maxChanges=1) == "tooManyChanges"
    assert (await room.call("Email/queryChanges", sinceQueryState=since, maxChanges=2))["added"] != []


async def test_behind_the_last_known_id_nothing_is_told_where_nothing_can_change(room: Room) -> None:
    one = await room.deliver(minute=5)
    since = (await room.call("Email/query"))["queryState"]
    two = await room.deliver(minute=1)
    told = await room.call("Email/queryChanges", sinceQueryState=since, upToId=one)
    assert told["added"] == []
    inbox = await room.mailbox(Role.INBOX)
    wish = {"inMailbox": inbox}
    told = await room.call("Email/queryChanges", sinceQueryState=since, upToId=one, filter=wish)
    assert told["added"] == [{"id": two, "index": 1}]
