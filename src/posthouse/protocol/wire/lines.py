"""Where a line ends: the one strict place (RFC 5321 §2.3.8).

Only CRLF ends a line. A bare LF or a line beyond the limit is told at once, before its end has come, so that a
client typed by hand is not left waiting; what follows up to the next real CRLF is dropped unread. So one true
line makes exactly one line or one problem, however the bytes are cut into reads.

Trusts nothing. Keeps at most one unfinished line beside what the last read brought. Does not decode.
"""

from __future__ import annotations

import enum

from posthouse.protocol.wire.need_data import NEED_DATA, NeedData


class LineProblem(enum.Enum):
    BARE_LF = "bare LF"
    BARE_CR = "bare CR"
    TOO_LONG = "too long"


class LineBuffer:
    """Bytes that came and were not used yet. `data[position:]` is what is left; body readers use the two directly."""

    __slots__ = ("_is_skipping", "data", "max_line", "position")

    def __init__(self, max_line: int) -> None:
        self.data = b""
        self.position = 0
        self.max_line = max_line  # octets of one line, CRLF included
        self._is_skipping = False

    def __len__(self) -> int:
        return len(self.data) - self.position

    def receive(self, data: bytes) -> None:
        left = len(self.data) - self.position
        self.data = self.data[self.position :] + data if left else data
        self.position = 0

    def clear(self) -> None:
        self.data = b""
        self.position = 0
        self._is_skipping = False

    def next_line(self) -> bytes | LineProblem | NeedData:
        """The next line without its CRLF, or what is wrong with it."""
        if self._is_skipping and not self._skip_line():
            return NEED_DATA
        data, start = self.data, self.position
        end = data.find(b"\n", start)
        if end < 0 and len(data) - start < self.max_line:
            return NEED_DATA
        if end < 0 or end - start >= self.max_line:
            self._is_skipping = True
            return LineProblem.TOO_LONG
        line = data[start : end - 1]
        if end == start or data[end - 1] != 13:
            self._is_skipping = True
            return LineProblem.BARE_LF
        self.position = end + 1
        return LineProblem.BARE_CR if b"\r" in line else line

    def _skip_line(self) -> bool:
        end = self.data.find(b"\r\n", self.position)
        if end >= 0:
            self.position = end + 2
            self._is_skipping = False
            return True
        self.data = b"\r" if self.data.endswith(b"\r", self.position) else b""
        self.position = 0
        return False
