"""Where a message ends. What is refused for its line ends is in test_wire_text and the smuggling tests."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.wire.chunks import ChunkReader
from posthouse.protocol.wire.dots import MIN_PIECE, DotReader

FILLER = b"x" * MIN_PIECE


def read_message(pieces: Iterable[bytes]) -> tuple[bytes, bytes] | None:
    """The message and what follows it, None when it does not end."""
    reader, left, message = DotReader(), b"", b""
    waiting = iter(pieces)
    for piece in waiting:
        left += piece
        while not reader.is_done:
            got, position = reader.read(left, 0)
            message += got
            left = left[position:]
            if not got:
                break
        if reader.is_done:
            return message, left + b"".join(waiting)
    return None


def stuff(message: bytes) -> bytes:
    """What a client does with a message of whole lines (RFC 5321 §4.5.2)."""
    lines = message.split(b"\r\n")[:-1]
    return b"".join([(b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines]) + b".\r\n"


CASES = [
    (b".\r\nQUIT", b"", b"QUIT"),
    (b"\r\n.\r\n", b"\r\n", b""),
    (b"a\r\n.\r\nQUIT\r\n", b"a\r\n", b"QUIT\r\n"),
    (b"..\r\n.\r\n", b".\r\n", b""),
    (b".a\r\n.\r\n", b"a\r\n", b""),
    (b"a\r\n..\r\n...\r\n.\r\n.\r\n", b"a\r\n.\r\n..\r\n", b".\r\n"),
    (b"a\r\n.b\r\n.\r\n", b"a\r\nb\r\n", b""),
    (FILLER + b"\r\n..x\r\n.\r\n", FILLER + b"\r\n.x\r\n", b""),
]


@pytest.mark.parametrize(("octets", "message", "rest"), CASES)
def test_a_message_ends_at_the_dot_alone_on_its_line(octets: bytes, message: bytes, rest: bytes) -> None:
    assert read_message([octets]) == (message, rest)
    assert read_message([octets[at : at + 1] for at in range(len(octets))]) == (message, rest)
    for at in range(max(0, len(octets) - 40), len(octets)):
        assert read_message([octets[:at], octets[at:]]) == (message, rest)


NO_END = [
    b"\n.\n",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n.\r\r\n",
    b"\r\n.\0\r\n",
]


@pytest.mark.parametrize("lookalike", NO_END)
@pytest.mark.parametrize("filler", [b"a", FILLER], ids=["short", "long"])
def test_a_lookalike_never_ends_a_message_in_any_split(lookalike: bytes, filler: bytes) -> None:
    octets = filler + lookalike + b"b"
    first = len(filler) - 1
    for one, two in itertools.combinations_with_replacement(range(first, len(octets) + 1), 2):
        assert read_message([octets[:one], octets[one:two], octets[two:]]) is None
        ended = read_message([octets[:one], octets[one:two], octets[two:], b"\r\n.\r\n"])
        assert ended is not None
        assert ended[1] == b""
    assert read_message([lookalike + b"b"]) is None


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"x." * 30, b"y" * 5000]), max_size=12),
    st.data(),
)
def test_stuffing_undone_gives_the_message_back_however_it_is_cut(lines: list[bytes], data: st.DataObject) -> None:
    message = b"".join([line + b"\r\n" for line in lines])
    octets = stuff(message) + b"QUIT\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    pieces = [octets[a:b] for a, b in itertools.pairwise([0, *cuts, len(octets)])]
    assert read_message(pieces) == (message, b"QUIT\r\n")


def test_single_octets_make_no_piece_each() -> None:
    reader, left, pieces = DotReader(), b"", 0
    for _ in range(3 * MIN_PIECE):
        left += b"x"
        got, position = reader.read(left, 0)
        left = left[position:]
        pieces += bool(got)
    assert pieces == 3


def test_a_chunk_ends_after_its_octets() -> None:
    reader = ChunkReader(5, is_last=False)
    assert reader.read(b"abc", 0) == (b"", 0)
    assert not reader.is_done
    assert reader.read(b"abcdefgh", 1) == (b"bcdef", 6)
    assert reader.is_done


def test_an_empty_chunk_is_done_at_once() -> None:
    assert ChunkReader(0, is_last=True).is_done
