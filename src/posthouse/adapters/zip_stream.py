"""Writing a zip archive piece by piece, and looking at one before it is opened.

Each member is whole when it is added, so its sizes stand before it and nothing has to be filled in later. What has to
be kept until the end is the list of members, some 100 octets each. Archives of any size: zip64 where it is needed
(PKWARE APPNOTE 6.3.9, §4.3 and §4.4). Names are UTF-8. Members that deflate does not make smaller are stored.
"""

from __future__ import annotations

import os
import struct
import zlib
from datetime import UTC, datetime
from typing import BinaryIO, Final

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_END_64 = struct.Struct("<4sQ2H2I4Q")
_LOCATOR = struct.Struct("<4sIQI")
_UTF8: Final = 0x0800
_VERSION, _VERSION_64 = 20, 45
_MAX_16, _MAX_32 = 0xFFFF, 0xFFFFFFFF
_FILE_MODE = 0o100600 << 16
_MADE_BY_UNIX = 3 << 8
_LEVEL = 6
_COMMENT = 0xFFFF  # at most, behind the end record


class ZipStream:
    """Octets come out of `add` and `finish`, in this order. Takes processor time: for a thread."""

    def __init__(self) -> None:
        self._offset = 0
        self._count = 0
        self._members = bytearray()

    def add(self, name: str, octets: bytes, at: float, *, is_packed: bool = True) -> bytes:
        """`at`: seconds since 1970. `is_packed`: unless that makes it longer."""
        encoded = name.encode("utf-8", "replace")[:_MAX_16]
        packed = _pack(octets) if is_packed else octets
        method = zlib.DEFLATED if len(packed) < len(octets) else 0
        if not method:
            packed = octets
        time, date = _dos_time(at)
        offset, extra = self._offset, b""
        if offset >= _MAX_32:
            extra = struct.pack("<2HQ", 1, 8, offset)
        version = _VERSION_64 if extra else _VERSION
        facts = (_UTF8, method, time, date, zlib.crc32(octets), len(packed), len(octets), len(encoded))
        self._members += _CENTRAL.pack(
            b"PK\1\2", _MADE_BY_UNIX | version, version, *facts, len(extra), 0, 0, 0, _FILE_MODE, min(offset, _MAX_32)
        )
        self._members += encoded + extra
        self._count += 1
        head = _LOCAL.pack(b"PK\3\4", _VERSION, *facts, 0)
        self._offset += len(head) + len(encoded) + len(packed)
        return b"".join((head, encoded, packed))

    def finish(self) -> bytes:
        size, offset, count = len(self._members), self._offset, self._count
        parts = [bytes(self._members)]
        if count >= _MAX_16 or offset >= _MAX_32 or size >= _MAX_32:
            counts = (count, count, size, offset)
            versions = (_MADE_BY_UNIX | _VERSION_64, _VERSION_64)
            parts.append(_END_64.pack(b"PK\6\6", _END_64.size - 12, *versions, 0, 0, *counts))
            parts.append(_LOCATOR.pack(b"PK\6\7", 0, offset + size, 1))
        few, short = min(count, _MAX_16), (min(size, _MAX_32), min(offset, _MAX_32))
        parts.append(_END.pack(b"PK\5\6", 0, 0, few, few, *short, 0))
        return b"".join(parts)


def _pack(octets: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(octets) + packer.flush()


def _dos_time(at: float) -> tuple[int, int]:
    """From 1980 on, in steps of two seconds; UTC."""
    moment = datetime.fromtimestamp(min(max(at, 315_532_800.0), 4_354_819_198.0), UTC)
    time = moment.hour << 11 | moment.minute << 5 | moment.second // 2
    return time, (moment.year - 1980) << 9 | moment.month << 5 | moment.day


def measure_list(file: BinaryIO) -> int:
    """The octets of an archive's list of members, which whoever opens it holds in memory; -1: no archive.

    Reads the end of the file alone; what it says may still be wrong.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _COMMENT - _END.size - _LOCATOR.size))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) - at < _END.size:
        return -1
    told = _END.unpack_from(tail, at)
    if told[5] != _MAX_32 or at < _LOCATOR.size:
        return int(told[5])
    locator = _LOCATOR.unpack_from(tail, at - _LOCATOR.size)
    if locator[0] != b"PK\6\7" or locator[2] + _END_64.size > size:
        return -1
    file.seek(locator[2])
    return int(_END_64.unpack(file.read(_END_64.size))[8])
