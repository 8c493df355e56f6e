"""JSON as JMAP speaks it: I-JSON (RFC 7493), bounded in depth (RFC 8620 §1.5).

`decode_json` takes octets of a stranger: it raises NotJson and nothing else. No member may come twice in an object,
no text may hold half a surrogate pair, and lists and objects lie at most `depth` deep. The work is done by msgspec;
names that come twice are found by counting members in the octets and in the result.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec

JsonObject = dict[str, object]
MAX_DEPTH = 64
MAX_INT = 2**53 - 1  # RFC 8620 §1.3

_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"[ \t\r\n]*+(:?)')
_DECODER: msgspec.json.Decoder[object] = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_Kind = TypeVar("_Kind")


class NotJson(ValueError):
    """Says why, in words for the client."""


def decode_json(octets: bytes, depth: int = MAX_DEPTH) -> object:
    """Raises NotJson."""
    try:
        value = _DECODER.decode(octets)
    except RecursionError:
        raise NotJson("It is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NotJson(str(error)) from None
    members = _count_members(value, depth)
    if members and members != _STRING.findall(octets).count(b":"):
        raise NotJson("An object has two members of one name")
    return value


def _count_members(value: object, depth: int) -> int:
    """Of all objects in it. Raises NotJson when it is deeper than that."""
    members = 0
    level: list[object] = [value] if isinstance(value, dict | list) else []
    while level:
        depth -= 1
        if depth < 0:
            raise NotJson("It is nested too deeply")
        below: list[object] = []
        for container in level:
            if isinstance(container, dict):
                members += len(container)
                below += [item for item in container.values() if isinstance(item, dict | list)]
            elif isinstance(container, list):
                below += [item for item in container if isinstance(item, dict | list)]
        level = below
    return members


def encode_json(value: object) -> bytes:
    """Of plain values and of msgspec structs."""
    return _ENCODER.encode(value)


def make_plain(value: object) -> object:
    """Structs as the dicts, lists and scalars that their JSON would be read as."""
    plain: object = msgspec.to_builtins(value)
    return plain


def make_object(value: msgspec.Struct | Mapping[str, object]) -> JsonObject:
    plain: JsonObject = msgspec.to_builtins(value)
    return plain


def convert(value: object, kind: type[_Kind]) -> _Kind:
    """A typed value of a plain one. Raises msgspec.ValidationError, whose text says what is wrong and where."""
    return msgspec.convert(value, kind)
