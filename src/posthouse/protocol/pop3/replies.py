"""Replies from values, and messages as they go over the wire (RFC 1939 §3; response codes RFC 2449 §8, RFC 3206).

A line that begins with a dot gets another one. Here every dot behind an LF does: in messages with CRLF only that is
the same, and where a bare LF lies in a message, no client that takes it for a line end sees the end of the message,
or a reply of ours, where there is none. Found by bytes.replace, never line by line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

END: Final = b".\r\n"

IN_USE: Final = "IN-USE"  # RFC 2449 §8.1.2
LOGIN_DELAY: Final = "LOGIN-DELAY"  # RFC 2449 §8.1.1
AUTH: Final = "AUTH"  # RFC 3206 §5
SYS_TEMP: Final = "SYS/TEMP"  # RFC 3206 §4
SYS_PERM: Final = "SYS/PERM"

_MAX_TEXT: Final = 480  # RFC 2449 §4: 512 octets with all around it
_CONTROLS = re.compile(r"[^\x20-\x7e]+")


def write_ok(text: str) -> bytes:
    return b"+OK %b\r\n" % _clean(text) if text else b"+OK\r\n"


def write_err(text: str, code: str = "") -> bytes:
    head = f"[{code}] " if code else ""
    return b"-ERR %b%b\r\n" % (head.encode("ascii"), _clean(text))


def write_challenge(data: bytes) -> bytes:
    """`data` in base64 already (RFC 5034 §4)."""
    return b"+ %b\r\n" % data


def write_lines(text: str, lines: Iterable[str]) -> bytes:
    """A multi-line reply of ASCII lines, none of which begins with a dot."""
    body = "".join([f"{line}\r\n" for line in lines])
    return b"+OK %b\r\n%b.\r\n" % (_clean(text), body.encode("ascii"))


def _clean(text: str) -> bytes:
    """Whatever the text holds, nothing in it can begin another reply."""
    return _CONTROLS.sub("?", text)[:_MAX_TEXT].encode("ascii")


def stuff(message: bytes) -> bytes:
    """A whole message, ready to be sent, its end included. One that does not end with CRLF gets it."""
    if message.startswith(b"."):
        message = b"." + message
    tail = END if message.endswith(b"\r\n") or not message else b"\r\n.\r\n"
    return message.replace(b"\n.", b"\n..") + tail


class Stuffer:
    """The same for a message that comes in pieces: `take` each, then `finish`."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b"\r\n"  # the octets before, at most two

    def take(self, piece: bytes) -> bytes:
        if not piece:
            return piece
        at_start = piece.startswith(b".") and self._last.endswith(b"\n")
        self._last = (self._last + piece[-2:])[-2:]
        stuffed = piece.replace(b"\n.", b"\n..")
        return b"." + stuffed if at_start else stuffed

    def finish(self) -> bytes:
        return END if self._last == b"\r\n" else b"\r\n.\r\n"


class TopCutter:
    """The header and the first lines of the body of a message that comes in pieces (TOP, RFC 1939 §7).

    `take` gives what of each piece is to be sent; `is_done`: no more pieces are wanted.
    """

    __slots__ = ("_is_in_header", "_left", "_tail", "is_done")

    def __init__(self, lines: int) -> None:
        self.is_done = False
        self._left = lines
        self._is_in_header = True
        self._tail = b"\r\n"  # a message may begin with the empty line

    def take(self, piece: bytes) -> bytes:
        start = 0
        if self._is_in_header:
            text = self._tail + piece
            end = text.find(b"\r\n\r\n")
            if end < 0:
                self._tail = text[-3:]
                return piece
            self._is_in_header = False
            start = end + 4 - len(self._tail)
        count = piece.count(b"\n", start)
        if count < self._left:
            self._left -= count
            return piece
        self.is_done = True
        if not self._left:
            return piece[:start]
        rest = piece[start:].split(b"\n", self._left)[-1]
        return piece[: len(piece) - len(rest)]
