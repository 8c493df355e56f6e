"""Reports: who gets one, about what, and that every octet of it may be sent."""

from __future__ import annotations

import email
import email.policy
import quopri
import random
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage, Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import Address, parse_address
from posthouse.message.envelope import BodyType, Envelope, Notify, Recipient, Ret
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Refused
from posthouse.message.reply import Reply
from posthouse.mta.bounce import make_report
from posthouse.mta.reports import (
    Delayed,
    Expired,
    ReportDraft,
    ReportSettings,
    Result,
    original_length,
    plan_reports,
    read_original,
)
from posthouse.mta.schedule import RetrySchedule
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import DirectoryError
from posthouse.ports.spool import InlineBody, QueuedMessage, QueuedRecipient, Status
from posthouse.ports.spool_memory import MemorySpool

NOW = Instant(1_800_000_000.0)
SETTINGS = ReportSettings("mail.example.org", parse_address("admin@example.org"))
REMOTE = "mx1.example.net[192.0.2.1]:25"
NO_USER = Refused(Reply(550, "5.1.1", "No such user here"), REMOTE)
RECEIVED = Delivered(Reply(250, "2.0.0", "Ok"), REMOTE, relayed=True)
MAILBOX = Delivered(Reply(250, "2.0.0", "Delivered"))
DELAYED = Delayed(Reply(451, "4.3.2", "Come back later"), REMOTE, Instant(NOW + 86400))
HEADER = b"From: ann@example.org\r\nSubject: Lunch\r\nMessage-ID: <lunch@example.org>\r\n"
TRACE = b"Received: by mail.example.org; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
SENDER = parse_address("ann@example.org")


def make_message(
    *recipients: Recipient,
    sender: Address | None = SENDER,
    body: bytes = HEADER + b"\r\nAt noon?\r\n",
    is_report: bool = False,
) -> QueuedMessage:
    rows = [QueuedRecipient(number, one, Status.WAITING, NOW) for number, one in enumerate(recipients)]
    arrived = Instant(NOW - 3600)
    envelope = Envelope(sender, recipients)
    return QueuedMessage(
        QueueId("0012345678901"), envelope, rows, TRACE, InlineBody(body), arrived, "192.0.2.7", is_report=is_report
    )


def declare(
    message: QueuedMessage,
    *,
    ret: Ret | None = None,
    envid: str | None = None,
    smtputf8: bool = False,
    body: BodyType = BodyType.SEVENBIT,
) -> QueuedMessage:
    """The message with these parameters of MAIL."""
    message.envelope = replace(message.envelope, ret=ret, envid=envid, smtputf8=smtputf8, body=body)
    return message


def to(text: str, notify: Notify = Notify.UNSET, orcpt: tuple[str, str] | None = None) -> Recipient:
    return Recipient(parse_address(text), notify, orcpt)


def plan(message: QueuedMessage, *results: Result, settings: ReportSettings = SETTINGS) -> list[ReportDraft]:
    paired = list(zip(message.recipients, results, strict=True))
    assert message.body.inline is not None
    whole = message.trace + message.body.inline
    return plan_reports(
        message, paired, settings, NOW, whole[: original_length(message, paired, settings.max_original)]
    )


def read(draft: ReportDraft) -> Message:
    check_octets(draft)
    return email.message_from_bytes(draft.data)


def check_octets(draft: ReportDraft) -> None:
    assert max(map(len, draft.data.split(b"\r\n"))) <= 998
    rest = draft.data.replace(b"\r\n", b"")
    assert b"\r" not in rest
    assert b"\n" not in rest
    assert b"\x00" not in rest
    assert draft.data.isascii() or draft.envelope.body is BodyType.EIGHTBITMIME


def children_of(message: Message) -> list[Message]:
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [child for child in payload if isinstance(child, Message)]


def decode(message: Message) -> bytes:
    octets = message.get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


def parts_of(draft: ReportDraft) -> tuple[str, list[Message], Message]:
    """The text for people as one line, the blocks of the delivery status, the original."""
    text, status, original = children_of(read(draft))
    return " ".join(decode(text).decode("utf-8").split()), blocks_of(status), original


def blocks_of(status: Message) -> list[Message]:
    if status.get_content_type() == "message/delivery-status":
        return children_of(status)
    octets = quopri.decodestring(children_of(status)[0].as_bytes())  # the library reads message/* as a message
    blocks = octets.replace(b"\r\n", b"\n").strip().split(b"\n\n")
    return [email.message_from_bytes(block + b"\n") for block in blocks]


def test_a_failure_is_told_in_three_parts() -> None:
    (draft,) = plan(make_message(to("bob@example.net")), NO_USER)
    message = read(draft)
    assert message.get_content_type() == "multipart/report"
    assert message.get_param("report-type") == "delivery-status"
    assert message["From"] == "Mail Delivery System <MAILER-DAEMON@mail.example.org>"
    assert message["To"] == "<ann@example.org>"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message["In-Reply-To"] == message["References"] == "<lunch@example.org>"
    assert message["Message-ID"].endswith("@mail.example.org>")
    assert message["Date"] == "Fri, 15 Jan 2027 08:00:00 +0000"
    assert draft.envelope.sender is None
    assert [one.address for one in draft.envelope.recipients] == [SENDER]
    assert not draft.held
    text, _, original = parts_of(draft)
    assert "There is no such mailbox. Check the part before the @ for typing errors" in text
    assert "550 5.1.1 No such user here" in text
    assert "0012345678901" in text
    assert original.get_content_type() == "message/rfc822"


def test_the_delivery_status_has_every_field() -> None:
    recipient = to("bob@example.net", orcpt=("rfc822", "robert@example.com"))
    (draft,) = plan(declare(make_message(recipient), envid="env 1"), NO_USER)
    about_message, about_bob = parts_of(draft)[1]
    assert dict(about_message.items()) == {
        "Original-Envelope-Id": "env 1",
        "Reporting-MTA": "dns; mail.example.org",
        "Received-From-MTA": "dns; [192.0.2.7]",
        "Arrival-Date": "Fri, 15 Jan 2027 07:00:00 +0000",
        "X-Posthouse-Queue-ID": "0012345678901",
    }
    assert dict(about_bob.items()) == {
        "Original-Recipient": "rfc822; robert@example.com",
        "Final-Recipient": "rfc822; bob@example.net",
        "Action": "failed",
        "Status": "5.1.1",
        "Remote-MTA": "dns; mx1.example.net",
        "Diagnostic-Code": "smtp; 550 5.1.1 No such user here",
        "Last-Attempt-Date": "Fri, 15 Jan 2027 08:00:00 +0000",
    }


def test_recipients_that_failed_are_told_in_one_report() -> None:
    message = make_message(*(to(f"user{number}@example.net") for number in range(50)))
    (draft,) = plan(message, *[NO_USER] * 50)
    text, blocks, _ = parts_of(draft)
    assert len(blocks) == 51
    assert text.count("There is no such mailbox") == 1
    assert text.count("@example.net>") == 50


def test_failures_delays_and_successes_are_told_apart() -> None:
    message = make_message(to("a@x.example"), to("b@x.example"), to("c@x.example", Notify.SUCCESS))
    drafts = plan(message, NO_USER, DELAYED, MAILBOX)
    actions = [[block["Action"] for block in parts_of(draft)[1][1:]] for draft in drafts]
    assert actions == [["failed"], ["delayed"], ["delivered"]]


@pytest.mark.parametrize(
    ("notify", "result", "action"),
    [
        (Notify.UNSET, NO_USER, "failed"),
        (Notify.FAILURE, NO_USER, "failed"),
        (Notify.SUCCESS, NO_USER, None),
        (Notify.DELAY, NO_USER, None),
        (Notify.NEVER, NO_USER, None),
        (Notify.UNSET, Expired(), "failed"),
        (Notify.NEVER, Expired(), None),
        (Notify.UNSET, DELAYED, "delayed"),
        (Notify.DELAY | Notify.FAILURE, DELAYED, "delayed"),
        (Notify.FAILURE, DELAYED, None),
        (Notify.NEVER, DELAYED, None),
        (Notify.UNSET, MAILBOX, None),
        (Notify.SUCCESS, MAILBOX, "delivered"),
        (Notify.SUCCESS, RECEIVED, "relayed"),
        (Notify.FAILURE | Notify.DELAY, RECEIVED, None),
        (Notify.SUCCESS, Delivered(Reply(250), REMOTE, relayed=True, dsn_passed=True), None),
        (Notify.UNSET, Deferred(Reply(451)), None),
        (Notify.SUCCESS, Deferred(Reply(451)), None),
    ],
)
def test_notify_decides_who_is_told(notify: Notify, result: Result, action: str | None) -> None:
    drafts = plan(make_message(to("bob@example.net", notify)), result)
    assert [block["Action"] for draft in drafts for block in parts_of(draft)[1][1:]] == ([action] if action else [])


def test_a_bounce_to_the_empty_sender_is_dropped() -> None:
    assert plan(make_message(to("bob@example.net"), sender=None), NO_USER) == []


def test_a_report_that_cannot_be_delivered_goes_to_the_postmaster() -> None:
    (draft,) = plan(make_message(to("ann@example.org"), sender=None, is_report=True), NO_USER)
    assert [str(one.address) for one in draft.envelope.recipients] == ["admin@example.org"]
    assert draft.envelope.sender is None
    assert read(draft)["Auto-Submitted"] == "auto-generated"
    assert "It comes to you as the" in parts_of(draft)[0]
    assert not draft.held


def test_without_a_postmaster_a_double_bounce_is_held() -> None:
    settings = ReportSettings("mail.example.org")
    (draft,) = plan(make_message(to("ann@example.org"), sender=None, is_report=True), NO_USER, settings=settings)
    assert draft.held
    assert [str(one.address) for one in draft.envelope.recipients] == ["postmaster@mail.example.org"]


def test_a_double_bounce_that_fails_ends_there() -> None:
    assert plan(make_message(to("admin@example.org"), sender=None, is_report=True), NO_USER) == []


def test_the_delay_of_a_report_is_told_to_nobody() -> None:
    assert plan(make_message(to("ann@example.org"), sender=None, is_report=True), DELAYED) == []


def test_a_delay_says_until_when_it_will_be_tried() -> None:
    (draft,) = plan(make_message(to("bob@example.net")), DELAYED)
    text, (_, block), original = parts_of(draft)
    assert (block["Status"], block["Will-Retry-Until"]) == ("4.3.2", "Sat, 16 Jan 2027 08:00:00 +0000")
    assert "You need to do nothing" in text
    assert original.get_content_type() == "text/rfc822-headers"


def test_what_expired_has_its_last_reply() -> None:
    (draft,) = plan(make_message(to("bob@example.net")), Expired(Reply(421, "", "Too busy"), REMOTE))
    _, (_, block), _ = parts_of(draft)
    assert (block["Status"], block["Diagnostic-Code"]) == ("4.4.7", "smtp; 421 Too busy")
    (draft,) = plan(make_message(to("bob@example.net")), Expired())
    _, (_, block), _ = parts_of(draft)
    assert "Diagnostic-Code" not in block


@pytest.mark.parametrize("status", ["5.7.1", "5.0.0", "5.3.5", "5.5.1", "5.6.1", "5.1.8"])
def test_what_we_refuse_ourselves_is_not_put_on_another_server(status: str) -> None:
    (draft,) = plan(make_message(to("bob@example.net")), Refused(Reply(550, status, "Not by us")))
    text = parts_of(draft)[0]
    assert "This mail system" in text
    assert "other server" not in text
    assert "other mail system" not in text
    (draft,) = plan(make_message(to("bob@example.net")), Refused(Reply(550, status, "Not by us"), REMOTE))
    assert "other server" in parts_of(draft)[0] or "other mail system" in parts_of(draft)[0] or status == "5.5.1"


@pytest.mark.parametrize("reply", [Reply(556, "5.1.10", "null MX"), Reply(550, "5.4.4", "neither MX nor address")])
def test_a_domain_that_takes_no_mail_is_not_said_to_be_missing(reply: Reply) -> None:
    (draft,) = plan(make_message(to("bob@example.net")), Refused(reply))
    assert "does not exist" not in parts_of(draft)[0]


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Gr\u00fc\u00dfe"),
        (b"Re: =?iso-8859-1?Q?caf=E9?= =?iso-8859-1?Q?_au_lait?=", "Re: caf\u00e9 au lait"),
        (b"=?utf-8?B?YQ0KQmNjOiB4?=", "a Bcc: x"),
        (b"plain", "plain"),
    ],
)
def test_the_subject_is_told_in_readable_letters(subject: bytes, shown: str) -> None:
    message = make_message(to("bob@example.net"), body=b"Subject: " + subject + b"\r\n\r\nhello\r\n")
    (draft,) = plan(message, Refused(Reply(550, "5.1.1", "no"), REMOTE))
    assert f'The subject of the message: "{shown}".' in parts_of(draft)[0]


@pytest.mark.parametrize(
    ("trace", "shown"),
    [
        (b"Received: from relay.example.org (r.example.org [192.0.2.9])\r\n\tby mx; now\r\n",
         "dns; relay.example.org ([192.0.2.9])"),
        (b"Received: from [192.0.2.9] ([192.0.2.9])\r\n\tby mx; now\r\n", "dns; [192.0.2.9]"),
        (b"", "dns; [192.0.2.9]"),
    ],
)  # fmt: skip
def test_who_gave_us_the_message_is_named_as_it_called_itself(trace: bytes, shown: str) -> None:
    message = replace(make_message(to("bob@example.net")), trace=trace, source="192.0.2.9")
    (draft,) = plan(message, Refused(Reply(550, "5.1.1", "no"), REMOTE))
    assert parts_of(draft)[1][0]["Received-From-MTA"] == shown


def test_our_own_words_are_not_called_smtp() -> None:
    (draft,) = plan(make_message(to("bob@example.net")), Refused(Reply(556, "5.1.10", "Domain takes no mail")))
    _, (_, block), _ = parts_of(draft)
    assert block["Diagnostic-Code"] == "x-posthouse; 556 5.1.10 Domain takes no mail"
    assert "Remote-MTA" not in block


@pytest.mark.parametrize(
    ("reply", "status"),
    [(Reply(550, "", "x"), "5.0.0"), (Reply(550, "4.2.2", "x"), "5.2.2"), (Reply(550, "5.x", "x"), "5.0.0")],
)
def test_the_status_of_a_failure_is_of_class_five(reply: Reply, status: str) -> None:
    (draft,) = plan(make_message(to("bob@example.net")), Refused(reply, REMOTE))
    assert parts_of(draft)[1][1]["Status"] == status


@pytest.mark.parametrize(
    ("ret", "kind"), [(None, "message/rfc822"), (Ret.FULL, "message/rfc822"), (Ret.HDRS, "text/rfc822-headers")]
)
def test_ret_decides_how_much_is_returned(ret: Ret | None, kind: str) -> None:
    (draft,) = plan(declare(make_message(to("bob@example.net")), ret=ret), NO_USER)
    original = parts_of(draft)[2]
    assert original.get_content_type() == kind
    assert b"Subject: Lunch" in draft.data
    assert (b"At noon?" in draft.data) == (kind == "message/rfc822")


def test_of_a_large_message_only_the_header_is_returned() -> None:
    message = make_message(to("bob@example.net"), body=HEADER + b"\r\n" + b"text\r\n" * 1000)
    declare(message, ret=Ret.FULL)
    settings = ReportSettings("mail.example.org", None, max_original=1000)
    (draft,) = plan(message, NO_USER, settings=settings)
    assert parts_of(draft)[2].get_content_type() == "text/rfc822-headers"
    assert len(draft.data) < 4000


@pytest.mark.parametrize("body", [b"a" * 999 + b"\r\n", b"a\nb\r\n", b"a\rb\r\n", b"\x00\r\n"])
def test_a_message_that_could_not_be_sent_is_not_returned_in_full(body: bytes) -> None:
    (draft,) = plan(make_message(to("bob@example.net"), body=HEADER + b"\r\n" + body), NO_USER)
    assert parts_of(draft)[2].get_content_type() == "text/rfc822-headers"


def test_generated_mail_never_has_lines_above_998_octets() -> None:
    body = b"X-Long: " + b"x" * 5000 + b"\r\nSubject: " + b"word " * 1000 + b"\r\n\r\n"
    refused = Refused(Reply(550, "5.7.1", "no " * 2000 + "n" * 3000), "m" * 2000 + "[192.0.2.1]:25")
    message = make_message(to("bob@example.net", orcpt=("rfc822", "o" * 3000)), body=body)
    declare(message, ret=Ret.HDRS, envid="e" * 2000)
    (draft,) = plan(message, refused)
    check_octets(draft)


def test_an_8bit_message_is_returned_as_8bitmime() -> None:
    (draft,) = plan(make_message(to("bob@example.net"), body=HEADER + b"\r\n\xe4\r\n"), NO_USER)
    assert draft.envelope.body is BodyType.EIGHTBITMIME
    assert read(draft)["Content-Transfer-Encoding"] == "8bit"
    assert parts_of(draft)[2]["Content-Transfer-Encoding"] == "8bit"


def test_a_binary_message_is_not_returned_in_full() -> None:
    message = make_message(to("bob@example.net"), body=HEADER + b"\r\n\x00\r\n")
    declare(message, body=BodyType.BINARYMIME)
    (draft,) = plan(message, NO_USER)
    assert draft.data.isascii()


def test_a_recipient_in_utf8_is_reported_in_ascii_to_an_ascii_sender() -> None:
    message = make_message(to("jörg@bücher.example"), body="Subject: ä\r\n\r\nx\r\n".encode())
    declare(message, smtputf8=True)
    (draft,) = plan(message, NO_USER)
    assert draft.data.isascii()
    assert not draft.envelope.smtputf8
    _, status, original = children_of(read(draft))
    assert status.get_content_type() == "message/global-delivery-status"
    assert original.get_content_type() == "message/global-headers"
    assert b"utf-8; j=C3=B6rg@b=C3=BCcher.example" in draft.data


def test_a_sender_in_utf8_gets_an_smtputf8_report() -> None:
    message = make_message(
        to("jörg@example.net"),
        sender=parse_address("ännchen@example.org"),
        body="Subject: ä\r\n\r\nx\r\n".encode(),
    )
    declare(message, smtputf8=True)
    (draft,) = plan(message, NO_USER)
    assert draft.envelope.smtputf8
    assert "To: <ännchen@example.org>".encode() in draft.data
    assert "Final-Recipient: utf-8; jörg@example.net".encode() in draft.data
    assert b"Content-Type: message/global\r\n" in draft.data


def test_a_domain_in_utf8_is_reported_in_its_ascii_form() -> None:
    (draft,) = plan(make_message(to("bob@bücher.example")), NO_USER)
    assert b"Final-Recipient: rfc822; bob@xn--bcher-kva.example" in draft.data


def test_a_boundary_in_the_original_is_no_boundary_of_the_report() -> None:
    (first,) = plan(make_message(to("bob@example.net")), NO_USER)
    (second,) = plan(make_message(to("bob@example.net"), body=HEADER + b"\r\n" + first.data), NO_USER)
    assert len(children_of(read(second))) == 3


def test_a_hostile_message_id_is_not_taken_over() -> None:
    for value in (b"<a b>", b"no brackets", b"<" + b"a" * 2000 + b">", b"<\xe4@b>", b"<a>\r\n <b>"):
        message = make_message(to("bob@example.net"), body=b"Message-ID: " + value + b"\r\n\r\n")
        assert "References" not in read(plan(message, NO_USER)[0])


@given(
    body=st.binary(max_size=200),
    text=st.text(max_size=100),
    remote=st.text(max_size=50),
    envid=st.text(max_size=50),
    orcpt=st.tuples(st.text(max_size=10), st.text(max_size=50)),
    kind=st.sampled_from([Ret.FULL, Ret.HDRS]),
)
def test_whatever_was_said_a_report_is_well_formed(
    body: bytes, text: str, remote: str, envid: str, orcpt: tuple[str, str], kind: Ret
) -> None:
    recipient = to("bob@example.net", orcpt=orcpt)
    message = declare(make_message(recipient, body=body), envid=envid, ret=kind)
    (draft,) = plan(message, Refused(Reply(550, "5.1.1", text), remote))
    check_octets(draft)
    assert len(parts_of(draft)[1]) == 2
    modern = email.message_from_bytes(draft.data, policy=email.policy.default)
    assert isinstance(modern, EmailMessage)
    assert not modern.defects


class FileBody:
    """A body that must be read."""

    inline = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked: list[tuple[int, int]] = []

    @property
    def size(self) -> int:
        return len(self._data)

    async def read(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        return self._data[offset : offset + length]


async def test_of_a_file_only_as_much_is_read_as_is_needed() -> None:
    body = FileBody(HEADER + b"\r\n" + b"x" * 500_000)
    message = make_message(to("bob@example.net"))
    message.body = body
    results: list[tuple[QueuedRecipient, Result]] = [(message.recipients[0], NO_USER)]
    assert original_length(message, [], 1_000_000) == 0
    assert original_length(message, results, 1_000_000) == message.size
    length = original_length(message, results, 1000)
    assert length == 131_072
    assert await read_original(message, length) == (TRACE + HEADER + b"\r\n" + b"x" * 500_000)[:length]
    assert body.asked == [(0, length - len(TRACE))]
    assert await read_original(message, 5) == TRACE[:5]


def test_a_report_to_an_alias_is_queued_for_those_it_stands_for() -> None:
    team, bob = parse_address("team@example.org"), parse_address("bob@example.org")

    def expand(address: Address) -> Sequence[Address]:
        if address == team:
            return (bob, parse_address("carl@example.org"))
        raise DirectoryError("cannot be read")

    def queue(to: Address) -> list[str]:
        draft = ReportDraft(Envelope(None, (Recipient(to),)), b"Message-ID: <1@x>\r\n\r\n")
        spool = MemorySpool(FakeClock())
        report = make_report(spool, draft, NOW, RetrySchedule(), random.Random(1), expand)
        return [str(one.address) for one in report.envelope.recipients]

    assert queue(team) == ["bob@example.org", "carl@example.org"]
    assert queue(bob) == ["bob@example.org"]
