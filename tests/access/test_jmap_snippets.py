"""SearchSnippet/get (RFC 8621 §5.1) and AddressSuggestion/query on stores."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from posthouse.access.jmap.suggestions_book import AddressBooks
from posthouse.message.mailbox import AccountId, Role
from posthouse.ports.compute import FakeCompute
from posthouse.ports.store import EmailRow, Messages, StoreError
from posthouse.protocol.jmap.limits import CoreLimits
from tests.access.jmap_mail_kit import OWNER, Room, number_of, open_room
from tests.conformance.store_kit import open_memory, open_sqlite


@pytest.fixture(params=[open_memory, open_sqlite], ids=["memory", "sqlite"])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(request.param, tmp_path) as made:
        yield made


async def snippets(room: Room, wanted: object, *ids: str) -> list[dict[str, Any]]:
    told = await room.call("SearchSnippet/get", filter=wanted, emailIds=list(ids))
    found: list[dict[str, Any]] = told["list"]
    return found


async def test_what_was_found_is_marked(room: Room) -> None:
    one = await room.deliver("Tea & cake", text="The tea is ready.")
    assert await snippets(room, {"text": "tea"}, one) == [
        {"emailId": one, "subject": "<mark>Tea</mark> &amp; cake", "preview": "The <mark>tea</mark> is ready."}
    ]
    assert await snippets(room, {"subject": "cake"}, one) == [
        {"emailId": one, "subject": "Tea &amp; <mark>cake</mark>", "preview": None}
    ]
    assert await snippets(room, {"from": "ann"}, one) == [{"emailId": one, "subject": None, "preview": None}]


async def test_what_stands_behind_the_preview_is_found(room: Room) -> None:
    one = await room.deliver(text="Nothing here.\n" * 1000 + "But a dodo.\n")
    assert "a <mark>dodo</mark>" in (await snippets(room, {"body": "dodo"}, one))[0]["preview"]


async def test_of_a_large_message_the_beginning_is_looked_at(room: Room) -> None:
    one = await room.deliver(text="Nothing here.\n" * 1000 + "But a dodo.\n" + "Nothing else.\n" * 60_000)
    assert "a <mark>dodo</mark>" in (await snippets(room, {"body": "dodo"}, one))[0]["preview"]


async def test_bodies_are_looked_at_beside_the_loop_unless_they_are_small(room: Room) -> None:
    large = await room.deliver(text="Nothing here.\n" * 5_000 + "But a dodo.\n")
    small = await room.deliver(text="Nothing here.\n" * 100 + "But a dodo.\n")
    compute = FakeCompute()
    room.parts = replace(room.parts, compute=compute)
    found = await snippets(room, {"body": "dodo"}, large, small)
    assert ["<mark>dodo</mark>" in each["preview"] for each in found] == [True, True]
    assert compute.count == 1


async def test_the_text_of_a_stranger_is_no_markup(room: Room) -> None:
    one = await room.deliver("<b>tea</b>", text='<script>alert("tea")</script>')
    found = (await snippets(room, {"text": "tea"}, one))[0]
    assert found["subject"] == "&lt;b&gt;<mark>tea</mark>&lt;/b&gt;"
    assert "<script" not in found["preview"] and "<mark>tea</mark>" in found["preview"]


async def test_words_below_not_are_not_marked(room: Room) -> None:
    one = await room.deliver("tea and cake")
    wanted = {
        "operator": "AND",
        "conditions": [{"subject": "tea"}, {"operator": "NOT", "conditions": [{"subject": "cake"}]}],
    }
    assert (await snippets(room, wanted, one))[0]["subject"] == "<mark>tea</mark> and cake"


async def test_emails_that_there_are_not_have_no_snippet(room: Room) -> None:
    one = await room.deliver()
    told = await room.call("SearchSnippet/get", filter=None, emailIds=["M1-999", one, one, "?"])
    assert told["list"] == [{"emailId": one, "subject": None, "preview": None}]
    assert told["notFound"] == ["M1-999", "?"]
    assert (await room.call("SearchSnippet/get", filter={}, emailIds=[one]))["notFound"] is None


async def test_snippets_that_cannot_be_asked_for(tmp_path: Path) -> None:
    async with open_room(open_memory, tmp_path, CoreLimits(max_objects_in_get=1)) as room:
        assert await room.refuse("SearchSnippet/get", emailIds=["M1-1", "M1-2"]) == "requestTooLarge"
        assert await room.refuse("SearchSnippet/get", accountId="A2", emailIds=[]) == "accountNotFound"
        assert await room.refuse("SearchSnippet/get", filter={"colour": "red"}, emailIds=[]) == "invalidArguments"
        assert await room.refuse("SearchSnippet/get") == "invalidArguments"


# -- AddressSuggestion/query


async def suggest(room: Room, text: str, **more: int) -> list[tuple[str | None, str, int]]:
    told = await room.call("AddressSuggestion/query", text=text, **more)
    return [(one["name"], one["email"], one["count"]) for one in told["list"]]


def write(to: str, sender: str = "Alice <alice@example.org>") -> bytes:
    return f"From: {sender}\r\nTo: {to}\r\nSubject: x\r\n\r\nHello.\r\n".encode()


async def test_whom_one_wrote_to_comes_before_who_wrote(room: Room) -> None:
    for _ in range(3):
        await room.deliver(sender="Bella <bella@example.com>")
    await room.deliver("x", Role.SENT, octets=write("Bob Berg <bob@example.net>, anna@example.net"))
    assert await suggest(room, "b") == [
        ("Bob Berg", "bob@example.net", 1),
        ("Bella", "bella@example.com", 3),
    ]
    assert await suggest(room, "berg B") == [("Bob Berg", "bob@example.net", 1)]
    assert await suggest(room, "EXAMPLE.net an") == [(None, "anna@example.net", 1)]
    assert await suggest(room, "ob") == []
    assert len(await suggest(room, "", limit=2)) == 2


async def test_what_comes_later_is_known_too(room: Room) -> None:
    assert await suggest(room, "bob") == []
    await room.deliver(sender="Bob <bob@example.net>")
    assert await suggest(room, "bob") == [("Bob", "bob@example.net", 1)]
    await room.deliver(sender='"Bob Berg" <BOB@example.net>')
    assert await suggest(room, "bob") == [("Bob Berg", "bob@example.net", 2)]
    await room.office.control.forget_changes(OWNER, await room.office.store.changes.modseq(OWNER))
    await room.deliver(sender="Bob Berg <bob@example.net>")
    assert await suggest(room, "bob") == [("Bob Berg", "bob@example.net", 3)]


class Unreadable:
    async def load_emails(self, *_: object) -> Sequence[EmailRow]:
        raise StoreError("not now")


async def test_mail_that_the_store_could_not_give_is_asked_for_again(room: Room) -> None:
    books, store = AddressBooks(), room.office.store
    await room.deliver(sender="Bella <bella@example.com>")
    assert len((await books.open(store, OWNER)).find("", 9)) == 1
    await room.deliver(sender="Bob <bob@example.net>")
    with pytest.raises(StoreError):
        await books.open(replace(store, messages=cast("Messages", Unreadable())), OWNER)
    found = (await books.open(store, OWNER)).find("", 9)
    assert {(known.email, known.count) for known in found} == {("bella@example.com", 1), ("bob@example.net", 1)}


async def test_junk_suggests_nobody(room: Room) -> None:
    assert await suggest(room, "eve") == []
    one = await room.deliver("x", Role.JUNK, sender="Eve <eve@example.com>")
    assert number_of(one) and await suggest(room, "eve") == []


async def test_suggestions_that_cannot_be_asked_for(room: Room) -> None:
    assert await room.refuse("AddressSuggestion/query", accountId="A2") == "accountNotFound"
    assert await room.refuse("AddressSuggestion/query", limit=1000) == "invalidArguments"
    assert await room.refuse("AddressSuggestion/query", text=1) == "invalidArguments"


async def test_a_worker_keeps_the_addresses_of_few_accounts(room: Room) -> None:
    books = AddressBooks(max_accounts=1)
    store = room.office.store
    first = await books.open(store, OWNER)
    assert await books.open(store, OWNER) is first
    await books.open(store, AccountId(2))
    assert await books.open(store, OWNER) is not first
