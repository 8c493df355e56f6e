"""The MIME structure of a message by byte offsets, found in one pass (RFC 2046, RFC 2045).

`scan_structure` never raises and copies nothing but header sections. Its time is proportional to the message's
length: each boundary's next delimiter is searched once and remembered while inner parts are walked. Beyond the
limits (`Limits`) it stops looking: what is not taken apart any more is a leaf, and the structure says so.

Leniencies, as the standard library and Postfix: a header section ends at the first line that is no field; a
delimiter is a whole line (a longer boundary that begins like it is another one), white space behind it allowed; a
missing closing delimiter ends the multipart where its parent's next one is. Lines end with CRLF only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from posthouse.message.content_type import MESSAGE_RFC822, TEXT_PLAIN, ContentType, parse_content_type

# A whole header section in one match: fields with their continuation lines, no blank line needed at the end.
_HEADER = re.compile(rb"(?:[!-9;-~]++[ \t]*+:[^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+(?:\r\n|\Z))*+")
# The fields of RFC 2045 and its like that say something of a part: what is behind "Content-", and the value.
_CONTENT_FIELD = re.compile(
    rb"content-(type|transfer-encoding|id|description|disposition|md5|language|location)[ \t]*+:"
    rb"([^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+)",
    re.IGNORECASE,
)
_MAX_REMEMBERED = 200  # octets of a header section
_MAX_CONTENT_FIELDS = 100  # of one entity; more are not looked at
_DELIMITER_REST = re.compile(rb"(--)?[ \t]*(?:\r\n|\Z)")
_MAX_BOUNDARY = 200  # RFC 2046 §5.1.1 says 70
_NO_FIELDS: Mapping[bytes, bytes] = MappingProxyType({})
_ContentFields = tuple[Mapping[bytes, bytes], ContentType | None, str]
_IDENTITY = frozenset({"", "7bit", "8bit", "binary"})
_MESSAGES = frozenset({"rfc822", "global", "news"})


@dataclass(frozen=True, slots=True)
class Limits:
    """`false_delimiters`: lines that begin like a delimiter and are none, in the whole message."""

    depth: int = 100
    parts: int = 10_000
    false_delimiters: int = 100_000


class Part:
    """One entity: fields `start:fields_end`, body `body:end`, between them the blank line when there is one.

    `encoding` is the Content-Transfer-Encoding in lower case, "" when there is no such field. `children` are the
    parts of a multipart, or the one message inside message/rfc822. `fields` has the first value of each Content-*
    field that says something of the part, as it stands there, by what is behind "content-" in lower case.
    """

    __slots__ = (
        "body",
        "boundary",
        "children",
        "content_type",
        "depth",
        "encoding",
        "end",
        "fields",
        "fields_end",
        "start",
    )

    def __init__(self, start: int, depth: int) -> None:
        self.start = self.fields_end = self.body = self.end = start
        self.depth = depth
        self.content_type: ContentType = TEXT_PLAIN
        self.encoding = ""
        self.boundary = b""
        self.children: list[Part] = []
        self.fields = _NO_FIELDS

    @property
    def is_multipart(self) -> bool:
        """It has a boundary, whether parts were found or not."""
        return bool(self.boundary)

    def walk(self) -> Iterator[Part]:
        """This part and all below it, in the order of the message."""
        waiting = [self]
        while waiting:
            part = waiting.pop()
            yield part
            waiting.extend(reversed(part.children))


@dataclass(frozen=True, slots=True)
class Structure:
    """`root` is the message itself. `is_truncated`: a limit was reached and some leaves may be more than leaves."""

    root: Part
    count: int
    is_truncated: bool


DEFAULT_LIMITS = Limits()


def scan_structure(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Structure:
    """Find all parts of a message."""
    return _Scan(data, limits).run()


class _Level:
    """An open multipart. `at` is the CRLF before its next delimiter; -1: none left; -2: not searched yet."""

    __slots__ = ("at", "closes", "next_line", "part", "pattern")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.pattern = b"\r\n--" + part.boundary
        self.at = -2
        self.closes = False
        self.next_line = 0


class _Scan:
    def __init__(self, data: bytes, limits: Limits) -> None:
        self._data, self._limits = data, limits
        self._levels: list[_Level] = []
        self._open: list[Part] = []  # entities whose end is not known yet, outermost first
        self._position = 0  # the line behind the last delimiter or header section
        self._count = 0
        self._false = 0
        self._is_truncated = False
        self._known: _Level | None = None  # the nearest level, when that is known already

    def run(self) -> Structure:
        root = self._enter(0, None)
        while (level := self._known or self._nearest()) is not None:
            if self._count >= self._limits.parts:
                self._is_truncated = True
                break
            self._known = None
            self._close_above(level)
            if level.closes:
                self._levels.pop()
                self._position = level.next_line
            else:
                self._enter(level.next_line, level.part)
        for part in self._open:
            part.end = len(self._data)
        return Structure(root, self._count, self._is_truncated)

    def _nearest(self) -> _Level | None:
        """The level whose delimiter comes first; the innermost of equals.

        Each level looks no further than the next delimiter outside it, and never twice at the same octets: so the
        whole costs the length of the message times the depth at most.
        """
        best: _Level | None = None
        stop = len(self._data)
        start = self._position - 2  # the CRLF before a delimiter may be the end of a header section or delimiter
        for level in self._levels:
            if level.at < start and level.at != -1:
                self._search(level, start, stop)
            if level.at >= 0:
                best, stop = level, level.at
        return best

    def _search(self, level: _Level, start: int, stop: int) -> None:
        data, pattern = self._data, level.pattern
        last = min(stop + len(pattern), len(data))
        at = data.find(pattern, start, last)
        while at >= 0:
            rest = _DELIMITER_REST.match(data, at + len(pattern))
            if rest is not None:
                level.at, level.closes, level.next_line = at, rest[1] is not None, rest.end()
                return
            self._false += 1
            if self._false > self._limits.false_delimiters:
                self._is_truncated = True
                break
            at = data.find(pattern, at + len(pattern), last)
        level.at = -1

    def _close_above(self, level: _Level) -> None:
        """Everything inside the level's multipart ends at its delimiter."""
        while self._levels[-1] is not level:
            self._levels.pop()
        end, depth = level.at, level.part.depth
        while self._open[-1].depth > depth:
            part = self._open.pop()
            # A part that begins with the delimiter's own CRLF takes what it lies in along.
            end = part.end = max(end, part.body)

    def _enter(self, start: int, parent: Part | None) -> Part:
        """Read the entity that begins at `start`, and the message in it as long as it is message/rfc822."""
        self._position = start
        nearest = self._nearest()
        limit = len(self._data) if nearest is None else nearest.at
        depth = len(self._levels)
        first = part = self._read_entity(start, limit, parent)
        while self._may_descend(part):
            part = self._read_entity(part.body, limit, part)
        self._position = part.body
        if nearest is not None and len(self._levels) == depth and nearest.at >= part.body - 2:
            self._known = nearest
        return first

    def _read_entity(self, start: int, limit: int, parent: Part | None) -> Part:
        part = Part(start, parent.depth + 1 if parent is not None else 0)
        self._count += 1
        self._open.append(part)
        if parent is not None:
            parent.children.append(part)
            if parent.content_type.sub == "digest":  # RFC 2046 §5.1.5
                part.content_type = MESSAGE_RFC822
        self._read_header(part, limit)
        boundary = part.content_type.params.get("boundary") if part.content_type.main == "multipart" else None
        if boundary:
            self._open_multipart(part, boundary)
        return part

    def _read_header(self, part: Part, limit: int) -> None:
        data, start = self._data, part.start
        found = _HEADER.match(data, start, max(limit, start))
        end = found.end() if found is not None else start
        part.fields_end = end
        # The blank line, unless its CRLF belongs to a delimiter.
        part.body = end + 2 if end + 2 <= limit and data.startswith(b"\r\n", end) else end
        if end == start:
            return
        head = data[start:end]
        part.fields, content_type, part.encoding = (
            _remember_header(head) if end - start <= _MAX_REMEMBERED else _read_content_fields(head)
        )
        if content_type is not None:
            part.content_type = content_type

    def _open_multipart(self, part: Part, boundary: str) -> None:
        octets = boundary.encode("latin-1", "replace").rstrip()
        if not 0 < len(octets) <= _MAX_BOUNDARY:
            return
        if part.depth >= self._limits.depth:
            self._is_truncated = True
            return
        part.boundary = octets
        self._levels.append(_Level(part))

    def _may_descend(self, part: Part) -> bool:
        kind = part.content_type
        if kind.main != "message" or kind.sub not in _MESSAGES or part.encoding not in _IDENTITY:
            return False
        if part.depth >= self._limits.depth or self._count >= self._limits.parts:
            self._is_truncated = True
            return False
        return True


def _read_content_fields(head: bytes) -> _ContentFields:
    lower = b"\r\n" + head.lower()
    fields: dict[bytes, bytes] = {}
    at = lower.find(b"\r\ncontent-")
    seen = 0
    while at >= 0 and seen < _MAX_CONTENT_FIELDS:
        found = _CONTENT_FIELD.match(head, at)
        if found is not None:
            fields.setdefault(found[1].lower(), found[2])
        seen += 1
        at = lower.find(b"\r\ncontent-", at + 10)
    value = fields.get(b"type")
    encoding = fields.get(b"transfer-encoding", b"").strip(b" \t\r\n").lower().decode("latin-1")
    return fields, None if value is None else parse_content_type(value), encoding


# Mail programs write the same few headers above their text parts again and again. What is remembered is never changed.
_remember_header = lru_cache(maxsize=512)(_read_content_fields)
