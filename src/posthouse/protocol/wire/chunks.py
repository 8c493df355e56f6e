"""A run of octets of announced length, as BDAT sends them (RFC 3030 §2). Same ways as `DotReader`.

Keeps nothing. An announced length is only counted down, never allocated.
"""

from __future__ import annotations

from posthouse.protocol.wire.dots import MIN_PIECE


class ChunkReader:
    __slots__ = ("is_last", "left")

    has_no_bare_cr = False  # nothing is known of the octets

    def __init__(self, length: int, is_last: bool) -> None:
        self.left = length
        self.is_last = is_last

    @property
    def is_done(self) -> bool:
        return self.left == 0

    def read(self, data: bytes, start: int) -> tuple[bytes, int]:
        """The next piece of `data[start:]` and where the rest begins; an empty piece: done, or more has to come."""
        available = len(data) - start
        if available < self.left and available < MIN_PIECE:
            return b"", start
        end = start + min(available, self.left)
        self.left -= end - start
        return data[start:end], end
