"""The header section of a message: where it ends, which fields it has, and how to write one (RFC 5322 §2.2).

Reading takes what it gets and never raises: a hostile header costs time in proportion to its length and nothing
else. Only CRLF ends a line (the SMTP server refuses a bare CR or LF before a message gets here). Writing gives
lines of at most 78 octets where words allow it and never more than 998 (RFC 5322 §2.1.1), encodes what is not
ASCII (RFC 2047 §2) unless UTF-8 is allowed (RFC 6532 §3.2), and never lets a value add a field of its own.

It does not parse addresses, dates or parameters out of fields.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator
from typing import NamedTuple

# A message that crossed this many servers goes in circles (RFC 5321 §6.3 asks for at least 100 or a configurable
# number; 50 is what Postfix uses and what the operator expects).
MAX_RECEIVED = 50
MAX_LINE_OCTETS = 998
FOLD_OCTETS = 78
_MAX_MESSAGE_ID = 998
_ENCODED_WORD_OCTETS = 62  # RFC 2047 §2 allows 75; shorter, so that the first one fits behind the name of its field

# One field: name, colon, value with its continuation lines. Possessive throughout, so that it is linear.
# White space before the colon is the obsolete form of RFC 5322 §4.5.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+)(?:\r\n|\Z)")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_LINE_BREAK = re.compile(r"[\r\n\x00]+")
_WORD = re.compile(r"[ \t]*[^ \t]+|[ \t]+$")


class HeadFacts(NamedTuple):
    """What receiving needs to know of a header section. `message_id` as written, "" when there is none."""

    end: int  # where the body starts; the length of the data when the blank line is missing
    received_count: int
    message_id: str
    has_8bit_headers: bool
    has_date: bool
    has_from: bool


class Field(NamedTuple):
    """One field by offsets: name at `start`, value from `value` to `end` (before its CRLF), `next` behind it."""

    name: bytes  # in lower case
    start: int
    value: int
    end: int
    next: int


def find_header_end(data: bytes) -> int:
    """The offset behind the blank line that ends the header section, or -1 when there is none (yet)."""
    if data.startswith(b"\r\n"):
        return 2
    at = data.find(b"\r\n\r\n")
    return at + 4 if at >= 0 else -1


def inspect_head(data: bytes) -> HeadFacts:
    """Look at the header section that `data` begins with. On the path of every message: a few scans in C.

    Names are looked for in their usual form, without white space before the colon.
    """
    end = find_header_end(data)
    if end < 0:
        end = len(data)
    head = b"\r\n" + data[:end]
    lower = head.lower()
    return HeadFacts(
        end,
        lower.count(b"\r\nreceived:"),
        _find_message_id(head, lower),
        not head.isascii(),
        b"\r\ndate:" in lower,
        b"\r\nfrom:" in lower,
    )


def _find_message_id(head: bytes, lower: bytes) -> str:
    at = lower.find(b"\r\nmessage-id:")
    if at < 0:
        return ""
    start = at + 13
    end = head.find(b"\r\n", start)
    value = head[start : end if end >= 0 else len(head)].strip()
    if not value:  # folded behind the colon, as some senders do with long ids
        value = first_value(head[at + 2 :], b"message-id") or b""
    return value[:_MAX_MESSAGE_ID].decode("utf-8", "replace")


def count_received(head: bytes) -> int:
    """How many servers the message passed (RFC 5321 §6.3)."""
    return inspect_head(head).received_count


def iterate_fields(head: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of `head[start:end]` in order. Ends at the blank line, or at the first line that is no field."""
    stop = len(head) if end is None else end
    match = _FIELD.match
    while start < stop:
        found = match(head, start, stop)
        if found is None:
            return
        value_start, value_end = found.span(2)
        yield Field(found[1].lower(), start, value_start, value_end, found.end())
        start = found.end()


def first_value(head: bytes, name: bytes) -> bytes | None:
    """The first value of a field (name in lower case), unfolded and stripped, or None."""
    pattern = re.compile(rb"(?i)(?:\A|\r\n)" + re.escape(name) + rb"[ \t]*:")
    for found in pattern.finditer(head):
        for field in iterate_fields(head, found.end() - len(found[0].lstrip(b"\r\n"))):
            return unfold(head[field.value : field.end])
    return None


def unfold(value: bytes) -> bytes:
    """Take the line breaks out of a value (RFC 5322 §2.2.3)."""
    return _FOLD.sub(b"", value).strip(b" \t\r\n")


def make_field(name: str, value: str, *, utf8: bool = False) -> bytes:
    """One field with its CRLF, folded at white space; non-ASCII in encoded words unless `utf8`.

    For unstructured values (Subject) and for structured ones that are ASCII already. Line breaks in `value`
    become spaces, so that no value can bring a field of its own.
    """
    text = _LINE_BREAK.sub(" ", value).strip()
    if not utf8 and not text.isascii():
        text = encode_words(text)
    return _fold(f"{name}: ", text)


def encode_words(text: str) -> str:
    """Encoded words (RFC 2047 §2, base64 of UTF-8), none above 75 octets, for the words that need it.

    A run of words that need it is encoded with the spaces between them, as white space between two encoded
    words is dropped (RFC 2047 §6.2).
    """
    parts: list[str] = []
    run: list[str] = []
    for word in text.split(" "):
        if word.isascii() and not word.startswith("=?"):
            if run:
                parts.extend(_encode_run(" ".join(run)))
                run = []
            parts.append(word)
        else:
            run.append(word)
    if run:
        parts.extend(_encode_run(" ".join(run)))
    return " ".join(parts)


def encode_phrase(text: str) -> str:
    """All of a text in encoded words, also what is ASCII: for display names (RFC 2047 §5), where dots and commas mean
    something else.
    """
    return " ".join(_encode_run(text))


def _encode_run(text: str) -> Iterator[str]:
    room = (_ENCODED_WORD_OCTETS - len("=?utf-8?b??=")) // 4 * 3
    chunk = b""
    for character in text:  # never split a character (RFC 2047 §5)
        octets = character.encode("utf-8", "replace")
        if len(chunk) + len(octets) > room:
            yield _encode_word(chunk)
            chunk = b""
        chunk += octets
    yield _encode_word(chunk)


def _encode_word(octets: bytes) -> str:
    return f"=?utf-8?b?{binascii.b2a_base64(octets, newline=False).decode('ascii')}?="


def _fold(start: str, text: str) -> bytes:
    lines: list[bytes] = []
    line = start.encode("ascii").rstrip(b" ")
    is_empty = True  # never fold between the name and the first word
    for word in _WORD.findall(text):
        piece = word.encode("utf-8", "replace")
        if piece[:1] not in (b" ", b"\t"):
            piece = b" " + piece  # the first word
        if len(line) + len(piece) > FOLD_OCTETS and not is_empty:
            lines.append(line)
            line = piece
        else:
            line += piece
        is_empty = False
        while len(line) > MAX_LINE_OCTETS:  # one word without a space in it: broken, rather than too long
            cut = _cut_before(line, MAX_LINE_OCTETS)
            lines.append(line[:cut])
            line = b" " + line[cut:]
    lines.append(line)
    return b"\r\n".join(lines) + b"\r\n"


def _cut_before(line: bytes, limit: int) -> int:
    """The last place up to `limit` that does not split a UTF-8 character."""
    while limit > 1 and line[limit] & 0xC0 == 0x80:
        limit -= 1
    return limit
