"""Codes and passkeys in directory.db: `ports.second_factors.SecondFactors`.

Read with the connection of a `SqliteDirectory`, written by a `DirectoryWriter`: what counts once is one transaction.
Nothing is remembered, for each is asked once in a sign-in. After a crash the last commit counts; a code that was right
and not yet marked may then be used again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import apsw

from posthouse.adapters.sqlite.directory import SqliteDirectory
from posthouse.adapters.sqlite.directory_web import DirectoryWriter
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.second_factors import (
    LONGEST_WAIT_S,
    MAX_PASSKEYS,
    Passkey,
    PasskeyId,
    PasskeyUse,
    Totp,
    is_counter_good,
    wait_after,
)

_READ_TOTP = "SELECT account, secret, is_on, created FROM totp WHERE account = ?"
_COUNT_RECOVERY = "SELECT count(*) FROM recovery_code WHERE account = ?"
_PASSKEY = "SELECT passkey, account, handle, public_key, counter, name, created, last_used FROM passkey"
_LIST_PASSKEYS = f"{_PASSKEY} WHERE account = ? ORDER BY passkey"
_FIND_PASSKEY = f"{_PASSKEY} WHERE handle = ?"
_PROPOSE = """
INSERT INTO totp (account, secret, is_on, last_step, failures, next_try, created)
SELECT account, ?2, 0, -1, 0, 0, ?3 FROM account WHERE account = ?1 AND removed_at IS NULL
ON CONFLICT DO UPDATE SET secret = excluded.secret, created = excluded.created WHERE is_on = 0 RETURNING account
"""
_SWITCH_ON = """
UPDATE totp SET is_on = 1, last_step = ?2, failures = 0, next_try = 0 WHERE account = ?1 AND is_on = 0 RETURNING account
"""
_SWITCH_OFF = "DELETE FROM totp WHERE account = ? RETURNING is_on"
_DROP_RECOVERY = "DELETE FROM recovery_code WHERE account = ?"
_ADD_RECOVERY = "INSERT OR IGNORE INTO recovery_code VALUES (?, ?)"
_READ_TRIES = "SELECT failures, next_try FROM totp WHERE account = ?"
_NOTE_TRY = "UPDATE totp SET failures = ?2, next_try = ?3 WHERE account = ?1"
_FORGIVE = "UPDATE totp SET failures = 0, next_try = 0 WHERE account = ?"
_ACCEPT_STEP = """
UPDATE totp SET last_step = ?2, failures = 0, next_try = 0 WHERE account = ?1 AND last_step < ?2 RETURNING account
"""
_TAKE_RECOVERY = "DELETE FROM recovery_code WHERE account = ? AND code = ? RETURNING account"
_COUNT_PASSKEYS = "SELECT count(*) FROM passkey WHERE account = ?"
_ADD_PASSKEY = """
INSERT INTO passkey (account, handle, public_key, counter, name, created) VALUES (?, ?, ?, ?, ?, ?) RETURNING passkey
"""
_REMOVE_PASSKEY = "DELETE FROM passkey WHERE account = ? AND passkey = ? RETURNING passkey"
_READ_COUNTER = "SELECT counter FROM passkey WHERE passkey = ?"
_NOTE_PASSKEY = "UPDATE passkey SET counter = ?2, last_used = ?3 WHERE passkey = ?1"
_DROP_CHALLENGES = "DELETE FROM used_challenge WHERE expires <= ?"
_ADD_CHALLENGE = "INSERT OR IGNORE INTO used_challenge VALUES (?, ?) RETURNING challenge"

_PasskeyRow = tuple[int, int, bytes, bytes, int, str, float, float | None]
_Value = str | int | float | bytes | None


class SqliteSecondFactors:
    def __init__(self, directory: SqliteDirectory, writer: DirectoryWriter) -> None:
        self._directory, self._writer = directory, writer

    def totp(self, account: AccountId) -> Totp | None:
        rows = cast(list[tuple[int, bytes, int, float]], self._directory.query(_READ_TOTP, (account,)))
        return Totp(AccountId(rows[0][0]), rows[0][1], bool(rows[0][2]), Instant(rows[0][3])) if rows else None

    def count_recovery_codes(self, account: AccountId) -> int:
        return cast(int, self._directory.query(_COUNT_RECOVERY, (account,))[0][0])

    def passkeys(self, account: AccountId) -> Sequence[Passkey]:
        return [_read_passkey(row) for row in self._directory.query(_LIST_PASSKEYS, (account,))]

    def find_passkey(self, handle: bytes) -> Passkey | None:
        rows = self._directory.query(_FIND_PASSKEY, (handle,))
        return _read_passkey(rows[0]) if rows else None

    # -- codes

    async def propose_totp(self, account: AccountId, secret: bytes, at: Instant) -> bool:
        return await self._does(_PROPOSE, (account, secret, at))

    async def switch_on(self, account: AccountId, step: int, recovery: Sequence[bytes]) -> bool:
        def change(connection: apsw.Connection) -> bool:
            if not connection.execute(_SWITCH_ON, (account, step)).fetchall():
                return False
            connection.execute(_DROP_RECOVERY, (account,))
            connection.executemany(_ADD_RECOVERY, ((account, code) for code in recovery))
            return True

        return await self._writer.write(change)

    async def switch_off(self, account: AccountId) -> bool:
        def change(connection: apsw.Connection) -> bool:
            connection.execute(_DROP_RECOVERY, (account,))
            return any(is_on for (is_on,) in connection.execute(_SWITCH_OFF, (account,)).fetchall())

        return await self._writer.write(change)

    async def begin_try(self, account: AccountId, now: Instant) -> float:
        def change(connection: apsw.Connection) -> float:
            rows = cast(list[tuple[int, float]], connection.execute(_READ_TRIES, (account,)).fetchall())
            if not rows:
                return 0.0
            failures, next_try = rows[0]
            if 0 < next_try - now <= LONGEST_WAIT_S:
                return next_try - now
            connection.execute(_NOTE_TRY, (account, failures + 1, now + wait_after(failures + 1)))
            return 0.0

        return await self._writer.write(change)

    async def accept_step(self, account: AccountId, step: int) -> bool:
        return await self._does(_ACCEPT_STEP, (account, step))

    async def accept_recovery(self, account: AccountId, code: bytes) -> bool:
        def change(connection: apsw.Connection) -> bool:
            if not connection.execute(_TAKE_RECOVERY, (account, code)).fetchall():
                return False
            connection.execute(_FORGIVE, (account,))
            return True

        return await self._writer.write(change)

    # -- passkeys

    async def add_passkey(self, passkey: Passkey) -> Passkey:
        values = (passkey.account, passkey.handle, passkey.public_key, passkey.counter, passkey.name, passkey.created)

        def change(connection: apsw.Connection) -> Passkey:
            if cast(int, connection.execute(_COUNT_PASSKEYS, (passkey.account,)).get) >= MAX_PASSKEYS:
                raise ValueError(f"an account has at most {MAX_PASSKEYS} passkeys")
            try:
                number = cast(int, connection.execute(_ADD_PASSKEY, values).get)
            except apsw.ConstraintError:
                raise ValueError("this passkey is there already") from None
            return replace(passkey, id=PasskeyId(number))

        return await self._writer.write(change)

    async def remove_passkey(self, account: AccountId, passkey: PasskeyId) -> bool:
        return await self._does(_REMOVE_PASSKEY, (account, passkey))

    async def use_passkey(self, use: PasskeyUse) -> bool:
        def change(connection: apsw.Connection) -> bool:
            rows = cast(list[tuple[int]], connection.execute(_READ_COUNTER, (use.passkey,)).fetchall())
            if not rows or not is_counter_good(rows[0][0], use.counter):
                return False
            if not _take_challenge(connection, use.challenge, use.at, use.expires):
                return False
            connection.execute(_NOTE_PASSKEY, (use.passkey, use.counter, use.at))
            return True

        return await self._writer.write(change)

    async def use_challenge(self, challenge: bytes, now: Instant, expires: Instant) -> bool:
        return await self._writer.write(lambda connection: _take_challenge(connection, challenge, now, expires))

    async def _does(self, sql: str, values: tuple[_Value, ...]) -> bool:
        return await self._writer.write(lambda connection: bool(connection.execute(sql, values).fetchall()))


def _take_challenge(connection: apsw.Connection, challenge: bytes, now: Instant, expires: Instant) -> bool:
    connection.execute(_DROP_CHALLENGES, (now,))
    return bool(connection.execute(_ADD_CHALLENGE, (challenge, expires)).fetchall())


def _read_passkey(row: object) -> Passkey:
    number, account, handle, public_key, counter, name, created, last_used = cast(_PasskeyRow, row)
    return Passkey(
        PasskeyId(number),
        AccountId(account),
        handle,
        public_key,
        counter,
        name,
        Instant(created),
        None if last_used is None else Instant(last_used),
    )
