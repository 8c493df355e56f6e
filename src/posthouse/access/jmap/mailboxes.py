"""Mailbox objects (RFC 8621 §2), what a Mailbox/query asks for, and who may do what. Pure.

Rights are the letters of RFC 4314 §2.1, as the store keeps them; RFC 8621 §2 says which of them each of JMAP's needs.
Counters are those of the store: `totalEmails` counts what is visible, `unreadEmails` what lacks \\Seen (drafts are not
taken out, as the store does not count them apart). Threads are counted by who asks the store for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.message.objectids import find_mailbox, name_mailbox
from posthouse.protocol.jmap.arguments import (
    Comparator,
    Filter,
    FilterCondition,
    FilterOperator,
    QueryArguments,
    QueryChangesArguments,
)
from posthouse.protocol.jmap.errors import ErrorType, MethodError, invalid_arguments
from posthouse.protocol.jmap.json import JsonObject, convert

DEFAULT_PROPERTIES = (
    "id",
    "name",
    "parentId",
    "role",
    "sortOrder",
    "totalEmails",
    "unreadEmails",
    "totalThreads",
    "unreadThreads",
    "myRights",
    "isSubscribed",
)
PROPERTIES = frozenset(DEFAULT_PROPERTIES)
COUNTS = ("totalEmails", "unreadEmails", "totalThreads", "unreadThreads")  # `updatedProperties` of Mailbox/changes
OWNER_RIGHTS = "lrswipkxtea"
_RIGHTS = {
    "mayReadItems": "lr",
    "mayAddItems": "i",
    "mayRemoveItems": "te",
    "maySetSeen": "s",
    "maySetKeywords": "w",
    "mayCreateChild": "k",
    "mayRename": "x",
    "mayDelete": "x",
    "maySubmit": "p",
}
_FORBIDDEN: Mapping[Role, tuple[str, ...]] = {  # to everybody (ports/store.py, mailbox_changes.py)
    Role.INBOX: ("mayRename", "mayDelete"),
    Role.SCHEDULED: ("mayDelete",),
}
_SORTS: Mapping[str, Callable[[Mailbox], tuple[int, str]]] = {
    "sortOrder": lambda mailbox: (mailbox.sort_order, ""),
    "name": lambda mailbox: (0, fold_case(mailbox.name)),
}


@dataclass(frozen=True, slots=True)
class ThreadCounts:
    """Threads with an email in the mailbox; those of them in which any email that is not in Trash is unread
    (RFC 8621 §2).
    """

    total: int = 0
    unread: int = 0


class MailboxQueryArguments(QueryArguments):
    """RFC 8621 §2.3."""

    sort_as_tree: bool = False
    filter_as_tree: bool = False


class MailboxQueryChangesArguments(QueryChangesArguments):
    """RFC 8621 §2.4: with the arguments of /query."""

    sort_as_tree: bool = False
    filter_as_tree: bool = False


def make_mailbox(
    owner: AccountId, mailbox: Mailbox, counts: ThreadCounts, properties: Sequence[str], rights: str = OWNER_RIGHTS
) -> JsonObject:
    """The object, with the properties that are asked for."""
    return {name: _write_property(owner, mailbox, counts, name, rights) for name in properties}


def _write_property(owner: AccountId, mailbox: Mailbox, counts: ThreadCounts, name: str, rights: str) -> object:
    match name:
        case "id":
            return name_mailbox(owner, mailbox.id)
        case "parentId":
            return None if mailbox.parent is None else name_mailbox(owner, mailbox.parent)
        case "role":
            return None if mailbox.role is None else mailbox.role.value
        case "name":
            return mailbox.name
        case "isSubscribed":
            return mailbox.is_subscribed
        case "myRights":
            return write_rights(mailbox, rights)
        case _:
            return _write_count(mailbox, counts, name)


def _write_count(mailbox: Mailbox, counts: ThreadCounts, name: str) -> int:
    return {
        "sortOrder": mailbox.sort_order,
        "totalEmails": mailbox.total - mailbox.deleted,
        "unreadEmails": mailbox.unseen,
        "totalThreads": counts.total,
        "unreadThreads": counts.unread,
    }[name]


def write_rights(mailbox: Mailbox, rights: str) -> dict[str, bool]:
    """MailboxRights."""
    told = {name: all(right in rights for right in needed) for name, needed in _RIGHTS.items()}
    return told | dict.fromkeys(_FORBIDDEN.get(mailbox.role, ()), False) if mailbox.role is not None else told


# -- query


class _Condition(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """RFC 8621 §2.3. UNSET: says nothing of it."""

    parent_id: str | msgspec.UnsetType | None = msgspec.UNSET
    name: str | msgspec.UnsetType = msgspec.UNSET
    role: str | msgspec.UnsetType | None = msgspec.UNSET
    has_any_role: bool | msgspec.UnsetType = msgspec.UNSET
    is_subscribed: bool | msgspec.UnsetType = msgspec.UNSET


def query_mailboxes(
    owner: AccountId,
    mailboxes: Sequence[Mailbox],
    wanted: Filter | None,
    sort: Sequence[Comparator],
    *,
    as_tree: tuple[bool, bool],
) -> list[MailboxId]:
    """The ids in order. `as_tree`: sortAsTree, filterAsTree. Raises MethodError."""
    sort_as_tree, filter_as_tree = as_tree
    test = _compile(wanted, owner) if wanted is not None else lambda mailbox: True
    ordered = sorted(mailboxes, key=lambda mailbox: mailbox.id)
    for comparator in reversed(sort):
        key = _SORTS.get(comparator.property)
        if key is None:
            raise MethodError(ErrorType.UNSUPPORTED_SORT, f"Mailboxes are not sorted by {comparator.property[:100]!r}")
        ordered.sort(key=key, reverse=not comparator.is_ascending)
    if sort_as_tree:
        ordered = _order_as_tree(ordered)
    matches = {mailbox.id for mailbox in mailboxes if test(mailbox)}
    if filter_as_tree:
        matches = _whole_branches(mailboxes, matches)
    return [mailbox.id for mailbox in ordered if mailbox.id in matches]


def _order_as_tree(ordered: Sequence[Mailbox]) -> list[Mailbox]:
    """Each followed by its children, siblings in the order given."""
    children: dict[MailboxId | None, list[Mailbox]] = {}
    for mailbox in ordered:
        children.setdefault(mailbox.parent, []).append(mailbox)
    found: list[Mailbox] = []
    waiting = list(reversed(children.get(None, ())))
    while waiting:
        mailbox = waiting.pop()
        found.append(mailbox)
        waiting += reversed(children.get(mailbox.id, ()))
    return found


def _whole_branches(mailboxes: Sequence[Mailbox], matches: set[MailboxId]) -> set[MailboxId]:
    """Those that match and whose parents all match."""
    parents = {mailbox.id: mailbox.parent for mailbox in mailboxes}

    def is_shown(mailbox: MailboxId | None) -> bool:
        while mailbox is not None:
            if mailbox not in matches:
                return False
            mailbox = parents.get(mailbox)
        return True

    return {mailbox for mailbox in matches if is_shown(mailbox)}


_Test = Callable[[Mailbox], bool]


def _compile(wanted: Filter, owner: AccountId) -> _Test:
    match wanted:
        case FilterOperator(operator, conditions):
            tests = [_compile(condition, owner) for condition in conditions]
            if operator == "AND":
                return lambda mailbox: all(test(mailbox) for test in tests)
            if operator == "OR":
                return lambda mailbox: any(test(mailbox) for test in tests)
            return lambda mailbox: not any(test(mailbox) for test in tests)
        case FilterCondition(members):
            return _compile_condition(members, owner)


def _compile_condition(members: Mapping[str, object], owner: AccountId) -> _Test:
    try:
        condition = convert(dict(members), _Condition)
    except msgspec.ValidationError as problem:
        raise invalid_arguments(str(problem)) from None
    tests: list[_Test] = []
    if condition.parent_id is None:
        tests.append(lambda mailbox: mailbox.parent is None)
    elif isinstance(condition.parent_id, str):
        parent = find_mailbox(owner, condition.parent_id)
        tests.append(lambda mailbox: mailbox.parent is not None and mailbox.parent == parent)
    if isinstance(condition.name, str):
        text = fold_case(condition.name)
        tests.append(lambda mailbox: text in fold_case(mailbox.name))
    if condition.role is not msgspec.UNSET:
        tests.append(lambda mailbox: mailbox.role == condition.role)
    if condition.has_any_role is not msgspec.UNSET:
        tests.append(lambda mailbox: (mailbox.role is not None) == condition.has_any_role)
    if condition.is_subscribed is not msgspec.UNSET:
        tests.append(lambda mailbox: mailbox.is_subscribed == condition.is_subscribed)
    return lambda mailbox: all(test(mailbox) for test in tests)
