"""RFC 8620 and RFC 8621 walked through, section by section: what each of them asks for, said as a client says it.

Details and every error of the methods are in the tests named after them; HTTP's side is in
tests/app/test_web_jmap.py, push (RFC 8620 §7) in test_jmap_push_subscriptions.py.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

import pytest

from posthouse.message.mailbox import Role
from posthouse.message.objectids import name_email
from posthouse.protocol.jmap.problems import RequestRefused
from posthouse.protocol.jmap.session import MAIL, SUBMISSION
from tests.access.jmap_kit import ALICE, HOME, LOGIN, ME, Desk, Told, letter, open_desk

ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
CORE = "urn:ietf:params:jmap:core"


@pytest.fixture
async def desk() -> Desk:
    reply = letter("Re: first", Message_ID="<second@there.example>", References="<first@there.example>")
    return await open_desk(letter("first"), reply, letter("other", "A hedgehog in the garden"), undo_s=60)


async def ids(desk: Desk, **arguments: Any) -> list[str]:
    arguments.setdefault("sort", [{"property": "receivedAt"}, {"property": "subject"}])
    return list((await desk.call("Email/query", **arguments))["ids"])


async def box(desk: Desk, role: str) -> str:
    found = await desk.call("Mailbox/query", filter={"role": role})
    return str(found["ids"][0])


async def request(desk: Desk, body: object) -> Told:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = await desk.server.answer(LOGIN, HOME, octets)
    return dict(json.loads(response.as_json()))


async def refused(desk: Desk, body: object) -> str:
    with pytest.raises(RequestRefused) as caught:
        await request(desk, body)
    return str(caught.value.problem.as_object()["type"])


async def make_draft(desk: Desk, **more: Any) -> str:
    record = {
        "mailboxIds": {await box(desk, "drafts"): True},
        "keywords": {"$draft": True},
        "from": [{"email": ALICE.address}],
        "to": [{"email": "bob@there.example"}],
        "subject": "by the book",
        "bodyValues": {"t": {"value": "Hello"}},
        "textBody": [{"partId": "t", "type": "text/plain"}],
        **more,
    }
    told = await desk.call("Email/set", create={"d": record})
    assert told.get("notCreated") in (None, {}), told
    return str(told["created"]["d"]["id"])


# -- RFC 8620


async def test_rfc8620_1_2_ids_are_safe_in_urls(desk: Desk) -> None:
    boxes = await desk.call("Mailbox/get", ids=None)
    emails = await desk.call("Email/get", ids=await ids(desk), properties=["id", "threadId", "blobId"])
    named = [one["id"] for one in boxes["list"]] + [one[key] for one in emails["list"] for key in one]
    assert all(ID.fullmatch(text) for text in [*named, ME])


async def test_rfc8620_1_4_a_utc_date_ends_in_z(desk: Desk) -> None:
    told = await desk.call("Email/get", ids=await ids(desk), properties=["receivedAt"])
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", one["receivedAt"]) for one in told["list"])


async def test_rfc8620_1_5_what_is_no_i_json_is_refused(desk: Desk) -> None:
    assert await refused(desk, b"{") == "urn:ietf:params:jmap:error:notJSON"
    assert await refused(desk, b'{"using": [], "using": [], "methodCalls": []}') == "urn:ietf:params:jmap:error:notJSON"


def test_rfc8620_2_the_session_names_accounts_limits_and_urls_with_all_variables(desk: Desk) -> None:
    session = json.loads(desk.server.sessions.build(LOGIN, "https://mail.ours.example").as_json())
    assert session["primaryAccounts"][MAIL] == ME and session["accounts"][ME]["isPersonal"] is True
    assert session["username"] == ALICE.address and session["state"]
    limits = session["capabilities"][CORE]
    assert {"maxSizeUpload", "maxConcurrentUpload", "maxSizeRequest", "maxConcurrentRequests"} <= set(limits)
    assert {"maxCallsInRequest", "maxObjectsInGet", "maxObjectsInSet", "collationAlgorithms"} <= set(limits)
    assert {"{accountId}", "{blobId}", "{name}", "{type}"} <= set(re.findall(r"\{\w+\}", session["downloadUrl"]))
    assert re.findall(r"\{\w+\}", session["uploadUrl"]) == ["{accountId}"]
    assert {"{types}", "{closeafter}", "{ping}"} <= set(re.findall(r"\{\w+\}", session["eventSourceUrl"]))


async def test_rfc8620_3_3_a_request_answers_its_calls_in_their_order(desk: Desk) -> None:
    calls = [["Core/echo", {"n": number}, str(number)] for number in range(3)]
    told = await request(desk, {"using": [CORE], "methodCalls": calls})
    assert told["methodResponses"] == calls and told["sessionState"]
    assert "createdIds" not in told  # RFC 8620 §3.4: only for who sent some


async def test_rfc8620_3_6_1_what_is_wrong_with_a_request(desk: Desk) -> None:
    assert await refused(desk, {"using": [CORE]}) == "urn:ietf:params:jmap:error:notRequest"
    unknown = {"using": ["urn:x"], "methodCalls": []}
    assert await refused(desk, unknown) == "urn:ietf:params:jmap:error:unknownCapability"
    many = {"using": [CORE], "methodCalls": [["Core/echo", {}, "c"]] * 1000}
    assert await refused(desk, many) == "urn:ietf:params:jmap:error:limit"


async def test_rfc8620_3_6_2_what_is_wrong_with_a_call_leaves_the_others(desk: Desk) -> None:
    answers = await desk.ask(
        ("Email/fly", {"accountId": ME}),
        ("Email/get", {"accountId": "A99", "ids": []}),
        ("Email/get", {"ids": []}),
        ("Email/get", {"accountId": ME, "ids": [], "wings": 2}),
        ("Email/query", {"accountId": ME}),
    )
    assert [arguments.get("type") for _, arguments in answers[:4]] == [
        "unknownMethod",
        "accountNotFound",
        "invalidArguments",
        "invalidArguments",
    ]
    assert answers[4][0] == "Email/query"


async def test_rfc8620_3_3_methods_of_a_capability_that_is_not_used_are_unknown(desk: Desk) -> None:
    told = await request(desk, {"using": [CORE], "methodCalls": [["Email/get", {"accountId": ME, "ids": []}, "c"]]})
    assert told["methodResponses"] == [["error", {"type": "unknownMethod"}, "c"]]


async def test_rfc8620_3_7_results_are_referred_to_with_a_path(desk: Desk) -> None:
    """The example of the section: a query, its emails, their threads, all emails of those."""
    answers = await desk.ask(
        ("Email/query", {"accountId": ME, "filter": {"subject": "other"}}),
        (
            "Email/get",
            {
                "accountId": ME,
                "#ids": {"resultOf": "c0", "name": "Email/query", "path": "/ids"},
                "properties": ["threadId"],
            },
        ),
        (
            "Thread/get",
            {"accountId": ME, "#ids": {"resultOf": "c1", "name": "Email/get", "path": "/list/*/threadId"}},
        ),
        ("Email/get", {"accountId": ME, "#ids": {"resultOf": "c9", "name": "Email/query", "path": "/ids"}}),
        (
            "Email/get",
            {"accountId": ME, "ids": [], "#ids": {"resultOf": "c0", "name": "Email/query", "path": "/ids"}},
        ),
    )
    assert answers[2][1]["list"][0]["emailIds"] == answers[0][1]["ids"]
    assert [arguments["type"] for _, arguments in answers[3:]] == ["invalidResultReference", "invalidArguments"]


async def test_rfc8620_4_echo(desk: Desk) -> None:
    assert await desk.ask(("Core/echo", {"a": [1, {"b": None}]})) == [("Core/echo", {"a": [1, {"b": None}]})]


async def test_rfc8620_5_1_get_has_a_state_what_is_found_and_what_is_not(desk: Desk) -> None:
    first = (await ids(desk))[0]
    told = await desk.call("Email/get", ids=[first, first, "nonsense", "M7-999"], properties=["subject"])
    assert [one["id"] for one in told["list"]] == [first]
    assert sorted(told["notFound"]) == ["M7-999", "nonsense"] and told["state"]
    assert await desk.fail("Email/get", ids=[f"M7-{number}" for number in range(1, 502)]) == "requestTooLarge"
    assert await desk.fail("Email/get", ids=[first], properties=["colour"]) == "invalidArguments"


async def test_rfc8620_5_2_changes_lead_from_state_to_state_in_pieces(desk: Desk) -> None:
    since = (await desk.call("Email/get", ids=[]))["state"]
    one, two, three = await ids(desk)
    await desk.call("Email/set", update={one: {"keywords/$seen": True}})
    await desk.call("Email/set", destroy=[two])
    made = await make_draft(desk)
    seen: set[str] = set()
    state, rounds = since, 0
    while True:
        told = await desk.call("Email/changes", sinceState=state, maxChanges=2)
        news = told["created"] + told["updated"] + told["destroyed"]
        assert len(news) <= 2 and told["oldState"] == state
        seen.update(news)
        state, rounds = told["newState"], rounds + 1
        if not told["hasMoreChanges"]:
            break
    assert seen == {one, two, made} and three not in seen and rounds >= 2
    assert await desk.fail("Email/changes", sinceState="99x") == "cannotCalculateChanges"


async def test_rfc8620_5_3_set_makes_changes_and_destroys_record_by_record(desk: Desk) -> None:
    one, two, _ = await ids(desk)
    state = (await desk.call("Email/get", ids=[]))["state"]
    told = await desk.call(
        "Email/set",
        ifInState=state,
        create={"bad": {"subject": "nowhere"}},
        update={one: {"keywords/$flagged": True}, "M7-999": {"keywords/$seen": True}, two: {"subject": "new"}},
        destroy=["M7-998"],
    )
    assert told["oldState"] == state != told["newState"]
    assert told["updated"] == {one: None}
    assert told["notCreated"]["bad"]["type"] == "invalidProperties"
    assert told["notUpdated"]["M7-999"]["type"] == "notFound"
    assert told["notUpdated"][two]["type"] == "invalidProperties"
    assert told["notDestroyed"]["M7-998"]["type"] == "notFound"
    assert await desk.fail("Email/set", ifInState=state, destroy=[one]) == "stateMismatch"
    wrong = await desk.call("Email/set", update={one: {"keywords": {}, "keywords/$seen": True}})
    assert wrong["notUpdated"][one]["type"] == "invalidPatch"


async def test_rfc8620_5_3_creation_ids_stand_for_records_of_the_same_request(desk: Desk) -> None:
    answers = await desk.ask(
        ("Mailbox/set", {"accountId": ME, "create": {"p": {"name": "Parent"}, "c": {"name": "C", "parentId": "#p"}}}),
        ("Email/set", {"accountId": ME, "create": {"e": {"mailboxIds": {"#c": True}, "subject": "in it"}}}),
    )
    child = answers[0][1]["created"]["c"]["id"]
    assert set(desk.created) == {"p", "c", "e"}
    told = await desk.call("Email/get", ids=[desk.created["e"]], properties=["mailboxIds"])
    assert told["list"][0]["mailboxIds"] == {child: True}


async def test_rfc8620_5_4_copy_is_for_two_accounts(desk: Desk) -> None:
    one = (await ids(desk))[0]
    create = {"c": {"id": one, "mailboxIds": {await box(desk, "archive"): True}}}
    assert await desk.fail("Email/copy", fromAccountId="A99", create=create) == "fromAccountNotFound"
    assert await desk.fail("Email/copy", fromAccountId=ME, create=create) == "invalidArguments"


async def test_rfc8620_5_5_a_query_is_filtered_sorted_and_cut(desk: Desk) -> None:
    everything = await ids(desk)
    assert await ids(desk, position=1, limit=1) == [everything[1]]
    assert await ids(desk, position=-1) == [everything[2]]
    assert await ids(desk, anchor=everything[2], anchorOffset=-1, limit=1) == [everything[1]]
    assert await ids(desk, position=99) == []
    told = await desk.call("Email/query", calculateTotal=True, limit=1)
    assert told["total"] == 3 and isinstance(told["queryState"], str) and "canCalculateChanges" in told
    assert await desk.fail("Email/query", anchor="M7-999") == "anchorNotFound"
    assert await desk.fail("Email/query", sort=[{"property": "colour"}]) == "unsupportedSort"
    assert await desk.fail("Email/query", filter={"operator": "XOR", "conditions": []}) == "invalidArguments"
    ordered = await ids(desk, sort=[{"property": "subject"}])  # "Re: first" sorts as "first"
    assert (await ids(desk, sort=[{"property": "subject", "isAscending": False}]))[0] == ordered[-1]


async def test_rfc8620_5_6_what_became_of_a_query(desk: Desk) -> None:
    sort = [{"property": "receivedAt"}, {"property": "subject"}]
    before = await desk.call("Email/query", sort=sort)
    known = list(before["ids"])
    await desk.call("Email/set", destroy=[known[0]])
    await desk.add(letter("newest"))
    told = await desk.call("Email/queryChanges", sinceQueryState=before["queryState"], sort=sort, calculateTotal=True)
    now = [one for one in known if one not in told["removed"]]
    for item in sorted(told["added"], key=lambda item: int(item["index"])):
        now.insert(item["index"], item["id"])
    assert now == await ids(desk, sort=sort) and told["total"] == len(now)
    bad = {"sinceQueryState": "99x", "sort": sort}
    assert await desk.fail("Email/queryChanges", **bad) == "cannotCalculateChanges"


async def test_rfc8620_6_3_blobs_are_copied_between_accounts_only(desk: Desk) -> None:
    arguments = {"accountId": ME, "fromAccountId": "A99", "blobIds": ["B1"]}
    [(name, told)] = await desk.ask(("Blob/copy", arguments))
    assert (name, told["type"]) == ("error", "fromAccountNotFound")


# -- RFC 8621


async def test_rfc8621_2_mailboxes_have_roles_rights_and_counts(desk: Desk) -> None:
    told = await desk.call("Mailbox/get", ids=[await box(desk, "inbox")])
    [inbox] = told["list"]
    assert (inbox["role"], inbox["totalEmails"], inbox["unreadEmails"]) == ("inbox", 3, 3)
    assert (inbox["totalThreads"], inbox["unreadThreads"]) == (2, 2)
    assert inbox["myRights"]["mayReadItems"] is True and inbox["myRights"]["mayDelete"] is False


async def test_rfc8621_2_2_only_counts_changed_is_said(desk: Desk) -> None:
    inbox = await box(desk, "inbox")
    since = (await desk.call("Mailbox/get", ids=[]))["state"]
    await desk.call("Email/set", update={(await ids(desk))[0]: {"keywords/$seen": True}})
    told = await desk.call("Mailbox/changes", sinceState=since)
    assert told["updated"] == [inbox]
    assert set(told["updatedProperties"]) >= {"unreadEmails", "unreadThreads"}
    await desk.call("Mailbox/set", create={"m": {"name": "More"}})
    assert (await desk.call("Mailbox/changes", sinceState=since))["updatedProperties"] is None


async def test_rfc8621_2_5_mailboxes_that_are_not_empty_stay(desk: Desk) -> None:
    made = await desk.call("Mailbox/set", create={"p": {"name": "P"}, "c": {"name": "C", "parentId": "#p"}})
    parent, child = made["created"]["p"]["id"], made["created"]["c"]["id"]
    one = (await ids(desk))[0]
    await desk.call("Email/set", update={one: {"mailboxIds": {child: True}}})
    told = await desk.call("Mailbox/set", destroy=[parent])
    assert told["notDestroyed"][parent]["type"] == "mailboxHasChild"
    told = await desk.call("Mailbox/set", destroy=[child])
    assert told["notDestroyed"][child]["type"] == "mailboxHasEmail"
    told = await desk.call("Mailbox/set", destroy=[child], onDestroyRemoveEmails=True)
    assert told["destroyed"] == [child]
    assert (await desk.call("Email/get", ids=[one]))["notFound"] == [one]


async def test_rfc8621_3_a_thread_is_its_emails_oldest_first(desk: Desk) -> None:
    told = await desk.call("Email/query", filter={"subject": "first"}, sort=[{"property": "receivedAt"}])
    emails = await desk.call("Email/get", ids=told["ids"], properties=["threadId"])
    [thread] = {one["threadId"] for one in emails["list"]}
    threads = await desk.call("Thread/get", ids=[thread, "T7-999"])
    assert sorted(threads["list"][0]["emailIds"]) == sorted(told["ids"]) and threads["notFound"] == ["T7-999"]


async def test_rfc8621_4_1_an_email_in_every_form_its_fields_may_be_asked_for(desk: Desk) -> None:
    one = (await ids(desk, filter={"subject": "other"}))[0]
    properties = ["header:From:asAddresses", "header:Subject:asText", "header:Date:asDate", "header:To:all", "headers"]
    [email] = (await desk.call("Email/get", ids=[one], properties=[*properties, "preview", "bodyValues", "textBody"]))[
        "list"
    ]
    assert email["header:From:asAddresses"] == [{"name": "Bob", "email": "bob@there.example"}]
    assert email["header:Subject:asText"] == "other" and email["header:Date:asDate"] == "2027-01-14T08:00:00Z"
    assert len(email["header:To:all"]) == 1 and email["headers"][0]["name"] == "Return-Path"
    assert email["preview"].startswith("A hedgehog") and email["bodyValues"] == {}
    assert await desk.fail("Email/get", ids=[one], properties=["header:Subject:asDate"]) == "invalidArguments"


async def test_rfc8621_4_1_4_bodies_are_listed_and_their_texts_given_when_asked(desk: Desk) -> None:
    one = (await ids(desk, filter={"subject": "other"}))[0]
    wish = {"properties": ["textBody", "htmlBody", "attachments", "bodyValues"], "fetchTextBodyValues": True}
    [email] = (await desk.call("Email/get", ids=[one], maxBodyValueBytes=9, **wish))["list"]
    part = email["textBody"][0]["partId"]
    assert email["bodyValues"][part] == {"value": "A hedgeho", "isEncodingProblem": False, "isTruncated": True}
    assert email["attachments"] == []


async def test_rfc8621_4_4_filters_and_collapsed_threads(desk: Desk) -> None:
    assert len(await ids(desk, filter={"inMailbox": await box(desk, "inbox")})) == 3
    assert len(await ids(desk, collapseThreads=True)) == 2
    assert len(await ids(desk, filter={"text": "hedgehog"})) == 1
    assert len(await ids(desk, filter={"operator": "NOT", "conditions": [{"text": "hedgehog"}]})) == 2
    assert await ids(desk, filter={"hasKeyword": "$flagged"}) == []
    assert len(await ids(desk, filter={"from": "bob", "notKeyword": "$seen", "hasAttachment": False})) == 3
    assert await desk.fail("Email/query", filter={"moon": "full"}) == "invalidArguments"


async def test_rfc8621_4_6_what_a_created_email_may_not_say(desk: Desk) -> None:
    drafts = await box(desk, "drafts")

    async def reason(**record: Any) -> Told:
        told = await desk.call("Email/set", create={"d": {"mailboxIds": {drafts: True}, **record}})
        return dict(told["notCreated"]["d"])

    assert (await reason(headers=[]))["properties"] == ["headers"]
    assert (await reason(subject="a\r\nBcc: eve@there.example"))["type"] == "invalidProperties"
    assert (await reason(**{"header:Subject": " x", "subject": "y"}))["type"] == "invalidProperties"
    missing = {"attachments": [{"blobId": "Unone", "type": "text/plain"}]}
    refusal = await reason(**missing)
    assert (refusal["type"], refusal["notFound"]) == ("blobNotFound", ["Unone"])
    assert (await reason(mailboxIds={}))["type"] == "invalidProperties"


async def test_rfc8621_4_8_an_uploaded_message_is_imported(desk: Desk) -> None:
    writer = desk.parts.uploads.begin(ALICE.id, "message/rfc822")
    await writer.write(letter("imported"))
    blob = f"U{(await writer.finish()).id}"
    inbox = await box(desk, "inbox")
    emails = {
        "a": {"blobId": blob, "mailboxIds": {inbox: True}, "receivedAt": "2020-01-01T00:00:00Z"},
        "b": {"blobId": "Unone", "mailboxIds": {inbox: True}},
        "c": {"blobId": blob, "mailboxIds": {}},
    }
    told = await desk.call("Email/import", emails=emails)
    made = told["created"]["a"]
    assert set(made) == {"id", "blobId", "threadId", "size"}
    assert told["notCreated"]["b"]["type"] == "blobNotFound"
    assert told["notCreated"]["c"]["type"] == "invalidProperties"
    [email] = (await desk.call("Email/get", ids=[made["id"]], properties=["receivedAt"]))["list"]
    assert email["receivedAt"] == "2020-01-01T00:00:00Z"


async def test_rfc8621_4_9_a_message_is_parsed_without_being_kept(desk: Desk) -> None:
    one = (await ids(desk))[0]
    [email] = (await desk.call("Email/get", ids=[one], properties=["blobId"]))["list"]
    told = await desk.call("Email/parse", blobIds=[email["blobId"], "Unone"], properties=["subject", "id"])
    assert told["parsed"][email["blobId"]]["subject"] == "first" and told["parsed"][email["blobId"]]["id"] is None
    assert told["notFound"] == ["Unone"]


async def test_rfc8621_5_snippets_mark_what_was_found(desk: Desk) -> None:
    wanted = {"text": "hedgehog"}
    found = await ids(desk, filter=wanted)
    told = await desk.call("SearchSnippet/get", filter=wanted, emailIds=[*found, "M7-999"])
    assert "<mark>hedgehog</mark>" in told["list"][0]["preview"] and told["notFound"] == ["M7-999"]


async def test_rfc8621_6_identities_are_ones_own_addresses(desk: Desk) -> None:
    told = await desk.call("Identity/get", ids=None)
    assert {one["email"] for one in told["list"]} <= set(ALICE.addresses) and told["list"]
    told = await desk.call("Identity/set", create={"i": {"email": "eve@there.example"}})
    assert told["notCreated"]["i"]["type"] == "forbiddenFrom"


async def test_rfc8621_7_a_draft_is_sent_and_becomes_sent_mail(desk: Desk) -> None:
    draft, sent = await make_draft(desk), await box(desk, "sent")
    identity = (await desk.call("Identity/get", ids=None))["list"][0]["id"]
    answers = await desk.ask(
        (
            "EmailSubmission/set",
            {
                "accountId": ME,
                "create": {"s": {"identityId": identity, "emailId": draft}},
                "onSuccessUpdateEmail": {"#s": {"mailboxIds": {sent: True}, "keywords/$draft": None}},
            },
        )
    )
    assert [name for name, _ in answers] == ["EmailSubmission/set", "Email/set"]
    submission = answers[0][1]["created"]["s"]["id"]
    [told] = (await desk.call("EmailSubmission/get", ids=[submission]))["list"]
    assert (told["undoStatus"], told["emailId"], told["identityId"]) == ("pending", draft, identity)
    assert told["envelope"]["rcptTo"][0]["email"] == "bob@there.example"
    undone = await desk.call("EmailSubmission/set", update={submission: {"undoStatus": "canceled"}})
    assert submission in undone["updated"]
    again = await desk.call("EmailSubmission/set", update={submission: {"undoStatus": "canceled"}})
    assert submission in again["updated"]  # it is what it was


@pytest.mark.parametrize(
    ("more", "envelope", "kind"),
    [
        ({"to": None}, None, "noRecipients"),
        ({"from": [{"email": "eve@there.example"}]}, None, "forbiddenFrom"),
        (
            {},
            {"mailFrom": {"email": "eve@a.example"}, "rcptTo": [{"email": "b@there.example"}]},
            "forbiddenMailFrom",
        ),
        ({}, {"mailFrom": {"email": ALICE.address}, "rcptTo": [{"email": "not an address"}]}, "invalidRecipients"),
    ],
)
async def test_rfc8621_7_5_what_cannot_be_sent(desk: Desk, more: Told, envelope: Told | None, kind: str) -> None:
    draft = await make_draft(desk, **more)
    identity = (await desk.call("Identity/get", ids=None))["list"][0]["id"]
    record: Told = {"identityId": identity, "emailId": draft}
    if envelope is not None:
        record["envelope"] = envelope
    told = await desk.call("EmailSubmission/set", create={"s": record})
    assert told["notCreated"]["s"]["type"] == kind


async def test_rfc8621_8_there_is_one_vacation_response(desk: Desk) -> None:
    [one] = (await desk.call("VacationResponse/get", ids=None))["list"]
    assert one["id"] == "singleton" and one["isEnabled"] is False
    told = await desk.call("VacationResponse/set", update={"singleton": {"isEnabled": True, "subject": "Away"}})
    assert "singleton" in told["updated"]
    told = await desk.call("VacationResponse/set", create={"v": {"isEnabled": True}}, destroy=["singleton"])
    assert told["notCreated"]["v"]["type"] == told["notDestroyed"]["singleton"]["type"] == "singleton"


async def test_rfc8621_4_1_1_what_has_deleted_is_not_there(desk: Desk) -> None:
    added = await desk.add(letter("going"), Role.INBOX, flags=frozenset({"\\Deleted"}))
    name = name_email(ALICE.id, added.email)
    assert (await desk.call("Email/get", ids=[name]))["notFound"] == [name]
    assert name not in await ids(desk)


def test_rfc8621_1_3_capabilities_say_what_mail_and_submission_may(desk: Desk) -> None:
    session = json.loads(desk.server.sessions.build(LOGIN, "https://mail.ours.example").as_json())
    mail = session["accounts"][ME]["accountCapabilities"][MAIL]
    assert {"maxMailboxesPerEmail", "maxMailboxDepth", "maxSizeMailboxName", "maxSizeAttachmentsPerEmail"} <= set(mail)
    assert {"emailQuerySortOptions", "mayCreateTopLevelMailbox"} <= set(mail)
    submission = session["accounts"][ME]["accountCapabilities"][SUBMISSION]
    assert submission["maxDelayedSend"] > 0 and "FUTURERELEASE" in submission["submissionExtensions"]


async def test_other_clients_get_their_turn_while_much_text_is_written() -> None:
    desk = await open_desk(*(letter(f"{number}", "Much text.\n" * 30_000) for number in range(4)))
    wish = {"accountId": ME, "ids": ["M7-1", "M7-2", "M7-3", "M7-4"], "fetchTextBodyValues": True}
    threads = {"resultOf": "c0", "name": "Email/get", "path": "/list/*/threadId"}
    calls = [
        ["Email/get", {**wish, "properties": ["threadId", "bodyValues"]}, "c0"],
        ["Thread/get", {"accountId": ME, "#ids": threads}, "c1"],
    ]
    request = json.dumps({"using": sorted(desk.server.capabilities), "methodCalls": calls}).encode()
    turns = 0

    async def wait_beside() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(wait_beside())
    response = await desk.server.answer(LOGIN, HOME, request)
    beside.cancel()
    (_, emails, _), (_, found, _) = json.loads(response.as_json())["methodResponses"]
    assert turns >= 4
    assert [len(each["bodyValues"]["1"]["value"]) for each in emails["list"]] == [330_000] * 4
    assert [each["id"] for each in found["list"]] == [each["threadId"] for each in emails["list"]]
