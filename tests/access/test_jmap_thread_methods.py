"""Thread/get and Thread/changes on a store (RFC 8621 §3)."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import MailboxId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from tests.access.jmap_kit import ALICE, Desk, letter, open_desk

ANSWER = letter("one", Message_ID="<again>", References="<one@there.example>")


@pytest.fixture
async def desk() -> Desk:
    return await open_desk(letter("one"), letter("two"))


async def state(desk: Desk) -> str:
    return str((await desk.call("Thread/get", ids=[]))["state"])


async def test_threads_with_their_emails_in_the_order_of_receiving(desk: Desk) -> None:
    await desk.add(ANSWER)
    told = await desk.call("Thread/get", ids=["T7-2", "T7-1", "T7-9", "T1-1", "x"])
    assert told["list"] == [{"id": "T7-2", "emailIds": ["M7-2"]}, {"id": "T7-1", "emailIds": ["M7-1", "M7-3"]}]
    assert told["notFound"] == ["T7-9", "T1-1", "x"]
    assert (await desk.call("Thread/get", ids=["T7-1"], properties=["id"]))["list"] == [{"id": "T7-1"}]


async def test_what_a_get_refuses(desk: Desk) -> None:
    assert await desk.fail("Thread/get", ids=None) == "invalidArguments"
    assert await desk.fail("Thread/get", ids=["T7-1"] * 501) == "requestTooLarge"
    assert await desk.fail("Thread/get", ids=[], properties=["x"]) == "invalidArguments"
    assert await desk.fail("Thread/get", ids=[], accountId="A1") == "accountNotFound"


async def test_a_new_thread_one_that_grew_and_one_that_is_gone(desk: Desk) -> None:
    since = await state(desk)
    await desk.add(ANSWER)
    three = await desk.add(letter("three"))
    await desk.store.messages.place(ALICE.id, (await desk.add(letter("four"))).email, [], [MailboxId(1)])
    told = await desk.call("Thread/changes", sinceState=since)
    assert (told["created"], told["updated"]) == ([f"T7-{three.thread}"], ["T7-1"])
    since = told["newState"]
    await desk.store.messages.place(ALICE.id, three.email, [], [MailboxId(1)])
    told = await desk.call("Thread/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([], [], [f"T7-{three.thread}"])


async def test_two_threads_become_one(desk: Desk) -> None:
    other = await desk.add(letter("one", Message_ID="<other@there.example>"))
    since = await state(desk)
    await desk.add(letter("one", Message_ID="<both>", References="<one@there.example> <other@there.example>"))
    told = await desk.call("Thread/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([], ["T7-1"], [f"T7-{other.thread}"])


async def test_changes_come_in_pieces_that_lead_to_the_end(desk: Desk) -> None:
    since = await state(desk)
    made = [await desk.add(letter(name)) for name in ("three", "four")]
    await desk.add(ANSWER)
    await desk.add(letter("three", Message_ID="<more>", References="<three@there.example>"))
    seen: list[str] = []
    for _ in range(10):
        told = await desk.call("Thread/changes", sinceState=since, maxChanges=1)
        assert len(told["created"]) + len(told["updated"]) <= 1
        seen += [*told["created"], *told["updated"]]
        since = told["newState"]
        if not told["hasMoreChanges"]:
            break
    assert seen == [f"T7-{made[0].thread}", f"T7-{made[1].thread}", "T7-1", f"T7-{made[0].thread}"]
    assert since == await state(desk)


async def test_more_than_wanted_in_one_moment(desk: Desk) -> None:
    since = await state(desk)
    octets = letter("x")
    additions = [
        Addition((Role.INBOX,), InlineBody(octets), parse_message(octets.replace(b"<x@", b"<%d@" % place)))
        for place in range(2)
    ]
    await desk.store.messages.add(ALICE.id, additions)
    assert await desk.fail("Thread/changes", sinceState=since, maxChanges=1) == "cannotCalculateChanges"


async def test_changes_that_are_too_old(desk: Desk) -> None:
    since = await state(desk)
    await desk.add(letter("three"))
    desk.memory.forget_changes(ALICE.id, await desk.store.changes.modseq(ALICE.id))
    assert await desk.fail("Thread/changes", sinceState=since) == "cannotCalculateChanges"
