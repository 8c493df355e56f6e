"""STORE: flags of many placements in two or three statements. Runs in the writer's thread, inside a unit.

RFC 9051 §6.4.6, UNCHANGEDSINCE of RFC 7162 §3.1.3. Only placements whose flags differ afterwards get a new modseq. In a
shared mailbox \\Seen is the reader's own (table `seen`); a change of it raises the placement's modseq for everybody.
"""

from __future__ import annotations

from typing import cast

from posthouse.adapters.sqlite.store_book import FLAGS_CHANGED, MailboxState
from posthouse.adapters.sqlite.store_expunge import where_uids
from posthouse.adapters.sqlite.store_sql import compress, numbers_json, placements_in, select_numbers, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, Flag, ModSeq, UidRange, UidSet
from posthouse.ms.uidsets import count
from posthouse.ports.store import FlagEdit, FlagMode, FlagResult

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_ALL_BITS = (1 << 62) - 1
_MAX_NOTED = 64  # ranges of one change: the rows say what really changed


def set_flags(unit: Unit, mailbox: int, uids: UidSet, edit: FlagEdit, reader: AccountId | None) -> FlagResult:
    """`reader`: who is not the owner."""
    box = unit.state.mailbox(mailbox)
    bits = unit.book.flag_bits(unit.connection, unit.state, edit.flags, make=edit.mode is not FlagMode.REMOVE)
    add, keep = _as_masks(edit.mode, bits)
    source, bound = placements_in(uids)
    rows = cast(
        "list[tuple[int, int, int]]",
        select_rows(
            unit.connection,
            "uid, flags, modseq",
            f"SELECT p.uid, p.flags, p.modseq FROM {source} ORDER BY p.uid",
            (unit.account, box.mailbox, bound),
        ),
    )
    modified: list[int] = []
    if edit.unchanged_since is not None:
        modified = [row[0] for row in rows if row[2] > edit.unchanged_since]
        rows = [row for row in rows if row[2] <= edit.unchanged_since]
    seen: list[int] = []
    if reader is not None:
        seen = _set_seen(unit, box, [row[0] for row in rows], (add, keep), reader)
        add, keep = add & ~_SEEN, keep | _SEEN
    changed = _write_flags(unit, box, rows, (add, keep), uids)
    if seen:
        changed = compress(sorted({*seen, *(uid for r in changed for uid in range(r.low, r.high + 1))}))
    if changed:
        _mark(unit, box, changed)
    return FlagResult(ModSeq(unit.state.modseq), changed, compress(modified))


def _as_masks(mode: FlagMode, bits: int) -> tuple[int, int]:
    """flags = flags & keep | add"""
    if mode is FlagMode.ADD:
        return bits, _ALL_BITS
    if mode is FlagMode.REMOVE:
        return 0, _ALL_BITS & ~bits
    return bits, 0


def _write_flags(
    unit: Unit, box: MailboxState, rows: list[tuple[int, int, int]], masks: tuple[int, int], asked: UidSet
) -> UidSet:
    add, keep = masks
    changed = [(uid, flags, flags & keep | add) for uid, flags, _ in rows if flags & keep | add != flags]
    if not changed:
        return ()
    count_flags(box, [(old, new) for _, old, new in changed])
    uids = asked if len(changed) == count(asked) else compress([row[0] for row in changed])
    where, bindings = where_uids(uids)
    for values in bindings:
        unit.connection.execute(
            f"UPDATE placement SET flags = flags & ? | ?, modseq = ? WHERE account = ? AND mailbox = ? AND {where}",
            (keep, add, unit.modseq, unit.account, box.mailbox, *values),
        )
    return uids


def count_flags(box: MailboxState, changed: list[tuple[int, int]]) -> None:
    """The mailbox's counters after these flags became those."""
    box.deleted += sum([(new & _DELETED) - (old & _DELETED) for old, new in changed]) // _DELETED
    unseen = _SEEN | _DELETED
    box.unseen += sum([(not new & unseen) - (not old & unseen) for old, new in changed])


def _mark(unit: Unit, box: MailboxState, uids: UidSet) -> None:
    box.modseq = unit.modseq
    unit.book.mark_mailbox(unit.state, box)
    unit.book.note_set(unit.state, unit.modseq, FLAGS_CHANGED, box.mailbox, bridge(uids))


def bridge(ranges: UidSet) -> UidSet:
    """At most so many ranges: a range of changes may name more than changed."""
    if len(ranges) <= _MAX_NOTED:
        return ranges
    step = -(-len(ranges) // _MAX_NOTED)
    pieces = [ranges[start : start + step] for start in range(0, len(ranges), step)]
    return tuple(UidRange(piece[0].low, piece[-1].high) for piece in pieces)


def _set_seen(unit: Unit, box: MailboxState, uids: list[int], masks: tuple[int, int], reader: AccountId) -> list[int]:
    add, keep = masks
    key = (unit.account, box.mailbox, reader)
    connection = unit.connection
    seen = set(
        select_numbers(connection, "SELECT uid AS n FROM seen WHERE account = ? AND mailbox = ? AND reader = ?", key)
    )
    if add & _SEEN:
        changed = [uid for uid in uids if uid not in seen]
        sql = "INSERT INTO seen SELECT ?, ?, ?, value FROM json_each(?)"
    elif not keep & _SEEN:
        changed = [uid for uid in uids if uid in seen]
        sql = (
            "DELETE FROM seen WHERE account = ? AND mailbox = ? AND reader = ? AND uid IN"
            " (SELECT value FROM json_each(?))"
        )
    else:
        return []
    connection.execute(sql, (*key, numbers_json(changed)))
    where, bindings = where_uids(compress(changed))
    for values in bindings if changed else ():
        connection.execute(
            f"UPDATE placement SET modseq = ? WHERE account = ? AND mailbox = ? AND {where}",
            (unit.modseq, unit.account, box.mailbox, *values),
        )
    return changed
