"""Parameters of Content-Type and Content-Disposition (RFC 2045 §5.1, RFC 2183 §2) with the continuations of RFC 2231.

Read leniently, in linear time and MAX_PARAMETERS of a field at most; never raises. They are wanted in two ways: as
octets with continuations put together and nothing decoded (IMAP's BODYSTRUCTURE, as Dovecot writes it), and decoded
for people. Encoded words in a value are against RFC 2047 §5 and seen everywhere; they are decoded too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import quote_from_bytes, unquote_to_bytes

from posthouse.message.charsets import decode_text
from posthouse.message.encoded_words import decode_value

MAX_PARAMETERS = 64
MAX_VALUE = 8192

# A quoted value ends at its quote, or at the end of the field when the quote is missing; another one at the semicolon.
_PARAMETER = re.compile(rb';[ \t]*+([^=;" \t]++)[ \t]*+=[ \t]*+(?:"((?:[^"\\]++|\\.)*+)"?|([^;]*+))', re.DOTALL)
_COMMENT_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|\\.|[()]|[^"\\()]++', re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_FOLD = re.compile(rb"[\r\n]+")
_CONTINUED = re.compile(rb"([^*]+)\*(\d{1,3})?(\*)?")


class Parameter(NamedTuple):
    """`name` in the case it was given; with a "*" at its end `value` is in the extended form of RFC 2231 §4."""

    name: bytes
    value: bytes


def clean_value(value: bytes) -> bytes:
    """A structured value without line breaks and comments, MAX_VALUE octets at most."""
    value = value[:MAX_VALUE]
    if b"\n" in value or b"\r" in value:
        value = _FOLD.sub(b"", value)
    return strip_comments(value) if b"(" in value else value


def strip_comments(value: bytes) -> bytes:
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


def read_parameters(value: bytes, start: int = 0) -> list[Parameter]:
    """The parameters of a clean value in their order, continuations put together; of two of a name the first counts."""
    found: dict[bytes, Parameter] = {}
    is_continued = False
    for match in _PARAMETER.finditer(value, start):
        if len(found) >= MAX_PARAMETERS:
            break
        name, quoted, plain = match.groups()
        octets = plain.rstrip() if quoted is None else (_ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
        found.setdefault(name.lower(), Parameter(name, octets))
        is_continued = is_continued or b"*" in name
    return _join_continued(found.values()) if is_continued else list(found.values())


class _Piece(NamedTuple):
    text: bytes
    is_extended: bool


def _join_continued(parameters: Iterable[Parameter]) -> list[Parameter]:
    """Put `name*0`, `name*1*` ... together (RFC 2231 §3): `name`, or `name*` when a piece is in the extended form."""
    joined: list[Parameter] = []
    pieces: dict[bytes, dict[int, _Piece]] = {}  # by name in lower case
    for parameter in parameters:
        split = _CONTINUED.fullmatch(parameter.name)
        if split is None or (split[2] is None and split[3] is not None):
            joined.append(parameter)
            continue
        key = split[1].lower()
        if key not in pieces:
            pieces[key] = {}
            joined.append(Parameter(split[1] + b"*", b""))  # its place
        number = int(split[2]) if split[2] else 0
        pieces[key].setdefault(number, _Piece(parameter.value, split[3] is not None or split[2] is None))
    return [_fill(place, pieces) for place in joined]


def _fill(place: Parameter, pieces: Mapping[bytes, Mapping[int, _Piece]]) -> Parameter:
    if place.value or not place.name.endswith(b"*") or place.name[:-1].lower() not in pieces:
        return place
    numbered = pieces[place.name[:-1].lower()]
    run = [numbered[number] for number in range(len(numbered)) if number in numbered]
    run = run[
        : next((n for n in range(len(numbered)) if n not in numbered), len(run))
    ]  # up to the first that is missing
    if not any(piece.is_extended for piece in run):
        return Parameter(place.name[:-1], b"".join(piece.text for piece in run))
    texts = [piece.text if piece.is_extended else _percent_encode(piece.text) for piece in run]
    if not run[0].is_extended:
        texts.insert(0, b"''")
    return Parameter(place.name, b"".join(texts))


def _percent_encode(octets: bytes) -> bytes:
    return quote_from_bytes(octets, safe=b"!#$&+-.^_`{|}~").encode("ascii")


def find_parameter(parameters: Iterable[Parameter], name: bytes) -> str:
    """The decoded value of a parameter (name in lower case), "" when it is not there. One line.

    The extended form is preferred (RFC 6266 §4.3 says so of the same pair in HTTP).
    """
    plain: bytes | None = None
    extended_name = name + b"*"
    for parameter in parameters:
        key = parameter.name.lower()
        if key == extended_name:
            return decode_extended(parameter.value)
        if key == name and plain is None:
            plain = parameter.value
    return decode_value(plain) if plain else ""


def decode_extended(value: bytes) -> str:
    """`charset'language'percent-encoded` (RFC 2231 §4); without its quotes it is UTF-8 or what it looks like."""
    label = b""
    if value.count(b"'") >= 2:
        label, _, value = value.split(b"'", 2)
    text = decode_text(unquote_to_bytes(value), label.decode("latin-1"))
    return text if text.isprintable() else decode_value(text.encode("utf-8", "replace"))
