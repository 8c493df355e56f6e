"""What an IMAP server answers, cut into responses (RFC 9051 §7): the reading side of a client. Sans-IO.

`receive` takes octets as they come, `next_response` gives a whole response or None. A literal (RFC 9051 §4.3) comes as
one octet string; one longer than `max_literal` is passed over as it arrives and stands as TOO_LONG. Lines are bounded
before they are kept. Trusts nothing: what is no IMAP raises ResponseError, in time proportional to its length.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

MAX_LINE = 16 << 20  # a SEARCH of more than a million UIDs
_MAX_DEPTH = 50
_LITERAL_AT_END = re.compile(rb"~?\{(\d{1,19})\+?\}\Z")
# An atom may hold a section as in BODY[HEADER.FIELDS (DATE)]<0>.
_TOKEN = re.compile(
    rb' *(?:(?P<open>\()|(?P<close>\))|"(?P<quoted>(?:[^"\\\r\n]|\\[^\r\n])*)"'
    rb'|(?P<atom>[^\s()"\[\]]*\[[^\]\r\n]{0,1000}\](?:<\d+>)?|[^\s()"]+))'
)
_ESCAPE = re.compile(rb"\\(.)")
_STATUS = frozenset({b"OK", b"NO", b"BAD", b"BYE", b"PREAUTH"})


class ResponseError(Exception):
    """The server does not speak IMAP as we know it."""


class _TooLong(bytes):
    __slots__ = ()


TOO_LONG: Final = _TooLong(b"")
Item = bytes | None | list["Item"]


@dataclass(slots=True)
class Response:
    """`tag` is "*", "+" or ours. `kind` in upper case: OK, FETCH, LIST ... `number` stands before some kinds.

    `text` is what follows the kind of a status response or "+"; `items` are the tokens of any other. Atoms are octets,
    NIL is None.
    """

    tag: bytes
    kind: bytes = b""
    number: int = 0
    text: bytes = b""
    items: list[Item] | None = None


class ResponseReader:
    def __init__(self, max_literal: int) -> None:
        self._max_literal = max_literal
        self._buffer = bytearray()
        self._searched = 0
        self._pieces: list[bytes] = []  # lines and literals in turn
        self._gathered = 0
        self._wanted = -1  # octets of a literal still to come
        self._skipped = 0  # of those, to be passed over

    def receive(self, data: bytes) -> None:
        self._buffer += data

    def next_response(self) -> Response | None:
        """Raises ResponseError."""
        while True:
            if self._wanted >= 0:
                if not self._take_literal():
                    return None
                continue
            line = self._take_line()
            if line is None:
                return None
            self._pieces.append(line)
            literal = _LITERAL_AT_END.search(line)
            if literal is None:
                pieces, self._pieces, self._gathered = self._pieces, [], 0
                return parse_response(pieces)
            self._pieces[-1] = line[: literal.start()]
            self._wanted = int(literal[1])
            self._skipped = self._wanted if self._wanted > self._max_literal else 0

    def _take_line(self) -> bytes | None:
        end = self._buffer.find(b"\n", self._searched)
        if end < 0:
            self._searched = len(self._buffer)
        if self._gathered + (end if end >= 0 else len(self._buffer)) > MAX_LINE:
            raise ResponseError("response is too long")
        if end < 0:
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        self._searched = 0
        self._gathered += len(line)
        return line

    def _take_literal(self) -> bool:
        if self._skipped:
            count = min(self._skipped, len(self._buffer))
            del self._buffer[:count]
            self._skipped -= count
            if self._skipped:
                return False
            self._pieces.append(TOO_LONG)
        elif len(self._buffer) < self._wanted:
            return False
        else:
            self._pieces.append(bytes(self._buffer[: self._wanted]))
            del self._buffer[: self._wanted]
        self._wanted = -1
        return True


def parse_response(pieces: list[bytes]) -> Response:
    """`pieces`: lines without their ends, at even places, and the literals between them."""
    tag, _, rest = pieces[0].partition(b" ")
    if tag == b"+":
        return Response(tag, text=rest)
    kind, _, after = rest.partition(b" ")
    number = 0
    if kind.isdigit() and len(kind) <= 20:
        number = int(kind)
        kind, _, after = after.partition(b" ")
    kind = kind.upper()
    if not tag or not kind:
        raise ResponseError(f"no IMAP response: {pieces[0][:100]!r}")
    if kind in _STATUS:
        return Response(tag, kind, number, text=after)
    return Response(tag, kind, number, items=parse_items([after, *pieces[1:]]))


def parse_items(pieces: list[bytes]) -> list[Item]:
    top: list[Item] = []
    stack = [top]
    for number, piece in enumerate(pieces):
        if number % 2:
            stack[-1].append(piece)
        else:
            _parse_line(piece, stack)
    if len(stack) != 1:
        raise ResponseError("a parenthesis is not closed")
    return top


def _parse_line(line: bytes, stack: list[list[Item]]) -> None:
    position, end = 0, len(line.rstrip(b" "))
    while position < end:
        found = _TOKEN.match(line, position)
        if found is None:
            raise ResponseError(f"no IMAP: {line[position : position + 40]!r}")
        position = found.end()
        if found.lastgroup == "open":
            if len(stack) > _MAX_DEPTH:
                raise ResponseError("too many parentheses")
            inner: list[Item] = []
            stack[-1].append(inner)
            stack.append(inner)
        elif found.lastgroup == "close":
            if len(stack) == 1:
                raise ResponseError("a parenthesis too many")
            stack.pop()
        elif found.lastgroup == "quoted":
            stack[-1].append(_ESCAPE.sub(rb"\1", found["quoted"]))
        else:
            atom = found["atom"]
            stack[-1].append(None if atom.upper() == b"NIL" else atom)


def quote_string(value: bytes) -> bytes | None:
    """As a quoted string (RFC 9051 §4.3); None where only a literal will do."""
    if b"\r" in value or b"\n" in value or b"\0" in value or not value.isascii():
        return None
    return b'"' + value.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
