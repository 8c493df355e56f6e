"""The text of a message: of a part, of a field, of the whole for search, and the preview (RFC 8970 §3.1).

Works on the octets and the PartFacts made of them, offsets counting from the first octet. All of it is bounded, never
raises, and takes time in proportion to what it looks at. HTML is stripped for reading and search only; what comes out
is text and must be escaped like any other.
"""

from __future__ import annotations

import binascii
import html
import re
from collections.abc import Iterator, Sequence

from posthouse.message.charsets import decode_text
from posthouse.message.encoded_words import decode_base64, decode_value
from posthouse.message.header import find_header_end, iterate_fields
from posthouse.message.parsed import ParsedMessage, PartFacts

MAX_SEARCH_OCTETS = 16_777_216  # of text that is decoded for search, per message
PREVIEW_CHARACTERS = 256
_MOST_WORDS = PREVIEW_CHARACTERS // 2  # of one letter each; what is not split any more lies behind the end
_FIRST_WINDOW = 640
_LOOKED_AT = 8_192  # of text with much white space
_SECOND_WINDOW = 32_768
_PAGE_WINDOW = 131_072
_MAX_HEADER = 262_144

# Every pattern takes what it began to read, to the end of the text if need be: nothing is looked at twice.
_HIDDEN = re.compile(
    r"<!--(?:[^-]++|-(?!->))*+(?:-->|\Z)"
    r"|<(script|style|title|template|head|svg|math|select|noscript)\b(?:[^<]++|<(?!/\1\b))*+(?:</\1[^>]*+>?|\Z)",
    re.IGNORECASE,
)
_INLINE_TAG = re.compile(
    r"</?(?:a|abbr|b|big|code|del|em|font|i|ins|mark|o:p|s|small|span|strike|strong|sub|sup|tt|u|wbr)(?=[\s/>])[^>]*+(?:>|\Z)",
    re.IGNORECASE,
)
_BREAK_TAG = re.compile(r"<(?:br|/p|/div|/tr|/li|/h[1-6]|hr|/blockquote|/pre)(?=[\s/>])[^>]*+(?:>|\Z)", re.IGNORECASE)
_TAG = re.compile(r"<[a-zA-Z/!?][^>]*+(?:>|\Z)")
_BLANKS = re.compile(r"[ \t\xa0\u200b\u200c\u200d\u034f\ufeff\xad]+")
_QUOTED_LINES = re.compile(r"(?m)^[ \t]*>.*$\n?")
# The line that mail programs put above a quotation, in any language: it ends with a colon and the next begins with ">".
_ATTRIBUTION = re.compile(r"(?m)^[^\n>]{1,200}(?:\n[^\n>]{1,200})?:[ \t]*\n(?=(?:[ \t]*\n)?[ \t]*>)")
_SIGNATURE = re.compile(r"(?m)^-- ?$")
_FORWARD = re.compile(r"(?m)^-{2,}[ ]?(?:Original Message|Forwarded message|Ursprüngliche Nachricht)[ ]?-{2,}$")
_INVISIBLE = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029\u200b-\u200f\u202a-\u202e\u2066-\u2069\u034f\ufeff\xad\xa0]+")


def decode_part(octets: bytes, part: PartFacts, limit: int | None = None) -> bytes:
    """The content of a part with its transfer encoding undone; of an unknown one as it lies there.

    With `limit` only about so many of its octets are decoded.
    """
    end = part.end if limit is None else min(part.end, part.body + limit)
    return decode_content(octets[part.body : end], part.encoding)


def decode_content(content: bytes, encoding: str) -> bytes:
    """Undo a Content-Transfer-Encoding (RFC 2045 §6), leniently."""
    if encoding == "base64":
        return decode_base64(content)
    if encoding == "quoted-printable":
        return binascii.a2b_qp(content)
    if encoding in ("x-uuencode", "uuencode", "x-uue", "uue"):
        return _decode_uu(content)
    return content


def _decode_uu(content: bytes) -> bytes:
    decoded: list[bytes] = []
    is_inside = False
    for line in content.split(b"\n"):
        line = line.rstrip(b"\r")
        if not is_inside:
            is_inside = line.startswith(b"begin ")
        elif line == b"end":
            break
        else:
            try:
                decoded.append(binascii.a2b_uu(line))
            except binascii.Error:
                continue
    return b"".join(decoded)


def part_text(octets: bytes, part: PartFacts, limit: int | None = None) -> str:
    """A text part decoded, HTML as it is. Lines end with LF."""
    text = decode_text(decode_part(octets, part, limit), part.charset)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def strip_html(page: str) -> str:
    """What a reader would see of it, roughly: no markup, scripts or styles; a line per block."""
    text = _HIDDEN.sub(" ", page)
    text = _INLINE_TAG.sub("", text)
    text = _BREAK_TAG.sub("\n", text.replace("\n", " "))
    text = html.unescape(_TAG.sub(" ", text))
    return _BLANKS.sub(" ", text)


def header_text(octets: bytes, name: str) -> str | None:
    """The decoded values of all fields of that name, one per line; None when the header has none of them."""
    end = find_header_end(octets)
    wanted = name.lower().encode("utf-8", "replace")
    stop = min(end if end >= 0 else len(octets), _MAX_HEADER)
    found = [
        decode_value(octets[field.value : field.end])
        for field in iterate_fields(octets, 0, stop)
        if field.name == wanted
    ]
    return "\n".join(found) if found else None


def section_text(octets: bytes, start: int, end: int) -> str:
    """A whole header section decoded, a field per line, for search in it."""
    fields = iterate_fields(octets, start, min(end, start + _MAX_HEADER))
    return "\n".join(
        f"{field.name.decode('ascii')}: {decode_value(octets[field.value : field.end])}" for field in fields
    )


def message_text(
    octets: bytes,
    parts: Sequence[PartFacts] | ParsedMessage,
    *,
    with_header: bool = False,
    limit: int = MAX_SEARCH_OCTETS,
) -> Iterator[str]:
    """The decoded text that a search in the body looks at, piece by piece: text parts, HTML stripped, and the headers
    of messages within; with `with_header` the message's own header first. `limit` octets are decoded at most.
    """
    if isinstance(parts, ParsedMessage):
        parts = parts.parts
    for part in parts:
        if limit <= 0:
            return
        is_inner = part.section.endswith(".0")
        if is_inner or (with_header and not part.section):
            yield section_text(octets, part.header, part.body)
        if part.type.startswith("text/"):
            text = part_text(octets, part, limit)
            limit -= part.end - part.body
            yield strip_html(text) if part.type == "text/html" else text


# -- preview


def make_preview(octets: bytes, parts: Sequence[PartFacts]) -> str:
    """PREVIEW_CHARACTERS of the first text that is meant to be read, quotations and signatures left out; one line."""
    part = _find_readable(parts)
    if part is None:
        return ""
    if part.type == "text/html":
        return _preview_page(octets, part)
    words = _join_words(_read_plain(octets, part, _FIRST_WINDOW))
    if len(words) < PREVIEW_CHARACTERS and part.end - part.body > _FIRST_WINDOW:
        words = _join_words(_read_plain(octets, part, _SECOND_WINDOW))
    return words.rstrip()


def _find_readable(parts: Sequence[PartFacts]) -> PartFacts | None:
    page: PartFacts | None = None
    for part in parts:
        if part.disposition == "attachment" or part.end <= part.body:
            continue
        if part.type == "text/plain":
            return part
        if part.type == "text/html" and page is None:
            page = part
    return page


def _read_plain(octets: bytes, part: PartFacts, window: int) -> str:
    text = part_text(octets, part, window)
    return _drop_quotations(text) or text


def _drop_quotations(text: str) -> str:
    if ">" in text:
        text = _QUOTED_LINES.sub("", _ATTRIBUTION.sub("", text))
    if "--" in text:
        for pattern in (_SIGNATURE, _FORWARD):
            found = pattern.search(text)
            if found is not None and text[: found.start()].strip():
                text = text[: found.start()]
    return text if text.strip() else ""


def _preview_page(octets: bytes, part: PartFacts) -> str:
    page = part_text(octets, part, _PAGE_WINDOW)
    start = max(page.lower().find("<body"), 0)
    quoted = page.find("<blockquote", start)
    if quoted > start:
        before = _shorten(strip_html(page[start:quoted]))
        if before:
            return before
    return _shorten(strip_html(page[start:]))


def _shorten(text: str) -> str:
    return _join_words(text).rstrip()


def _join_words(text: str) -> str:
    """PREVIEW_CHARACTERS with one space between words, perhaps one at the end."""
    if not text.isascii():
        text = _INVISIBLE.sub(" ", text).replace("\ufffd", "")
    elif not text.isprintable():
        text = text.replace("\x00", "")
    return " ".join(text[:_LOOKED_AT].split(None, _MOST_WORDS))[:PREVIEW_CHARACTERS]
