"""Mailboxes: made, renamed, moved, removed. Their counters are kept by whatever changes placements.

A rename is one row, whatever lies below: children name their parent by id. RFC 9051 §6.3.6: INBOX keeps its name here,
and moving its messages is the business of IMAP.
"""

from __future__ import annotations

from functools import lru_cache

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_book import (
    MAILBOX_CHANGED,
    MAILBOX_COLUMNS,
    MAILBOX_REMOVED,
    AccountState,
    MailboxState,
)
from posthouse.adapters.sqlite.store_expunge import expunge_all
from posthouse.adapters.sqlite.store_sharing import forget_mailbox, read_subscribed, subscribe
from posthouse.adapters.sqlite.store_sql import read_number, select_rows
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.ports.store import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    MailboxUpdate,
    NoSuchMailbox,
    TooMany,
)

MAX_NAME_OCTETS = 255
MAX_DEPTH = 50
_FEW = 100
_SELECT = f"SELECT {MAILBOX_COLUMNS} FROM mailbox WHERE account = ?"


class SqliteMailboxes:
    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def list_all(self, account: AccountId) -> list[Mailbox]:
        found = await self._core.look(account, _read_few)
        return _in_order(await self._core.read(account, read_mailboxes) if found is None else found)

    async def get(self, account: AccountId, mailbox: MailboxId) -> Mailbox:
        return await self._core.look(account, read_mailbox, mailbox)

    async def create(
        self, account: AccountId, name: str, parent: MailboxId | None = None, role: Role | None = None
    ) -> Mailbox:
        def call(unit: Unit) -> Mailbox:
            state = unit.state
            _check_place(state, 0, parent or 0, name)
            if role is not None and role.value in state.roles:
                raise MailboxExists(f"there is a mailbox for {role.value}")
            return unit.book.make_mailbox(unit.connection, state, parent or 0, name, role).as_value()

        return await self._core.write(account, call)

    async def open_role(self, account: AccountId, role: Role) -> Mailbox:
        def call(unit: Unit) -> Mailbox:
            return unit.book.open_role(unit.connection, unit.state, role).as_value()

        return await self._core.write(account, call)

    async def update(self, account: AccountId, mailbox: MailboxId, update: MailboxUpdate) -> Mailbox:
        return await self._core.write(account, lambda unit: _update(unit, mailbox, update))

    async def remove(self, account: AccountId, mailbox: MailboxId, *, with_emails: bool = True) -> None:
        await self._core.write(account, lambda unit: _remove(unit, mailbox, with_emails=with_emails))

    async def subscribed_names(self, account: AccountId) -> list[str]:
        return await self._core.read(account, read_subscribed)

    async def subscribe_name(self, account: AccountId, name: str, is_subscribed: bool) -> None:
        await self._core.write(account, lambda unit: subscribe(unit, name, is_subscribed=is_subscribed))


def _read_few(connection: apsw.Connection, account: AccountId) -> list[Mailbox] | None:
    """None: they are too many to be read in the event loop."""
    made = read_number(connection, "SELECT next_mailbox FROM account WHERE account = ?", (account,)) or 0
    if made > _FEW:
        return None
    rows = connection.execute(_SELECT, (account,)).fetchall()
    return list(map(_as_mailbox, rows))


@lru_cache(maxsize=4096)  # asked for every APPEND, and most of them have not changed
def _as_mailbox(row: tuple[object, ...]) -> Mailbox:
    return MailboxState(row[1:]).as_value()


def read_mailboxes(connection: apsw.Connection, account: AccountId) -> list[Mailbox]:
    rows = select_rows(connection, MAILBOX_COLUMNS, _SELECT, (account,))
    return [MailboxState(row[1:]).as_value() for row in rows]


def read_mailbox(connection: apsw.Connection, account: AccountId, mailbox: MailboxId) -> Mailbox:
    rows = select_rows(
        connection,
        MAILBOX_COLUMNS,
        f"{_SELECT} AND mailbox = ?",
        (account, mailbox),
    )
    if not rows:
        raise NoSuchMailbox(f"no mailbox {mailbox}")
    return MailboxState(rows[0][1:]).as_value()


def _in_order(mailboxes: list[Mailbox]) -> list[Mailbox]:
    """Parents before children, INBOX first, then by name."""
    below: dict[MailboxId | None, list[Mailbox]] = {}
    for mailbox in sorted(mailboxes, key=lambda m: (m.role is not Role.INBOX, m.sort_order, m.name)):
        below.setdefault(mailbox.parent, []).append(mailbox)
    ordered = list(below.get(None, ()))
    for mailbox in ordered:
        ordered += below.get(mailbox.id, ())
    return ordered


def _check_place(state: AccountState, moved: int, parent: int, name: str) -> None:
    """That a mailbox of this name may stand there. `moved` is the one that comes from elsewhere, 0 for a new one."""
    if not name or len(name.encode("utf-8", "replace")) > MAX_NAME_OCTETS:
        raise BadName(f"a name has 1 to {MAX_NAME_OCTETS} octets")
    if "/" in name or not name.isprintable():
        raise BadName('a name has no "/" and no control characters')
    depth, above = 1, parent
    while above:
        if above == moved:
            raise BadName("a mailbox cannot be below itself")
        above = state.mailbox(above).parent
        depth += 1
    if depth > MAX_DEPTH:
        raise TooMany(f"mailboxes below each other: at most {MAX_DEPTH}")
    if not parent and name.upper() == "INBOX":
        raise MailboxExists("INBOX is there")
    taken = state.child(parent, name)
    if taken is not None and taken.mailbox != moved:
        raise MailboxExists(f"there is a mailbox {name}")


def _update(unit: Unit, mailbox: MailboxId, update: MailboxUpdate) -> Mailbox:
    state = unit.state
    box = state.mailbox(mailbox)
    name = box.name if update.name is None else update.name
    parent = box.parent if update.parent is None else update.parent
    if (name, parent) != (box.name, box.parent):
        if box.role == Role.INBOX.value:
            raise BadName("INBOX keeps its name and place")
        _check_place(state, box.mailbox, parent, name)
    role = box.role if update.role is None else (str(update.role) or None)
    if role != box.role:
        _check_role(state, box, role)
    subscribed = box.subscribed if update.is_subscribed is None else int(update.is_subscribed)
    sort_order = box.sort_order if update.sort_order is None else update.sort_order
    fresh = (name, int(parent), role, subscribed, sort_order)
    if fresh == (box.name, box.parent, box.role, box.subscribed, box.sort_order):
        return box.as_value()
    state.roles.pop(box.role or "", None)
    box.name, box.parent, box.role, box.subscribed, box.sort_order = fresh
    if role:
        state.roles[role] = box
    box.changed = unit.modseq
    unit.connection.execute(
        "UPDATE mailbox SET name = ?, parent = ?, role = ?, subscribed = ?, sort_order = ?, changed = ?"
        " WHERE account = ? AND mailbox = ?",
        (*fresh, box.changed, state.account, box.mailbox),
    )
    unit.book.note(state, unit.modseq, MAILBOX_CHANGED, box.mailbox, ((box.mailbox, box.mailbox),))
    return box.as_value()


def _check_role(state: AccountState, box: MailboxState, role: str | None) -> None:
    if box.role == Role.INBOX.value:
        raise BadName("INBOX keeps its role")
    if role is not None and role in state.roles:
        raise MailboxExists(f"there is a mailbox for {role}")


def _remove(unit: Unit, mailbox: MailboxId, *, with_emails: bool) -> None:
    state = unit.state
    box = state.mailbox(mailbox)
    if box.role == Role.INBOX.value:
        raise BadName("INBOX stays")
    if any(other.parent == box.mailbox for other in state.mailboxes.values()):
        raise MailboxHasChildren(f"{box.name} has mailboxes below it")
    if box.total and not with_emails:
        raise MailboxNotEmpty(f"{box.name} is not empty")
    expunge_all(unit, box)
    unit.connection.execute("DELETE FROM mailbox WHERE account = ? AND mailbox = ?", (state.account, box.mailbox))
    unit.connection.execute("DELETE FROM seen WHERE account = ? AND mailbox = ?", (state.account, box.mailbox))
    forget_mailbox(unit, box.mailbox)
    unit.book.note(state, unit.modseq, MAILBOX_REMOVED, box.mailbox, ((box.mailbox, box.mailbox),))
    unit.book.flush(unit.connection)
    unit.book.forget(state.account)
