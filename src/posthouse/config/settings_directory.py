"""The settings of the directory: how addresses are read. Annotations are read at run time (see settings.py)."""

from dataclasses import dataclass
from typing import Annotated

import msgspec

from posthouse.config.kinds import BadValueError, Key, Whole, quote_toml

_SEPARATORS = frozenset("+-_=.#~!%&$*^/|")


@dataclass(frozen=True, slots=True)
class Separators:
    """Characters that end the name and begin the tag; none: addresses have no tags."""

    allowed: str = 'characters such as "+" or "+-"; "" for none'

    def read(self, value: object) -> str:
        if not isinstance(value, str) or not _SEPARATORS.issuperset(value):
            raise BadValueError(f"must be a string of some of: {' '.join(sorted(_SEPARATORS))}")
        return value

    def write(self, value: object) -> str:
        return quote_toml(str(value))


class DirectorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """How addresses of accounts and aliases are read. The accounts themselves are made by commands."""

    subaddress: Annotated[
        str,
        Key(Separators(), "What may stand between a name and its tag, as in user+tag; the longest name counts."),
    ] = "+"
    max_targets: Annotated[
        int, Key(Whole(1, 1_000_000), "Addresses that one alias may stand for in all; beyond, its mail is put off.")
    ] = 1000
    max_alias_depth: Annotated[int, Key(Whole(1, 50), "Aliases of aliases that are followed.")] = 10
    cache_entries: Annotated[int, Key(Whole(100, 10_000_000), "Addresses each worker remembers.")] = 20_000
