"""Reading placements and emails: functions of a connection inside one read transaction.

Callers take long lists in slices. Nothing here writes; rows of another account are never looked at.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.store_rows import columns_for, read_message
from posthouse.adapters.sqlite.store_sql import (
    IN_LIST,
    IS_VISIBLE,
    numbers_json,
    placements_in,
    read_number,
    select_numbers,
    select_rows,
)
from posthouse.message.mailbox import (
    FIRST_KEYWORD_BIT,
    AccountId,
    EmailId,
    Flag,
    FlagBits,
    KeywordTable,
    MailboxId,
    ModSeq,
    Placement,
    Snapshot,
    ThreadId,
    Uid,
    UidSet,
    UidValidity,
)
from posthouse.ports.store import NO_THREAD, EmailRow, Fields, NoSuchMailbox, Usage

_SEEN, _DELETED = int(Flag.SEEN), int(Flag.DELETED)
_read_numbers = msgspec.json.Decoder(list[int]).decode

# One text for many: half the time of three, and a third of that of rows. Not for all: the event loop waits while a text
# becomes numbers.
_SNAPSHOT = (
    "SELECT group_concat(uid || ',' || flags || ',' || modseq)"
    " FROM (SELECT uid, flags, modseq FROM placement WHERE account = ? AND mailbox = ? AND uid > ?"
    " ORDER BY uid LIMIT ?)"
)
_AT_ONCE = 16_384  # placements
# A thread is named after its first email; the others are found by the index of those that are not.
_OF_THREADS = (
    "SELECT thread, email FROM (SELECT e.account, e.thread, e.email, e.received FROM json_each(?2) j CROSS JOIN email e"
    " ON e.account = ?1 AND e.email = j.value AND e.thread = j.value UNION ALL SELECT e.account, e.thread, e.email,"
    " e.received FROM json_each(?2) j CROSS JOIN email e INDEXED BY email_thread ON e.account = ?1"
    f" AND e.thread = j.value AND e.thread <> e.email) e WHERE {IS_VISIBLE} ORDER BY received, email"
)


def read_modseq(connection: apsw.Connection, account: AccountId) -> ModSeq:
    return ModSeq(read_number(connection, "SELECT modseq FROM account WHERE account = ?", (account,)) or 0)


def read_usage(connection: apsw.Connection, account: AccountId) -> Usage:
    row = select_rows(connection, "emails, octets", "SELECT emails, octets FROM account WHERE account = ?", (account,))
    return Usage(*cast("list[int]", row[0]))


def read_mailbox_state(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId
) -> tuple[int, int, int, int]:
    """UIDVALIDITY, UIDNEXT, its modseq and the account's. Raises NoSuchMailbox."""
    found = select_rows(
        connection,
        "uidvalidity, uidnext, m, a",
        "SELECT uidvalidity, uidnext, m.modseq AS m, a.modseq AS a FROM mailbox m CROSS JOIN account a"
        " ON a.account = m.account WHERE m.account = ? AND mailbox = ?",
        (account, mailbox),
    )
    if not found:
        raise NoSuchMailbox(f"no mailbox {mailbox}")
    return cast("tuple[int, int, int, int]", tuple(found[0]))


def read_snapshot(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> Snapshot:
    """As the owner sees it."""
    uidvalidity, uidnext, highest, modseq = read_mailbox_state(connection, account, mailbox)
    uids, flags, modseqs = array("I"), array("Q"), array("Q")
    found, last = _AT_ONCE, 0
    while found == _AT_ONCE:
        text = cast("str | None", connection.execute(_SNAPSHOT, (account, mailbox, last, _AT_ONCE)).get)
        numbers = _read_numbers(f"[{text or ''}]")
        uids.extend(numbers[0::3])
        flags.extend(numbers[1::3])
        modseqs.extend(numbers[2::3])
        found, last = len(numbers) // 3, uids[-1] if uids else 0
    return Snapshot(UidValidity(uidvalidity), Uid(uidnext), ModSeq(modseq), uids, flags, modseqs, ModSeq(highest))


def read_seen(connection: apsw.Connection, account: AccountId, mailbox: MailboxId, viewer: AccountId) -> set[int]:
    """UIDs that this reader of a shared mailbox has seen."""
    return set(
        select_numbers(
            connection,
            "SELECT uid AS n FROM seen WHERE account = ? AND mailbox = ? AND reader = ?",
            (account, mailbox, viewer),
        )
    )


def read_uidls(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> dict[Uid, str]:
    read_mailbox_state(connection, account, mailbox)
    rows = select_rows(
        connection, "uid, uidl", "SELECT uid, uidl FROM uidl WHERE account = ? AND mailbox = ?", (account, mailbox)
    )
    return {Uid(uid): uidl for uid, uidl in cast("list[tuple[int, str]]", rows)}


def as_seen_by(flags: array[int], uids: array[int], seen: set[int]) -> array[int]:
    """The owner's flags with the reader's \\Seen."""
    return array("Q", [f | _SEEN if uid in seen else f & ~_SEEN for uid, f in zip(uids, flags, strict=True)])


def read_placements(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId, uids: UidSet, viewer: AccountId | None
) -> list[Placement]:
    """In the order of UIDs. Raises NoSuchMailbox."""
    read_mailbox_state(connection, account, mailbox)
    source, bound = placements_in(uids)
    rows = select_rows(
        connection,
        "uid, email, flags, modseq, saved",
        f"SELECT p.uid, p.email, p.flags, p.modseq, p.saved FROM {source} ORDER BY p.uid",
        (account, mailbox, bound),
    )
    found = [_as_placement(cast("list[int]", row)) for row in rows]
    if viewer is None or viewer == account or not found:
        return found
    seen = read_seen(connection, account, mailbox, viewer)
    return [
        Placement(p.uid, p.email, FlagBits(p.flags | _SEEN if p.uid in seen else p.flags & ~_SEEN), p.modseq, p.saved)
        for p in found
    ]


def _as_placement(row: Sequence[int]) -> Placement:
    uid, email, flags, modseq, saved = row
    return Placement(Uid(uid), EmailId(email), FlagBits(flags), ModSeq(modseq), saved / 1e6)


def read_placements_of(
    connection: apsw.Connection, account: AccountId, emails: Sequence[EmailId]
) -> dict[EmailId, dict[MailboxId, Placement]]:
    """Without those that have \\Deleted. Of two in one mailbox the later one."""
    rows = select_rows(
        connection,
        "mailbox, uid, email, flags, modseq, saved",
        f"SELECT mailbox, uid, email, flags, modseq, saved FROM placement WHERE account = ? AND email {IN_LIST}"
        f" AND NOT flags & {_DELETED} ORDER BY email, mailbox, uid",
        (account, numbers_json(emails)),
    )
    found: dict[EmailId, dict[MailboxId, Placement]] = {}
    for row in rows:
        mailbox, *rest = cast("list[int]", row)
        placement = _as_placement(rest)
        found.setdefault(placement.email, {})[MailboxId(mailbox)] = placement
    return found


def read_emails(
    connection: apsw.Connection, account: AccountId, emails: Sequence[EmailId], fields: Fields
) -> dict[EmailId, EmailRow]:
    """Those that are there, whether or not they have a placement."""
    text, names = columns_for(fields)
    rows = connection.execute(
        f"SELECT {text} FROM email WHERE account = ? AND email {IN_LIST}", (account, numbers_json(emails))
    ).fetchall()
    found = (_as_email(dict(zip(names, row, strict=True)), fields) for row in rows)
    return {email.email: email for email in found}


def read_placed_emails(
    connection: apsw.Connection, account: AccountId, emails: Sequence[EmailId], fields: Fields
) -> list[EmailRow]:
    """In the order of `emails`, with their visible placements; those without any are left out."""
    placements = read_placements_of(connection, account, emails)
    found = read_emails(connection, account, list(placements), fields)
    rows = [found[email] for email in emails if email in found]
    for row in rows:
        row.placements = placements[row.email]
    return rows


def _as_email(row: dict[str, Any], fields: Fields) -> EmailRow:
    is_dated = bool(fields & Fields.DATES)
    return EmailRow(
        EmailId(row["email"]),
        ThreadId(row["thread"]) if is_dated else NO_THREAD,
        row["size"],
        row["prefix_size"],
        row["received"] / 1e6 if is_dated else 0.0,
        row["zone"] if is_dated else 0,
        read_message(row, fields),
        row["prefix"] + row["head"] if fields & Fields.HEAD else b"",
    )


def read_threads(
    connection: apsw.Connection, account: AccountId, threads: Sequence[ThreadId]
) -> dict[ThreadId, list[EmailId]]:
    """Visible emails of each, in the order of receiving."""
    members: dict[int, list[EmailId]] = {}
    wanted = dict.fromkeys(threads)
    rows = select_rows(connection, "thread, email", _OF_THREADS, (account, numbers_json(wanted)))
    for thread, email in cast("list[tuple[int, EmailId]]", rows):
        members.setdefault(thread, []).append(email)
    return {thread: members[thread] for thread in wanted if thread in members}


def read_threads_of(connection: apsw.Connection, account: AccountId, emails: Sequence[int]) -> dict[int, int]:
    rows = select_rows(
        connection,
        "email, thread",
        f"SELECT email, thread FROM email WHERE account = ? AND email {IN_LIST}",
        (account, numbers_json(emails)),
    )
    return dict(cast("list[tuple[int, int]]", rows))


def read_keywords(connection: apsw.Connection, account: AccountId) -> KeywordTable:
    rows = select_rows(
        connection, "bit, name", "SELECT bit, name FROM keyword WHERE account = ? ORDER BY bit", (account,)
    )
    by_bit = {cast(int, bit): cast(str, name) for bit, name in rows}
    return KeywordTable(tuple(by_bit.get(bit, "") for bit in range(FIRST_KEYWORD_BIT, max(by_bit, default=4) + 1)))
