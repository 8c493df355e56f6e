"""The demo says NO where something is not as it must be."""

from __future__ import annotations

from collections.abc import Sequence
from email.message import EmailMessage

import pytest

from posthouse.app.demo_judge import Boxes, Outcome, Seen, find_sent_problem, judge
from posthouse.app.demo_mail import SENDER, DemoMail, Fate, compose, make_demo_mail, make_door_mail, make_large_mail

BOB = Fate("bob@recipient.example", ("bob@recipient.example/INBOX",))
LOST = Fate("nobody@recipient.example", reply="550 5.1.1")
LATE = Fate("tiny@recipient.example", ("tiny@recipient.example/INBOX",), first_reply="452 4.2.2")


def see(mail: DemoMail, fate: Fate, boxes: Boxes, *ends: str) -> Outcome:
    return judge(mail, fate, Seen({"store": boxes}, {mail.message_id: frozenset(ends)}))


def make_report(*texts: str) -> EmailMessage:
    report = EmailMessage()
    report["Content-Type"] = "multipart/report"
    report.set_payload("\n".join(texts))
    return report


def test_one_copy_that_the_trace_knows_of_is_fine() -> None:
    mail = compose("a", "Hello.", (BOB,))
    outcome = see(mail, BOB, {BOB.places[0]: [mail.message]}, BOB.places[0])
    assert outcome.is_fine
    assert outcome.text == "INBOX"


@pytest.mark.parametrize("count", [0, 2])
def test_a_message_that_is_missing_or_there_twice_is_told(count: int) -> None:
    mail = compose("a", "Hello.", (BOB,))
    outcome = see(mail, BOB, {BOB.places[0]: [mail.message] * count}, BOB.places[0])
    assert outcome.text == f"store: {count} copies in bob@recipient.example/INBOX"


def test_a_message_that_changed_is_told() -> None:
    mail, other = compose("a", "Hello.", (BOB,)), compose("a", "Hallo.", (BOB,))
    assert "changed" in see(mail, BOB, {BOB.places[0]: [other.message]}, BOB.places[0]).text


def test_a_trace_that_ends_before_the_mailbox_is_told() -> None:
    mail = compose("a", "Hello.", (BOB,))
    outcome = see(mail, BOB, {BOB.places[0]: [mail.message]}, "somebody@recipient.example/INBOX")
    assert outcome.problems == {"store": "", "trace": "says nothing of bob@recipient.example/INBOX"}


@pytest.mark.parametrize(
    ("texts", "is_fine"),
    [
        (("nobody@recipient.example", "Action: failed", "550 5.1.1"), True),
        (("nobody@recipient.example", "Action: failed", "550 5.7.1"), False),
        (("nobody@recipient.example", "Action: delayed", "550 5.1.1"), False),
        (("bob@recipient.example", "Action: failed", "550 5.1.1"), False),
    ],
)
def test_a_bounce_names_the_recipient_and_the_reply(texts: Sequence[str], is_fine: bool) -> None:
    mail = compose("a", "Hello.", (LOST,))
    outcome = see(mail, LOST, {f"{SENDER}/INBOX": [make_report(*texts)]}, "550 5.1.1 No such user")
    assert outcome.is_fine == is_fine


def test_a_bounced_message_that_was_delivered_too_is_told() -> None:
    mail = compose("a", "Hello.", (LOST,))
    report = make_report(LOST.recipient, "Action: failed", LOST.reply)
    boxes = {f"{SENDER}/INBOX": [report], f"{LOST.recipient}/INBOX": [mail.message]}
    assert "delivered all the same" in see(mail, LOST, boxes, "550 5.1.1 No such user").text


def test_mail_for_a_full_mailbox_must_have_been_put_off_first() -> None:
    mail = compose("a", "Hello.", (LATE,))
    boxes = {LATE.places[0]: [mail.message]}
    assert see(mail, LATE, boxes, LATE.places[0]).text == "trace: says nothing of 452 4.2.2"
    fine = see(mail, LATE, boxes, LATE.places[0], "452 4.2.2 The mailbox is full")
    assert fine.text == "452 4.2.2; after more quota INBOX"


def test_each_submitted_message_is_in_sent_once() -> None:
    mail, other = compose("a", "Hello.", (BOB,)), compose("b", "Hello.", (BOB,))
    assert find_sent_problem([mail], {f"{SENDER}/Sent": [mail.message]}) == ""
    for found in ([], [mail.message, mail.message], [mail.message, other.message]):
        assert find_sent_problem([mail], {f"{SENDER}/Sent": found}) != ""


def test_no_two_messages_of_the_demo_have_the_same_id() -> None:
    mails = [*make_demo_mail(), make_large_mail(), *(make_door_mail(name) for name in ("SMTP", "LMTP", "a, b"))]
    ids = [mail.message_id for mail in mails]
    assert len(ids) == len(set(ids))
    assert all(" " not in each and "," not in each for each in ids)
