"""Delivering over an open connection: what is written, and what becomes of each recipient."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.envelope import BodyType, Notify, Recipient
from posthouse.message.outcome import Deferred, Delivered, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound import AdaptedMessage, Mode, NotTried, StaleConnection
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody, QueuedMessage, SpoolError
from posthouse.ports.stream import ScriptedStream, StreamError, StreamTimeout
from tests.mta.outbound_kit import (
    GO,
    LABEL,
    OK,
    TEXT,
    TRACE,
    FileLikeBody,
    connect,
    mail,
    message,
    rcpt,
)

WHOLE = TRACE + TEXT + b".\r\n"
QUEUED = Reply(250, "2.0.0", "ok")
DONE = Delivered(QUEUED, LABEL, relayed=True)


def group(*names: str) -> bytes:
    return mail() + rcpt(*names) + b"DATA\r\n"


async def test_one_message_takes_two_writes_with_pipelining() -> None:
    connection, _ = await connect([(group("r1"), OK + OK + GO), (WHOLE, OK)])
    queued = message("r1")
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    assert connection.is_reusable
    assert connection.messages_sent == 1


async def test_without_pipelining_every_command_waits() -> None:
    steps = [(mail(), OK), (rcpt("r1"), OK), (rcpt("r2"), OK), (b"DATA\r\n", GO), (WHOLE, OK)]
    connection, peer = await connect(steps, [])
    queued = message("r1", "r2")
    assert await connection.deliver(queued, queued.recipients) == [DONE, DONE]
    assert not peer.script


async def test_a_4xx_for_one_of_many_recipients_is_that_recipients_alone() -> None:
    connection, _ = await connect(
        [(group("r1", "r2", "r3"), OK + OK + b"450 4.2.1 busy\r\n550 5.1.1 no\r\n" + GO), (WHOLE, OK)]
    )
    queued = message("r1", "r2", "r3")
    assert await connection.deliver(queued, queued.recipients) == [
        DONE,
        Deferred(Reply(450, "4.2.1", "busy"), LABEL),
        Refused(Reply(550, "5.1.1", "no"), LABEL),
    ]


async def test_a_4xx_at_data_after_some_recipients_were_accepted_defers_all_of_those() -> None:
    connection, peer = await connect(
        [(group("r1", "r2", "r3"), OK + OK + b"550 5.1.1 no\r\n" + OK + b"451 4.3.0 not now\r\n")]
    )
    queued = message("r1", "r2", "r3")
    later = Deferred(Reply(451, "4.3.0", "not now"), LABEL)
    assert await connection.deliver(queued, queued.recipients) == [
        later,
        Refused(Reply(550, "5.1.1", "no"), LABEL),
        later,
    ]
    assert WHOLE not in peer.received
    assert connection.is_reusable


async def test_552_at_rcpt_means_the_rest_goes_in_the_next_transaction() -> None:
    connection, _ = await connect(
        [
            (group("r1", "r2"), OK + OK + b"552 too many recipients\r\n" + GO),
            (WHOLE, OK),
            (group("r2"), OK + OK + GO),
            (WHOLE, OK),
        ]
    )
    queued = message("r1", "r2")
    assert await connection.deliver(queued, queued.recipients) == [DONE, NotTried(LABEL)]
    assert connection.max_recipients == 1
    assert await connection.deliver(queued, queued.recipients[1:]) == [DONE]


async def test_limits_announced_for_recipients_are_kept() -> None:
    connection, _ = await connect(
        [(group("r1", "r2"), OK * 3 + GO), (WHOLE, OK)], ["PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=1"]
    )
    assert connection.max_recipients == 2
    assert connection.max_messages == 1
    queued = message("r1", "r2", "r3")
    assert await connection.deliver(queued, queued.recipients) == [DONE, DONE, NotTried(LABEL)]
    assert not connection.is_reusable, "MAILMAX=1"


async def test_all_recipients_refused_with_354_sends_a_lone_dot_and_resets_before_the_next() -> None:
    connection, peer = await connect(
        [
            (group("r1"), OK + b"550 5.1.1 no\r\n" + GO),
            (b".\r\n", b"554 5.5.1 no valid recipients\r\n"),
            (b"RSET\r\n" + group("r2"), OK + OK + OK + GO),
            (WHOLE, OK),
        ]
    )
    first, second = message("r1"), message("r2")
    assert await connection.deliver(first, first.recipients) == [Refused(Reply(550, "5.1.1", "no"), LABEL)]
    assert await connection.deliver(second, second.recipients) == [DONE]
    assert not peer.script


async def test_a_refused_sender_decides_for_all() -> None:
    connection, _ = await connect([(group("r1", "r2"), b"553 5.1.8 sender\r\n" + b"503 5.5.1 no\r\n" * 3)])
    queued = message("r1", "r2")
    refused = Refused(Reply(553, "5.1.8", "sender"), LABEL)
    assert await connection.deliver(queued, queued.recipients) == [refused, refused]


async def test_421_defers_who_was_not_answered_and_closes() -> None:
    connection, peer = await connect([(group("r1", "r2"), OK + b"550 5.1.1 no\r\n421 4.3.2 shutting down\r\n")])
    queued = message("r1", "r2")
    assert await connection.deliver(queued, queued.recipients) == [
        Refused(Reply(550, "5.1.1", "no"), LABEL),
        Deferred(Reply(421, "4.3.2", "shutting down"), LABEL, site_failed=True),
    ]
    assert not connection.is_reusable
    assert peer.closed


async def test_a_connection_lost_before_the_final_reply_defers() -> None:
    connection, _ = await connect([(group("r1"), OK + OK + GO), (WHOLE, b"")])
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.4.2"
    assert "may arrive twice" in outcome.reply.text
    assert not outcome.site_failed, "the message may be what kills the peer"


async def test_a_connection_lost_in_the_middle_keeps_the_refusals_it_gave() -> None:
    connection, _ = await connect([(group("r1", "r2"), OK + b"550 5.1.1 no\r\n")])
    queued = message("r1", "r2")
    refused, lost = await connection.deliver(queued, queued.recipients)
    assert refused == Refused(Reply(550, "5.1.1", "no"), LABEL)
    assert isinstance(lost, Deferred)
    assert lost.site_failed


async def test_a_peer_that_does_not_answer_in_time_defers() -> None:
    connection, _ = await connect([(group("r1"), OK + OK + GO), (WHOLE, b""), (b"never", b"")])
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert "did not answer in time" in outcome.reply.text


async def test_nonsense_from_the_peer_defers_and_closes() -> None:
    connection, _ = await connect([(group("r1"), b"OK whatever\r\n")])
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.5.0"
    assert not connection.is_reusable


async def test_an_answer_that_comes_before_the_message_is_not_taken_for_delivery() -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO + OK)])
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert WHOLE not in peer.received


async def test_an_answer_too_many_makes_the_connection_useless() -> None:
    connection, _ = await connect([(group("r1"), OK + OK + GO), (WHOLE, OK + OK)])
    queued = message("r1")
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    assert not connection.is_reusable
    with pytest.raises(StaleConnection):
        await connection.deliver(queued, queued.recipients)


@pytest.mark.parametrize("answer", [b"", b"421 4.4.2 idle too long\r\n"])
async def test_a_kept_connection_that_died_is_stale_not_a_failure(answer: bytes) -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO), (WHOLE, OK), (group("r1"), answer)])
    queued = message("r1")
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    with pytest.raises(StaleConnection):
        await connection.deliver(queued, queued.recipients)
    assert peer.closed


async def test_a_fresh_connection_that_dies_at_mail_is_a_failure() -> None:
    connection, _ = await connect([(group("r1"), b"")])
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert outcome.site_failed


async def test_an_idle_connection_that_the_peer_is_leaving_is_not_written_to() -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO), (WHOLE, OK)])
    queued = message("r1")
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    written = peer.received
    peer._input = b"421 4.4.2 idle\r\n"
    assert not connection.is_reusable
    with pytest.raises(StaleConnection):
        await connection.deliver(queued, queued.recipients)
    assert peer.received == written


async def test_a_fresh_connection_that_is_gone_before_the_first_message_is_a_failure() -> None:
    connection, peer = await connect([])
    peer._input = b"421 4.3.2 overloaded\r\n"
    queued = message("r1", "r2")
    outcomes = await connection.deliver(queued, queued.recipients)
    assert [type(each) for each in outcomes] == [Deferred, Deferred]
    assert b"MAIL" not in peer.received


# Sizes, extensions


async def test_size_is_announced_with_our_header_and_without_dots() -> None:
    queued = message("r1", body=b".\r\n")
    steps = [
        (mail(parameters=f" SIZE={len(TRACE) + 3}") + rcpt("r1") + b"DATA\r\n", OK + OK + GO),
        (TRACE + b"..\r\n", OK),
    ]
    connection, _ = await connect(steps, ["PIPELINING", "SIZE"])
    assert await connection.deliver(queued, queued.recipients) == [DONE]


async def test_a_message_beyond_the_announced_size_is_refused_without_asking() -> None:
    connection, peer = await connect([], ["PIPELINING", "SIZE 20"])
    queued = message("r1", "r2")
    outcomes = await connection.deliver(queued, queued.recipients)
    assert [type(each) for each in outcomes] == [Refused, Refused]
    assert isinstance(outcomes[0], Refused)
    assert outcomes[0].reply.enhanced == "5.3.4"
    assert b"MAIL" not in peer.received
    assert connection.is_reusable


async def test_dsn_parameters_go_to_a_hop_that_takes_over_the_duty() -> None:
    queued = message("r1")
    queued.recipients[0].recipient = Recipient(
        queued.recipients[0].recipient.address, Notify.SUCCESS, ("rfc822", "old+x@c.example")
    )
    line = rcpt("r1", parameters=" NOTIFY=SUCCESS ORCPT=rfc822;old+2Bx@c.example")
    connection, _ = await connect([(mail() + line + b"DATA\r\n", OK + OK + GO), (WHOLE, OK)], ["PIPELINING", "DSN"])
    assert await connection.deliver(queued, queued.recipients) == [
        Delivered(QUEUED, LABEL, relayed=True, dsn_passed=True)
    ]


async def test_eight_bit_content_is_declared_even_when_the_sender_did_not() -> None:
    body = "Subject: ü\r\n".encode()
    steps = [
        (mail(parameters=" BODY=8BITMIME") + rcpt("r1") + b"DATA\r\n", OK + OK + GO),
        (TRACE + body + b".\r\n", OK),
    ]
    connection, _ = await connect(steps, ["PIPELINING", "8BITMIME"])
    queued = message("r1", body=body)
    assert await connection.deliver(queued, queued.recipients) == [DONE]


async def test_a_hop_without_8bitmime_gets_what_adapt_makes() -> None:
    asked: list[HopCapabilities] = []

    async def adapt(queued: QueuedMessage, hop: HopCapabilities) -> AdaptedMessage | Refused:
        asked.append(hop)
        return AdaptedMessage(queued.trace, InlineBody(b"seven\r\n"), BodyType.SEVENBIT)

    connection, _ = await connect([(group("r1"), OK + OK + GO), (TRACE + b"seven\r\n.\r\n", OK)], adapt=adapt)
    queued = message("r1", body="ü\r\n".encode(), body_type=BodyType.EIGHTBITMIME)
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    assert asked == [HopCapabilities(False, False, False)]


async def test_what_adapt_refuses_is_refused_for_every_recipient() -> None:
    refused = Refused(Reply(554, "5.6.3", "signed"))

    async def adapt(queued: QueuedMessage, hop: HopCapabilities) -> AdaptedMessage | Refused:
        return refused

    connection, peer = await connect([], adapt=adapt)
    queued = message("r1", "r2", body_type=BodyType.EIGHTBITMIME)
    assert await connection.deliver(queued, queued.recipients) == [refused, refused]
    assert b"MAIL" not in peer.received


async def test_binary_mail_is_only_sent_by_bdat_with_binarymime() -> None:
    body = b"a\n.\n\0\r"
    size = len(TRACE) + len(body)
    steps = [
        (mail(parameters=" BODY=BINARYMIME") + rcpt("r1"), OK + OK),
        (b"BDAT %d LAST\r\n" % size + TRACE + body, OK),
    ]
    connection, _ = await connect(steps, ["PIPELINING", "8BITMIME", "CHUNKING", "BINARYMIME"])
    queued = message("r1", body=body, body_type=BodyType.BINARYMIME)
    assert await connection.deliver(queued, queued.recipients) == [DONE]


async def test_binary_mail_never_goes_by_data() -> None:
    connection, peer = await connect([], ["PIPELINING", "8BITMIME", "BINARYMIME"])
    queued = message("r1", body=b"\n.\n", body_type=BodyType.BINARYMIME)
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Refused)
    assert b"DATA" not in peer.received


# Large bodies


async def test_a_large_file_goes_by_bdat_where_it_can() -> None:
    body = b".\r\n" * 100_000
    head = b"BDAT %d LAST\r\n" % (len(TRACE) + len(body))
    connection, peer = await connect(
        [(mail() + rcpt("r1"), OK + OK), (head + TRACE + body, OK)], ["PIPELINING", "CHUNKING"]
    )
    queued = message("r1", body=FileLikeBody(body))
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    assert not peer.script


async def test_a_large_file_goes_by_data_in_slices_with_its_dots_doubled() -> None:
    body = b".\r\n" * 100_000
    connection, peer = await connect([(group("r1"), OK + OK + GO), (TRACE + b"..\r\n" * 100_000 + b".\r\n", OK)])
    queued = message("r1", body=FileLikeBody(body))
    assert await connection.deliver(queued, queued.recipients) == [DONE]
    assert not peer.script


async def test_chunking_can_be_switched_off() -> None:
    connection, _ = await connect(
        [(group("r1"), OK + OK + GO), (TRACE + b"x\r\n" * 100_000 + b".\r\n", OK)],
        ["PIPELINING", "CHUNKING"],
        use_chunking=False,
    )
    queued = message("r1", body=FileLikeBody(b"x\r\n" * 100_000))
    assert await connection.deliver(queued, queued.recipients) == [DONE]


@pytest.mark.parametrize("extensions", [["PIPELINING"], ["PIPELINING", "CHUNKING"]])
@pytest.mark.parametrize(
    "body",
    [
        FileLikeBody(b"x\r\n" * 100_000, fails=SpoolError("gone")),
        FileLikeBody(b"x\r\n" * 100_000, short=10),
    ],
)
async def test_a_body_that_cannot_be_read_is_never_sent_as_a_whole_one(
    body: FileLikeBody, extensions: list[str]
) -> None:
    connection, peer = await connect([(b"MAIL", OK + OK + GO if len(extensions) == 1 else OK + OK)], extensions)
    queued = message("r1", body=body)
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert outcome.reply.enhanced == "4.3.0"
    assert not outcome.site_failed
    assert peer.closed
    assert not peer.received.endswith(b"\r\n.\r\n")


class ClosingStream(ScriptedStream):
    """Says something and hangs up while a body is being written to it."""

    async def drain(self, timeout_s: float) -> None:
        self._input += self.last_words
        raise StreamError("write", "broken pipe")

    last_words = b""


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (b"552 5.3.4 too big\r\n", Refused(Reply(552, "5.3.4", "too big"), LABEL)),
        (b"421 4.3.2 bye\r\n", Deferred(Reply(421, "4.3.2", "bye"), LABEL, site_failed=True)),
    ],
)
async def test_the_last_words_of_a_peer_that_hangs_up_on_a_body_are_heard(
    words: bytes, expected: Deferred | Refused
) -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO)])
    closing = ClosingStream(peer.script, b"")
    closing.last_words = words
    connection._wire.stream = closing
    queued = message("r1", body=FileLikeBody(b"x\r\n" * 100_000))
    assert await connection.deliver(queued, queued.recipients) == [expected]


async def test_a_250_for_half_a_body_is_not_believed() -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO)])
    closing = ClosingStream(peer.script, b"")
    closing.last_words = OK
    connection._wire.stream = closing
    queued = message("r1", body=FileLikeBody(b"x\r\n" * 100_000))
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)


# SMTPUTF8


async def test_an_internationalised_message_goes_as_it_is_to_a_hop_that_takes_it() -> None:
    steps = [
        ("MAIL FROM:<ä@ä.example> BODY=8BITMIME SMTPUTF8\r\nRCPT TO:<ö@b.example>\r\nDATA\r\n".encode(), OK + OK + GO),
        (TRACE + "Subject: ü\r\n\r\n.\r\n".encode(), OK),
    ]
    connection, _ = await connect(steps, ["PIPELINING", "8BITMIME", "SMTPUTF8"])
    queued = message("ö@b.example", sender="ä@ä.example", smtputf8=True, body="Subject: ü\r\n\r\n".encode())
    assert await connection.deliver(queued, queued.recipients) == [DONE]


async def test_smtputf8_that_turns_out_to_be_ascii_goes_with_a_labels() -> None:
    steps = [(b"MAIL FROM:<a@xn--4ca.example>\r\n" + rcpt("r1") + b"DATA\r\n", OK + OK + GO), (WHOLE, OK)]
    connection, _ = await connect(steps)
    queued = message("r1", sender="a@ä.example", smtputf8=True)
    assert await connection.deliver(queued, queued.recipients) == [DONE]


@pytest.mark.parametrize(
    "queued",
    [
        message("r1", sender="ä@a.example", smtputf8=True),
        message("r1", smtputf8=True, body="Subject: ü\r\n\r\n".encode()),
        message("r1", smtputf8=True, body=FileLikeBody("Subject: ü\r\n\r\n".encode())),
        message("r1", smtputf8=True, trace="Received: from ü\r\n".encode()),
        message("ö", smtputf8=True),
    ],
)
async def test_smtputf8_that_cannot_go_is_567(queued: QueuedMessage) -> None:
    connection, peer = await connect([], ["PIPELINING", "8BITMIME"])
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Refused)
    assert (outcome.reply.code, outcome.reply.enhanced) == (550, "5.6.7")
    assert b"MAIL" not in peer.received


async def test_only_the_recipient_with_the_utf8_name_is_refused() -> None:
    connection, _ = await connect([(group("r1", "r2"), OK * 3 + GO), (WHOLE, OK)], ["PIPELINING", "8BITMIME"])
    queued = message("r1", "ö", "r2", smtputf8=True)
    first, second, third = await connection.deliver(queued, queued.recipients)
    assert (first, third) == (DONE, DONE)
    assert isinstance(second, Refused)


# LMTP and leaving


async def test_lmtp_answers_for_each_recipient_and_is_final_delivery() -> None:
    steps = [(group("r1", "r2", "r3"), OK + OK + b"550 5.1.1 no\r\n" + OK + GO), (WHOLE, OK + b"452 4.2.2 full\r\n")]
    connection, _ = await connect(steps, mode=Mode.LMTP)
    queued = message("r1", "r2", "r3")
    assert await connection.deliver(queued, queued.recipients) == [
        Delivered(QUEUED, LABEL),
        Refused(Reply(550, "5.1.1", "no"), LABEL),
        Deferred(Reply(452, "4.2.2", "full"), LABEL),
    ]
    assert connection.messages_sent == 1


async def test_quit_is_said_once_and_closes() -> None:
    connection, peer = await connect([(b"QUIT\r\n", b"221 bye\r\n")])
    await connection.quit()
    await connection.quit()
    assert peer.received.count(b"QUIT\r\n") == 1
    assert peer.closed


async def test_the_last_message_takes_quit_along() -> None:
    connection, peer = await connect([(group("r1"), OK + OK + GO), (WHOLE + b"QUIT\r\n", OK + b"221 bye\r\n")])
    queued = message("r1")
    assert await connection.deliver(queued, queued.recipients, is_last=True) == [DONE]
    assert not connection.is_reusable
    await connection.quit()
    assert peer.received.count(b"QUIT\r\n") == 1
    assert peer.closed


async def test_quit_to_a_peer_that_is_gone_or_silent_raises_nothing() -> None:
    for steps in ([], [(b"never", b"")]):
        connection, peer = await connect(steps)
        await connection.quit()
        assert peer.closed


async def test_reset_tells_whether_the_connection_is_alive() -> None:
    connection, peer = await connect([(b"RSET\r\n", OK), (b"RSET\r\n", b"421 4.3.2 bye\r\n")])
    assert await connection.reset()
    assert not await connection.reset()
    assert peer.closed
    assert not await connection.reset()


class StuckStream(ScriptedStream):
    async def read(self, timeout_s: float) -> bytes:
        await asyncio.Event().wait()
        raise StreamTimeout("read", "")


async def test_a_delivery_that_is_cancelled_leaves_no_connection_to_be_reused() -> None:
    connection, peer = await connect([])
    stuck = StuckStream(peer.script, b"")
    connection._wire.stream = stuck
    queued = message("r1")
    task = asyncio.ensure_future(connection.deliver(queued, queued.recipients))
    while not stuck.received:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert stuck.closed
    assert not connection.is_reusable


class DrippingStream(ScriptedStream):
    """One octet at a time; the first takes all but a second of the deadline. `waits` is what was allowed for each."""

    clock = FakeClock()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.waits: list[float] = []

    async def read(self, timeout_s: float) -> bytes:
        self.waits.append(timeout_s)
        self.clock.advance(timeout_s - 1 if len(self.waits) == 1 else 0.5)
        return b"2"


async def test_a_peer_that_drips_octets_does_not_prolong_a_step() -> None:
    connection, peer = await connect([])
    dripping = DrippingStream(peer.script, b"")
    dripping.clock = cast(FakeClock, connection._wire._clock)
    connection._wire.stream = dripping
    queued = message("r1")
    (outcome,) = await connection.deliver(queued, queued.recipients)
    assert isinstance(outcome, Deferred)
    assert "in time" in outcome.reply.text
    assert dripping.waits == [300.0, 1.0, 0.5]
