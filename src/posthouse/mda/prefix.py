"""What final delivery writes in front of a message (RFC 5321 §4.4), and what it reads there to know a loop.

    Return-Path: <sender>
    Delivered-To: the address that was delivered to (RFC 9228 §2)
    X-Original-To: the address that the sender wrote, where an alias led here
    Received: ours

A message that already carries a recipient's Delivered-To goes in circles (RFC 9228 §4). Pure but for reading.
"""

from __future__ import annotations

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.envelope import Recipient
from posthouse.message.header import find_header_end, iterate_fields
from posthouse.message.trace import make_delivered_to, make_return_path
from posthouse.ports.spool import Body, QueuedMessage

_MAX_HEAD = 262_144


def make_prefix(message: QueuedMessage, recipient: Recipient) -> bytes:
    parts = [make_return_path(message.envelope.sender), make_delivered_to(recipient.address), message.trace]
    if recipient.orcpt is not None:
        original = _find_original(recipient.orcpt)
        if original is not None and original != recipient.address:
            parts.insert(2, f"X-Original-To: {original}\r\n".encode("utf-8", "replace"))
    return b"".join(parts)


def _find_original(orcpt: tuple[str, str]) -> Address | None:
    """What a client said is only believed to be an address when it is one: it is written into a header."""
    kind, text = orcpt
    try:
        return parse_address(text) if kind.lower() in ("rfc822", "utf-8") else None
    except AddressError:
        return None


async def read_delivered_to(body: Body) -> frozenset[bytes]:
    """The addresses in the Delivered-To fields of a message, in lower case. Raises SpoolError."""
    data = body.inline if body.inline is not None else await body.read(0, _MAX_HEAD)
    end = find_header_end(data)
    head = data[: end if end >= 0 else _MAX_HEAD].lower()
    if b"delivered-to:" not in head:
        return frozenset()
    fields = iterate_fields(head)
    return frozenset(head[each.value : each.end].strip(b" \t\r\n<>") for each in fields if each.name == b"delivered-to")


def is_in_circle(seen: frozenset[bytes], recipient: Recipient) -> bool:
    return str(recipient.address).lower().encode("utf-8", "replace") in seen
