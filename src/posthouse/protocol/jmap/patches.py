"""PatchObject: what an update changes of a record (RFC 8620 §5.3). Pure.

A patch is applied to a copy; only what it touches is copied. Raises RecordRefused with invalidPatch when it breaks one
of the rules: nothing inside a list, everything but the last token must be there, no pointer within another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from posthouse.protocol.jmap.errors import RecordRefused, SetErrorType, refuse_record
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.pointers import PointerFails, split_tokens

MAX_TOKENS = 32


def apply_patch(
    record: Mapping[str, object], patch: Mapping[str, object], defaults: Mapping[str, object] | None = None
) -> JsonObject:
    """The record afterwards. `null` gives a property its default of `defaults` (by name), or removes what it names."""
    paths = [_split(pointer) for pointer in patch]
    _refuse_overlap(paths)
    changed = dict(record)
    fresh: dict[int, JsonObject] = {}  # objects copied already, which may be written to
    for path, value in zip(paths, patch.values(), strict=True):
        target = _descend(changed, path, fresh)
        name = path[-1]
        if value is not None:
            target[name] = value
        elif defaults and len(path) == 1 and name in defaults:
            target[name] = defaults[name]
        else:
            target.pop(name, None)
    return changed


def _split(pointer: str) -> tuple[str, ...]:
    try:
        tokens = split_tokens(pointer)
    except PointerFails as problem:
        raise _refuse(str(problem)) from None
    if len(tokens) > MAX_TOKENS:
        raise _refuse("The pointer is too long")
    return tuple(tokens)


def _refuse_overlap(paths: Sequence[tuple[str, ...]]) -> None:
    """Sorted, a pointer that lies within another follows it, or follows one that does."""
    ordered = sorted(paths)
    for before, after in pairwise(ordered):
        if after[: len(before)] == before:
            raise _refuse(f"Two changes of the same: {'/'.join(before)[:100]!r}")


def _descend(record: JsonObject, path: tuple[str, ...], fresh: dict[int, JsonObject]) -> JsonObject:
    """The object that holds what the path names, copied on the way."""
    target = record
    for token in path[:-1]:
        inner = target.get(token)
        if isinstance(inner, list):
            raise _refuse("A list is changed as a whole")
        if not isinstance(inner, dict):
            raise _refuse(f"There is no object {token[:100]!r}")
        if id(inner) not in fresh:
            inner = dict(inner)
            fresh[id(inner)] = inner
            target[token] = inner
        target = inner
    return target


def _refuse(description: str) -> RecordRefused:
    return refuse_record(SetErrorType.INVALID_PATCH, description)
