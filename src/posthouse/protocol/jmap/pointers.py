"""JSON pointers (RFC 6901), with the "*" of result references (RFC 8620 §3.7). Pure; raises PointerFails alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

_EACH = "*"
_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,9}", re.ASCII)  # array-index (RFC 6901 §4)


class PointerFails(ValueError):
    """It is no pointer, or leads nowhere."""


def parse_pointer(text: str) -> list[str]:
    """The reference tokens; of "", which is the whole value, none."""
    if not text:
        return []
    if not text.startswith("/"):
        raise PointerFails("A pointer begins with a slash")
    return split_tokens(text[1:])


def split_tokens(text: str) -> list[str]:
    """Of a pointer without its first slash, as a PatchObject has it."""
    if "~" not in text:
        return text.split("/")
    if _BAD_ESCAPE.search(text):
        raise PointerFails('"~" is only for "~0" and "~1"')
    return [token.replace("~1", "/").replace("~0", "~") for token in text.split("/")]


def find_value(value: object, pointer: str) -> object:
    """What a pointer leads to. Raises PointerFails."""
    return _walk(value, parse_pointer(pointer), 0)


def _walk(value: object, tokens: Sequence[str], at: int) -> object:
    for number in range(at, len(tokens)):
        token = tokens[number]
        if isinstance(value, dict):
            if token not in value:
                raise PointerFails(f"There is no {token[:100]!r}")
            value = value[token]
        elif isinstance(value, list) and token == _EACH:
            return _walk_all(value, tokens, number + 1)
        elif isinstance(value, list):
            value = _take_item(value, token)
        else:
            raise PointerFails(f"{token[:100]!r} would be inside of what is neither an object nor a list")
    return value


def _walk_all(items: Sequence[object], tokens: Sequence[str], at: int) -> list[object]:
    """The rest of the pointer on each item; what is a list itself is taken apart (RFC 8620 §3.7)."""
    found: list[object] = []
    for item in items:
        result = _walk(item, tokens, at)
        if isinstance(result, list):
            found.extend(result)
        else:
            found.append(result)
    return found


def _take_item(items: Sequence[object], token: str) -> object:
    if not _INDEX.fullmatch(token) or int(token) >= len(items):
        raise PointerFails(f"There is no item {token[:100]!r}")
    return items[int(token)]
