"""MDN/send and MDN/parse (RFC 9007), with the real MSA behind."""

from __future__ import annotations

from dataclasses import replace
from email import message_from_bytes
from email.message import Message

import pytest

from posthouse.message.mailbox import Role
from posthouse.msa.limits import SendLimits
from posthouse.ports.login import Scope
from tests.access.jmap_kit import LOGIN, Desk, Told, letter, open_desk
from tests.msa.submit_kit import House

ASKING = letter(
    "tea", Disposition_Notification_To="Bob <bob@there.example>", Original_Recipient="rfc822;a.smith@ours.example"
)
DISPOSITION = {"actionMode": "manual-action", "sendingMode": "mdn-sent-manually", "type": "displayed"}
MARK = {"keywords/$mdnsent": True}


@pytest.fixture
async def desk() -> Desk:
    return await open_desk(ASKING, letter("plain"))


async def identity(desk: Desk) -> str:
    found = (await desk.call("Identity/get", ids=None))["list"]
    return str(next(one["id"] for one in found if one["isDefault"]))


async def send(desk: Desk, email: str = "M7-1", mark: Told | None = MARK, **more: object) -> Told:
    """What became of one."""
    record = {"forEmailId": email, "disposition": DISPOSITION, **more}
    updates = None if mark is None else {"#k": mark}
    told = await desk.call(
        "MDN/send", identityId=await identity(desk), send={"k": record}, onSuccessUpdateEmail=updates
    )
    return dict((told["sent"] or told["notSent"])["k"])


async def receipt(desk: Desk) -> Message:
    """What went out."""
    body = desk.house.onward.taken[-1].body
    return message_from_bytes(await body.read(0, body.size))


def parts_of(message: Message) -> list[Message]:
    found = message.get_payload()
    assert isinstance(found, list)
    return [part for part in found if isinstance(part, Message)]


# -- send


async def test_a_receipt_goes_to_who_asked_from_nobody_and_marks_the_email(desk: Desk) -> None:
    record = {"forEmailId": "M7-1", "disposition": DISPOSITION, "subject": "Gelesen", "textBody": "Grüße\nBis bald"}
    arguments = {
        "accountId": "A7",
        "identityId": await identity(desk),
        "send": {"k": record},
        "onSuccessUpdateEmail": {"#k": MARK},
    }
    answers = await desk.ask(("MDN/send", arguments))
    assert [name for name, _ in answers] == ["MDN/send", "Email/set"]
    assert answers[0][1]["sent"]["k"] == {
        "finalRecipient": "rfc822;alice@ours.example",
        "originalRecipient": "rfc822;a.smith@ours.example",
        "originalMessageId": "<tea@there.example>",
        "mdnGateway": None,
        "error": None,
    }
    assert answers[1][1]["updated"] == {"M7-1": None}
    queued = desk.house.onward.taken[0]
    assert queued.envelope.sender is None
    assert [str(one.recipient.address) for one in queued.recipients] == ["bob@there.example"]
    sent = await receipt(desk)
    assert (sent["From"], sent["To"], sent["Subject"]) == (
        "Alice <alice@ours.example>",
        "<bob@there.example>",
        "Gelesen",
    )
    assert (sent["References"], sent["Auto-Submitted"]) == ("<tea@there.example>", "auto-replied")
    assert sent.get_content_type() == "multipart/report"
    assert sent.get_param("report-type") == "disposition-notification"
    text, notification = parts_of(sent)
    assert text.get_payload(decode=True) == "Grüße\r\nBis bald\r\n".encode()
    fields = dict(parts_of(notification)[0].items())
    assert fields == {
        "Original-Recipient": "rfc822;a.smith@ours.example",
        "Final-Recipient": "rfc822;alice@ours.example",
        "Original-Message-ID": "<tea@there.example>",
        "Disposition": "manual-action/MDN-sent-manually; displayed",
    }
    assert (await desk.call("Email/get", ids=["M7-1"], properties=["keywords"]))["list"][0]["keywords"] == {
        "$mdnsent": True
    }


async def test_a_receipt_with_all_a_client_can_say(desk: Desk) -> None:
    told = await send(
        desk,
        reportingUA="joes-pc; Foomail 97.1",
        finalRecipient="rfc822; a.smith@ours.example",
        includeOriginalMessage=True,
        extensionFields={"X-Mood": "good"},
    )
    assert "finalRecipient" not in told
    _, notification, original = parts_of(await receipt(desk))
    fields = dict(parts_of(notification)[0].items())
    assert (fields["Reporting-UA"], fields["X-Mood"]) == ("joes-pc; Foomail 97.1", "good")
    assert fields["Final-Recipient"] == "rfc822;a.smith@ours.example"
    assert parts_of(original)[0]["Subject"] == "tea"


async def test_a_receipt_is_sent_once(desk: Desk) -> None:
    await send(desk)
    assert await send(desk) == {"type": "mdnAlreadySent"}
    assert len(desk.house.onward.taken) == 1


@pytest.mark.parametrize("mark", [None, {}, {"keywords/$seen": True}, {"keywords/$mdnsent": None}])
async def test_a_receipt_that_would_not_be_remembered_is_not_sent(desk: Desk, mark: Told | None) -> None:
    assert (await send(desk, mark=mark))["type"] == "invalidProperties"
    assert desk.house.onward.taken == []


async def test_all_keywords_may_be_set_at_once(desk: Desk) -> None:
    assert "type" not in await send(desk, mark={"keywords": {"$seen": True, "$mdnsent": True}})


async def test_an_email_that_is_not_there_or_asks_nobody(desk: Desk) -> None:
    for email in ("M7-99", "M1-1", "x", "#nothing", "M7-2"):
        assert (await send(desk, email))["type"] == "notFound"


async def test_one_may_not_answer_for_others(desk: Desk) -> None:
    assert (await send(desk, finalRecipient="rfc822;x@else.example"))["type"] == "forbiddenFrom"


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({"subject": "a\r\nBcc: x@y.example"}, ["subject"]),
        ({"reportingUA": "a\nX-Evil: b"}, ["reportingUA"]),
        ({"finalRecipient": "no address"}, ["finalRecipient"]),
        ({"extensionFields": {"Subject": "x"}}, ["extensionFields"]),
        ({"extensionFields": {"X-A": "a\0b"}}, ["extensionFields"]),
        ({"disposition": {"actionMode": "manual-action"}}, ["disposition"]),
        ({"disposition": {**DISPOSITION, "type": "eaten"}}, ["disposition"]),
        ({"originalMessageId": "<x@y>"}, ["originalMessageId"]),
        ({"textBody": "x" * 100_001}, ["textBody"]),
    ],
)
async def test_what_no_receipt_can_be(desk: Desk, record: Told, properties: list[str]) -> None:
    error = await send(desk, **record)
    assert (error["type"], error["properties"]) == ("invalidProperties", properties)
    assert desk.house.onward.taken == []


async def test_a_subject_of_others_brings_no_field_of_its_own() -> None:
    octets = ASKING.replace(b"Subject: tea", b"Subject: =?utf-8?q?a=0D=0ABcc:_x@y.example?=")
    desk = await open_desk(octets)
    await send(desk)
    sent = await receipt(desk)
    assert sent["Bcc"] is None
    assert sent["Subject"].startswith("Read: a")


async def test_what_a_send_refuses_as_a_whole(desk: Desk) -> None:
    me = await identity(desk)
    assert await desk.fail("MDN/send", identityId="I99", send={}) == "invalidArguments"
    assert await desk.fail("MDN/send", accountId="A8", identityId=me, send={}) == "invalidArguments"
    many: Told = {f"k{number}": {} for number in range(501)}
    assert await desk.fail("MDN/send", identityId=me, send=many) == "requestTooLarge"
    reader = desk.as_login(replace(LOGIN, scopes=frozenset({Scope.READ})))
    assert await reader.fail("MDN/send", identityId=me, send={}) == "forbidden"


async def test_too_many_for_now_and_who_may_not_be_written_to() -> None:
    asking_many = ASKING.replace(b"bob@there.example", b"nobody@ours.example")
    desk = await open_desk(ASKING, asking_many, house=House(SendLimits(messages_per_hour=1)))
    assert (await send(desk, "M7-2"))["type"] == "forbidden"
    await desk.add(letter("more", Disposition_Notification_To="bob@there.example"))
    await send(desk, "M7-1")
    assert (await send(desk, "M7-3"))["type"] == "rateLimit"


# -- parse


def write_receipt(*fields: str, kind: str = "disposition-notification") -> bytes:
    lines = [
        "From: bob@there.example",
        "Subject: =?utf-8?q?Gelesen=3A_gr=C3=BCn?=",
        "MIME-Version: 1.0",
        f"Content-Type: multipart/report; report-type={kind}; boundary=b",
        "",
        "--b",
        "Content-Type: text/plain",
        "",
        "I have read it.",
        "--b",
        f"Content-Type: message/{kind}",
        "",
        *fields,
        "",
        "--b--",
        "",
    ]
    return "\r\n".join(lines).encode()


async def test_a_receipt_is_read() -> None:
    desk = await open_desk(ASKING)
    octets = write_receipt(
        "Reporting-UA: joes-pc;",
        " Foomail 97.1",
        "MDN-Gateway: smtp; mx.there.example",
        "Original-Recipient: rfc822;b@there.example",
        "Final-Recipient: rfc822;bob@there.example",
        "Original-Message-ID: <tea@there.example>",
        "Disposition: Manual-Action/MDN-sent-manually; Displayed/error",
        "Error: out of tea",
        "X-Mood: good",
    )
    await desk.add(octets)
    told = await desk.call("MDN/parse", blobIds=["B2", "B1", "B9", "x"])
    assert told["parsed"] == {
        "B2": {
            "forEmailId": "M7-1",
            "subject": "Gelesen: grün",
            "textBody": "I have read it.",
            "includeOriginalMessage": False,
            "reportingUA": "joes-pc; Foomail 97.1",
            "mdnGateway": "smtp; mx.there.example",
            "originalRecipient": "rfc822;b@there.example",
            "finalRecipient": "rfc822;bob@there.example",
            "originalMessageId": "<tea@there.example>",
            "disposition": DISPOSITION,
            "error": ["out of tea"],
            "extensionFields": {"X-Mood": "good"},
        }
    }
    assert (told["notParsable"], told["notFound"]) == (["B1"], ["B9", "x"])


@pytest.mark.parametrize(
    "octets",
    [
        write_receipt("Final-Recipient: rfc822;a@b.example"),
        write_receipt("Disposition: manual-action/MDN-sent-manually; displayed"),
        write_receipt("Final-Recipient: rfc822;a@b.example", "Disposition: whatever; eaten"),
        write_receipt("Final-Recipient: rfc822;a@b.example", kind="delivery-status"),
        b"",
        b"\0\xff",
    ],
)
async def test_what_is_no_receipt(octets: bytes) -> None:
    desk = await open_desk()
    writer = desk.parts.uploads.begin(LOGIN.account, "message/rfc822")
    await writer.write(octets)
    blob = f"U{(await writer.finish()).id}"
    assert (await desk.call("MDN/parse", blobIds=[blob]))["notParsable"] == [blob]


async def test_ones_own_receipt_is_read_back(desk: Desk) -> None:
    await send(desk, textBody="Grüße", includeOriginalMessage=True)
    body = desk.house.onward.taken[0].body
    added = await desk.add(await body.read(0, body.size), Role.INBOX)
    told = (await desk.call("MDN/parse", blobIds=[f"B{added.email}"]))["parsed"][f"B{added.email}"]
    assert (told["forEmailId"], told["disposition"], told["includeOriginalMessage"]) == ("M7-1", DISPOSITION, True)
    assert told["textBody"] == "Grüße\n"


async def test_what_a_parse_refuses(desk: Desk) -> None:
    assert await desk.fail("MDN/parse", accountId="A8", blobIds=[]) == "invalidArguments"
    assert await desk.fail("MDN/parse", blobIds=["x"] * 501) == "requestTooLarge"
