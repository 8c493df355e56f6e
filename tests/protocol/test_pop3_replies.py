"""POP3 replies, and what happens to a message on its way: dots, pieces, the top of it."""

from __future__ import annotations

import io
import poplib
import re

from hypothesis import assume, example, given
from hypothesis import strategies as st

from posthouse.protocol.pop3.replies import (
    IN_USE,
    Stuffer,
    TopCutter,
    stuff,
    write_challenge,
    write_err,
    write_lines,
    write_ok,
)

# Texts with all that matters often in them.
_TEXTS = st.lists(st.sampled_from([b".", b"\r\n", b"\n", b"\r", b"a", b"..", b"\r\n.", b"\r\n.\r\n"]), max_size=12).map(
    b"".join
)
_CRLF_TEXTS = st.lists(st.sampled_from([b".", b"\r\n", b"a", b"..", b".\r\n", b"\r\n.\r\n"]), max_size=12).map(
    lambda parts: b"".join([*parts, b"\r\n"])
)


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [*pieces, data]


class Reader(poplib.POP3):
    """poplib's own reading of a long answer, without a connection."""

    def __init__(self, octets: bytes) -> None:
        self.file = io.BytesIO(octets)
        self._debugging = 0

    def read(self) -> list[bytes]:
        return self._getlongresp()[1]  # type: ignore[attr-defined,no-any-return]

    def left(self) -> bytes:
        return self.file.read()


def test_replies() -> None:
    assert write_ok("") == b"+OK\r\n"
    assert write_ok("ready") == b"+OK ready\r\n"
    assert write_err("no") == b"-ERR no\r\n"
    assert write_err("busy", IN_USE) == b"-ERR [IN-USE] busy\r\n"
    assert write_challenge(b"") == b"+ \r\n"
    assert write_lines("list", ["a", "b"]) == b"+OK list\r\na\r\nb\r\n.\r\n"


@given(st.text(max_size=600), st.sampled_from(["", "AUTH"]))
def test_no_text_makes_a_second_reply_or_a_long_line(text: str, code: str) -> None:
    """RFC 2449 §4: 512 octets."""
    for reply in (write_ok(text), write_err(text, code)):
        assert reply.endswith(b"\r\n")
        assert reply.count(b"\n") == reply.count(b"\r") == 1
        assert len(reply) <= 512


@given(_CRLF_TEXTS)
@example(b".\r\n")
@example(b"\r\n")
def test_poplib_reads_what_was_stored(message: bytes) -> None:
    reader = Reader(b"+OK\r\n" + stuff(message) + b"+OK next\r\n")
    assert b"".join(line + b"\r\n" for line in reader.read()) == message
    assert reader.left() == b"+OK next\r\n"


@given(_TEXTS)
@example(b"evil\n.\r\n+OK forged\r\n")
@example(b"evil\r.\r\n")
def test_no_message_ends_before_its_end(message: bytes) -> None:
    """Also for clients that take a bare LF for the end of a line. What poplib makes of a line that begins with a CR
    cannot be helped: a dot more behind it would be a dot too many for all others.
    """
    assume(not re.search(rb"(?:^|\n)\r\.\n", message))
    reader = Reader(b"+OK\r\n" + stuff(message) + b"+OK next\r\n")
    reader.read()
    assert reader.left() == b"+OK next\r\n"


@given(_TEXTS, st.lists(st.integers(0, 5), max_size=8))
def test_pieces_are_stuffed_like_the_whole(message: bytes, sizes: list[int]) -> None:
    stuffer = Stuffer()
    sent = b"".join([stuffer.take(piece) for piece in cut(message, sizes)]) + stuffer.finish()
    assert sent == stuff(message)


def test_a_message_without_a_line_end_at_its_end_gets_one() -> None:
    assert stuff(b"Subject: x\r\n\r\nopen") == b"Subject: x\r\n\r\nopen\r\n.\r\n"
    assert stuff(b"") == b".\r\n"


def top(message: bytes, lines: int, sizes: list[int]) -> bytes:
    cutter = TopCutter(lines)
    sent = b""
    for piece in cut(message, sizes):
        sent += cutter.take(piece)
        if cutter.is_done:
            break
    return sent


@given(
    st.sampled_from([b"A: b\r\n\r\n", b"\r\n", b"A: b\r\nC: d\r\n\r\n"]),
    st.lists(st.sampled_from([b"\r\n", b"x\r\n", b".\r\n"]), max_size=6),
    st.integers(0, 8),
    st.lists(st.integers(0, 7), max_size=8),
)
def test_the_top_is_the_header_and_so_many_lines(head: bytes, body: list[bytes], lines: int, sizes: list[int]) -> None:
    message = head + b"".join(body)
    assert top(message, lines, sizes) == head + b"".join(body[:lines])


def test_the_top_of_a_message_that_is_all_header() -> None:
    assert top(b"A: b\r\nC: d\r\n", 3, [1, 2]) == b"A: b\r\nC: d\r\n"
    assert top(b"A: b\r\n\r\nno end", 5, []) == b"A: b\r\n\r\nno end"
    assert top(b"A: b\r\n\r\nno end", 0, [8]) == b"A: b\r\n\r\n"
