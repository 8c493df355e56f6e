"""What a message must be to be taken, looked at piece by piece: strict CRLF, sizes, line and header limits.

RFC 5321 §2.3.8 forbids a CR or LF that is not part of CRLF; what some hosts take for a line end and others do not
is how messages are smuggled (CVE-2023-51764). RFC 5321 §4.5.3.1.6 and §4.5.3.1.7 are the minima for the limits.

Keeps no octet of the message. After the first problem pieces are dropped, only their sizes are counted.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

# Two passes of a compiled expression with a literal first octet: 1 ns per octet together, where counting CR, LF
# and CRLF takes 1.8 and one expression for both 6.5.
_find_bare_cr = re.compile(rb"\r(?!\n)").search
_find_bare_lf = re.compile(rb"\n(?<!\r\n)").search


class TextProblem(enum.Enum):
    BARE_CR = "bare CR"
    BARE_LF = "bare LF"
    LONG_LINE = "line too long"
    LONG_HEADER = "header too large"
    TOO_BIG = "message too big"


@dataclass(frozen=True, slots=True)
class TextLimits:
    """In octets; 0 is no limit. `is_binary`: any octet is allowed, lines do not exist (RFC 3030 §3)."""

    max_size: int = 0
    max_line: int = 0
    max_header: int = 0
    is_binary: bool = False


class TextCheck:
    """The check of one message. `size` counts all octets, also those after a problem."""

    __slots__ = ("_ends_with_cr", "_header_tail", "_is_in_header", "_limits", "_line", "problem", "size")

    def __init__(self, limits: TextLimits) -> None:
        self.problem: TextProblem | None = None
        self.size = 0
        self._limits = limits
        self._ends_with_cr = False
        self._line = 0  # octets of the line that goes on in the next piece
        self._is_in_header = bool(limits.max_header)
        self._header_tail = b"\r\n"  # a message that starts with an empty line has no header

    def take(self, piece: bytes) -> bytes:
        """The piece as it came, or nothing when the message is refused."""
        self.size += len(piece)
        if self.problem is None and piece:
            self.problem = self._find_problem(piece)
        return b"" if self.problem is not None else piece

    def finish(self) -> None:
        if self._ends_with_cr and self.problem is None:
            self.problem = TextProblem.BARE_CR

    def _find_problem(self, piece: bytes) -> TextProblem | None:
        limits = self._limits
        if 0 < limits.max_size < self.size:
            return TextProblem.TOO_BIG
        if self._is_in_header and self._is_header_too_long(piece):
            return TextProblem.LONG_HEADER
        return None if limits.is_binary else self._find_line_problem(piece)

    def _is_header_too_long(self, piece: bytes) -> bool:
        tail = self._header_tail  # the empty line may lie across pieces
        text = tail + piece
        end = text.find(b"\r\n\r\n")
        self._is_in_header = end < 0
        self._header_tail = text[-3:]
        length = self.size if end < 0 else self.size - len(text) + end
        return length > self._limits.max_header

    def _find_line_problem(self, piece: bytes) -> TextProblem | None:
        first, end = 0, len(piece)
        if self._ends_with_cr:
            if piece[0] != 10:
                return TextProblem.BARE_CR
            first = 1
        self._ends_with_cr = piece[-1] == 13
        if self._ends_with_cr:
            end -= 1
        if _find_bare_cr(piece, first, end) is not None:
            return TextProblem.BARE_CR
        if _find_bare_lf(piece, first, end) is not None:
            return TextProblem.BARE_LF
        return TextProblem.LONG_LINE if self._limits.max_line and self._has_long_line(piece) else None

    def _has_long_line(self, piece: bytes) -> bool:
        limit = self._limits.max_line
        last_end = piece.rfind(b"\n") + 1
        if not last_end:
            self._line += len(piece)
            return self._line > limit
        is_long = self._line + piece.find(b"\n") + 1 > limit
        self._line = len(piece) - last_end
        if not is_long and len(piece) > limit:
            is_long = max(map(len, piece.split(b"\n"))) >= limit
        return is_long or self._line > limit
