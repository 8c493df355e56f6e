"""SearchSnippet objects (RFC 8621 §5): what was found, marked, with the text about it. Pure.

What comes out is HTML: text of a stranger with everything escaped and nothing in it but `<mark>` elements.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence

import msgspec

from posthouse.protocol.jmap.arguments import Arguments
from posthouse.protocol.jmap.json import JsonObject

MAX_PREVIEW = 255  # octets (RFC 8621 §5)
_MAX_LOOKED_AT = 262_144  # characters
_MAX_TERMS = 20
_BEFORE = 60  # characters shown before the first match
_OPEN, _CLOSE = "<mark>", "</mark>"


class SnippetGetArguments(Arguments, kw_only=True):
    """RFC 8621 §5.1. `filter` as of Email/query."""

    account_id: str
    filter: JsonObject | None = None
    email_ids: list[str]


class SearchSnippet(msgspec.Struct, frozen=True, rename="camel"):
    email_id: str
    subject: str | None = None
    preview: str | None = None


def make_snippet(
    email_id: str, subject: str, text: str, subject_terms: Sequence[str], text_terms: Sequence[str]
) -> SearchSnippet:
    """`text`: of the body, decoded. The terms are texts that were searched for, in any case."""
    return SearchSnippet(email_id, mark_text(subject, subject_terms), mark_preview(text, text_terms))


def mark_text(text: str, terms: Sequence[str]) -> str | None:
    """The whole text with what was found marked; None: nothing was."""
    pattern = _make_pattern(terms)
    if pattern is None or pattern.search(text) is None:
        return None
    return "".join(_mark(text, pattern))


def mark_preview(text: str, terms: Sequence[str]) -> str | None:
    """MAX_PREVIEW octets about the first place at most; None: nothing was found."""
    pattern = _make_pattern(terms)
    if pattern is None:
        return None
    text = " ".join(text[:_MAX_LOOKED_AT].split())  # five times as fast as a pattern
    found = pattern.search(text)
    if found is None:
        return None
    start = _find_word(text, max(0, found.start() - _BEFORE), found.start())
    room, pieces = MAX_PREVIEW, list[str]()
    for piece in _mark(text[start : start + MAX_PREVIEW], pattern):
        taken = _cut_piece(piece, room)
        pieces.append(taken)
        room -= len(taken.encode("utf-8", "replace"))
        if taken != piece:
            break
    return "".join(pieces)


def _make_pattern(terms: Sequence[str]) -> re.Pattern[str] | None:
    known = sorted({term for term in terms[:_MAX_TERMS] if term.strip()}, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, known)), re.IGNORECASE) if known else None


def _mark(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Escaped pieces: single characters of what is not found, so that one may be cut off, and marked ones whole."""
    pieces: list[str] = []
    at = 0
    for found in pattern.finditer(text):
        pieces += map(html.escape, text[at : found.start()])
        pieces.append(f"{_OPEN}{html.escape(found[0])}{_CLOSE}")
        at = found.end()
    pieces += map(html.escape, text[at:])
    return pieces


def _cut_piece(piece: str, room: int) -> str:
    return piece if len(piece.encode("utf-8", "replace")) <= room else ""


def _find_word(text: str, start: int, end: int) -> int:
    """Where a word begins, not before `start`."""
    if not start:
        return 0
    at = text.find(" ", start, end)
    return at + 1 if at >= 0 else start
