"""Whatever a server says: only replies or a ReplyError come out, cutting it up changes nothing, nothing is made up."""

from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from posthouse.message.reply import Reply
from posthouse.protocol.smtp.client import Manner, Step, Transaction
from posthouse.protocol.smtp.client_extensions import parse_extensions
from posthouse.protocol.smtp.client_replies import ReplyError, ReplyParser

noise = st.binary(max_size=40)
lines = st.one_of(
    noise,
    st.sampled_from(
        [b"250 ok\r\n", b"250-more\r\n", b"354 go\r\n", b"421 4.3.2 bye\r\n", b"550 5.1.1 no\n", b"\r", b"\n"]
    ),
)
speech = st.lists(lines, max_size=8).map(b"".join)


def parse(pieces: list[bytes]) -> list[Reply | str]:
    parser = ReplyParser()
    found: list[Reply | str] = []
    for piece in pieces:
        parser.receive(piece)
        try:
            while (reply := parser.next_reply()) is not None:
                found.append(reply)
        except ReplyError:
            return [*found, "error"]
    return found


@settings(max_examples=300, deadline=None)
@given(speech, st.integers(0, 60))
@example(b"250-a\r\n250 b\r\n250 c\r\n", 3)
def test_the_reply_parser_takes_anything_and_pieces_change_nothing(raw: bytes, cut: int) -> None:
    whole = parse([raw])
    assert parse([raw[:cut], raw[cut:]]) == whole
    assert parse([raw[at : at + 1] for at in range(len(raw))]) == whole
    for reply in whole:
        if isinstance(reply, Reply):
            assert 200 <= reply.code < 600
            assert all(line.isprintable() for line in reply.text.split("\n"))
            parse_extensions(reply)


replies = st.sampled_from([200, 250, 251, 354, 334, 421, 450, 452, 503, 550, 552, 554]).map(Reply)
manners = st.builds(Manner, st.booleans(), st.booleans(), st.booleans(), st.booleans())


@settings(max_examples=500, deadline=None)
@given(st.lists(replies, max_size=12), manners, st.integers(1, 4))
def test_a_recipient_is_only_delivered_when_the_message_was_sent_and_then_accepted(
    heard: list[Reply], manner: Manner, count: int
) -> None:
    transaction = Transaction(b"MAIL\r\n", [b"RCPT\r\n"] * count, manner)
    transaction.start()
    has_sent = False
    finals: list[Reply] = []
    for reply in heard:
        if transaction.step is Step.DONE:
            break
        if transaction.step is Step.BODY:
            has_sent = True
            transaction.body_sent()
        if transaction.step is Step.FINAL:
            finals.append(reply)
        assert transaction.take(reply) in (b"", b"MAIL\r\n", b"RCPT\r\n", b"DATA\r\n", b".\r\n")
    verdicts = transaction.verdicts()
    delivered = [each for each in verdicts if isinstance(each, Reply) and each.code < 400]
    accepting = [each for each in finals if each.code < 300]
    assert len(verdicts) == count
    assert not delivered or has_sent
    assert len(delivered) <= (len(accepting) if manner.lmtp else transaction.accepted)
    assert not delivered or accepting
    common = transaction.common_verdict
    assert common is None or verdicts == [common] * count
