"""Access lists, annotations, and subscriptions to what is no mailbox of the account: rows beside the mailboxes.

RFC 4314 and RFC 5464 are followed by whoever asks; here are rows that go with their mailbox. A change raises the
mailbox' `changed`. Whether an account shares anything with somebody is asked of every shard: one look into an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_book import MAILBOX_CHANGED
from posthouse.adapters.sqlite.store_reader import read_mailbox_state
from posthouse.adapters.sqlite.store_sql import IN_LIST, numbers_json, select_numbers, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.ports.store import Grant, TooMany
from posthouse.ports.store_sharing import (
    MAX_ENTRIES,
    MAX_ENTRY_OCTETS,
    MAX_GRANTS,
    MAX_SUBSCRIBED_NAMES,
    check_subscription,
    is_private,
    order_rights,
)

_ANYONE = 0  # grantee
_SHARED = 0  # viewer
_ACCOUNT = 0  # mailbox
_GRANTS = "SELECT mailbox, grantee, rights, negative FROM sharing WHERE account = ?1"
_SIZE = (
    "SELECT count(*), ifnull(sum(length(CAST(entry AS BLOB)) + length(value)), 0)"
    " FROM annotation WHERE account = ? AND mailbox = ?"
)
# A removed account shares nothing.
_OWNERS = """SELECT DISTINCT s.account AS n FROM sharing s JOIN account a USING (account)
    WHERE grantee IN (0, ?1) AND negative = 0 AND s.account <> ?1 AND a.removed IS NULL ORDER BY s.account"""

Entries = dict[str, bytes]


class SqliteSharing:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def grants(self, account: AccountId, mailbox: MailboxId) -> list[Grant]:
        return await self._core.read(account, _read_grants, mailbox)

    async def all_grants(self, account: AccountId) -> dict[MailboxId, tuple[Grant, ...]]:
        return await self._core.read(account, _read_all_grants)

    async def set_grant(self, account: AccountId, mailbox: MailboxId, grant: Grant) -> None:
        await self._core.write(account, lambda unit: _set_grant(unit, mailbox, grant))

    async def owners(self, grantee: AccountId) -> list[AccountId]:
        found: list[int] = []
        for shard in self._core.shards:
            found += await shard.readers.run(select_numbers, _OWNERS, (grantee,))
        return [AccountId(account) for account in sorted(found)]


class SqliteAnnotations:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def read(self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId) -> Entries:
        return await self._core.read(account, _read_entries, mailbox, viewer)

    async def read_many(
        self, account: AccountId, mailboxes: Sequence[MailboxId], viewer: AccountId
    ) -> dict[MailboxId, Entries]:
        return await self._core.read(account, _select_entries, mailboxes, viewer)

    async def write(
        self, account: AccountId, mailbox: MailboxId | None, viewer: AccountId, entries: Mapping[str, bytes | None]
    ) -> None:
        rows = [(viewer if is_private(entry) else _SHARED, entry, value) for entry, value in entries.items()]
        await self._core.write(account, partial(_write_entries, mailbox=mailbox, rows=rows))


def _read_grants(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> list[Grant]:
    read_mailbox_state(connection, account, mailbox)
    return list(_read_all_grants(connection, account, "AND mailbox = ?2", mailbox).get(mailbox, ()))


def _read_all_grants(
    connection: apsw.Connection, account: AccountId, where: str = "", *more: int
) -> dict[MailboxId, tuple[Grant, ...]]:
    rows = select_rows(
        connection,
        "mailbox, grantee, rights, negative",
        f"{_GRANTS} {where} ORDER BY mailbox, grantee, negative",
        (account, *more),
    )
    found: dict[MailboxId, tuple[Grant, ...]] = {}
    for mailbox, grantee, rights, negative in cast("list[tuple[int, int, str, int]]", rows):
        grant = Grant(AccountId(grantee) if grantee != _ANYONE else None, rights, bool(negative))
        found[MailboxId(mailbox)] = (*found.get(MailboxId(mailbox), ()), grant)
    return found


def _set_grant(unit: Unit, mailbox: MailboxId, grant: Grant) -> None:
    unit.state.mailbox(mailbox)
    connection, rights = unit.connection, order_rights(grant.rights)
    key = (unit.account, mailbox, grant.grantee or _ANYONE, int(grant.is_negative))
    connection.execute(
        "DELETE FROM sharing WHERE account = ? AND mailbox = ? AND grantee = ? AND negative = ? AND rights <> ?",
        (*key, rights),
    )
    changes = connection.changes()
    if rights:
        connection.execute("INSERT OR IGNORE INTO sharing VALUES (?, ?, ?, ?, ?)", (*key, rights))
        changes += connection.changes()
        count = cast(
            int,
            connection.execute("SELECT count(*) FROM sharing WHERE account = ? AND mailbox = ?", key[:2]).get,
        )
        if count > MAX_GRANTS:
            raise TooMany(f"entries of an access list: at most {MAX_GRANTS}")
    if changes:
        note_changed(unit, mailbox)


def note_changed(unit: Unit, mailbox: MailboxId) -> None:
    """Something about the mailbox that is not in its row."""
    box = unit.state.mailbox(mailbox)
    box.changed = unit.modseq
    unit.connection.execute(
        "UPDATE mailbox SET changed = ? WHERE account = ? AND mailbox = ?", (box.changed, unit.account, mailbox)
    )
    unit.book.note(unit.state, unit.modseq, MAILBOX_CHANGED, mailbox, ((mailbox, mailbox),))


def _read_entries(
    connection: apsw.Connection, account: AccountId, mailbox: MailboxId | None, viewer: AccountId
) -> Entries:
    if mailbox is None:
        return _select_entries(connection, account, (MailboxId(_ACCOUNT),), viewer).get(MailboxId(_ACCOUNT), {})
    read_mailbox_state(connection, account, mailbox)
    return _select_entries(connection, account, (mailbox,), viewer).get(mailbox, {})


def _select_entries(
    connection: apsw.Connection, account: AccountId, mailboxes: Sequence[MailboxId], viewer: AccountId
) -> dict[MailboxId, Entries]:
    rows = connection.execute(
        f"SELECT mailbox, entry, value FROM annotation WHERE account = ? AND mailbox {IN_LIST} AND viewer IN (?, ?)"
        " ORDER BY mailbox, entry",
        (account, numbers_json(mailboxes), _SHARED, viewer),
    ).fetchall()
    found: dict[MailboxId, Entries] = {}
    for mailbox, entry, value in cast("list[tuple[int, str, bytes]]", rows):
        found.setdefault(MailboxId(mailbox), {})[entry] = value
    return found


def _write_entries(unit: Unit, mailbox: MailboxId | None, rows: Sequence[tuple[int, str, bytes | None]]) -> None:
    if mailbox is not None:
        unit.state.mailbox(mailbox)
    key = (unit.account, mailbox or _ACCOUNT)
    before, changes = _read_size(unit, key), 0
    for viewer, entry, value in rows:
        unit.connection.execute(
            "DELETE FROM annotation WHERE account = ? AND mailbox = ? AND viewer = ? AND entry = ? AND value IS NOT ?",
            (*key, viewer, entry, value),
        )
        changes += unit.connection.changes()
        if value is not None:
            unit.connection.execute(
                "INSERT OR IGNORE INTO annotation VALUES (?, ?, ?, ?, ?)", (*key, viewer, entry, bytes(value))
            )
            changes += unit.connection.changes()
    if not changes:
        return
    entries, octets = _read_size(unit, key)
    if entries > max(MAX_ENTRIES, before[0]) or octets > max(MAX_ENTRY_OCTETS, before[1]):
        raise TooMany(f"annotations: at most {MAX_ENTRIES} of together {MAX_ENTRY_OCTETS} octets")
    if mailbox is not None:
        note_changed(unit, mailbox)
    else:
        unit.book.next_modseq(unit.state)


def _read_size(unit: Unit, key: tuple[int, int]) -> tuple[int, int]:
    return cast("tuple[int, int]", unit.connection.execute(_SIZE, key).fetchone())


# Subscriptions.


def read_subscribed(connection: apsw.Connection, account: AccountId) -> list[str]:
    rows = select_rows(
        connection, "name", "SELECT name FROM subscribed_name WHERE account = ? ORDER BY name", (account,)
    )
    return [cast(str, row[0]) for row in rows]


def subscribe(unit: Unit, name: str, *, is_subscribed: bool) -> None:
    check_subscription(name)
    connection = unit.connection
    if is_subscribed:
        connection.execute("INSERT OR IGNORE INTO subscribed_name VALUES (?, ?)", (unit.account, name))
    else:
        connection.execute("DELETE FROM subscribed_name WHERE account = ? AND name = ?", (unit.account, name))
    if not connection.changes():
        return
    unit.book.next_modseq(unit.state)
    count = cast(int, connection.execute("SELECT count(*) FROM subscribed_name WHERE account = ?", (unit.account,)).get)
    if is_subscribed and count > MAX_SUBSCRIBED_NAMES:
        raise TooMany(f"subscriptions: at most {MAX_SUBSCRIBED_NAMES}")


# Ends.


def forget_mailbox(unit: Unit, mailbox: int) -> None:
    for table in ("sharing", "annotation", "uidl"):
        unit.connection.execute(f"DELETE FROM {table} WHERE account = ? AND mailbox = ?", (unit.account, mailbox))


def forget_grantee(unit: Unit, grantee: int) -> None:
    """What others granted to an account that is erased, and what it noted at others' mailboxes."""
    unit.connection.execute("DELETE FROM sharing WHERE grantee = ?", (grantee,))
    unit.connection.execute("DELETE FROM annotation WHERE viewer = ? AND viewer <> 0", (grantee,))
