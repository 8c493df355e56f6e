"""SASLprep (RFC 4013): user names and passwords in one normal form, whatever keyboard they came from."""

from __future__ import annotations

import stringprep
import unicodedata

_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class PrepError(ValueError):
    """The text holds a character that user names and passwords may not hold."""


def prepare(text: str) -> str:
    """Raises PrepError. Unassigned code points are allowed, as for a query (RFC 4013 §2.5)."""
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        [" " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)]
    )
    normal = unicodedata.normalize("NFKC", mapped)
    for char in normal:
        if any(is_prohibited(char) for is_prohibited in _PROHIBITED):
            raise PrepError(f"character U+{ord(char):04X} is not allowed")
    _check_bidi(normal)
    return normal


def _check_bidi(text: str) -> None:
    """RFC 3454 §6: text with right-to-left characters begins and ends with one and has no left-to-right ones."""
    if not any(stringprep.in_table_d1(char) for char in text):
        return
    if any(stringprep.in_table_d2(char) for char in text):
        raise PrepError("left-to-right and right-to-left characters are mixed")
    if not (stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])):
        raise PrepError("right-to-left text must begin and end with a right-to-left character")
