"""Where all threads of an account are (ports/store_threads.py): two indexes, no row of `email`.

A thread is named after its first email, so what the index of threads does not have is a thread of its own. Numbers come
as one text for many (store_sql.py), in pieces, so that no event loop waits for the interpreter's lock for long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import apsw
import msgspec

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, select_numbers, select_rows
from posthouse.adapters.sqlite.store_threads import hash_text
from posthouse.message.mailbox import AccountId, EmailId, Flag, MailboxId, ThreadId
from posthouse.ports.store_threads import ThreadPlaces

_AT_ONCE = 16_384
_IS_UNREAD = f"flags & {int(Flag.SEEN | Flag.DRAFT)} = 0"
_read_numbers = msgspec.json.Decoder(list[int]).decode

_EMAILS = (
    f"SELECT max(uid), group_concat(email) FILTER (WHERE {_IS_UNREAD}), group_concat(email) FILTER (WHERE NOT"
    f" {_IS_UNREAD}) FROM (SELECT uid, email, flags FROM placement WHERE account = ? AND mailbox = ? AND uid > ?"
    f" AND NOT flags & {int(Flag.DELETED)} ORDER BY uid LIMIT {_AT_ONCE})"
)
_THREADS = (
    "SELECT group_concat(thread || ',' || email) FROM (SELECT thread, email FROM email INDEXED BY email_thread"
    " WHERE account = ? AND thread <> email AND (thread, email) > (?, ?) ORDER BY thread, email"
    f" LIMIT {_AT_ONCE})"
)
_OF_EMAILS = f"SELECT thread AS n FROM email WHERE account = ? AND email {IN_LIST}"
_OF_THREADS = (
    "SELECT e.thread, e.email FROM json_each(?2) j CROSS JOIN email e"
    " ON e.account = ?1 AND e.email = j.value AND e.thread = j.value UNION ALL"
    " SELECT e.thread, e.email FROM json_each(?2) j CROSS JOIN email e INDEXED BY email_thread ON e.account = ?1"
    " AND e.thread = j.value AND e.thread <> e.email"
)
_PLACES_OF = (
    f"SELECT t.thread, p.mailbox, p.{_IS_UNREAD} AS unread FROM ({_OF_THREADS}) t CROSS JOIN placement p"
    " INDEXED BY placement_email ON p.account = ?1 AND p.email = t.email"
    f" AND NOT p.flags & {int(Flag.DELETED)}"
)


class SqliteThreads:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def places(self, account: AccountId) -> ThreadPlaces:
        return await self._core.read(account, read_places)

    async def places_of(
        self, account: AccountId, threads: Sequence[ThreadId], emails: Sequence[EmailId]
    ) -> tuple[set[ThreadId], ThreadPlaces]:
        return await self._core.read(account, read_places_of, threads, emails)

    async def naming(self, account: AccountId, message_id: str) -> list[ThreadId]:
        return await self._core.read(account, read_naming, message_id)


def read_places(connection: apsw.Connection, account: AccountId) -> ThreadPlaces:
    thread_of = read_thread_map(connection, account).get
    places = ThreadPlaces()
    sql = "SELECT mailbox AS n FROM mailbox WHERE account = ? AND total > deleted"
    for mailbox in select_numbers(connection, sql, (account,)):
        unread, read = _read_mailbox(connection, account, mailbox, thread_of)
        places.there[MailboxId(mailbox)] = unread | read
        places.unread[MailboxId(mailbox)] = unread
    return places


def read_thread_map(connection: apsw.Connection, account: AccountId) -> dict[int, int]:
    """Of emails whose thread is not named after them."""
    found: dict[int, int] = {}
    last, more = (0, 0), True
    while more:
        text = cast("str | None", connection.execute(_THREADS, (account, *last)).get)
        numbers = _read_numbers(f"[{text or ''}]")
        threads, emails = numbers[0::2], numbers[1::2]
        found.update(zip(emails, threads, strict=True))
        more = len(emails) == _AT_ONCE
        last = (threads[-1], emails[-1]) if more else last
    return found


def _read_mailbox(
    connection: apsw.Connection, account: AccountId, mailbox: int, thread_of: Callable[[int, int], int]
) -> tuple[set[ThreadId], set[ThreadId]]:
    """Threads with an unread email there, and with a read one."""
    found: tuple[set[int], set[int]] = set(), set()
    last, more = 0, True
    while more:
        row = connection.execute(_EMAILS, (account, mailbox, last)).fetchone()
        uid, *texts = cast("tuple[int | None, str | None, str | None]", row)
        more = uid is not None
        last = uid or 0
        for threads, text in zip(found, texts, strict=True):
            emails = _read_numbers(f"[{text or ''}]")
            threads.update(map(thread_of, emails, emails))
    return cast("tuple[set[ThreadId], set[ThreadId]]", found)


def read_places_of(
    connection: apsw.Connection, account: AccountId, threads: Sequence[ThreadId], emails: Sequence[EmailId]
) -> tuple[set[ThreadId], ThreadPlaces]:
    named = {int(thread) for thread in threads}
    if emails:
        named.update(select_numbers(connection, _OF_EMAILS, (account, numbers_json(emails))))
    places = ThreadPlaces()
    rows = select_rows(connection, "thread, mailbox, unread", _PLACES_OF, (account, numbers_json(named)))
    for thread, mailbox, is_unread in cast("list[tuple[ThreadId, MailboxId, int]]", rows):
        places.there.setdefault(mailbox, set()).add(thread)
        if is_unread:
            places.unread.setdefault(mailbox, set()).add(thread)
    return cast("set[ThreadId]", named), places


def read_naming(connection: apsw.Connection, account: AccountId, message_id: str) -> list[ThreadId]:
    """References of emails that are gone are there for the undelete time."""
    sql = "SELECT DISTINCT thread AS n FROM thread_ref WHERE account = ? AND ref = ? ORDER BY thread"
    found = select_numbers(connection, sql, (account, hash_text(message_id)))
    return [ThreadId(thread) for thread in found]
