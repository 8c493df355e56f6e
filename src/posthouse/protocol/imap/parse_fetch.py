"""The items of FETCH: RFC 9051 §6.4.5, BINARY of RFC 3516, and those of RFC 7162, RFC 8474, RFC 8514, RFC 8970."""

from __future__ import annotations

import re

from posthouse.protocol.imap.reader import MAX_NUMBER64, Reader, SyntaxProblem
from posthouse.protocol.imap.values import Attribute, Binary, FetchItem, Section, Text

_ITEM = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"([1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,8}){0,60})")
_ATOM = re.compile(rb'[^\x00-\x20\x7f-\xff(){%*"\\\]]+')
_FIELD = re.compile(rb"[!-9;-~]{1,1000}")
_PARTIAL = re.compile(rb"<([0-9]{1,19})\.([1-9][0-9]{0,18})>")
_TEXT = re.compile(rb"HEADER(?:\.FIELDS(?:\.NOT)?)?|TEXT|MIME", re.IGNORECASE)

_FAST = (Attribute.FLAGS, Attribute.INTERNALDATE, Attribute.SIZE)
_MACROS: dict[str, tuple[FetchItem, ...]] = {
    "FAST": _FAST,
    "ALL": (*_FAST, Attribute.ENVELOPE),
    "FULL": (*_FAST, Attribute.ENVELOPE, Attribute.BODY),
}
_OLD: dict[str, FetchItem] = {
    "RFC822": Section(name=b"RFC822"),
    "RFC822.HEADER": Section(text=Text.HEADER, is_peek=True, name=b"RFC822.HEADER"),
    "RFC822.TEXT": Section(text=Text.TEXT, name=b"RFC822.TEXT"),
}
_PLAIN: dict[str, FetchItem] = {item.value: item for item in Attribute if item is not Attribute.PREVIEW_LAZY} | _OLD
_SECTIONS = frozenset({"BODY", "BODY.PEEK", "BINARY", "BINARY.PEEK", "BINARY.SIZE"})


def parse_items(reader: Reader) -> tuple[FetchItem, ...]:
    """A macro, one item, or a list of them; each once."""
    if reader.has(b"("):
        return tuple(dict.fromkeys(reader.listed(lambda: _item(reader), may_be_empty=False)))
    found = reader.match(_ITEM)
    if found is None:
        reader.fail("an item of FETCH")
    name = found[0].decode("ascii").upper()
    return _MACROS[name] if name in _MACROS else (_named(reader, name),)


def _item(reader: Reader) -> FetchItem:
    found = reader.match(_ITEM)
    if found is None:
        reader.fail("an item of FETCH")
    return _named(reader, found[0].decode("ascii").upper())


def _named(reader: Reader, name: str) -> FetchItem:
    if name in _SECTIONS and reader.accept(b"["):
        return _section(reader, name) if name.startswith("BODY") else _binary(reader, name)
    item = _PLAIN.get(name)
    if item is None:
        raise SyntaxProblem(f"FETCH has no item {name[:40]}")
    if item is Attribute.PREVIEW and reader.accept(b" ("):
        if not reader.accept_word(b"LAZY"):
            reader.fail("LAZY")
        reader.expect(b")")
        return Attribute.PREVIEW_LAZY
    return item


def _section(reader: Reader, name: str) -> Section:
    part = _part(reader)
    text, fields = Text.ALL, b""
    if part and not reader.has(b"]"):
        reader.expect(b".")
    if not reader.has(b"]"):
        text = _text(reader, part)
    names: tuple[bytes, ...] = ()
    if text in (Text.FIELDS, Text.FIELDS_NOT):
        reader.space()
        given = reader.listed(lambda: _field(reader), may_be_empty=False)
        names = tuple(dict.fromkeys(field.lower() for field in given))
        fields = b" (%b)" % b" ".join(_write_name(field) for field in given)
    reader.expect(b"]")
    start, count = _partial(reader)
    written = b".".join(piece for piece in (part.encode("ascii"), text.value.encode("ascii")) if piece)
    return Section(part, text, names, start, count, name == "BODY.PEEK", b"BODY[%b%b]" % (written, fields))


def _field(reader: Reader) -> bytes:
    """The response repeats it, so only what RFC 5322 §3.6.8 allows."""
    found = reader.match(_ATOM)
    field = found[0] if found is not None else reader.string_octets("the name of a field")
    if _FIELD.fullmatch(field) is None:
        raise SyntaxProblem("No field has such a name")
    return field


def _write_name(field: bytes) -> bytes:
    if _ATOM.fullmatch(field) is not None:
        return field
    return b'"%b"' % field.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


def _text(reader: Reader, part: str) -> Text:
    found = reader.match(_TEXT)
    if found is None:
        reader.fail("HEADER, TEXT, MIME or a part")
    text = Text(found[0].decode("ascii").upper())
    if text is Text.MIME and not part:
        raise SyntaxProblem("MIME is of a part")
    return text


def _part(reader: Reader) -> str:
    found = reader.match(_PART)
    return found[0].decode("ascii") if found is not None else ""


def _partial(reader: Reader) -> tuple[int | None, int]:
    if not reader.has(b"<"):
        return None, 0
    found = reader.match(_PARTIAL)
    if found is None or int(found[1]) > MAX_NUMBER64:
        reader.fail("a partial like <0.1024>")
    return int(found[1]), min(int(found[2]), MAX_NUMBER64)


def _binary(reader: Reader, name: str) -> Binary:
    part = _part(reader)
    reader.expect(b"]")
    if name == "BINARY.SIZE":
        return Binary(part, is_size=True)
    start, count = _partial(reader)
    return Binary(part, start, count, is_peek=name == "BINARY.PEEK")
