"""DNS messages on the wire, as far as a stub resolver that sends mail needs them.

Own code, because a lookup is on the path of the first message to every domain: reading an answer takes 10 us here
and 300 us with dnspython, which the tests use as the other opinion. Answers are a stranger's octets: every offset
is checked, compression pointers only go backwards, and anything odd is a `WireError`.

RFC 1035 §4, RFC 6891 §6 (EDNS), RFC 6840 §5.7 (the AD bit asks to be told of validation), RFC 2308 §5 (how long
"no" holds).
"""

from __future__ import annotations

import enum
import ipaddress
import re
import struct
from dataclasses import dataclass, field

_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_SOA_TAIL = struct.Struct("!IIIII")
_CLASS_IN = 1
_TYPE_OPT = 41
_EDNS_SIZE = 1232  # fits every path unfragmented
_OPT = b"\x00" + _RECORD.pack(_TYPE_OPT, _EDNS_SIZE, 0, 0)
_QR, _TC, _RD, _AD = 0x8000, 0x0200, 0x0100, 0x0020
_MAX_RECORDS = 1000
_HOST_LABEL = re.compile(r"[a-z0-9_-]+")


class WireError(ValueError):
    """Not a DNS message we can use."""


class Type(enum.IntEnum):
    A = 1
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    AAAA = 28


class Rcode(enum.IntEnum):
    NOERROR = 0
    FORMERR = 1
    SERVFAIL = 2
    NXDOMAIN = 3
    NOTIMP = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Record:
    """`data` is an address, a name, or for MX "preference name" split in two."""

    name: str
    type: int
    ttl_s: int
    data: str
    preference: int = 0


@dataclass(slots=True)
class Response:
    """`negative_ttl_s` is how long a "no" holds, from the SOA record; None when none came with it."""

    id: int
    rcode: int
    is_truncated: bool
    is_authenticated: bool
    name: str
    type: int
    records: list[Record] = field(default_factory=list)
    negative_ttl_s: int | None = None


def encode_query(query_id: int, name: str, kind: Type, *, edns: bool = True) -> bytes:
    """A recursive question for one name (A-labels, no final dot). Raises WireError when it is not a DNS name."""
    header = _HEADER.pack(query_id, _RD | _AD, 1, 0, 0, 1 if edns else 0)
    return b"".join((header, encode_name(name), _QUESTION.pack(kind, _CLASS_IN), _OPT if edns else b""))


def encode_name(name: str) -> bytes:
    """RFC 1035 §3.1: labels of 1 to 63 octets, 255 in all."""
    if not name:
        return b"\x00"
    parts: list[bytes] = []
    try:
        for label in name.encode("ascii").split(b"."):
            if not 0 < len(label) < 64:
                raise WireError("a label is empty or too long")
            parts += (bytes((len(label),)), label)
    except UnicodeEncodeError:
        raise WireError("a name must be ASCII") from None
    encoded = b"".join(parts) + b"\x00"
    if len(encoded) > 255:
        raise WireError("the name is too long")
    return encoded


def decode_response(data: bytes) -> Response:
    """Read an answer: header, question, and of the answers the types above. Raises WireError."""
    try:
        return _decode(data)
    except (struct.error, IndexError):
        raise WireError("the message is cut off") from None


def _decode(data: bytes) -> Response:
    query_id, flags, questions, answers, authorities, _ = _HEADER.unpack_from(data)
    if not flags & _QR or answers + authorities > _MAX_RECORDS:
        raise WireError("not an answer")
    if not questions and flags & 15 == Rcode.FORMERR:  # a server that could not read the question cannot repeat it
        return Response(query_id, Rcode.FORMERR, False, False, "", 0)
    if questions != 1:
        raise WireError("not the answer to one question")
    name, offset = decode_name(data, _HEADER.size)
    kind, _ = _QUESTION.unpack_from(data, offset)
    offset += _QUESTION.size
    response = Response(query_id, flags & 15, bool(flags & _TC), bool(flags & _AD), name, kind)
    if response.is_truncated:
        return response  # what came may end anywhere; it is asked again by TCP
    for _ in range(answers):
        offset = _decode_record(data, offset, response)
    for _ in range(authorities):
        offset = _decode_authority(data, offset, response)
    return response


def _decode_record(data: bytes, offset: int, response: Response) -> int:
    name, offset = decode_name(data, offset)
    kind, record_class, ttl_s, length = _RECORD.unpack_from(data, offset)
    offset += _RECORD.size
    end: int = offset + length
    if end > len(data):
        raise WireError("the message is cut off")
    if record_class == _CLASS_IN:
        ttl_s = ttl_s if ttl_s < 1 << 31 else 0  # RFC 2181 §8
        if kind in (Type.A, Type.AAAA):
            address = _decode_address(data[offset:end], 4 if kind == Type.A else 16)
            response.records.append(Record(name, kind, ttl_s, address))
        elif kind in (Type.CNAME, Type.PTR):
            response.records.append(Record(name, kind, ttl_s, decode_name(data, offset)[0]))
        elif kind == Type.MX:
            preference = data[offset] << 8 | data[offset + 1]
            response.records.append(Record(name, kind, ttl_s, decode_name(data, offset + 2)[0], preference))
    return end


def _decode_address(octets: bytes, size: int) -> str:
    if len(octets) != size:
        raise WireError("an address has the wrong length")
    if size == 4:
        return "{}.{}.{}.{}".format(*octets)
    return str(ipaddress.IPv6Address(octets))


def _decode_authority(data: bytes, offset: int, response: Response) -> int:
    _, offset = decode_name(data, offset)
    kind, _, ttl_s, length = _RECORD.unpack_from(data, offset)
    offset += _RECORD.size
    if kind == Type.SOA:
        tail = decode_name(data, decode_name(data, offset)[1])[1]
        response.negative_ttl_s = min(ttl_s, _SOA_TAIL.unpack_from(data, tail)[4])
    end: int = offset + length
    return end


def decode_name(data: bytes, offset: int) -> tuple[str, int]:
    """A name in lower case without the final dot ("" is the root), and the offset behind it.

    Octets that no host name has are kept as \\DDD: a label with a dot or a comma in it is never taken for two names.
    """
    labels: list[str] = []
    end = 0
    limit = offset
    total = 0
    while True:
        length = data[offset]
        if length >= 192:
            target = (length & 63) << 8 | data[offset + 1]
            end = end or offset + 2
            if target >= limit:  # only backwards: so it ends
                raise WireError("a compression pointer does not go backwards")
            offset = limit = target
            continue
        offset += 1
        if not length:
            return ".".join(labels), end or offset
        total += length + 1
        if length > 63 or total > 254 or offset + length > len(data):
            raise WireError("a name is too long")
        labels.append(_decode_label(data[offset : offset + length]))
        offset += length


def _decode_label(octets: bytes) -> str:
    text = octets.decode("latin-1").lower()
    if _HOST_LABEL.fullmatch(text):
        return text
    return "".join(char if _HOST_LABEL.fullmatch(char) else f"\\{ord(char):03d}" for char in text)
