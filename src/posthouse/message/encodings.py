"""Content transfer encodings as CRLF text (RFC 2045 §6.7, §6.8), in pieces.

The work is done by C functions that hold the interpreter while they run; a large body is given to them piece by
piece, so that other threads get their turn in between.
"""

from __future__ import annotations

import binascii

_PIECE = 262_144
_WINDOW = 2_097_152
_LINE_OCTETS = 57  # 76 characters of base64
_LINES = _PIECE // _LINE_OCTETS


def is_line_text(data: bytes) -> bool:
    """Whether it can go by DATA: no bare CR, no bare LF, no NUL (RFC 5321 §2.3.8). Counting beats a regex ten times."""
    if len(data) <= _WINDOW:
        ends = data.count(b"\r\n")
        return data.count(b"\r") == ends == data.count(b"\n") and b"\x00" not in data
    ends = returns = feeds = nuls = 0
    for start in range(0, len(data), _WINDOW):
        stop = start + _WINDOW
        ends += data.count(b"\r\n", start, stop + 1)  # one that lies across the end counts here
        returns += data.count(b"\r", start, stop)
        feeds += data.count(b"\n", start, stop)
        nuls += data.count(b"\x00", start, stop)
    return returns == ends == feeds and not nuls


def encode_quoted_printable(data: bytes) -> bytes:
    """For text with CRLF lines and no bare CR or LF."""
    pieces: list[bytes] = []
    start, end = 0, len(data)
    while start < end:
        cut = _cut_at_line(data, start, end)
        piece = data[start:cut]
        pieces.append(binascii.b2a_qp(piece.replace(b"\r\n", b"\n"), istext=True).replace(b"\n", b"\r\n"))
        if cut < end and not piece.endswith(b"\r\n"):
            pieces.append(b"=\r\n")  # a line longer than a piece: a soft line break
        start = cut
    return b"".join(pieces)


def _cut_at_line(data: bytes, start: int, end: int) -> int:
    if end - start <= _PIECE:
        return end
    at = data.rfind(b"\r\n", start, start + _PIECE)
    if at >= start:
        return at + 2
    return start + _PIECE - 1 if data[start + _PIECE - 1] == 0x0D else start + _PIECE


def encode_base64(data: bytes) -> bytes:
    """For anything; lines of 76 characters, each with its CRLF."""
    pieces: list[bytes] = []
    encode = binascii.b2a_base64
    for start in range(0, len(data), _LINE_OCTETS * _LINES):
        piece = data[start : start + _LINE_OCTETS * _LINES]
        lines = [encode(piece[at : at + _LINE_OCTETS], newline=False) for at in range(0, len(piece), _LINE_OCTETS)]
        lines.append(b"")
        pieces.append(b"\r\n".join(lines))
    return b"".join(pieces)
