"""The file of a shard's text index, for the one process that writes it.

A file that is damaged, of a newer program or made by other rules is replaced by an empty one; so is one that was
deleted under us. Temporary trouble (a full disk, a failing read) is StoreError and changes nothing. Not worth an fsync
per transaction: after a power cut the index is where its last checkpoint left it, `progress` with it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, ParamSpec, TypeVar, cast

import apsw

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import DatabaseRefused, open_database, roll_back
from posthouse.adapters.sqlite.search_index import MAX_EMAIL, RULES, row_of
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, select_numbers, select_rows
from posthouse.ports.store import StoreError

P = ParamSpec("P")
T = TypeVar("T")

_SLICE = 1000
_WAL_PAGES = 1000
_TEMPORARY = (apsw.FullError, apsw.IOError, apsw.BusyError, apsw.LockedError, apsw.CantOpenError, apsw.NoMemError)


@dataclass(slots=True)
class Batch:
    """`documents` by rowid, ascending. `marks`: up to which email of an account everything is in here or gone."""

    documents: list[tuple[int, str]] = field(default_factory=list)
    unread: list[tuple[int, int]] = field(default_factory=list)
    marks: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Swept:
    """Up to where in the store's list of expunged emails (by time, then row) they have been taken out."""

    gone: int
    row: int


class IndexWriter:
    """Used in one thread. `progress` is what the file says."""

    def __init__(self, path: str, files: Files) -> None:
        self._path, self._files = path, files
        self._connection: apsw.Connection | None = None
        self._inode = 0
        self.progress: dict[int, int] = {}
        self.swept = Swept(0, 0)

    def open(self) -> bool:
        """True when it was opened just now. Raises StoreError."""
        inode = self._look()
        if self._connection is not None and inode == self._inode:
            return False
        self.close()
        if not inode:
            self._remove()  # the log of a deleted file must never meet a new one
        try:
            self._open_file()
        except DatabaseRefused as error:
            self.close()
            if isinstance(error.__cause__, _TEMPORARY):
                raise StoreError(str(error)) from error
            self._remove()
            self._open_again()
        return True

    def _open_again(self) -> None:
        try:
            self._open_file()
        except DatabaseRefused as error:
            raise StoreError(str(error)) from error

    def _open_file(self) -> None:
        connection = open_database(self._path, "search", vfs=self._files.vfs)
        self._connection, self._inode = connection, self._look()
        try:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES}")
            rules = connection.execute("SELECT rules FROM state").get
            if rules is None:
                connection.execute("INSERT INTO state VALUES (?, 0, 0)", (RULES,))
            elif rules != RULES:
                raise DatabaseRefused(f"{self._path}: made by other rules")
            rows = select_rows(connection, "account, email", "SELECT account, email FROM progress")
            self.progress = dict(cast("list[tuple[int, int]]", rows))
            ((gone, row),) = select_rows(connection, "gone, row", "SELECT gone, row FROM state")
            self.swept = Swept(cast(int, gone), cast(int, row))
        except apsw.Error as error:
            raise DatabaseRefused(f"{self._path}: {error}") from error

    def _look(self) -> int:
        try:
            return os.stat(self._path).st_ino
        except FileNotFoundError:
            return 0

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            self._files.unlink(self._path + suffix)

    def close(self) -> None:
        connection, self._connection, self._inode = self._connection, None, 0
        if connection is not None:
            with contextlib.suppress(apsw.Error):
                connection.close()

    # Changes, each a transaction.

    def add(self, batch: Batch) -> None:
        self._change(_add, batch)
        self.progress.update(batch.marks)

    def take_out(self, emails: Iterable[tuple[int, int]], swept: Swept | None = None) -> None:
        """Emails (account, email) that are in it or not."""
        self._change(_take_out, list(emails), swept)
        if swept is not None:
            self.swept = swept

    def forget(self, account: int) -> None:
        """Everything of an account, as if it had never been seen."""
        self.progress.pop(account, None)
        self._change(_forget_marks, account)
        while emails := self.list_emails(account, _SLICE):
            self.take_out((account, email) for email in emails)

    def list_emails(self, account: int, limit: int) -> list[int]:
        return self._run(_list_emails, account, limit)

    def tidy(self) -> None:
        """Give back what deleting has freed."""
        self._run(_give_back)

    def _change(self, call: Callable[Concatenate[apsw.Connection, P], None], *args: P.args, **kwargs: P.kwargs) -> None:
        def transaction(connection: apsw.Connection) -> None:
            connection.execute("BEGIN IMMEDIATE")
            try:
                call(connection, *args, **kwargs)
                connection.execute("COMMIT")
            finally:
                roll_back(connection)

        self._run(transaction)

    def _run(self, call: Callable[Concatenate[apsw.Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._connection is None:
            raise StoreError(f"{self._path} is not open")
        try:
            return call(self._connection, *args, **kwargs)
        except apsw.Error as error:
            self.close()
            if not isinstance(error, _TEMPORARY):
                self._remove()
            raise StoreError(f"{self._path}: {error}") from error


def _add(connection: apsw.Connection, batch: Batch) -> None:
    connection.executemany("INSERT INTO trigram (rowid, texts) VALUES (?, ?)", batch.documents)
    connection.executemany("INSERT OR IGNORE INTO unread VALUES (?, ?)", batch.unread)
    connection.executemany("REPLACE INTO progress VALUES (?, ?)", batch.marks.items())


def _take_out(connection: apsw.Connection, emails: Sequence[tuple[int, int]], swept: Swept | None) -> None:
    rows = numbers_json(row_of(account, email) for account, email in emails)
    connection.execute(f"DELETE FROM trigram WHERE rowid {IN_LIST}", (rows,))
    connection.executemany("DELETE FROM unread WHERE account = ? AND email = ?", emails)
    if swept is not None:
        connection.execute("UPDATE state SET gone = ?, row = ?", (swept.gone, swept.row))


def _forget_marks(connection: apsw.Connection, account: int) -> None:
    connection.execute("DELETE FROM progress WHERE account = ?", (account,))
    connection.execute("DELETE FROM unread WHERE account = ?", (account,))


def _list_emails(connection: apsw.Connection, account: int, limit: int) -> list[int]:
    return select_numbers(
        connection,
        "SELECT rowid & 0xffffffff AS n FROM trigram WHERE rowid BETWEEN ? AND ? LIMIT ?",
        (row_of(account, 0), row_of(account, MAX_EMAIL), limit),
    )


def _give_back(connection: apsw.Connection) -> None:
    connection.execute("PRAGMA incremental_vacuum(256)").fetchall()
