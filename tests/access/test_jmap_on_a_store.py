"""The pure parts of JMAP on rows that a store gives: enough is asked for, and no more (RFC 8621 §4.2)."""

from __future__ import annotations

import pytest

from posthouse.access.jmap.composing import Stamp, compose_email
from posthouse.access.jmap.email_changes import read_change
from posthouse.access.jmap.emails import EmailGetArguments, plan_emails
from posthouse.access.jmap.filters import make_search, make_sort
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from posthouse.ports.store_memory import MemoryStore
from posthouse.protocol.jmap.arguments import Comparator, read_arguments, read_filter
from posthouse.protocol.jmap.json import JsonObject

ALICE = AccountId(1)
PREFIX = b"Return-Path: <ann@example.com>\r\n"


def write_letter(subject: str, **more: object) -> bytes:
    record: JsonObject = {
        "from": [{"name": "Ann", "email": "ann@example.com"}],
        "subject": subject,
        "header:X-Mood:asText": "good",
        "bodyValues": {"t": {"value": f"About {subject}."}},
        "textBody": [{"partId": "t"}],
        **more,
    }
    return compose_email(record, {"Ua": b"octets"}, Stamp(1_400_000_000.0, f"{subject}@x", "mark"))


async def open_store(*letters: bytes) -> MemoryStore:
    store = MemoryStore(FakeClock())
    additions = [
        Addition((Role.INBOX,), InlineBody(octets), parse_message(octets), PREFIX, 1_400_000_000.0 + place)
        for place, octets in enumerate(letters)
    ]
    await store.messages.add(ALICE, additions)
    return store


async def get(store: MemoryStore, email: EmailId, *properties: str, **wishes: bool) -> JsonObject:
    asked: JsonObject = {"accountId": "A1", "properties": list(properties), **wishes}
    plan = plan_emails(read_arguments(EmailGetArguments, asked), ALICE)
    row = (await store.messages.load_emails(ALICE, [email], plan.fields))[0]
    octets = await store.blobs.read(ALICE, email) if plan.needs_octets(row) else None
    return plan.make(row, octets, await store.messages.keywords(ALICE))


async def find(store: MemoryStore, members: JsonObject, *sort: Comparator) -> list[EmailId]:
    boxes = [box.id for box in await store.mailboxes.list_all(ALICE)]
    program = make_search(read_filter(members), ALICE, boxes)
    return (await store.search.search(ALICE, program, sort=make_sort(sort))).emails


PROPERTIES = {
    "id": "M1-1",
    "threadId": "T1-1",
    "mailboxIds": {"F1-1": True},
    "keywords": {},
    "receivedAt": "2014-05-13T16:53:20Z",
    "from": [{"name": "Ann", "email": "ann@example.com"}],
    "subject": "tea",
    "sentAt": "2014-05-13T16:53:20Z",
    "messageId": ["tea@x"],
    "preview": "About tea.",
    "hasAttachment": True,
    "header:X-Mood:asText": "good",
    "header:Return-Path": " <ann@example.com>",
}


@pytest.mark.parametrize("name", PROPERTIES)
async def test_each_property_asks_for_what_it_needs(name: str) -> None:
    store = await open_store(write_letter("tea", attachments=[{"blobId": "Ua", "name": "a.bin"}]))
    assert (await get(store, EmailId(1), name))[name] == PROPERTIES[name]


async def test_the_body_of_a_stored_email() -> None:
    store = await open_store(write_letter("tea", attachments=[{"blobId": "Ua", "name": "a.bin"}]))
    told = await get(store, EmailId(1), "bodyValues", "attachments", "headers", fetchTextBodyValues=True)
    values, attachments, headers = told["bodyValues"], told["attachments"], told["headers"]
    assert isinstance(values, dict) and isinstance(attachments, list) and isinstance(headers, list)
    assert values["1"].value == "About tea."
    assert (attachments[0]["name"], attachments[0]["size"], attachments[0]["blobId"]) == ("a.bin", 6, "B1-2")
    assert headers[0] == {"name": "Return-Path", "value": " <ann@example.com>"}


async def test_filters_and_sorts_find_emails() -> None:
    store = await open_store(write_letter("tea"), write_letter("cake"), write_letter("tea and cake"))
    assert await find(store, {"subject": "tea"}, Comparator("receivedAt", is_ascending=False)) == [3, 1]
    assert await find(store, {"text": '"tea and"'}) == [3]
    assert await find(store, {"body": "cake"}, Comparator("subject")) == [2, 3]
    assert await find(store, {"inMailbox": "F1-1", "notKeyword": "$seen", "after": "2014-05-13T16:53:21Z"}) == [2, 3]
    assert await find(store, {"header": ["X-Mood", "GOOD"], "from": "ann"}) == [1, 2, 3]
    assert await find(store, {"inMailboxOtherThan": ["F1-1"]}) == []


async def test_a_change_is_one_the_store_can_make() -> None:
    store = await open_store(write_letter("tea"))
    archive = await store.mailboxes.open_role(ALICE, Role.ARCHIVE)
    current = await get(store, EmailId(1), "mailboxIds", "keywords")
    patch: JsonObject = {"mailboxIds/F1-1": None, "mailboxIds/#new": True, "keywords/$flagged": True}
    change = read_change(ALICE, current, patch, {"new": f"F1-{archive.id}"})
    assert change.out_of == (MailboxId(1),)
    await store.messages.place(ALICE, EmailId(1), change.into, change.out_of, change.flags)
    told = await get(store, EmailId(1), "mailboxIds", "keywords")
    assert (told["mailboxIds"], told["keywords"]) == ({f"F1-{archive.id}": True}, {"$flagged": True})
