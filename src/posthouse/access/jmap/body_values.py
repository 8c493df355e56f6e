"""EmailBodyValue objects: the text of a part (RFC 8621 §4.1.4). Pure; takes any octets and never raises."""

from __future__ import annotations

import msgspec

from posthouse.message.charsets import decode_text, is_known_charset
from posthouse.message.parsed import PartFacts
from posthouse.message.text import decode_part

_ENCODINGS = frozenset({"", "7bit", "8bit", "binary", "base64", "quoted-printable"})
_UUENCODED = frozenset({"x-uuencode", "uuencode", "x-uue", "uue"})
_UNREADABLE = "\ufffd"
_ASCII = frozenset({"", "us-ascii", "ascii"})


class BodyValue(msgspec.Struct, frozen=True, rename="camel"):
    value: str
    is_encoding_problem: bool = False
    is_truncated: bool = False


def read_body_value(body: bytes, part: PartFacts, max_octets: int = 0) -> BodyValue:
    """`body`: without the prefix. `max_octets` of UTF-8 at most, 0: all; no character and no tag is cut in two."""
    octets = decode_part(body, part)
    text = decode_text(octets, part.charset)
    has_problem = _has_problem(octets, text, part)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    cut = cut_text(text, max_octets, is_page=part.type == "text/html") if max_octets else text
    return BodyValue(cut, has_problem, len(cut) < len(text))


def _has_problem(octets: bytes, text: str, part: PartFacts) -> bool:
    if part.encoding not in _ENCODINGS and part.encoding not in _UUENCODED:
        return True
    if part.charset in _ASCII:
        return not octets.isascii()
    if not is_known_charset(part.charset):
        return True
    return _UNREADABLE in text and text.count(_UNREADABLE) != octets.count(_UNREADABLE.encode())


def cut_text(text: str, max_octets: int, *, is_page: bool = False) -> str:
    """Of a page no tag and no character reference is cut in two."""
    octets = text.encode("utf-8", "replace")
    if len(octets) <= max_octets:
        return text
    cut = octets[:max_octets].decode("utf-8", "ignore")
    if is_page:
        opened, reference = cut.rfind("<"), cut.rfind("&", max(0, len(cut) - 32))
        if opened > cut.rfind(">"):
            cut = cut[:opened]
        elif reference > cut.rfind(";"):
            cut = cut[:reference]
    return cut
