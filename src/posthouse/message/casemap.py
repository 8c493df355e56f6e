"""Text made comparable without regard to case: i;unicode-casemap (RFC 5051), the comparator of search and sort.

Characters are decomposed and put in upper case. Where RFC 5051 §2 asks for the simple title case of each character we
take the full upper case, which finds a little more ("ß" as "SS"). Two texts contain one another as this function
writes them. Pure; the time is in proportion to the length.
"""

from __future__ import annotations

import unicodedata

_ASCII = bytes(range(128))
_FEW = 16  # one octet in so many


def fold_case(text: str) -> str:
    """Upper case and decomposed; ASCII, as nearly all of mail, costs one pass in C."""
    if text.isascii():
        return text.upper()
    octets = text.encode("utf-8", "surrogatepass")
    others = octets.translate(None, _ASCII)
    folded = _fold_few(octets, others) if len(others) * _FEW <= len(octets) else None
    return unicodedata.normalize("NFKD", text).upper() if folded is None else folded


def _fold_few(octets: bytes, others: bytes) -> str | None:
    """Text with few characters beyond ASCII, a fifth of the time: these one by one, the rest as octets. None: one of
    them may change places with its neighbours when it is decomposed.
    """
    folded = octets.upper().decode("utf-8", "surrogatepass")
    for character in set(others.decode("utf-8", "surrogatepass")):
        decomposed = unicodedata.normalize("NFKD", character)
        if unicodedata.combining(decomposed[0]):
            return None
        folded = folded.replace(character, decomposed.upper())
    return folded
