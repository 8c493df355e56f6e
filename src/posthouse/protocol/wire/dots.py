"""Where a message sent by DATA ends, and its dots undone (RFC 5321 §4.5.2, §4.1.1.4).

CRLF.CRLF ends a message and nothing else does: not LF.LF, not CR.CR, not any mixture, in any split across reads
(CVE-2023-51764 to -51766). Lone CRs and LFs pass through here; `TextCheck` refuses them.

Keeps nothing: what cannot be decided yet stays in the caller's buffer, which are at most four octets beside
`MIN_PIECE`, the size below which octets are left to wait for more, so that a client that sends single octets
costs one piece per `MIN_PIECE` and not one per octet.
"""

from __future__ import annotations

import re

MIN_PIECE = 4096

_END = b"\r\n.\r\n"
_FIRST_END = b".\r\n"  # a message without any line: the CRLF of the DATA command is the one before the dot
_MAYBE_END = (b"\r", b"\r\n", b"\r\n.", b"\r\n.\r")
# Measured on text: bytes.find needs 0.7 ns per octet for this pattern, the compiled expression 0.35.
_find_dot = re.compile(rb"\r\n\.").search


class DotReader:
    """The reader of one message. `is_done` once its end has been read."""

    __slots__ = ("_is_at_start", "is_done")

    def __init__(self) -> None:
        self.is_done = False
        self._is_at_start = True

    def read(self, data: bytes, start: int) -> tuple[bytes, int]:
        """The next piece of the message in `data[start:]`, dots undone, and where the rest begins.

        An empty piece before `is_done` means that more has to come.
        """
        if self._is_at_start:
            head = data[start : start + 3]
            if len(head) < 3 and _FIRST_END.startswith(head):
                return b"", start
            self._is_at_start = False
            if head == _FIRST_END:
                self.is_done = True
                return b"", start + 3
            start += head.startswith(b".")
        dot = _find_dot(data, start)
        if dot is None:
            return _read_open_piece(data, start)
        end = data.find(_END, dot.start())
        if end < 0:
            piece, position = _read_open_piece(data, start)
        else:
            self.is_done = True
            piece, position = data[start : end + 2], end + 5
            if end == dot.start():
                return piece, position
        return piece.replace(b"\r\n.", b"\r\n"), position


def _read_open_piece(data: bytes, start: int) -> tuple[bytes, int]:
    if len(data) - start < MIN_PIECE:
        return b"", start
    position = len(data)
    if data.endswith(_MAYBE_END):
        position -= max(len(tail) for tail in _MAYBE_END if data.endswith(tail))
    return data[start:position], position
