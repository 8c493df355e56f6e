"""A message taken apart once, at delivery: `parse_message` makes the ParsedMessage that is kept with it.

One pass finds the structure (message/mime.py); headers are copied, bodies are not, but for the few octets the preview
is made of. Never raises. Everything is bounded by `Limits` and the constants of the modules it calls; what a limit cut
off is told by `is_truncated`. What the parts say is octets of a stranger: types, names and ids are cut to a length,
text has no control characters.

Standards: RFC 5322, RFC 2045, RFC 9051 §7.5.2 (message/envelope_wire.py, message/bodystructure.py), RFC 5256 §3,
RFC 5957, RFC 8970, RFC 8621 §4.1.4 (attachments).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from posthouse.message.address_list import MAX_ADDRESSES, ListedAddress
from posthouse.message.bodystructure import parse_disposition, write_bodystructure
from posthouse.message.casemap import fold_case
from posthouse.message.dates import parse_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.envelope_wire import (
    HEAD_FIELDS,
    MAX_HEADER_OCTETS,
    Fields,
    read_addresses,
    read_head,
    write_envelope,
)
from posthouse.message.mime import DEFAULT_LIMITS, Limits, Part, scan_structure
from posthouse.message.parameters import find_parameter
from posthouse.message.parsed import ParsedMessage, PartFacts, SortKeys
from posthouse.message.sections import number_below, number_inside
from posthouse.message.subject import base_subject
from posthouse.message.text import make_preview

__all__ = ["HEAD_FIELDS", "MAX_HEAD", "parse_message"]

MAX_HEAD = 16_384  # a longer head is not kept: `head` is empty and must be read from the message
MAX_REFERENCES = 200
_MAX_KEY = 255  # characters of a sort key
_MAX_TEXT = 8_192  # characters of decoded addresses or subject
_MAX_NAME = 255
_MAX_ID = 998

_MESSAGE_ID = re.compile(rb"<([^<>\s]{1,998}+)>")
_BARE_ID = re.compile(rb"[^\s<>,;()]{1,998}+@[^\s<>,;()]{1,998}+")
_FOLD = re.compile(rb"\r?\n[ \t]*+")
# Signatures and what reports are made of: nobody wants to save them.
_MACHINERY = frozenset(
    {
        "application/pgp-signature",
        "application/pgp-encrypted",
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "message/delivery-status",
        "message/global-delivery-status",
        "message/disposition-notification",
        "message/global-disposition-notification",
        "message/global-headers",
        "message/feedback-report",
        "text/rfc822-headers",
    }
)


def parse_message(octets: bytes | memoryview, limits: Limits = DEFAULT_LIMITS) -> ParsedMessage:
    """All that is kept of a message with these octets."""
    data = octets if isinstance(octets, bytes) else bytes(octets)
    structure = scan_structure(data, limits)
    root = structure.root
    lines = _count_lines(data, root)
    fields, found = read_head(data, root.start, root.fields_end)
    parts = _list_parts(root, lines)
    subject = _decode_subject(fields)
    base = base_subject(subject)
    references, reply_ids = _read_references(fields)
    addresses = {name: read_addresses(fields, name) for name in _ADDRESS_FIELDS if name in fields}
    return ParsedMessage(
        size=len(data),
        header_size=root.body,
        lines=lines[root.end],
        envelope=write_envelope(fields),
        bodystructure=write_bodystructure(data, root, lines),
        parts=parts,
        head=_join_head(found),
        keys=_make_keys(fields, fold_case(base.text)[:_MAX_KEY], addresses),
        message_id=_read_message_id(fields),
        references=references,
        subject=subject,
        from_text=_join_addresses(addresses.get(b"from", ())),
        to_text=_join_addresses(addresses.get(b"to", ())),
        cc_text=_join_addresses(addresses.get(b"cc", ())),
        bcc_text=_join_addresses(addresses.get(b"bcc", ())),
        preview=make_preview(data, parts),
        has_attachment=_has_attachment(root),
        is_reply_or_forward=base.is_reply_or_forward,
        is_truncated=structure.is_truncated
        or root.fields_end > MAX_HEADER_OCTETS
        or any(len(listed) >= MAX_ADDRESSES for listed in addresses.values()),
        list_id=_read_list_id(fields),
        reply_ids=reply_ids,
    )


_ADDRESS_FIELDS = (b"from", b"to", b"cc", b"bcc")


# -- parts


def _count_lines(data: bytes, root: Part) -> dict[int, int]:
    """How many CRLFs lie before the body and the end of each part; every octet is looked at once."""
    if not root.children:
        header = data.count(b"\r\n", 0, root.body)
        return {root.body: header, root.end: header + data.count(b"\r\n", root.body, root.end)}
    lines: dict[int, int] = {}
    position = total = 0
    for offset in sorted({offset for part in root.walk() for offset in (part.body, part.end)}):
        total += data.count(b"\r\n", position, offset)
        lines[offset] = total
        position = offset
    return lines


def _list_parts(root: Part, lines: Mapping[int, int]) -> tuple[PartFacts, ...]:
    """In the order of the message."""
    found: list[PartFacts] = []
    waiting = [("", root)]
    while waiting:
        section, part = waiting.pop()
        found.append(_make_facts(section, part, lines))
        if part.content_type.main != "multipart":
            waiting += [(number_inside(section), child) for child in part.children]
        elif part.children:
            numbered = [(number_below(section, number), child) for number, child in enumerate(part.children, start=1)]
            waiting += reversed(numbered)
        else:
            found.append(_make_untaken(section, part, lines))
    return tuple(found)


def _make_facts(section: str, part: Part, lines: Mapping[int, int]) -> PartFacts:
    kind = part.content_type
    fields = part.fields
    disposition = parse_disposition(fields.get(b"disposition"))
    name = disposition.name or (find_parameter(kind.parameters, b"name") if "name" in kind.params else "")
    content_id = fields.get(b"id")
    return PartFacts(
        section,
        part.start,
        part.body,
        part.end,
        lines[part.end] - lines[part.body],
        kind.full[:_MAX_NAME],
        _first_word(part.encoding)[:_MAX_NAME],
        _find_charset(kind.main, kind.params),
        disposition.kind[:_MAX_NAME],
        name[:_MAX_NAME],
        "" if content_id is None else decode_value(content_id)[:_MAX_ID],
    )


def _first_word(encoding: str) -> str:
    return encoding if encoding.isalnum() else next(iter(encoding.replace(";", " ").split()), "")


def _find_charset(main: str, params: Mapping[str, str]) -> str:
    charset = params.get("charset", "")[:_MAX_NAME].lower()
    return charset or ("us-ascii" if main == "text" else "")


def _make_untaken(section: str, part: Part, lines: Mapping[int, int]) -> PartFacts:
    """The plain text that a multipart without parts is said to hold (message/bodystructure.py)."""
    count = lines[part.end] - lines[part.body]
    place = part.body, part.body, part.end
    return PartFacts(number_below(section, 1), *place, count, "text/plain", "", "us-ascii", "", "", "")


def _has_attachment(root: Part) -> bool:
    """Whether there is a file for the reader: as the attachments list of RFC 8621 §4.1.4, signatures, reports and
    the images of a page left out. What lies inside an attached message does not count: the message does.
    """
    if not root.children and root.content_type.main == "text":
        return parse_disposition(root.fields.get(b"disposition")).kind == "attachment"
    waiting = [(root, "")]
    while waiting:
        part, inside = waiting.pop()
        kind = part.content_type
        if kind.main == "multipart":
            waiting += [(child, kind.sub) for child in part.children]
        elif _is_attachment(part, inside):
            return True
    return False


def _is_attachment(part: Part, inside: str) -> bool:
    kind = part.content_type
    if kind.full in _MACHINERY:
        return False
    disposition = parse_disposition(part.fields.get(b"disposition"))
    if disposition.kind == "attachment":
        return not (inside == "related" and b"id" in part.fields and kind.main == "image")
    if inside == "report" or disposition.kind == "inline" or inside == "related":
        return False
    if kind.main == "text":
        return bool(disposition.name or "name" in kind.params)
    return inside != "alternative" or bool(disposition.name)


# -- header


def _decode_subject(fields: Fields) -> str:
    values = fields.get(b"subject")
    return decode_value(values[0])[:_MAX_TEXT] if values else ""


def _join_head(lines: Sequence[bytes]) -> bytes:
    if not lines:
        return b""
    head = b"\r\n".join(lines) + b"\r\n"
    return head if len(head) <= MAX_HEAD else b""


def _read_message_id(fields: Fields) -> str:
    values = fields.get(b"message-id")
    if not values:
        return ""
    ids = _find_ids(values[0])
    return ids[0] if ids else ""


def _read_references(fields: Fields) -> tuple[tuple[str, ...], int]:
    """The ids, and how many of the last stand in In-Reply-To alone. Of many the last are kept, and the first, where
    the thread began.
    """
    ids: dict[str, None] = {}
    counts = []
    for name in (b"references", b"in-reply-to"):
        for value in fields.get(name, ()):
            ids.update(dict.fromkeys(_find_ids(value)))
        counts.append(len(ids))
    found = tuple(ids)
    kept = found if len(found) <= MAX_REFERENCES else (found[0], *found[1 - MAX_REFERENCES :])
    return kept, min(counts[1] - counts[0], len(kept))


def _find_ids(value: bytes) -> list[str]:
    """Ids without brackets; broken by a fold, or without brackets, as some senders write them."""
    found = _MESSAGE_ID.findall(value)
    if not found:
        found = _MESSAGE_ID.findall(_FOLD.sub(b"", value)) or _BARE_ID.findall(value)
    return [one.decode("utf-8", "replace") for one in found]


def _read_list_id(fields: Fields) -> str:
    """What stands in the brackets (RFC 2919 §2), else the whole."""
    values = fields.get(b"list-id")
    if not values:
        return ""
    found = _MESSAGE_ID.search(values[0])
    return (decode_value(found[1]) if found is not None else decode_value(values[0]))[:_MAX_NAME].lower()


def _make_keys(fields: Fields, subject: str, addresses: Mapping[bytes, Sequence[ListedAddress]]) -> SortKeys:
    dates = fields.get(b"date")
    sent = parse_date(dates[0]) if dates else None
    senders, recipients = addresses.get(b"from", ()), addresses.get(b"to", ())
    return SortKeys(
        None if sent is None else sent.instant,
        subject,
        _mailbox_key(senders),
        _mailbox_key(recipients),
        _mailbox_key(addresses.get(b"cc", ())),
        _display_key(senders),
        _display_key(recipients),
    )


def _mailbox_key(addresses: Sequence[ListedAddress]) -> str:
    """The mailbox of the first (RFC 5256 §3); of a group that is its name."""
    return _fold_mailbox(addresses[0].mailbox or b"") if addresses else ""


@lru_cache(maxsize=1024)
def _fold_mailbox(mailbox: bytes) -> str:
    return fold_case(decode_value(mailbox))[:_MAX_KEY]


def _display_key(addresses: Sequence[ListedAddress]) -> str:
    return _fold_display(addresses[0]) if addresses else ""


@lru_cache(maxsize=1024)
def _fold_display(address: ListedAddress) -> str:
    return fold_case(address.display)[:_MAX_KEY]


def _join_addresses(addresses: Sequence[ListedAddress]) -> str:
    return ", ".join(map(_show_address, addresses[:200] if len(addresses) > 200 else addresses))[:_MAX_TEXT]


@lru_cache(maxsize=1024)
def _show_address(address: ListedAddress) -> str:
    name = decode_value(address.name) if address.name else ""
    return f"{name} <{decode_value(address.address.encode())}>" if name else decode_value(address.address.encode())
