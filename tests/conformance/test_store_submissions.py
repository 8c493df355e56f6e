"""What every message store does with submissions (sending.md rules 5, 6, 8 and 9)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.message.mailbox import EmailId, Role, SubmissionId
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import (
    Addition,
    NewSubmission,
    NoSuchMailbox,
    OverQuota,
    RecipientFate,
    StoreFull,
    SubmissionState,
)
from tests.conformance.store_kit import ALICE, BOB, EVERY, Office, make_addition, uid_set, whole

WIRE = b"Subject: hello\r\n\r\nwithout Bcc\r\n"
SHARD = 3


def make_new(**more: object) -> NewSubmission:
    new = NewSubmission(
        envelope=b"\x81\xa1a\xa1b",
        recipients=("bob@example.net", "carol@example.net"),
        wire=InlineBody(WIRE),
        state=SubmissionState.PENDING,
        spool_shard=SHARD,
        source="192.0.2.7",
        message_id="<1@example.org>",
    )
    return replace(new, **more)  # type: ignore[arg-type]


def filed(role: Role = Role.SENT) -> Addition:
    return make_addition(role, flags=frozenset({"\\Seen"}))


async def test_a_submission_and_its_copy_are_kept_together(office: Office) -> None:
    submitted = await office.store.submissions.submit(ALICE, make_new(filed=filed()))
    sent = await office.store.mailboxes.open_role(ALICE, Role.SENT)
    assert (submitted.mailbox, submitted.uid, submitted.uidvalidity) == (sent.id, 1, sent.uidvalidity)
    assert not submitted.is_repeat
    row = await office.store.submissions.get(ALICE, submitted.id)
    assert row is not None
    assert (row.account, row.envelope, row.state, row.spool_shard) == (
        ALICE,
        b"\x81\xa1a\xa1b",
        SubmissionState.PENDING,
        SHARD,
    )
    assert (row.email, row.source, row.message_id) == (submitted.email, "192.0.2.7", "<1@example.org>")
    assert row.created == pytest.approx(office.clock.now(), abs=1)
    assert row.recipients == [RecipientFate("bob@example.net"), RecipientFate("carol@example.net")]
    assert await whole(await office.store.submissions.wire(ALICE, submitted.id)) == WIRE
    assert await office.flags_of(sent.id) == {1: {"\\Seen"}}


async def test_nothing_is_filed_when_nobody_wants_it(office: Office) -> None:
    submitted = await office.store.submissions.submit(ALICE, make_new())
    assert (submitted.email, submitted.mailbox, submitted.uid) == (None, None, None)
    assert (await office.store.quotas.usage(ALICE)).emails == 0


async def test_an_email_that_is_there_is_sent_as_it_is(office: Office) -> None:
    (added,) = await office.add()
    submitted = await office.store.submissions.submit(ALICE, make_new(existing=added.email))
    assert submitted.email == added.email
    with pytest.raises(NoSuchMailbox):
        await office.store.submissions.submit(ALICE, make_new(existing=EmailId(4711)))


async def test_the_same_key_again_sends_and_files_nothing(office: Office) -> None:
    new = make_new(filed=filed(), key=b"k" * 16, key_expires=office.clock.now() + 86400)
    first = await office.store.submissions.submit(ALICE, new)
    again = await office.store.submissions.submit(ALICE, new)
    assert again == replace(first, is_repeat=True)
    assert (await office.store.quotas.usage(ALICE)).emails == 1
    assert len(await office.store.submissions.list_newest(ALICE)) == 1
    other = await office.store.submissions.submit(BOB, new)
    assert not other.is_repeat


async def test_a_key_is_forgotten_when_its_time_is_over(office: Office) -> None:
    new = make_new(key=b"k" * 16, key_expires=office.clock.now() + 86400)
    first = await office.store.submissions.submit(ALICE, new)
    office.clock.advance(86401)
    again = await office.store.submissions.submit(ALICE, replace(new, key_expires=office.clock.now() + 86400))
    assert (again.is_repeat, again.id > first.id) == (False, True)
    third = await office.store.submissions.submit(ALICE, new)
    assert (third.is_repeat, third.id) == (True, again.id)


async def test_what_was_taken_back_is_sent_when_it_comes_again(office: Office) -> None:
    submissions = office.store.submissions
    new = make_new(key=b"k" * 16, key_expires=office.clock.now() + 86400)
    first = await submissions.submit(ALICE, new)
    assert await submissions.change(ALICE, first.id, SubmissionState.CANCELED)
    again = await submissions.submit(ALICE, new)
    assert (again.is_repeat, again.id > first.id) == (False, True)
    third = await submissions.submit(ALICE, new)
    assert (third.is_repeat, third.id) == (True, again.id)


async def test_without_a_key_nothing_is_a_repeat(office: Office) -> None:
    one = await office.store.submissions.submit(ALICE, make_new())
    two = await office.store.submissions.submit(ALICE, make_new())
    assert two.id > one.id
    assert not two.is_repeat


async def test_a_submission_that_cannot_be_filed_is_not_made(office: Office) -> None:
    (added,) = await office.add()
    office.control.set_quota(ALICE, octets=added.size)
    new = make_new(filed=filed(), key=b"k" * 16, key_expires=office.clock.now() + 86400)
    with pytest.raises(OverQuota):
        await office.store.submissions.submit(ALICE, new)
    office.control.set_full(True)
    with pytest.raises(StoreFull):
        await office.store.submissions.submit(ALICE, make_new())
    assert await office.store.submissions.list_newest(ALICE) == []
    office.control.set_full(False)
    office.control.set_quota(ALICE)
    assert not (await office.store.submissions.submit(ALICE, new)).is_repeat


async def test_what_is_due_is_told_to_the_shard_that_takes_it(office: Office) -> None:
    submissions, now = office.store.submissions, office.clock.now()
    at_once = await submissions.submit(ALICE, make_new())
    later = await submissions.submit(BOB, make_new(send_at=now + 60))
    await submissions.submit(ALICE, make_new(spool_shard=SHARD + 1))
    await submissions.submit(ALICE, make_new(state=SubmissionState.HELD))
    due = await submissions.due([SHARD], now, 10)
    assert [(row.account, row.id) for row in due] == [(ALICE, at_once.id)]
    due = await submissions.due([SHARD], now + 60, 10)
    assert {(row.account, row.id) for row in due} == {(ALICE, at_once.id), (BOB, later.id)}
    assert len(await submissions.due([SHARD], now + 60, 1)) == 1
    assert len(await submissions.due([SHARD, SHARD + 1], now, 10)) == 2
    assert await submissions.due([], now, 10) == []
    assert await submissions.change(ALICE, at_once.id, SubmissionState.QUEUED)
    assert await submissions.due([SHARD], now, 10) == []


MOVES = {
    SubmissionState.PENDING: {SubmissionState.HELD, SubmissionState.QUEUED, SubmissionState.CANCELED},
    SubmissionState.HELD: {SubmissionState.PENDING, SubmissionState.QUEUED, SubmissionState.CANCELED},
}


@pytest.mark.parametrize("state", list(SubmissionState))
@pytest.mark.parametrize("wanted", list(SubmissionState))
async def test_only_legal_moves_are_made(office: Office, state: SubmissionState, wanted: SubmissionState) -> None:
    submissions = office.store.submissions
    submitted = await submissions.submit(ALICE, make_new())
    if state is SubmissionState.FINAL:
        await submissions.change(ALICE, submitted.id, SubmissionState.QUEUED)
        fates = [RecipientFate(a, "relayed", "250 ok", 5.0) for a in ("bob@example.net", "carol@example.net")]
        await submissions.record(ALICE, submitted.id, {fate.address: fate for fate in fates})
    elif state is not SubmissionState.PENDING:
        assert await submissions.change(ALICE, submitted.id, state)
    if wanted in (state, SubmissionState.FINAL):
        return
    assert await submissions.change(ALICE, submitted.id, wanted) is (wanted in MOVES.get(state, set()))
    assert not await submissions.change(BOB, submitted.id, wanted)
    assert not await submissions.change(ALICE, SubmissionId(4711), wanted)


async def test_a_released_submission_may_name_another_shard(office: Office) -> None:
    submissions = office.store.submissions
    submitted = await submissions.submit(ALICE, make_new(state=SubmissionState.HELD))
    assert await submissions.change(ALICE, submitted.id, SubmissionState.PENDING, SHARD + 5)
    assert [row.id for row in await submissions.due([SHARD + 5], office.clock.now(), 10)] == [submitted.id]


async def test_the_last_outcome_makes_it_final(office: Office) -> None:
    submissions = office.store.submissions
    submitted = await submissions.submit(ALICE, make_new(filed=filed()))
    await submissions.change(ALICE, submitted.id, SubmissionState.QUEUED)
    bob = RecipientFate("bob@example.net", "relayed", "250 2.0.0 ok", office.clock.now())
    carol = RecipientFate("carol@example.net", "failed", "550 5.1.1 no", office.clock.now())
    await submissions.record(ALICE, submitted.id, {bob.address: bob})
    row = await submissions.get(ALICE, submitted.id)
    assert row is not None
    assert (row.state, row.recipients) == (SubmissionState.QUEUED, [bob, RecipientFate(carol.address)])
    since = await office.store.changes.modseq(ALICE)
    await submissions.record(ALICE, submitted.id, {carol.address: carol})
    row = await submissions.get(ALICE, submitted.id)
    assert row is not None
    assert (row.state, row.recipients) == (SubmissionState.FINAL, [bob, carol])
    assert (await office.store.changes.in_account(ALICE, since)).submissions_changed == [submitted.id]


async def test_taking_it_out_of_scheduled_cancels_it(office: Office) -> None:
    submissions = office.store.submissions
    later = make_new(filed=filed(Role.SCHEDULED), send_at=office.clock.now() + 600)
    scheduled = [await submissions.submit(ALICE, later) for _ in range(4)]
    mailbox = (await office.store.mailboxes.open_role(ALICE, Role.SCHEDULED)).id
    assert await submissions.change(ALICE, scheduled[3].id, SubmissionState.QUEUED)
    uids = [item.uid for item in scheduled]
    assert uids == [1, 2, 3, 4]
    drafts = (await office.store.mailboxes.open_role(ALICE, Role.DRAFTS)).id
    await office.store.messages.move(ALICE, mailbox, uid_set(1), ALICE, drafts)
    await office.flag(mailbox, uid_set(2), "\\Deleted")
    await office.store.messages.expunge(ALICE, mailbox)
    assert scheduled[2].email is not None
    await office.store.messages.place(ALICE, scheduled[2].email, [drafts], [mailbox])
    await office.store.messages.move(ALICE, mailbox, EVERY, ALICE, drafts)
    states = []
    for item in scheduled:
        row = await submissions.get(ALICE, item.id)
        assert row is not None
        states.append(row.state)
    assert states == [SubmissionState.CANCELED] * 3 + [SubmissionState.QUEUED]


async def test_the_newest_submissions_come_first(office: Office) -> None:
    submissions = office.store.submissions
    ids = [(await submissions.submit(ALICE, make_new())).id for _ in range(5)]
    await submissions.submit(BOB, make_new())
    assert [row.id for row in await submissions.list_newest(ALICE)] == ids[::-1]
    assert [row.id for row in await submissions.list_newest(ALICE, 2, before=ids[3])] == [ids[2], ids[1]]
    assert await submissions.get(ALICE, SubmissionId(4711)) is None


async def test_what_is_due_at_the_end_of_time_is_whatever_is_pending(office: Office) -> None:
    """What keeps a spool shard from being removed: mail of any later day that names it."""
    new = make_new(send_at=office.clock.now() + 9e9)
    submitted = await office.store.submissions.submit(ALICE, new)
    found = await office.store.submissions.due([new.spool_shard], float("inf"), 1)
    assert [each.id for each in found] == [submitted.id]


async def test_when_all_has_ended_recipients_that_no_outcome_names_end_too(office: Office) -> None:
    submissions = office.store.submissions
    submitted = await submissions.submit(ALICE, make_new(filed=filed()))
    await submissions.change(ALICE, submitted.id, SubmissionState.QUEUED)
    bob = RecipientFate("bob@example.net", "relayed", "250 2.0.0 ok", office.clock.now())
    await submissions.record(ALICE, submitted.id, {bob.address: bob}, bob)
    row = await submissions.get(ALICE, submitted.id)
    assert row is not None
    merged = RecipientFate("carol@example.net", "relayed", "250 2.0.0 ok", bob.at)
    assert (row.state, row.recipients) == (SubmissionState.FINAL, [bob, merged])


async def test_what_waits_in_scheduled_is_found_and_released(office: Office) -> None:
    submissions, later = office.store.submissions, office.clock.now() + 600
    made = await submissions.submit(ALICE, make_new(filed=filed(Role.SCHEDULED), send_at=later))
    assert made.email is not None and made.mailbox is not None
    found = await submissions.waiting(ALICE, made.email)
    assert found is not None and found.id == made.id
    assert found.send_at == pytest.approx(later)
    assert await submissions.due([SHARD], office.clock.now(), 10) == []
    assert await submissions.release(ALICE, made.id)
    assert await submissions.waiting(ALICE, made.email) is None
    assert not await submissions.release(ALICE, made.id)
    assert [(one.id, one.send_at) for one in await submissions.due([SHARD], office.clock.now(), 10)] == [(made.id, 0)]


async def test_what_was_released_is_not_taken_back_by_leaving_scheduled(office: Office) -> None:
    submissions, later = office.store.submissions, office.clock.now() + 600
    made = await submissions.submit(ALICE, make_new(filed=filed(Role.SCHEDULED), send_at=later))
    assert made.mailbox is not None
    await submissions.release(ALICE, made.id)
    drafts = await office.store.mailboxes.open_role(ALICE, Role.DRAFTS)
    await office.store.messages.move(ALICE, made.mailbox, uid_set(1), ALICE, drafts.id)
    row = await submissions.get(ALICE, made.id)
    assert row is not None and row.state is SubmissionState.PENDING


async def test_what_was_sent_at_once_or_canceled_cannot_be_released(office: Office) -> None:
    submissions = office.store.submissions
    at_once = await submissions.submit(ALICE, make_new())
    assert not await submissions.release(ALICE, at_once.id)
    later = await submissions.submit(ALICE, make_new(send_at=office.clock.now() + 600))
    await submissions.change(ALICE, later.id, SubmissionState.CANCELED)
    assert not await submissions.release(ALICE, later.id)
    assert not await submissions.release(ALICE, SubmissionId(4711))


async def test_a_key_is_known_until_its_time_is_over_or_it_was_taken_back(office: Office) -> None:
    submissions, now, key = office.store.submissions, office.clock.now(), b"k" * 16
    made = await submissions.submit(ALICE, make_new(key=key, key_expires=now + 60))
    assert await submissions.is_known(ALICE, key, now)
    assert not await submissions.is_known(ALICE, b"l" * 16, now)
    assert not await submissions.is_known(BOB, key, now)
    assert not await submissions.is_known(ALICE, key, now + 61)
    await submissions.change(ALICE, made.id, SubmissionState.CANCELED)
    assert not await submissions.is_known(ALICE, key, now)


async def test_when_it_was_made_is_kept_while_it_changes(office: Office) -> None:
    one = await office.store.submissions.submit(ALICE, make_new())
    two = await office.store.submissions.submit(ALICE, make_new())
    await office.store.submissions.change(ALICE, one.id, SubmissionState.QUEUED)
    first, second = [await office.store.submissions.get(ALICE, number) for number in (one.id, two.id)]
    assert first is not None
    assert second is not None
    assert first.made < second.made == second.modseq < first.modseq


async def test_submissions_of_some_emails_newest_first(office: Office) -> None:
    emails = [added.email for added in await office.add(count=3)]
    made = [await office.store.submissions.submit(ALICE, make_new(existing=email)) for email in (*emails, emails[0])]
    found = await office.store.submissions.of_emails(ALICE, [emails[0], emails[2], EmailId(999)])
    assert [one.id for one in found] == [made[3].id, made[2].id, made[0].id]
    assert await office.store.submissions.of_emails(BOB, emails) == []
    assert await office.store.submissions.of_emails(ALICE, []) == []


async def test_what_is_detached_has_no_email_and_still_is_no_reason_to_send_again(office: Office) -> None:
    (added,) = await office.add()
    new = make_new(existing=added.email, key=b"k" * 16, key_expires=office.clock.now() + 86400)
    made = await office.store.submissions.submit(ALICE, new)
    assert not await office.store.submissions.detach(ALICE, made.id)
    await office.store.submissions.change(ALICE, made.id, SubmissionState.QUEUED)
    since = await office.store.changes.modseq(ALICE)
    assert await office.store.submissions.detach(ALICE, made.id)
    assert not await office.store.submissions.detach(ALICE, made.id)
    assert not await office.store.submissions.detach(ALICE, SubmissionId(999))
    row = await office.store.submissions.get(ALICE, made.id)
    assert row is not None
    assert (row.email, row.state) == (None, SubmissionState.QUEUED)
    assert (await office.store.changes.in_account(ALICE, since)).submissions_changed == [made.id]
    assert (await office.store.submissions.submit(ALICE, new)).is_repeat


async def test_who_took_it_is_kept_with_the_outcome(office: Office) -> None:
    submissions = office.store.submissions
    made = await submissions.submit(ALICE, make_new())
    await submissions.change(ALICE, made.id, SubmissionState.QUEUED)
    bob = RecipientFate("bob@example.net", "relayed", "250 ok", 5.0, "mx.example.net[192.0.2.1]:25")
    rest = RecipientFate("", "failed", "550 no", 6.0, "mx2.example.net[192.0.2.2]:25")
    await submissions.record(ALICE, made.id, {bob.address: bob}, rest)
    row = await submissions.get(ALICE, made.id)
    assert row is not None
    assert row.recipients == [bob, replace(rest, address="carol@example.net")]
