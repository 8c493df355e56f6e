"""COMPRESS=DEFLATE (RFC 4978): both directions of a connection, holding little while nothing happens.

A deflater takes 256 KiB and an inflater 40. After each write everything is flushed up to an octet boundary, so the
deflater may be dropped at any time: the next one only refers to what it wrote itself, which is what a full flush
means. The inflater may be replaced where the client has flushed, by what it last said (at most 32 KiB) as the
dictionary of the next one. What a client sends may grow a thousandfold: it is inflated in slices, and only as fast as
they are taken.
"""

from __future__ import annotations

import zlib

SLICE = 65_536  # octets inflated at once
_RAW = -zlib.MAX_WBITS
_WINDOW = 1 << zlib.MAX_WBITS  # RFC 1951 §2: how far back a client may refer
_LEVEL = 5
_FLUSHED = b"\x00\x00\xff\xff"  # the end of an empty stored block
_LAST_BLOCK = b"\x01\x00\x00\xff\xff"


class Deflate:
    """Raises zlib.error from `inflate` for what is not a deflate stream."""

    __slots__ = ("_deflater", "_history", "_inflater", "_last", "_tail", "has_more")

    def __init__(self) -> None:
        self._deflater: zlib._Compress | None = None
        self._inflater: zlib._Decompress | None = None
        self._history = b""
        self._tail = b""
        self._last = b""  # of what the client sent, compressed
        self.has_more = False  # `inflate(b"")` may give more

    @property
    def is_warm(self) -> bool:
        return self._deflater is not None or self._inflater is not None

    def deflate(self, data: bytes) -> bytes:
        if self._deflater is None:
            self._deflater = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
        return self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH)

    def inflate(self, data: bytes) -> bytes:
        """At most `SLICE` octets. The rest is kept, see `has_more`."""
        if self._inflater is None:
            self._inflater = zlib.decompressobj(_RAW, self._history)
        self._last = data[-4:] if len(data) >= 4 else (self._last + data)[-4:]
        plain = self._inflater.decompress(self._tail + data if self._tail else data, SLICE)
        if self._inflater.eof:
            raise zlib.error("the client has ended its stream")
        self._tail = self._inflater.unconsumed_tail
        self.has_more = bool(self._tail) or len(plain) == SLICE  # a full slice may have left more within
        self._history = (self._history + plain)[-_WINDOW:] if len(plain) < _WINDOW else plain[-_WINDOW:]
        return plain

    def cool_down(self) -> None:
        """Give back what can be given back; the connection goes on as if nothing had been."""
        self._deflater = None
        inflater, is_flushed = self._inflater, self._last == _FLUSHED and not self.has_more
        if inflater is not None and is_flushed and _is_between_blocks(inflater):
            self._inflater = None


def _is_between_blocks(inflater: zlib._Decompress) -> bool:
    """A last, empty block would end the stream here: nothing of a block before it is outstanding."""
    trial = inflater.copy()
    try:
        return trial.decompress(_LAST_BLOCK) == b"" and trial.eof
    except zlib.error:
        return False
