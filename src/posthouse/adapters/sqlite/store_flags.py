"""STORE: flags of many placements in two or three statements. Runs in the writer's thread, inside a unit.

RFC 9051 §6.4.6, UNCHANGEDSINCE of RFC 7162 §3.1.3. Only placements whose flags differ afterwards get a new modseq. In a
shared mailbox \\Seen is the reader's own (table `seen`); a change of it raises the placement's modseq for everybody.
"""

from __future__ import annotations

from typing import cast

from posthouse.adapters.sqlite.store_book import FLAGS_CHANGED, MailboxState
from posthouse.adapters.sqlite.store_expunge import where_uids
from posthouse.adapters.sqlite.store_patches import FlagsPatch
from posthouse.adapters.sqlite.store_sql import compress, numbers_json, placements_in, select_numbers, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, Flag, ModSeq, UidRange, UidSet
from posthouse.ms.uidsets import count, intersect, subtract
from posthouse.ports.store import FlagEdit, FlagMode, FlagResult

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_ALL_BITS = (1 << 62) - 1
_MAX_NOTED = 64  # ranges of one change: the rows say what really changed


def set_flags(unit: Unit, mailbox: int, uids: UidSet, edit: FlagEdit, reader: AccountId | None) -> FlagResult:
    """`reader`: who is not the owner."""
    box = unit.state.mailbox(mailbox)
    modified: UidSet = ()
    if edit.unchanged_since is not None:
        modified = compress(_list_uids(unit, box, uids, f"AND p.modseq > {int(edit.unchanged_since)}"))
        uids = subtract(uids, modified)
    makes = edit.mode is not FlagMode.REMOVE and not (modified and not _list_uids(unit, box, uids))
    add, keep = _as_masks(edit.mode, unit.book.flag_bits(unit.connection, unit.state, edit.flags, make=makes))
    seen: list[int] = []
    if reader is not None:
        seen = _set_seen(unit, box, _list_uids(unit, box, uids), (add, keep), reader)
        add, keep = add & ~_SEEN, keep | _SEEN
    since = box.modseq
    changed = _write_flags(unit, box, uids, (add, keep)) if uids else ()
    if changed and not seen:
        unit.book.patches.append(FlagsPatch(unit.account, box.mailbox, since, unit.modseq, changed, add, keep))
    if seen:
        changed = compress(sorted({*seen, *(uid for r in changed for uid in range(r.low, r.high + 1))}))
    if changed:
        _mark(unit, box, changed)
    return FlagResult(ModSeq(unit.state.modseq), changed, modified)


def _as_masks(mode: FlagMode, bits: int) -> tuple[int, int]:
    """flags = flags & keep | add"""
    if mode is FlagMode.ADD:
        return bits, _ALL_BITS
    if mode is FlagMode.REMOVE:
        return 0, _ALL_BITS & ~bits
    return bits, 0


def _list_uids(unit: Unit, box: MailboxState, uids: UidSet, where: str = "") -> list[int]:
    source, bound = placements_in(uids)
    return select_numbers(
        unit.connection, f"SELECT p.uid AS n FROM {source} {where} ORDER BY p.uid", (unit.account, box.mailbox, bound)
    )


def _write_flags(unit: Unit, box: MailboxState, uids: UidSet, masks: tuple[int, int]) -> UidSet:
    """Of thousands of placements only how many have which flags is looked at. Returns those that changed."""
    add, keep = masks
    groups = _group(unit, box, uids)
    changing = [(old, old & keep | add, count) for old, count, _, _ in groups if old & keep | add != old]
    if not changing:
        return ()
    for old, new, number in changing:
        count_flags(box, old, new, number)
    low, high = min([group[2] for group in groups]), max([group[3] for group in groups])
    total = sum([group[1] for group in groups])
    uids = (UidRange(low, high),) if high - low < total else _narrow(unit, box, uids, low, high, total)
    where, bindings = where_uids(uids)
    is_all = len(changing) == len(groups)
    if not is_all:
        where += " AND flags & ? | ? != flags"
        bindings = [(*values, keep, add) for values in bindings]
    for values in bindings:
        unit.connection.execute(
            f"UPDATE placement SET flags = flags & ? | ?, modseq = ? WHERE account = ? AND mailbox = ? AND {where}",
            (keep, add, unit.modseq, unit.account, box.mailbox, *values),
        )
    return uids if is_all else compress(_list_uids(unit, box, uids, f"AND p.modseq = {unit.modseq}"))


def _narrow(unit: Unit, box: MailboxState, uids: UidSet, low: int, high: int, total: int) -> UidSet:
    """Those that are there: a set may name four thousand millions that are not."""
    within = intersect(uids, (UidRange(low, high),))
    return within if total == count(within) else compress(_list_uids(unit, box, within))


def _group(unit: Unit, box: MailboxState, uids: UidSet) -> list[tuple[int, int, int, int]]:
    """(flags, how many have them, the first, the last)"""
    source, bound = placements_in(uids)
    rows = select_rows(
        unit.connection,
        "flags, n, low, high",
        f"SELECT p.flags, count(*) AS n, min(p.uid) AS low, max(p.uid) AS high FROM {source} GROUP BY p.flags",
        (unit.account, box.mailbox, bound),
    )
    return cast("list[tuple[int, int, int, int]]", rows)


def count_flags(box: MailboxState, old: int, new: int, number: int = 1) -> None:
    """The mailbox's counters after these flags of so many became those."""
    box.deleted += (bool(new & _DELETED) - bool(old & _DELETED)) * number
    unseen = _SEEN | _DELETED
    box.unseen += ((not new & unseen) - (not old & unseen)) * number


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
