"""EmailSubmission/get, /changes, /query, /queryChanges and /set with the real MSA behind (RFC 8621 §7)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, cast

import pytest

from posthouse.access.jmap.methods import TABLES, JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.message.mailbox import AccountId, EmailId, Role, SubmissionId
from posthouse.message.objectids import name_mailbox
from posthouse.msa.limits import SendLimits
from posthouse.ports.login import Scope
from posthouse.ports.sending import EmailSending, WantedEnvelope
from posthouse.ports.store import RecipientFate
from tests.access.jmap_kit import ALICE, HOME, LOGIN, Desk, Told, open_desk
from tests.msa.submit_kit import MESSAGE, House


@pytest.fixture
async def desk() -> Desk:
    return await open_desk()


async def draft(desk: Desk, octets: bytes = MESSAGE) -> str:
    added = await desk.add(octets, Role.DRAFTS, flags=frozenset({"\\Draft", "\\Seen"}))
    return f"M7-{added.email}"


async def identity(desk: Desk) -> str:
    identities = (await desk.call("Identity/get", ids=None))["list"]
    return str(next(one["id"] for one in identities if one["isDefault"]))


async def submit(desk: Desk, email: str, **more: object) -> Told:
    """What became of one: the answer of /set."""
    record = {"identityId": await identity(desk), "emailId": email, **more}
    return await desk.call("EmailSubmission/set", create={"s": record})


async def send(desk: Desk, email: str, **more: object) -> str:
    return str((await submit(desk, email, **more))["created"]["s"]["id"])


async def refuse(desk: Desk, octets: bytes = MESSAGE, **more: object) -> Told:
    """The error."""
    told = await submit(desk, await draft(desk, octets), **more)
    assert told["created"] is None
    assert desk.house.onward.taken == []
    return dict(told["notCreated"]["s"])


async def get(desk: Desk, submission: str) -> Told:
    return dict((await desk.call("EmailSubmission/get", ids=[submission]))["list"][0])


def number(text: str) -> int:
    return int(text.partition("-")[2])


async def where(desk: Desk, email: str) -> set[str]:
    return await desk.where(EmailId(number(email)))


def to(*addresses: str, sender: str = "alice@ours.example", **parameters: str | None) -> Told:
    return {
        "mailFrom": {"email": sender, "parameters": parameters or None},
        "rcptTo": [{"email": address, "parameters": None} for address in addresses],
    }


async def box(desk: Desk, role: Role) -> str:
    return name_mailbox(ALICE.id, (await desk.store.mailboxes.open_role(ALICE.id, role)).id)


# -- create


async def test_an_email_is_sent_and_told_what_the_client_does_not_know(desk: Desk) -> None:
    email = await draft(desk)
    told = await submit(desk, email)
    made = told["created"]["s"]
    assert desk.created == {"s": made["id"]}
    assert made == {
        "id": "S7-1",
        "threadId": "T7-1",
        "envelope": to("bob@there.example"),
        "sendAt": "2027-01-15T08:00:00Z",
        "undoStatus": "final",
        "deliveryStatus": {
            "bob@there.example": {
                "smtpReply": "250 2.0.0 Ok: queued",
                "delivered": "queued",
                "displayed": "unknown",
            }
        },
        "dsnBlobIds": [],
        "mdnBlobIds": [],
        "deliveryTimes": {"bob@there.example": {"outcome": "queued", "at": None, "reply": "", "nextHop": None}},
    }
    assert len(desk.house.onward.taken) == 1
    assert told["oldState"] != told["newState"]
    assert await where(desk, email) == {"Drafts"}


async def test_an_envelope_of_ones_own_with_parameters(desk: Desk) -> None:
    envelope = {
        "mailFrom": {"email": "a.smith@ours.example", "parameters": {"ENVID": "a b+c", "ret": "HDRS"}},
        "rcptTo": [
            {"email": "ann@there.example", "parameters": {"NOTIFY": "NEVER", "ORCPT": "rfc822;a+b@there.example"}}
        ],
    }
    submission = await send(desk, await draft(desk), envelope=envelope)
    shown = (await get(desk, submission))["envelope"]
    assert shown["mailFrom"] == {"email": "a.smith@ours.example", "parameters": {"ENVID": "a b+c", "RET": "HDRS"}}
    assert shown["rcptTo"] == envelope["rcptTo"]
    queued = desk.house.onward.taken[0].envelope
    assert (str(queued.sender), queued.envid) == ("a.smith@ours.example", "a b+c")


async def test_an_email_and_an_identity_of_the_same_request(desk: Desk) -> None:
    drafts = await box(desk, Role.DRAFTS)
    record = {
        "mailboxIds": {drafts: True},
        "keywords": {"$draft": True},
        "from": [{"email": "alice@ours.example"}],
        "to": [{"email": "bob@there.example"}],
        "subject": "tea",
        "bodyValues": {"t": {"value": "Tea?"}},
        "textBody": [{"partId": "t"}],
    }
    submission = {"identityId": "#me", "emailId": "#d"}
    answers = await desk.ask(
        ("Identity/set", {"accountId": "A7", "create": {"me": {"name": "A", "email": "alice@ours.example"}}}),
        ("Email/set", {"accountId": "A7", "create": {"d": record}}),
        ("EmailSubmission/set", {"accountId": "A7", "create": {"s": submission}}),
    )
    assert answers[2][1]["notCreated"] is None, json.dumps(answers)
    shown = await get(desk, answers[2][1]["created"]["s"]["id"])
    assert shown["identityId"] == answers[0][1]["created"]["me"]["id"]
    assert shown["emailId"] == answers[1][1]["created"]["d"]["id"]


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({"identityId": "I99"}, ["identityId"]),
        ({"identityId": 3}, ["identityId"]),
        ({"identityId": "#nothing"}, ["identityId"]),
        ({"emailId": "M7-99"}, ["emailId"]),
        ({"emailId": "M1-1"}, ["emailId"]),
        ({"emailId": "#nothing"}, ["emailId"]),
        ({"emailId": None}, ["emailId"]),
        ({"undoStatus": "pending"}, ["undoStatus"]),
        ({"sendAt": "2027-01-15T09:00:00Z"}, ["sendAt"]),
        ({"envelope": {"mailFrom": "x"}}, ["envelope"]),
        ({"envelope": to("bob@there.example", HOLDFOR="9999999")}, ["envelope"]),
        ({"envelope": to("bob@there.example", HOLDFOR="soon")}, ["envelope"]),
        ({"envelope": to("bob@there.example", BODY="9BIT")}, ["envelope"]),
        ({"envelope": to("bob@there.example", RET="HDRS ENVID=x")}, ["envelope"]),
        ({"envelope": to("bob@there.example", **{"X Y": ""})}, ["envelope"]),
    ],
)
async def test_what_no_submission_can_be(desk: Desk, record: Told, properties: list[str]) -> None:
    error = await refuse(desk, **record)
    assert (error["type"], error["properties"]) == ("invalidProperties", properties)


async def test_no_recipients(desk: Desk) -> None:
    assert (await refuse(desk, MESSAGE.replace(b"To:", b"X-To:")))["type"] == "noRecipients"


async def test_invalid_recipients_are_all_named(desk: Desk) -> None:
    error = await refuse(desk, envelope=to("nobody@ours.example", "bob@there.example", "x@incomplete"))
    assert error["type"] == "invalidRecipients"
    assert error["invalidRecipients"] == ["nobody@ours.example", "x@incomplete"]
    error = await refuse(desk, envelope=to("no address", "bob@there.example"))
    assert (error["type"], error["invalidRecipients"]) == ("invalidRecipients", ["no address"])


async def test_too_many_recipients(desk: Desk) -> None:
    desk = replace(desk, parts=replace(desk.parts, max_recipients=1))
    desk.server._parts = desk.parts
    error = await refuse(desk, envelope=to("a@there.example", "b@there.example"))
    assert (error["type"], error["maxRecipients"]) == ("tooManyRecipients", 1)


async def test_forbidden_mail_from_and_forbidden_from(desk: Desk) -> None:
    error = await refuse(desk, envelope=to("bob@there.example", sender="x@else.example"))
    assert error["type"] == "forbiddenMailFrom"
    error = await refuse(desk, MESSAGE.replace(b"<alice@ours.example>", b"<x@else.example>"))
    assert error["type"] == "forbiddenFrom"


async def test_forbidden_to_send(desk: Desk) -> None:
    desk.house.accounts.accounts[ALICE.id] = replace(ALICE, is_disabled=True)
    error = await refuse(desk)
    assert error["type"] == "forbiddenToSend"
    assert "may not send mail now" in error["description"]


async def test_a_password_that_may_not_send(desk: Desk) -> None:
    reader = desk.as_login(replace(LOGIN, scopes=frozenset({Scope.READ})))
    assert await reader.fail("EmailSubmission/set", create={}) == "forbidden"


async def test_an_invalid_email(desk: Desk) -> None:
    assert (await refuse(desk, MESSAGE.replace(b"From:", b"X-From:")))["type"] == "invalidEmail"


async def test_an_email_that_is_too_large(desk: Desk) -> None:
    desk = replace(desk, parts=replace(desk.parts, max_message_size=100))
    desk.server._parts = desk.parts
    error = await refuse(desk)
    assert (error["type"], error["maxSize"]) == ("tooLarge", 100)


async def test_too_much_for_now() -> None:
    desk = await open_desk(house=House(SendLimits(messages_per_hour=1)))
    await send(desk, await draft(desk))
    told = await submit(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<2@")))
    assert told["notCreated"]["s"]["type"] == "rateLimit"


async def test_a_full_disk_is_no_mail_lost(desk: Desk) -> None:
    email = await draft(desk)
    desk.memory.full = True
    assert (await submit(desk, email))["notCreated"]["s"]["type"] == "forbiddenToSend"
    desk.memory.full = False
    assert await send(desk, email)


async def test_the_same_again_is_the_same_submission(desk: Desk) -> None:
    email = await draft(desk)
    assert await send(desk, email) == await send(desk, email)
    assert len(desk.house.onward.taken) == 1


async def test_what_a_set_refuses_as_a_whole(desk: Desk) -> None:
    assert await desk.fail("EmailSubmission/set", ifInState="0", create={}) == "stateMismatch"
    assert await desk.fail("EmailSubmission/set", destroy=["x"] * 501) == "requestTooLarge"
    assert await desk.fail("EmailSubmission/set", accountId="A8") == "accountNotFound"


# -- what becomes of the email


async def test_on_success_the_email_is_updated_by_one_implied_set(desk: Desk) -> None:
    drafts, sent = await box(desk, Role.DRAFTS), await box(desk, Role.SENT)
    one, two = await draft(desk), await draft(desk, MESSAGE.replace(b"From:", b"X-From:"))
    me = await identity(desk)
    patch = {f"mailboxIds/{drafts}": None, f"mailboxIds/{sent}": True, "keywords/$draft": None}
    arguments = {
        "accountId": "A7",
        "create": {"a": {"identityId": me, "emailId": one}, "b": {"identityId": me, "emailId": two}},
        "onSuccessUpdateEmail": {"#a": patch, "#b": patch, "#c": patch},
    }
    answers = await desk.ask(("EmailSubmission/set", arguments))
    assert [name for name, _ in answers] == ["EmailSubmission/set", "Email/set"]
    assert answers[1][1]["updated"] == {one: None}
    assert (await where(desk, one), await where(desk, two)) == ({"Sent"}, {"Drafts"})


async def test_on_success_the_email_is_destroyed(desk: Desk) -> None:
    email = await draft(desk)
    record = {"identityId": await identity(desk), "emailId": email}
    arguments = {"accountId": "A7", "create": {"a": record}, "onSuccessDestroyEmail": ["#a"]}
    answers = await desk.ask(("EmailSubmission/set", arguments))
    assert answers[1][1]["destroyed"] == [email]
    assert len(desk.house.onward.taken) == 1
    assert (await get(desk, answers[0][1]["created"]["a"]["id"]))["threadId"] is None


async def test_nothing_is_implied_when_nothing_succeeded(desk: Desk) -> None:
    arguments = {
        "accountId": "A7",
        "create": {"a": {"identityId": "I99", "emailId": await draft(desk)}},
        "onSuccessUpdateEmail": {"#a": {"keywords/$draft": None}},
    }
    assert len(await desk.ask(("EmailSubmission/set", arguments))) == 1


# -- undo and later


async def test_what_can_be_undone_waits_in_scheduled_and_then_is_in_sent() -> None:
    await undone_waits_in_scheduled(await open_desk(undo_s=10.0))


async def undone_waits_in_scheduled(desk: Desk) -> None:
    email, sent = await draft(desk), await box(desk, Role.SENT)
    record = {"identityId": await identity(desk), "emailId": email}
    arguments = {
        "accountId": "A7",
        "create": {"a": record},
        "onSuccessUpdateEmail": {"#a": {"mailboxIds": {sent: True}, "keywords/$draft": None}},
    }
    answers = await desk.ask(("EmailSubmission/set", arguments))
    made = answers[0][1]["created"]["a"]
    assert (made["undoStatus"], made["sendAt"]) == ("pending", "2027-01-15T08:00:10Z")
    assert (made["deliveryStatus"], made["deliveryTimes"]) == (None, {})
    assert await where(desk, email) == {"Scheduled"}
    assert desk.house.onward.taken == []
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert (await get(desk, made["id"]))["undoStatus"] == "final"
    assert await where(desk, email) == {"Sent"}
    assert len(desk.house.onward.taken) == 1


async def test_what_is_undone_is_a_draft_again() -> None:
    await undone_is_a_draft_again(await open_desk(undo_s=10.0))


async def undone_is_a_draft_again(desk: Desk) -> None:
    email = await draft(desk)
    submission = await send(desk, email)
    drafts = await box(desk, Role.DRAFTS)
    arguments = {
        "accountId": "A7",
        "update": {submission: {"undoStatus": "canceled"}},
        "onSuccessUpdateEmail": {submission: {"mailboxIds": {drafts: True}, "keywords/$draft": True}},
    }
    answers = await desk.ask(("EmailSubmission/set", arguments))
    assert answers[0][1]["updated"] == {submission: None}
    assert answers[1][1]["updated"] == {email: None}
    assert (await get(desk, submission))["undoStatus"] == "canceled"
    assert await where(desk, email) == {"Drafts"}
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert desk.house.onward.taken == []


async def test_what_went_cannot_be_undone(desk: Desk) -> None:
    submission = await send(desk, await draft(desk))
    told = await desk.call("EmailSubmission/set", update={submission: {"undoStatus": "canceled"}})
    assert told["notUpdated"][submission]["type"] == "cannotUnsend"


class Outrun:
    """Somebody else takes back the same at the same time, and is quicker."""

    def __init__(self, sending: EmailSending) -> None:
        self._sending = sending

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sending, name)

    async def cancel(self, account: AccountId, submission: SubmissionId) -> bool:
        assert await self._sending.cancel(account, submission)
        return await self._sending.cancel(account, submission)


async def test_what_somebody_else_takes_back_at_the_same_time_is_taken_back() -> None:
    desk = await open_desk(undo_s=10.0)
    submission = await send(desk, await draft(desk))
    parts = replace(desk.parts, sending=cast("EmailSending", Outrun(desk.parts.sending)))
    outrun = Desk(desk.house, parts, JmapServer(parts, SessionBuilder(parts), TABLES))
    told = await outrun.call("EmailSubmission/set", update={submission: {"undoStatus": "canceled"}})
    assert (told["updated"], told["notUpdated"]) == ({submission: None}, None)


async def test_a_client_that_moves_it_out_of_scheduled_takes_it_back() -> None:
    desk = await open_desk(undo_s=10.0)
    email = await draft(desk)
    submission = await send(desk, email)
    await desk.call("Email/set", update={email: {"mailboxIds": {await box(desk, Role.INBOX): True}}})
    assert (await get(desk, submission))["undoStatus"] == "canceled"


@pytest.mark.parametrize("parameters", [{"HOLDFOR": "3600"}, {"holduntil": "2027-01-15T09:00:00Z"}])
async def test_an_email_is_sent_later(desk: Desk, parameters: dict[str, str]) -> None:
    email = await draft(desk)
    submission = await send(desk, email, envelope=to("bob@there.example", **parameters))
    shown = await get(desk, submission)
    assert (shown["sendAt"], shown["undoStatus"]) == ("2027-01-15T09:00:00Z", "pending")
    assert await where(desk, email) == {"Scheduled"}
    desk.house.clock.advance(3600)
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1


async def test_what_an_update_cannot_change(desk: Desk) -> None:
    submission = await send(desk, await draft(desk))
    for patch, kind in (
        ({"emailId": "M7-2"}, "invalidProperties"),
        ({"undoStatus": "pending"}, "invalidProperties"),
        ({"colour": "red"}, "invalidProperties"),
    ):
        told = await desk.call("EmailSubmission/set", update={submission: patch})
        assert told["notUpdated"][submission]["type"] == kind
    same = {"undoStatus": "final", "id": submission}
    assert (await desk.call("EmailSubmission/set", update={submission: same}))["updated"] == {submission: None}
    told = await desk.call("EmailSubmission/set", update={"S7-99": {}, "x": {}})
    assert {error["type"] for error in told["notUpdated"].values()} == {"notFound"}


async def test_what_is_over_is_destroyed_and_what_waits_is_not() -> None:
    await over_is_destroyed(await open_desk(undo_s=10.0))


async def over_is_destroyed(desk: Desk) -> None:
    submission = await send(desk, await draft(desk))
    told = await desk.call("EmailSubmission/set", destroy=[submission, "S7-99"])
    assert {name: error["type"] for name, error in told["notDestroyed"].items()} == {
        submission: "forbidden",
        "S7-99": "notFound",
    }
    desk.house.clock.advance(10)
    await desk.house.replay()
    told = await desk.call("EmailSubmission/set", update={submission: {}}, destroy=[submission])
    assert (told["destroyed"], told["notUpdated"][submission]["type"]) == ([submission], "willDestroy")
    told = await desk.call("EmailSubmission/set", update={"S7-99": {}}, destroy=["S7-99"])
    assert told["notUpdated"]["S7-99"]["type"] == told["notDestroyed"]["S7-99"]["type"] == "notFound"
    assert (await desk.call("EmailSubmission/get", ids=[submission]))["notFound"] == [submission]
    assert len(desk.house.onward.taken) == 1


# -- get


async def fate(desk: Desk, submission: str, *fates: RecipientFate) -> None:
    owner, row = ALICE.id, SubmissionId(number(submission))
    await desk.store.submissions.record(owner, row, {one.address: one for one in fates})


async def test_what_became_of_each_recipient(desk: Desk) -> None:
    submission = await send(
        desk, await draft(desk), envelope=to("a@there.example", "b@there.example", "c@there.example")
    )
    at = desk.house.clock.now()
    await fate(
        desk,
        submission,
        RecipientFate("a@there.example", "relayed", "250 2.0.0 taken", at),
        RecipientFate("b@there.example", "failed", "550 5.1.1 nobody", at, "mx.there.example[192.0.2.9]:25"),
        RecipientFate("c@there.example", "delivered", "", at),
    )
    shown = await get(desk, submission)
    status = {address: (one["delivered"], one["smtpReply"]) for address, one in shown["deliveryStatus"].items()}
    assert status == {
        "a@there.example": ("unknown", "250 2.0.0 taken"),
        "b@there.example": ("no", "550 5.1.1 nobody"),
        "c@there.example": ("yes", "250 2.0.0 Ok: queued"),
    }
    assert shown["deliveryTimes"]["b@there.example"] == {
        "outcome": "failed",
        "at": "2027-01-15T08:00:00Z",
        "reply": "550 5.1.1 nobody",
        "nextHop": "mx.there.example",
    }


async def test_reports_that_came_back(desk: Desk) -> None:
    submission = await send(desk, await draft(desk))
    for kind, mark in (("delivery-status", "d"), ("disposition-notification", "m"), ("x-other", "x")):
        report = (
            f"From: <x@there.example>\r\nTo: <alice@ours.example>\r\nSubject: {kind}\r\nMessage-ID: <{mark}@there>\r\n"
            f"References: <1@client.example>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; boundary=b\r\n\r\n"
            f"--b\r\n\r\nSorry\r\n--b\r\nContent-Type: message/{kind}\r\n\r\nAction: x\r\n\r\n--b--\r\n"
        )
        await desk.add(report.encode())
    shown = await get(desk, submission)
    assert (shown["dsnBlobIds"], shown["mdnBlobIds"]) == (["B2"], ["B3"])


async def test_all_submissions_and_some_properties(desk: Desk) -> None:
    first = await send(desk, await draft(desk))
    second = await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<2@")))
    told = await desk.call("EmailSubmission/get", ids=None, properties=["emailId"])
    assert told["list"] == [{"id": second, "emailId": "M7-2"}, {"id": first, "emailId": "M7-1"}]
    told = await desk.call("EmailSubmission/get", ids=[first, "S8-1", "x", first], properties=["id"])
    assert (told["list"], told["notFound"]) == ([{"id": first}], ["S8-1", "x"])


async def test_what_another_door_sent_has_the_identity_of_its_sender(desk: Desk) -> None:
    await desk.house.submit()
    shown = (await desk.call("EmailSubmission/get", ids=None))["list"][0]
    assert shown["identityId"] == await identity(desk)


async def test_what_was_filed_nowhere_is_not_shown(desk: Desk) -> None:
    await desk.parts.sending.submit_message(LOGIN, MESSAGE, WantedEnvelope(), HOME)
    await desk.house.handover.settle_down()
    assert (await desk.call("EmailSubmission/get", ids=None))["list"] == []
    assert (await desk.call("EmailSubmission/get", ids=["S7-1"]))["notFound"] == ["S7-1"]


async def test_what_a_get_refuses(desk: Desk) -> None:
    assert await desk.fail("EmailSubmission/get", properties=["colour"]) == "invalidArguments"
    assert await desk.fail("EmailSubmission/get", ids=["x"] * 501) == "requestTooLarge"
    assert await desk.fail("EmailSubmission/get", accountId="A8") == "accountNotFound"


# -- changes


async def state(desk: Desk) -> str:
    return str((await desk.call("EmailSubmission/get", ids=[]))["state"])


async def test_made_changed_and_destroyed() -> None:
    await made_changed_and_destroyed(await open_desk(undo_s=10.0))


async def made_changed_and_destroyed(desk: Desk) -> None:
    old = await send(desk, await draft(desk))
    gone = await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<2@")))
    desk.house.clock.advance(10)
    since = await state(desk)
    await desk.house.replay()
    await desk.call("EmailSubmission/set", destroy=[gone])
    new = await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<3@")))
    told = await desk.call("EmailSubmission/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([new], [old], [gone])
    assert (told["newState"], told["hasMoreChanges"]) == (await state(desk), False)


async def test_changes_come_in_pieces_that_lead_to_the_end(desk: Desk) -> None:
    since = await state(desk)
    made = [await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<%d@" % n))) for n in range(3)]
    created: list[str] = []
    for _ in range(10):
        told = await desk.call("EmailSubmission/changes", sinceState=since, maxChanges=1)
        created += told["created"]
        since = told["newState"]
        if not told["hasMoreChanges"]:
            break
    assert created == made
    assert since == await state(desk)


async def test_states_that_are_none_or_too_old(desk: Desk) -> None:
    since = await state(desk)
    await send(desk, await draft(desk))
    desk.memory.forget_changes(ALICE.id, await desk.store.changes.modseq(ALICE.id))
    for old in (since, "x"):
        assert await desk.fail("EmailSubmission/changes", sinceState=old) == "cannotCalculateChanges"
        assert await desk.fail("EmailSubmission/queryChanges", sinceQueryState=old) == "cannotCalculateChanges"


# -- query


async def test_queries_filter_and_sort(desk: Desk) -> None:
    first = await send(desk, await draft(desk))
    desk.house.clock.advance(60)
    later = to("bob@there.example", HOLDFOR="3600")
    second = await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<2@")), envelope=later)
    me = await identity(desk)
    assert (await desk.call("EmailSubmission/query"))["ids"] == [second, first]
    for members, ids in (
        ({"emailIds": ["M7-1"]}, [first]),
        ({"emailIds": []}, []),
        ({"threadIds": ["T7-2"]}, [second]),
        ({"identityIds": [me]}, [second, first]),
        ({"identityIds": ["I99"]}, []),
        ({"undoStatus": "pending"}, [second]),
        ({"before": "2027-01-15T08:00:01Z"}, [first]),
        ({"after": "2027-01-15T08:00:01Z"}, [second]),
        ({"operator": "NOT", "conditions": [{"undoStatus": "pending"}]}, [first]),
        ({"operator": "OR", "conditions": [{"emailIds": ["M7-1"]}, {"emailIds": ["M7-2"]}]}, [second, first]),
        ({"operator": "AND", "conditions": [{"emailIds": ["M7-1"]}, {"undoStatus": "pending"}]}, []),
    ):
        assert (await desk.call("EmailSubmission/query", filter=members))["ids"] == ids, members
    for name in ("sentAt", "emailId", "threadId"):
        told = await desk.call("EmailSubmission/query", sort=[{"property": name}], calculateTotal=True)
        assert (told["ids"], told["total"]) == ([first, second], 2)
    told = await desk.call("EmailSubmission/query", position=1, limit=1)
    assert (told["ids"], told["position"]) == ([first], 1)


async def test_what_a_query_refuses(desk: Desk) -> None:
    assert await desk.fail("EmailSubmission/query", filter={"colour": 1}) == "invalidArguments"
    assert await desk.fail("EmailSubmission/query", filter={"before": "today"}) == "invalidArguments"
    assert await desk.fail("EmailSubmission/query", sort=[{"property": "colour"}]) == "unsupportedSort"
    assert await desk.fail("EmailSubmission/query", anchor="x") == "anchorNotFound"


async def test_what_became_of_a_query(desk: Desk) -> None:
    first = await send(desk, await draft(desk))
    before = await desk.call("EmailSubmission/query")
    assert before["canCalculateChanges"] is True
    second = await send(desk, await draft(desk, MESSAGE.replace(b"<1@", b"<2@")))
    told = await desk.call("EmailSubmission/queryChanges", sinceQueryState=before["queryState"], calculateTotal=True)
    assert (told["removed"], told["added"], told["total"]) == ([second], [{"id": second, "index": 0}], 2)
    assert (await desk.call("EmailSubmission/query"))["ids"] == [second, first]
    too_many = {"sinceQueryState": before["queryState"], "maxChanges": 1}
    assert await desk.fail("EmailSubmission/queryChanges", **too_many) == "tooManyChanges"


async def test_a_query_by_threads_cannot_be_compared(desk: Desk) -> None:
    by_thread: Told = {"filter": {"threadIds": ["T7-1"]}}
    told = await desk.call("EmailSubmission/query", **by_thread)
    assert told["canCalculateChanges"] is False
    arguments = {"sinceQueryState": told["queryState"], **by_thread}
    assert await desk.fail("EmailSubmission/queryChanges", **arguments) == "cannotCalculateChanges"
