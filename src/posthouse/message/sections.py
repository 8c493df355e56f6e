"""Section numbers of parts (RFC 9051 §6.4.5.1), and finding a part by them.

The message itself is "". A multipart's children are numbered from 1 below its own number. The message inside part
"2" (message/rfc822) is "2.0" here, where IMAP has no number for it; its parts are "2.1", "2.2", as IMAP says. A
message that is no multipart has one part, "1" (or "2.1"), which is the message itself: it has no entry of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.message.parsed import PartFacts


def number_below(section: str, number: int) -> str:
    """The section of the number-th part of the multipart `section`."""
    if section.endswith(".0"):
        return f"{section[:-1]}{number}"
    return f"{section}.{number}" if section else str(number)


def number_inside(section: str) -> str:
    """The section of the message that the message/rfc822 part `section` holds."""
    if section.endswith(".0"):
        return f"{section[:-1]}1.0"
    return f"{section}.0" if section else "1.0"


def find_section(parts: Sequence[PartFacts], section: str) -> PartFacts | None:
    """The part with that IMAP section number; of "1" of a message that is no multipart, that message's own entry."""
    for part in parts:
        if part.section == section:
            return part
    if section == "1" or section.endswith(".1"):
        whole = find_message(parts, section[:-2])
        if whole is not None and not whole.type.startswith("multipart/"):
            return whole
    return None


def find_message(parts: Sequence[PartFacts], section: str) -> PartFacts | None:
    """The message that "2.HEADER" and "2.TEXT" are of; of "" the message itself. None: part "2" is no message."""
    wanted = f"{section}.0" if section else ""
    for part in parts:
        if part.section == wanted:
            return part
    return None
