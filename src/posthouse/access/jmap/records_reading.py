"""Properties of records that clients give, one by one. Pure. Each raises RecordRefused that names the property."""

from __future__ import annotations

import re
from collections.abc import Mapping

from posthouse.message.address import Address, AddressError, parse_address
from posthouse.protocol.jmap.dates import read_utc_date
from posthouse.protocol.jmap.errors import RecordRefused, invalid_properties
from posthouse.protocol.jmap.json import MAX_INT, JsonObject

MAX_LINE = 1_000  # characters
MAX_ADDRESSES = 100
_BREAKS = re.compile(r"[\x00-\x1f\x7f]")


def read_text(members: Mapping[str, object], name: str) -> str:
    value = members.get(name)
    if not isinstance(value, str):
        raise invalid_properties([name], "It is a string")
    return value


def read_line(members: Mapping[str, object], name: str) -> str:
    """What may come into a header field: no line breaks, nothing that controls anything."""
    value = read_text(members, name)
    if _BREAKS.search(value):
        raise invalid_properties([name], "No line break and no control character may be in it")
    if len(value) > MAX_LINE:
        raise invalid_properties([name], f"It has at most {MAX_LINE} characters")
    return value


def read_flag(members: Mapping[str, object], name: str) -> bool:
    value = members.get(name)
    if not isinstance(value, bool):
        raise invalid_properties([name], "It is true or false")
    return value


def read_count(members: Mapping[str, object], name: str) -> int:
    value = members.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INT:
        raise invalid_properties([name], "It is an UnsignedInt")
    return value


def read_date(members: Mapping[str, object], name: str) -> tuple[str, float]:
    """As it was given, and in seconds since 1970."""
    value = members.get(name)
    instant = read_utc_date(value) if isinstance(value, str) else None
    if instant is None:
        raise invalid_properties([name], "It is a UTCDate")
    return str(value), instant


def read_mail_address(value: object, name: str) -> Address:
    if not isinstance(value, str):
        raise invalid_properties([name], "It is a string")
    try:
        return parse_address(value)
    except AddressError as error:
        raise invalid_properties([name], str(error)) from None


def read_addresses(members: Mapping[str, object], name: str) -> list[JsonObject] | None:
    """EmailAddress objects (RFC 8621 §4.1.2.3)."""
    value = members.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) > MAX_ADDRESSES:
        raise invalid_properties([name], f"It is null or a list of at most {MAX_ADDRESSES} addresses")
    return [_read_address(item, name) for item in value]


def _read_address(item: object, name: str) -> JsonObject:
    if not isinstance(item, dict) or not item.keys() <= {"name", "email"}:
        raise invalid_properties([name], 'An address has "name" and "email"')
    address = read_mail_address(item.get("email"), name)
    shown = item.get("name")
    if shown is not None:
        try:
            read_line(item, "name")
        except RecordRefused as refused:
            raise invalid_properties([name], refused.error.description) from None
    return {"name": shown, "email": str(address)}
