"""One email, several placements: what JMAP sees as its keywords, and where a change by JMAP goes (RFC 8621 §4.1.1).

IMAP keeps flags per placement, JMAP per email. Placements with \\Deleted are invisible to JMAP: they count in nothing
and a change does not touch them.

    \\Seen           set when every visible placement has it: a copy that is unread is never overlooked
    all others      set when any visible placement has it

A change by JMAP names the keywords that the email shall have. All its visible placements get exactly these; a
placement that is added gets what the email has. A mailbox that is left loses the visible placements of the email
(hidden ones are left to EXPUNGE); one that is entered gets a new placement, unless a visible one is there. Pure
functions on flag bits.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from posthouse.message.mailbox import Flag, MailboxId, Uid

_ALL_MUST = int(Flag.SEEN)
_DELETED = int(Flag.DELETED)


def is_visible(flags: int) -> bool:
    return not flags & _DELETED


def merge_flags(placements: Iterable[int]) -> int | None:
    """The flag bits of an email from those of all its placements; None: invisible to JMAP."""
    visible = [flags for flags in placements if is_visible(flags)]
    if not visible:
        return None
    merged, common = 0, -1
    for flags in visible:
        merged |= flags
        common &= flags
    return (merged & ~_ALL_MUST) | (common & _ALL_MUST)


@dataclass(frozen=True, slots=True)
class Held:
    """A placement of the email: where, and its flag bits."""

    mailbox: MailboxId
    uid: Uid
    flags: int


@dataclass(frozen=True, slots=True)
class PlacingPlan:
    """`flags` belong to every new placement. `changed` get them too. `removed` go. In the order of what was given."""

    flags: int
    entered: tuple[MailboxId, ...] = ()
    changed: tuple[Held, ...] = ()
    removed: tuple[Held, ...] = ()


def plan_placing(
    held: Sequence[Held], into: Sequence[MailboxId], out_of: Collection[MailboxId], flags: int | None
) -> PlacingPlan:
    """JMAP's Email/set on one email. `flags` are all it shall have, None: as it is. A mailbox in both is entered."""
    wanted = flags if flags is not None else merge_flags(item.flags for item in held) or 0
    wanted &= ~_DELETED
    left = set(out_of) - set(into)
    visible = [item for item in held if is_visible(item.flags)]
    staying = [item for item in visible if item.mailbox not in left]
    present = {item.mailbox for item in staying}
    return PlacingPlan(
        wanted,
        tuple(mailbox for mailbox in dict.fromkeys(into) if mailbox not in present),
        () if flags is None else tuple(item for item in staying if item.flags != wanted),
        tuple(item for item in visible if item.mailbox in left),
    )
