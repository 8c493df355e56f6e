"""What a message must be to be taken, looked at piece by piece: strict CRLF, sizes, line and header limits.

RFC 5321 §2.3.8 forbids a CR or LF that is not part of CRLF; what some hosts take for a line end and others do not
is how messages are smuggled (CVE-2023-51764). RFC 5321 §4.5.3.1.6 and §4.5.3.1.7 are the minima for the limits.

Keeps no octet of the message but the last three of an unfinished header. After the first problem pieces are dropped,
only their sizes are counted. Which problem comes first is a matter of octets, not of how they are cut into pieces.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter

_EMPTY_LINE = b"\r\n\r\n"

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

    def take(self, piece: bytes, has_no_bare_cr: bool = False) -> bytes:
        """The piece as it came, or nothing when the message is refused. What is known need not be looked for again."""
        self.size += len(piece)
        if self.problem is None and piece:
            self.problem = self._find_problem(piece, has_no_bare_cr)
        return piece if self.problem is None else b""

    def finish(self) -> None:
        if self._ends_with_cr and self.problem is None:
            self.problem = TextProblem.BARE_CR

    def _find_problem(self, piece: bytes, has_no_bare_cr: bool) -> TextProblem | None:
        limits = self._limits
        found: list[tuple[int, TextProblem]] = []  # where in the piece each one shows
        if 0 < limits.max_size < self.size:
            found.append((limits.max_size - self.size + len(piece), TextProblem.TOO_BIG))
        if self._is_in_header:
            self._check_header(piece, found)
        if not limits.is_binary:
            self._check_line_ends(piece, has_no_bare_cr, found)
            if limits.max_line:
                self._check_line_lengths(piece, found)
        return min(found, key=itemgetter(0))[1] if found else None

    def _check_header(self, piece: bytes, found: list[tuple[int, TextProblem]]) -> None:
        """The empty line has to begin within `max_header` octets; it may lie across pieces."""
        limit = self._limits.max_header
        text = self._header_tail + piece
        end = text.find(_EMPTY_LINE)
        self._header_tail = text[-3:]
        if 0 <= end <= limit - self.size + len(text):
            self._is_in_header = False
        elif self.size >= limit + len(_EMPTY_LINE):
            self._is_in_header = False
            found.append((limit + 3 - self.size + len(piece), TextProblem.LONG_HEADER))

    def _check_line_ends(self, piece: bytes, has_no_bare_cr: bool, found: list[tuple[int, TextProblem]]) -> None:
        first, end = 0, len(piece)
        if self._ends_with_cr:
            if piece[0] != 10:
                found.append((0, TextProblem.BARE_CR))
            else:
                first = 1
        self._ends_with_cr = piece[-1] == 13
        if self._ends_with_cr:
            end -= 1
        bare_cr = _find_bare_cr(piece, first, end) if not has_no_bare_cr else None
        if bare_cr is not None:
            found.append((bare_cr.end(), TextProblem.BARE_CR))
        bare_lf = _find_bare_lf(piece, first, end)
        if bare_lf is not None:
            found.append((bare_lf.start(), TextProblem.BARE_LF))

    def _check_line_lengths(self, piece: bytes, found: list[tuple[int, TextProblem]]) -> None:
        limit, line = self._limits.max_line, self._line
        last_end = piece.rfind(b"\n") + 1
        self._line = len(piece) - last_end if last_end else line + len(piece)
        if line + len(piece) <= limit:
            return
        start = -line  # where the present line began
        for end in accumulate(len(part) + 1 for part in piece.split(b"\n")):
            if min(end, len(piece)) - start > limit:
                found.append((start + limit, TextProblem.LONG_LINE))
                return
            start = end
