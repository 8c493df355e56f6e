"""The rarer writes of the spool: claims, an administrator's changes, sites, crashes.

All run inside a transaction, so after a crash they are there wholly or not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

import apsw

from posthouse.adapters.sqlite import rows
from posthouse.adapters.sqlite.bulk import Value, padded
from posthouse.adapters.sqlite.reader import DueKey, numbers_json
from posthouse.adapters.sqlite.rows import FLAG_FILE, HELD, WAITING
from posthouse.adapters.sqlite.writer import Work
from posthouse.message.instant import Instant
from posthouse.ports.spool import Action, SiteRow

CRASHES_TO_HOLD = 2

_IN_LIST = "IN (SELECT value FROM json_each(?))"
_IN_KEYS = "(serial, number) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))"
_UPDATES = {
    Action.HOLD: f"SET status = {HELD}, next_attempt = NULL WHERE status = {WAITING}",
    Action.RELEASE: f"SET status = {WAITING}, next_attempt = ?2 WHERE status = {HELD}",
    Action.RETRY: f"SET next_attempt = ?2 WHERE status = {WAITING}",
}
_TOUCHED = {
    Action.HOLD: f"status = {WAITING}",
    Action.RELEASE: f"status = {HELD}",
    Action.RETRY: f"status = {WAITING}",
    Action.DELETE: f"status IN ({WAITING}, {HELD})",
}


def claim(connection: apsw.Connection, work: Work[Any], moves: Sequence[tuple[DueKey, Instant]]) -> None:
    """Give due rows their next attempt, unless they have changed since they were read."""
    values: list[Value] = []
    for key, instant in moves:
        values += (key.serial, key.number, key.next_attempt, instant)
    for sql, bindings in padded(rows.CLAIM_RECIPIENTS, rows.CLAIM_COLUMNS, values):
        connection.execute(sql, bindings)


def apply(
    connection: apsw.Connection, work: Work[Any], action: Action, keys: Sequence[tuple[int, int]], now: Instant
) -> list[int]:
    """Hold, release, retry or delete these recipients; the serials of the messages that this changed."""
    wanted = "[" + ",".join(f"[{serial},{number}]" for serial, number in keys) + "]"
    touched = _select_numbers(
        connection, f"SELECT DISTINCT serial FROM recipient WHERE {_TOUCHED[action]} AND {_IN_KEYS}", wanted
    )
    if not touched:
        return []
    if action is Action.DELETE:
        connection.execute(f"DELETE FROM recipient WHERE {_TOUCHED[action]} AND {_IN_KEYS}", (wanted,))
        work.files = _remove_finished(connection, touched)
        return touched
    sql = f"UPDATE recipient {_UPDATES[action]} AND {_IN_KEYS.replace('?', '?1')}"
    connection.execute(sql, (wanted,) if action is Action.HOLD else (wanted, now))
    if action is not Action.HOLD:
        connection.execute(
            f"UPDATE message SET crashes = 0 WHERE crashes > 0 AND serial {_IN_LIST}", (numbers_json(touched),)
        )
    return touched


def _remove_finished(connection: apsw.Connection, serials: Sequence[int]) -> Sequence[int]:
    """Messages of which nothing is left to do go, with what is listed of them. Returns whose body is a file."""
    over = _select_numbers(
        connection,
        "SELECT value AS serial FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM recipient"
        f" WHERE recipient.serial = value AND status IN ({WAITING}, {HELD}))",
        numbers_json(serials),
    )
    wanted = numbers_json(over)
    files = find_files(connection, over)
    for table in ("message", "body", "recipient"):
        connection.execute(f"DELETE FROM {table} WHERE serial {_IN_LIST}", (wanted,))
    return files


def find_files(connection: apsw.Connection, serials: Iterable[Any]) -> Sequence[int]:
    """Which of these messages have their body in a file."""
    return _select_numbers(
        connection, f"SELECT serial FROM message WHERE flags & {FLAG_FILE} AND serial {_IN_LIST}", numbers_json(serials)
    )


def _select_numbers(connection: apsw.Connection, sql: str, wanted: str) -> list[int]:
    """One sorted column in one step: a step per row would hand the interpreter lock over each time."""
    found = connection.execute(f"SELECT json_group_array(serial) FROM ({sql} ORDER BY serial)", (wanted,)).get
    return cast(list[int], json.loads(cast(str, found)))


def save_site(connection: apsw.Connection, work: Work[Any], row: SiteRow) -> None:
    if row.failures:
        connection.execute("REPLACE INTO site VALUES (?, ?, ?, ?)", (row.site, row.retry_at, row.failures, row.reason))
    else:
        connection.execute("DELETE FROM site WHERE site = ?", (row.site,))


def count_crashes(connection: apsw.Connection, serials: Sequence[int], epoch: int) -> int:
    """At adoption: these were in hand when their worker died in `epoch`. Returns the epoch that begins.

    Counted once: when the process is killed before the slots are zeroed, their epoch is older than the stored one.
    """
    stored = cast(int, connection.execute("SELECT value FROM meta WHERE key = 'epoch'").get)
    if not serials or epoch < stored:
        return stored
    wanted = numbers_json(serials)
    with connection:
        connection.execute(f"UPDATE message SET crashes = crashes + 1 WHERE serial {_IN_LIST}", (wanted,))
        connection.execute(
            f"UPDATE recipient SET status = {HELD}, next_attempt = NULL WHERE status = {WAITING} AND serial IN"
            f" (SELECT serial FROM message WHERE crashes >= {CRASHES_TO_HOLD} AND serial {_IN_LIST})",
            (wanted,),
        )
        connection.execute("UPDATE meta SET value = ? WHERE key = 'epoch'", (epoch + 1,))
    return epoch + 1
