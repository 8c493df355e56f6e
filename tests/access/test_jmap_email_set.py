"""Email/set, /copy, /import and /parse on stores (RFC 8621 §4.6 to §4.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from posthouse.message.mailbox import MAX_KEYWORDS, EmailId, Role
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import FlagDelta, NewSubmission, SubmissionState
from posthouse.protocol.jmap.limits import CoreLimits
from tests.access.jmap_mail_kit import OWNER, Room, box_of, number_of, open_room, write_letter
from tests.conformance.store_kit import make_addition, open_memory, open_sqlite, uid_set


@pytest.fixture(params=[open_memory, open_sqlite], ids=["memory", "sqlite"])
async def room(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Room]:
    async with open_room(request.param, tmp_path) as made:
        yield made


async def draft(room: Room, **record: object) -> dict[str, object]:
    return {
        "mailboxIds": {await room.mailbox(Role.DRAFTS): True},
        "keywords": {"$draft": True, "$seen": True},
        "from": [{"name": "Alice", "email": "alice@example.org"}],
        "subject": "A plan",
        "bodyValues": {"t": {"value": "Let us go."}},
        "textBody": [{"partId": "t", "type": "text/plain"}],
        **record,
    }


async def create(room: Room, record: dict[str, object]) -> Any:
    return await room.call("Email/set", create={"new": record})


async def refuse_create(room: Room, record: dict[str, object]) -> Any:
    told = await create(room, record)
    assert told["created"] is None and told["oldState"] == told["newState"]
    return told["notCreated"]["new"]


async def update(room: Room, email: str, **patch: object) -> Any:
    """What is said of the one record; None: it was done."""
    told = await room.call("Email/set", update={email: patch})
    if told["notUpdated"] is None:
        assert told["updated"] == {email: None}
        return None
    assert told["updated"] is None
    return told["notUpdated"][email]


# -- create


async def test_a_draft_is_made(room: Room) -> None:
    told = await create(room, await draft(room))
    made = told["created"]["new"]
    assert set(made) == {"id", "blobId", "threadId", "size"}
    assert told["newState"] != told["oldState"] and room.created["new"] == made["id"]
    shown = await room.show(made["id"], "subject", "keywords", "preview", "mailboxIds", "messageId", "size", "blobId")
    assert (shown["subject"], shown["preview"]) == ("A plan", "Let us go.")
    assert shown["keywords"] == {"$draft": True, "$seen": True}
    assert shown["mailboxIds"] == {await room.mailbox(Role.DRAFTS): True}
    assert shown["messageId"][0].endswith("@mail.example.org")
    assert (shown["size"], shown["blobId"]) == (made["size"], made["blobId"])


async def test_a_draft_with_an_upload_and_a_part_of_another_email(room: Room) -> None:
    upload = await room.upload(b"\x89PNG octets", "image/png")
    other = await create(
        room, await draft(room, attachments=[{"blobId": upload, "type": "image/png", "name": "a.png"}])
    )
    part = (await room.show(other["created"]["new"]["id"], "attachments"))["attachments"][0]["blobId"]
    assert part.startswith("B")
    told = await create(room, await draft(room, attachments=[{"blobId": part, "type": "image/png", "name": "b.png"}]))
    attached = (await room.show(told["created"]["new"]["id"], "attachments"))["attachments"][0]
    assert (attached["name"], attached["size"]) == ("b.png", len(b"\x89PNG octets"))


async def test_blobs_that_there_are_not_are_named(room: Room) -> None:
    parts = [{"blobId": "Unone", "type": "image/png"}, {"blobId": "B999-1", "type": "image/png"}]
    refused = await refuse_create(room, await draft(room, attachments=parts))
    assert refused == {"type": "blobNotFound", "notFound": ["Unone", "B999-1"]}


@pytest.mark.parametrize("text", ["a\r\nBcc: eve@example.com", "a\nb", "a\rb", "a\0b"])
async def test_no_header_value_brings_a_field_of_its_own(room: Room, text: str) -> None:
    for member, value in (
        ("subject", text),
        ("from", [{"name": text, "email": "a@example.org"}]),
        ("to", [{"email": text}]),
        ("header:X-Mood:asText", text),
        ("header:X-Mood", text),
        ("header:References:asMessageIds", [text]),
    ):
        refused = await refuse_create(room, await draft(room, **{member: value}))
        assert (refused["type"], refused["properties"]) == ("invalidProperties", [member])


async def test_a_draft_needs_a_mailbox_that_there_is(room: Room) -> None:
    for boxes in (None, {}, {"F1-99": True}, {"?": True}, {"#gone": True}, {"F2-1": True}):
        refused = await refuse_create(room, await draft(room, mailboxIds=boxes))
        assert refused["type"] == "invalidProperties"
        assert refused["properties"][0].startswith("mailboxIds")


async def test_a_mailbox_may_be_one_of_the_same_request(room: Room) -> None:
    work = room.created["work"] = await room.mailbox("Work")
    told = await create(room, await draft(room, mailboxIds={"#work": True}))
    assert (await room.show(told["created"]["new"]["id"], "mailboxIds"))["mailboxIds"] == {work: True}


async def test_a_draft_that_is_too_large_is_refused(room: Room) -> None:
    big = {"t": {"value": "x" * 200_000}}
    assert await refuse_create(room, await draft(room, bodyValues=big)) == {"type": "tooLarge", "maxSize": 100_000}
    upload = await room.upload(b"x" * 200_000)
    refused = await refuse_create(room, await draft(room, attachments=[{"blobId": upload}]))
    assert refused == {"type": "tooLarge", "maxSize": 100_000}


async def test_a_draft_beyond_the_quota_is_refused(room: Room) -> None:
    room.office.control.set_quota(OWNER, octets=10)
    assert (await refuse_create(room, await draft(room)))["type"] == "overQuota"


async def test_more_keywords_than_an_account_may_have_are_refused(room: Room) -> None:
    many = {f"k{number}": True for number in range(MAX_KEYWORDS + 1)}
    assert (await refuse_create(room, await draft(room, keywords=many)))["type"] == "tooManyKeywords"
    one = await room.deliver()
    assert (await update(room, one, keywords=many))["type"] == "tooManyKeywords"


async def test_keywords_that_are_none_are_refused(room: Room) -> None:
    refused = await refuse_create(room, await draft(room, keywords={"a b": True, "ok": True}))
    assert (refused["type"], refused["properties"]) == ("invalidProperties", ["keywords/a b"])


async def test_a_draft_knows_when_it_was_received(room: Room) -> None:
    told = await create(room, await draft(room, receivedAt="2014-05-13T16:53:20Z"))
    assert (await room.show(told["created"]["new"]["id"], "receivedAt"))["receivedAt"] == "2014-05-13T16:53:20Z"
    assert (await refuse_create(room, await draft(room, receivedAt="yesterday")))["properties"] == ["receivedAt"]


async def test_what_comes_into_sent_is_filed_there(room: Room) -> None:
    told = await create(room, await draft(room, mailboxIds={await room.mailbox(Role.SENT): True}))
    assert told["notCreated"] is None and len(room.sending.filed) == 1


# -- update


async def test_keywords_are_added_and_removed(room: Room) -> None:
    one = await room.deliver(keywords="\\Flagged Work")
    assert await update(room, one, **{"keywords/$seen": True, "keywords/work": None}) is None
    assert (await room.show(one, "keywords"))["keywords"] == {"$seen": True, "$flagged": True}
    assert await update(room, one, keywords={"$answered": True}) is None
    assert (await room.show(one, "keywords"))["keywords"] == {"$answered": True}
    assert await update(room, one, keywords=None) is None
    assert (await room.show(one, "keywords"))["keywords"] == {}


async def test_mailboxes_and_keywords_change_in_one_transaction(room: Room) -> None:
    inbox, archive = await room.mailbox(Role.INBOX), await room.mailbox(Role.ARCHIVE)
    one = await room.deliver()
    before = await room.office.store.changes.modseq(OWNER)
    patch = {f"mailboxIds/{inbox}": None, f"mailboxIds/{archive}": True, "keywords/$seen": True}
    assert await update(room, one, **patch) is None
    assert await room.office.store.changes.modseq(OWNER) == before + 1
    shown = await room.show(one, "mailboxIds", "keywords")
    assert (shown["mailboxIds"], shown["keywords"]) == ({archive: True}, {"$seen": True})


async def test_what_changed_meanwhile_is_kept(room: Room) -> None:
    one = await room.deliver()
    email = number_of(one)
    place = room.office.store.messages.place
    await place(OWNER, email, (), (), FlagDelta(add=frozenset({"\\Answered"})))
    await place(OWNER, email, (), (), FlagDelta(add=frozenset({"\\Seen"}), remove=frozenset({"\\Flagged", "none"})))
    assert (await room.show(one, "keywords"))["keywords"] == {"$seen": True, "$answered": True}


async def test_many_emails_change_at_once(room: Room) -> None:
    emails = [await room.deliver() for _ in range(20)]
    patches = {email: {"keywords/$seen": True} for email in emails}
    told = await room.call("Email/set", update=patches)
    assert (set(told["updated"]), told["notUpdated"]) == (set(emails), None)
    unseen = await room.call("Email/query", filter={"notKeyword": "$seen"})
    assert unseen["ids"] == []


async def test_one_refused_record_does_not_stop_the_others(room: Room) -> None:
    one, two = await room.deliver(), await room.deliver()
    patches = {one: {"keywords/$seen": True}, "M1-999": {}, "?": {}, two: {"keywords/a b": True}}
    told = await room.call("Email/set", update=patches)
    assert told["updated"] == {one: None}
    kinds = {text: error["type"] for text, error in told["notUpdated"].items()}
    assert kinds == {"M1-999": "notFound", "?": "notFound", two: "invalidProperties"}


async def test_an_email_is_in_one_mailbox_at_least(room: Room) -> None:
    one, inbox = await room.deliver(), await room.mailbox(Role.INBOX)
    refused = await update(room, one, **{f"mailboxIds/{inbox}": None})
    assert (refused["type"], refused["properties"]) == ("invalidProperties", ["mailboxIds"])
    refused = await update(room, one, mailboxIds={"F1-99": True})
    assert (refused["type"], refused["properties"]) == ("invalidProperties", ["mailboxIds/F1-99"])


async def test_too_many_mailboxes_are_refused(room: Room) -> None:
    one = await room.deliver()
    many = {f"F1-{number}": True for number in range(1, 1002)}
    assert (await update(room, one, mailboxIds=many))["type"] == "tooManyMailboxes"


async def test_what_cannot_change_may_be_given_as_it_is(room: Room) -> None:
    one = await room.deliver("tea")
    shown = await room.show(one, "receivedAt", "size", "threadId", "subject")
    same = {name: shown[name] for name in ("receivedAt", "size", "threadId", "subject", "id")}
    assert await update(room, one, **same, keywords={"$seen": True}) is None
    refused = await update(room, one, subject="cake", size=1)
    assert (refused["type"], refused["properties"]) == ("invalidProperties", ["size", "subject"])
    assert (await update(room, one, colour="red"))["properties"] == ["colour"]


async def test_patches_that_cannot_be_applied(room: Room) -> None:
    one = await room.deliver()
    assert (await update(room, one, **{"keywords": {}, "keywords/$seen": True}))["type"] == "invalidPatch"
    assert (await update(room, one, **{"from/0": None}))["type"] == "invalidPatch"


# -- destroy


async def test_emails_are_destroyed_wherever_they_are(room: Room) -> None:
    one = await room.deliver("one", Role.INBOX, Role.ARCHIVE)
    told = await room.call("Email/set", destroy=[one, one, "M1-999", "?"])
    assert told["destroyed"] == [one]
    assert {text: error["type"] for text, error in told["notDestroyed"].items()} == dict.fromkeys(
        ["M1-999", "?"], "notFound"
    )
    assert (await room.call("Email/get", ids=[one]))["notFound"] == [one]


async def test_what_is_destroyed_is_not_updated(room: Room) -> None:
    one = await room.deliver()
    told = await room.call("Email/set", update={one: {"keywords/$seen": True}}, destroy=[one])
    assert (told["notUpdated"][one]["type"], told["destroyed"]) == ("willDestroy", [one])
    told = await room.call("Email/set", update={"M1-999": {"keywords/$seen": True}}, destroy=["M1-999"])
    assert told["notUpdated"]["M1-999"]["type"] == told["notDestroyed"]["M1-999"]["type"] == "notFound"


async def test_creation_ids_stand_for_what_was_created(room: Room) -> None:
    told = await room.call(
        "Email/set", create={"new": await draft(room)}, update={"#new": {"keywords/$flagged": True}}, destroy=["#old"]
    )
    assert told["updated"] == {"#new": None} and told["notDestroyed"]["#old"]["type"] == "notFound"
    shown = await room.show(told["created"]["new"]["id"], "keywords")
    assert shown["keywords"] == {"$draft": True, "$seen": True, "$flagged": True}


# -- all of the call


async def test_a_state_that_is_not_the_one_meant_stops_everything(room: Room) -> None:
    one = await room.deliver()
    state = (await room.call("Email/get", ids=[]))["state"]
    await room.deliver()
    assert await room.refuse("Email/set", ifInState=state, destroy=[one]) == "stateMismatch"
    assert await room.refuse("Email/import", ifInState=state, emails={}) == "stateMismatch"
    state = (await room.call("Email/get", ids=[]))["state"]
    assert (await room.call("Email/set", ifInState=state, destroy=[one]))["destroyed"] == [one]


async def test_too_many_records_are_refused(tmp_path: Path) -> None:
    async with open_room(open_memory, tmp_path, CoreLimits(max_objects_in_set=1)) as room:
        assert await room.refuse("Email/set", destroy=["M1-1", "M1-2"]) == "requestTooLarge"
        two: dict[str, object] = {name: {"blobId": "U", "mailboxIds": {}} for name in ("a", "b")}
        assert await room.refuse("Email/import", emails=two) == "requestTooLarge"


async def test_arguments_that_are_none_are_refused(room: Room) -> None:
    for name in ("Email/set", "Email/import", "Email/parse", "Email/copy"):
        assert await room.refuse(name, colour="red") == "invalidArguments"
    assert await room.refuse("Email/set", accountId="A2") == "accountNotFound"
    assert await room.refuse("Email/import", accountId="A2", emails={}) == "accountNotFound"
    assert await room.refuse("Email/parse", accountId="A2", blobIds=[]) == "accountNotFound"


# -- Scheduled and Outbox


async def test_nothing_is_put_into_scheduled_or_the_outbox(room: Room) -> None:
    one = await room.deliver()
    blob = await room.upload(write_letter("tea"))
    for closed in (await room.mailbox(Role.SCHEDULED), await room.mailbox("outbox")):
        assert (await refuse_create(room, await draft(room, mailboxIds={closed: True})))["type"] == "forbidden"
        assert (await update(room, one, **{f"mailboxIds/{closed}": True}))["type"] == "forbidden"
        emails = {"new": {"blobId": blob, "mailboxIds": {closed: True}}}
        told = await room.call("Email/import", emails=emails)
        assert told["notCreated"]["new"]["type"] == "forbidden"


async def schedule(room: Room) -> tuple[str, int]:
    """An email that waits in Scheduled, and its submission."""
    await room.mailbox(Role.SCHEDULED)
    addition = make_addition(Role.SCHEDULED)
    new = NewSubmission(
        b"", ("bob@example.net",), InlineBody(b"Subject: x\r\n\r\n"), SubmissionState.PENDING, 0, addition, send_at=2e9
    )
    made = await room.office.store.submissions.submit(OWNER, new)
    assert made.email is not None
    return f"M1-{made.email}", made.id


@pytest.mark.parametrize("is_destroyed", [True, False])
async def test_what_leaves_scheduled_is_taken_back(room: Room, is_destroyed: bool) -> None:
    one, submission = await schedule(room)
    before = await room.office.store.changes.modseq(OWNER)
    drafts = await room.mailbox(Role.DRAFTS)
    if is_destroyed:
        before = await room.office.store.changes.modseq(OWNER)
        assert (await room.call("Email/set", destroy=[one]))["destroyed"] == [one]
    else:
        before = await room.office.store.changes.modseq(OWNER)
        assert await update(room, one, mailboxIds={drafts: True}) is None
    assert room.sending.removals == [before]
    found = await room.office.store.submissions.get(OWNER, submission)  # type: ignore[arg-type]
    assert found is not None and found.state is SubmissionState.CANCELED


async def test_a_keyword_on_what_waits_in_scheduled_changes_nothing_else(room: Room) -> None:
    one, submission = await schedule(room)
    assert await update(room, one, **{"keywords/$flagged": True}) is None
    assert room.sending.removals == []
    found = await room.office.store.submissions.get(OWNER, submission)  # type: ignore[arg-type]
    assert found is not None and found.state is SubmissionState.PENDING


# -- Email/import


async def test_an_upload_is_imported(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    letter = write_letter("tea", text="It rains.")
    record = {
        "blobId": await room.upload(letter),
        "mailboxIds": {inbox: True},
        "keywords": {"$seen": True},
        "receivedAt": "2014-05-13T16:53:20Z",
    }
    told = await room.call("Email/import", emails={"new": record})
    assert told["notCreated"] is None and set(told["created"]["new"]) == {"id", "blobId", "threadId", "size"}
    one = told["created"]["new"]["id"]
    shown = await room.show(one, "subject", "keywords", "receivedAt", "mailboxIds")
    assert (shown["subject"], shown["keywords"]) == ("tea", {"$seen": True})
    assert (shown["receivedAt"], shown["mailboxIds"]) == ("2014-05-13T16:53:20Z", {inbox: True})
    assert await room.office.read(number_of(one)) == letter
    assert told["newState"] != told["oldState"] and room.created["new"] == one


async def test_a_message_within_a_message_is_imported(room: Room) -> None:
    inner = write_letter("inner")
    record = await draft(room, attachments=[{"blobId": await room.upload(inner), "type": "message/rfc822"}])
    outer = (await create(room, record))["created"]["new"]["id"]
    blob = (await room.show(outer, "attachments"))["attachments"][0]["blobId"]
    record = {"blobId": blob, "mailboxIds": {await room.mailbox(Role.INBOX): True}}
    told = await room.call("Email/import", emails={"new": record})
    assert await room.office.read(number_of(told["created"]["new"]["id"])) == inner


async def test_line_ends_of_other_systems_become_those_of_mail(room: Room) -> None:
    blob = await room.upload(b"Subject: x\n\nHello.\n")
    record = {"blobId": blob, "mailboxIds": {await room.mailbox(Role.INBOX): True}}
    told = await room.call("Email/import", emails={"new": record})
    assert await room.office.read(number_of(told["created"]["new"]["id"])) == b"Subject: x\r\n\r\nHello.\r\n"


@pytest.mark.parametrize(
    ("octets", "kind"),
    [(b"", "invalidEmail"), (b"\x89PNG", "invalidEmail"), (b"Subject: \0\r\n\r\n", "invalidEmail")],
)
async def test_what_is_no_message_is_not_imported(room: Room, octets: bytes, kind: str) -> None:
    record = {"blobId": await room.upload(octets), "mailboxIds": {await room.mailbox(Role.INBOX): True}}
    told = await room.call("Email/import", emails={"new": record})
    assert (told["created"], told["notCreated"]["new"]["type"]) == (None, kind)
    assert told["oldState"] == told["newState"]


async def test_imports_that_cannot_be(room: Room) -> None:
    inbox = await room.mailbox(Role.INBOX)
    blob = await room.upload(write_letter("tea"))
    records: dict[str, object] = {
        "gone": {"blobId": "Unone", "mailboxIds": {inbox: True}},
        "nowhere": {"blobId": blob, "mailboxIds": {}},
        "unknown": {"blobId": blob, "mailboxIds": {"F1-99": True}},
        "keyword": {"blobId": blob, "mailboxIds": {inbox: True}, "keywords": {"(": True}},
    }
    told = await room.call("Email/import", emails=records)
    kinds = {name: error["type"] for name, error in told["notCreated"].items()}
    wrong = "invalidProperties"
    assert kinds == {"gone": "blobNotFound", "nowhere": wrong, "unknown": wrong, "keyword": wrong}
    room.office.control.set_quota(OWNER, emails=0)
    told = await room.call("Email/import", emails={"new": {"blobId": blob, "mailboxIds": {inbox: True}}})
    assert told["notCreated"]["new"]["type"] == "overQuota"


# -- Email/copy


async def test_there_is_no_other_account_to_copy_from(room: Room) -> None:
    one = await room.deliver()
    records = {"new": {"id": one, "mailboxIds": {await room.mailbox(Role.ARCHIVE): True}}}
    copy = {"create": records, "fromAccountId": "A1"}
    assert await room.refuse("Email/copy", **copy) == "invalidArguments"
    assert await room.refuse("Email/copy", **copy, accountId="A2") == "accountNotFound"
    assert await room.refuse("Email/copy", **copy | {"fromAccountId": "A2"}) == "fromAccountNotFound"


# -- Email/parse


async def test_a_blob_is_parsed(room: Room) -> None:
    blob, picture = await room.upload(write_letter("tea", text="It rains.")), await room.upload(b"\x89PNG")
    told = await room.call("Email/parse", blobIds=[blob, picture, "Unone", "?", blob], fetchTextBodyValues=True)
    assert (told["notParsable"], told["notFound"]) == ([picture], ["Unone", "?"])
    email = told["parsed"][blob]
    assert (email["subject"], email["preview"], email["hasAttachment"]) == ("tea", "It rains.", False)
    assert email["bodyValues"]["1"]["value"] == "It rains.\n"
    assert "id" not in email and "keywords" not in email


async def test_what_only_stored_emails_have_is_null(room: Room) -> None:
    blob = await room.upload(write_letter("tea"))
    wanted = ["id", "mailboxIds", "keywords", "receivedAt", "threadId", "blobId", "size"]
    email = (await room.call("Email/parse", blobIds=[blob], properties=wanted))["parsed"][blob]
    assert email.pop("size") == len(write_letter("tea")) and email.pop("blobId") == blob
    assert email == {"id": None, "mailboxIds": None, "keywords": None, "receivedAt": None, "threadId": None}


async def test_parts_of_a_parsed_message_are_blobs_too(room: Room) -> None:
    one = await create(
        room, await draft(room, attachments=[{"blobId": await room.upload(b"\x89PNG"), "name": "a.png"}])
    )
    octets = await room.office.read(number_of(one["created"]["new"]["id"]))
    blob = await room.upload(octets)
    email = (await room.call("Email/parse", blobIds=[blob], properties=["attachments"]))["parsed"][blob]
    part = email["attachments"][0]["blobId"]
    assert part == f"{blob}-2"
    again = await create(room, await draft(room, attachments=[{"blobId": part, "name": "b.png"}]))
    attached = (await room.show(again["created"]["new"]["id"], "attachments"))["attachments"][0]
    assert (attached["size"], attached["name"]) == (4, "b.png")


async def test_too_many_blobs_are_refused(tmp_path: Path) -> None:
    async with open_room(open_memory, tmp_path, CoreLimits(max_objects_in_get=1)) as room:
        assert await room.refuse("Email/parse", blobIds=["U1", "U2"]) == "requestTooLarge"


async def test_a_body_beyond_the_inline_limit_is_written_in_pieces(tmp_path: Path) -> None:
    async with open_room(open_sqlite, tmp_path) as room:
        room.parts = replace(room.parts, inline_limit=1000)
        upload = await room.upload(b"\x89PNG" * 5000)
        told = await create(room, await draft(room, attachments=[{"blobId": upload, "type": "image/png"}]))
        attached = (await room.show(told["created"]["new"]["id"], "attachments"))["attachments"][0]
        assert attached["size"] == 20_000


async def test_what_is_marked_deleted_cannot_be_changed(room: Room) -> None:
    one = await room.deliver()
    await room.office.flag(box_of(await room.mailbox(Role.INBOX)), uid_set(1), "\\Deleted")
    assert (await update(room, one, **{"keywords/$seen": True}))["type"] == "notFound"
    assert (await room.call("Email/set", destroy=[one]))["notDestroyed"][one]["type"] == "notFound"
    assert number_of(one) == EmailId(1)
