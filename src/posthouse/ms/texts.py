"""The text of a message as search wants it: decoded, folded for comparing, made only when it is asked for.

A message is given as its octets (prefix and body) and what was found when it was parsed. Header fields are decoded
(RFC 2047), text parts by their transfer encoding and charset, HTML without its tags. Bounded by the size of the
message; never raises. Pure.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Callable
from datetime import date

from posthouse.message.casemap import fold_case
from posthouse.message.charsets import decode_text
from posthouse.message.encoded_words import decode_base64, decode_value
from posthouse.message.header import find_header_end, iterate_fields, unfold
from posthouse.message.parsed import ParsedMessage, PartFacts
from posthouse.message.search import Where

_SCRIPT = re.compile(r"<(style|script)\b.*?(?:</\1\s*+>|\Z)", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*+>")
_DATE = re.compile(rb"(\d{1,2})[ \t]++([A-Za-z]{3})[ \t]++(\d{2,4})\b")
_MONTHS = {
    name: number
    for number, name in enumerate(
        (b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"), 1
    )
}


def decode_part(octets: bytes, part: PartFacts) -> str:
    """The text of a text part. `octets` are those of the body that the offsets count in."""
    content = octets[part.body : part.end]
    if part.encoding == "base64":
        content = decode_base64(content)
    elif part.encoding == "quoted-printable":
        content = binascii.a2b_qp(content)
    text = decode_text(content, part.charset)
    return strip_html(text) if part.type == "text/html" else text


def strip_html(text: str) -> str:
    return html.unescape(_TAG.sub(" ", _SCRIPT.sub(" ", text)))


def read_sent_day(value: bytes) -> date | None:
    """The day of a Date field on its own clock (RFC 5322 §3.3, two-digit years as RFC 5322 §4.3)."""
    found = _DATE.search(value)
    month = _MONTHS.get(found[2].lower()) if found is not None else None
    if found is None or month is None:
        return None
    year = int(found[3])
    if len(found[3]) < 4:
        year += 2000 if year < 50 else 1900
    try:
        return date(year, month, int(found[1]))
    except ValueError:
        return None


class MessageTexts:
    """Implements `search.Texts` over a message; `octets` is called once, when cached columns do not answer."""

    __slots__ = ("_folded", "_message", "_octets", "_prefix_size", "_read")

    def __init__(self, message: ParsedMessage, prefix_size: int, read: Callable[[], bytes]) -> None:
        self._message, self._prefix_size, self._read = message, prefix_size, read
        self._octets: bytes | None = None
        self._folded: dict[Where, str] = {}

    def text(self, where: Where) -> str:
        known = self._folded.get(where)
        if known is None:
            known = self._folded[where] = fold_case(self._make(where))
        return known

    def header(self, name: str) -> list[str]:
        """Decoded and folded values of every field of that name."""
        wanted = name.lower().encode("utf-8", "replace")
        return [fold_case(decode_value(value)) for field, value in self._fields() if field == wanted]

    def sent_day(self) -> date | None:
        for name, value in self._fields():
            if name == b"date":
                return read_sent_day(value)
        return None

    def _make(self, where: Where) -> str:
        message = self._message
        match where:
            case Where.SUBJECT:
                return message.subject
            case Where.FROM:
                return message.from_text
            case Where.TO:
                return message.to_text
            case Where.CC:
                return message.cc_text
            case Where.BCC:
                return message.bcc_text
            case Where.ATTACHMENT:
                return "\n".join(part.name for part in message.parts if part.name)
            case Where.BODY:
                return self._decode_body()
            case Where.TEXT:
                head = "\n".join(f"{name.decode('latin-1')}: {decode_value(value)}" for name, value in self._fields())
                return f"{head}\n\n{self._decode_body()}"

    def _decode_body(self) -> str:
        body = self._all()[self._prefix_size :]
        texts = [decode_part(body, part) for part in self._message.parts if part.type.startswith("text/")]
        return "\n".join(texts)

    def _fields(self) -> list[tuple[bytes, bytes]]:
        octets = self._all()
        end = self._prefix_size + self._message.header_size or find_header_end(octets)
        return [(field.name, unfold(octets[field.value : field.end])) for field in iterate_fields(octets, 0, end)]

    def _all(self) -> bytes:
        if self._octets is None:
            self._octets = self._read()
        return self._octets
