"""Final delivery: what stands in front of a message, loops, and what the sender hears."""

from __future__ import annotations

import email

from posthouse.mda.delivery import LocalMailboxes
from posthouse.mda.maildir_delivery import MaildirPostman
from posthouse.message.address import Address, parse_address
from posthouse.message.boxes import MaildirBox
from posthouse.message.envelope import BodyType, Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.ports.compute import FakeCompute
from posthouse.ports.maildir import FakeMaildirs
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient, SpoolError, Status

TRACE = b"Received: by mail.example.org\r\n"
BODY = b"From: ann@example.org\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"
SENDER = parse_address("ann@example.org")


class House:
    """A mail system with nothing but mailboxes."""

    def __init__(self) -> None:
        self.maildirs, self.log = FakeMaildirs(), FakeLog()
        self.mailboxes = LocalMailboxes(MaildirPostman(self.maildirs, FakeCompute(), self.log), None, self.log)

    async def deliver(
        self,
        *recipients: str,
        body: Body | bytes = BODY,
        sender: Address | None = SENDER,
        body_type: BodyType = BodyType.SEVENBIT,
    ) -> list[Outcome]:
        people = tuple(Recipient(parse_address(one)) for one in recipients)
        rows = [QueuedRecipient(number, one, Status.WAITING, Instant(0.0)) for number, one in enumerate(people)]
        envelope = Envelope(sender, people, body=body_type)
        carried = InlineBody(body) if isinstance(body, bytes) else body
        message = QueuedMessage(QueueId("0012345678901"), envelope, rows, TRACE, carried, Instant(0.0))
        boxes = [(row, MaildirBox("/mail", f"/mail/{row.recipient.address}")) for row in rows]
        return await self.mailboxes.deliver(message, boxes)


class BrokenBody:
    """A file that is gone."""

    inline = None
    size = 1000

    async def read(self, offset: int, length: int) -> bytes:
        raise SpoolError("gone")


async def test_return_path_and_delivered_to_stand_in_front_of_our_trace() -> None:
    house = House()
    (outcome,) = await house.deliver("bob@example.net")
    assert isinstance(outcome, Delivered)
    assert not outcome.relayed
    assert house.maildirs.delivered["/mail/bob@example.net"] == [
        b"Return-Path: <ann@example.org>\r\nDelivered-To: bob@example.net\r\n" + TRACE + BODY
    ]


async def test_a_report_is_delivered_with_an_empty_return_path() -> None:
    house = House()
    await house.deliver("bob@example.net", sender=None)
    assert house.maildirs.delivered["/mail/bob@example.net"][0].startswith(b"Return-Path: <>\r\n")


async def test_each_recipient_has_a_fate_of_its_own() -> None:
    house = House()
    house.maildirs.failing.add("/mail/b@example.net")
    looping = b"Delivered-To: c@example.net\r\n" + BODY
    outcomes = await house.deliver("a@example.net", "b@example.net", "c@example.net", body=looping)
    assert [type(one) for one in outcomes] == [Delivered, Deferred, Refused]


async def test_mail_that_was_delivered_to_the_same_address_before_goes_in_circles() -> None:
    house = House()
    for field in (
        b"Delivered-To: bob@example.net",
        b"delivered-to:  <BOB@example.net>",
        b"Delivered-To:\r\n bob@example.net",
    ):
        (outcome,) = await house.deliver("Bob@example.net", body=b"A: b\r\n" + field + b"\r\n" + BODY)
        assert isinstance(outcome, Refused)
        assert outcome.reply.enhanced == "5.4.6"
    assert house.maildirs.delivered == {}


async def test_a_delivered_to_of_somebody_else_or_in_the_body_is_no_loop() -> None:
    house = House()
    for body in (b"Delivered-To: list@example.net\r\n" + BODY, BODY + b"Delivered-To: bob@example.net\r\n"):
        assert isinstance((await house.deliver("bob@example.net", body=body))[0], Delivered)


async def test_a_full_disk_is_a_temporary_failure_that_names_no_path() -> None:
    house = House()
    house.maildirs.failing.add("/mail/bob@example.net")
    (outcome,) = await house.deliver("bob@example.net")
    assert isinstance(outcome, Deferred)
    assert outcome.reply.code == 451
    assert "/mail" not in outcome.reply.text
    ((_, _, fields),) = house.log.events
    assert "/mail/bob@example.net" in str(fields["error"])


async def test_a_message_that_cannot_be_read_is_a_temporary_failure() -> None:
    house = House()
    (outcome,) = await house.deliver("bob@example.net", body=BrokenBody())
    assert isinstance(outcome, Deferred)


async def test_binary_parts_are_made_fit_for_files_whose_line_ends_may_change() -> None:
    house = House()
    octets = b"a\r\nb\nc\x00\r\n"
    head = b"MIME-Version: 1.0\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n"
    await house.deliver("bob@example.net", body=head + octets, body_type=BodyType.BINARYMIME)
    (stored,) = house.maildirs.delivered["/mail/bob@example.net"]
    assert email.message_from_bytes(stored.replace(b"\r\n", b"\n")).get_payload(decode=True) == octets


async def test_signed_binary_parts_are_refused() -> None:
    house = House()
    body = b"Content-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\na\nb\r\n--s--\r\n"
    (outcome,) = await house.deliver("bob@example.net", body=body, body_type=BodyType.BINARYMIME)
    assert isinstance(outcome, Refused)
    assert outcome.reply.enhanced == "5.6.3"


async def test_no_boxes_is_no_work() -> None:
    assert await House().deliver() == []
