"""The PROXY protocol."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posthouse.protocol.proxy.header import MAX_V2_OCTETS, NEED_DATA, ProxyError, ProxyHeader, parse_proxy

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def v2(command: int, family: int, block: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


def block(source: str, destination: str, tlvs: bytes = b"") -> bytes:
    packed = ipaddress.ip_address(source).packed + ipaddress.ip_address(destination).packed
    return packed + struct.pack("!HH", 4711, 25) + tlvs


GOOD = [
    (b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 25\r\n", ("192.0.2.1", 4711, "192.0.2.2", 25)),
    (b"PROXY TCP6 2001:DB8::1 ::1 4711 25\r\n", ("2001:db8::1", 4711, "::1", 25)),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 25\r\n", ("192.0.2.1", 4711, "::1", 25)),
    (b"PROXY UNKNOWN\r\n", None),
    (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    (v2(0x21, 0x11, block("192.0.2.1", "192.0.2.2")), ("192.0.2.1", 4711, "192.0.2.2", 25)),
    (v2(0x21, 0x21, block("2001:db8::1", "::1", b"\x03\x00\x04abcd")), ("2001:db8::1", 4711, "::1", 25)),
    (v2(0x21, 0x21, block("::ffff:192.0.2.1", "::1")), ("192.0.2.1", 4711, "::1", 25)),
    (v2(0x20, 0x00, b""), None),
    (v2(0x20, 0x11, block("192.0.2.1", "192.0.2.2")), None),
    (v2(0x21, 0x00, b"\x03\x00\x04abcd"), None),
    (v2(0x21, 0x31, b"\0" * 216), None),
]


@pytest.mark.parametrize(("octets", "expected"), GOOD)
def test_a_header_is_read_whole_and_never_in_part(octets: bytes, expected: tuple[str, int, str, int] | None) -> None:
    header = ProxyHeader(len(octets), *expected) if expected else ProxyHeader(len(octets))
    assert parse_proxy(octets) == header
    assert parse_proxy(octets + b"EHLO c.example\r\n") == header
    for end in range(len(octets)):
        assert parse_proxy(octets[:end]) is NEED_DATA


BAD = [
    b"EHLO c.example\r\n",
    b"PROXX",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711\r\n",
    b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 65536\r\n",
    b"PROXY TCP4 2001:db8::1 ::1 4711 25\r\n",
    b"PROXY TCP6 192.0.2.1 192.0.2.2 4711 25\r\n",
    b"PROXY TCP4 192.0.2.300 192.0.2.2 4711 25\r\n",
    b"PROXY TCP4  192.0.2.1 192.0.2.2 4711 25\r\n",
    b"PROXY UDP4 192.0.2.1 192.0.2.2 4711 25\r\n",
    b"PROXY UNKNOWNS\r\n",
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    b"PROXY " + b"x" * 101,
    v2(0x11, 0x11, block("192.0.2.1", "192.0.2.2")),
    v2(0x22, 0x11, block("192.0.2.1", "192.0.2.2")),
    v2(0x21, 0x12, block("192.0.2.1", "192.0.2.2")),
    v2(0x21, 0x11, b"\0" * 11),
    v2(0x21, 0x21, b"\0" * 35),
    SIGNATURE + struct.pack("!BBH", 0x21, 0x11, MAX_V2_OCTETS + 1),
]


@pytest.mark.parametrize("octets", BAD)
def test_what_is_not_a_header_is_refused(octets: bytes) -> None:
    with pytest.raises(ProxyError):
        parse_proxy(octets)


@settings(deadline=None)
@given(st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\0"]), st.binary(max_size=200))
def test_whatever_comes_is_a_header_an_error_or_waited_for(start: bytes, rest: bytes) -> None:
    try:
        header = parse_proxy(start + rest)
    except ProxyError:
        return
    assert header is NEED_DATA or header.length <= len(start + rest)
