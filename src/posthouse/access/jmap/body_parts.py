"""EmailBodyPart objects, and which parts are the body of an email and which are attached to it (RFC 8621 §4.1.4). Pure.

Parts come from what was found when the message was parsed (message/parsed.py); their offsets count from the body's
first octet, so that the prefix of delivery stands before them. A message in a message is one part: it has no parts of
the email's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from posthouse.access.jmap.blob_ids import BlobId
from posthouse.access.jmap.header_forms import HeaderFields, HeaderProperty, list_fields
from posthouse.message.encoded_words import decode_value
from posthouse.message.parsed import PartFacts
from posthouse.message.sections import number_below
from posthouse.message.text import decode_content
from posthouse.protocol.jmap.json import JsonObject

DEFAULT_BODY_PROPERTIES = (
    "partId",
    "blobId",
    "size",
    "name",
    "type",
    "charset",
    "disposition",
    "cid",
    "language",
    "location",
)
BODY_PROPERTIES = frozenset({*DEFAULT_BODY_PROPERTIES, "headers", "subParts"})
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})


@dataclass(slots=True)
class Part:
    facts: PartFacts
    children: list[Part] = field(default_factory=list)

    @property
    def is_multipart(self) -> bool:
        return self.facts.type.startswith("multipart/")

    @property
    def part_id(self) -> str | None:
        """None of a multipart (RFC 8621 §4.1.4). The one part of a message is "1"."""
        return None if self.is_multipart else self.facts.section or "1"

    def walk(self) -> Iterator[Part]:
        yield self
        for child in self.children:
            yield from child.walk()


def build_tree(parts: Sequence[PartFacts]) -> Part:
    """The message itself and what is below it. `parts` begin with the message (section "")."""
    known = {part.section: part for part in parts}
    root = Part(parts[0])
    waiting = [root]
    while waiting:
        part = waiting.pop()
        number = 1
        while part.is_multipart and (below := known.get(number_below(part.facts.section, number))) is not None:
            part.children.append(Part(below))
            number += 1
        waiting += part.children
    return root


# -- body and attachments


@dataclass(slots=True)
class BodyLists:
    text: list[Part] = field(default_factory=list)
    html: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)


def list_body(root: Part) -> BodyLists:
    """The algorithm of RFC 8621 §4.1.4."""
    lists = BodyLists()
    _sort_parts([root], "mixed", False, lists.text, lists.html, lists.attachments)
    return lists


_Parts = list[Part] | None


def _sort_parts(
    parts: Sequence[Part], inside: str, in_alternative: bool, text: _Parts, html: _Parts, attachments: list[Part]
) -> None:
    text_length = len(text) if text is not None else -1
    html_length = len(html) if html is not None else -1
    for number, part in enumerate(parts):
        kind = part.facts.type
        if part.is_multipart:
            below = kind.partition("/")[2]
            _sort_parts(part.children, below, in_alternative or below == "alternative", text, html, attachments)
        elif not _is_inline(part, number, inside):
            attachments.append(part)
        elif inside == "alternative":
            _choose_list(kind, text, html, attachments).append(part)
        else:
            if in_alternative:
                html = None if kind == "text/plain" else html
                text = None if kind == "text/html" else text
            _show(part, text, html, attachments)
    if inside == "alternative" and text is not None and html is not None:
        if len(text) == text_length:
            text += html[html_length:]
        elif len(html) == html_length:
            html += text[text_length:]


def _is_inline(part: Part, number: int, inside: str) -> bool:
    """A part of the body, no attachment."""
    facts = part.facts
    if facts.disposition == "attachment":
        return False
    if facts.type not in ("text/plain", "text/html") and not _is_media(facts.type):
        return False
    # Of multipart/related only the first one; a text with a file name that is not the first is a file.
    return number == 0 or (inside != "related" and (_is_media(facts.type) or not facts.name))


def _is_media(kind: str) -> bool:
    return kind.startswith(("image/", "audio/", "video/"))


def _choose_list(kind: str, text: _Parts, html: _Parts, attachments: list[Part]) -> list[Part]:
    """Of an alternative; what is the form of the body that is not wanted here goes nowhere."""
    if kind == "text/plain":
        return text if text is not None else []
    if kind == "text/html":
        return html if html is not None else []
    return attachments


def _show(part: Part, text: _Parts, html: _Parts, attachments: list[Part]) -> None:
    if text is not None:
        text.append(part)
    if html is not None:
        html.append(part)
    if (text is None or html is None) and _is_media(part.facts.type):
        attachments.append(part)


# -- objects


@dataclass(frozen=True, slots=True)
class PartWriter:
    """Parts of one message as objects. `octets`: prefix and body together. `blob`: of the message."""

    octets: bytes
    prefix_size: int
    blob: BlobId
    properties: Sequence[str]
    headers: Mapping[str, HeaderProperty]  # of the properties, those that are header fields

    def write(self, part: Part) -> JsonObject:
        return self._write(part, with_parts="subParts" in self.properties)

    def write_tree(self, root: Part) -> JsonObject:
        """For `bodyStructure`, where `subParts` are always told."""
        return self._write(root, with_parts=True)

    def _write(self, part: Part, *, with_parts: bool) -> JsonObject:
        start, end = self._header_of(part)
        fields = HeaderFields(self.octets, start, end)
        told: JsonObject = {}
        for name in self.properties:
            if name in self.headers:
                told[name] = fields.read(self.headers[name])
            elif name != "subParts":
                told[name] = self._write_property(part, name, fields)
        if with_parts and part.is_multipart:
            told["subParts"] = [self._write(child, with_parts=True) for child in part.children]
        elif "subParts" in self.properties:
            told["subParts"] = None
        return told

    def _header_of(self, part: Part) -> tuple[int, int]:
        """The message's own begins with the prefix."""
        start = self.prefix_size + part.facts.header if part.facts.section else 0
        return start, self.prefix_size + part.facts.body

    def _write_property(self, part: Part, name: str, fields: HeaderFields) -> object:
        facts = part.facts
        match name:
            case "partId":
                return part.part_id
            case "blobId":
                return None if part.part_id is None else str(self.blob.below(part.part_id))
            case "size":
                return self._size(facts)
            case "headers":
                return list_fields(self.octets, *self._header_of(part))
            case "type":
                return facts.type
            case "language":
                return _read_languages(fields)
            case "location":
                return _read_location(fields)
            case _:
                return _TEXTS[name](facts) or None

    def _size(self, facts: PartFacts) -> int:
        """Of the content with its encoding undone; of a multipart as it lies there."""
        if facts.encoding in _IDENTITY or facts.type.startswith("multipart/"):
            return facts.end - facts.body
        start = self.prefix_size
        return len(decode_content(self.octets[start + facts.body : start + facts.end], facts.encoding))


_TEXTS: Mapping[str, Callable[[PartFacts], str]] = {
    "name": lambda facts: facts.name,
    "charset": lambda facts: facts.charset,
    "disposition": lambda facts: facts.disposition,
    "cid": lambda facts: facts.content_id.strip().removeprefix("<").removesuffix(">"),
}


def _read_languages(fields: HeaderFields) -> list[str] | None:
    values = fields.values("Content-Language")
    if not values:
        return None
    return [tag for tag in map(str.strip, decode_value(values[-1]).split(",")) if tag]


def _read_location(fields: HeaderFields) -> str | None:
    values = fields.values("Content-Location")
    return "".join(decode_value(values[-1]).split()) or None if values else None
