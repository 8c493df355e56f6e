"""Read receipts (RFC 8098) as MDN objects (RFC 9007 §2): put together, and read. Pure.

What a client gives is one line where a field has one, and no control characters at all. A receipt goes to whom the
message names in Disposition-Notification-To, says that a program sent it (RFC 3834 §5), and has the message with it
only when the client asks for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from posthouse.access.jmap.body_values import read_body_value
from posthouse.message.address import Address, AddressError, parse_address
from posthouse.message.address_list import parse_addresses
from posthouse.message.dates import format_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.encodings import encode_base64
from posthouse.message.header import encode_phrase, find_header_end, first_value, iterate_fields, make_field, unfold
from posthouse.message.instant import Instant
from posthouse.message.parsed import ParsedMessage, PartFacts
from posthouse.message.text import decode_part
from posthouse.protocol.jmap.errors import SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.json import JsonObject, convert

NOTIFICATION = "message/disposition-notification"
MAX_RECIPIENTS = 10
MAX_TEXT = 100_000
_MAX_LINE = 900
_ASK = b"disposition-notification-to"
_DISPOSITION = re.compile(
    r"(manual-action|automatic-action)\s*/\s*(mdn-sent-manually|mdn-sent-automatically)\s*;\s*"
    r"(displayed|deleted|dispatched|processed)(?:\s*/.*)?",
    re.IGNORECASE | re.DOTALL,
)
_EXTENSION = re.compile(r"[Xx]-[!-9;-~]{1,70}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9]+(?: [A-Za-z0-9]+)*", re.ASCII)
_FIELDS = {
    b"reporting-ua": "reportingUA",
    b"mdn-gateway": "mdnGateway",
    b"original-recipient": "originalRecipient",
    b"final-recipient": "finalRecipient",
    b"original-message-id": "originalMessageId",
}
_RETURNED = ("message/rfc822", "message/global", "text/rfc822-headers", "message/global-headers")


class Disposition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """RFC 9007 §2."""

    action_mode: Literal["manual-action", "automatic-action"]
    sending_mode: Literal["mdn-sent-manually", "mdn-sent-automatically"]
    type: Literal["deleted", "dispatched", "displayed", "processed"]


class NewMdn(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """What a client gives. `final_recipient` may begin with "rfc822;"."""

    for_email_id: str
    disposition: Disposition
    subject: str | None = None
    text_body: str | None = None
    include_original_message: bool = False
    reporting_ua: str | None = msgspec.field(default=None, name="reportingUA")
    final_recipient: str | None = None
    extension_fields: dict[str, str] | None = None


def read_mdn(record: Mapping[str, object]) -> NewMdn:
    """Raises RecordRefused."""
    known = {field.encode_name for field in msgspec.structs.fields(NewMdn)}
    unknown = sorted(name for name in record if name not in known)
    if unknown:
        raise invalid_properties(unknown, "The server sets it, or there is none")
    try:
        given = convert(dict(record), NewMdn)
    except msgspec.ValidationError as problem:
        wrong = [name for name in known if name in str(problem)]
        raise invalid_properties(sorted(wrong), str(problem)) from None
    lines = {"subject": given.subject, "reportingUA": given.reporting_ua, "finalRecipient": given.final_recipient}
    wrong = [name for name, value in lines.items() if value is not None and not _is_line(value)]
    extensions = given.extension_fields or {}
    if not all(_EXTENSION.fullmatch(name) and _is_line(value) for name, value in extensions.items()):
        wrong.append("extensionFields")
    if given.text_body is not None and len(given.text_body) > MAX_TEXT:
        wrong.append("textBody")
    if wrong:
        raise invalid_properties(wrong)
    return given


def _is_line(value: str) -> bool:
    return len(value) <= _MAX_LINE and not _CONTROL.search(value)


@dataclass(frozen=True, slots=True)
class Original:
    """What a receipt is about. `asking`: who asked for it."""

    octets: bytes
    asking: tuple[Address, ...]
    message_id: str
    subject: str
    recipient: str  # Original-Recipient, as it stands there


def read_original(octets: bytes) -> Original:
    """Raises RecordRefused (notFound) where nobody asks for a receipt (RFC 9007 §2.1)."""
    end = find_header_end(octets)
    head = octets[:end] if end >= 0 else octets
    asking = _read_addresses(first_value(head, _ASK) or b"")
    if not asking:
        raise refuse_record(SetErrorType.NOT_FOUND, "The email asks nobody for a receipt")
    return Original(
        octets,
        asking,
        (first_value(head, b"message-id") or b"").decode("ascii", "replace"),
        decode_value(first_value(head, b"subject") or b""),
        (first_value(head, b"original-recipient") or b"").decode("utf-8", "replace"),
    )


def _read_addresses(value: bytes) -> tuple[Address, ...]:
    found: dict[str, Address] = {}
    for listed in parse_addresses(value, MAX_RECIPIENTS):
        try:
            address = parse_address(listed.address) if listed.host else None
        except AddressError:
            continue
        if address is not None:
            found.setdefault(str(address), address)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class Author:
    """Who sends the receipt; `stamp` is unguessable letters, for the Message-ID and the boundary."""

    name: str
    address: Address
    recipient: str  # Final-Recipient, "rfc822;alice@example.org"
    hostname: str
    stamp: str
    now: Instant


def compose_mdn(mdn: NewMdn, original: Original, author: Author) -> bytes:
    """The message, in CRLF form (RFC 8098 §3)."""
    boundary = b"=_" + author.stamp.encode("ascii")
    parts = [_write_text(mdn, original), _write_notification(mdn, original, author)]
    if mdn.include_original_message:
        parts.append(_write_original(original.octets))
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return _write_head(mdn, original, author, boundary) + b"\r\n" + body + b"--" + boundary + b"--\r\n"


def _write_head(mdn: NewMdn, original: Original, author: Author, boundary: bytes) -> bytes:
    utf8 = author.address.needs_smtputf8 or any(address.needs_smtputf8 for address in original.asking)
    name = author.name if _PLAIN_NAME.fullmatch(author.name) else encode_phrase(author.name)
    mailbox = f"{name} <{author.address}>" if author.name else f"<{author.address}>"
    subject = mdn.subject or f"Read: {_CONTROL.sub(' ', original.subject)[:_MAX_LINE]}"
    fields = [
        b"Date: " + format_date(author.now) + b"\r\n",
        make_field("From", mailbox, utf8=utf8),
        make_field("To", ", ".join(f"<{address}>" for address in original.asking), utf8=utf8),
        make_field("Subject", subject),
        make_field("Message-ID", f"<{author.stamp}@{author.hostname}>"),
    ]
    if _is_id(original.message_id):
        fields += [make_field(name, original.message_id) for name in ("In-Reply-To", "References")]
    fields += [
        b"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n",
        b'Content-Type: multipart/report; report-type=disposition-notification;\r\n boundary="%b"\r\n' % boundary,
    ]
    if mdn.include_original_message and not original.octets.isascii():
        fields.append(b"Content-Transfer-Encoding: 8bit\r\n")
    return b"".join(fields)


def _is_id(text: str) -> bool:
    return text.startswith("<") and text.endswith(">") and len(text) < _MAX_LINE and text.isascii() and " " not in text


def _write_text(mdn: NewMdn, original: Original) -> bytes:
    text = mdn.text_body
    if text is None:
        text = f'The message "{original.subject}" has been {mdn.disposition.type}.'
    octets = "\r\n".join(text.splitlines()).encode("utf-8", "replace") + b"\r\n"
    head = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + encode_base64(octets)


def _write_notification(mdn: NewMdn, original: Original, author: Author) -> bytes:
    """RFC 8098 §3.1. Values are ASCII, or of the recipient's address as it is written in UTF-8 (RFC 6533 §5)."""
    fields: list[tuple[str, str]] = []
    if mdn.reporting_ua:
        fields.append(("Reporting-UA", mdn.reporting_ua))
    if original.recipient and _is_line(original.recipient):
        fields.append(("Original-Recipient", original.recipient))
    fields.append(("Final-Recipient", author.recipient))
    if _is_id(original.message_id):
        fields.append(("Original-Message-ID", original.message_id))
    disposition = mdn.disposition
    mode = f"{disposition.action_mode}/{disposition.sending_mode.replace('mdn', 'MDN')}; {disposition.type}"
    fields.append(("Disposition", mode))
    fields += (mdn.extension_fields or {}).items()
    written = b"".join(make_field(name, value) for name, value in fields)
    return b"Content-Type: message/disposition-notification\r\n\r\n" + written


def _write_original(octets: bytes) -> bytes:
    head = b"Content-Type: message/rfc822\r\n"
    if not octets.isascii():
        head += b"Content-Transfer-Encoding: 8bit\r\n"
    return head + b"\r\n" + octets


def describe_sent(mdn: NewMdn, original: Original, author: Author) -> JsonObject:
    """What the client did not say (RFC 9007 §2.1)."""
    told: JsonObject = {
        "mdnGateway": None,
        "originalRecipient": original.recipient or None,
        "originalMessageId": original.message_id or None,
        "error": None,
    }
    if mdn.final_recipient is None:
        told["finalRecipient"] = author.recipient
    if mdn.subject is None:
        told["subject"] = None
    return told


# -- reading


@dataclass(frozen=True, slots=True)
class ReadMdn:
    """`message_id`: of the message it is about, without brackets, "" where it does not say."""

    told: JsonObject
    message_id: str


def parse_mdn(octets: bytes, message: ParsedMessage) -> ReadMdn | None:
    """MDN/parse (RFC 9007 §2.2); None: it is no receipt."""
    part = next((part for part in message.parts if part.type == NOTIFICATION), None)
    if part is None or message.parts[0].type != "multipart/report":
        return None
    content = decode_part(octets, part)
    told: JsonObject = dict.fromkeys(_FIELDS.values())
    errors: list[str] = []
    extensions: dict[str, str] = {}
    disposition: JsonObject | None = None
    for field in iterate_fields(content):
        value = decode_value(unfold(content[field.value : field.end]))
        if field.name == b"disposition":
            disposition = _read_disposition(value)
        elif field.name in _FIELDS:
            told[_FIELDS[field.name]] = value
        elif field.name == b"error":
            errors.append(value)
        elif field.name.startswith(b"x-"):
            name = content[field.start : field.start + len(field.name)].decode("ascii", "replace")
            extensions[name] = value
    if disposition is None or told["finalRecipient"] is None:
        return None
    message_id = str(told["originalMessageId"] or "").strip().strip("<>")
    told |= {
        "forEmailId": None,
        "subject": decode_value(_subject_of(octets)),
        "textBody": _read_text(octets, message.parts),
        "includeOriginalMessage": any(part.type in _RETURNED for part in message.parts),
        "disposition": disposition,
        "error": errors or None,
        "extensionFields": extensions or None,
    }
    return ReadMdn(told, message_id)


def _subject_of(octets: bytes) -> bytes:
    end = find_header_end(octets)
    return first_value(octets[:end] if end >= 0 else octets, b"subject") or b""


def _read_disposition(value: str) -> JsonObject | None:
    found = _DISPOSITION.fullmatch(value.strip())
    if found is None:
        return None
    return {"actionMode": found[1].lower(), "sendingMode": found[2].lower(), "type": found[3].lower()}


def _read_text(octets: bytes, parts: Sequence[PartFacts]) -> str | None:
    text = next((part for part in parts if part.type == "text/plain"), None)
    return None if text is None else read_body_value(octets, text, MAX_TEXT).value


def read_final_recipient(text: str) -> Address:
    """Of "rfc822;alice@example.org", or the address alone. Raises RecordRefused."""
    kind, separator, rest = text.partition(";")
    address = rest if separator and kind.strip().lower() in ("rfc822", "utf-8") else text
    try:
        return parse_address(address.strip())
    except AddressError:
        raise invalid_properties(["finalRecipient"]) from None
