"""Opening a SQLite file the way all of ours are opened, and bringing its schema up to date.

Trusts nothing in the file: one that is not ours, is damaged or was written by a newer program is refused with
DatabaseRefused. After a crash SQLite itself restores the last commit. An upgrade makes a snapshot first
(`<file>.before-<version>`), is one transaction, and an older program refuses what a newer one wrote.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from importlib import resources

import apsw

PAGE_OCTETS = 4096
BUSY_TIMEOUT_MS = 5000
_CACHED_STATEMENTS = 200


class DatabaseRefused(Exception):
    """The file cannot be used; the text names it and says why."""


def free_octets(path: str) -> int:
    """Of the file system a file is on."""
    found = os.statvfs(os.path.dirname(path) or ".")
    return found.f_bavail * found.f_frsize


def open_database(
    path: str, schema: str, *, vfs: str = "", cache_kib: int = 16384, room: Callable[[str], int] = free_octets
) -> apsw.Connection:
    """The connection that writes. Creates the file or upgrades it (migrations/<schema>_NNNN.sql).

    `room` says how many octets are free beside the file: an upgrade needs as many as the file has.
    """
    try:
        connection = _connect(path, vfs, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, cache_kib)
        try:
            # Both only count before the first table is made.
            connection.execute(f"PRAGMA page_size = {PAGE_OCTETS}")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            _upgrade(connection, path, schema, room)
        except BaseException:
            connection.close()
            raise
    except apsw.Error as error:
        raise DatabaseRefused(f"{path}: {error}") from error
    return connection


def open_reader(path: str, *, vfs: str = "", cache_kib: int = 8192) -> apsw.Connection:
    """A connection that only reads a file that `open_database` has opened."""
    return _connect(path, vfs, apsw.SQLITE_OPEN_READONLY, cache_kib)


def open_existing(path: str, *, vfs: str = "") -> apsw.Connection:
    """For looking at a file as it is: creates, upgrades and writes nothing."""
    connection = _connect(path, vfs, apsw.SQLITE_OPEN_READWRITE, 8192)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: str, vfs: str, flags: int, cache_kib: int) -> apsw.Connection:
    connection = apsw.Connection(path, flags=flags, vfs=vfs or None, statementcachesize=_CACHED_STATEMENTS)
    connection.set_busy_timeout(BUSY_TIMEOUT_MS)
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    return connection


def _upgrade(connection: apsw.Connection, path: str, schema: str, room: Callable[[str], int]) -> None:
    have = read_version(connection, path, schema)
    steps = _migrations(schema)
    if have == len(steps):
        return
    if have:
        _take_snapshot(connection, f"{path}.before-{len(steps)}", room(path))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps[have:]:
            connection.execute(step)
        connection.execute(f"PRAGMA user_version = {len(steps)}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def read_version(connection: apsw.Connection, path: str, schema: str) -> int:
    """Of the schema in the file. Raises DatabaseRefused when this program does not know it."""
    have, known = int(str(connection.pragma("user_version"))), len(_migrations(schema))
    if have > known:
        raise DatabaseRefused(f"{path}: written by a newer version (schema {have}, this program knows {known})")
    return have


def _migrations(schema: str) -> list[str]:
    folder = resources.files("posthouse.adapters.sqlite") / "migrations"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.startswith(f"{schema}_"))
    return [(folder / name).read_text("utf-8") for name in names]


def _take_snapshot(connection: apsw.Connection, path: str, free: int) -> None:
    """Under another name until it is complete: what has the name can be relied on."""
    if os.path.exists(path):
        return
    needed = int(str(connection.pragma("page_count"))) * int(str(connection.pragma("page_size")))
    if free < needed:
        raise DatabaseRefused(
            f"{path}: the snapshot before the upgrade needs {needed >> 20} MiB, {free >> 20} MiB are free;"
            " make room and start again, nothing has been changed"
        )
    partial = path + ".partial"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(partial)
    connection.execute("VACUUM INTO ?", (partial,))
    _sync(partial)
    os.rename(partial, path)
    _sync(os.path.dirname(path) or ".")


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def roll_back(connection: apsw.Connection) -> None:
    """End the transaction if SQLite has not done so itself (it does after some errors)."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
