"""Octets cut into lines and literals (RFC 9051 §2.2, §4.3), in memory that is bounded by what the caller allows.

A line ends with CRLF; a bare LF is taken for it, as Dovecot does. Every octet is looked at once, however small the
pieces are that it comes in: a line is looked for from where the last search ended, a literal is joined once.
"""

from __future__ import annotations

_TAIL = 40  # of a line too long that is kept: the literal at its end has to be passed over as well
_HEAD = 101  # of a line too long that is kept: the answer needs its tag
_MOST_PASSED = 1 << 20  # of one line
_SMALL = 4096
_BLOCK = 65_536


class TooMuchError(Exception):
    """More than what can be passed over in patience."""


class LineBuffer:
    """`is_long`: of the line read last only the end is there, it was longer than allowed; `head` is its beginning."""

    __slots__ = ("_blocks", "_buffer", "_passed", "_scanned", "_skipping", "_small", "_wanted", "head", "is_long")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._small = bytearray()  # of the literal, what came in small pieces
        self._blocks: list[bytes] = []  # of the literal, before that
        self.clear()

    def clear(self) -> None:
        self._buffer.clear()
        self._small.clear()
        self._blocks.clear()
        self._scanned = self._passed = self._wanted = self._skipping = 0
        self.head = b""
        self.is_long = False

    @property
    def unread(self) -> int:
        return len(self._buffer)

    def receive(self, data: bytes) -> None:
        if not self._buffer and (self._wanted or self._skipping):
            data = self._pull(data)
        self._buffer += data

    def _pull(self, data: bytes) -> bytes:
        """For the literal that is being read; the rest."""
        if self._skipping:
            count = min(len(data), self._skipping)
            self._skipping -= count
            return data[count:]
        count = min(len(data), self._wanted)
        self._wanted -= count
        piece = data if count == len(data) else data[:count]
        if count < _SMALL:
            self._small += piece
            if len(self._small) >= _BLOCK:
                self._flush()
        else:
            self._flush()
            self._blocks.append(piece)
        return data[count:]

    def _flush(self) -> None:
        if self._small:
            self._blocks.append(bytes(self._small))
            self._small.clear()

    def read_line(self, room: int) -> bytes | None:
        """Without its end; None: it has not come yet. Raises TooMuchError."""
        buffer = self._buffer
        end = buffer.find(b"\n", self._scanned)
        length = len(buffer) if end < 0 else end
        if self._passed + length > room + 1:  # the CR may be there or not
            self.is_long = True
            if not self._passed:
                self.head = bytes(buffer[: min(room + 2, _HEAD)])  # however it came
            if self._passed + length > room + _MOST_PASSED:
                raise TooMuchError
        if end < 0:
            if self.is_long and length > _TAIL:
                self._passed += length - _TAIL
                del buffer[: length - _TAIL]
            self._scanned = len(buffer)
            return None
        line = bytes(buffer[max(0, end - _TAIL) : end] if self.is_long else buffer[:end])
        del buffer[: end + 1]
        self._scanned = self._passed = 0
        return line.removesuffix(b"\r")

    def begin_literal(self, size: int) -> None:
        self._wanted = size
        self._begin()

    def read_literal(self) -> bytes | None:
        if self._wanted:
            return None
        self._flush()
        literal = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
        self._blocks.clear()
        return literal

    def begin_skip(self, size: int) -> None:
        self._skipping = size
        self._begin()

    @property
    def has_skipped(self) -> bool:
        return not self._skipping

    def _begin(self) -> None:
        """With what has come already."""
        count = self._wanted or self._skipping
        if count and self._buffer:
            data = bytes(self._buffer[:count])
            del self._buffer[:count]
            self._pull(data)
