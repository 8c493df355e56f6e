"""Placements that go, and emails whose last one went.

Runs in the writer's thread, inside a unit. What goes leaves a tombstone (its UIDs); an email without a placement is
kept for the undelete time. A placement that leaves Scheduled cancels what was to be sent from there
(docs/internals.md "A submission").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from posthouse.adapters.sqlite.bulk import Value
from posthouse.adapters.sqlite.store_bodies import release_bodies
from posthouse.adapters.sqlite.store_book import (
    EMAILS_CHANGED,
    EMAILS_DESTROYED,
    EXPUNGED,
    SUBMISSIONS_CHANGED,
    MailboxState,
)
from posthouse.adapters.sqlite.store_sql import (
    IN_LIST,
    as_mask,
    compress,
    numbers_json,
    placements_in,
    select_numbers,
    select_rows,
)
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import Flag, Role, Uid, UidRange, UidSet

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_FEW_RANGES = 16
ALL_UIDS: UidSet = (UidRange(1, 2**32 - 1),)


def find_placements(unit: Unit, box: MailboxState, uids: UidSet, where: str = "") -> list[tuple[int, int, int, int]]:
    """(UID, email, flags, size) of those that are there, by UID."""
    source, bound = placements_in(uids)
    rows = select_rows(
        unit.connection,
        "uid, email, flags, size",
        "SELECT uid, e.email, flags, size FROM (SELECT p.uid, p.email, p.flags"
        f" FROM {source} {where} ORDER BY p.uid) q CROSS JOIN email e ON e.account = ?1 AND e.email = q.email",
        (unit.account, box.mailbox, bound),
    )
    return cast("list[tuple[int, int, int, int]]", rows)


def expunge_all(unit: Unit, box: MailboxState) -> None:
    """Everything in the mailbox."""
    remove_placements(unit, box, find_placements(unit, box, ALL_UIDS))


def expunge_deleted(unit: Unit, mailbox: int, uids: UidSet | None) -> UidSet:
    box = unit.state.mailbox(mailbox)
    if not box.deleted:
        return ()
    found = find_placements(unit, box, ALL_UIDS if uids is None else uids, f"AND p.flags & {_DELETED}")
    return remove_placements(unit, box, found)


def remove_placements(
    unit: Unit, box: MailboxState, going: Sequence[tuple[int, int, int, int]], *, is_move: bool = False
) -> UidSet:
    """`going` as `find_placements` gave it. A move has placed them elsewhere before."""
    if not going:
        return ()
    uids = compress(Uid(row[0]) for row in going)
    delete_ranges(unit, box, uids)
    if not is_move:
        _note_emails(unit, box, going)
    box.total -= len(going)
    box.octets -= sum(row[3] for row in going)
    box.deleted -= sum(1 for row in going if row[2] & _DELETED)
    box.unseen -= sum(1 for row in going if not row[2] & (_SEEN | _DELETED))
    box.modseq = unit.modseq
    unit.book.mark_mailbox(unit.state, box)
    unit.book.note_set(unit.state, unit.modseq, EXPUNGED, box.mailbox, uids)
    if box.role == Role.SCHEDULED.value:
        cancel_submissions(unit, {row[1] for row in going})
    return uids


def delete_ranges(unit: Unit, box: MailboxState, uids: UidSet) -> None:
    where, bindings = where_uids(uids)
    key = (unit.account, box.mailbox)
    for values in bindings:
        unit.connection.execute(f"DELETE FROM placement WHERE account = ? AND mailbox = ? AND {where}", (*key, *values))
        unit.connection.execute(
            "DELETE FROM seen WHERE account = ?1 AND mailbox = ?2 AND reader IN (SELECT DISTINCT reader FROM seen"
            f" WHERE account = ?1 AND mailbox = ?2) AND {where}",
            (*key, *values),
        )
        unit.connection.execute(f"DELETE FROM uidl WHERE account = ? AND mailbox = ? AND {where}", (*key, *values))


def where_uids(uids: UidSet) -> tuple[str, list[tuple[Value, ...]]]:
    """A condition on `uid` and what to bind to it, once per statement: few ranges as such, else by a mask or a list."""
    if len(uids) <= _FEW_RANGES:
        return "uid BETWEEN ? AND ?", [(r.low, r.high) for r in uids]
    masked = as_mask(uids)
    if masked is not None:
        low, high, mask = masked
        return "uid BETWEEN ? AND ? AND substr(?, uid - ?, 1) = x'01'", [(low, high, mask, low - 1)]
    numbers = (number for r in uids for number in range(r.low, r.high + 1))
    return f"uid {IN_LIST}", [(numbers_json(numbers),)]


def _note_emails(unit: Unit, box: MailboxState, going: Sequence[tuple[int, int, int, int]]) -> None:
    """Emails that are elsewhere too have changed; the others are gone."""
    account, connection = unit.account, unit.connection
    emails = sorted({row[1] for row in going})
    kept = set(
        select_numbers(
            connection,
            "SELECT DISTINCT value AS n FROM json_each(?2) WHERE EXISTS"
            " (SELECT 1 FROM placement WHERE account = ?1 AND email = value)",
            (account, numbers_json(emails)),
        )
    )
    unit.book.note_set(unit.state, unit.modseq, EMAILS_CHANGED, 0, compress(sorted(kept)))
    gone = {email: (flags, size) for _, email, flags, size in going if email not in kept}
    if not gone:
        return
    connection.execute(
        "UPDATE email SET gone = ?3, gone_from = ?4, gone_flags = r.value ->> 1 FROM json_each(?2) r"
        " WHERE account = ?1 AND email = r.value ->> 0",
        (
            account,
            "[" + ",".join(f"[{email},{flags & ~_DELETED}]" for email, (flags, _) in gone.items()) + "]",
            unit.now_us,
            box.mailbox,
        ),
    )
    state = unit.state
    state.emails -= len(gone)
    state.octets -= sum(size for _, size in gone.values())
    unit.book.note_set(state, unit.modseq, EMAILS_DESTROYED, 0, compress(sorted(gone)))


def cancel_submissions(unit: Unit, emails: set[int]) -> None:
    """Of what still waits: one that was released (`send_at` 0) goes, wherever its email is put."""
    rows = select_rows(
        unit.connection,
        "submission, wire",
        f"SELECT submission, wire FROM submission WHERE account = ? AND email {IN_LIST}"
        " AND state IN ('pending', 'held') AND send_at > 0",
        (unit.account, numbers_json(emails)),
    )
    for submission, wire in cast("list[tuple[int, int]]", rows):
        end_submission(unit, submission, wire, "canceled")


def end_submission(unit: Unit, submission: int, wire: int, state: str) -> None:
    """Final or canceled: its octets are not needed any more."""
    unit.connection.execute(
        "UPDATE submission SET state = ?, wire = 0, modseq = ? WHERE account = ? AND submission = ?",
        (state, unit.modseq, unit.account, submission),
    )
    unit.book.note(unit.state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((submission, submission),))
    if wire:
        release_bodies(unit.connection, (wire,), unit.now_us)
