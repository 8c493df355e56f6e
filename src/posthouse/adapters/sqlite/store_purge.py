"""What goes for good, in slices: expunged emails after the undelete time, removed accounts, bodies, old changes, files.

Every slice is a commit of its own; killed in between, the next run goes on. To be run in one worker per shard, now and
then; two at once do no harm. Bodies stay while a snapshot from before an upgrade exists (docs/internals.md "A body").
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from functools import partial
from typing import cast

import apsw

from posthouse.adapters.sqlite.disk import Disk
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_bodies import release_bodies
from posthouse.adapters.sqlite.store_expunge import delete_ranges, find_placements, remove_placements
from posthouse.adapters.sqlite.store_place import place_one
from posthouse.adapters.sqlite.store_records import forget_answered, forget_removed
from posthouse.adapters.sqlite.store_shard import Shard
from posthouse.adapters.sqlite.store_sharing import forget_grantee
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, read_number, select_numbers, select_rows
from posthouse.adapters.sqlite.store_threads import EMAILS_OF_THREAD, refs_of_row
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, EmailId, Role, UidRange

_SLICE = 500
_BODY_UNUSED_S = 3600.0
_TMP_KEPT_S = 86_400.0
_HASH = re.compile(r"[0-9a-f]{64}")

_ACCOUNT_TABLES = (
    "placement",
    "seen",
    "thread_ref",
    "change",
    "keyword",
    "mailbox",
    "submission_recipient",
    "submission_key",
    "import_mark",
    "sharing",
    "annotation",
    "subscribed_name",
    "uidl",
    "record",
    "answered",
)


async def purge_shard(core: StoreCore, disk: Disk, shard: Shard, now_us: int) -> None:
    undelete_us = int(core.options.undelete_s * 1e6)
    for account in await shard.readers.run(_removed_accounts, now_us - undelete_us):
        for other in core.shards:
            await other.write(None, partial(forget_grantee, grantee=account))
        while await shard.write(None, partial(_erase_account, account=account)):
            pass
    while await shard.write(None, lambda unit: _erase_emails(unit, now_us - undelete_us)):
        pass
    await shard.write(None, lambda unit: _forget_keys(unit, now_us))
    await shard.write(None, lambda unit: forget_answered(unit, now_us))
    for account in await shard.readers.run(_long_histories, core.options.kept_changes):
        await shard.write(AccountId(account), lambda unit: _forget_old(unit, core.options.kept_changes))
    if not shard.has_snapshot:
        await _remove_bodies(shard, now_us - int(_BODY_UNUSED_S * 1e6))
        await _sweep(disk, shard)
    await disk.run(_remove_old_files, f"{shard.path}.tmp", core.clock.now() - _TMP_KEPT_S)


# Accounts.


def mark_removed(unit: Unit) -> None:
    unit.state.removed = unit.now_us
    unit.book.next_modseq(unit.state)


def restore_account(unit: Unit, account: int) -> bool:
    unit.book.forget(account)
    unit.connection.execute(
        "UPDATE account SET removed = NULL, modseq = modseq + 1 WHERE account = ? AND removed IS NOT NULL", (account,)
    )
    return unit.connection.changes() > 0


def _removed_accounts(connection: apsw.Connection, before_us: int) -> list[int]:
    return select_numbers(connection, "SELECT account AS n FROM account WHERE removed <= ?", (before_us,))


def _erase_account(unit: Unit, account: int) -> bool:
    """A slice; True when there is more. Placements go first, the account's row last: a kill leaves usual states."""
    connection = unit.connection
    if _expunge_some(unit, account):
        return True
    emails = select_numbers(connection, "SELECT email AS n FROM email WHERE account = ? LIMIT ?", (account, _SLICE))
    if emails:
        refs = _read_refs(connection, account, emails)
        _delete_emails(unit, account, emails)
        _delete_refs(connection, account, refs)
        return True
    wires = select_numbers(connection, "SELECT wire AS n FROM submission WHERE account = ? AND wire <> 0", (account,))
    connection.execute("DELETE FROM submission WHERE account = ?", (account,))
    release_bodies(connection, wires, unit.now_us)
    for table in (*_ACCOUNT_TABLES, "account"):
        connection.execute(f"DELETE FROM {table} WHERE account = ?", (account,))
    unit.book.forget(account)
    return False


def _expunge_some(unit: Unit, account: int) -> bool:
    rows = select_rows(
        unit.connection,
        "mailbox, uid",
        "SELECT mailbox, uid FROM placement WHERE account = ? ORDER BY mailbox, uid LIMIT ?",
        (account, _SLICE),
    )
    if not rows:
        return False
    mailbox = cast(int, rows[0][0])
    uids = [cast(int, row[1]) for row in rows if row[0] == mailbox]
    removed = Unit(unit.connection, unit.book, unit.book.removed_account(unit.connection, account))
    box, slice_ = removed.state.mailbox(mailbox), (UidRange(uids[0], uids[-1]),)
    remove_placements(removed, box, find_placements(removed, box, slice_))
    delete_ranges(removed, box, slice_)  # those that have lost their email, too
    return True


# Emails.


def _erase_emails(unit: Unit, before_us: int) -> bool:
    rows = cast(
        "list[tuple[int, int]]",
        select_rows(
            unit.connection,
            "account, email",
            "SELECT account, email FROM email WHERE gone <= ? ORDER BY gone LIMIT ?",
            (before_us, _SLICE),
        ),
    )
    by_account: dict[int, list[int]] = {}
    for account, email in rows:
        by_account.setdefault(account, []).append(email)
    for account, emails in by_account.items():
        refs = _read_refs(unit.connection, account, emails)
        _delete_emails(unit, account, emails)
        _delete_refs(unit.connection, account, refs)
    return len(rows) == _SLICE


def _delete_emails(unit: Unit, account: int, emails: list[int]) -> None:
    wanted = numbers_json(emails)
    bodies = select_numbers(
        unit.connection, f"SELECT body AS n FROM email WHERE account = ? AND email {IN_LIST}", (account, wanted)
    )
    unit.connection.execute(f"DELETE FROM email WHERE account = ? AND email {IN_LIST}", (account, wanted))
    release_bodies(unit.connection, bodies, unit.now_us)


def _read_refs(connection: apsw.Connection, account: int, emails: list[int]) -> list[tuple[int, str, str, str]]:
    rows = select_rows(
        connection,
        "thread, message_id, refs, base_subject",
        f"SELECT thread, message_id, refs, base_subject FROM email WHERE account = ? AND email {IN_LIST}",
        (account, numbers_json(emails)),
    )
    return cast("list[tuple[int, str, str, str]]", rows)


def _delete_refs(connection: apsw.Connection, account: int, emails: Iterable[tuple[int, str, str, str]]) -> None:
    """Of threads that have no email left."""
    alive: dict[int, bool] = {}
    for thread, message_id, refs, subject in emails:
        if thread not in alive:
            alive[thread] = bool(select_numbers(connection, f"{EMAILS_OF_THREAD} LIMIT 1", (account, thread)))
        if not alive[thread]:
            hashes, hashed = refs_of_row(message_id, refs, subject)
            connection.execute(
                f"DELETE FROM thread_ref WHERE account = ? AND ref {IN_LIST} AND subject = ? AND thread = ?",
                (account, numbers_json(hashes), hashed, thread),
            )


def undelete_emails(unit: Unit, emails: Iterable[EmailId]) -> list[EmailId]:
    """Back to the mailbox each was in last, else INBOX, under new ids (an id never comes back). What was taken back
    from Scheduled would lie there and not be sent: it comes into Drafts.
    """
    state = unit.state
    restored: list[EmailId] = []
    rows = select_rows(
        unit.connection,
        "email, size, gone_from, gone_flags",
        f"SELECT email, size, gone_from, gone_flags FROM email WHERE account = ? AND email {IN_LIST}"
        " AND gone IS NOT NULL ORDER BY email",
        (state.account, numbers_json(emails)),
    )
    for email, size, gone_from, flags in cast("list[tuple[int, int, int, int]]", rows):
        fresh = state.next_email
        state.next_email += 1
        unit.connection.execute(
            "UPDATE email SET email = ?, created = ?, gone = NULL, gone_from = NULL, gone_flags = NULL"
            " WHERE account = ? AND email = ?",
            (fresh, unit.modseq, state.account, email),
        )
        box = state.mailboxes.get(gone_from) or unit.book.open_role(unit.connection, state, Role.INBOX)
        if box.role == Role.SCHEDULED.value:
            box = unit.book.open_role(unit.connection, state, Role.DRAFTS)
        place_one(unit, box, fresh, flags, size)
        state.emails += 1
        state.octets += size
        restored.append(EmailId(fresh))
    return restored


# Keys, changes, bodies, files.


def _forget_keys(unit: Unit, now_us: int) -> None:
    unit.connection.execute("DELETE FROM submission_key WHERE expires <= ?", (now_us,))


def _long_histories(connection: apsw.Connection, kept: int) -> list[int]:
    return select_numbers(
        connection, "SELECT account AS n FROM change GROUP BY account HAVING count(*) > ?", (kept + kept // 4,)
    )


def _forget_old(unit: Unit, kept: int) -> None:
    horizon = read_number(
        unit.connection,
        "SELECT modseq FROM change WHERE account = ? ORDER BY modseq DESC LIMIT 1 OFFSET ?",
        (unit.account, kept),
    )
    if horizon is not None:
        forget_changes(unit, horizon)


def forget_changes(unit: Unit, until: int) -> None:
    unit.connection.execute("DELETE FROM change WHERE account = ? AND modseq <= ?", (unit.account, until))
    forget_removed(unit, until)
    unit.state.horizon = max(until, unit.state.horizon)
    unit.book.mark(unit.state)


async def _remove_bodies(shard: Shard, before_us: int) -> None:
    def rows_go(unit: Unit) -> tuple[int, list[bytes]]:
        return shard.shelf.remove_rows(unit.connection, before_us, _SLICE)

    while True:
        count, digests = await shard.write(None, rows_go)
        if digests:
            await _unlink(shard, digests)
        if count < _SLICE:
            return


async def _unlink(shard: Shard, digests: list[bytes]) -> int:
    return await shard.write(None, lambda unit: shard.shelf.unlink_orphans(unit.connection, digests))


async def _sweep(disk: Disk, shard: Shard) -> None:
    """Files without a row: state B2."""
    for prefix in await disk.run(_list_directory, shard.folder):
        names = await disk.run(_list_directory, f"{shard.folder}/{prefix}")
        digests = [bytes.fromhex(name) for name in names if _HASH.fullmatch(name)]
        orphans = await shard.readers.run(_without_row, digests)
        if orphans:
            await _unlink(shard, orphans)


def _list_directory(path: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return os.listdir(path)
    return []


def _without_row(connection: apsw.Connection, digests: list[bytes]) -> list[bytes]:
    return [d for d in digests if connection.execute("SELECT 1 FROM body WHERE hash = ?", (d,)).get is None]


def _remove_old_files(folder: str, before: float) -> None:
    for name in _list_directory(folder):
        path = f"{folder}/{name}"
        with contextlib.suppress(OSError):
            if os.stat(path).st_mtime < before:
                os.unlink(path)
