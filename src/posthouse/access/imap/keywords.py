"""Flags and keywords of the selected mailbox as its client knows them (RFC 9051 §7.1, §7.3.5).

A keyword that the client has not heard of is told before a message that has it.
"""

from __future__ import annotations

from posthouse.access.imap.context import Context
from posthouse.access.imap.selected import Selected
from posthouse.message.mailbox import FIRST_KEYWORD_BIT, KeywordTable
from posthouse.protocol.imap.render import write_flags, write_status

_SYSTEM = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"]


async def learn_keywords_of(context: Context, flags: int) -> None:
    """`flags`: the largest that the client is going to see."""
    if flags >= 1 << (FIRST_KEYWORD_BIT + len(context.mailbox.keywords.names)):
        await learn_keywords(context)


async def learn_keywords(context: Context) -> None:
    selected = context.mailbox
    fresh = await context.desk.store.messages.keywords(selected.place.owner)
    if fresh != selected.keywords:
        selected.keywords = fresh
        context.write(write_keywords(context, selected))


def write_keywords(context: Context, selected: Selected) -> bytes:
    """FLAGS and PERMANENTFLAGS (RFC 9051 §7.1, §7.3.5)."""
    known = _known_flags(selected.keywords)
    text = "Read-only mailbox" if selected.is_read_only else "What can be kept"
    return b"* FLAGS %b\r\n%b" % (
        write_flags(known),
        write_status(b"*", b"OK", text, b"PERMANENTFLAGS %b" % write_flags(permanent_flags(selected))),
    )


def _known_flags(table: KeywordTable) -> list[str]:
    return _SYSTEM + [name for name in table.names if name]


def permanent_flags(selected: Selected) -> list[str]:
    """By the rights of RFC 4314 §4: s, t and w are about \\Seen, \\Deleted and all others."""
    if selected.is_read_only:
        return []
    place = selected.place
    has_own_seen = place.viewer is not None  # kept per reader
    allowed = ["\\Seen"] if place.may("s") or has_own_seen else []
    allowed += ["\\Deleted"] if place.may("t") else []
    if place.may("w"):
        allowed += ["\\Answered", "\\Flagged", "\\Draft", *(name for name in selected.keywords.names if name), "\\*"]
    return allowed
