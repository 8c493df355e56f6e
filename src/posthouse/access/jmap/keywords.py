"""Keywords of JMAP and flags of the store (RFC 8621 §4.1.1). Pure.

Four keywords are system flags, all others are the store's keywords in lower case. \\Deleted is no keyword: what has it
is invisible (ms/keywords.py), and "$deleted" is a keyword like any other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from posthouse.message.mailbox import KeywordTable, Placement
from posthouse.ms.keywords import merge_flags
from posthouse.protocol.jmap.errors import invalid_properties

_FLAGS = {"$seen": "\\Seen", "$draft": "\\Draft", "$flagged": "\\Flagged", "$answered": "\\Answered"}
_KEYWORDS = {flag: keyword for keyword, flag in _FLAGS.items()}
# RFC 8621 §4.1.1: 1 to 255 characters that an IMAP atom has, but no "]".
_KEYWORD = re.compile(r"[!#$&'+-\[^-z|}~]{1,255}", re.ASCII)


def is_keyword(text: str) -> bool:
    return _KEYWORD.fullmatch(text) is not None


def flag_of(keyword: str) -> str:
    """The name of the flag or keyword in the store."""
    folded = keyword.lower()
    return _FLAGS.get(folded, folded)


def write_keywords(placements: Iterable[Placement], table: KeywordTable) -> dict[str, bool]:
    """The `keywords` of an email with these placements."""
    bits = merge_flags(placement.flags for placement in placements)
    return dict.fromkeys(_name_bits(int(bits or 0), table), True)


@lru_cache(maxsize=1024)  # of the emails of an account most have one of few sets of flags
def _name_bits(bits: int, table: KeywordTable) -> tuple[str, ...]:
    return tuple([_KEYWORDS.get(name, name.lower()) for name in table.flags_of(bits) if name != "\\Deleted"])


def read_keywords(value: object) -> frozenset[str]:
    """The flags that a `keywords` property names. Raises RecordRefused."""
    if value is None:
        return frozenset()
    if not isinstance(value, Mapping):
        raise invalid_properties(["keywords"], "It is an object")
    wrong = [f"keywords/{name}" for name, is_set in value.items() if is_set is not True or not is_keyword(name)]
    if wrong:
        raise invalid_properties(wrong)
    return frozenset(map(flag_of, value))
