"""Web sessions in directory.db: `ports.web_sessions.WebSessions`.

As with credentials, reads use the connection of a `SqliteDirectory` on its thread and writes go through a thread of
their own. What was read is remembered until anything at all is written to the file: a row is read again in 20 us. After
a crash the last commit counts; a session that was being begun is then not there, and its browser signs in again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

import apsw

from posthouse.adapters.sqlite.directory import SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import open_for_writing, transaction
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import CredentialId
from posthouse.ports.web_sessions import (
    MAX_AGENT,
    MAX_SESSIONS,
    NO_SESSION,
    NewWebSession,
    SessionUse,
    WebSession,
    WebSessionId,
)

T = TypeVar("T")

_MOST_KEPT = 10_000

_COLUMNS = "session, account, credential, passkey, means, created, last_used, address, agent"
_FIND = f"SELECT {_COLUMNS} FROM web_session WHERE token = ?"
_LIST = f"SELECT {_COLUMNS} FROM web_session WHERE account = ? ORDER BY last_used DESC, session DESC"
_LIST_ALL = f"SELECT {_COLUMNS} FROM web_session ORDER BY last_used DESC, session DESC LIMIT ?"
_ADD = f"""
INSERT INTO web_session (token, account, credential, passkey, means, created, last_used, address, agent)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING {_COLUMNS}
"""
_MAKE_ROOM = """
DELETE FROM web_session WHERE session IN (SELECT session FROM web_session WHERE account = ?1
    ORDER BY last_used DESC, session DESC LIMIT -1 OFFSET ?2)
"""
_END = "DELETE FROM web_session WHERE session = ?1 AND (?2 IS NULL OR account = ?2) RETURNING session"
_END_ALL = """
DELETE FROM web_session WHERE account = ?1 AND session <> ?2 AND (?3 = 0 OR passkey = ?3) RETURNING session
"""
_HANG_ON = "UPDATE web_session SET credential = ?2 WHERE session = ?1"
_NOTE_USE = "UPDATE web_session SET last_used = ?2, address = ?3 WHERE session = ?1 AND last_used < ?2"
_SWEEP = "DELETE FROM web_session WHERE last_used < ?1 OR created < ?2 RETURNING session"

_Row = tuple[int, int, int, int, str, float, float, str, str]


class DirectoryWriter:
    """One connection and one thread for what workers write beside their reading of the directory."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "web sessions")

    def close(self) -> None:
        """What is being written is finished first."""
        self._thread.shutdown()
        if self._connection is not None:
            self._connection.close()

    async def write(self, change: Callable[[apsw.Connection], T]) -> T:
        """One transaction, durable when it returns. Raises DirectoryError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write_here, change)

    def _write_here(self, change: Callable[[apsw.Connection], T]) -> T:
        if self._connection is None:
            self._connection = open_for_writing(self._path)
        with transaction(self._connection, self._path):
            return change(self._connection)


class SqliteWebSessions:
    def __init__(self, directory: SqliteDirectory, writer: DirectoryWriter) -> None:
        self._directory, self._writer = directory, writer
        self._kept: dict[bytes, WebSession | None] = {}
        self._version: object = None

    def find(self, token_hash: bytes) -> WebSession | None:
        version = self._directory.version
        if version != self._version or len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
            self._version = version
        if token_hash not in self._kept:
            rows = self._directory.query(_FIND, (token_hash,))
            self._kept[token_hash] = _read(rows[0]) if rows else None
        return self._kept[token_hash]

    def list_for(self, account: AccountId) -> Sequence[WebSession]:
        return [_read(row) for row in self._directory.query(_LIST, (account,))]

    def list_all(self, limit: int) -> Sequence[WebSession]:
        return [_read(row) for row in self._directory.query(_LIST_ALL, (limit,))]

    async def begin(self, token_hash: bytes, new: NewWebSession) -> WebSession:
        values = (token_hash, new.account, new.credential, new.passkey, new.means, new.at, new.at)

        def change(connection: apsw.Connection) -> WebSession:
            connection.execute(_MAKE_ROOM, (new.account, MAX_SESSIONS - 1))
            return _read(connection.execute(_ADD, (*values, new.address, new.agent[:MAX_AGENT])).fetchall()[0])

        return await self._writer.write(change)

    async def end(self, session: WebSessionId, account: AccountId | None = None) -> bool:
        return await self._count(_END, (session, account)) > 0

    async def end_all(self, account: AccountId, keep: WebSessionId = NO_SESSION, passkey: int = 0) -> int:
        return await self._count(_END_ALL, (account, keep, passkey))

    async def hang_on(self, session: WebSessionId, credential: CredentialId) -> None:
        await self._count(_HANG_ON, (session, credential))

    async def note_uses(self, uses: Iterable[SessionUse]) -> None:
        rows = [(use.session, use.at, use.address) for use in uses]
        if rows:
            await self._writer.write(lambda connection: connection.executemany(_NOTE_USE, rows).fetchall())

    async def sweep(self, used_before: Instant, created_before: Instant) -> int:
        return await self._count(_SWEEP, (used_before, created_before))

    async def _count(self, sql: str, values: tuple[int | float | None, ...]) -> int:
        return await self._writer.write(lambda connection: len(connection.execute(sql, values).fetchall()))


def _read(row: object) -> WebSession:
    number, account, credential, passkey, means, created, last_used, address, agent = cast(_Row, row)
    return WebSession(
        WebSessionId(number),
        AccountId(account),
        CredentialId(credential),
        passkey,
        means,
        Instant(created),
        Instant(last_used),
        address,
        agent,
    )
