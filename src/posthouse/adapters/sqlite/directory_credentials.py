"""Credentials, places and the server's secret in directory.db: `ports.credentials.Credentials`.

Reads use the connection of a `SqliteDirectory`, on its thread. Writes go through a thread of their own, with the lock
and the transaction of every change of the directory, and are durable when they return. Uses do not raise the
generation: logins must not make the workers forget what they know. What is kept of a password is made in
trust/secrets.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar, cast

import apsw
import msgspec

from posthouse.adapters.sqlite.directory import SqliteDirectory
from posthouse.adapters.sqlite.directory_admin import RAISE_GENERATION, open_for_writing, transaction
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import (
    MAX_PLACES,
    Credential,
    CredentialId,
    CredentialKind,
    ScramVerifier,
    Use,
)
from posthouse.ports.login import SaveSent, Scope

T = TypeVar("T")

_MOST_KEPT = 20_000

_LIST = """
SELECT credential, account, kind, name, secret, scopes, scram_sha256, scram_sha1, created, last_used, save_sent,
    deduplicates
FROM credential WHERE account = ? AND account IN (SELECT account FROM account WHERE removed_at IS NULL)
ORDER BY kind <> 'main', credential
"""
_FIND_ACCOUNT = "SELECT 1 FROM account WHERE account = ? AND removed_at IS NULL"
_REMOVE_MAIN = "DELETE FROM credential WHERE account = ? AND kind = 'main'"
_ADD = """
INSERT INTO credential (account, kind, name, secret, scopes, scram_sha256, scram_sha1, created, last_used, save_sent,
    deduplicates)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING credential
"""
_REMOVE = "DELETE FROM credential WHERE account = ? AND credential = ? RETURNING credential"
_NOTE_USE = """
UPDATE credential SET last_used = max(?1, coalesce(last_used, ?1)) WHERE credential = ?2 AND account = ?3
"""
_NOTE_PLACE = """
INSERT INTO place SELECT account, ?2, ?3 FROM account WHERE account = ?1
ON CONFLICT DO UPDATE SET at = max(at, excluded.at)
"""
_DROP_PLACES = """
DELETE FROM place WHERE account = ?1 AND place IN (
    SELECT place FROM place WHERE account = ?1 ORDER BY at DESC, place LIMIT -1 OFFSET ?2)
"""
_FIND_PLACE = "SELECT at FROM place WHERE account = ? AND place = ?"
_READ_SERVER_KEY = "SELECT value FROM secret WHERE key = 'server'"

_Verifier = tuple[bytes, int, bytes, bytes]
_Row = tuple[int, int, str, str, str, str, bytes | None, bytes | None, float, float | None, str, int]
_decode_verifier = msgspec.msgpack.Decoder(_Verifier).decode


class SqliteCredentials:
    def __init__(self, directory: SqliteDirectory, path: str) -> None:
        self._directory, self._path = directory, path
        self._kept: dict[AccountId, Sequence[Credential]] = {}
        self._generation: object = None
        self._secret = b""
        self._writer: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "credentials")

    def close(self) -> None:
        """What is being written is finished first."""
        self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()

    def list_for(self, account: AccountId) -> Sequence[Credential]:
        generation = self._directory.generation
        if generation != self._generation or len(self._kept) >= _MOST_KEPT:
            self._kept.clear()
            self._generation = generation
        found = self._kept.get(account)
        if found is None:
            rows = self._directory.query(_LIST, (account,))
            found = self._kept[account] = tuple(_read_credential(cast(_Row, row)) for row in rows)
        return found

    def last_success(self, account: AccountId, place: str) -> Instant | None:
        rows = self._directory.query(_FIND_PLACE, (account, place))
        return Instant(cast(float, rows[0][0])) if rows else None

    def server_secret(self) -> bytes:
        if not self._secret:
            self._secret = cast(bytes, self._directory.query(_READ_SERVER_KEY)[0][0])
        return self._secret

    async def add(self, credential: Credential) -> Credential:
        return await self._write(lambda connection: _add(connection, credential))

    async def remove(self, account: AccountId, credential: CredentialId) -> bool:
        return await self._write(lambda connection: _remove(connection, account, credential))

    async def note_uses(self, uses: Iterable[Use]) -> None:
        noted = list(uses)
        if noted:
            await self._write(lambda connection: _note_uses(connection, noted))

    async def _write(self, change: Callable[[apsw.Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._write_here, change)

    def _write_here(self, change: Callable[[apsw.Connection], T]) -> T:
        if self._writer is None:
            self._writer = open_for_writing(self._path)
        with transaction(self._writer, self._path):
            return change(self._writer)


def _add(connection: apsw.Connection, credential: Credential) -> Credential:
    account = credential.account
    if not connection.execute(_FIND_ACCOUNT, (account,)).fetchall():
        raise ValueError("there is no such account")
    if credential.kind is CredentialKind.MAIN:
        connection.execute(_REMOVE_MAIN, (account,))
    try:
        row = connection.execute(_ADD, _write_credential(credential)).fetchall()[0]
    except apsw.ConstraintError:
        raise ValueError(f"there is another credential named {credential.name!r}") from None
    connection.execute(RAISE_GENERATION)
    return replace(credential, id=CredentialId(cast(int, row[0])))


def _remove(connection: apsw.Connection, account: AccountId, credential: CredentialId) -> bool:
    is_gone = bool(connection.execute(_REMOVE, (account, credential)).fetchall())
    if is_gone:
        connection.execute(RAISE_GENERATION)
    return is_gone


def _note_uses(connection: apsw.Connection, uses: Sequence[Use]) -> None:
    connection.executemany(_NOTE_USE, ((use.at, use.credential, use.account) for use in uses if use.credential))
    placed = [use for use in uses if use.place]
    connection.executemany(_NOTE_PLACE, ((use.account, use.place, use.at) for use in placed))
    connection.executemany(_DROP_PLACES, ((account, MAX_PLACES) for account in {use.account for use in placed}))


def _write_credential(row: Credential) -> tuple[str | int | float | bytes | None, ...]:
    return (
        row.account,
        row.kind.value,
        row.name,
        row.secret,
        " ".join(sorted(row.scopes)),
        _write_verifier(row.scram_sha256),
        _write_verifier(row.scram_sha1),
        row.created,
        row.last_used,
        row.save_sent.value,
        int(row.deduplicates),
    )


def _read_credential(row: _Row) -> Credential:
    number, account, kind, name, secret, scopes, sha256, sha1, created, last_used, save_sent, deduplicates = row
    return Credential(
        id=CredentialId(number),
        account=AccountId(account),
        kind=CredentialKind(kind),
        secret=secret,
        name=name,
        scopes=frozenset(map(Scope, scopes.split())),
        scram_sha256=_read_verifier(sha256),
        scram_sha1=_read_verifier(sha1),
        created=Instant(created),
        last_used=None if last_used is None else Instant(last_used),
        save_sent=SaveSent(save_sent),
        deduplicates=bool(deduplicates),
    )


def _write_verifier(verifier: ScramVerifier | None) -> bytes | None:
    if verifier is None:
        return None
    return msgspec.msgpack.encode((verifier.salt, verifier.iterations, verifier.stored_key, verifier.server_key))


def _read_verifier(stored: bytes | None) -> ScramVerifier | None:
    return None if stored is None else ScramVerifier(*_decode_verifier(stored))
