"""A message out of an Email/set create (RFC 8621 §4.6). Pure.

    list_blobs(record)                      which blobs it is made of
    compose_email(record, blobs, stamp)     the message in CRLF form; raises RecordRefused

Raises invalidProperties with the paths of what must not be, or blobNotFound with the ids. What it makes is a message of
RFC 5322 and RFC 2045 whose properties, read by emails.py, are those that were given. `mailboxIds`, `keywords` and
`receivedAt` are for others to read; they are passed over here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote as percent_encode

from posthouse.access.jmap.composing_fields import Wrong, check_text, format_zoned, quote, write_fields
from posthouse.access.jmap.composing_parts import Composed, encode_blob, encode_text, write_message
from posthouse.access.jmap.header_forms import CONVENIENT, BadProperty, HeaderProperty, parse_header_property
from posthouse.message.header import make_field
from posthouse.protocol.jmap.errors import blobs_not_found, invalid_properties
from posthouse.protocol.jmap.json import JsonObject

_OTHERS = frozenset({"mailboxIds", "keywords", "receivedAt"})
_BODY = frozenset({"bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"})
_LISTS = ("textBody", "htmlBody", "attachments")
_PART = frozenset(
    {"partId", "blobId", "size", "name", "type", "charset", "disposition", "cid", "language", "location", "subParts"}
)
# Which field each of these is: no field may come twice (RFC 8621 §4.6).
_FIELD_OF = {
    "name": ("content-disposition", "content-type"),
    "type": ("content-type",),
    "charset": ("content-type",),
    "disposition": ("content-disposition",),
    "cid": ("content-id",),
    "language": ("content-language",),
    "location": ("content-location",),
}
_LETTERS = r"[A-Za-z0-9!#$&^_.+-]{1,127}"
_TYPE = re.compile(rf"{_LETTERS}/{_LETTERS}", re.ASCII)
_WORD = re.compile(_LETTERS, re.ASCII)
_CID = re.compile(r"[^\x00-\x20\x7f-\U0010ffff<>]{1,900}")
_LOCATION = re.compile(r"[!-~]{1,900}", re.ASCII)
_LANGUAGE = re.compile(r"[A-Za-z0-9-]{1,100}", re.ASCII)
MAX_PARTS = 1000


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a message gets that brings none. `message_id` without brackets; `token`: letters and digits, random."""

    now: float
    message_id: str
    token: str
    zone_minutes: int = 0


def list_blobs(record: Mapping[str, object]) -> list[str]:
    """The ids of all blobs that the record names, each once; of a record that is not well made, perhaps not all."""
    found: dict[str, None] = {}
    waiting: list[object] = [record.get("bodyStructure")]
    for name in _LISTS:
        listed = record.get(name)
        waiting += listed if isinstance(listed, list) else []
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if isinstance(part.get("blobId"), str):
                found[part["blobId"]] = None
            below = part.get("subParts")
            waiting += below if isinstance(below, list) else []
    return list(found)


def compose_email(record: Mapping[str, object], blobs: Mapping[str, bytes], stamp: Stamp) -> bytes:
    """`blobs`: those of `list_blobs` that there are. Raises RecordRefused."""
    composer = _Composer(blobs, record.get("bodyValues"))
    lines, names = composer.read_header(record)
    root = composer.read_body(record, names)
    composer.finish()
    if "date" not in names:
        lines.append(make_field("Date", format_zoned(stamp.now, stamp.zone_minutes)))
    if "message-id" not in names:
        lines.append(make_field("Message-ID", f"<{stamp.message_id}>"))
    if "mime-version" not in names:
        lines.append(b"MIME-Version: 1.0\r\n")
    return write_message(root, lines, stamp.token)


class _Composer:
    """Collects what is wrong, so that all of it is told at once."""

    def __init__(self, blobs: Mapping[str, bytes], values: object) -> None:
        self._blobs = blobs
        self._wrong: dict[str, str] = {}  # path: why
        self._missing: dict[str, None] = {}
        self._values = self._read_values(values)
        self._count = 0

    def finish(self) -> None:
        """Raises RecordRefused."""
        if self._wrong:
            raise invalid_properties(list(self._wrong), next(iter(self._wrong.values())))
        if self._missing:
            raise blobs_not_found(list(self._missing))

    # -- header

    def read_header(self, record: Mapping[str, object]) -> tuple[list[bytes], set[str]]:
        """The lines of all header fields that the email itself has, and their names in lower case."""
        lines: list[bytes] = []
        names: set[str] = set()
        for name, value in record.items():
            if name in _OTHERS or name in _BODY:
                continue
            wanted = CONVENIENT.get(name) or self._find_property(name, name)
            if wanted is not None and wanted.name.lower().startswith("content-"):
                self._refuse(name, "Fields of content belong to a part")
            elif wanted is not None:
                lines += self._write_field(wanted, value, name, names)
        return lines, names

    def _find_property(self, name: str, path: str) -> HeaderProperty | None:
        try:
            return parse_header_property(name)
        except BadProperty as problem:
            self._refuse(path, str(problem))
            return None

    def _write_field(self, wanted: HeaderProperty, value: object, path: str, names: set[str]) -> list[bytes]:
        """`names`: of the fields there are already, to which it is added."""
        if value is None:
            return []
        if wanted.name.lower() in names:
            self._refuse(path, "A header field may be given once")
            return []
        names.add(wanted.name.lower())
        try:
            return write_fields(wanted, value)
        except Wrong as problem:
            self._refuse(path, str(problem))
            return []

    def _refuse(self, path: str, reason: str) -> None:
        self._wrong.setdefault(path, reason)

    # -- body

    def _read_values(self, values: object) -> dict[str, str]:
        found: dict[str, str] = {}
        if values is None:
            return found
        if not isinstance(values, dict):
            self._refuse("bodyValues", "It is an object")
            return found
        for part_id, value in values.items():
            if self._is_value(value):
                found[part_id] = value["value"]
            else:
                self._refuse(f"bodyValues/{part_id}", "It has a value, neither truncated nor with an encoding problem")
        return found

    def _is_value(self, value: object) -> bool:
        if not isinstance(value, dict) or not isinstance(value.get("value"), str):
            return False
        flags = [flag for name, flag in value.items() if name != "value"]
        return value.keys() <= {"value", "isEncodingProblem", "isTruncated"} and not any(f is not False for f in flags)

    def read_body(self, record: Mapping[str, object], names: set[str]) -> Composed:
        """`names`: of the message's fields, which the outermost part must not have again."""
        structure = record.get("bodyStructure")
        if structure is None:
            return self._read_lists(record)
        for name in _LISTS:
            if record.get(name) is not None:
                self._refuse(name, "It does not go with bodyStructure")
        return self._read_part(structure, "bodyStructure", "", names)

    def _read_lists(self, record: Mapping[str, object]) -> Composed:
        text = self._read_list(record, "textBody", "text/plain")
        page = self._read_list(record, "htmlBody", "text/html")
        attached = self._read_list(record, "attachments", "")
        for part in attached:
            if not part.disposition:
                part.disposition = "inline" if part.cid and page else "attachment"
                part.lines.append(b"Content-Disposition: %b\r\n" % part.disposition.encode("ascii"))
        related = [part for part in attached if page and part.cid and part.disposition == "inline"]
        if related:
            page = [Composed("multipart/related", children=[*page, *related])]
        body = [*text, *page]
        if len(body) > 1:
            body = [Composed("multipart/alternative", children=body)]
        parts = body + [part for part in attached if part not in related]
        if len(parts) == 1 and (body or not attached):
            return parts[0]
        return Composed("multipart/mixed", children=parts) if parts else _make_empty()

    def _read_list(self, record: Mapping[str, object], name: str, kind: str) -> list[Composed]:
        """`kind`: the one that its one part has; "": any parts."""
        listed = record.get(name)
        if listed is None:
            return []
        if not isinstance(listed, list) or (kind and len(listed) != 1):
            self._refuse(name, f"It has one part, of {kind}" if kind else "It is a list of parts")
            return []
        parts = [self._read_part(part, f"{name}/{number}", kind, set()) for number, part in enumerate(listed)]
        if kind and parts[0].type != kind:
            self._refuse(f"{name}/0/type", f"It is {kind}")
        return parts

    def _read_part(self, value: object, path: str, kind: str, names: set[str]) -> Composed:
        """`kind`: its type where it says none. `names` as in `_write_field`."""
        part = Composed("text/plain")
        self._count += 1
        if not isinstance(value, dict) or self._count > MAX_PARTS:
            self._refuse(path, "It is a part, and there are not too many")
            return part
        lines = self._read_part_header(value, path, names)
        part.type = self._read_type(value, path, kind)
        part.lines = lines
        if part.type.startswith("multipart/"):
            part.children = self._read_children(value, path)
        else:
            part.lines = [*self._write_type(part.type, value, path, names), *lines]
            part.content, part.encoding = self._read_content(value, path, part.type)
        part.cid, part.disposition = _text_of(value, "cid"), _text_of(value, "disposition")
        return part

    def _read_part_header(self, value: JsonObject, path: str, names: set[str]) -> list[bytes]:
        lines: list[bytes] = []
        for name, given in value.items():
            where = f"{path}/{name}"
            if name in _PART or given is None:
                continue
            wanted = self._find_property(name, where)
            if wanted is None:
                continue
            if wanted.name.lower() in ("content-transfer-encoding", "content-type"):
                self._refuse(where, "It is ours to say")
            else:
                lines += self._write_field(wanted, given, where, names)
        for name, fields in _FIELD_OF.items():
            if value.get(name) is not None and names.intersection(fields[:1]):
                self._refuse(f"{path}/{name}", "A header field may be given once")
        return lines + self._write_described(value, path)

    def _write_described(self, value: JsonObject, path: str) -> list[bytes]:
        """Content-Disposition, Content-ID, Content-Language, Content-Location."""
        lines: list[bytes] = []
        disposition = self._check(value, path, "disposition", _WORD)
        name = self._read_name(value, path)
        if disposition:
            lines.append(_make_structured("Content-Disposition", disposition.lower(), [("filename", name)]))
        if cid := self._check(value, path, "cid", _CID):
            lines.append(make_field("Content-ID", f"<{cid}>"))
        if location := self._check(value, path, "location", _LOCATION):
            lines.append(make_field("Content-Location", location))
        languages = value.get("language")
        if languages is not None:
            if isinstance(languages, list) and all(isinstance(t, str) and _LANGUAGE.fullmatch(t) for t in languages):
                lines.append(make_field("Content-Language", ", ".join(languages)))
            else:
                self._refuse(f"{path}/language", "It is a list of language tags")
        return lines

    def _check(self, value: JsonObject, path: str, name: str, pattern: re.Pattern[str]) -> str:
        given = value.get(name)
        if given is None:
            return ""
        if isinstance(given, str) and pattern.fullmatch(given):
            return given
        self._refuse(f"{path}/{name}", "It cannot be that")
        return ""

    def _read_name(self, value: JsonObject, path: str) -> str:
        given = value.get("name")
        try:
            return "" if given is None else check_text(given)
        except Wrong as problem:
            self._refuse(f"{path}/name", str(problem))
            return ""

    def _read_type(self, value: JsonObject, path: str, kind: str) -> str:
        if value.get("type") is not None:
            return self._check(value, path, "type", _TYPE).lower() or "text/plain"
        if value.get("subParts") is not None:
            return "multipart/mixed"
        return kind or ("text/plain" if value.get("blobId") is None else "application/octet-stream")

    def _write_type(self, kind: str, value: JsonObject, path: str, names: set[str]) -> list[bytes]:
        charset = self._check(value, path, "charset", _WORD)
        if value.get("partId") is not None:
            if charset:
                self._refuse(f"{path}/charset", "It does not go with a partId")
            charset = "utf-8"
        return [_make_structured("Content-Type", kind, [("charset", charset), ("name", self._read_name(value, path))])]

    def _read_children(self, value: JsonObject, path: str) -> list[Composed]:
        for name in ("partId", "blobId", "charset"):
            if value.get(name) is not None:
                self._refuse(f"{path}/{name}", "A multipart has none")
        parts = value.get("subParts")
        if not isinstance(parts, list) or not parts:
            self._refuse(f"{path}/subParts", "A multipart has parts")
            return []
        return [self._read_part(part, f"{path}/subParts/{number}", "", set()) for number, part in enumerate(parts)]

    def _read_content(self, value: JsonObject, path: str, kind: str) -> tuple[bytes, bytes]:
        part_id, blob = value.get("partId"), value.get("blobId")
        if value.get("subParts"):
            self._refuse(f"{path}/subParts", "Only a multipart has parts")
        if (part_id is None) == (blob is None):
            self._refuse(f"{path}/partId", "It has either a partId or a blobId")
        elif isinstance(part_id, str) and part_id in self._values and kind.startswith("text/"):
            if value.get("size") is not None:
                self._refuse(f"{path}/size", "It does not go with a partId")
            return encode_text(self._values[part_id])
        elif part_id is not None:
            self._refuse(f"{path}/partId", "It names no text of bodyValues")
        elif not isinstance(blob, str):
            self._refuse(f"{path}/blobId", "It is an id")
        elif blob in self._blobs:
            return encode_blob(self._blobs[blob], kind)
        else:
            self._missing[blob] = None
        return b"", b"7bit"


def _make_empty() -> Composed:
    return Composed(
        "text/plain", [_make_structured("Content-Type", "text/plain", [("charset", "utf-8")])], b"", b"7bit"
    )


def _text_of(value: JsonObject, name: str) -> str:
    given = value.get(name)
    return given.lower() if isinstance(given, str) else ""


def _make_structured(name: str, value: str, parameters: Sequence[tuple[str, str]]) -> bytes:
    """A field with parameters, those without a value left out; what is not ASCII as RFC 2231 §4 has it."""
    pieces = [value]
    for key, text in parameters:
        if text.isascii() and len(text) <= 200 and "=?" not in text:
            pieces += [f"{key}={text if _WORD.fullmatch(text) else quote(text)}"] if text else []
        else:
            pieces += _continue_parameter(key, percent_encode(text, safe="", errors="replace"))
    return make_field(name, "; ".join(pieces))


def _continue_parameter(key: str, encoded: str) -> list[str]:
    """RFC 2231 §3 and §4; a piece does not end within an escape, nor need it end with a character."""
    units = re.findall(r"(?:%[0-9A-F]{2}|[^%]){1,20}", encoded)
    if len(units) == 1:
        return [f"{key}*=utf-8''{units[0]}"]
    units[0] = f"utf-8''{units[0]}"
    return [f"{key}*{number}*={unit}" for number, unit in enumerate(units)]
