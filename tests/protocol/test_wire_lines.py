"""Where a line ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.wire.lines import LineBuffer, LineProblem
from posthouse.protocol.wire.need_data import NEED_DATA

Item = bytes | LineProblem


def read_all(pieces: Iterable[bytes], max_line: int = 20) -> list[Item]:
    buffer = LineBuffer(max_line)
    items: list[Item] = []
    for piece in pieces:
        buffer.receive(piece)
        while (item := buffer.next_line()) is not NEED_DATA:
            items.append(item)
    return items


CASES: list[tuple[bytes, list[Item]]] = [
    (b"", []),
    (b"a", []),
    (b"a\r", []),
    (b"a\r\n", [b"a"]),
    (b"\r\n\r\n", [b"", b""]),
    (b"a\r\nb\r\nc", [b"a", b"b"]),
    (b"\n", [LineProblem.BARE_LF]),
    (b"a\n", [LineProblem.BARE_LF]),
    (b"a\nb\nc\r\nd\r\n", [LineProblem.BARE_LF, b"d"]),
    (b"a\rb\r\nc\r\n", [LineProblem.BARE_CR, b"c"]),
    (b"a\r\r\nc\r\n", [LineProblem.BARE_CR, b"c"]),
    (b"a\n\r\nc\r\n", [LineProblem.BARE_LF, b"c"]),
    (b"x" * 18 + b"\r\nc\r\n", [b"x" * 18, b"c"]),
    (b"x" * 19 + b"\r\nc\r\n", [LineProblem.TOO_LONG, b"c"]),
    (b"x" * 99 + b"\n" + b"x" * 99 + b"\r\nc\r\n", [LineProblem.TOO_LONG, b"c"]),
    (b"x" * 18 + b"\r", []),
    (b"x" * 19 + b"\r", [LineProblem.TOO_LONG]),
    (b"x" * 20, [LineProblem.TOO_LONG]),
    (b"x" * 19 + b"\n" + b"y" * 30 + b"\r\nc\r\n", [LineProblem.BARE_LF, b"c"]),
]


@pytest.mark.parametrize(("octets", "expected"), CASES)
def test_a_line_ends_with_crlf_and_nothing_else(octets: bytes, expected: list[Item]) -> None:
    assert read_all([octets]) == expected
    assert read_all([octets[at : at + 1] for at in range(len(octets))]) == expected
    for at in range(len(octets)):
        assert read_all([octets[:at], octets[at:]]) == expected


def test_an_endless_line_is_not_kept() -> None:
    buffer = LineBuffer(2048)
    problems = 0
    for _ in range(100):
        buffer.receive(b"x" * 65536)
        problems += buffer.next_line() is LineProblem.TOO_LONG
        assert buffer.next_line() is NEED_DATA
        assert len(buffer) <= 1
    assert problems == 1


@settings(deadline=None)
@given(st.lists(st.sampled_from([b"\r", b"\n", b"a", b"\r\n", b"xxxxxxxxxxx"]), max_size=20), st.data())
def test_cutting_into_reads_changes_no_line(parts: list[bytes], data: st.DataObject) -> None:
    octets = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(octets)), max_size=8)))
    pieces = [octets[a:b] for a, b in itertools.pairwise([0, *cuts, len(octets)])]
    assert read_all(pieces) == read_all([octets])
