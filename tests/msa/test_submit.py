"""Rules 1 to 8 of submitting, one after the other, with fakes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from posthouse.message.address import parse_address
from posthouse.message.envelope import BodyType
from posthouse.message.mailbox import Flag, Role, UidRange
from posthouse.msa.limits import SendLimits
from posthouse.msa.submit import Refused, SubmitOptions
from posthouse.ports.login import SaveSent, Scope
from posthouse.ports.spool import Action, Selection, Settlement, Status
from posthouse.ports.store import Fields, StoreError, SubmissionState
from tests.msa.submit_kit import (
    ALICE,
    LOGIN,
    MESSAGE,
    House,
    changed,
    expect_refused,
    expect_submitted,
    make_envelope,
    with_header,
)


@pytest.fixture
def house() -> House:
    return House()


def named(house: House) -> list[str]:
    return [str(one.address) for message in house.onward.taken for one in message.envelope.recipients]


async def sent_body(house: House) -> bytes:
    (message,) = house.onward.taken
    return await message.body.read(0, message.body.size)


# 1: the envelope


async def test_an_explicit_envelope_wins_over_the_header(house: House) -> None:
    expect_submitted(await house.submit(MESSAGE, "other@there.example"))
    assert named(house) == ["other@there.example"]


async def test_without_an_envelope_to_cc_and_bcc_count_once_each_and_groups_are_their_members(house: House) -> None:
    message = with_header("Cc: Friends: bob@there.example, dave@there.example;, erin@there.example", "Bcc: x@y.example")
    expect_submitted(await house.submit(message))
    assert named(house) == ["bob@there.example", "dave@there.example", "erin@there.example", "x@y.example"]


async def test_the_topmost_resent_block_counts_before_to_and_cc(house: House) -> None:
    message = with_header(
        "Resent-From: alice@ours.example",
        "Resent-To: dave@there.example",
        "Resent-From: someone@else.example",
        "Resent-To: erin@there.example",
    )
    expect_submitted(await house.submit(message))
    assert named(house) == ["dave@there.example"]


async def test_no_recipients_is_refused(house: House) -> None:
    message = b"From: alice@ours.example\r\nTo: undisclosed-recipients:;\r\n\r\nx\r\n"
    assert expect_refused(await house.submit(message)).startswith("554 5.5.1")


# 2: the sender


@pytest.mark.parametrize("author", ["mallory@ours.example", "alice@there.example"])
async def test_somebody_elses_from_is_refused(house: House, author: str) -> None:
    message = MESSAGE.replace(b"alice@ours.example", author.encode())
    assert expect_refused(await house.submit(message, "bob@there.example")).startswith("550 5.7.1")


async def test_somebody_elses_envelope_sender_is_refused(house: House) -> None:
    result = await house.submit(MESSAGE, "bob@there.example", sender="mallory@ours.example")
    assert expect_refused(result).startswith("550 5.7.1")


async def test_an_alias_of_the_account_may_be_both(house: House) -> None:
    message = MESSAGE.replace(b"alice@ours.example", b"A.Smith@ours.example")
    expect_submitted(await house.submit(message, "bob@there.example", sender="a.smith@ours.example"))


async def test_of_several_authors_the_sender_field_counts(house: House) -> None:
    several = MESSAGE.replace(b"From: Alice <alice@ours.example>", b"From: alice@ours.example, eve@there.example")
    assert expect_refused(await house.submit(several, "bob@there.example")).startswith("554 5.6.0")
    expect_submitted(await house.submit(b"Sender: alice@ours.example\r\n" + several, "bob@there.example"))


async def test_two_from_fields_are_refused(house: House) -> None:
    message = with_header("From: boss@there.example")
    assert expect_refused(await house.submit(message, "bob@there.example")).startswith("554 5.6.0")


async def test_a_read_receipt_goes_out_with_the_empty_sender(house: House) -> None:
    expect_submitted(await house.submit(MESSAGE, "bob@there.example", sender=None))
    assert house.onward.taken[0].envelope.sender is None


async def test_a_password_without_the_scope_send_sends_nothing(house: House) -> None:
    login = changed(LOGIN, scopes=frozenset({Scope.READ}))
    assert expect_refused(await house.submit(login=login)).startswith("550 5.7.1")


async def test_an_unknown_recipient_of_ours_is_refused_by_name(house: House) -> None:
    text = expect_refused(await house.submit(MESSAGE, "nobody@ours.example"))
    assert text.startswith("550 5.1.1") and "nobody@ours.example" in text


async def test_an_alias_is_followed_and_its_fate_is_that_of_the_address_submitted(house: House) -> None:
    house.directory.aliases["team@ours.example"] = (
        parse_address("carol@ours.example"),
        parse_address("dave@there.example"),
    )
    result = expect_submitted(await house.submit(MESSAGE, "team@ours.example"))
    (message,) = house.onward.taken
    assert named(house) == ["carol@ours.example", "dave@there.example"]
    message.recipients[0].status = Status.DELIVERED
    assert await house.handover.record(message)
    known = await house.store.submissions.get(ALICE.id, result.id)
    assert known is not None and known.recipients[0].outcome == ""
    message.recipients[1].status = Status.FAILED
    assert await house.handover.record(message)
    known = await house.store.submissions.get(ALICE.id, result.id)
    assert known is not None
    assert (known.recipients[0].outcome, known.state) == ("failed", SubmissionState.FINAL)


# 3: Bcc


async def test_two_bcc_headers_are_both_removed_from_what_is_sent(house: House) -> None:
    message = with_header("Bcc: one@x.example", "bCC :\r\n two@x.example", "Resent-Bcc: three@x.example")
    message = message.replace(b"\r\n\r\n", b"\r\nBCC: four@x.example\r\n\r\n", 1)
    expect_submitted(await house.submit(message, "bob@there.example"))
    sent = await sent_body(house)
    assert b"x.example" not in sent
    (copy,) = await house.list_copies(Role.SENT)
    assert copy.count(b"x.example") == 4


async def test_a_line_that_is_no_field_does_not_hide_a_bcc(house: House) -> None:
    message = MESSAGE.replace(b"\r\n\r\n", b"\r\nnot a field\r\nBcc: one@x.example\r\n\r\n", 1)
    assert expect_refused(await house.submit(message, "bob@there.example")).startswith("554 5.6.0 Line 6")


# 4: repairs


async def test_date_and_message_id_are_added_where_they_are_missing(house: House) -> None:
    message = b"From: alice@ours.example\r\nMessage-ID: \r\n\r\nx\r\n"
    expect_submitted(await house.submit(message, "bob@there.example"))
    sent = await sent_body(house)
    assert sent.startswith(b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <token1@mail.ours.example>\r\n")
    assert sent.endswith(b"From: alice@ours.example\r\n\r\nx\r\n")
    assert sent.lower().count(b"message-id") == 1


async def test_what_programs_note_for_themselves_goes(house: House) -> None:
    message = with_header("X-Mozilla-Status: 0001", "X-Identity-Key: id1", "FCC: imap://x/Sent", "X-Mailer: good")
    expect_submitted(await house.submit(message, "bob@there.example"))
    assert await sent_body(house) == b"X-Mailer: good\r\n" + MESSAGE
    assert await house.list_copies(Role.SENT) == [b"X-Mailer: good\r\n" + MESSAGE]


@pytest.mark.parametrize("bad", [b"a\rb", b"a\nb", b"a\0b", b"\r\r\n", b"\n.\n"])
async def test_bare_cr_lf_and_nul_are_refused(house: House, bad: bytes) -> None:
    assert expect_refused(await house.submit(MESSAGE + bad + b"\r\n")).startswith("554 5.6.0")


@pytest.mark.parametrize("bad", ["\n", "\r", "\0"])
async def test_a_binary_message_has_bare_characters_in_its_body_only(house: House, bad: str) -> None:
    envelope = replace(make_envelope("bob@there.example"), body=BodyType.BINARYMIME)
    hidden = with_header(f"Subject: x{bad}Bcc: one@x.example")
    assert expect_refused(await house.submitter.submit(LOGIN, hidden, envelope)).startswith("554 5.6.0")
    expect_submitted(await house.submitter.submit(LOGIN, MESSAGE + f"a{bad}b".encode(), envelope))
    await house.handover.settle_down()


@pytest.mark.parametrize(
    ("subject", "text", "body", "utf8"),
    [
        (b"plain", b"plain", BodyType.SEVENBIT, False),
        (b"plain", "grün".encode(), BodyType.EIGHTBITMIME, False),
        ("grün".encode(), b"plain", BodyType.EIGHTBITMIME, True),
        ("grün".encode("latin-1"), b"plain", BodyType.EIGHTBITMIME, False),
    ],
)
async def test_8bitmime_and_smtputf8_are_worked_out(
    house: House, subject: bytes, text: bytes, body: BodyType, utf8: bool
) -> None:
    expect_submitted(await house.submit(b"X-Text: " + subject + b"\r\n" + MESSAGE + text + b"\r\n"))
    envelope = house.onward.taken[0].envelope
    assert (envelope.body, envelope.smtputf8) == (body, utf8)


# 5: commit, then answer


async def test_the_answer_comes_after_the_store_and_delivery_after_the_mark(house: House) -> None:
    result = expect_submitted(await house.submit())
    known = await house.store.submissions.get(ALICE.id, result.id)
    assert known is not None
    assert (known.state, known.spool_shard) == (SubmissionState.QUEUED, 3)
    (message,) = house.onward.taken
    assert (message.id, message.submission) == (result.queue_id, (ALICE.id, result.id))


async def test_a_store_that_cannot_write_is_a_temporary_refusal_and_nothing_is_sent(house: House) -> None:
    house.store.error = StoreError("disk failed")
    assert expect_refused(await house.submit()).startswith("451 4.3.0")
    house.store.error = None
    assert not house.disk.messages


async def test_no_shard_of_the_spool_is_a_temporary_refusal_and_nothing_is_filed(house: House) -> None:
    house.has_shard = False
    assert expect_refused(await house.submit()).startswith("451")
    assert await house.list_copies(Role.SENT) == []


async def test_a_full_spool_after_the_answer_puts_the_hand_over_off(house: House) -> None:
    house.spool.full = True
    expect_submitted(await house.submit())
    assert not house.onward.taken and not house.onward.announced
    house.spool.full = False
    await house.replay()
    assert len(house.onward.taken) == 1


async def test_killed_between_store_and_spool_it_is_handed_over_by_the_next_owner(house: House) -> None:
    house.spool.full = True
    expect_submitted(await house.submit())
    house.restart()
    await house.replay()
    assert await sent_body(house) == MESSAGE
    await house.replay()
    assert len(house.onward.taken) == 1


async def test_killed_between_spool_and_mark_the_row_is_found_by_its_key(house: House) -> None:
    result = expect_submitted(await house.submit())
    stored = house.store._accounts[ALICE.id].submissions[result.id]
    stored.row.state = SubmissionState.PENDING
    house.restart()
    (message,) = await house.spool.load_unfinished(house.clock.now(), 10)
    assert await house.handover.clear([message]) == []
    await house.replay()
    assert [one.id for one in house.onward.taken] == [result.queue_id]
    assert len(house.disk.messages) == 1


async def test_killed_after_the_mark_the_spool_goes_on_by_itself(house: House) -> None:
    result = expect_submitted(await house.submit())
    house.restart()
    await house.replay()
    assert not house.onward.taken
    (message,) = await house.spool.load_unfinished(house.clock.now(), 10)
    assert [one.id for one in await house.handover.clear([message])] == [result.queue_id]


# 6: idempotent


async def test_the_same_again_answers_the_same_and_sends_nothing(house: House) -> None:
    first = expect_submitted(await house.submit())
    again = expect_submitted(await house.submit())
    assert again.is_repeat and (again.id, again.uid) == (first.id, first.uid)
    assert len(house.disk.messages) == 1
    assert len(await house.list_copies(Role.SENT)) == 1
    assert [step for step, _, _ in house.journal.records] == ["submitted", "received", "repeated"]


async def test_the_same_with_a_bcc_field_is_the_same(house: House) -> None:
    await house.submit(MESSAGE, "bob@there.example", "x@y.example")
    again = await house.submit(with_header("Bcc: x@y.example"), "x@y.example", "bob@there.example")
    assert expect_submitted(again).is_repeat


@pytest.mark.parametrize("gone", [b"Date", b"Message-ID"])
async def test_without_the_programs_own_date_and_id_nothing_counts_as_a_repeat(house: House, gone: bytes) -> None:
    message = MESSAGE.replace(gone, b"X-Was")
    expect_submitted(await house.submit(message))
    assert not expect_submitted(await house.submit(message)).is_repeat


async def test_other_recipients_another_text_or_a_resent_block_are_another_message(house: House) -> None:
    await house.submit()
    for message, recipients in (
        (MESSAGE, ("dave@there.example",)),
        (MESSAGE + b"P.S.\r\n", ()),
        (with_header("Resent-From: alice@ours.example", "Resent-To: bob@there.example"), ()),
    ):
        assert not expect_submitted(await house.submit(message, *recipients)).is_repeat


async def test_after_a_day_and_for_passwords_that_say_so_it_is_sent_again(house: House) -> None:
    await house.submit()
    assert not expect_submitted(await house.submit(login=changed(LOGIN, deduplicates=False))).is_repeat
    house.clock.advance(86401)
    assert not expect_submitted(await house.submit()).is_repeat


# 7: Sent


async def test_the_copy_in_sent_is_seen_and_no_draft(house: House) -> None:
    result = expect_submitted(await house.submit())
    assert result.mailbox is not None
    snapshot = await house.store.messages.snapshot(ALICE.id, result.mailbox)
    assert list(snapshot.flags) == [Flag.SEEN]
    assert await house.list_copies(Role.SENT) == [MESSAGE]


async def test_a_password_may_say_that_nothing_is_filed(house: House) -> None:
    expect_submitted(await house.submit(login=changed(LOGIN, save_sent=SaveSent.NEVER)))
    assert await house.list_copies(Role.SENT) == []
    assert len(house.onward.taken) == 1


# 8: later


async def submit_later(house: House, **more: object) -> object:
    result = await house.submit(options=SubmitOptions(send_at=house.clock.now() + 3600), **more)  # type: ignore[arg-type]
    return expect_submitted(result).id


async def test_delayed_mail_lies_in_scheduled_and_moves_to_sent_when_it_goes(house: House) -> None:
    await submit_later(house)
    assert await house.list_copies(Role.SCHEDULED) == [MESSAGE] and not house.disk.messages
    await house.replay()
    assert not house.disk.messages
    house.clock.advance(3601)
    await house.replay()
    assert len(house.onward.taken) == 1
    assert await house.list_copies(Role.SCHEDULED) == []
    assert await house.list_copies(Role.SENT) == [MESSAGE]


async def test_scheduled_mail_of_an_account_that_was_disabled_waits_for_an_administrator(house: House) -> None:
    submission = await submit_later(house)
    house.accounts.accounts[ALICE.id] = replace(ALICE, is_disabled=True)
    house.clock.advance(3601)
    await house.replay()
    assert house.onward.taken == []
    stored = await house.store.submissions.get(ALICE.id, submission)  # type: ignore[arg-type]
    assert stored is not None and stored.state is SubmissionState.HELD
    (message,) = house.disk.messages.values()
    assert await house.list_copies(Role.SENT) == []
    assert message is not None


async def test_a_foreign_sender_field_does_not_pass(house: House) -> None:
    result = await house.submit(b"Sender: boss@ours.example\r\n" + MESSAGE)
    assert isinstance(result, Refused)
    assert "boss@ours.example" in result.reply.text


async def test_the_undo_window_is_a_short_delay(house: House) -> None:
    result = expect_submitted(await house.submit(options=SubmitOptions(undo_s=10)))
    assert result.send_at == house.clock.now() + 10 and not house.onward.taken
    house.clock.advance(11)
    await house.replay()
    assert len(house.onward.taken) == 1


@pytest.mark.parametrize("how", ["moved", "deleted"])
async def test_out_of_scheduled_is_canceled(house: House, how: str) -> None:
    submission = await submit_later(house)
    box = await house.find_box(Role.SCHEDULED)
    assert box is not None
    (uid,) = (await house.store.messages.snapshot(ALICE.id, box.id)).uids
    drafts = await house.store.mailboxes.open_role(ALICE.id, Role.DRAFTS)
    if how == "moved":
        await house.store.messages.move(ALICE.id, box.id, (UidRange(uid, uid),), ALICE.id, drafts.id)
    else:
        (row,) = await house.store.messages.load(ALICE.id, box.id, (UidRange(uid, uid),), Fields.NONE)
        await house.store.messages.place(ALICE.id, row.email, [], [box.id])
    house.clock.advance(3601)
    await house.replay()
    assert not house.disk.messages
    known = await house.store.submissions.get(ALICE.id, submission)  # type: ignore[arg-type]
    assert known is not None and known.state is SubmissionState.CANCELED


async def test_taking_it_back_works_while_it_is_pending(house: House) -> None:
    submission = await submit_later(house)
    assert await house.handover.cancel(ALICE.id, submission)  # type: ignore[arg-type]
    sent = expect_submitted(await house.submit(MESSAGE + b"other\r\n"))
    assert not await house.handover.cancel(ALICE.id, sent.id)


# 9: what came of it


async def test_a_failure_is_recorded_and_marked_on_the_copy_in_sent(house: House) -> None:
    result = expect_submitted(await house.submit(MESSAGE, "bob@there.example", "dave@there.example"))
    (message,) = house.onward.taken
    message.recipients[0].status, message.recipients[1].status = Status.RELAYED, Status.FAILED
    assert await house.handover.record(message)
    await house.spool.settle(Settlement(message.id, remove=True))
    known = await house.store.submissions.get(ALICE.id, result.id)
    assert known is not None and known.state is SubmissionState.FINAL
    assert [fate.outcome for fate in known.recipients] == ["relayed", "failed"]
    assert result.mailbox is not None
    (flags,) = (await house.store.messages.snapshot(ALICE.id, result.mailbox)).flags
    table = await house.store.messages.keywords(ALICE.id)
    assert set(table.flags_of(flags)) == {"\\Seen", "$SubmitFailed"}


async def test_recipients_that_end_at_one_address_all_have_an_outcome(house: House) -> None:
    bob = parse_address("bob@there.example")
    house.directory.aliases["team@ours.example"] = (bob,)
    result = expect_submitted(await house.submit(MESSAGE, "team@ours.example", "bob@there.example"))
    (message,) = house.onward.taken
    assert len(message.recipients) == 1
    message.recipients[0].status = Status.RELAYED
    assert await house.handover.record(message)
    known = await house.store.submissions.get(ALICE.id, result.id)
    assert known is not None and known.state is SubmissionState.FINAL
    assert [fate.outcome for fate in known.recipients] == ["relayed", "relayed"]


# limits and holds


async def test_beyond_the_limit_of_an_hour_the_account_waits(house: House) -> None:
    house = House(SendLimits(messages_per_hour=3))
    for count in range(3):
        expect_submitted(await house.submit(MESSAGE + b"%d\r\n" % count))
    text = expect_refused(await house.submit(MESSAGE + b"more\r\n"))
    assert text == "450 4.7.1 This account may send 3 messages an hour; try again in 60 min"
    house.clock.advance(3601)
    expect_submitted(await house.submit(MESSAGE + b"more\r\n"))


async def test_a_limit_counts_what_was_sent_before_a_restart() -> None:
    house = House(SendLimits(recipients_per_hour=2))
    expect_submitted(await house.submit(MESSAGE, "a@there.example", "b@there.example"))
    house.restart()
    assert expect_refused(await house.submit(MESSAGE, "c@there.example")).startswith("450 4.7.1")


async def test_a_message_that_could_never_fit_is_refused_for_good() -> None:
    house = House(SendLimits(recipients_per_message=1))
    assert expect_refused(await house.submit(MESSAGE, "a@x.example", "b@x.example")).startswith("550 5.7.1")


async def test_mail_of_a_stolen_account_is_held_and_released_by_one_change_of_the_queue() -> None:
    house = House(SendLimits(strangers=5))
    expect_submitted(await house.submit(source="192.0.2.7"))
    strangers = [f"s{number}@there.example" for number in range(6)]
    held = expect_submitted(await house.submit(MESSAGE + b"spam\r\n", *strangers, source="203.0.113.9"))
    assert "7 recipients never written to before" in held.hold
    assert len(house.onward.taken) == 1
    message = await house.spool.load(held.queue_id)  # type: ignore[arg-type]
    assert message is not None and message.recipients[0].status is Status.HELD
    after = expect_submitted(await house.submit(MESSAGE + b"letter\r\n"))
    assert after.hold == "mail of this account is held already"

    await house.spool.change(Selection(sender="alice@ours.example"), Action.RELEASE, house.clock.now())
    waiting = [
        one for one in await house.spool.load_unfinished(house.clock.now(), 10) if one.id != house.onward.taken[0].id
    ]
    assert len(await house.handover.clear(waiting)) == 2
    assert expect_submitted(await house.submit(MESSAGE + b"free\r\n")).hold == ""


async def test_held_mail_that_an_administrator_deletes_frees_the_account() -> None:
    house = House(SendLimits(strangers=1))
    expect_submitted(await house.submit(source="192.0.2.7"))
    held = expect_submitted(await house.submit(MESSAGE + b"spam\r\n", "x@there.example", source="203.0.113.9"))
    assert held.hold and held.queue_id is not None
    message = await house.spool.load(held.queue_id)
    assert message is not None
    await house.spool.change(Selection(ids=frozenset({message.id})), Action.DELETE, house.clock.now())
    await house.handover.give_up([message], "stopped")
    known = await house.store.submissions.get(ALICE.id, held.id)
    assert known is not None
    assert (known.state, known.recipients[0].outcome) == (SubmissionState.FINAL, "failed")
    assert expect_submitted(await house.submit(MESSAGE + b"letter\r\n")).hold == ""


@pytest.mark.parametrize(
    "author",
    [
        b"<ceo@ours.example> <alice@ours.example>",
        b"ceo@ours.example alice@ours.example",
        b"ceo@ours.example <alice@ours.example>",
        b"Boss ceo@ours.example <alice@ours.example>",
    ],
)
async def test_a_from_that_some_take_for_somebody_else_is_refused(house: House, author: bytes) -> None:
    message = MESSAGE.replace(b"From: Alice <alice@ours.example>", b"From: " + author)
    assert message != MESSAGE
    assert expect_refused(await house.submit(message)).startswith("550 5.7.1")


@pytest.mark.parametrize(
    "author",
    [
        b'"ceo@ours.example" <alice@ours.example>',
        b"alice@ours.example <alice@ours.example>",
        b"Alice (ask bob@ours.example) <alice@ours.example>",
        b"J@ne <alice@ours.example>",
        b"=?utf-8?q?J=40ne?= <alice@ours.example>",
    ],
)
async def test_names_with_an_at_sign_are_names(house: House, author: bytes) -> None:
    expect_submitted(await house.submit(MESSAGE.replace(b"From: Alice <alice@ours.example>", b"From: " + author)))
