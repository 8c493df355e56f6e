"""The PROXY protocol, versions 1 and 2: a trusted proxy names the client at the start of the connection.

After HAProxy's specification of 2020. The caller looks at who is allowed to send it; what it says is then believed.
Bounded before it is complete; what is not exactly a header is a `ProxyError`, and the connection is of no use then.
TLVs are skipped. Only streams are understood.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from typing import Final

from posthouse.message.peer import normalise_address
from posthouse.protocol.wire.need_data import NEED_DATA, NeedData

__all__ = ["NEED_DATA", "ProxyError", "ProxyHeader", "parse_proxy"]

MAX_V1_OCTETS = 107
MAX_V2_OCTETS = 4096  # what follows the fixed part; the specification asks for 536 with room for TLVs

_V1_START: Final = b"PROXY "
_V2_START: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_LINE = re.compile(rb"PROXY (TCP4|TCP6) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n")
_V2_FIXED: Final = 16


class ProxyError(ValueError):
    """Not a PROXY header; the message is for the log."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """`length` octets were the header. `source` None: the proxy speaks for itself (LOCAL, UNKNOWN, a unix socket)."""

    length: int
    source: str | None = None
    source_port: int = 0
    destination: str | None = None
    destination_port: int = 0


def parse_proxy(buffer: bytes) -> ProxyHeader | NeedData:
    """The header at the beginning of `buffer`. Raises ProxyError as soon as it cannot be one."""
    if buffer.startswith(_V2_START):
        return _parse_v2(buffer)
    if buffer.startswith(_V1_START):
        return _parse_v1(buffer)
    if _V1_START.startswith(buffer) or _V2_START.startswith(buffer):
        return NEED_DATA
    raise ProxyError("no PROXY header")


def _parse_v1(buffer: bytes) -> ProxyHeader | NeedData:
    end = buffer.find(b"\r\n", 0, MAX_V1_OCTETS)
    if end < 0:
        if len(buffer) >= MAX_V1_OCTETS:
            raise ProxyError("PROXY line is too long")
        return NEED_DATA
    line = buffer[: end + 2]
    if re.fullmatch(rb"PROXY UNKNOWN(?: [^\r\n]*)?\r\n", line):
        return ProxyHeader(len(line))
    parsed = _V1_LINE.fullmatch(line)
    if parsed is None:
        raise ProxyError("PROXY line is malformed")
    family = 4 if parsed[1] == b"TCP4" else 6
    source, destination = _read_v1_address(parsed[2], family), _read_v1_address(parsed[3], family)
    source_port, destination_port = int(parsed[4]), int(parsed[5])
    if max(source_port, destination_port) > 65535:
        raise ProxyError("PROXY line has a bad port")
    return ProxyHeader(len(line), source, source_port, destination, destination_port)


def _read_v1_address(text: bytes, family: int) -> str:
    if (b":" in text) is not (family == 6):
        raise ProxyError("PROXY line has an address of another family")
    try:
        return normalise_address(text.decode("ascii"))
    except ValueError:
        raise ProxyError("PROXY line has a bad address") from None


def _parse_v2(buffer: bytes) -> ProxyHeader | NeedData:
    if len(buffer) < _V2_FIXED:
        return NEED_DATA
    version_command, family, length = struct.unpack_from("!BBH", buffer, 12)
    if version_command not in (0x20, 0x21):
        raise ProxyError("unknown version or command of the PROXY header")
    if length > MAX_V2_OCTETS:
        raise ProxyError("PROXY header is too long")
    end = _V2_FIXED + length
    if len(buffer) < end:
        return NEED_DATA
    if version_command == 0x20:  # LOCAL: what follows means nothing
        return ProxyHeader(end)
    return _read_v2_addresses(buffer[_V2_FIXED:end], family, end)


def _read_v2_addresses(block: bytes, family: int, end: int) -> ProxyHeader:
    if family in (0x00, 0x31):  # unspecified, unix stream
        return ProxyHeader(end)
    if family not in (0x11, 0x21):
        raise ProxyError("PROXY header is not of a TCP connection")
    size = 4 if family == 0x11 else 16
    if len(block) < 2 * size + 4:
        raise ProxyError("PROXY header is too short")
    source_port, destination_port = struct.unpack_from("!HH", block, 2 * size)
    source, destination = _text_of(block[:size]), _text_of(block[size : 2 * size])
    return ProxyHeader(end, source, source_port, destination, destination_port)


def _text_of(packed: bytes) -> str:
    if len(packed) == 4:
        return ".".join(map(str, packed))
    groups = struct.unpack("!8H", packed)
    return normalise_address(":".join(f"{group:x}" for group in groups))
