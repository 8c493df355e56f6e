"""Content-Type values (RFC 2045 §5.1), read leniently and in linear time.

Most messages use the same few values, so what they mean is remembered. A value that cannot be read is
`text/plain`, as RFC 2045 §5.2 wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from posthouse.message.parameters import Parameter, clean_value, decode_extended, read_parameters

_MAX_REMEMBERED = 160

_TYPE = re.compile(rb"[ \t]*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)[ \t]*/[ \t]*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)")


class ContentType(NamedTuple):
    """`main` and `sub` in lower case; parameter names in lower case, values as they are (octets as Latin-1).

    `name` and `parameters` as the message gives them: `(main, sub)`, and octets with nothing decoded.
    """

    main: str
    sub: str
    params: Mapping[str, str]
    name: tuple[bytes, bytes]
    parameters: tuple[Parameter, ...]

    @property
    def full(self) -> str:
        return f"{self.main}/{self.sub}"


TEXT_PLAIN = ContentType(
    "text",
    "plain",
    MappingProxyType({"charset": "us-ascii"}),
    (b"TEXT", b"PLAIN"),
    (Parameter(b"CHARSET", b"US-ASCII"),),
)
MESSAGE_RFC822 = ContentType("message", "rfc822", MappingProxyType({}), (b"message", b"rfc822"), ())


def parse_content_type(value: bytes) -> ContentType:
    """Take the value of a Content-Type field apart; line breaks may still be in it."""
    if len(value) <= _MAX_REMEMBERED:
        return _parse_remembered(value)
    return _parse(value)


@lru_cache(maxsize=512)
def _parse_remembered(value: bytes) -> ContentType:
    return _parse(value)


def _parse(value: bytes) -> ContentType:
    value = clean_value(value)
    kind = _TYPE.match(value)
    if kind is None:
        return TEXT_PLAIN
    parameters = read_parameters(value, kind.end())
    main, sub = kind[1].decode("ascii").lower(), kind[2].decode("ascii").lower()
    return ContentType(main, sub, _decode_parameters(parameters), (kind[1], kind[2]), tuple(parameters))


def _decode_parameters(parameters: list[Parameter]) -> Mapping[str, str]:
    params: dict[str, str] = {}
    for name, octets in parameters:
        key = name.decode("latin-1").lower()
        if key.endswith("*"):
            params.setdefault(key[:-1], decode_extended(octets))
        else:
            params.setdefault(key, octets.decode("latin-1"))
    return MappingProxyType(params)
