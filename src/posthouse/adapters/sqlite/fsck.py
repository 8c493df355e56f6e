"""Looking at shards that nobody owns, and mending what can be mended. For `posthouse fsck`.

Trusts nothing. Without `repair` nothing is changed. With it, each repair is one transaction or one file, in an order
that a crash cannot make worse, and never removes a message: what cannot be sent is held for a person to look at.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import cast

import apsw

from posthouse.adapters.files import Files, try_lock
from posthouse.adapters.sqlite.bulk import Row
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, open_existing
from posthouse.adapters.sqlite.disk import BODIES, TMP
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.reader import numbers_json
from posthouse.adapters.sqlite.rows import FLAG_FILE, HELD, WAITING
from posthouse.adapters.sqlite.shards import choose_database, copy_database, list_databases, list_shards

_IN_LIST = "IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is one of the words of docs/operations.md "fsck"; `is_repaired` after a repair that worked.

    `place`: where, if not in shard `shard` of the spool.
    """

    shard: int
    what: str
    detail: str
    is_repaired: bool = False
    place: str = ""


@dataclass(frozen=True, slots=True)
class _Trouble:
    what: str
    detail: str
    mend: Callable[[], object] | None = None


def check_spool(directory: str, files: Files, *, repair: bool = False) -> list[Finding]:
    """Every shard below `directory`. Blocks; call it in a thread or a command."""
    found: list[Finding] = []
    for number in list_shards(directory):
        found += check_shard(f"{directory}/{number}", files, repair=repair)
    return found


def check_shard(path: str, files: Files, *, repair: bool = False) -> list[Finding]:
    number = int(os.path.basename(path))
    lock = try_lock(f"{path}/lock")
    if lock is None:
        return [Finding(number, "owned", "a running process has it: not checked")]
    try:
        # Files first: a copy of the database must come before rows are looked at.
        found = _settle(number, _check_files(path, files), repair=repair)
        try:
            found += _check_database(number, path, files, repair=repair)
        except (apsw.Error, DatabaseRefused) as error:
            found.append(Finding(number, "unreadable", str(error)))
        return found
    finally:
        os.close(lock)


def _settle(number: int, troubles: list[_Trouble], *, repair: bool) -> list[Finding]:
    found: list[Finding] = []
    for trouble in troubles:
        is_repaired = False
        if repair and trouble.mend is not None:
            with contextlib.suppress(OSError, apsw.Error, DatabaseRefused):
                trouble.mend()
                is_repaired = True
        found.append(Finding(number, trouble.what, trouble.detail, is_repaired))
    return found


def _check_files(path: str, files: Files) -> list[_Trouble]:
    troubles = [
        _Trouble(
            "leftover",
            f"{TMP}/{name}: a body that was never accepted",
            partial(files.unlink, f"{path}/{TMP}/{name}"),
        )
        for name in _list(f"{path}/{TMP}")
    ]
    databases = sorted(list_databases(path))
    if len(databases) > 1 or os.path.exists(f"{path}/fresh.db"):
        troubles.append(
            _Trouble("copy", "a copy of the database was not finished", partial(choose_database, files, path))
        )
    if databases and _is_suspect(path):
        troubles.append(
            _Trouble("suspect", "an fsync failed: rows are to be copied", partial(_copy, files, path, databases[-1][1]))
        )
    return troubles


def _is_suspect(path: str) -> bool:
    if not os.path.exists(f"{path}/inhand"):
        return False
    with contextlib.closing(InHand(f"{path}/inhand")) as in_hand:
        return in_hand.is_suspect


def _copy(files: Files, path: str, database: str) -> None:
    copy_database(files, path, database)
    with contextlib.closing(InHand(f"{path}/inhand")) as in_hand:
        in_hand.set_suspect(False)


def _list(path: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(os.listdir(path))
    return []


def _check_database(number: int, path: str, files: Files, *, repair: bool) -> list[Finding]:
    databases = sorted(list_databases(path))
    if not databases:
        return []
    name = databases[-1][1]
    connection = open_database(name, "spool", vfs=files.vfs) if repair else open_existing(name, vfs=files.vfs)
    with contextlib.closing(connection):
        # In this order: indexes are mended before rows are trusted, rows before files.
        found = _settle(number, _check_integrity(connection), repair=repair)
        found += _settle(number, _check_rows(connection), repair=repair)
        found += _settle(number, _check_bodies(connection, path, files), repair=repair)
    return found


def _check_integrity(connection: apsw.Connection) -> list[_Trouble]:
    lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
    return [] if lines == ["ok"] else [_Trouble("damaged", "; ".join(lines), partial(_reindex, connection))]


def _reindex(connection: apsw.Connection) -> None:
    connection.execute("REINDEX")
    lines = connection.execute("PRAGMA integrity_check(1)").get
    if lines != "ok":
        raise DatabaseRefused(str(lines))


_ROW_CHECKS = (
    (
        "recipients without a message",
        "SELECT DISTINCT serial FROM recipient WHERE serial NOT IN (SELECT serial FROM message)",
        f"DELETE FROM recipient WHERE serial {_IN_LIST}",
    ),
    (
        "body without a message",
        "SELECT serial FROM body WHERE serial NOT IN (SELECT serial FROM message)",
        f"DELETE FROM body WHERE serial {_IN_LIST}",
    ),
    (
        "message without recipients",
        "SELECT serial FROM message WHERE serial NOT IN (SELECT serial FROM recipient)",
        f"DELETE FROM message WHERE serial {_IN_LIST}",
    ),
    (
        "message without a body",
        "SELECT serial FROM message WHERE serial NOT IN (SELECT serial FROM body)",
        f"INSERT INTO body SELECT value, x'', NULL FROM json_each(?) WHERE value {_IN_LIST}",
    ),
)


def _check_rows(connection: apsw.Connection) -> list[_Trouble]:
    troubles: list[_Trouble] = []
    for what, search, mend in _ROW_CHECKS:
        serials = [cast(int, row[0]) for row in connection.execute(search)]
        if serials:
            bindings = (numbers_json(serials),) * mend.count("?")
            troubles.append(_Trouble("rows", f"{what}: {len(serials)}", partial(_execute, connection, mend, bindings)))
    return troubles


def _execute(connection: apsw.Connection, sql: str, bindings: Row) -> None:
    connection.execute(sql, bindings).fetchall()


def _check_bodies(connection: apsw.Connection, path: str, files: Files) -> list[_Trouble]:
    names = _list(f"{path}/{BODIES}")
    wanted = {
        cast(int, serial): cast(int, size)
        for serial, size in connection.execute(
            "SELECT serial, size - length(trace) FROM message JOIN body USING (serial)"
            f" WHERE flags & {FLAG_FILE} OR data IS NULL"
        )
    }
    orphans = [name for name in names if not name.isdigit() or int(name) not in wanted]
    troubles = [
        _Trouble("orphan", f"{BODIES}/{name}: no message has it", partial(files.unlink, f"{path}/{BODIES}/{name}"))
        for name in orphans
    ]
    lost = [serial for serial, size in wanted.items() if _size(f"{path}/{BODIES}/{serial}") != size]
    held = {cast(int, row[0]) for row in _query_unsendable(connection, lost)}
    for serial in lost:
        mend = partial(_hold, connection, serial) if serial in held else None
        troubles.append(_Trouble("lost body", f"{BODIES}/{serial}: missing or of another size", mend))
    return troubles


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1


def _query_unsendable(connection: apsw.Connection, serials: list[int]) -> list[Row]:
    sql = f"SELECT DISTINCT serial FROM recipient WHERE status = {WAITING} AND serial {_IN_LIST}"
    return cast(list[Row], connection.execute(sql, (numbers_json(serials),)).fetchall())


def _hold(connection: apsw.Connection, serial: int) -> None:
    connection.execute(
        f"UPDATE recipient SET status = {HELD}, next_attempt = NULL WHERE status = {WAITING} AND serial = ?", (serial,)
    )
