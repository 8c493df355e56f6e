"""Content-Type values (RFC 2045 §5.1) with the parameter continuations of RFC 2231, read leniently and in linear time.

Most messages use the same few values, so what they mean is remembered. A value that cannot be read is
`text/plain`, as RFC 2045 §5.2 wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

MAX_PARAMETERS = 64
_MAX_VALUE = 8192
_MAX_REMEMBERED = 160

_TYPE = re.compile(rb"[ \t]*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)[ \t]*/[ \t]*([!#$%&'*+.0-9A-Z^_`a-z{|}~-]+)")
# A quoted value ends at its quote, or at the end of the field when the quote is missing.
_PARAMETER = re.compile(rb';[ \t]*+([^=;" \t]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"?|([^; \t]*+))', re.DOTALL)
_COMMENT_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|\\.|[()]|[^"\\()]++', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"[\r\n]+")
_CONTINUED = re.compile(r"(.+?)\*(\d{1,3})?(\*)?")
_CHARSETS = {"utf-8": "utf-8", "us-ascii": "ascii", "iso-8859-1": "latin-1"}


class ContentType(NamedTuple):
    """`main` and `sub` in lower case; parameter names in lower case, values as they are."""

    main: str
    sub: str
    params: Mapping[str, str]

    @property
    def full(self) -> str:
        return f"{self.main}/{self.sub}"


_NO_PARAMS: Mapping[str, str] = MappingProxyType({})
TEXT_PLAIN = ContentType("text", "plain", MappingProxyType({"charset": "us-ascii"}))
MESSAGE_RFC822 = ContentType("message", "rfc822", _NO_PARAMS)


def parse_content_type(value: bytes) -> ContentType:
    """Take the value of a Content-Type field apart; line breaks may still be in it."""
    if len(value) <= _MAX_REMEMBERED:
        return _parse_remembered(value)
    return _parse(value[:_MAX_VALUE])


@lru_cache(maxsize=512)
def _parse_remembered(value: bytes) -> ContentType:
    return _parse(value)


def _parse(value: bytes) -> ContentType:
    if b"\n" in value or b"\r" in value:
        value = _FOLD.sub(b"", value)
    if b"(" in value:
        value = _strip_comments(value)
    kind = _TYPE.match(value)
    if kind is None:
        return TEXT_PLAIN
    main, sub = kind[1].decode("ascii").lower(), kind[2].decode("ascii").lower()
    return ContentType(main, sub, _parse_parameters(value, kind.end()))


def _strip_comments(value: bytes) -> bytes:
    """Without `(comments)`, which nest (RFC 5322 §3.2.2); parentheses in quotes stay."""
    kept: list[bytes] = []
    depth = 0
    for token in _COMMENT_TOKEN.findall(value):
        if token == b"(":
            depth += 1
        elif token == b")" and depth:
            depth -= 1
        elif not depth:
            kept.append(token)
    return b"".join(kept)


def _parse_parameters(value: bytes, start: int) -> Mapping[str, str]:
    found: dict[str, str] = {}
    is_continued = False
    for match in _PARAMETER.finditer(value, start):
        if len(found) >= MAX_PARAMETERS:
            break
        name, quoted, plain = match.groups()
        octets = plain if quoted is None else (_ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
        found.setdefault(name.decode("latin-1").lower(), octets.decode("latin-1"))
        is_continued = is_continued or b"*" in name
    return MappingProxyType(_join_continued(found) if is_continued else found)


def _join_continued(found: Mapping[str, str]) -> dict[str, str]:
    """Put `name*0`, `name*1*` ... together and undo their percent encoding (RFC 2231 §3, §4)."""
    pieces: dict[str, dict[int, tuple[str, bool]]] = {}
    plain: dict[str, str] = {}
    for name, value in found.items():
        split = _CONTINUED.fullmatch(name)
        if split is None:
            plain[name] = value
        else:
            number = int(split[2]) if split[2] else 0
            pieces.setdefault(split[1], {})[number] = (value, split[3] is not None or split[2] is None)
    for name, numbered in pieces.items():
        plain.setdefault(name, _join_pieces(numbered))
    return plain


def _join_pieces(numbered: Mapping[int, tuple[str, bool]]) -> str:
    charset = "latin-1"
    octets = b""
    number = 0
    while number in numbered:
        text, is_encoded = numbered[number]
        if number == 0 and is_encoded and text.count("'") >= 2:
            label, _, text = text.split("'", 2)
            charset = _CHARSETS.get(label.lower(), "latin-1")  # never a codec of the sender's choice
        raw = text.encode("latin-1", "replace")
        octets += unquote_to_bytes(raw) if is_encoded else raw
        number += 1
    return octets.decode(charset, "replace")
