"""What a message must be to be taken."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.wire.text import TextCheck, TextLimits, TextProblem

STRICT = TextLimits(max_size=200, max_line=40, max_header=60)


def check(pieces: Iterable[bytes], limits: TextLimits = STRICT) -> TextProblem | None:
    text = TextCheck(limits)
    for piece in pieces:
        kept = text.take(piece)
        assert kept == (piece if text.problem is None else b"")
    text.finish()
    return text.problem


CASES: list[tuple[bytes, TextProblem | None]] = [
    (b"", None),
    (b"\r\n", None),
    (b"a: b\r\n\r\ntext\r\n", None),
    (b"no line end", None),
    (b"a\nb\r\n", TextProblem.BARE_LF),
    (b"\na\r\n", TextProblem.BARE_LF),
    (b"a\r\n\n", TextProblem.BARE_LF),
    (b"a\rb\r\n", TextProblem.BARE_CR),
    (b"a\r\r\n", TextProblem.BARE_CR),
    (b"a\r\nb\r", TextProblem.BARE_CR),
    (b"a\rb\n", TextProblem.BARE_CR),
    (b"a\nb\r", TextProblem.BARE_LF),
    (b"\r\n" + b"x" * 38 + b"\r\n" + b"y" * 38 + b"\r\n", None),
    (b"\r\n" + b"x" * 38 + b"\r\n" + b"y" * 39 + b"\r\n", TextProblem.LONG_LINE),
    (b"x" * 39 + b"\r\n", TextProblem.LONG_LINE),
    (b"x" * 41, TextProblem.LONG_LINE),
    (b"\r\n" + b"123456\r\n" * 24 + b"123456", None),
    (b"\r\n" + b"123456\r\n" * 24 + b"1234567", TextProblem.TOO_BIG),
    (b"12345678\r\n" * 5 + b"12345678\r\n" + b"\r\n", None),
    (b"12345678\r\n" * 6 + b"123\r\n" + b"\r\n", TextProblem.LONG_HEADER),
    (b"12345678\r\n" * 7, TextProblem.LONG_HEADER),
    (b"\r\n" + b"12345678\r\n" * 7, None),
    (b"a\r\n\r\n" + b"12345678\r\n" * 7, None),
    (b"12345678\r\n" * 7 + b"\n", TextProblem.LONG_HEADER),
    (b"12345\n78\r\n" * 7 + b"\n", TextProblem.BARE_LF),
]


@pytest.mark.parametrize(("octets", "problem"), CASES)
def test_the_first_problem_is_found_in_every_split(octets: bytes, problem: TextProblem | None) -> None:
    assert check([octets]) is problem
    assert check([octets[at : at + 1] for at in range(len(octets))]) is problem
    for at in range(len(octets)):
        assert check([octets[:at], octets[at:]]) is problem


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"x", b"x" * 17, b"x" * 30]), max_size=30),
    st.data(),
)
def test_cutting_into_pieces_changes_no_verdict(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    pieces = [octets[a:b] for a, b in itertools.pairwise([0, *cuts, len(octets)])]
    assert check(pieces) is check([octets])


def test_binary_text_may_hold_any_octet() -> None:
    limits = TextLimits(max_size=100, max_line=10, max_header=60, is_binary=True)
    assert check([b"\n\r\0" * 10], limits) is None
    assert check([b"\n\r\0" * 40], limits) is TextProblem.LONG_HEADER


def test_without_limits_only_line_ends_count() -> None:
    assert check([b"x" * 5000, b"\r\n" * 5000], TextLimits()) is None
