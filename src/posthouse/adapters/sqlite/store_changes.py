"""What changed since a modseq: in a mailbox (CONDSTORE, QRESYNC: RFC 7162) and in the account (JMAP).

Arrivals are the tail of UIDs; everything else is found through `change`, whose ranges name where to look
(docs/internals.md "Rows"). Functions of a connection inside a read transaction, and the port.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Mapping
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_book import (
    EMAILS_CHANGED,
    EMAILS_DESTROYED,
    EXPUNGED,
    FLAGS_CHANGED,
    MAILBOX_CHANGED,
    MAILBOX_REMOVED,
    SUBMISSIONS_CHANGED,
    THREADS_MERGED,
)
from posthouse.adapters.sqlite.store_reader import as_seen_by, read_mailbox_state, read_modseq, read_seen
from posthouse.adapters.sqlite.store_sql import (
    IN_LIST,
    IS_VISIBLE,
    merge,
    numbers_json,
    ranges_json,
    read_number,
    select_rows,
)
from posthouse.adapters.sqlite.store_watch import Watchers
from posthouse.message.mailbox import (
    AccountId,
    EmailId,
    MailboxChange,
    MailboxId,
    ModSeq,
    SubmissionId,
    ThreadId,
    Uid,
    UidRange,
    UidSet,
)
from posthouse.ports.store import AccountChanges, Subscription

_TAIL = (
    "SELECT coalesce((SELECT uid FROM placement WHERE account = ? AND mailbox = ? AND modseq <= ?"
    " ORDER BY uid DESC LIMIT 1), 0)"
)
_RANGES = "SELECT low, high FROM change WHERE account = ? AND modseq > ? AND kind = ? AND mailbox = ? ORDER BY modseq"
_CHANGED = (
    "SELECT uid, flags, modseq FROM placement WHERE account = ?1 AND mailbox = ?2 AND uid > ?3"
    " UNION ALL SELECT p.uid, p.flags, p.modseq FROM json_each(?5) r CROSS JOIN placement p ON p.account = ?1"
    " AND p.mailbox = ?2 AND p.uid BETWEEN r.value ->> 0 AND r.value ->> 1 AND p.uid <= ?3 AND p.modseq > ?4"
    " ORDER BY 1"
)


class SqliteChanges:
    def __init__(self, core: StoreCore, watchers: Watchers) -> None:
        self._core = core
        self._watchers = watchers

    async def modseq(self, account: AccountId) -> ModSeq:
        return await self._core.look(account, read_modseq)

    async def in_mailbox(
        self, account: AccountId, mailbox: MailboxId, since: ModSeq, viewer: AccountId | None = None
    ) -> MailboxChange:
        return await self._core.read(account, read_mailbox_changes, mailbox, since, viewer)

    async def in_account(self, account: AccountId, since: ModSeq) -> AccountChanges:
        return await self._core.read(account, read_account_changes, since)

    def watch(self, account: AccountId, callback: Callable[[], None]) -> Subscription:
        return self._watchers.watch(account, callback)


def read_horizon(connection: apsw.Connection, account: AccountId) -> int:
    return read_number(connection, "SELECT horizon FROM account WHERE account = ?", (account,)) or 0


def read_mailbox_changes(
    connection: apsw.Connection,
    account: AccountId,
    mailbox: MailboxId,
    since: ModSeq,
    viewer: AccountId | None = None,
) -> MailboxChange:
    _, uidnext, highest, modseq = read_mailbox_state(connection, account, mailbox)
    change = MailboxChange(ModSeq(modseq), Uid(uidnext), ModSeq(highest), array("I"), array("Q"), array("Q"))
    if since > modseq or since < read_horizon(connection, account):
        change.is_complete = False
        return change
    if highest <= since:
        return change
    tail = read_number(connection, _TAIL, (account, mailbox, since))
    ranges = _read_ranges(connection, account, mailbox, since, FLAGS_CHANGED)
    rows = cast(
        "list[tuple[int, int, int]]",
        select_rows(connection, "uid, flags, modseq", _CHANGED, (account, mailbox, tail, since, ranges_json(ranges))),
    )
    change.uids = array("I", [row[0] for row in rows])
    change.flags = array("Q", [row[1] for row in rows])
    change.modseqs = array("Q", [row[2] for row in rows])
    change.expunged = _read_ranges(connection, account, mailbox, since, EXPUNGED)
    if viewer is not None and viewer != account:
        change.flags = as_seen_by(change.flags, change.uids, read_seen(connection, account, mailbox, viewer))
    return change


def _read_ranges(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId, since: ModSeq, kind: int
) -> UidSet:
    rows = select_rows(connection, "low, high", _RANGES, (account, since, kind, mailbox))
    return merge(UidRange(low, high) for low, high in cast("list[tuple[int, int]]", rows))


def read_account_changes(connection: apsw.Connection, account: AccountId, since: ModSeq) -> AccountChanges:
    modseq = read_modseq(connection, account)
    changes = AccountChanges(modseq)
    if since > modseq or since < read_horizon(connection, account):
        changes.is_complete = False
        return changes
    if since == modseq:
        return changes
    rows = cast(
        "list[tuple[int, int, int, int, int]]",
        select_rows(
            connection,
            "kind, mailbox, low, high, modseq",
            "SELECT kind, mailbox, low, high, modseq FROM change WHERE account = ? AND modseq > ? ORDER BY modseq",
            (account, since),
        ),
    )
    by_kind: dict[int, list[tuple[int, UidRange]]] = {}
    touched: dict[int, int] = {}
    for kind, mailbox, low, high, at in rows:
        by_kind.setdefault(kind, []).append((mailbox, UidRange(low, high)))
        if kind == EMAILS_CHANGED:
            touched |= dict.fromkeys(range(low, high + 1), at)
    for mailbox in _sort_mailboxes(connection, account, since, by_kind, changes):
        for email, at in _emails_touched(connection, account, mailbox, since):
            touched[email] = max(at, touched.get(email, 0))
    _sort_emails(connection, account, since, by_kind, touched, changes)
    changes.submissions_changed = [SubmissionId(n) for n in _numbers(by_kind.get(SUBMISSIONS_CHANGED, ()))]
    return changes


def _numbers(found: Iterable[tuple[int, UidRange]]) -> list[int]:
    return [number for r in merge(r for _, r in found) for number in range(r.low, r.high + 1)]


def _sort_mailboxes(
    connection: apsw.Connection,
    account: AccountId,
    since: ModSeq,
    by_kind: dict[int, list[tuple[int, UidRange]]],
    changes: AccountChanges,
) -> list[int]:
    """Returns those in which placements changed."""
    rows = cast(
        "list[tuple[int, int, int, int]]",
        select_rows(
            connection,
            "mailbox, created, changed, modseq",
            "SELECT mailbox, created, changed, modseq FROM mailbox WHERE account = ? AND max(changed, modseq) > ?"
            " ORDER BY mailbox",
            (account, since),
        ),
    )
    counted: list[int] = []
    for mailbox, created, changed, modseq in rows:
        if created > since:
            changes.mailboxes_created.append(MailboxId(mailbox))
        elif changed > since:
            changes.mailboxes_updated.append(MailboxId(mailbox))
        else:
            changes.mailboxes_counted.append(MailboxId(mailbox))
        if modseq > since:
            counted.append(mailbox)
    made = {mailbox for mailbox, _ in by_kind.get(MAILBOX_CHANGED, ())}
    there = {row[0] for row in rows}
    removed = [mailbox for mailbox, _ in by_kind.get(MAILBOX_REMOVED, ())]
    changes.mailboxes_destroyed = sorted({MailboxId(m) for m in removed} - (made & there))
    return counted


def _sort_emails(
    connection: apsw.Connection,
    account: AccountId,
    since: ModSeq,
    by_kind: dict[int, list[tuple[int, UidRange]]],
    touched: Mapping[int, int],
    changes: AccountChanges,
) -> None:
    """`touched`: emails, and when they changed last."""
    concerned = touched.keys() | _numbers(by_kind.get(EMAILS_DESTROYED, ()))
    states = _read_states(connection, account, concerned)
    threads: set[int] = set(_numbers(by_kind.get(THREADS_MERGED, ())))
    for email in sorted(concerned):
        created, thread, is_visible = states.get(email, (0, 0, False))
        if is_visible:
            is_new = created > since
            (changes.created if is_new else changes.updated).append(EmailId(email))
            changes.emails_at[EmailId(email)] = ModSeq(created if is_new else touched.get(email, changes.modseq))
        elif created <= since:
            changes.destroyed.append(EmailId(email))
        if thread and (created > since or not is_visible):
            threads.add(thread)
    changes.threads_changed = [ThreadId(thread) for thread in sorted(threads)]


def _emails_touched(
    connection: apsw.Connection, account: AccountId, mailbox: int, since: ModSeq
) -> list[tuple[int, int]]:
    """Emails, and when their placement here changed."""
    tail = read_number(connection, _TAIL, (account, mailbox, since))
    ranges = _read_ranges(connection, account, MailboxId(mailbox), since, FLAGS_CHANGED)
    query = _CHANGED.replace("SELECT uid, flags, modseq", "SELECT uid, email, modseq")
    query = query.replace("SELECT p.uid, p.flags, p.modseq", "SELECT p.uid, p.email, p.modseq")
    bindings = (account, mailbox, tail, since, ranges_json(ranges))
    return cast("list[tuple[int, int]]", select_rows(connection, "email, modseq", query, bindings))


def _read_states(
    connection: apsw.Connection, account: AccountId, emails: Iterable[int]
) -> dict[int, tuple[int, int, bool]]:
    """Created, thread and whether a placement is visible."""
    rows = select_rows(
        connection,
        "email, created, thread, visible",
        f"SELECT email, created, thread, {IS_VISIBLE} AS visible FROM email e WHERE account = ? AND email {IN_LIST}",
        (account, numbers_json(emails)),
    )
    return {
        email: (created, thread, bool(visible))
        for email, created, thread, visible in cast("list[tuple[int, int, int, int]]", rows)
    }
