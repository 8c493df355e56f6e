"""Sections of messages: where in a message they lie, and what is made of them (RFC 9051 §6.4.5; RFC 3516 §4).

A message is the delivery's prefix and the body (ports/store.py); the prefix belongs to the header of the message.
Offsets of parts count from behind it. Header fields are picked by one regular expression per list of fields. Nothing
here reads or waits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from posthouse.message.mailbox import EmailId
from posthouse.message.parsed import PartFacts
from posthouse.message.sections import find_message, find_section
from posthouse.message.text import decode_content
from posthouse.protocol.imap.values import Binary, Section, Text

_ENCODINGS = frozenset(
    {"", "7bit", "8bit", "binary", "base64", "quoted-printable", "x-uuencode", "uuencode", "x-uue", "uue"}
)
_COMPOSITE = ("multipart/", "message/")  # their parts are encoded, not they (RFC 2045 §6.4)
_FIELD = re.compile(rb"\r\n(([^\r\n:]*+)[^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+)")

Pick = Callable[[bytes], bytes]


class Span(NamedTuple):
    """Octets of a message, prefix included."""

    start: int
    stop: int


class Facts(NamedTuple):
    """What is known of a message before its octets are read. `header` is where the body begins; `parts` are empty where
    no section needs them.
    """

    email: EmailId
    size: int
    prefix: int
    header: int
    parts: Sequence[PartFacts] = ()


@dataclass(frozen=True, slots=True)
class Wanted:
    """A section to be told. `label` is how the response calls it. `pick` takes the fields out of a header; with
    `decodes` the transfer encoding is undone; with `is_size` only the size is told.
    """

    label: bytes
    part: str
    text: Text = Text.ALL
    start: int | None = None
    count: int = 0
    pick: Pick | None = None
    decodes: bool = False
    is_size: bool = False

    @property
    def needs_parts(self) -> bool:
        return bool(self.part) or self.text is Text.MIME

    @property
    def is_whole(self) -> bool:
        """All of the message as it lies there."""
        return self.is_plain and not self.part and self.text is Text.ALL and self.start is None

    @property
    def is_plain(self) -> bool:
        """It is octets of the message as they lie there."""
        return self.pick is None and not self.decodes and not self.is_size


def want(item: Section | Binary) -> Wanted:
    partial = b"" if item.start is None else b"<%d>" % item.start
    if isinstance(item, Section):
        pick = None
        if item.text in (Text.FIELDS, Text.FIELDS_NOT):
            pick = make_pick(frozenset(item.fields), is_not=item.text is Text.FIELDS_NOT)
        return Wanted(item.name + partial, item.part, item.text, item.start, item.count, pick)
    label = b"BINARY%b[%b]%b" % (b".SIZE" if item.is_size else b"", item.part.encode("ascii"), partial)
    return Wanted(label, item.part, Text.ALL, item.start, item.count, None, True, item.is_size)


# -- where they lie


def locate(wanted: Wanted, facts: Facts) -> Span | None:
    """None: the message has no such part."""
    if not wanted.part and wanted.text is not Text.MIME:
        return _locate_whole(wanted.text, facts)
    if wanted.text in (Text.ALL, Text.MIME):
        part = find_section(facts.parts, wanted.part)
    else:
        part = find_message(facts.parts, wanted.part)
    if part is None:
        return None
    is_body = wanted.text in (Text.ALL, Text.TEXT)
    start, stop = (part.body, part.end) if is_body else (part.header, part.body)
    return Span(facts.prefix + start, facts.prefix + stop)


def _locate_whole(text: Text, facts: Facts) -> Span:
    if text is Text.ALL:
        return Span(0, facts.size)
    if text is Text.TEXT:
        return Span(facts.header, facts.size)
    return Span(0, facts.header)


def narrow(span: Span, wanted: Wanted) -> Span:
    """The partial of it; empty when it begins behind the end (RFC 9051 §6.4.5)."""
    if wanted.start is None:
        return span
    start = min(span.start + wanted.start, span.stop)
    return Span(start, min(start + wanted.count, span.stop))


# -- what is made of them


def render(wanted: Wanted, facts: Facts, octets: bytes) -> bytes | None:
    """The item of a response, of a message whose octets are all there. None: its encoding is unknown."""
    span = locate(wanted, facts)
    if span is None:
        return render_missing(wanted)
    if wanted.is_plain:
        start, stop = narrow(span, wanted)
        content = octets if stop - start == len(octets) else octets[start:stop]
        return b"%b {%d}\r\n%b" % (wanted.label, len(content), hide_nul(content))
    return render_made(wanted, facts, octets[span.start : span.stop])


def render_missing(wanted: Wanted) -> bytes:
    return b"%b %b" % (wanted.label, b"0" if wanted.is_size else b"NIL")


def render_made(wanted: Wanted, facts: Facts, content: bytes) -> bytes | None:
    """Of sections that are not plain. `content`: all octets of the section. None: its encoding is unknown."""
    if wanted.pick is not None:
        content = wanted.pick(content)
    elif wanted.decodes:
        decoded = _decode(wanted, facts, content)
        if decoded is None:
            return None
        content = decoded
    if wanted.is_size:
        return b"%b %d" % (wanted.label, len(content))
    if wanted.start is not None:
        content = content[wanted.start : wanted.start + wanted.count]
    if wanted.pick is not None:
        content = hide_nul(content)
    is_binary = b"\0" in content  # literal8 (RFC 3516 §4.2)
    return b"%b %b{%d}\r\n%b" % (wanted.label, b"~" if is_binary else b"", len(content), content)


def _decode(wanted: Wanted, facts: Facts, content: bytes) -> bytes | None:
    part = find_section(facts.parts, wanted.part)
    if part is None or not wanted.part or part.type.startswith(_COMPOSITE):
        return content
    if part.encoding not in _ENCODINGS:
        return None
    return decode_content(content, part.encoding)


def hide_nul(content: bytes) -> bytes:
    """No literal may hold NUL (RFC 9051 §4.3.1); the size stays."""
    return content.replace(b"\0", b"\x80") if b"\0" in content else content


# -- header fields


@lru_cache(maxsize=64)
def make_pick(fields: frozenset[bytes], *, is_not: bool = False) -> Pick:
    """A function that takes these fields (lower case), or all others, out of a header; a blank line ends them."""
    if is_not:
        return _make_other_pick(fields)
    named = fields - {b""}
    return _make_pick(named) if named else _pick_nothing


def _pick_nothing(header: bytes) -> bytes:
    return b"\r\n"


def _make_pick(fields: frozenset[bytes]) -> Pick:
    names = b"|".join(re.escape(name) for name in sorted(fields))
    first = re.escape(bytes({octet for name in fields for octet in name[:1].lower() + name[:1].upper()}))
    # The look at the first letter spares the alternation, which is tried name by name.
    found = re.compile(
        rb"\r\n((?=[%b])(?i:%b)[ \t]*+:[^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+)" % (first, names)
    ).findall

    def pick(header: bytes) -> bytes:
        lines = found(b"\r\n" + header)
        lines += (b"", b"")
        return b"\r\n".join(lines)

    return pick


def _make_other_pick(fields: frozenset[bytes]) -> Pick:
    def pick(header: bytes) -> bytes:
        found = _FIELD.findall(b"\r\n" + header.removesuffix(b"\r\n\r\n"))
        lines = [whole for whole, name in found if name and name.rstrip(b" \t").lower() not in fields]
        lines += (b"", b"")
        return b"\r\n".join(lines)

    return pick
