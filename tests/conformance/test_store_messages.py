"""What every message store does with emails: adding, reading, copying, moving, expunging."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.mailbox import EmailId, MailboxId, Role
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Fields, NoSuchMailbox, OverQuota, StoreFull
from tests.conformance.store_kit import (
    ALICE,
    BOB,
    EVERY,
    PREFIX,
    Office,
    first_uid,
    make_addition,
    uid_set,
    whole,
)

ALL_FIELDS = Fields.DATES | Fields.ENVELOPE | Fields.STRUCTURE | Fields.HEAD | Fields.KEYS | Fields.TEXTS


async def test_what_comes_out_is_byte_for_byte_what_went_in(office: Office) -> None:
    octets = bytes(range(256)) * 9
    addition = make_addition(body=InlineBody(octets))
    (added,) = await office.add(addition=addition)
    assert await office.read(added.email) == PREFIX + octets
    assert await whole(office.store.blobs.body(ALICE, added.email)) == PREFIX + octets
    assert await office.store.blobs.read_many(ALICE, [added.email, EmailId(4711)]) == [PREFIX + octets, None]
    assert added.size == len(PREFIX) + len(octets)


async def test_a_part_of_a_message_may_lie_across_prefix_and_body(office: Office) -> None:
    (added,) = await office.add()
    octets = await office.read(added.email)
    at = len(PREFIX) - 5
    read = office.store.blobs.read
    assert await read(ALICE, added.email, at, 12) == octets[at : at + 12]
    assert await read(ALICE, added.email, at) == octets[at:]
    assert await read(ALICE, added.email, len(octets) - 3, 100) == octets[-3:]
    assert await read(ALICE, added.email, len(octets) + 1, 5) == b""
    assert await read(ALICE, added.email, 0, 0) == b""


async def test_a_large_body_is_written_in_pieces(office: Office) -> None:
    writer = office.store.messages.open_body(ALICE)
    pieces = [bytes([number]) * 70_000 for number in range(10)]
    for piece in pieces:
        await writer.write(piece)
    assert writer.size == 700_000
    addition = make_addition(body=await writer.finish())
    (added,) = await office.add(addition=addition)
    body = office.store.blobs.body(ALICE, added.email)
    assert body.size == added.size == 700_000 + len(PREFIX)
    assert await whole(body) == PREFIX + b"".join(pieces)
    assert await office.store.blobs.read(ALICE, added.email, len(PREFIX) + 69_999, 2) == b"\x00\x01"


async def test_a_body_is_kept_for_each_account_that_got_it(office: Office) -> None:
    addition = make_addition()
    ((one,), (other,)) = await asyncio.gather(
        office.add(account=ALICE, addition=addition), office.add(account=BOB, addition=addition)
    )
    await office.flag(await office.inbox(), EVERY, "\\Deleted")
    await office.store.messages.expunge(ALICE, await office.inbox())
    with pytest.raises(NoSuchMailbox):
        await office.read(one.email)
    assert await office.read(other.email, BOB) == PREFIX + (addition.body.inline or b"")


async def test_the_blob_of_another_account_is_not_there(office: Office) -> None:
    added = (await office.add(account=BOB, count=3))[-1]
    with pytest.raises(NoSuchMailbox):
        await office.store.blobs.read(ALICE, added.email)
    assert await office.store.blobs.read_many(ALICE, [added.email]) == [None]
    assert await office.store.messages.load_emails(ALICE, [added.email], Fields.DATES) == []


async def test_an_email_is_given_back_as_it_was_parsed(office: Office) -> None:
    addition = make_addition(message_id="1@example.com", references=("0@example.com",), subject="Re: [list] Grüße")
    (added,) = await office.add(addition=addition)
    (row,) = await office.store.messages.load(ALICE, added.mailboxes[0], uid_set(added.uids[0]), ALL_FIELDS)
    assert row.message == addition.message
    assert (row.email, row.thread, row.size, row.prefix_size) == (added.email, added.thread, added.size, len(PREFIX))
    assert (row.received, row.zone_minutes) == (1_700_000_100.25, 60)
    assert row.placement is not None
    assert (row.placement.uid, row.placement.email, row.placement.modseq) == (added.uids[0], added.email, added.modseq)
    assert row.placement.saved == pytest.approx(office.clock.now(), abs=1)


@pytest.mark.parametrize("fields", list(Fields), ids=lambda fields: fields.name.lower())
async def test_what_is_asked_for_is_there(office: Office, fields: Fields) -> None:
    addition = make_addition(message_id="1@example.com")
    (added,) = await office.add(addition=addition)
    (row,) = await office.store.messages.load(ALICE, added.mailboxes[0], EVERY, fields)
    (same,) = await office.store.messages.load_emails(ALICE, [added.email], fields)
    wanted = addition.message
    for found in (row, same):
        message = found.message
        assert found.email == added.email
        if fields is Fields.DATES:
            assert (found.received, found.size, found.thread) == (1_700_000_100.25, added.size, added.thread)
        elif fields is Fields.HEAD:
            assert found.head.endswith(wanted.head)
        else:
            assert message is not None
        if fields is Fields.ENVELOPE and message is not None:
            assert message.envelope == wanted.envelope
        if fields is Fields.STRUCTURE and message is not None:
            assert (message.bodystructure, message.parts) == (wanted.bodystructure, wanted.parts)
        if fields is Fields.KEYS and message is not None:
            assert (message.keys, message.message_id) == (wanted.keys, "1@example.com")
        if fields is Fields.TEXTS and message is not None:
            assert (message.subject, message.preview, message.from_text) == ("hello", wanted.preview, wanted.from_text)


async def test_one_email_in_several_mailboxes_counts_once(office: Office) -> None:
    work = await office.mailbox()
    (added,) = await office.add(work, Role.INBOX, Role.SENT)
    assert len(added.mailboxes) == len(added.uids) == len(added.uidvalidities) == 3
    assert added.mailboxes[0] == work
    (row,) = await office.store.messages.load_emails(ALICE, [added.email], Fields.DATES)
    assert set(row.placements) == set(added.mailboxes)
    usage = await office.store.quotas.usage(ALICE)
    assert (usage.emails, usage.octets) == (1, added.size)
    assert [await office.uids(mailbox) for mailbox in added.mailboxes] == [[1], [1], [1]]


async def test_uids_never_go_down_or_repeat(office: Office) -> None:
    work = await office.mailbox()
    await office.add(work, count=3)
    await office.flag(work, uid_set(2, 3), "\\Deleted")
    await office.store.messages.expunge(ALICE, work)
    assert first_uid(await office.add(work)) == 4
    inbox = await office.inbox()
    moved = await office.store.messages.move(ALICE, work, uid_set(4), ALICE, inbox)
    assert moved.target == (1,)
    back = await office.store.messages.move(ALICE, inbox, uid_set(1), ALICE, work)
    assert back.target == (5,)
    assert (await office.get(work)).uidnext == 6
    assert (await office.get(inbox)).uidnext == 2


async def test_all_of_several_additions_or_none(office: Office) -> None:
    inbox = await office.inbox()
    good, bad = make_addition(inbox), make_addition(MailboxId(4711))
    before = await office.store.changes.modseq(ALICE)
    with pytest.raises(NoSuchMailbox):
        await office.store.messages.add(ALICE, [good, bad])
    assert await office.uids(inbox) == []
    assert await office.store.changes.modseq(ALICE) == before
    added = await office.store.messages.add(ALICE, [good, good])
    assert [item.uids for item in added] == [(1,), (2,)]
    assert added[0].email != added[1].email


async def test_a_full_account_gets_nothing_but_what_ignores_its_quota(office: Office) -> None:
    (added,) = await office.add()
    office.control.set_quota(ALICE, octets=added.size * 2 - 1)
    assert not office.store.quotas.has_room(ALICE, added.size)
    with pytest.raises(OverQuota):
        await office.add()
    assert await office.uids(await office.inbox()) == [1]
    await office.add(addition=make_addition(ignores_quota=True))
    assert (await office.store.quotas.usage(ALICE)).emails == 2


async def test_a_quota_of_emails_counts_emails(office: Office) -> None:
    office.control.set_quota(ALICE, emails=2)
    await office.add(Role.INBOX, Role.SENT)
    await office.add()
    with pytest.raises(OverQuota):
        await office.add()
    inbox = await office.inbox()
    copied = await office.store.messages.copy(ALICE, inbox, EVERY, ALICE, inbox)
    assert len(copied.target) == 2


async def test_two_additions_that_fit_alone_are_over_quota_together(office: Office) -> None:
    (added,) = await office.add()
    office.control.set_quota(ALICE, octets=added.size * 2)
    with pytest.raises(OverQuota):
        await office.add(count=2)
    assert (await office.store.quotas.usage(ALICE)).emails == 1


async def test_room_comes_back_when_mail_goes(office: Office) -> None:
    (added,) = await office.add()
    office.control.set_quota(ALICE, octets=added.size)
    inbox = await office.inbox()
    await office.flag(inbox, EVERY, "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    usage = await office.store.quotas.usage(ALICE)
    assert (usage.emails, usage.octets) == (0, 0)
    await office.add()


async def test_a_full_disk_refuses_mail_and_keeps_what_it_has_changeable(office: Office) -> None:
    await office.add(count=2)
    inbox = await office.inbox()
    office.control.set_full(True)
    with pytest.raises(StoreFull):
        await office.add()
    assert (await office.flag(inbox, EVERY, "\\Deleted")).changed == uid_set(1, 2)
    assert await office.store.messages.expunge(ALICE, inbox) == uid_set(1, 2)
    office.control.set_full(False)
    assert first_uid(await office.add()) == 3


async def test_a_copy_is_the_same_email_with_flags_and_date(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    added = await office.add(count=3)
    await office.flag(inbox, uid_set(1, 3), "\\Flagged", "$Label")
    result = await office.store.messages.copy(ALICE, inbox, uid_set(3, 1, 9), ALICE, work)
    assert (result.source, result.target) == ((1, 3), (1, 2))
    assert result.uidvalidity == (await office.get(work)).uidvalidity
    assert await office.flags_of(work) == {1: {"\\Flagged", "$Label"}, 2: {"\\Flagged", "$Label"}}
    rows = await office.store.messages.load(ALICE, work, EVERY, Fields.DATES)
    assert [row.email for row in rows] == [added[0].email, added[2].email]
    assert [row.received for row in rows] == [1_700_000_100.25] * 2
    assert await office.uids(inbox) == [1, 2, 3]
    assert (await office.store.quotas.usage(ALICE)).emails == 3


async def test_a_copy_into_its_own_mailbox_is_another_placement(office: Office) -> None:
    inbox = await office.inbox()
    (added,) = await office.add()
    await office.store.messages.copy(ALICE, inbox, EVERY, ALICE, inbox)
    rows = await office.store.messages.load(ALICE, inbox, EVERY, Fields.NONE)
    assert [row.email for row in rows] == [added.email] * 2
    await office.flag(inbox, uid_set(1), "\\Deleted")
    await office.store.messages.expunge(ALICE, inbox)
    assert len(await office.read(added.email)) == added.size


async def test_a_copy_to_nowhere_copies_nothing(office: Office) -> None:
    inbox = await office.inbox()
    await office.add()
    for target in (MailboxId(4711),):
        with pytest.raises(NoSuchMailbox):
            await office.store.messages.copy(ALICE, inbox, EVERY, ALICE, target)
        with pytest.raises(NoSuchMailbox):
            await office.store.messages.move(ALICE, inbox, EVERY, ALICE, target)
    assert await office.uids(inbox) == [1]


async def test_a_copy_to_another_account_is_an_email_of_its_own(office: Office) -> None:
    inbox, target = await office.inbox(), await office.inbox(BOB)
    (added,) = await office.add(addition=make_addition(flags=frozenset({"\\Seen", "$Work"})))
    result = await office.store.messages.copy(ALICE, inbox, EVERY, BOB, target)
    assert (result.source, result.target) == ((1,), (1,))
    (row,) = await office.store.messages.load(BOB, target, EVERY, ALL_FIELDS)
    assert await office.store.blobs.read(BOB, row.email) == await office.read(added.email)
    assert (row.received, row.zone_minutes, row.prefix_size) == (1_700_000_100.25, 60, len(PREFIX))
    assert await office.flags_of(target, BOB) == {1: {"\\Seen", "$Work"}}
    assert (await office.store.quotas.usage(BOB)).octets == added.size


async def test_a_copy_over_the_other_account_s_quota_leaves_both_as_they_were(office: Office) -> None:
    inbox, target = await office.inbox(), await office.inbox(BOB)
    await office.add(count=2)
    office.control.set_quota(BOB, emails=1)
    with pytest.raises(OverQuota):
        await office.store.messages.copy(ALICE, inbox, EVERY, BOB, target)
    with pytest.raises(OverQuota):
        await office.store.messages.move(ALICE, inbox, EVERY, BOB, target)
    assert await office.uids(target, BOB) == []
    assert await office.uids(inbox) == [1, 2]


async def test_a_move_takes_the_email_along(office: Office) -> None:
    inbox, work = await office.inbox(), await office.mailbox()
    added = await office.add(count=3)
    await office.flag(inbox, uid_set(2), "\\Answered")
    result = await office.store.messages.move(ALICE, inbox, uid_set(2, 3, 77), ALICE, work)
    assert (result.source, result.target) == ((2, 3), (1, 2))
    assert (await office.uids(inbox), await office.uids(work)) == ([1], [1, 2])
    assert await office.flags_of(work) == {1: {"\\Answered"}, 2: set()}
    (row,) = await office.store.messages.load(ALICE, work, uid_set(1), Fields.NONE)
    assert row.email == added[1].email


async def test_a_move_to_another_account_leaves_nothing_behind(office: Office) -> None:
    inbox, target = await office.inbox(), await office.inbox(BOB)
    (added,) = await office.add()
    await office.store.messages.move(ALICE, inbox, EVERY, BOB, target)
    assert (await office.uids(inbox), await office.uids(target, BOB)) == ([], [1])
    with pytest.raises(NoSuchMailbox):
        await office.read(added.email)
    assert (await office.store.quotas.usage(ALICE)).emails == 0


async def test_two_clients_one_moving_and_one_deleting_the_same_message(office: Office) -> None:
    inbox, trash = await office.inbox(), await office.mailbox("Trash")
    await office.add(count=20)
    await office.flag(inbox, EVERY, "\\Deleted")
    moved, expunged = await asyncio.gather(
        office.store.messages.move(ALICE, inbox, EVERY, ALICE, trash),
        office.store.messages.expunge(ALICE, inbox),
    )
    assert await office.uids(inbox) == []
    gone = {uid for part in expunged for uid in range(part.low, part.high + 1)}
    assert len(await office.uids(trash)) == len(moved.source) == 20 - len(gone)
    assert gone.isdisjoint(moved.source)
    usage = await office.store.quotas.usage(ALICE)
    assert usage.emails == len(moved.source)
    assert (await office.get(inbox)).total == 0


async def test_only_what_is_deleted_is_expunged(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=5)
    await office.flag(inbox, uid_set(2, 3, 5), "\\Deleted")
    assert await office.store.messages.expunge(ALICE, inbox, uid_set(1, 2, 3)) == uid_set(2, 3)
    assert await office.uids(inbox) == [1, 4, 5]
    assert await office.store.messages.expunge(ALICE, inbox) == uid_set(5)
    assert await office.store.messages.expunge(ALICE, inbox) == ()


async def test_counters_tell_what_is_there(office: Office) -> None:
    inbox = await office.inbox()
    added = await office.add(count=4)
    await office.flag(inbox, uid_set(1), "\\Seen")
    await office.flag(inbox, uid_set(2), "\\Deleted")
    box = await office.get(inbox)
    assert (box.total, box.unseen, box.deleted, box.octets) == (4, 2, 1, sum(item.size for item in added))
    await office.store.messages.expunge(ALICE, inbox)
    box = await office.get(inbox)
    assert (box.total, box.unseen, box.deleted, box.octets) == (
        3,
        2,
        0,
        sum(item.size for item in added) - added[1].size,
    )


async def test_replies_are_one_thread_across_mailboxes(office: Office) -> None:
    (first,) = await office.add(addition=make_addition(subject="Lunch", message_id="1@x"))
    (reply,) = await office.add(
        Role.SENT, addition=make_addition(subject="Re: Lunch", message_id="2@x", references=("1@x",))
    )
    (other,) = await office.add(addition=make_addition(subject="Dinner", message_id="3@x", references=("1@x",)))
    (alone,) = await office.add(addition=make_addition(subject="Lunch"))
    assert first.thread == reply.thread
    assert len({first.thread, other.thread, alone.thread}) == 3
    threads = await office.store.messages.thread(ALICE, [first.thread, other.thread])
    assert threads == {first.thread: [first.email, reply.email], other.thread: [other.email]}


async def test_a_reply_that_came_before_its_message_waits_for_it(office: Office) -> None:
    (reply,) = await office.add(addition=make_addition(subject="Re: x", message_id="2@x", references=("1@x",)))
    (first,) = await office.add(addition=make_addition(subject="x", message_id="1@x"))
    assert first.thread == reply.thread


async def test_a_message_that_joins_two_threads_merges_them(office: Office) -> None:
    (one,) = await office.add(addition=make_addition(subject="x", message_id="1@x"))
    (two,) = await office.add(addition=make_addition(subject="Re: x", message_id="2@x"))
    assert one.thread != two.thread
    before = await office.store.changes.modseq(ALICE)
    (both,) = await office.add(addition=make_addition(subject="Re: x", message_id="3@x", references=("1@x", "2@x")))
    threads = await office.store.messages.thread(ALICE, [one.thread, two.thread])
    assert list(threads) == [both.thread]
    assert len(threads[both.thread]) == 3
    changes = await office.store.changes.in_account(ALICE, before)
    assert {one.thread, two.thread} <= set(changes.threads_changed)
    (late,) = await office.add(addition=make_addition(subject="Re: x", message_id="4@x", references=("2@x",)))
    assert late.thread == both.thread


async def test_threads_of_one_account_know_nothing_of_another(office: Office) -> None:
    addition = make_addition(subject="x", message_id="1@x")
    await office.add(account=BOB, count=1)
    await office.add(account=BOB, addition=addition)
    (mine,) = await office.add(addition=addition)
    assert await office.store.messages.thread(ALICE, [mine.thread]) == {mine.thread: [mine.email]}


async def test_uids_that_are_not_there_are_left_out(office: Office) -> None:
    inbox = await office.inbox()
    await office.add(count=3)
    rows = await office.store.messages.load(ALICE, inbox, uid_set(0, 2, 3, 4, 2**32 - 1), Fields.NONE)
    assert [row.placement.uid for row in rows if row.placement] == [2, 3]
    assert await office.store.messages.load(ALICE, inbox, (), Fields.DATES) == []
