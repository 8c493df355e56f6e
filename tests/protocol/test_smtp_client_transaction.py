"""The client's transaction as a table: what is sent, what is heard, what becomes of each recipient."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from posthouse.message.reply import Reply
from posthouse.protocol.smtp.client import TOO_MANY, Manner, Step, TooMany, Transaction

MAIL = b"MAIL FROM:<a@a.example>\r\n"
RCPTS = [b"RCPT TO:<r1@b.example>\r\n", b"RCPT TO:<r2@b.example>\r\n", b"RCPT TO:<r3@b.example>\r\n"]
OK = Reply(250, "2.0.0", "ok")
GO = Reply(354, "", "go")
NO = Reply(550, "5.1.1", "no such user")
LATER = Reply(451, "4.7.1", "greylisted")
BYE = Reply(421, "4.3.2", "closing")
BODY = b"<body>"


@dataclass
class Talk:
    """Everything a driver would have written, and the transaction at its end."""

    transaction: Transaction
    sent: list[bytes] = field(default_factory=list)


def talk(manner: Manner, replies: list[Reply], rcpts: int = 3) -> Talk:
    transaction = Transaction(MAIL, RCPTS[:rcpts], manner)
    done = Talk(transaction, [transaction.start()])
    waiting = iter(replies)
    while transaction.step is not Step.DONE:
        if transaction.step is Step.BODY:
            done.sent.append(BODY)
            transaction.body_sent()
            continue
        reply = next(waiting, None)
        if reply is None:
            break
        line = transaction.take(reply)
        if line:
            done.sent.append(line)
    assert next(waiting, None) is None, "not every reply was asked for"
    return done


PIPELINED = Manner(pipelining=True)
STEPWISE = Manner()
Verdicts = list[Reply | TooMany | None]
FINAL_NO = Reply(554, "5.6.0", "spam")

# (replies, verdicts): the same for both manners, where MAIL and all RCPT are answered and DATA is reached.
BOTH: list[tuple[list[Reply], Verdicts]] = [
    ([OK, OK, OK, OK, GO, OK], [OK, OK, OK]),
    ([OK, OK, NO, OK, GO, OK], [OK, NO, OK]),
    ([OK, LATER, OK, NO, GO, OK], [LATER, OK, NO]),
    ([OK, OK, OK, OK, GO, FINAL_NO], [FINAL_NO] * 3),
    ([OK, OK, NO, OK, LATER], [LATER, NO, LATER]),
    ([OK, OK, NO, OK, FINAL_NO], [FINAL_NO, NO, FINAL_NO]),
    ([OK, OK, NO, OK, GO], [None, NO, None]),
    ([OK, OK, NO, BYE], [BYE, NO, BYE]),
    ([OK, OK, NO, OK, BYE], [BYE, NO, BYE]),
    ([OK, OK, NO, OK, GO, BYE], [BYE, NO, BYE]),
    ([BYE], [BYE] * 3),
    ([OK, OK], [None] * 3),
    ([], [None] * 3),
]


@pytest.mark.parametrize("manner", [PIPELINED, STEPWISE])
@pytest.mark.parametrize(("replies", "verdicts"), BOTH)
def test_each_recipient_gets_the_reply_that_decides(manner: Manner, replies: list[Reply], verdicts: Verdicts) -> None:
    assert talk(manner, replies).transaction.verdicts() == verdicts


def test_pipelining_sends_everything_up_to_data_at_once() -> None:
    assert talk(PIPELINED, [OK, OK, OK, OK, GO, OK]).sent == [MAIL + b"".join(RCPTS) + b"DATA\r\n", BODY]


def test_without_pipelining_each_command_waits_for_its_answer() -> None:
    assert talk(STEPWISE, [OK, OK, OK, OK, GO, OK]).sent == [MAIL, *RCPTS, b"DATA\r\n", BODY]


def test_one_final_reply_for_all_is_offered_at_once() -> None:
    assert talk(PIPELINED, [OK, OK, OK, OK, GO, OK]).transaction.common_verdict == OK
    assert talk(PIPELINED, [OK, OK, OK, NO, GO, OK]).transaction.common_verdict is None
    assert talk(PIPELINED, [OK, OK, OK, OK, GO]).transaction.common_verdict is None


def test_a_refused_sender_ends_it_and_pipelined_answers_are_heard_out() -> None:
    bad_sequence = Reply(503, "5.5.1", "no sender")
    done = talk(PIPELINED, [NO, *[bad_sequence] * 3, bad_sequence])
    assert done.transaction.verdicts() == [NO] * 3
    assert not done.transaction.needs_reset
    assert talk(STEPWISE, [NO]).transaction.verdicts() == [NO] * 3


def test_recipients_accepted_behind_a_refused_sender_do_not_count() -> None:
    done = talk(PIPELINED, [NO, OK, OK, OK, GO, OK])
    assert done.sent[1:] == [b".\r\n"], "the message itself must not go out"
    assert done.transaction.verdicts() == [NO] * 3


def test_data_with_no_valid_recipient_is_ended_by_a_lone_dot() -> None:
    done = talk(PIPELINED, [OK, NO, LATER, NO, GO, FINAL_NO])
    assert done.sent[1:] == [b".\r\n"]
    assert done.transaction.verdicts() == [NO, LATER, NO]
    assert done.transaction.needs_reset


def test_data_with_no_valid_recipient_that_is_refused_sends_nothing_more() -> None:
    done = talk(PIPELINED, [OK, NO, NO, NO, Reply(554, "5.5.1", "no valid recipients")])
    assert len(done.sent) == 1
    assert done.transaction.verdicts() == [NO] * 3
    assert done.transaction.needs_reset


def test_without_pipelining_data_is_not_sent_when_no_recipient_is_valid() -> None:
    assert talk(STEPWISE, [OK, NO, NO, NO]).sent == [MAIL, *RCPTS]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        (Reply(552, "", "too many recipients"), TOO_MANY),
        (Reply(452, "", "too many recipients"), TOO_MANY),
        (Reply(452, "4.5.3", "too many recipients"), TOO_MANY),
        (Reply(552, "5.5.3", "too many recipients"), TOO_MANY),
        (Reply(452, "4.2.2", "mailbox full"), Reply(452, "4.2.2", "mailbox full")),
        (Reply(552, "5.2.2", "mailbox full"), Reply(452, "4.2.2", "mailbox full")),
    ],
)
def test_552_at_rcpt_means_too_many_recipients(reply: Reply, verdict: Reply | TooMany) -> None:
    done = talk(PIPELINED, [OK, OK, reply, reply, GO, OK])
    assert done.transaction.verdicts() == [OK, verdict, verdict]


def test_too_many_recipients_at_the_first_one_is_only_a_refusal_for_now() -> None:
    done = talk(STEPWISE, [OK, Reply(552, "", "too many")], rcpts=1)
    assert done.transaction.verdicts() == [Reply(452, "", "too many")]


def test_an_open_transaction_is_reset_before_the_next() -> None:
    assert talk(Manner(pipelining=True, reset=True), [OK, OK, OK, GO, OK], rcpts=1).sent[0] == (
        b"RSET\r\n" + MAIL + RCPTS[0] + b"DATA\r\n"
    )
    assert talk(Manner(reset=True), [OK, OK, OK, GO, OK], rcpts=1).sent[:3] == [b"RSET\r\n", MAIL, RCPTS[0]]
    refused = talk(Manner(reset=True), [NO], rcpts=1).transaction
    assert refused.is_broken
    assert not refused.has_answer


@pytest.mark.parametrize(
    "replies",
    [
        [GO],
        [OK, GO],
        [OK, OK, OK],
        [OK, OK, GO, GO],
        [Reply(334)],
    ],
)
def test_an_answer_of_the_wrong_kind_breaks_the_connection_and_delivers_nothing(replies: list[Reply]) -> None:
    transaction = talk(STEPWISE, replies, rcpts=1).transaction
    assert transaction.is_broken
    (verdict,) = transaction.verdicts()
    assert isinstance(verdict, Reply)
    assert verdict.is_transient


def test_421_leaves_the_connection_broken() -> None:
    for replies in ([BYE], [OK, BYE], [OK, OK, BYE], [OK, OK, GO, BYE]):
        assert talk(STEPWISE, replies, rcpts=1).transaction.is_broken


def test_chunking_waits_for_a_valid_recipient_and_sends_no_data_command() -> None:
    done = talk(Manner(pipelining=True, bdat=True), [OK, OK, NO, OK, OK])
    assert done.sent == [MAIL + b"".join(RCPTS), BODY]
    assert done.transaction.verdicts() == [OK, NO, OK]
    assert talk(Manner(pipelining=True, bdat=True), [OK, NO, NO, NO]).sent == [MAIL + b"".join(RCPTS)]
    assert talk(Manner(bdat=True), [OK, OK, OK], rcpts=1).sent == [MAIL, RCPTS[0], BODY]


def test_lmtp_has_one_final_reply_for_each_accepted_recipient() -> None:
    full = Reply(452, "4.2.2", "full")
    done = talk(Manner(pipelining=True, lmtp=True), [OK, OK, NO, OK, GO, OK, full])
    assert done.transaction.verdicts() == [OK, NO, full]


def test_lmtp_that_goes_silent_after_one_final_reply_leaves_the_others_unanswered() -> None:
    done = talk(Manner(lmtp=True), [OK, OK, OK, OK, GO, OK])
    assert done.transaction.verdicts() == [OK, None, None]
    said_bye = talk(Manner(lmtp=True), [OK, OK, OK, OK, GO, OK, BYE])
    assert said_bye.transaction.verdicts() == [OK, BYE, BYE]


def test_lmtp_that_says_354_without_a_valid_recipient_is_given_up() -> None:
    done = talk(Manner(pipelining=True, lmtp=True), [OK, NO, NO, NO, GO])
    assert done.transaction.is_broken
    assert done.transaction.verdicts() == [NO] * 3


def test_every_step_has_a_phrase() -> None:
    assert len({step.phrase for step in Step}) == len(Step)
