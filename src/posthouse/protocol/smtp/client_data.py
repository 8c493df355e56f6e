"""A message body made fit for DATA: transparency and the end (RFC 5321 §4.5.2), whole or in pieces.

Trusts the spool: lines end in CRLF and there is no bare CR or LF. Keeps two octets, never a body.
"""

from __future__ import annotations

END_OF_DATA = b".\r\n"


def stuff_whole(data: bytes, behind: bytes = b"") -> bytes:
    """The message with its dots doubled, CRLF at the end, the final dot, and a pipelined command behind: one write."""
    stuffed = data.replace(b"\r\n.", b"\r\n..")  # returns `data` itself when there is nothing to do
    first = b"." if data[:1] == b"." else b""
    last = END_OF_DATA if data[-2:] == b"\r\n" or not data else b"\r\n" + END_OF_DATA
    return b"".join((first, stuffed, last, behind))


class DotStuffer:
    """`stuff` each piece in order, then `finish`."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b"\r\n"  # the last two octets: a dot at the very beginning is at the beginning of a line

    def stuff(self, piece: bytes) -> bytes:
        joined = self._tail + piece
        # A match ends in a dot, which is never in the two octets of the tail: cutting them off again is safe.
        stuffed = joined.replace(b"\r\n.", b"\r\n..")[len(self._tail) :]
        self._tail = joined[-2:]
        return stuffed

    def finish(self) -> bytes:
        return END_OF_DATA if self._tail == b"\r\n" else b"\r\n" + END_OF_DATA
