"""What submission reads in a header: the fields, who wrote them, for whom, and which do not leave the house.

Pure, never raises but `Unfit`, whose reply is for the program that submits. A header with a line that is no field is
refused: what stands behind it would escape the rules (a Bcc too).

RFC 5322 §3.6 (fields, Resent blocks §3.6.6), RFC 6409 §8, RFC 6854 (groups have no addresses to be checked).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.address_list import parse_addresses
from posthouse.message.dates import format_date
from posthouse.message.header import Field, find_header_end, iterate_fields, unfold
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply

BLIND = frozenset({b"bcc", b"resent-bcc"})
# What programs note for themselves (Thunderbird, Evolution, KMail, Claws, pine), and what only final delivery writes.
BOOKKEEPING = frozenset(
    {b"fcc", b"x-identity-key", b"x-account-key", b"x-unsent", b"x-fcc", b"x-bcc", b"x-uid", b"return-path"}
)
BOOKKEEPING_PREFIXES = (b"x-mozilla-", b"x-evolution-", b"x-kmail-", b"x-claws-", b"x-sylpheed-", b"x-balsa-")
_QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*+"|\((?:[^()\\]|\\.)*+\)')  # strings and comments
_ADDRESS_LIKE = re.compile(rb"(?<![^\s<>,;:()])(?!=\?)[^\s<>,;:()@]+@[^\s<>,;:()@]+\.[^\s<>,;:()@]+")
_BRIEF = 200  # characters of what cannot be read
_TRACE = frozenset({b"received", b"return-path"})
_BLOCK_STARTS = frozenset({b"resent-from", b"resent-date", b"resent-message-id", b"resent-sender"})


class Unfit(Exception):
    """The message cannot be sent as it is."""

    def __init__(self, code: int, enhanced: str, text: str) -> None:
        super().__init__(text)
        self.reply = Reply(code, enhanced, text)


class Value(NamedTuple):
    name: bytes  # in lower case
    value: bytes  # with its folds


@dataclass(frozen=True, slots=True)
class Head:
    """A header section: `fields` by offsets into `octets`, which end with the blank line, `block` of the topmost
    Resent fields (RFC 5322 §3.6.6), empty without one.
    """

    octets: bytes
    fields: tuple[Field, ...]
    block: tuple[Value, ...]

    def values(self, name: bytes) -> Iterator[bytes]:
        for field in self.fields:
            if field.name == name:
                yield self.octets[field.value : field.end]

    def first(self, name: bytes) -> bytes:
        """Unfolded; b"" when there is none, or an empty one."""
        return unfold(next(self.values(name), b""))


def split_message(data: bytes) -> tuple[Head, int]:
    """The header, and where the body begins in `data`. Raises Unfit."""
    end = find_header_end(data)
    octets = data[:end] if end >= 0 else data
    if end < 0:  # no body, and perhaps no last line end
        octets += b"\r\n" if octets.endswith(b"\r\n") or not octets else b"\r\n\r\n"
        end = len(data)
    fields = tuple(iterate_fields(octets))
    stop = fields[-1].next if fields else 0
    if octets[stop:] != b"\r\n":
        line = octets[:stop].count(b"\r\n") + 1
        raise Unfit(554, "5.6.0", f"Line {line} of the header is not a header field")
    return Head(octets, fields, _find_block(octets, fields)), end


def _find_block(octets: bytes, fields: Sequence[Field]) -> tuple[Value, ...]:
    block: list[Value] = []
    seen: set[bytes] = set()
    for field in fields:
        if field.name in _TRACE and block:
            break
        if not field.name.startswith(b"resent-"):
            continue
        if field.name in _BLOCK_STARTS:
            if field.name in seen:
                break
            seen.add(field.name)
        block.append(Value(field.name, octets[field.value : field.end]))
    # RFC 5322 §3.6.6: a block has a Resent-From; without one nobody answers for it.
    return tuple(block) if any(value.name == b"resent-from" for value in block) else ()


# -- addresses


def _read_addresses(value: bytes) -> Iterator[Address]:
    """Groups are their members. Raises Unfit naming what is no address."""
    for listed in parse_addresses(value):
        if listed.host is None:
            continue  # the begin or end of a group
        try:
            yield parse_listed(listed.mailbox or b"", listed.host)
        except AddressError as error:
            written = listed.address or (listed.name or unfold(value)).decode("utf-8", "replace")
            raise Unfit(501, "5.1.3", f"{written[:_BRIEF]!r} is not an address: {error}") from None


def parse_listed(mailbox: bytes, host: bytes) -> Address:
    """An address out of a header field, whose local part has lost its quotes. Raises AddressError."""
    if not host:
        raise AddressError("it has no domain")
    local, domain = mailbox.decode("utf-8", "replace"), host.decode("utf-8", "replace")
    try:
        return parse_address(f"{local}@{domain}")
    except AddressError:
        quoted = local.replace("\\", "\\\\").replace('"', '\\"')
        return parse_address(f'"{quoted}"@{domain}')


def derive_recipients(head: Head) -> tuple[Address, ...]:
    """Whom the header names: the topmost Resent block, else To, Cc and Bcc; each once. Raises Unfit."""
    if head.block:
        wanted = [value for name, value in head.block if name in (b"resent-to", b"resent-cc", b"resent-bcc")]
    else:
        wanted = [value for name in (b"to", b"cc", b"bcc") for value in head.values(name)]
    found: dict[tuple[str, str], Address] = {}
    for value in wanted:
        for address in _read_addresses(value):
            found.setdefault((address.local, address.domain), address)
    if not found:
        raise Unfit(554, "5.5.1", "The message names no recipients")
    return tuple(found.values())


def _find_lookalikes(value: bytes) -> Iterator[Address]:
    """Programs differ in what they make of a field that is not well formed, so none of it may be somebody else."""
    for found in _ADDRESS_LIKE.findall(_QUOTED.sub(b" ", value)):
        try:
            yield parse_address(found.decode("utf-8"))
        except (AddressError, UnicodeDecodeError):
            raise Unfit(554, "5.6.0", "The From field cannot be read") from None


def find_senders(head: Head) -> tuple[Address, ...]:
    """Who answers for the message: From, or Sender where several are From; of the Resent block where there is one.

    The first is whose message it is; behind it comes what else may be taken for who sent it: another address in a From
    of one author (`<one@a.example> <other@a.example>`), and Sender. Raises Unfit when nobody does, or two fields
    claim to say it.
    """
    if head.block:
        authors = [value for name, value in head.block if name == b"resent-from"]
        agents = [value for name, value in head.block if name == b"resent-sender"]
    else:
        authors, agents = list(head.values(b"from")), list(head.values(b"sender"))
    if len(authors) != 1 or len(agents) > 1:
        what = "no" if not authors else "more than one"
        raise Unfit(554, "5.6.0", f"The message has {what} From field")
    several = tuple(_read_addresses(authors[0]))
    agent = tuple(_read_addresses(agents[0])) if agents else ()
    if len(several) == 1:
        return (*several, *_find_lookalikes(authors[0]), *agent)
    if len(agent) != 1:
        raise Unfit(554, "5.6.0", "A message with several authors, or none, names one Sender")
    return agent


# -- repairs


@dataclass(frozen=True, slots=True)
class Repaired:
    """`filed` is for Sent and keeps Bcc; `wire` is what is sent. The same object when they do not differ.

    `is_known`: Message-ID and Date came from the program.
    """

    filed: bytes
    wire: bytes
    message_id: str
    is_known: bool


def repair_head(head: Head, now: Instant, make_id: Callable[[], str]) -> Repaired:
    """RFC 6409 §8.2 and §8.3: Message-ID and Date are added; notes and Bcc fields go (in any case, however often)."""
    added: list[bytes] = []
    message_id, date = head.first(b"message-id"), head.first(b"date")
    if not date:
        added.append(b"Date: " + format_date(now) + b"\r\n")
    if not message_id:
        message_id = make_id().encode("ascii")
        added.append(b"Message-ID: " + message_id + b"\r\n")
    dropped, blind = _find_dropped(head, bool(date), b"\r\nmessage-id" in head.octets.lower())
    filed = b"".join([*added, *_cut(head, dropped)])
    wire = b"".join([*added, *_cut(head, dropped | blind)]) if blind else filed
    return Repaired(filed, wire, message_id.decode("utf-8", "replace"), not added)


def _find_dropped(head: Head, has_date: bool, has_id: bool) -> tuple[frozenset[int], frozenset[int]]:
    """Places in `head.fields` of what goes everywhere, and of what only must not be sent."""
    dropped, blind = set[int](), set[int]()
    for place, field in enumerate(head.fields):
        name = field.name
        if name in BLIND:
            blind.add(place)
        elif name in BOOKKEEPING or name.startswith(BOOKKEEPING_PREFIXES):
            dropped.add(place)
        elif name == b"date" and not has_date:
            dropped.add(place)  # an empty one
        elif has_id and name == b"message-id" and not unfold(head.octets[field.value : field.end]):
            dropped.add(place)
    return frozenset(dropped), frozenset(blind)


def _cut(head: Head, dropped: frozenset[int]) -> Iterator[bytes]:
    """The octets without some fields, in as few pieces as possible."""
    start = 0
    for place, field in enumerate(head.fields):
        if place in dropped:
            yield head.octets[start : field.start]
            start = field.next
    yield head.octets[start:]
