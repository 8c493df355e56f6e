"""Replies of a server, whole and in every split; what is not a reply ends the conversation."""

import pytest

from posthouse.message.reply import Reply
from posthouse.protocol.smtp.client_replies import (
    MAX_LINE_OCTETS,
    MAX_LINES,
    ReplyError,
    ReplyParser,
)

CASES = [
    (b"250 2.1.0 Ok\r\n", [Reply(250, "2.1.0", "Ok")]),
    (b"250\r\n", [Reply(250)]),
    (b"250 \r\n", [Reply(250)]),
    (b"354 go ahead\r\n", [Reply(354, "", "go ahead")]),
    (b"550 5.1.1\r\n", [Reply(550, "5.1.1", "")]),
    (b"550 5.1.1 no\n", [Reply(550, "5.1.1", "no")]),
    (b"550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", [Reply(550, "5.7.1", "one\ntwo\nthree")]),
    (b"250-mx\r\n250-SIZE 10\r\n250 DSN\r\n", [Reply(250, "", "mx\nSIZE 10\nDSN")]),
    (b"550 2.1.1 wrong class\r\n", [Reply(550, "", "wrong class")]),
    (b"250 10.0.0.1 says hello\r\n", [Reply(250, "", "10.0.0.1 says hello")]),
    ("550 5.1.1 größer\r\n".encode(), [Reply(550, "5.1.1", "größer")]),
    (b"250 a\r\n250 b\r\n354 c\r\n", [Reply(250, "", "a"), Reply(250, "", "b"), Reply(354, "", "c")]),
    (b"250 2.0.0 same\r\n250 2.0.0 same\r\n", [Reply(250, "2.0.0", "same")] * 2),
    (b"421-4.3.2 x\r\n421 4.3.2 y\r\n250 z\r\n", [Reply(421, "4.3.2", "x\ny"), Reply(250, "", "z")]),
]


def read_all(parser: ReplyParser) -> list[Reply]:
    replies = []
    while (reply := parser.next_reply()) is not None:
        replies.append(reply)
    return replies


def parse_pieces(pieces: list[bytes]) -> list[Reply]:
    parser = ReplyParser()
    replies = []
    for piece in pieces:
        parser.receive(piece)
        replies += read_all(parser)
    assert not parser.has_input
    return replies


@pytest.mark.parametrize(("raw", "expected"), CASES)
def test_replies_come_out_whole_byte_by_byte_and_at_every_split(raw: bytes, expected: list[Reply]) -> None:
    assert parse_pieces([raw]) == expected
    assert parse_pieces([raw[at : at + 1] for at in range(len(raw))]) == expected
    for cut in range(1, len(raw)):
        assert parse_pieces([raw[:cut], raw[cut:]]) == expected


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"25 short\r\n",
        b"2500 long\r\n",
        b"150 no such class\r\n",
        b"650 no such class\r\n",
        b"250_underscore\r\n",
        b"\r\n",
        b"\x16\x03\x01\n",
        b"250 bare\rcarriage return\r\n",
        b"250-one\r\n550 another code\r\n",
        b"250-one\r\nnonsense\r\n",
        b"250 " + b"x" * MAX_LINE_OCTETS + b"\r\n",
        b"250 " + b"x" * MAX_LINE_OCTETS,
        b"250-x\r\n" * (MAX_LINES + 1),
        b"250-" + b"\r\n250-".join([b"x" * 4000] * 20) + b"\r\n",
    ],
)
def test_what_is_not_a_reply_is_an_error_and_bounded(raw: bytes) -> None:
    parser = ReplyParser()
    parser.receive(raw)
    with pytest.raises(ReplyError):
        read_all(parser)


def test_an_endless_line_fed_in_small_pieces_is_cut_off() -> None:
    parser = ReplyParser()
    with pytest.raises(ReplyError):
        for _ in range(MAX_LINE_OCTETS):
            parser.receive(b"25")
            read_all(parser)


def test_control_characters_and_wrong_utf8_never_reach_the_log() -> None:
    (reply,) = parse_pieces([b"550 5.7.1 a\x1b[31m\x00\xff\r\n"])
    assert reply.text.isprintable()


def test_a_repeated_line_inside_a_longer_reply_is_part_of_that_reply() -> None:
    assert parse_pieces([b"250 x\r\n", b"250-a\r\n250 x\r\n", b"250 x\r\n"]) == [
        Reply(250, "", "x"),
        Reply(250, "", "a\nx"),
        Reply(250, "", "x"),
    ]


def test_what_nobody_asked_for_is_seen() -> None:
    for raw in (b"250-half", b"250-one\r\n", b"250 ok\r\n250 more\r\n"):
        parser = ReplyParser()
        parser.receive(raw)
        parser.next_reply()
        assert parser.has_input


def test_clear_forgets_half_a_reply() -> None:
    parser = ReplyParser()
    parser.receive(b"250-injected\r\n250-")
    read_all(parser)
    parser.clear()
    parser.receive(b"220 ready\r\n")
    assert read_all(parser) == [Reply(220, "", "ready")]
