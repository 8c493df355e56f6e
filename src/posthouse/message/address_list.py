"""Address lists of header fields (RFC 5322 §3.4) with their obsolete forms, and what else senders write there.

`parse_addresses` never raises and takes time in proportion to the value. What it gives is what IMAP's ENVELOPE needs
(RFC 9051 §7.5.2): octets as they stand in the message, with quoting and comments taken away, nothing decoded; groups
as a start and an end. The form that nearly all addresses have is read by one pattern, the rest token by token.

Leniencies, each seen in mail: missing brackets or a missing closing one, ";" between addresses, names with dots,
commas inside encoded words, quotes that are never closed, more than one "@" (the last one counts), 8-bit octets
(RFC 6532 §3.2), a comment behind the address as its name.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from posthouse.message.encoded_words import decode_value

MAX_ADDRESSES = 2000
_MAX_VALUE = 262_144
_MAX_REMEMBERED = 400

# atext (RFC 5322 §3.2.3) and dots; 8-bit octets (RFC 6532 §3.2).
_ATOM = rb"[-!#$%&'*+./0-9=?A-Z^_`a-z{|}~\x80-\xff]++"
_SIMPLE = re.compile(
    rb"[ \t]*+(?:"
    rb'(?:"([^"\\\r\n]*+)"|(' + _ATOM + rb"(?:[ \t]++" + _ATOM + rb")*+))?[ \t]*+"
    rb"<(" + _ATOM + rb")@(" + _ATOM + rb")>|(" + _ATOM + rb")@(" + _ATOM + rb")"
    rb")[ \t]*+(?:,|\Z)"
)
_TOKEN = re.compile(
    rb"[ \t\r\n\x00]*+(?:"
    rb"(?P<word>=\?[^?\s]++\?[bBqQ]\?[^?\s]*+\?=|[^\s\x00()<>\[\]:;@\\,\"]++|\[[^\[\]\\]*+\])"
    rb'|"(?P<quoted>(?:[^"\\]++|\\.)*+)"'
    rb"|(?P<special>.)|\Z)",
    re.DOTALL,
)
_COMMENT = re.compile(rb"[()]|\\.", re.DOTALL)
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_SPACES = re.compile(rb"[ \t\r\n]+")
_FOLD = re.compile(rb"\r?\n(?=[ \t])")


class ListedAddress(NamedTuple):
    """An address of a list, or a mark: a group begins (`host` None, `mailbox` its name) or ends (both None).

    `host` is empty where the sender gave none. `name` and `route` None: not there.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None

    @property
    def address(self) -> str:
        """`local@domain` for people and comparison, without quoting; the mailbox alone without a host."""
        local = (self.mailbox or b"").decode("utf-8", "replace")
        return f"{local}@{self.host.decode('utf-8', 'replace')}" if self.host else local

    @property
    def display(self) -> str:
        """The name, decoded; else the address (RFC 5957 §3)."""
        return (decode_value(self.name) if self.name else "") or self.address


_OUTSIDE, _INSIDE, _ROUTE = 0, 1, 2  # of angle brackets; in the route of an obsolete address commas do not separate
_SEPARATORS = (b",", b";", b":")
GROUP_END = ListedAddress(None, None, None, None)


def parse_addresses(value: bytes, limit: int = MAX_ADDRESSES) -> tuple[ListedAddress, ...]:
    """All addresses and group marks of a field's value, `limit` at most; line breaks may still be in it."""
    if len(value) <= _MAX_REMEMBERED and limit == MAX_ADDRESSES:
        return _parse_remembered(value)
    return _parse(value[:_MAX_VALUE], limit)


@lru_cache(maxsize=1024)
def _parse_remembered(value: bytes) -> tuple[ListedAddress, ...]:
    return _parse(value, MAX_ADDRESSES)


def _parse(value: bytes, limit: int) -> tuple[ListedAddress, ...]:
    if b"\n" in value:
        value = _FOLD.sub(b"", value)
    found: list[ListedAddress] = []
    reader = _Reader(value)
    position, end = 0, len(value)
    while position < end and len(found) < limit:
        simple = _SIMPLE.match(value, position)
        if simple is not None:
            found.append(_take_simple(simple))
            position = simple.end()
        else:
            position = reader.read_one(position, found)
    if reader.is_in_group:
        found.append(GROUP_END)
    return tuple(found)


def _take_simple(found: re.Match[bytes]) -> ListedAddress:
    quoted, phrase, local, domain, bare_local, bare_domain = found.groups()
    if bare_local is not None:
        return ListedAddress(None, None, bare_local, bare_domain)
    name = phrase if phrase is not None else quoted
    if name is not None and (b"  " in name or b"\t" in name):
        name = _SPACES.sub(b" ", name)
    return ListedAddress(name or None, None, local, domain)


class _Reader:
    """The slow way: tokens up to the next separator, then sense is made of them."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self.is_in_group = False

    def read_one(self, position: int, found: list[ListedAddress]) -> int:
        """Read one address or mark at `position` into `found`; returns where the next one begins."""
        items: list[bytes | str] = []
        comments: list[bytes] = []
        stop = ""
        position = self._tokenize(position, items, comments)
        if position <= len(self._value) and items and items[-1] in (",", ";", ":"):
            stop = str(items.pop())
        if stop == ":":
            self._begin_group(items, found)
            return position
        if items or comments:
            address = _make_address(items, comments)
            if address is not None:
                found.append(address)
        if stop == ";" and self.is_in_group:
            found.append(GROUP_END)
            self.is_in_group = False
        return position

    def _begin_group(self, items: list[bytes | str], found: list[ListedAddress]) -> None:
        if self.is_in_group:  # groups do not nest: the one before ends here
            found.append(GROUP_END)
        found.append(ListedAddress(None, None, _join_phrase(items) or b"", None))
        self.is_in_group = True

    def _tokenize(self, position: int, items: list[bytes | str], comments: list[bytes]) -> int:
        """Words and specials up to the next separator, which is the last item then; returns where it goes on."""
        end = len(self._value)
        angle = _OUTSIDE
        while position < end:
            token = _TOKEN.match(self._value, position)
            if token is None:
                return end
            position = token.end()
            word, quoted, special = token.groups()
            if word is not None:
                items.append(word)
            elif quoted is not None:
                items.append(_ESCAPE.sub(rb"\1", quoted) if b"\\" in quoted else quoted)
            elif special == b"(":
                position = self._skip_comment(position, comments)
            elif special in _SEPARATORS:
                is_stop = _is_stop(special, items, angle)
                items.append(special.decode("ascii") if is_stop or angle else special)
                if is_stop:
                    return position
                angle = _INSIDE if special == b":" and angle else angle
            elif special is not None:
                angle = self._take_special(special, position, items, angle)
        return position

    def _take_special(self, special: bytes, position: int, items: list[bytes | str], angle: int) -> int:
        if special in (b"<", b">", b"@"):
            items.append(special.decode("ascii"))
        if special == b"<":
            return _ROUTE if self._value.startswith(b"@", position) else _INSIDE
        if special == b'"':
            self._forget(special, position)
        return _OUTSIDE if special == b">" else angle

    def _skip_comment(self, position: int, comments: list[bytes]) -> int:
        """Behind the comment whose parenthesis ended at `position`; they nest (RFC 5322 §3.2.2)."""
        depth, start = 1, position
        for found in _COMMENT.finditer(self._value, position):
            if found[0] == b"(":
                depth += 1
            elif found[0] == b")":
                depth -= 1
                if not depth:
                    comments.append(self._value[start : found.start()])
                    return found.end()
        self._forget(b"(", start)
        return start

    def _forget(self, special: bytes, position: int) -> None:
        """One that is never closed means nothing, nor do those behind it: else each would be looked for to the end."""
        value = self._value
        self._value = value[:position] + value[position:].replace(special, b" ")


def _is_stop(special: bytes, items: list[bytes | str], angle: int) -> bool:
    if special == b":":
        return not angle and "@" not in items
    return angle != _ROUTE


def _make_address(items: list[bytes | str], comments: list[bytes]) -> ListedAddress | None:
    if "<" in items:
        opened = items.index("<")
        name = _join_phrase(items[:opened])
        last = len(items) - 1 - items[::-1].index("<")
        spec = items[last + 1 :]
        if ">" in spec:
            spec = spec[: spec.index(">")]
        route, spec = _split_route(spec)
        local, host = _split_spec(spec)
    else:
        name, route = None, None
        if "@" in items:
            name, local, host = _split_bare(items)
        else:
            words = [item for item in items if isinstance(item, bytes)]
            if not words:
                return None
            local, host = (words[0], b"") if len(words) == 1 else (b"", b"")
            name = _join_phrase(items) if len(words) > 1 else None
    if not name and comments:
        name = _clean_comment(comments[-1])
    return ListedAddress(name or None, route, local, host)


def _split_route(spec: list[bytes | str]) -> tuple[bytes | None, list[bytes | str]]:
    """`@a,@b:` in front of the address (RFC 5322 §4.4)."""
    if spec[:1] != ["@"] or ":" not in spec:
        return None, spec
    at = spec.index(":")
    return _join(spec[:at]), spec[at + 1 :]


def _split_spec(spec: list[bytes | str]) -> tuple[bytes, bytes]:
    if "@" not in spec:
        return _join(spec), b""
    at = len(spec) - 1 - spec[::-1].index("@")
    return _join(spec[:at]), _join(spec[at + 1 :])


def _split_bare(items: list[bytes | str]) -> tuple[bytes | None, bytes, bytes]:
    """Without brackets: the word before the last "@" is the mailbox, what stands before that is a name."""
    at = len(items) - 1 - items[::-1].index("@")
    start = at - 1
    while start > 0 and (_is_glued(items[start - 1], items[start])):
        start -= 1
    stop = at + 2
    while stop < len(items) and _is_glued(items[stop - 1], items[stop]):
        stop += 1
    start = max(start, 0)
    rest = items[:start] or items[stop:]
    return _join_phrase(rest), _join(items[start:at]), _join(items[at + 1 : stop])


def _is_glued(left: bytes | str, right: bytes | str) -> bool:
    """Parts of one local part or domain with white space at their dots (RFC 5322 §4.4), or with a second "@"."""
    if isinstance(left, str) or isinstance(right, str):
        return "@" in (left, right)
    return left.endswith(b".") or right.startswith(b".")


def _join(items: list[bytes | str]) -> bytes:
    return b"".join(item if isinstance(item, bytes) else item.encode("ascii") for item in items)


def _join_phrase(items: list[bytes | str]) -> bytes | None:
    """The words with a space between them; an address that stands there as a name stays in one piece."""
    pieces: list[bytes] = []
    for number, item in enumerate(items):
        if isinstance(item, str):
            if item == "@":
                pieces.append(b"@")
            continue
        if number and isinstance(items[number - 1], bytes):
            pieces.append(b" ")
        pieces.append(_SPACES.sub(b" ", item) if b"\t" in item or b"  " in item else item)
    return b"".join(pieces) or None


def _clean_comment(comment: bytes) -> bytes:
    return _SPACES.sub(b" ", _ESCAPE.sub(rb"\1", comment)).strip()
