"""What was handed to `submit()`: its row, recipients, filed copy and idempotency key in one transaction.

Rules 5, 6 and 9 of sending: the filed copy, the row and the key become durable together; the same key again gives what
the first gave. States and their legal moves are the table of docs/internals.md "A submission".
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import cast

import apsw
import msgspec

from posthouse.adapters.sqlite.bulk import Row
from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_bodies import read_stored
from posthouse.adapters.sqlite.store_book import SUBMISSIONS_CHANGED
from posthouse.adapters.sqlite.store_expunge import end_submission
from posthouse.adapters.sqlite.store_shard import Shard
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, SubmissionId, Uid, UidValidity
from posthouse.ports.spool import Body, SpoolError
from posthouse.ports.store import (
    SUBMISSION_MOVES,
    NewSubmission,
    NoSuchMailbox,
    RecipientFate,
    StoreError,
    StoreRefusal,
    Submission,
    SubmissionState,
    Submitted,
)

_COLUMNS = (
    "account, submission, state, spool_shard, send_at, created, modseq, email, wire, envelope, source, message_id, made"
)
_BODY = "(SELECT body FROM email WHERE account = ?1 AND email = ?8)"
_REPEAT = (
    "SELECT submission, email FROM submission_key JOIN submission USING (account, submission)"
    " WHERE account = ? AND key = ? AND expires > ? AND state <> 'canceled'"
)
_SET_FATE = "UPDATE submission_recipient SET outcome = ?, reply = ?, at = ?, remote = ?"
_ENDS = (SubmissionState.FINAL, SubmissionState.CANCELED)
_ENDED = frozenset(state.value for state in _ENDS)
_encode = msgspec.json.Encoder().encode
_END_OF_TIME = 9e12  # seconds; in microseconds it fits SQLite's integers, which infinity does not
_BRIEF = 500  # characters of a reply


class WireBody:
    """The octets that are sent, read piece by piece."""

    __slots__ = ("_body", "_shard", "_size")

    def __init__(self, shard: Shard, body: int, size: int) -> None:
        self._shard, self._body, self._size = shard, body, size

    @property
    def size(self) -> int:
        return self._size

    @property
    def inline(self) -> bytes | None:
        return None

    async def read(self, offset: int, length: int) -> bytes:
        try:
            data = await self._shard.readers.run(read_stored, self._shard.folder, self._body, offset, length)
        except StoreError as error:
            raise SpoolError(str(error)) from error
        if len(data) < min(length, self._size - offset):
            raise SpoolError("body is shorter than it was")
        return data


class SqliteSubmissions:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    def submit(self, account: AccountId, new: NewSubmission) -> asyncio.Future[Submitted]:
        try:
            shard = self._core.shard(account)
            self._core.refuse_if_full(shard)
            limits = self._core.quota(account)
        except (StoreError, StoreRefusal) as error:
            future: asyncio.Future[Submitted] = asyncio.get_running_loop().create_future()
            future.set_exception(error)
            return future
        return shard.write(account, lambda unit: _submit(unit, shard, new, limits), undoes=False)

    async def get(self, account: AccountId, submission: SubmissionId) -> Submission | None:
        found = await self._core.read(account, _read_some, "submission = ?", (submission,), 1)
        return found[0] if found else None

    async def list_newest(
        self, account: AccountId, limit: int = 1000, before: SubmissionId | None = None
    ) -> list[Submission]:
        last = 1 << 62 if before is None else before
        return await self._core.read(account, _read_some, "submission < ?", (last,), limit)

    async def of_emails(self, account: AccountId, emails: Sequence[EmailId]) -> list[Submission]:
        return await self._core.read(account, _read_some, f"email {IN_LIST}", (numbers_json(emails),), -1)

    async def detach(self, account: AccountId, submission: SubmissionId) -> bool:
        return await self._core.shard(account).write(account, lambda unit: _detach(unit, submission), undoes=False)

    async def due(self, spool_shards: Sequence[int], now: float, limit: int) -> list[Submission]:
        found: list[Submission] = []
        now_us = int(min(now, _END_OF_TIME) * 1e6)
        for shard in self._core.shards:
            for spool_shard in spool_shards:
                if len(found) < limit:
                    found += await shard.readers.run(_read_due, spool_shard, now_us, limit - len(found))
        return found

    async def wire(self, account: AccountId, submission: SubmissionId) -> Body:
        body, size = await self._core.read(account, _find_wire, submission)
        return WireBody(self._core.shard(account), body, size)

    async def change(
        self, account: AccountId, submission: SubmissionId, state: SubmissionState, spool_shard: int | None = None
    ) -> bool:
        def call(unit: Unit) -> bool:
            return _change(unit, submission, state, spool_shard)

        return await self._core.shard(account).write(account, call, undoes=False)

    async def waiting(self, account: AccountId, email: EmailId) -> Submission | None:
        where = "email = ? AND state = 'pending' AND send_at > 0"
        found = await self._core.read(account, _read_some, where, (email,), 1)
        return found[0] if found else None

    async def release(self, account: AccountId, submission: SubmissionId) -> bool:
        return await self._core.shard(account).write(account, lambda unit: _release(unit, submission), undoes=False)

    async def is_known(self, account: AccountId, key: bytes, now: float) -> bool:
        return await self._core.read(account, _is_known, key, int(now * 1e6))

    async def record(
        self,
        account: AccountId,
        submission: SubmissionId,
        fates: Mapping[str, RecipientFate],
        rest: RecipientFate | None = None,
    ) -> None:
        await self._core.shard(account).write(
            account, lambda unit: _record(unit, submission, fates, rest), undoes=False
        )


def _submit(unit: Unit, shard: Shard, new: NewSubmission, limits: tuple[int | None, int | None]) -> Submitted:
    repeated = _find_repeat(unit, new.key) if new.key else None
    if repeated is not None:
        return repeated
    connection, state = unit.connection, unit.state
    email, mailbox, uid, uidvalidity = new.existing, None, None, None
    if new.filed is not None:
        added = shard.adder.add(connection, unit.book, state, [new.filed], limits)[0]
        email, mailbox, uid, uidvalidity = added.email, added.mailboxes[0], added.uids[0], added.uidvalidities[0]
    elif email is not None:
        _check_email(unit, email)
    body = None  # the email's
    if new.filed is None or new.filed.body is not new.wire:
        body = shard.shelf.put(connection, [new.wire])[id(new.wire)]
    number = state.next_submission
    state.next_submission += 1
    connection.execute(
        f"INSERT INTO submission ({_COLUMNS})"
        f" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, coalesce(?9, {_BODY}), ?10, ?11, ?12, ?7)",
        (
            state.account,
            number,
            new.state.value,
            new.spool_shard,
            int(new.send_at * 1e6),
            unit.now_us,
            unit.modseq,
            email,
            body,
            new.envelope,
            new.source,
            new.message_id,
        ),
    )
    connection.executemany(
        "INSERT INTO submission_recipient VALUES (?, ?, ?, ?, '', '', 0, '')",
        [(state.account, number, place, address) for place, address in enumerate(new.recipients)],
    )
    if new.key:
        connection.execute(
            "REPLACE INTO submission_key VALUES (?, ?, ?, ?)",
            (state.account, new.key, number, int(new.key_expires * 1e6)),
        )
    unit.book.note(state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((number, number),))
    return Submitted(SubmissionId(number), email, mailbox, uid, uidvalidity)


def _check_email(unit: Unit, email: EmailId) -> None:
    sql = "SELECT 1 FROM email WHERE account = ? AND email = ? AND gone IS NULL"
    if unit.connection.execute(sql, (unit.account, email)).get is None:
        raise NoSuchMailbox(f"no email {email}")


def _find_repeat(unit: Unit, key: bytes) -> Submitted | None:
    """What was taken back was not sent: the same again is no repeat of it."""
    found = unit.connection.execute(_REPEAT, (unit.account, key, unit.now_us)).fetchone()
    if found is None:
        return None
    number, email = cast("tuple[int, int | None]", found)
    places = select_rows(
        unit.connection,
        "mailbox, uid",
        "SELECT mailbox, uid FROM placement WHERE account = ? AND email = ? ORDER BY saved LIMIT 1",
        (unit.account, email),
    )
    if email is None or not places:
        return Submitted(SubmissionId(number), None, None, None, None, is_repeat=True)
    mailbox, uid = cast("list[int]", places[0])
    return Submitted(
        SubmissionId(number),
        EmailId(email),
        MailboxId(mailbox),
        Uid(uid),
        UidValidity(unit.state.mailbox(mailbox).uidvalidity),
        is_repeat=True,
    )


def _is_known(connection: apsw.Connection, account: AccountId, key: bytes, now_us: int) -> bool:
    return connection.execute(_REPEAT, (account, key, now_us)).fetchone() is not None


def _find_wire(connection: apsw.Connection, account: AccountId, submission: SubmissionId) -> tuple[int, int]:
    row = connection.execute(
        "SELECT body, size FROM submission JOIN body ON body = wire WHERE account = ? AND submission = ?",
        (account, submission),
    ).fetchone()
    if row is None:
        raise StoreError(f"submission {submission} has nothing to send (any more)")
    return cast("tuple[int, int]", row)


def _read_due(connection: apsw.Connection, spool_shard: int, now_us: int, limit: int) -> list[Submission]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM submission WHERE state = 'pending' AND spool_shard = ? AND send_at <= ?"
        " ORDER BY send_at LIMIT ?",
        (spool_shard, now_us, limit),
    ).fetchall()
    return [_as_submission(row, _read_fates(connection, cast(int, row[0]), [row])) for row in rows]


def _read_some(
    connection: apsw.Connection, account: AccountId, where: str, bindings: tuple[int | str, ...], limit: int
) -> list[Submission]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM submission WHERE account = ? AND {where} ORDER BY submission DESC LIMIT ?",
        (account, *bindings, limit),
    ).fetchall()
    fates = _read_fates(connection, account, rows)
    return [_as_submission(row, fates) for row in rows]


def _read_fates(connection: apsw.Connection, account: int, rows: Sequence[Row]) -> dict[int, list[RecipientFate]]:
    """Of all these submissions of one account, in one step; by their numbers."""
    found: dict[int, list[RecipientFate]] = {}
    fates = select_rows(
        connection,
        "submission, address, outcome, reply, at, remote",
        "SELECT submission, address, outcome, reply, at, remote FROM submission_recipient"
        f" WHERE account = ? AND submission {IN_LIST} ORDER BY submission, number",
        (account, numbers_json([cast(int, row[1]) for row in rows])),
    )
    for number, address, outcome, reply, at, remote in cast("list[tuple[int, str, str, str, int, str]]", fates):
        found.setdefault(number, []).append(RecipientFate(address, outcome, reply, at / 1e6, remote))
    return found


def _as_submission(row: Row, fates: Mapping[int, list[RecipientFate]]) -> Submission:
    account, number, state, spool_shard, send_at, created, modseq, email, _, envelope, source, message_id, made = cast(
        "tuple[int, int, str, int, int, int, int, int | None, int, bytes, str, str, int]", row
    )
    return Submission(
        SubmissionId(number),
        AccountId(account),
        envelope,
        SubmissionState(state),
        spool_shard,
        None if email is None else EmailId(email),
        created / 1e6,
        send_at / 1e6,
        ModSeq(modseq),
        source,
        message_id,
        fates.get(number, []),
        ModSeq(made),
    )


def _state_of(unit: Unit, submission: int) -> tuple[SubmissionState, int] | None:
    found = unit.connection.execute(
        "SELECT state, wire FROM submission WHERE account = ? AND submission = ?", (unit.account, submission)
    ).fetchone()
    return None if found is None else (SubmissionState(cast(str, found[0])), cast(int, found[1]))


def _change(unit: Unit, submission: int, state: SubmissionState, spool_shard: int | None) -> bool:
    found = _state_of(unit, submission)
    if found is None or state not in SUBMISSION_MOVES[found[0]]:
        return False
    if state in _ENDS:
        end_submission(unit, submission, found[1], state.value)
        return True
    unit.connection.execute(
        "UPDATE submission SET state = ?, spool_shard = coalesce(?, spool_shard), modseq = ?"
        " WHERE account = ? AND submission = ?",
        (state.value, spool_shard, unit.modseq, unit.account, submission),
    )
    unit.book.note(unit.state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((submission, submission),))
    return True


def _detach(unit: Unit, submission: int) -> bool:
    states = "state NOT IN ('pending', 'held') AND email IS NOT NULL"
    unit.connection.execute(
        f"UPDATE submission SET email = NULL, modseq = ? WHERE account = ? AND submission = ? AND {states}",
        (unit.modseq, unit.account, submission),
    )
    if not unit.connection.changes():
        return False
    unit.book.note(unit.state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((submission, submission),))
    return True


def _release(unit: Unit, submission: int) -> bool:
    key = (unit.account, submission)
    where = "account = ? AND submission = ? AND state = 'pending' AND send_at > 0"
    if unit.connection.execute(f"SELECT 1 FROM submission WHERE {where}", key).fetchone() is None:
        return False
    unit.connection.execute(f"UPDATE submission SET send_at = 0, modseq = ? WHERE {where}", (unit.modseq, *key))
    unit.book.note(unit.state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((submission, submission),))
    return True


def _write_fate(fate: RecipientFate) -> tuple[str, str, int, str]:
    return fate.outcome, fate.reply[:_BRIEF], int(fate.at * 1e6), fate.remote[:_BRIEF]


def _record(unit: Unit, submission: int, fates: Mapping[str, RecipientFate], rest: RecipientFate | None) -> None:
    key = (unit.account, submission)
    found = unit.connection.execute(
        "SELECT state, wire, EXISTS (SELECT 1 FROM submission_recipient r WHERE r.account = ?1 AND r.submission = ?2"
        " AND outcome = '' AND address NOT IN (SELECT value FROM json_each(?3)))"
        " FROM submission WHERE account = ?1 AND submission = ?2",
        (*key, _encode([address for address, fate in fates.items() if fate.outcome]).decode()),
    ).fetchone()
    if found is None or found[0] in _ENDED:
        return
    unit.connection.executemany(
        f"{_SET_FATE} WHERE account = ? AND submission = ? AND address = ?",
        [(*_write_fate(fate), *key, address) for address, fate in fates.items()],
    )
    if found[2] and rest is not None:
        unit.connection.execute(
            f"{_SET_FATE} WHERE account = ? AND submission = ? AND outcome = ''", (*_write_fate(rest), *key)
        )
    if not found[2] or rest is not None:
        end_submission(unit, submission, cast(int, found[1]), SubmissionState.FINAL.value)
        return
    unit.connection.execute(
        "UPDATE submission SET modseq = ? WHERE account = ? AND submission = ?", (unit.modseq, *key)
    )
    unit.book.note(unit.state, unit.modseq, SUBMISSIONS_CHANGED, 0, ((submission, submission),))
