"""Mailbox/set (RFC 8621 §2.5): mailboxes are made, changed and removed, one record after the other.

Each record is a transaction of the store or two (what is made with a place in the order, or not subscribed to). A
record that is refused changes nothing. Creates go in the order in which they refer to each other, children are removed
before their parents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from posthouse.access.jmap.mailbox_changes import (
    MailboxSetArguments,
    MailboxWish,
    check_removal,
    read_mailbox,
    read_mailbox_change,
)
from posthouse.access.jmap.mailboxes import DEFAULT_PROPERTIES, ThreadCounts, make_mailbox
from posthouse.access.jmap.method import Call, write_state
from posthouse.access.jmap.outcome import SetOutcome
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.message.objectids import find_mailbox, name_mailbox
from posthouse.ports.store import (
    BadName,
    MailboxExists,
    MailboxHasChildren,
    MailboxNotEmpty,
    MailboxUpdate,
    NoSuchMailbox,
    StoreRefusal,
    TooMany,
)
from posthouse.protocol.jmap.arguments import read_arguments
from posthouse.protocol.jmap.errors import RecordRefused, SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.execution import Answer
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.json import JsonObject
from posthouse.protocol.jmap.ordering import order_creates

_TOP = MailboxId(0)
_NO_ROLE = cast(Role, "")  # ports/store.py, MailboxUpdate
_NO_COUNTS = ThreadCounts()


async def set_mailboxes(call: Call) -> Answer:
    asked = read_arguments(MailboxSetArguments, call.arguments)
    owner, old_state = call.owner, write_state(await call.begin_set(asked))
    work = _Work(call, owner, {box.id: box for box in await call.parts.store.mailboxes.list_all(owner)})
    await work.create(asked.create or {})
    await work.update(asked.update or {}, frozenset(asked.destroy or ()))
    await work.destroy(asked.destroy or (), removes_emails=asked.on_destroy_remove_emails)
    return work.outcome.respond(asked.account_id, old_state, write_state(await call.parts.store.changes.modseq(owner)))


class _Work:
    """`mailboxes`: as they are after each step."""

    def __init__(self, call: Call, owner: AccountId, mailboxes: dict[MailboxId, Mailbox]) -> None:
        self._call, self._owner, self._mailboxes = call, owner, mailboxes
        self._ports = call.parts.store.mailboxes
        self.outcome = SetOutcome()

    # -- create

    async def create(self, records: Mapping[str, JsonObject]) -> None:
        ordered, circling = order_creates(records, _parent_of)
        for name in ordered:
            try:
                self.outcome.created[name] = await self._create_one(name, records[name])
            except RecordRefused as refused:
                self.outcome.not_created[name] = refused.error
        for name in circling:
            self.outcome.not_created[name] = invalid_properties(["parentId"], "They are inside of each other").error

    async def _create_one(self, name: str, record: JsonObject) -> JsonObject:
        wish = read_mailbox(self._owner, record, self._mailboxes, self._call.created)
        try:
            made = await self._ports.create(self._owner, wish.name, wish.parent, wish.role)
            if (made.sort_order, made.is_subscribed) != (wish.sort_order, wish.is_subscribed):
                update = MailboxUpdate(sort_order=wish.sort_order, is_subscribed=wish.is_subscribed)
                made = await self._ports.update(self._owner, made.id, update)
        except StoreRefusal as refusal:
            raise _tell(refusal) from None
        self._mailboxes[made.id] = made
        self._call.created[name] = name_mailbox(self._owner, made.id)
        whole = make_mailbox(self._owner, made, _NO_COUNTS, DEFAULT_PROPERTIES)
        return {key: value for key, value in whole.items() if key not in record or record[key] != value}

    # -- update

    async def update(self, patches: Mapping[str, JsonObject], destroyed: frozenset[str]) -> None:
        for text, patch in patches.items():
            try:
                mailbox = self._find(text)
                if text in destroyed:
                    raise refuse_record(SetErrorType.WILL_DESTROY)
                await self._update_one(mailbox, patch)
                self.outcome.updated[text] = None
            except RecordRefused as refused:
                self.outcome.not_updated[text] = refused.error

    async def _update_one(self, mailbox: Mailbox, patch: JsonObject) -> None:
        shown = make_mailbox(
            self._owner, mailbox, _NO_COUNTS, [name for name in DEFAULT_PROPERTIES if name != "myRights"]
        )
        wish = read_mailbox_change(self._owner, mailbox, shown, patch, self._mailboxes, self._call.created)
        try:
            changed = await self._ports.update(self._owner, mailbox.id, _plan_update(mailbox, wish))
        except StoreRefusal as refusal:
            raise _tell(refusal) from None
        self._mailboxes[mailbox.id] = changed

    def _find(self, text: str) -> Mailbox:
        known = resolve_id(text, self._call.created)
        number = find_mailbox(self._owner, known) if known is not None else None
        mailbox = self._mailboxes.get(number) if number is not None else None
        if mailbox is None:
            raise refuse_record(SetErrorType.NOT_FOUND)
        return mailbox

    # -- destroy

    async def destroy(self, ids: list[str] | tuple[str, ...], *, removes_emails: bool) -> None:
        found: dict[str, Mailbox] = {}
        for text in dict.fromkeys(ids):
            try:
                found[text] = self._find(text)
            except RecordRefused as refused:
                self.outcome.not_destroyed[text] = refused.error
        for text in sorted(found, key=lambda text: self._depth_of(found[text]), reverse=True):
            try:
                await self._destroy_one(found[text], removes_emails=removes_emails)
                self.outcome.destroyed.append(text)
            except RecordRefused as refused:
                self.outcome.not_destroyed[text] = refused.error

    def _depth_of(self, mailbox: Mailbox) -> int:
        depth = 0
        while mailbox.parent is not None and mailbox.parent in self._mailboxes:
            mailbox, depth = self._mailboxes[mailbox.parent], depth + 1
        return depth

    async def _destroy_one(self, mailbox: Mailbox, *, removes_emails: bool) -> None:
        check_removal(mailbox, self._mailboxes.values(), removes_emails=removes_emails)
        has_hidden = mailbox.total > 0 and mailbox.total == mailbox.deleted  # not there for JMAP
        try:
            await self._ports.remove(self._owner, mailbox.id, with_emails=removes_emails or has_hidden)
        except StoreRefusal as refusal:
            raise _tell(refusal) from None
        del self._mailboxes[mailbox.id]


def _parent_of(record: JsonObject) -> str | None:
    parent = record.get("parentId")
    return parent if isinstance(parent, str) else None


def _plan_update(mailbox: Mailbox, wish: MailboxWish) -> MailboxUpdate:
    """What is the same is left out, so that nothing is refused that nobody asked for."""
    return MailboxUpdate(
        name=wish.name if wish.name != mailbox.name else None,
        parent=(wish.parent or _TOP) if wish.parent != mailbox.parent else None,
        role=(wish.role or _NO_ROLE) if wish.role is not mailbox.role else None,
        is_subscribed=wish.is_subscribed if wish.is_subscribed != mailbox.is_subscribed else None,
        sort_order=wish.sort_order if wish.sort_order != mailbox.sort_order else None,
    )


def _tell(refusal: StoreRefusal) -> RecordRefused:
    """What changed since we looked, or is beyond a limit of the store."""
    text = str(refusal)
    match refusal:
        case MailboxHasChildren():
            return refuse_record(SetErrorType.MAILBOX_HAS_CHILD)
        case MailboxNotEmpty():
            return refuse_record(SetErrorType.MAILBOX_HAS_EMAIL)
        case MailboxExists() | BadName():
            return invalid_properties(["name"], text or None)
        case NoSuchMailbox():
            return refuse_record(SetErrorType.NOT_FOUND)
        case TooMany():
            return refuse_record(SetErrorType.OVER_QUOTA, text or None)
        case _:
            raise refusal
