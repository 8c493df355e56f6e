"""Text made comparable without regard to case: i;unicode-casemap (RFC 5051), the comparator of search and sort.

Characters are decomposed and put in upper case. Where RFC 5051 §2 asks for the simple title case of each character we
take the full upper case, which finds a little more ("ß" as "SS"). Two texts contain one another as this function
writes them. Pure; the time is in proportion to the length.
"""

from __future__ import annotations

import unicodedata


def fold_case(text: str) -> str:
    """Upper case and decomposed; ASCII, as nearly all of mail, costs one pass in C."""
    if text.isascii():
        return text.upper()
    return unicodedata.normalize("NFKD", text).upper()
