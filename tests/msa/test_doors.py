"""The doors into submit() from the message store, rule by rule of what sending by a folder promises."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import cast

import pytest

from posthouse.message.address import parse_address
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, MailboxId, Role, Uid, UidRange
from posthouse.message.reply import Reply
from posthouse.msa import outbox
from posthouse.msa.doors import DoorParts, Doors
from posthouse.msa.limits import SendLimits
from posthouse.msa.sent import SentParts
from posthouse.msa.submit import SubmitOptions, Submitted
from posthouse.ports.clock import FakeClock
from posthouse.ports.login import Scope
from posthouse.ports.sending import SendRefused, WantedEnvelope
from posthouse.ports.spool import InlineBody, Spool, SpoolError
from posthouse.ports.store import Addition, Fields, FlagEdit, FlagMode, Mailboxes, SubmissionState
from tests.msa.submit_kit import ALICE, LOGIN, MESSAGE, House, changed, parse, uids_of

HOME = "192.0.2.7"


def make_doors(house: House, undo_s: float = 0.0) -> Doors:
    store = house.store
    return Doors(
        DoorParts(
            submitter=house.submitter,
            sent=SentParts(store.submissions, store.messages, store.blobs, house.clock, house.log),
            mailboxes=store.mailboxes,
            blobs=store.blobs,
            annotations=store.annotations,
            changes=store.changes,
            clock=house.clock,
            hostname="mail.ours.example",
            undo_s=undo_s,
        )
    )


@pytest.fixture
async def house() -> House:
    made = House()
    await outbox.turn(made.store.annotations, made.store.mailboxes, ALICE.id, "Outbox", is_on=True)
    return made


def write(number: int, clock: FakeClock, *, to: str = "bob@there.example", more: bytes = b"") -> bytes:
    date = format_datetime(datetime.fromtimestamp(clock.now(), UTC))
    return more + (
        f"From: Alice <alice@ours.example>\r\nTo: {to}\r\nSubject: {number}\r\nDate: {date}\r\n"
        f"Message-ID: <{number}@client.example>\r\n\r\nHello\r\n"
    ).encode("ascii")


async def send(house: House, *messages: bytes) -> list[bool]:
    """Which of them had been sent before."""
    sent = await make_doors(house).send(LOGIN, messages, HOME)
    await house.handover.settle_down()
    return [copy.is_repeat for copy in sent]


async def refuse(house: House, *messages: bytes) -> SendRefused:
    with pytest.raises(SendRefused) as refusal:
        await send(house, *messages)
    return refusal.value


# 5, 7: commit, then answer; one copy


async def test_what_is_put_into_the_outbox_goes_and_its_copy_is_in_sent(house: House) -> None:
    message = write(1, house.clock)
    (copy,) = await make_doors(house).send(LOGIN, [message], HOME)
    await house.handover.settle_down()
    box = await house.find_box(Role.SENT)
    assert box is not None and (copy.mailbox, copy.uidvalidity) == (box.id, box.uidvalidity)
    assert await house.list_copies(Role.SENT) == [message]
    assert [len(taken.recipients) for taken in house.onward.taken] == [1]


async def test_the_programs_own_copy_takes_the_place_of_the_servers(house: House) -> None:
    message = write(1, house.clock)
    (copy,) = await make_doors(house).send(LOGIN, [message], HOME)
    assert copy.mailbox is not None
    own = b"X-Mozilla-Status: 0001\r\n" + message
    addition = Addition((copy.mailbox,), InlineBody(own), await parse(own), flags=frozenset({"\\Seen"}))
    added = await make_doors(house).file_upload(LOGIN, MailboxId(copy.mailbox), own, addition)
    assert await house.list_copies(Role.SENT) == [own]
    assert added.uids[0] != copy.uid


# 6: idempotent


async def test_the_same_message_again_is_answered_and_not_sent_again(house: House) -> None:
    message = write(1, house.clock)
    assert await send(house, message) == [False]
    assert await send(house, message) == [True]
    house.restart()  # killed between commit and answer, the program asks again
    assert await send(house, message) == [True]
    assert len(house.disk.messages) == 1
    assert await house.list_copies(Role.SENT) == [message]


async def test_the_same_message_by_smtp_and_by_the_outbox_is_sent_once(house: House) -> None:
    message = write(1, house.clock)
    await house.submit(message, "bob@there.example")
    assert await send(house, message) == [True]
    assert len(house.disk.messages) == 1


# 3: Bcc


async def test_two_bcc_fields_are_both_removed_from_what_is_sent(house: House) -> None:
    message = write(1, house.clock, more=b"Bcc: carol@there.example\r\nBCC : dan@there.example\r\n")
    assert await send(house, message) == [False]
    (taken,) = house.onward.taken
    assert sorted(str(one.recipient.address) for one in taken.recipients) == [
        "bob@there.example",
        "carol@there.example",
        "dan@there.example",
    ]
    (one,) = await house.store.submissions.list_newest(ALICE.id)
    wire = (await house.store.submissions.wire(ALICE.id, one.id)).inline or b""
    assert b"Subject: 1" in wire and b"carol" not in wire and b"dan" not in wire
    assert await house.list_copies(Role.SENT) == [message]


# 2: who may send as whom


async def test_a_foreign_from_is_refused(house: House) -> None:
    message = write(1, house.clock).replace(b"alice@ours.example", b"boss@ours.example")
    refusal = await refuse(house, message)
    assert refusal.is_policy and refusal.text.startswith("5.7.1 ") and "boss@ours.example" in refusal.text


async def test_a_recipient_whom_a_route_rejects_is_refused_at_once(house: House) -> None:
    house.rejections[parse_address("bob@closed.example")] = Reply(550, "5.7.1", "Closed")
    refusal = await refuse(house, write(1, house.clock, to="bob@closed.example"))
    assert refusal.text == "5.7.1 <bob@closed.example>: Closed"


@pytest.mark.parametrize(
    ("to", "named"),
    [
        ("bob at example", "'bob at example'"),
        ("Bob <bob>, x@there.example", "'bob'"),
        ("x@y.example, c at d", "'c at d'"),
    ],
)
async def test_what_is_no_address_is_named(house: House, to: str, named: str) -> None:
    refusal = await refuse(house, write(1, house.clock, to=to))
    assert refusal.text.startswith(f"5.1.3 {named} is not an address")


async def test_a_bad_recipient_is_named(house: House) -> None:
    refusal = await refuse(house, write(1, house.clock, to="nobody@ours.example"))
    assert refusal.text == "5.1.1 There is no mailbox <nobody@ours.example> here"
    assert not house.disk.messages and await house.list_copies(Role.SENT) == []


# 10: rails


async def test_the_door_is_shut_until_the_account_opens_it() -> None:
    house = House()
    refusal = await refuse(house, write(1, house.clock))
    assert refusal.text.startswith("5.7.1 ") and "off" in refusal.text


async def test_a_migrated_folder_is_not_sprayed_out(house: House) -> None:
    delivered = write(1, house.clock, more=b"Received: by x.example; Thu, 14 Jan 2027 08:00:00 +0000\r\n")
    assert "delivered once" in (await refuse(house, write(2, house.clock), delivered)).text
    old = write(3, house.clock)
    house.clock.advance(4 * 86400)
    assert "3 days" in (await refuse(house, write(4, house.clock), old)).text
    many = [write(number, house.clock) for number in range(21)]
    assert "20 messages" in (await refuse(house, *many)).text
    assert not house.disk.messages and await house.list_copies(Role.SENT) == []


async def test_what_was_delivered_may_be_resent(house: House) -> None:
    head = (
        "Resent-From: alice@ours.example\r\nResent-To: dan@there.example\r\n"
        "Resent-Message-ID: <r@client.example>\r\nResent-Date: "
    )
    date = write(1, house.clock).partition(b"Date: ")[2].partition(b"\r\n")[0].decode()
    message = (head + date + "\r\nReceived: by x.example; Thu, 14 Jan 2027 08:00:00 +0000\r\n").encode() + MESSAGE
    assert await send(house, message) == [False]
    (taken,) = house.onward.taken
    assert [str(one.recipient.address) for one in taken.recipients] == ["dan@there.example"]


async def test_of_several_nothing_goes_when_one_is_wrong(house: House) -> None:
    wrong = write(2, house.clock, to="nobody@ours.example")
    await refuse(house, write(1, house.clock), wrong)
    assert not house.disk.messages and await house.list_copies(Role.SENT) == []


async def test_a_refusal_between_two_says_how_many_had_gone(house: House) -> None:
    places = iter([True, False])

    def find_shard() -> Spool:
        if not next(places):
            raise SpoolError("disk full")
        return house.spool

    house.find_shard = find_shard  # type: ignore[method-assign]
    house.restart()
    refusal = await refuse(house, write(1, house.clock), write(2, house.clock))
    assert "1 of them" in refusal.text and refusal.is_temporary


async def test_of_several_beyond_a_limit_none_is_sent(house: House) -> None:
    house.limits = SendLimits(messages_per_hour=2)
    house.restart()
    assert await send(house, write(1, house.clock)) == [False]
    refusal = await refuse(house, write(2, house.clock), write(3, house.clock))
    assert refusal.is_limit and refusal.is_temporary and "2 messages an hour" in refusal.text
    assert len(house.disk.messages) == 1


async def test_recipients_of_several_messages_count_together(house: House) -> None:
    house.limits = SendLimits(recipients_per_hour=3)
    house.restart()
    two = "bob@there.example, carol@there.example"
    refusal = await refuse(house, write(1, house.clock, to=two), write(2, house.clock, to=two))
    assert "to 3 recipients an hour" in refusal.text and not house.disk.messages


async def test_a_repeat_is_answered_although_the_limit_is_reached(house: House) -> None:
    house.limits = SendLimits(messages_per_hour=1)
    house.restart()
    message = write(1, house.clock)
    assert await send(house, message) == [False]
    assert (await refuse(house, write(2, house.clock))).is_limit
    assert await send(house, message) == [True]
    again = await house.submit(message, "bob@there.example")
    assert isinstance(again, Submitted) and again.is_repeat


# 8: undo


async def test_with_an_undo_time_it_waits_in_scheduled_and_can_be_taken_back(house: House) -> None:
    message = write(1, house.clock)
    await make_doors(house, undo_s=10).send(LOGIN, [message], HOME)
    assert await house.list_copies(Role.SCHEDULED) == [message] and not house.onward.taken
    box = await house.find_box(Role.SCHEDULED)
    drafts = await house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    assert box is not None
    snapshot = await house.store.messages.snapshot(ALICE.id, box.id)
    await house.store.messages.move(ALICE.id, box.id, uids_of(snapshot.uids), ALICE.id, drafts.id)
    house.clock.advance(11)
    await house.replay()
    assert not house.onward.taken
    (one,) = await house.store.submissions.list_newest(ALICE.id)
    assert one.state is SubmissionState.CANCELED


async def find_waiting(house: House) -> tuple[Mailbox, EmailId, bytes]:
    """The one message in Scheduled."""
    box = await house.find_box(Role.SCHEDULED)
    assert box is not None
    snapshot = await house.store.messages.snapshot(ALICE.id, box.id)
    (row,) = await house.store.messages.load(ALICE.id, box.id, uids_of(snapshot.uids), Fields.NONE)
    return box, row.email, await house.store.blobs.read(ALICE.id, row.email)


async def empty(house: House, box: Mailbox) -> None:
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))
    everything = (UidRange(Uid(1), Uid(99)),)
    await house.store.messages.set_flags(ALICE.id, box.id, everything, edit)
    await house.store.messages.expunge(ALICE.id, box.id)


async def test_what_is_put_from_scheduled_into_the_outbox_is_sent_now(house: House) -> None:
    message = write(1, house.clock)
    doors = make_doors(house, undo_s=3600)
    (first,) = await doors.send(LOGIN, [message], HOME)
    assert first.send_at == house.clock.now() + 3600
    box, email, octets = await find_waiting(house)
    (copy,) = await doors.send(LOGIN, [octets], HOME, [email])
    assert copy.is_released and not copy.is_repeat and not copy.send_at
    assert await house.list_copies(Role.SENT) == [message] and await house.list_copies(Role.SCHEDULED) == []
    await empty(house, box)  # as a program does that copies and expunges
    await house.replay()
    assert len(house.onward.taken) == 1 == len(house.disk.messages)
    house.clock.advance(7200)
    await house.replay()
    assert len(house.disk.messages) == 1
    assert await house.list_copies(Role.SENT) == [message]


async def test_killed_after_the_release_it_goes_and_comes_into_sent(house: House) -> None:
    message = write(1, house.clock)
    await make_doors(house, undo_s=3600).send(LOGIN, [message], HOME)
    (one,) = await house.store.submissions.list_newest(ALICE.id)
    await house.store.submissions.release(ALICE.id, one.id)
    house.restart()
    await house.replay()
    assert len(house.onward.taken) == 1
    assert await house.list_copies(Role.SENT) == [message] and await house.list_copies(Role.SCHEDULED) == []


async def test_what_was_scheduled_for_others_keeps_its_envelope_when_it_is_sent_now(house: House) -> None:
    later = SubmitOptions(send_at=house.clock.now() + 86400 * 5)
    await house.submit(write(1, house.clock), "dan@there.example", options=later)
    house.clock.advance(86400 * 4)  # too old for the Outbox, were it new
    _, email, octets = await find_waiting(house)
    await make_doors(house).send(LOGIN, [octets], HOME, [email])
    await house.replay()
    (taken,) = house.onward.taken
    assert [str(one.recipient.address) for one in taken.recipients] == ["dan@there.example"]


async def test_a_repeat_of_what_waits_is_answered_with_its_time(house: House) -> None:
    message, doors = write(1, house.clock), make_doors(house, undo_s=3600)
    (first,) = await doors.send(LOGIN, [message], HOME)
    (again,) = await doors.send(LOGIN, [message], HOME)
    assert again.is_repeat and again.send_at == first.send_at
    house.clock.advance(3601)
    await house.replay()
    assert len(house.disk.messages) == 1


async def test_a_repeat_of_what_is_being_deleted_is_sent(house: House) -> None:
    message, doors = write(1, house.clock), make_doors(house, undo_s=60)
    await doors.send(LOGIN, [message], HOME)
    box, _, _ = await find_waiting(house)
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))
    await house.store.messages.set_flags(ALICE.id, box.id, (UidRange(Uid(1), Uid(1)),), edit)
    (again,) = await doors.send(LOGIN, [message], HOME)
    assert not again.is_repeat
    await house.store.messages.expunge(ALICE.id, box.id)
    house.clock.advance(61)
    await house.replay()
    assert len(house.disk.messages) == 1 and await house.list_copies(Role.SENT) == [message]


async def test_what_is_taken_back_by_expunging_is_traced(house: House) -> None:
    doors = make_doors(house, undo_s=60)
    await doors.send(LOGIN, [write(1, house.clock)], HOME)
    box, _, _ = await find_waiting(house)
    since = await house.store.changes.modseq(ALICE.id)
    await empty(house, box)
    await doors.note_removed(ALICE.id, since)
    (one,) = await house.store.submissions.list_newest(ALICE.id)
    assert ("canceled", f"{ALICE.id}.{one.id}") in [(step, about) for step, about, _ in house.journal.records]


async def test_a_programs_own_copy_of_what_waits_is_the_only_one_in_sent(house: House) -> None:
    message, doors = write(1, house.clock), make_doors(house, undo_s=60)
    await doors.send(LOGIN, [message], HOME)
    sent = await house.store.mailboxes.open_role(ALICE.id, Role.SENT)
    own = b"X-Mozilla-Status: 0001\r\n" + message
    addition = Addition((sent.id,), InlineBody(own), await parse(own), flags=frozenset({"\\Seen"}))
    await doors.file_upload(LOGIN, sent.id, own, addition)
    assert await house.list_copies(Role.SCHEDULED) == [message]
    house.clock.advance(61)
    await house.replay()
    assert len(house.disk.messages) == 1
    assert await house.list_copies(Role.SENT) == [own] and await house.list_copies(Role.SCHEDULED) == []


# what lies in the store


async def draft(house: House, message: bytes) -> EmailId:
    drafts = await house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    addition = Addition((drafts.id,), InlineBody(message), await parse(message))
    (added,) = await house.store.messages.add(ALICE.id, [addition])
    return added.email


async def test_a_submitted_draft_stays_and_its_copy_is_in_sent(house: House) -> None:
    message = write(1, house.clock)
    email = await draft(house, message)
    await make_doors(house).send_stored(LOGIN, email, WantedEnvelope(), HOME, files=True)
    await house.handover.settle_down()
    assert await house.list_copies(Role.DRAFTS) == [message] == await house.list_copies(Role.SENT)
    assert len(house.onward.taken) == 1


async def test_a_submitted_message_that_lies_in_sent_is_not_filed_again(house: House) -> None:
    sent = await house.store.mailboxes.open_role(ALICE.id, Role.SENT)
    message = write(1, house.clock)
    addition = Addition((sent.id,), InlineBody(message), await parse(message))
    (added,) = await house.store.messages.add(ALICE.id, [addition])
    await make_doors(house, undo_s=60).send_stored(LOGIN, added.email, WantedEnvelope(), HOME, files=True)
    assert await house.list_copies(Role.SENT) == [message] and await house.list_copies(Role.SCHEDULED) == []


async def test_a_submitted_draft_waits_for_the_undo_time(house: House) -> None:
    email = await draft(house, write(1, house.clock))
    copy = await make_doors(house, undo_s=60).send_stored(LOGIN, email, WantedEnvelope(), HOME, files=True)
    assert copy.send_at == house.clock.now() + 60 and not house.onward.taken


async def test_a_draft_without_message_id_is_submitted_once(house: House) -> None:
    email = await draft(house, b"From: alice@ours.example\r\nTo: bob@there.example\r\n\r\nHi\r\n")
    first = await make_doors(house).send_stored(LOGIN, email, WantedEnvelope(), HOME, files=True)
    await house.handover.settle_down()
    house.restart()  # killed before the mark "$Submitted"
    again = await make_doors(house).send_stored(LOGIN, email, WantedEnvelope(), HOME, files=True)
    assert (first.is_repeat, again.is_repeat) == (False, True)
    assert len(house.disk.messages) == 1


async def test_a_stored_message_is_sent_with_the_envelope_that_was_asked_for(house: House) -> None:
    drafts = await house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    message = write(1, house.clock)
    (added,) = await house.store.messages.add(
        ALICE.id, [Addition((drafts.id,), InlineBody(message), await parse(message))]
    )
    wanted = WantedEnvelope("alice@ours.example", (("dan@there.example", {"NOTIFY": "SUCCESS"}),), {"RET": "HDRS"})
    await make_doors(house).send_stored(LOGIN, added.email, wanted, HOME)
    await house.handover.settle_down()
    (taken,) = house.onward.taken
    assert [str(one.recipient.address) for one in taken.recipients] == ["dan@there.example"]
    assert await house.list_copies(Role.DRAFTS) == [message]
    assert await house.list_copies(Role.SENT) == []


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (WantedEnvelope("boss@ours.example", (("dan@there.example", {}),)), "5.7.1 "),
        (WantedEnvelope(None, (("no address", {}),)), "5.1.3 "),
        (WantedEnvelope(None, (("dan@there.example", {"NOTIFY": "SOMETIMES"}),)), "5.5.4 "),
        (WantedEnvelope(None, (("dan@there.example", {}),), {"RET": "ALL"}), "5.5.4 "),
    ],
)
async def test_an_envelope_that_cannot_be_is_refused(house: House, wanted: WantedEnvelope, text: str) -> None:
    drafts = await house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    message = write(1, house.clock)
    (added,) = await house.store.messages.add(
        ALICE.id, [Addition((drafts.id,), InlineBody(message), await parse(message))]
    )
    with pytest.raises(SendRefused) as refusal:
        await make_doors(house).send_stored(LOGIN, added.email, wanted, HOME)
    assert refusal.value.text.startswith(text)


# the door itself


async def test_the_mailbox_comes_with_the_door_and_goes_with_it(house: House) -> None:
    store = house.store

    async def names() -> list[str]:
        return [box.name for box in await store.mailboxes.list_all(ALICE.id)]

    assert "Outbox" in await names()
    await outbox.turn(store.annotations, store.mailboxes, ALICE.id, "Outbox", is_on=False)
    assert "Outbox" not in await names()
    assert not await make_doors(house).is_outbox_on(ALICE.id)


async def test_a_program_opens_the_door_by_an_annotation() -> None:
    house = House()
    doors = make_doors(house)
    await house.store.annotations.write(ALICE.id, None, ALICE.id, {outbox.ENTRY: b"On"})
    await doors.note_annotation(ALICE.id, outbox.ENTRY)
    assert await doors.is_outbox_on(ALICE.id)
    assert any(box.name == "Outbox" for box in await house.store.mailboxes.list_all(ALICE.id))


@pytest.mark.parametrize("value", [b"on", b"Off", b" ON ", None])
def test_the_entry_is_on_or_off(house: House, value: bytes | None) -> None:
    make_doors(house).check_annotation(LOGIN, outbox.ENTRY, value)


@pytest.mark.parametrize("value", [b"yes", b"1", b"", b"onn"])
def test_what_is_neither_on_nor_off_is_refused(house: House, value: bytes) -> None:
    with pytest.raises(SendRefused):
        make_doors(house).check_annotation(LOGIN, outbox.ENTRY, value)
    make_doors(house).check_annotation(LOGIN, "/private/comment", value)


def test_a_password_for_reading_opens_no_outbox(house: House) -> None:
    reader = changed(LOGIN, scopes=frozenset({Scope.READ}))
    with pytest.raises(SendRefused) as refusal:
        make_doors(house).check_annotation(reader, outbox.ENTRY, b"on")
    assert refusal.value.is_policy


class SeenBefore:
    """The mailboxes as they were before another program made one."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.create = mailboxes.create

    async def list_all(self, account: AccountId) -> list[Mailbox]:
        return []


async def test_two_programs_may_open_the_outbox_at_the_same_time(house: House) -> None:
    store = house.store
    late = cast("Mailboxes", SeenBefore(store.mailboxes))
    await outbox.turn(store.annotations, late, ALICE.id, "Outbox", is_on=True)
    assert await outbox.is_open(store.annotations, ALICE.id)
