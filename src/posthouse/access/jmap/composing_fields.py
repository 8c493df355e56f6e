"""Header fields of values that a client gives (RFC 8621 §4.1.2, §4.6): the way back from header_forms.py. Pure.

Raises Wrong for what is not of its form, and for whatever holds CR, LF or NUL: no value can bring a field of its own.
Lines are folded and never above 998 octets; text that is not ASCII goes in encoded words, addresses that are not ASCII
as they are (RFC 6532 §3.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

from posthouse.access.jmap.header_forms import Form, HeaderProperty
from posthouse.message.header import encode_phrase, make_field
from posthouse.protocol.jmap.dates import read_zoned_date

MAX_ITEMS = 2000
MAX_TEXT = 50_000  # characters of one value
_BREAKS = re.compile(r"[\r\n\x00]")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
_LOCAL = r"(?:[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+|\"(?:[^\x00-\x1f\x7f\"\\]|\\[ -~])*\")"
# Without a domain, too: a draft may hold what is not finished.
_ADDRESS = re.compile(rf"{_LOCAL}(?:@(?:[^\x00-\x20\x7f()<>\[\]:;@\\,\"]+|\[[^\x00-\x20\x7f\[\]\\]+\]))?")
_MESSAGE_ID = re.compile(r"[^\x00-\x20\x7f<>]{1,900}")
_URL = re.compile(r"[^\x00-\x20\x7f<>]{1,900}")
_ENCODED = "=?"
_MAX_WORD = 900  # a longer one would have to be broken where there is no white space


class Wrong(ValueError):
    """The value cannot stand in that field."""


def write_fields(wanted: HeaderProperty, value: object) -> list[bytes]:
    """The lines of a property; of `:all` one field for each item. Raises Wrong."""
    if not wanted.is_all:
        return [_write(wanted, value)]
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise Wrong("It is a list")
    return [_write(wanted, item) for item in value]


def _write(wanted: HeaderProperty, value: object) -> bytes:
    return make_field(wanted.name, _WRITERS[wanted.form](value), utf8=True)


def check_text(value: object) -> str:
    """A string of one line. Raises Wrong."""
    if not isinstance(value, str):
        raise Wrong("It is a string")
    if _BREAKS.search(value):
        raise Wrong("No line break and no NUL may be in it")
    if len(value) > MAX_TEXT:
        raise Wrong("It is too long")
    return value


def _write_text(value: object) -> str:
    text = check_text(value)
    is_plain = text.isascii() and _ENCODED not in text and max(map(len, text.split(" "))) <= _MAX_WORD
    return text if is_plain else encode_phrase(text)


def _write_addresses(value: object) -> str:
    if not isinstance(value, list) or len(value) > MAX_ITEMS:
        raise Wrong("It is a list of addresses")
    return ", ".join(map(_write_address, value))


def _write_address(value: object) -> str:
    email = _take_members(value, "email").get("email")
    if not isinstance(email, str) or not _ADDRESS.fullmatch(email):
        raise Wrong("An email is an addr-spec")
    name = _write_phrase(_take_members(value, "email").get("name"))
    return f"{name} <{email}>" if name else email


def _take_members(value: object, other: str) -> Mapping[str, object]:
    if not isinstance(value, dict) or not value.keys() <= {"name", other}:
        raise Wrong(f'It has "name" and "{other}"')
    return value


def _write_phrase(value: object) -> str:
    if value is None:
        return ""
    text = check_text(value).strip()
    if not text.isascii() or _ENCODED in text:
        return encode_phrase(text)
    if not text or _ATOMS.fullmatch(text):
        return text
    return quote(text)


def _write_grouped(value: object) -> str:
    if not isinstance(value, list):
        raise Wrong("It is a list of groups")
    return ", ".join([text for text in map(_write_group, value) if text])


def _write_group(value: object) -> str:
    members = _take_members(value, "addresses")
    addresses = _write_addresses(members.get("addresses"))
    name = members.get("name")
    return addresses if name is None else f"{_write_phrase(name) or quote('')}: {addresses};"


def _write_message_ids(value: object) -> str:
    return " ".join([f"<{one}>" for one in _check_items(value, _MESSAGE_ID, "It is a list of message ids")])


def _write_urls(value: object) -> str:
    return ", ".join([f"<{one}>" for one in _check_items(value, _URL, "It is a list of URLs")])


def _check_items(value: object, pattern: re.Pattern[str], problem: str) -> Sequence[str]:
    if not isinstance(value, list) or not value or len(value) > MAX_ITEMS:
        raise Wrong(problem)
    if not all(isinstance(item, str) and pattern.fullmatch(item) for item in value):
        raise Wrong(problem)
    return value


def _write_date(value: object) -> str:
    found = read_zoned_date(value) if isinstance(value, str) else None
    if found is None:
        raise Wrong("It is a Date")
    return format_zoned(*found)


def format_zoned(instant: float, zone_minutes: int) -> str:
    """RFC 5322 §3.3, in the zone given. Raises Wrong."""
    zone = timezone(timedelta(minutes=zone_minutes))
    try:
        return format_datetime(datetime.fromtimestamp(instant, UTC).astimezone(zone))
    except (OverflowError, ValueError):
        raise Wrong("It is out of the calendar") from None


def quote(text: str) -> str:
    """A quoted-string (RFC 5322 §3.2.4) of one line."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


_WRITERS: Mapping[Form, Callable[[object], str]] = {
    Form.RAW: lambda value: check_text(value).strip(),
    Form.TEXT: _write_text,
    Form.ADDRESSES: _write_addresses,
    Form.GROUPED_ADDRESSES: _write_grouped,
    Form.MESSAGE_IDS: _write_message_ids,
    Form.DATE: _write_date,
    Form.URLS: _write_urls,
}
