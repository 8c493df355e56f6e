"""A body as it is put together: parts with their header lines and content, written as octets (RFC 2045, RFC 2046).

Encodings are chosen by content: text that may go as it is does, other text is quoted-printable or base64, files are
base64, messages stay as they are (RFC 2046 §5.2.1). No line is above 998 octets but in a message that has such. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from posthouse.message.encodings import encode_base64, encode_quoted_printable, is_line_text
from posthouse.message.header import MAX_LINE_OCTETS

_BASE64, _QUOTED, _7BIT, _8BIT = b"base64", b"quoted-printable", b"7bit", b"8bit"


@dataclass(slots=True)
class Composed:
    """`lines`: header lines of the part, with neither encoding nor boundary. `content` None: a multipart."""

    type: str
    lines: list[bytes] = field(default_factory=list)
    content: bytes | None = None
    encoding: bytes = b""
    children: list[Composed] = field(default_factory=list)
    cid: str = ""
    disposition: str = ""

    def walk(self) -> Iterator[Composed]:
        yield self
        for child in self.children:
            yield from child.walk()


def encode_text(text: str) -> tuple[bytes, bytes]:
    """Content and encoding of text in UTF-8, lines ending as they like."""
    octets = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode("utf-8", "replace")
    return _encode_lines(octets)


def _encode_lines(octets: bytes) -> tuple[bytes, bytes]:
    """Of text that is_line_text, or has NULs in it."""
    if octets.isascii() and is_line_text(octets) and max(map(len, octets.split(b"\r\n"))) <= MAX_LINE_OCTETS:
        return octets, _7BIT
    others = octets.count(b"=") + len(octets) - len(octets.decode("ascii", "ignore"))
    if others * 6 > len(octets) or b"\x00" in octets:
        return encode_base64(octets), _BASE64
    return encode_quoted_printable(octets), _QUOTED


def encode_blob(octets: bytes, kind: str) -> tuple[bytes, bytes]:
    """Of a blob of that type, which comes out as the very same octets but for the line ends of a message."""
    main, _, sub = kind.partition("/")
    if main == "message" and sub in ("rfc822", "global", "delivery-status", "disposition-notification"):
        if not is_line_text(octets):
            octets = octets.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        return octets, _7BIT if octets.isascii() else _8BIT
    if main == "text" and is_line_text(octets):
        return _encode_lines(octets)
    return encode_base64(octets), _BASE64


def write_message(root: Composed, lines: Sequence[bytes], token: str) -> bytes:
    """`lines`: header lines of the message. `token`: what boundaries are made of, nothing that could be guessed."""
    mark = _find_mark(root, token)
    pieces: list[bytes] = list(lines)
    _write_part(root, f"=_{mark}", pieces)
    return b"".join(pieces)


def _find_mark(root: Composed, token: str) -> str:
    """What occurs in no content. Encoded ones cannot have it: behind "=" comes no "_"."""
    plain = [part.content for part in root.walk() if part.content is not None and part.encoding in (_7BIT, _8BIT)]
    mark = token
    while any(mark.encode("ascii") in content for content in plain):
        mark += "x"
    return mark


def _write_part(part: Composed, boundary: str, pieces: list[bytes]) -> None:
    pieces += part.lines
    if part.content is not None:
        pieces += (b"Content-Transfer-Encoding: ", part.encoding, b"\r\n\r\n", part.content)
        return
    pieces.append(b'Content-Type: %b;\r\n boundary="%b"\r\n' % (part.type.encode("ascii"), boundary.encode("ascii")))
    if any(inner.encoding == _8BIT for inner in part.walk()):
        pieces.append(b"Content-Transfer-Encoding: 8bit\r\n")
    delimiter = f"--{boundary}".encode("ascii")
    for number, child in enumerate(part.children):
        pieces += (b"\r\n", delimiter, b"\r\n")
        _write_part(child, f"{boundary}_{number}", pieces)
    pieces += (b"\r\n", delimiter, b"--\r\n")
