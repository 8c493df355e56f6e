"""Delivery into accounts: what lies in the mailbox, who is full or gone, where tags lead, how often it is parsed."""

from __future__ import annotations

from posthouse.mda.delivery import LocalMailboxes
from posthouse.mda.filing import ByDetail, Filing, Parcel, Stage
from posthouse.mda.maildir_delivery import MaildirPostman
from posthouse.mda.store_delivery import AccountPostman, PostmanParts, PostmanSettings
from posthouse.message.address import parse_address
from posthouse.message.boxes import AccountBox
from posthouse.message.envelope import BodyType, Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role
from posthouse.message.outcome import Deferred, Delivered, Outcome, Refused
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.reply import Reply
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.directory import FakeDirectory, LocalMailbox
from posthouse.ports.maildir import FakeMaildirs
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import Body, InlineBody, QueuedMessage, QueuedRecipient, SpoolError, Status
from posthouse.ports.store import Fields, StoreError
from posthouse.ports.store_memory import MemoryStore, QuotaLimit

TRACE = b"Received: by mail.ours.example\r\n"
BODY = b"From: x@far.example\r\nSubject: Lunch\r\n\r\nAt noon?\r\n"
ANN, BOB = AccountId(1), AccountId(2)


class TaggedDirectory(FakeDirectory):
    """A tag behind "+" is taken off."""

    def mailbox_of(self, address: object) -> LocalMailbox | None:
        name, _, domain = str(address).partition("@")
        name, _, tag = name.partition("+")
        account = self.accounts.get(f"{name}@{domain}")
        return None if account is None else LocalMailbox(account, parse_address(str(address)), tag)


class FileBody:
    """As a body in a file of the spool: it has no octets at hand."""

    inline = None

    def __init__(self, octets: bytes, *, is_broken: bool = False) -> None:
        self._octets, self._is_broken, self.size = octets, is_broken, len(octets)

    async def read(self, offset: int, length: int) -> bytes:
        if self._is_broken:
            raise SpoolError("gone")
        return self._octets[offset : offset + length]


class House:
    def __init__(self, *extra: Stage, retries_full: bool = False) -> None:
        self.store, self.log, self.compute = MemoryStore(FakeClock()), FakeLog(), FakeCompute()
        self.directory = TaggedDirectory(accounts={"ann@ours.example": ANN, "bob@ours.example": BOB})
        self.parsed = 0
        parts = PostmanParts(self.store.messages, self.directory, self._parse, self.compute, self.log, lambda _: 0)
        settings = PostmanSettings(inline_limit=64 * 1024, retries_full=retries_full)
        postman = AccountPostman(parts, (*extra, ByDetail(self.store.mailboxes)), settings)
        maildirs = MaildirPostman(FakeMaildirs(), self.compute, self.log)
        self.mailboxes = LocalMailboxes(maildirs, postman, self.log)

    def _parse(self, octets: bytes) -> ParsedMessage:
        self.parsed += 1
        return parse_message(octets)

    async def deliver(
        self,
        *recipients: str | Recipient,
        body: Body | bytes = BODY,
        sender: str | None = "x@far.example",
        body_type: BodyType = BodyType.SEVENBIT,
    ) -> list[Outcome]:
        people = tuple(one if isinstance(one, Recipient) else Recipient(parse_address(one)) for one in recipients)
        rows = [QueuedRecipient(number, one, Status.WAITING, Instant(0.0)) for number, one in enumerate(people)]
        envelope = Envelope(parse_address(sender) if sender else None, people, body=body_type)
        carried = InlineBody(body) if isinstance(body, bytes) else body
        message = QueuedMessage(QueueId("0012345678901"), envelope, rows, TRACE, carried, Instant(1700000000.0))
        return await self.mailboxes.deliver(message, [(row, AccountBox()) for row in rows])

    async def read(self, account: AccountId, email: int = 1) -> bytes:
        return await self.store.blobs.read(account, EmailId(email))

    async def count(self, account: AccountId, name: str = "INBOX") -> int:
        return next((box.total for box in await self.store.mailboxes.list_all(account) if box.name == name), -1)


async def test_what_is_in_the_mailbox_begins_with_what_delivery_adds() -> None:
    house = House()
    (outcome,) = await house.deliver("ann@ours.example")
    assert outcome == Delivered(Reply(250, "2.0.0", "Delivered to the mailbox"), mailbox="ann@ours.example/INBOX")
    assert await house.read(ANN) == (
        b"Return-Path: <x@far.example>\r\nDelivered-To: ann@ours.example\r\n" + TRACE + BODY
    )


async def test_a_message_for_many_is_parsed_once_and_each_gets_its_own() -> None:
    house = House()
    outcomes = await house.deliver("ann@ours.example", "bob@ours.example")
    assert [type(one) for one in outcomes] == [Delivered, Delivered]
    assert house.parsed == 1
    assert b"Delivered-To: bob@ours.example\r\n" in await house.read(BOB)


async def test_the_parts_of_one_mailing_share_what_was_parsed() -> None:
    house = House()
    rows = [
        QueuedRecipient(n, Recipient(parse_address(name)), Status.WAITING, Instant(0.0))
        for n, name in enumerate(("ann@ours.example", "bob@ours.example"))
    ]
    envelope = Envelope(None, tuple(one.recipient for one in rows))
    message = QueuedMessage(QueueId("0012345678901"), envelope, rows, TRACE, InlineBody(BODY), Instant(0.0))
    for row in rows:
        await house.mailboxes.deliver(message, [(row, AccountBox())])
    assert house.parsed == 1


async def test_the_address_that_the_sender_wrote_is_kept_where_an_alias_led_here() -> None:
    house = House()
    await house.deliver(Recipient(parse_address("ann@ours.example"), orcpt=("rfc822", "team@ours.example")))
    assert b"Delivered-To: ann@ours.example\r\nX-Original-To: team@ours.example\r\n" in await house.read(ANN)


async def test_an_original_recipient_that_is_no_address_is_not_written_into_the_header() -> None:
    house = House()
    await house.deliver(Recipient(parse_address("ann@ours.example"), orcpt=("rfc822", "a@b\r\nX-Forged: yes")))
    assert b"X-" not in await house.read(ANN)


async def test_an_account_that_was_removed_meanwhile_is_no_such_mailbox() -> None:
    house = House()
    del house.directory.accounts["ann@ours.example"]
    (outcome,) = await house.deliver("ann@ours.example")
    assert (type(outcome), outcome.reply.enhanced) == (Refused, "5.1.1")


async def test_an_account_that_was_brought_back_and_is_still_marked_in_the_store_is_put_off() -> None:
    house = House()
    house.store.remove_account(BOB)
    (outcome,) = await house.deliver("bob@ours.example")
    assert isinstance(outcome, Deferred)


async def test_a_full_mailbox_is_refused_or_tried_again_as_configured_and_others_get_theirs() -> None:
    for retries, expected in ((False, (Refused, 552, "5.2.2")), (True, (Deferred, 452, "4.2.2"))):
        house = House(retries_full=retries)
        house.store.quotas_of[ANN] = QuotaLimit(octets=10)
        full, fine = await house.deliver("ann@ours.example", "bob@ours.example")
        assert (type(full), full.reply.code, full.reply.enhanced) == expected
        assert isinstance(fine, Delivered)


async def test_a_store_that_cannot_take_mail_now_is_a_temporary_failure() -> None:
    for switch, code in (("full", "4.3.1"), ("broken", "4.3.0")):
        house = House()
        setattr(house.store, switch, True)
        (outcome,) = await house.deliver("ann@ours.example")
        assert isinstance(outcome, Deferred)
        assert outcome.reply.enhanced == code
    house = House()
    house.store.error = StoreError("locked")
    assert isinstance((await house.deliver("ann@ours.example"))[0], Deferred)


async def test_a_message_that_cannot_be_read_is_a_temporary_failure() -> None:
    house = House()
    assert isinstance((await house.deliver("ann@ours.example", body=FileBody(BODY, is_broken=True)))[0], Deferred)


async def test_mail_that_was_delivered_to_the_account_before_goes_in_circles() -> None:
    house = House()
    (outcome,) = await house.deliver("ann@ours.example", body=b"Delivered-To: ann@ours.example\r\n" + BODY)
    assert (type(outcome), outcome.reply.enhanced) == (Refused, "5.4.6")


async def test_a_large_body_is_parsed_beside_the_loop_and_comes_out_as_it_went_in() -> None:
    house = House()
    large = BODY + b"x" * 70 + b"\r\n" + b"y" * 300_000 + b"\r\n"
    outcomes = await house.deliver("ann@ours.example", "bob@ours.example", body=FileBody(large))
    assert [type(one) for one in outcomes] == [Delivered, Delivered]
    assert house.compute.count == 1
    assert (await house.read(ANN)).endswith(large)
    assert (await house.read(BOB)).endswith(large)


async def test_binary_octets_stay_as_they_came() -> None:
    house = House()
    binary = b"Content-Type: image/png\r\nContent-Transfer-Encoding: binary\r\n\r\n\x00\r\n.\n\r\xff"
    await house.deliver("ann@ours.example", body=binary, body_type=BodyType.BINARYMIME)
    assert (await house.read(ANN)).endswith(binary)


# -- where it is filed


async def test_a_tag_that_names_a_mailbox_leads_there_whatever_its_case() -> None:
    house = House()
    lists = await house.store.mailboxes.create(ANN, "Lists")
    await house.store.mailboxes.create(ANN, "python", parent=lists.id)
    outcomes = [
        (await house.deliver(f"ann+{tag}@ours.example"))[0] for tag in ("lists", "Lists/Python", "nowhere", "lists/x")
    ]
    assert [one.mailbox.partition("@ours.example/")[2] for one in outcomes if isinstance(one, Delivered)] == [
        "lists",
        "Lists/Python",
        "INBOX",
        "INBOX",
    ]
    assert (await house.count(ANN, "Lists"), await house.count(ANN, "python"), await house.count(ANN)) == (1, 1, 2)


async def test_a_stranger_cannot_put_mail_among_what_was_sent() -> None:
    house = House()
    await house.store.mailboxes.open_role(ANN, Role.SENT)
    await house.deliver("ann+sent@ours.example")
    assert (await house.count(ANN, "Sent"), await house.count(ANN)) == (0, 1)


class Fixed:
    """A stage that always answers the same."""

    def __init__(self, answer: Filing | Refused | None) -> None:
        self.answer = answer

    async def file(self, parcel: Parcel) -> Filing | Refused | None:
        assert parcel.parsed.subject == "Lunch"
        return self.answer


async def test_the_first_stage_that_decides_counts() -> None:
    filing = Filing((Role.INBOX, Role.ARCHIVE), frozenset({"\\Flagged", "$Work"}), "INBOX, Archive")
    house = House(Fixed(None), Fixed(filing), Fixed(Refused(Reply(550, "5.7.1", "never"))))
    await house.deliver("ann@ours.example")
    assert (await house.count(ANN), await house.count(ANN, "Archive")) == (1, 1)
    (email,) = await house.store.messages.load_emails(ANN, [EmailId(1)], Fields.NONE)
    assert len(email.placements) == 2


async def test_a_stage_may_refuse_or_drop() -> None:
    refused = Refused(Reply(550, "5.7.1", "Not wanted"))
    assert await House(Fixed(refused)).deliver("ann@ours.example") == [refused]
    house = House(Fixed(Filing(())))
    assert isinstance((await house.deliver("ann@ours.example"))[0], Delivered)
    assert await house.count(ANN) == 0


async def test_a_mailbox_that_is_removed_while_mail_is_on_its_way_gives_way_to_the_inbox() -> None:
    house = House(Fixed(Filing((MailboxId(4711),), name="gone")))
    (outcome,) = await house.deliver("ann@ours.example")
    assert isinstance(outcome, Delivered)
    assert outcome.mailbox.endswith("/INBOX")
    assert await house.count(ANN) == 1
