"""JMAP's view on placements: an email, its mailboxes and its keywords changed in one unit.

How keywords merge and spread is the table of docs/internals.md "Flags". Placements with \\Deleted are invisible to JMAP
(RFC 8621 §4.1.1) and are left alone. Runs in the writer's thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from posthouse.adapters.sqlite.store_add import count_in
from posthouse.adapters.sqlite.store_book import FLAGS_CHANGED, MailboxState
from posthouse.adapters.sqlite.store_expunge import remove_placements
from posthouse.adapters.sqlite.store_flags import count_flags
from posthouse.adapters.sqlite.store_sql import read_number, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import MAX_UID, EmailId, Flag, MailboxId, ModSeq
from posthouse.ports.store import FlagDelta, NoSuchMailbox, TooMany

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
Visible = list[tuple[int, int, int]]  # mailbox, UID, flags


def merge_flags(flags: Sequence[int]) -> int:
    """What JMAP shows of visible placements: \\Seen if all have it, any other if one has it."""
    merged = 0
    for bits in flags:
        merged |= bits
    if not all(bits & _SEEN for bits in flags):
        merged &= ~_SEEN
    return merged & ~_DELETED


def place_email(
    unit: Unit,
    email: EmailId,
    into: Sequence[MailboxId],
    out_of: Sequence[MailboxId],
    flags: frozenset[str] | FlagDelta | None,
) -> ModSeq:
    """Raises NoSuchMailbox for an unknown mailbox or email."""
    boxes = [unit.state.mailbox(mailbox) for mailbox in dict.fromkeys(into)]
    for left in out_of:
        unit.state.mailbox(left)
    visible = find_visible(unit, email)
    if not visible:
        raise NoSuchMailbox(f"no email {email}")
    size = read_number(unit.connection, "SELECT size FROM email WHERE account = ? AND email = ?", (unit.account, email))
    assert size is not None
    if flags is not None:
        visible = _spread_flags(unit, visible, _wanted_bits(unit, visible, flags) & ~_DELETED)
    merged = merge_flags([row[2] for row in visible])
    there = {row[0] for row in visible}
    for box in boxes:
        if box.mailbox not in there:
            place_one(unit, box, email, merged, size)
    leaving = set(out_of) - set(into)
    for mailbox, uid, old in visible:
        if mailbox in leaving:
            remove_placements(unit, unit.state.mailbox(mailbox), [(uid, email, old, size)])
    return ModSeq(unit.state.modseq)


def _wanted_bits(unit: Unit, visible: Visible, flags: frozenset[str] | FlagDelta) -> int:
    book, connection = unit.book, unit.connection
    if not isinstance(flags, FlagDelta):
        return book.flag_bits(connection, unit.state, flags, make=True)
    gone = book.flag_bits(connection, unit.state, flags.remove, make=False)
    return (
        merge_flags([row[2] for row in visible]) | book.flag_bits(connection, unit.state, flags.add, make=True)
    ) & ~gone


def find_visible(unit: Unit, email: EmailId) -> Visible:
    rows = select_rows(
        unit.connection,
        "mailbox, uid, flags",
        "SELECT mailbox, uid, flags FROM placement WHERE account = ? AND email = ?"
        f" AND NOT flags & {_DELETED} ORDER BY mailbox, uid",
        (unit.account, email),
    )
    return cast(Visible, [tuple(row) for row in rows])


def _spread_flags(unit: Unit, visible: Visible, bits: int) -> Visible:
    for mailbox, uid, old in visible:
        if old != bits:
            box = unit.state.mailbox(mailbox)
            unit.connection.execute(
                "UPDATE placement SET flags = ?, modseq = ? WHERE account = ? AND mailbox = ? AND uid = ?",
                (bits, unit.modseq, unit.account, mailbox, uid),
            )
            count_flags(box, old, bits)
            box.modseq = unit.modseq
            unit.book.mark_mailbox(unit.state, box)
            unit.book.note(unit.state, unit.modseq, FLAGS_CHANGED, mailbox, ((uid, uid),))
    return [(mailbox, uid, bits) for mailbox, uid, _ in visible]


def place_one(unit: Unit, box: MailboxState, email: int, flags: int, size: int) -> int:
    """A new placement. Returns its UID."""
    uid = box.uidnext
    if uid >= MAX_UID:
        raise TooMany("UIDs of the mailbox are used up")
    unit.connection.execute(
        "INSERT INTO placement VALUES (?, ?, ?, ?, ?, ?, ?)",
        (unit.account, box.mailbox, uid, email, flags, unit.modseq, unit.now_us),
    )
    box.uidnext = uid + 1
    box.modseq = unit.modseq
    count_in(box, 1, flags, size)
    unit.book.mark_mailbox(unit.state, box)
    return uid
