"""BODYSTRUCTURE and BODY (RFC 9051 §7.5.2), good for RFC 3501 as well, from the parts the scanner found.

Types, parameters and encodings keep the case they came in. Parameters are as in the message with their continuations
put together (RFC 2231 §3); an extended value keeps the "*" of its name. Whatever the message is like, the result is of
the grammar: a multipart in which no part was found has one of plain text, which is all that lies in it; a
message/rfc822 that is not taken apart (encoded, or too deep) holds an empty message. BODY is not kept: `body_of`
takes the extension data out of a BODYSTRUCTURE.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from posthouse.message.content_type import ContentType
from posthouse.message.envelope_wire import EMPTY_ENVELOPE, read_fields, write_envelope
from posthouse.message.mime import Part
from posthouse.message.parameters import Parameter, clean_value, find_parameter, read_parameters
from posthouse.message.wire_strings import NIL, unfold_value, write_string

MESSAGES = frozenset({"message/rfc822", "message/global"})
_MAX_REMEMBERED = 300
_NO_TEXT = b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" 0 0 NIL NIL NIL NIL)'
_TOKEN = re.compile(rb"[ \t]*+([^ \t;,]+)")


class Disposition(NamedTuple):
    """`kind` in lower case, the decoded file `name`, and what BODYSTRUCTURE says of it (`body-fld-dsp`)."""

    kind: str
    name: str
    wire: bytes


NO_DISPOSITION = Disposition("", "", NIL)


def parse_disposition(value: bytes | None) -> Disposition:
    """Content-Disposition (RFC 2183 §2)."""
    if value is None:
        return NO_DISPOSITION
    return _remember_disposition(value) if len(value) <= _MAX_REMEMBERED else _parse_disposition(value)


def _parse_disposition(value: bytes) -> Disposition:
    value = clean_value(value)
    kind = _TOKEN.match(value)
    if kind is None:
        return NO_DISPOSITION
    parameters = read_parameters(value, kind.end())
    wire = b"(%b %b)" % (write_string(kind[1]), _write_parameters(parameters))
    return Disposition(kind[1].decode("latin-1").lower(), find_parameter(parameters, b"filename"), wire)


_remember_disposition = lru_cache(maxsize=512)(_parse_disposition)


def write_bodystructure(data: bytes, root: Part, lines: Mapping[int, int]) -> bytes:
    """Of the whole message. `lines`: how many CRLFs lie before an offset, for the body and end of every part."""
    return b"".join(_Writer(data, lines).write(root))


class _Writer:
    def __init__(self, data: bytes, lines: Mapping[int, int]) -> None:
        self._data, self._lines = data, lines
        self._pieces: list[bytes] = []

    def write(self, part: Part) -> list[bytes]:
        self._write_part(part)
        return self._pieces

    def _write_part(self, part: Part) -> None:
        if part.content_type.main == "multipart":
            self._write_multipart(part)
        else:
            self._write_single(part)

    def _write_multipart(self, part: Part) -> None:
        self._pieces.append(b"(")
        for child in part.children:
            self._write_part(child)
        if not part.children:
            self._pieces.append(self._write_untaken(part))
        kind = part.content_type
        self._pieces.append(
            b" %b %b %b)" % (write_string(kind.name[1]), _write_parameters(kind.parameters), _write_extension(part))
        )

    def _write_untaken(self, part: Part) -> bytes:
        """What lies in a multipart in which no part was found, as plain text."""
        size = part.end - part.body
        return b'("TEXT" "PLAIN" ("CHARSET" "US-ASCII") NIL NIL "7BIT" %d %d NIL NIL NIL NIL)' % (
            size,
            self._count_lines(part),
        )

    def _write_single(self, part: Part) -> None:
        kind = part.content_type
        self._pieces.append(b"(%b %b %d" % (_write_kind(kind), _write_fields(part), part.end - part.body))
        if kind.full in MESSAGES:
            self._write_message(part)
        if kind.main == "text" or kind.full in MESSAGES:
            self._pieces.append(b" %d" % self._count_lines(part))
        digest = part.fields.get(b"md5")
        self._pieces.append(b" %b %b)" % (_write_text(digest), _write_extension(part)))

    def _write_message(self, part: Part) -> None:
        if not part.children:
            self._pieces.append(b" %b %b" % (EMPTY_ENVELOPE, _NO_TEXT))
            return
        inner = part.children[0]
        envelope = write_envelope(read_fields(self._data, inner.start, inner.fields_end))
        self._pieces.append(b" %b " % envelope)
        self._write_part(inner)

    def _count_lines(self, part: Part) -> int:
        return self._lines[part.end] - self._lines[part.body]


def _write_text(value: bytes | None) -> bytes:
    return NIL if value is None else write_string(unfold_value(value))


def _write_fields(part: Part) -> bytes:
    """Content-ID, Content-Description and the encoding."""
    fields = part.fields
    encoding = fields.get(b"transfer-encoding")
    token = _TOKEN.match(unfold_value(encoding)) if encoding is not None else None
    return b"%b %b %b" % (
        _write_text(fields.get(b"id")),
        _write_text(fields.get(b"description")),
        b'"7BIT"' if token is None else write_string(token[1]),
    )


def _write_extension(part: Part) -> bytes:
    """Disposition, language, location: the same in multiparts and others."""
    fields = part.fields
    language = fields.get(b"language")
    tags = _TOKEN.findall(clean_value(language)) if language is not None else []
    return b"%b %b %b" % (
        parse_disposition(fields.get(b"disposition")).wire,
        b"(%b)" % b" ".join(map(write_string, tags)) if tags else NIL,
        _write_text(fields.get(b"location")),
    )


@lru_cache(maxsize=512)
def _write_remembered(name: tuple[bytes, bytes], parameters: tuple[Parameter, ...]) -> bytes:
    if name[0].lower() == b"text" and not any(
        parameter.name.lower().rstrip(b"*") == b"charset" for parameter in parameters
    ):
        parameters = (Parameter(b"CHARSET", b"US-ASCII"), *parameters)  # RFC 2045 §5.2
    return b"%b %b %b" % (write_string(name[0]), write_string(name[1]), _write_parameters(parameters))


def _write_kind(kind: ContentType) -> bytes:
    return _write_remembered(kind.name, kind.parameters)


def _write_parameters(parameters: Iterable[Parameter]) -> bytes:
    text = b" ".join([b"%b %b" % (write_string(name), write_string(value)) for name, value in parameters])
    return b"(%b)" % text if text else NIL


# -- BODY

_LITERAL = re.compile(rb"\{(\d+)\}\r\n")
_ITEM = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[^ ()"{]++', re.DOTALL)


def body_of(bodystructure: bytes) -> bytes:
    """BODY (without extension data) of what `write_bodystructure` wrote."""
    reader = _Reader(bodystructure)
    reader.read_body()
    return b"".join(reader.pieces)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self.pieces: list[bytes] = []

    def read_body(self) -> None:
        """One body: its basic fields are kept, the rest is passed over."""
        self._at += 1  # "("
        self.pieces.append(b"(")
        if self._data.startswith(b"(", self._at):
            while self._data.startswith(b"(", self._at):
                self.read_body()
            self._keep_items(1)
        else:
            self._read_single()
        self.pieces.append(b")")
        while not self._data.startswith(b")", self._at):
            self._pass_item()
        self._at += 1

    def _read_single(self) -> None:
        start = self._at
        for _ in range(7):
            self._pass_item()
        kind = self._data[start : self._at].lower()
        self.pieces.append(self._data[start : self._at])
        if kind.startswith(b'"text" '):
            self._keep_items(1)
        elif kind.startswith((b'"message" "rfc822" ', b'"message" "global" ')):
            self._keep_items(1)  # the envelope
            self._at += 1
            self.pieces.append(b" ")
            self.read_body()
            self._keep_items(1)

    def _keep_items(self, count: int) -> None:
        start = self._at
        for _ in range(count):
            self._pass_item()
        self.pieces.append(self._data[start : self._at])

    def _pass_item(self) -> None:
        """A string, number, NIL, or a whole list, with the space before it."""
        data, depth = self._data, 0
        if data.startswith(b" ", self._at):
            self._at += 1
        while True:
            first = data[self._at : self._at + 1]
            if first == b"(":
                depth += 1
                self._at += 1
            elif first == b")":
                depth -= 1
                self._at += 1
            elif first == b" ":
                self._at += 1
                continue
            else:
                self._pass_atom()
            if not depth:
                return

    def _pass_atom(self) -> None:
        literal = _LITERAL.match(self._data, self._at)
        if literal is not None:
            self._at = literal.end() + int(literal[1])
            return
        item = _ITEM.match(self._data, self._at)
        self._at = item.end() if item is not None else len(self._data)
