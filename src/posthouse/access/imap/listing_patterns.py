"""Patterns of LIST and LSUB (RFC 9051 §6.3.9): "*" matches anything, "%" all but the hierarchy separator.

A pattern becomes a regular expression in which nothing is tried twice: between wildcards the first place that fits is
taken for good, which loses no match, because what follows could only begin later. So no pattern takes more than the
square of a name's length. INBOX matches in any case, as first part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from posthouse.access.imap.place import SEPARATOR

Matcher = Callable[[str], bool]
_STARS = re.compile(r"[*%]*\*[*%]*")
_PERCENTS = re.compile(r"%+")
_WILD = re.compile(r"[*%]")
_INBOX = "INBOX"


def compile_patterns(patterns: Sequence[str]) -> Matcher:
    """Whether any of them matches."""
    unique = list(dict.fromkeys(patterns))
    cased = [re.compile(_translate(pattern), re.DOTALL) for pattern in unique]
    of_inbox = [re.compile(_translate(_raise(pattern)), re.DOTALL) for pattern in unique]

    def match(name: str) -> bool:
        if any(pattern.fullmatch(name) for pattern in cased):
            return True
        is_inbox = name == _INBOX or name.startswith(_INBOX + SEPARATOR)
        return is_inbox and any(pattern.fullmatch(name) for pattern in of_inbox)

    return match


def literal_start(pattern: str) -> str:
    """What every name it matches begins with (but for the case of INBOX)."""
    found = _WILD.search(pattern)
    return pattern if found is None else pattern[: found.start()]


def _raise(pattern: str) -> str:
    first, separator, rest = pattern.partition(SEPARATOR)
    return first.upper() + separator + rest


def _translate(pattern: str) -> str:
    """The pieces between "*" are found from left to right; the last one has to end the name."""
    first, *others = _STARS.split(pattern)
    if not others:
        return _write_piece(first, is_last=True)
    *middle, last = others
    written = [_write_piece(first, is_last=False)]
    written += [f"(?>.*?{_write_piece(piece, is_last=False)})" for piece in middle if piece]
    written.append(f".*?{_write_piece(last, is_last=True)}" if last else ".*")
    return "".join(written)


def _write_piece(piece: str, *, is_last: bool) -> str:
    """Literals with "%" between them. The last literal of all is looked for at the end, the others at the first place
    that fits.
    """
    first, *others = (re.escape(literal) for literal in _PERCENTS.split(piece))
    if not others:
        return first
    *middle, last = others
    written = [first, *(f"(?>[^/]*?{literal})" for literal in middle)]
    if not last:
        written.append("[^/]*" if is_last else "")
    else:
        written.append(f"[^/]*?{last}" if is_last else f"(?>[^/]*?{last})")
    return "".join(written)
