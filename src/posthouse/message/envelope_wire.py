"""ENVELOPE of a header section (RFC 9051 §7.5.2), as octets that are kept and sent as they are.

`read_fields` looks through a header once for the fields that anything here is made of. Values stay as the message has
them: unfolded, encoded words untouched. A field that is not there is NIL, one that is empty the empty string; of
several the first counts, but address fields of one name are one list, so that nobody sees another sender than a
filter saw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from posthouse.message.address_list import MAX_ADDRESSES, ListedAddress, parse_addresses
from posthouse.message.wire_strings import NIL, unfold_value, write_nstring, write_string

MAX_HEADER_OCTETS = 262_144  # of one section are looked at
MAX_HEAD_LINES = 1000

# What mail programs fetch beside ENVELOPE (Thunderbird, Apple Mail, K-9, mutt, aerc, Roundcube), in lower case.
HEAD_FIELDS = frozenset(
    b"""authentication-results bcc bimi-indicator bimi-location cc content-description content-type
    date disposition-notification-to dkim-signature from importance in-reply-to lines list-id list-post list-subscribe
    list-unsubscribe list-unsubscribe-post mail-followup-to mail-reply-to message-id newsgroups priority references
    reply-to resent-message-id return-path sender subject to x-bimi-indicator-hash x-label x-original-to x-priority
    x-uniform-type-identifier x-universally-unique-identifier""".split()
)
ENVELOPE_FIELDS = frozenset(b"date subject from sender reply-to to cc bcc in-reply-to message-id".split())

Fields = Mapping[bytes, Sequence[bytes]]

# Any field: an alternation of all names would be tried name by name at each line.
_FIELD = re.compile(rb"\r\n(([!-9;-~]++)[ \t]*+:([^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+))")


def read_fields(data: bytes, start: int, end: int) -> dict[bytes, list[bytes]]:
    """The fields that ENVELOPE needs of the header section `data[start:end]`: values by name in lower case."""
    return _read(ENVELOPE_FIELDS, data, start, end)[0]


def read_head(data: bytes, start: int, end: int) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    """All HEAD_FIELDS, and each as it stands there without its last line break, in the message's order."""
    return _read(HEAD_FIELDS, data, start, end)


def _read(wanted: frozenset[bytes], data: bytes, start: int, end: int) -> tuple[dict[bytes, list[bytes]], list[bytes]]:
    head = b"\r\n" + data[start : min(end, start + MAX_HEADER_OCTETS)]
    fields: dict[bytes, list[bytes]] = {}
    lines: list[bytes] = []
    for whole, name, value in _FIELD.findall(head):
        key = name.lower()
        if key in wanted:
            lines.append(whole)
            if key in fields:
                fields[key].append(value)
            else:
                fields[key] = [value]
    return fields, lines[:MAX_HEAD_LINES]


def read_addresses(fields: Fields, name: bytes) -> tuple[ListedAddress, ...]:
    """The addresses of all fields of that name as one list."""
    values = fields.get(name)
    if not values:
        return ()
    if len(values) == 1:
        return parse_addresses(values[0])
    return parse_addresses(b",".join(values))


def write_envelope(fields: Fields) -> bytes:
    """The parenthesised list."""
    sender = _write_list(fields, b"from")
    return b"(%b %b %b %b %b %b %b %b %b %b)" % (
        _write_text(fields, b"date"),
        _write_text(fields, b"subject"),
        sender,
        _write_list(fields, b"sender", sender),
        _write_list(fields, b"reply-to", sender),
        _write_list(fields, b"to"),
        _write_list(fields, b"cc"),
        _write_list(fields, b"bcc"),
        _write_text(fields, b"in-reply-to"),
        _write_text(fields, b"message-id"),
    )


def _write_text(fields: Fields, name: bytes) -> bytes:
    values = fields.get(name)
    return write_string(unfold_value(values[0])) if values else NIL


def _write_list(fields: Fields, name: bytes, default: bytes = NIL) -> bytes:
    """`default` also for a field that is there and empty (RFC 9051 §7.5.2)."""
    if name not in fields:
        return default
    addresses = read_addresses(fields, name)
    return write_addresses(addresses) if addresses else default


@lru_cache(maxsize=1024)
def _write_one(address: ListedAddress) -> bytes:
    return b"(%b %b %b %b)" % tuple(write_nstring(field) for field in address)


def write_addresses(addresses: Sequence[ListedAddress]) -> bytes:
    """A list of address structures without anything between them."""
    return b"(%b)" % b"".join(map(_write_one, addresses[:MAX_ADDRESSES]))


EMPTY_ENVELOPE = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
