"""A header section without 8-bit octets, in place of one that has them, for clients that know no UTF-8 there.

POP3 without UTF8 (RFC 6856 §2.1) and IMAP without UTF8=ACCEPT must not give such a header as it is; this makes the
simple surrogate of RFC 6858 §2. Texts become encoded words (RFC 2047 §2), parameters of MIME fields the form of
RFC 2231 §4, domains their ASCII form; an address whose local part is not ASCII has none, and is shown as the name of
an address that cannot be written to. Octets that are not UTF-8 are guessed (charsets.py). What is ASCII stays as it
is, octet for octet. The original is not changed anywhere, and signatures do not hold for the surrogate.

It trusts nothing and never raises. Headers of parts within the body are left as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from posthouse.message.address import AddressError, to_ascii_domain
from posthouse.message.address_list import ListedAddress, parse_addresses
from posthouse.message.charsets import guess_text
from posthouse.message.encoded_words import decode_value
from posthouse.message.header import encode_phrase, iterate_fields, make_field, unfold

_ADDRESSES = frozenset(
    b"from sender reply-to to cc bcc return-path delivered-to disposition-notification-to "
    b"resent-from resent-sender resent-to resent-cc resent-bcc".split()
)
_NOWHERE = "invalid@internationalized-address.invalid"  # RFC 6858 §2.1
_PARAMETER = re.compile(rb'([!#$&+\-.^_`{|}~0-9A-Za-z]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^;"\s]++)')
_ESCAPE = re.compile(rb"\\(.)", re.DOTALL)
_DOT_ATOM = re.compile(r"[-!#$%&'*+/0-9=?A-Z^_`a-z{|}~]+(?:\.[-!#$%&'*+/0-9=?A-Z^_`a-z{|}~]+)*").fullmatch
_SPECIAL = re.compile(r'(["\\])')
_ONLY_ASCII = bytes(octet if octet < 128 else 63 for octet in range(256))  # "?"


def make_surrogate(head: bytes) -> bytes:
    """`head`: a header section with or without its blank line. The same object when there is nothing to be done."""
    if head.isascii():
        return head
    pieces: list[bytes] = []
    end = 0
    for field in iterate_fields(head):
        end = field.next
        octets = head[field.start : end]
        pieces.append(octets if octets.isascii() else _rewrite(field.name, octets))
    pieces.append(head[end:].translate(_ONLY_ASCII))
    return b"".join(pieces)


def _rewrite(name: bytes, octets: bytes) -> bytes:
    label, _, value = octets.partition(b":")
    title = label.rstrip(b" \t").decode("ascii")
    value = unfold(value)
    if name in _ADDRESSES:
        text = ", ".join(_write_list(parse_addresses(value)))
    elif name.startswith(b"content-"):
        text = _PARAMETER.sub(_write_parameter, value).translate(_ONLY_ASCII).decode("ascii")
    else:
        text = guess_text(value)
    return make_field(title, text)


def _write_parameter(found: re.Match[bytes]) -> bytes:
    if found[0].isascii():
        return found[0]
    value = found[2]
    if value.startswith(b'"'):
        value = _ESCAPE.sub(rb"\1", value[1:-1])
    return found[1] + b"*=utf-8''" + quote(guess_text(value), safe="").encode("ascii")


def _write_list(addresses: Sequence[ListedAddress]) -> Iterator[str]:
    """Addresses and whole groups (RFC 5322 §3.4)."""
    group: list[str] | None = None
    title = ""
    for address in addresses:
        if address.mailbox is not None and address.host is None:
            group, title = [], _write_phrase(decode_value(address.mailbox))
        elif address.mailbox is None:
            yield f"{title}: {', '.join(group or ())};"
            group = None
        elif group is not None:
            group.append(_write_address(address))
        else:
            yield _write_address(address)


def _write_address(address: ListedAddress) -> str:
    name = decode_value(address.name) if address.name else ""
    local, host = guess_text(address.mailbox or b""), guess_text(address.host or b"")
    try:
        target = f"{_write_local(local)}@{to_ascii_domain(host) if host else ''}".rstrip("@")
    except AddressError:
        target = ""
    if not target or not local or not local.isascii():
        name, target = f"{name} {address.address}".strip(), _NOWHERE
    return f"{_write_phrase(name)} <{target}>" if name else target


def _write_local(local: str) -> str:
    return local if _DOT_ATOM(local) else _quote(local)


def _write_phrase(text: str) -> str:
    if not text.isascii():
        return encode_phrase(text)
    return _quote(text)


def _quote(text: str) -> str:
    return '"' + _SPECIAL.sub(r"\\\1", text) + '"'
