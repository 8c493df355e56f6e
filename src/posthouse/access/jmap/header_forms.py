"""Header fields in the forms of RFC 8621 §4.1.2: which property names there are, and what a value is in a form.

Reading takes any octets and never raises. `parse_header_property` refuses forms that a field may not be asked for in.
What the RFC's "best effort" is, is message/'s: address_list, dates, encoded_words. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from posthouse.message.address_list import ListedAddress, parse_addresses
from posthouse.message.dates import parse_date
from posthouse.message.encoded_words import decode_value
from posthouse.message.header import unfold
from posthouse.message.parameters import strip_comments
from posthouse.protocol.jmap.dates import write_date
from posthouse.protocol.jmap.json import JsonObject

MAX_HEADER_OCTETS = 1_048_576  # of one section are looked at
_NAME = re.compile(r"[!-9;-~]{1,200}", re.ASCII)
_FIELD = re.compile(rb"\r\n([!-9;-~]++)[ \t]*+:([^\r]*+(?:\r(?:\n[ \t]|(?!\n))[^\r]*+)*+)")
_MESSAGE_ID = re.compile(rb"<[ \t]*([^<>\s]+)[ \t]*>")
_URL = re.compile(rb"<([^<>]*)>")
_SPACES = re.compile(rb"[ \t\r\n]+")
_DOT_ATOM = re.compile(r"[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+")


class Form(StrEnum):
    RAW = "asRaw"
    TEXT = "asText"
    ADDRESSES = "asAddresses"
    GROUPED_ADDRESSES = "asGroupedAddresses"
    MESSAGE_IDS = "asMessageIds"
    DATE = "asDate"
    URLS = "asURLs"


def _allow(names: str, *forms: Form) -> dict[str, frozenset[Form]]:
    return dict.fromkeys(names.split(), frozenset({Form.RAW, *forms}))


# The fields of RFC 5322 and RFC 2369; others may be asked for in every form.
_ALLOWED: Mapping[str, frozenset[Form]] = {
    **_allow("subject comments keywords", Form.TEXT),
    **_allow(
        "from sender reply-to to cc bcc resent-from resent-sender resent-reply-to resent-to resent-cc resent-bcc",
        Form.ADDRESSES,
        Form.GROUPED_ADDRESSES,
    ),
    **_allow("message-id in-reply-to references resent-message-id", Form.MESSAGE_IDS),
    **_allow("date resent-date", Form.DATE),
    **_allow("list-help list-unsubscribe list-subscribe list-post list-owner list-archive", Form.URLS),
    **_allow("return-path received"),
}
_ANY = frozenset(Form)


class BadProperty(ValueError):
    """There is no such property; says why."""


@dataclass(frozen=True, slots=True)
class HeaderProperty:
    """`name` of the field as it was written. `is_all`: every field of that name, not the last one."""

    name: str
    form: Form = Form.RAW
    is_all: bool = False


# RFC 8621 §4.1.3
CONVENIENT: Mapping[str, HeaderProperty] = {
    "messageId": HeaderProperty("Message-ID", Form.MESSAGE_IDS),
    "inReplyTo": HeaderProperty("In-Reply-To", Form.MESSAGE_IDS),
    "references": HeaderProperty("References", Form.MESSAGE_IDS),
    "sender": HeaderProperty("Sender", Form.ADDRESSES),
    "from": HeaderProperty("From", Form.ADDRESSES),
    "to": HeaderProperty("To", Form.ADDRESSES),
    "cc": HeaderProperty("Cc", Form.ADDRESSES),
    "bcc": HeaderProperty("Bcc", Form.ADDRESSES),
    "replyTo": HeaderProperty("Reply-To", Form.ADDRESSES),
    "subject": HeaderProperty("Subject", Form.TEXT),
    "sentAt": HeaderProperty("Date", Form.DATE),
}


def parse_header_property(text: str) -> HeaderProperty:
    """`header:Name`, `header:Name:asForm`, with `:all` at the end or without. Raises BadProperty."""
    start, *parts = text.split(":")
    if start != "header" or not parts or not _NAME.fullmatch(parts[0]):
        raise BadProperty(f"There is no property {text[:100]!r}")
    name, *rest = parts
    is_all = bool(rest) and rest[-1] == "all"
    if is_all:
        rest.pop()
    if not rest:
        return HeaderProperty(name, Form.RAW, is_all)
    form = next((form for form in Form if [form.value] == rest), None)
    if form is None or form not in _ALLOWED.get(name.lower(), _ANY):
        raise BadProperty(f"{name} has no form {':'.join(rest)[:100]!r}")
    return HeaderProperty(name, form, is_all)


class HeaderFields:
    """The fields of a header section, which is known to hold nothing else. One scan, in C."""

    __slots__ = ("_values",)

    def __init__(self, octets: bytes, start: int, end: int) -> None:
        """Of `octets[start:end]`; the blank line may be with it."""
        self._values: dict[bytes, list[bytes]] = {}
        for name, value in _scan(octets, start, end):
            self._values.setdefault(name.lower(), []).append(value)

    def read(self, wanted: HeaderProperty) -> object:
        values = self.values(wanted.name)
        if wanted.is_all:
            return [read_form(value, wanted.form) for value in values]
        return read_form(values[-1], wanted.form) if values else None

    def values(self, name: str) -> Sequence[bytes]:
        return self._values.get(name.lower().encode("ascii"), ())


def list_fields(octets: bytes, start: int, end: int) -> list[JsonObject]:
    """EmailHeaders: name and raw value of each, in order (RFC 8621 §4.1.3)."""
    return [{"name": name.decode("ascii"), "value": _read_raw(value)} for name, value in _scan(octets, start, end)]


def _scan(octets: bytes, start: int, end: int) -> list[tuple[bytes, bytes]]:
    return _FIELD.findall(b"\r\n" + octets[start : min(end, start + MAX_HEADER_OCTETS)])


def read_form(value: bytes, form: Form) -> object:
    """`value`: the octets behind the colon, up to the line break that ends the field."""
    return _READERS[form](value)


def _read_raw(value: bytes) -> str:
    return value.replace(b"\x00", b"").decode("utf-8", "replace")


def _read_text(value: bytes) -> str:
    text = decode_value(unfold(value))
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _read_addresses(value: bytes) -> list[JsonObject]:
    return [_write_address(item) for item in parse_addresses(value) if item.host is not None]


def _read_grouped(value: bytes) -> list[JsonObject]:
    """RFC 8621 §4.1.2.4: those outside of groups that follow each other are a group without a name."""
    groups: list[JsonObject] = []
    members: list[JsonObject] = []
    is_loose = False  # the last group is of addresses outside of groups
    for item in parse_addresses(value):
        if item.host is not None:
            if not groups or not (is_loose or members is groups[-1]["addresses"]):
                members, is_loose = [], True
                groups.append({"name": None, "addresses": members})
            members.append(_write_address(item))
        elif item.mailbox is not None:
            members, is_loose = [], False
            groups.append({"name": _read_text(item.mailbox) or None, "addresses": members})
        else:
            members, is_loose = [], False
    return groups


def _write_address(item: ListedAddress) -> JsonObject:
    return {"name": (_read_text(item.name) or None) if item.name else None, "email": write_addr_spec(item)}


def write_addr_spec(item: ListedAddress) -> str:
    """The address with its local part quoted where that is needed (RFC 5322 §3.4.1)."""
    local = (item.mailbox or b"").decode("utf-8", "replace")
    if local and not _DOT_ATOM.fullmatch(local):
        escaped = local.replace("\\", "\\\\").replace('"', '\\"')
        local = f'"{escaped}"'
    return f"{local}@{item.host.decode('utf-8', 'replace')}" if item.host else local


def _read_message_ids(value: bytes) -> list[str] | None:
    found = _MESSAGE_ID.findall(strip_comments(unfold(value)))
    return [one.decode("utf-8", "replace") for one in found] or None


def _read_date(value: bytes) -> str | None:
    sent = parse_date(value)
    return None if sent is None else write_date(sent.instant, sent.zone_minutes)


def _read_urls(value: bytes) -> list[str] | None:
    """RFC 2369 §2: in angle brackets, with commas and comments between; white space inside means nothing."""
    found: Sequence[bytes] = _URL.findall(strip_comments(unfold(value)))
    return [_SPACES.sub(b"", one).decode("utf-8", "replace") for one in found] or None


_READERS: Mapping[Form, Callable[[bytes], object]] = {
    Form.RAW: _read_raw,
    Form.TEXT: _read_text,
    Form.ADDRESSES: _read_addresses,
    Form.GROUPED_ADDRESSES: _read_grouped,
    Form.MESSAGE_IDS: _read_message_ids,
    Form.DATE: _read_date,
    Form.URLS: _read_urls,
}
