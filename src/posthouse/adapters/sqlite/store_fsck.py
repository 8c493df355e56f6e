"""Looking at the message store, and mending what can be mended. For `posthouse fsck`.

Trusts nothing. Without `repair` nothing is changed, and the store may be in use: what is on its way is then left out.
With it, nobody else may have a shard open; each repair is one transaction or one file. No mail is removed: a body that
no row knows is moved to `N.lost/`, an email in no mailbox is placed in `Recovered` (store_fsck_rows.py).
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import cast

import apsw

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, open_existing, roll_back
from posthouse.adapters.sqlite.fsck import Finding
from posthouse.adapters.sqlite.store_bodies import body_path
from posthouse.adapters.sqlite.store_fsck_rows import ROW_CHECKS, RowCheck
from posthouse.adapters.sqlite.store_gate import ShardGate
from posthouse.adapters.sqlite.store_shard import open_files

_DATABASE = re.compile(r"(\d+)\.db")
_HASH = re.compile(r"[0-9a-f]{64}")
_SHOWN = 20
_SLICE = 500
_PIECE = 1 << 20
_ON_ITS_WAY_S = 3600.0


def list_store_shards(directory: str) -> list[int]:
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(found[1]) for name in os.listdir(directory) if (found := _DATABASE.fullmatch(name)))
    return []


def check_store_shard(
    directory: str, number: int, files: Files, *, repair: bool = False, deep: bool = False
) -> list[Finding]:
    """`deep`: every body is read and its hash compared."""
    try:
        found = _check_leftovers(directory, number, files, repair=repair)
        gate = ShardGate(f"{directory}/{number}")
        try:
            gate.lock()
            is_alone = gate.is_first()
            if is_alone:
                found += _Check(directory, number, files, repair=repair).run(deep=deep)
                return found
            gate.release()
            if repair:
                return [_make(number, "owned", "a running process has it: not mended")]
            return list(_Check(directory, number, files, is_alone=False).run(deep=deep))
        finally:
            gate.close()
    except (apsw.Error, DatabaseRefused, OSError) as error:
        return [_make(number, "unreadable", str(error))]


def _make(number: int, what: str, detail: str, *, is_repaired: bool = False) -> Finding:
    return Finding(number, what, detail, is_repaired, place=f"store/{number}")


def _check_leftovers(directory: str, number: int, files: Files, *, repair: bool) -> list[Finding]:
    """What the next start would settle; with `repair` it is settled as at a start."""
    path = f"{directory}/{number}"
    gate = ShardGate(path)
    try:
        gate.lock()
        if not gate.is_first():
            return []
        found = [("leftover", f"{number}.tmp/{name}: never accepted") for name in _list(f"{path}.tmp")]
        if gate.is_suspect:
            found.append(("suspect", "an fsync failed: rows are to be copied"))
        for suffix in ("fresh", "copied"):
            found += [("copy", f"{number}.{suffix}: not finished")] * os.path.exists(f"{path}.{suffix}")
    finally:
        gate.close()
    if found and repair:
        opened = open_files(directory, number, files)
        for connection in (opened.connection, *opened.reading, opened.watching):
            connection.close()
        opened.gate.close()
    return [_make(number, what, detail, is_repaired=repair) for what, detail in found]


class _Check:
    """Of one shard, by whoever holds its lock, or beside those that use it."""

    def __init__(
        self, directory: str, number: int, files: Files, *, repair: bool = False, is_alone: bool = True
    ) -> None:
        self._number, self._files = number, files
        self._path = f"{directory}/{number}"
        self._repairs, self._is_alone = repair, is_alone

    def _found(self, what: str, detail: str, *, is_repaired: bool = False) -> Finding:
        return _make(self._number, what, detail, is_repaired=is_repaired)

    def run(self, *, deep: bool) -> Iterator[Finding]:
        name = f"{self._path}.db"
        connection = open_database(name, "store") if self._repairs else open_existing(name)
        with contextlib.closing(connection):
            yield from self._check_integrity(connection)
            for check in ROW_CHECKS:
                yield from self._check_rows(connection, check)
            yield from self._check_bodies(connection, deep=deep)
            yield from self._check_files(connection)

    def _check_integrity(self, connection: apsw.Connection) -> Iterator[Finding]:
        lines = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
        if lines != ["ok"]:
            is_repaired = False
            if self._repairs:
                connection.execute("REINDEX")
                is_repaired = connection.execute("PRAGMA integrity_check(1)").get == "ok"
            yield self._found("damaged", "; ".join(lines), is_repaired=is_repaired)

    def _check_rows(self, connection: apsw.Connection, check: RowCheck) -> Iterator[Finding]:
        places = [str(row[0]) for row in connection.execute(check.search)]
        if places:
            if self._repairs and check.mend:
                _mend(connection, check.mend)
            detail = f"{check.detail}: {len(places)} ({', '.join(places[:_SHOWN])})"
            yield self._found(check.what, detail, is_repaired=self._repairs and bool(check.mend))

    def _check_bodies(self, connection: apsw.Connection, *, deep: bool) -> Iterator[Finding]:
        """Large ones are there and whole; with `deep` all of them have their hash."""
        for body, digest, size, octets in _iterate_bodies(connection, deep=deep):
            trouble = ""
            path = body_path(f"{self._path}.bodies", digest)
            if octets is None:
                trouble = _look_at_file(path, size, digest if deep else None)
            elif len(octets) != size or sha256(octets).digest() != digest:
                trouble = "is not what it was"
            if trouble and (self._is_alone or _is_there(connection, body)):
                yield self._found("lost body", f"{digest.hex()}: {trouble}; {_name_emails(connection, body)}")

    def _check_files(self, connection: apsw.Connection) -> Iterator[Finding]:
        for prefix in _list(f"{self._path}.bodies"):
            folder = f"{self._path}.bodies/{prefix}"
            for name in _list(folder):
                if self._is_orphan(connection, folder, name):
                    if self._repairs:
                        self._put_aside(folder, name)
                    detail = f"{self._number}.bodies/{prefix}/{name}: nothing refers to it"
                    yield self._found("orphan", detail, is_repaired=self._repairs)

    def _is_orphan(self, connection: apsw.Connection, folder: str, name: str) -> bool:
        if _HASH.fullmatch(name):
            if connection.execute("SELECT 1 FROM body WHERE hash = ?", (bytes.fromhex(name),)).get is not None:
                return False
            if self._is_alone:
                return True
        with contextlib.suppress(OSError):  # the row comes after the file
            return os.stat(f"{folder}/{name}").st_mtime < time.time() - _ON_ITS_WAY_S
        return False

    def _put_aside(self, folder: str, name: str) -> None:
        self._files.make_directory(f"{self._path}.lost")
        self._files.rename(f"{folder}/{name}", f"{self._path}.lost/{name}")
        self._files.sync_directory(f"{self._path}.lost")


def _mend(connection: apsw.Connection, statements: Iterable[str]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for sql in statements:
            connection.execute(sql, {"now": int(time.time())} if ":now" in sql else None)
        connection.execute("COMMIT")
    finally:
        roll_back(connection)


def _iterate_bodies(connection: apsw.Connection, *, deep: bool) -> Iterator[tuple[int, bytes, int, bytes | None]]:
    """Row, hash, size and octets (None: in a file), in slices: no read transaction is kept."""
    where, last = "" if deep else "AND octets IS NULL", 0
    while True:
        sql = f"SELECT body, hash, size, CAST(octets AS BLOB) FROM body WHERE body > ? {where} ORDER BY body LIMIT ?"
        rows = cast("list[tuple[int, bytes, int, bytes | None]]", connection.execute(sql, (last, _SLICE)).fetchall())
        yield from rows
        if len(rows) < _SLICE:
            return
        last = rows[-1][0]


def _look_at_file(path: str, size: int, digest: bytes | None) -> str:
    """What is wrong, "" when nothing is."""
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                return "is of another size"
            if digest is None:
                return ""
            found = sha256()
            while piece := file.read(_PIECE):
                found.update(piece)
    except OSError as error:
        return error.strerror or "cannot be read"
    return "" if found.digest() == digest else "is not what it was"


def _is_there(connection: apsw.Connection, body: int) -> bool:
    return connection.execute("SELECT 1 FROM body WHERE body = ?", (body,)).get is not None


def _name_emails(connection: apsw.Connection, body: int) -> str:
    rows = connection.execute("SELECT account, email FROM email WHERE body = ? LIMIT ?", (body, _SHOWN)).fetchall()
    return "emails " + ", ".join(f"{account}/{email}" for account, email in rows) if rows else "of no email"


def _list(path: str) -> list[str]:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        return sorted(os.listdir(path))
    return []
