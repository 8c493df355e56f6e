"""The base subject (RFC 5256 §2.1): what is left when "Re:", "Fwd:", "[list]" and "(fwd)" are taken off.

The subject comes decoded (RFC 2047). Linear in its length, which is bounded; never raises. What to compare with is
the business of the caller (`casemap.fold_case`).
"""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_SUBJECT = 4096

_SPACE = re.compile(r"[\s\x00]+")
# The names are those of the ABNF in RFC 5256 §5. Possessive throughout, so that nothing is tried twice.
_BLOB = r"\[[^\[\]]*+\][ ]*+"
_REFWD = re.compile(rf"(?:re|fwd?+)[ ]*+(?:{_BLOB})?+:", re.IGNORECASE)
_LEADER = re.compile(rf"(?:[ ]++|(?:{_BLOB})*+{_REFWD.pattern})++", re.IGNORECASE)
_BLOBS = re.compile(rf"(?:{_BLOB})++")
_FWD_HEADER = "[fwd:"
_FWD_TRAILER = "(fwd)"


class BaseSubject(NamedTuple):
    """`text` in the case it came in. `is_reply_or_forward`: something that says so was taken off."""

    text: str
    is_reply_or_forward: bool


def base_subject(subject: str) -> BaseSubject:
    """The steps of RFC 5256 §2.1, by moving the two ends of what is left."""
    text = _SPACE.sub(" ", subject[:MAX_SUBJECT])
    lower = text.lower()
    if len(lower) != len(text):  # a few letters change their length: then only ASCII counts
        lower = "".join(letter.lower() if letter.isascii() else letter for letter in text)
    start, end = 0, len(text)
    is_reply = False
    while True:
        end, is_forward = _cut_trailer(lower, start, end)  # step 2
        start, is_answer = _cut_leaders(lower, start, end)  # steps 3 to 5
        is_reply = is_reply or is_forward or is_answer
        if not (lower.startswith(_FWD_HEADER, start, end) and lower.endswith("]", start, end)):  # step 6
            return BaseSubject(text[start:end], is_reply)
        start, end, is_reply = start + len(_FWD_HEADER), end - 1, True


def _cut_trailer(lower: str, start: int, end: int) -> tuple[int, bool]:
    is_forward = False
    while end > start:
        if lower.endswith(" ", start, end):
            end -= 1
        elif lower.endswith(_FWD_TRAILER, start, end):
            end -= len(_FWD_TRAILER)
            is_forward = True
        else:
            break
    return end, is_forward


def _cut_leaders(lower: str, start: int, end: int) -> tuple[int, bool]:
    """Take "Re:", "[list] Re:" and then "[list]" off, but never leave nothing in place of a blob."""
    is_reply = False
    leader = _LEADER.match(lower, start, end)
    if leader is not None:
        is_reply = ":" in leader[0]
        start = leader.end()
    blobs = _BLOBS.match(lower, start, end)
    if blobs is None:
        return start, is_reply
    if blobs.end() < end:
        return blobs.end(), is_reply
    return lower.rindex("[", start, end), is_reply
