"""The mailboxes of the store's fake."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace

from posthouse.message.mailbox import ROLE_NAMES, AccountId, Mailbox, MailboxId, Role
from posthouse.ports.store import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    MailboxUpdate,
    NoSuchMailbox,
    TooMany,
)
from posthouse.ports.store_memory_state import NOWHERE, AccountState, Box
from posthouse.ports.store_sharing import MAX_SUBSCRIBED_NAMES, check_subscription

Reading = Callable[[AccountId], AccountState]


@dataclass(frozen=True, slots=True)
class MailboxLimits:
    mailboxes: int = 10_000
    depth: int = 20
    name_octets: int = 255


class MemoryMailboxes:
    def __init__(self, read: Reading, write: Reading, limits: MailboxLimits) -> None:
        self._read, self._write, self._limits = read, write, limits

    async def list_all(self, account: AccountId) -> list[Mailbox]:
        state = self._read(account)
        waiting: list[MailboxId | None] = [None]
        listed: list[Mailbox] = []
        for parent in waiting:
            children = [box.mailbox for box in state.boxes.values() if box.mailbox.parent == parent]
            listed.extend(children)
            waiting.extend(child.id for child in children)
        return listed

    async def get(self, account: AccountId, mailbox: MailboxId) -> Mailbox:
        return find_box(self._read(account), mailbox).mailbox

    async def create(
        self, account: AccountId, name: str, parent: MailboxId | None = None, role: Role | None = None
    ) -> Mailbox:
        state = self._write(account)
        name = self._check_name(name)
        self._check_place(state, parent, 1)
        if state.find_name(parent, name) is not None:
            raise MailboxExists(name)
        if role is not None and state.find_role(role) is not None:
            raise MailboxExists(role.value)
        if len(state.boxes) >= self._limits.mailboxes:
            raise TooMany("mailboxes")
        return state.make_mailbox(state.begin(), name, parent, role).mailbox

    async def open_role(self, account: AccountId, role: Role) -> Mailbox:
        state = self._read(account)
        found = state.find_role(role)
        return found.mailbox if found is not None else open_role(self._write(account), role).mailbox

    async def update(self, account: AccountId, mailbox: MailboxId, update: MailboxUpdate) -> Mailbox:
        state = self._write(account)
        box = find_box(state, mailbox)
        old = box.mailbox
        new = self._plan_update(state, old, update)
        if new.role is Role.INBOX and (new.name, new.parent) != (old.name, old.parent):
            raise BadName("INBOX keeps its name and place")
        if new != old:
            state.change_mailbox(state.begin(), box, new)
        return box.mailbox

    def _plan_update(self, state: AccountState, old: Mailbox, update: MailboxUpdate) -> Mailbox:
        name = old.name if update.name is None else self._check_name(update.name)
        parent = old.parent if update.parent is None else update.parent
        if parent == NOWHERE:
            parent = None
        if (name, parent) != (old.name, old.parent):
            if parent in _family(state, old.id):
                raise BadName("a mailbox cannot be below itself")
            self._check_place(state, parent, _height(state, old.id))
            taken = state.find_name(parent, name)
            if taken is not None and taken.mailbox.id != old.id:
                raise MailboxExists(name)
        return replace(
            old,
            name=name,
            parent=parent,
            role=_plan_role(state, old, update.role),
            is_subscribed=old.is_subscribed if update.is_subscribed is None else update.is_subscribed,
            sort_order=old.sort_order if update.sort_order is None else update.sort_order,
        )

    async def remove(self, account: AccountId, mailbox: MailboxId, *, with_emails: bool = True) -> None:
        state = self._write(account)
        box = find_box(state, mailbox)
        if box.mailbox.role is Role.INBOX:
            raise BadName("INBOX stays")
        if any(other.mailbox.parent == mailbox for other in state.boxes.values()):
            raise MailboxHasChildren(box.mailbox.name)
        if box.rows and not with_emails:
            raise MailboxNotEmpty(box.mailbox.name)
        state.unmake_mailbox(state.begin(), box)

    async def subscribed_names(self, account: AccountId) -> list[str]:
        return sorted(self._read(account).subscribed)

    async def subscribe_name(self, account: AccountId, name: str, is_subscribed: bool) -> None:
        state = self._write(account)
        check_subscription(name)
        if is_subscribed == (name in state.subscribed):
            return
        if is_subscribed and len(state.subscribed) >= MAX_SUBSCRIBED_NAMES:
            raise TooMany("subscriptions")
        state.begin()
        (state.subscribed.add if is_subscribed else state.subscribed.discard)(name)

    def _check_name(self, name: str) -> str:
        name = unicodedata.normalize("NFC", name)
        is_too_long = len(name.encode("utf-8", "replace")) > self._limits.name_octets
        if not name or is_too_long or "/" in name or any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
            raise BadName(name)
        return name

    def _check_place(self, state: AccountState, parent: MailboxId | None, height: int) -> None:
        depth = height
        while parent is not None:
            parent = find_box(state, parent).mailbox.parent
            depth += 1
        if depth > self._limits.depth:
            raise TooMany("depth")


def find_box(state: AccountState, mailbox: MailboxId) -> Box:
    box = state.boxes.get(mailbox)
    if box is None:
        raise NoSuchMailbox(mailbox)
    return box


def open_role(state: AccountState, role: Role) -> Box:
    """The mailbox of that role; a unit of work of its own when it has to be made."""
    found = state.find_role(role)
    if found is not None:
        return found
    name = ROLE_NAMES[role]
    named = state.find_name(None, name)
    if named is not None and named.mailbox.role is None:
        state.change_mailbox(state.begin(), named, replace(named.mailbox, role=role))
        return named
    number = 2
    while state.find_name(None, name) is not None:
        name = f"{ROLE_NAMES[role]} {number}"
        number += 1
    return state.make_mailbox(state.begin(), name, None, role)


def _plan_role(state: AccountState, old: Mailbox, wanted: Role | None) -> Role | None:
    if wanted is None or wanted == old.role:
        return old.role
    if old.role is Role.INBOX:
        raise BadName("INBOX keeps its role")
    if not wanted:  # "" takes it away
        return None
    if state.find_role(wanted) is not None:
        raise MailboxExists(wanted.value)
    return wanted


def _family(state: AccountState, mailbox: MailboxId) -> set[MailboxId | None]:
    """The mailbox and all below it."""
    found: set[MailboxId | None] = {mailbox}
    waiting = [mailbox]
    for parent in waiting:
        children = [box.mailbox.id for box in state.boxes.values() if box.mailbox.parent == parent]
        found.update(children)
        waiting.extend(children)
    return found


def _height(state: AccountState, mailbox: MailboxId) -> int:
    children = [box.mailbox.id for box in state.boxes.values() if box.mailbox.parent == mailbox]
    return 1 + max((_height(state, child) for child in children), default=0)
