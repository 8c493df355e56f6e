"""What a Mailbox/set makes and changes (RFC 8621 §2.5), checked against the mailboxes there are. Pure.

Raises RecordRefused. The store refuses some of it again, in its transaction: what is said here is said in the words of
JMAP. Parents may be creation ids of the same request.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.message.objectids import find_mailbox
from posthouse.protocol.jmap.arguments import SetArguments
from posthouse.protocol.jmap.errors import SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.patches import apply_patch

MAX_NAME_OCTETS = 255
MAX_DEPTH = 20
_MAX_SORT_ORDER = 2**31 - 1
_CHANGEABLE = frozenset({"name", "parentId", "role", "sortOrder", "isSubscribed"})
_DEFAULTS: Mapping[str, object] = {"parentId": None, "role": None, "sortOrder": 0, "isSubscribed": True}


class MailboxSetArguments(SetArguments):
    """RFC 8621 §2.5."""

    on_destroy_remove_emails: bool = False


@dataclass(frozen=True, slots=True)
class MailboxWish:
    """What a mailbox shall be, all of it."""

    name: str
    parent: MailboxId | None
    role: Role | None
    sort_order: int
    is_subscribed: bool


def read_mailbox(
    owner: AccountId,
    record: Mapping[str, object],
    mailboxes: Mapping[MailboxId, Mailbox],
    created: Mapping[str, str],
) -> MailboxWish:
    """Of a create."""
    unknown = sorted(record.keys() - _CHANGEABLE)
    if unknown:
        raise invalid_properties(unknown, "It is ours to say, or there is none")
    return _check(_read(owner, {**_DEFAULTS, **record}, created), None, mailboxes)


def read_mailbox_change(
    owner: AccountId,
    mailbox: Mailbox,
    shown: Mapping[str, object],
    patch: Mapping[str, object],
    mailboxes: Mapping[MailboxId, Mailbox],
    created: Mapping[str, str],
) -> MailboxWish:
    """`shown`: the mailbox as an object; a property that cannot change may be given as it is."""
    changed = apply_patch(shown, patch, _DEFAULTS)
    names = {pointer.partition("/")[0] for pointer in patch}
    wrong = [name for name in names - _CHANGEABLE if name not in shown or changed.get(name) != shown[name]]
    if wrong:
        raise invalid_properties(sorted(wrong), "It cannot be changed")
    wish = _read(owner, changed, created)
    if mailbox.role is Role.INBOX and (wish.name, wish.parent, wish.role) != (mailbox.name, None, Role.INBOX):
        raise invalid_properties(sorted(names & {"name", "parentId", "role"}), "The inbox stays what it is")
    if wish.role is not mailbox.role and Role.SCHEDULED in (wish.role, mailbox.role):
        raise invalid_properties(["role"], "Mail waits in Scheduled, and is sent from there")
    return _check(wish, mailbox, mailboxes)


def check_removal(mailbox: Mailbox, mailboxes: Collection[Mailbox], *, removes_emails: bool) -> None:
    """RFC 8621 §2.5. Raises RecordRefused."""
    if mailbox.role is Role.INBOX:
        raise refuse_record(SetErrorType.FORBIDDEN, "The inbox stays")
    if mailbox.role is Role.SCHEDULED:
        raise refuse_record(SetErrorType.FORBIDDEN, "Mail waits in it to be sent; move it out to take it back")
    if any(other.parent == mailbox.id for other in mailboxes):
        raise refuse_record(SetErrorType.MAILBOX_HAS_CHILD)
    if not removes_emails and mailbox.total > mailbox.deleted:
        raise refuse_record(SetErrorType.MAILBOX_HAS_EMAIL)


def _read(owner: AccountId, record: Mapping[str, object], created: Mapping[str, str]) -> MailboxWish:
    order, is_subscribed = record.get("sortOrder"), record.get("isSubscribed")
    if not isinstance(order, int) or isinstance(order, bool) or not 0 <= order <= _MAX_SORT_ORDER:
        raise invalid_properties(["sortOrder"])
    if not isinstance(is_subscribed, bool):
        raise invalid_properties(["isSubscribed"])
    return MailboxWish(
        _read_name(record.get("name")),
        _read_parent(owner, record.get("parentId"), created),
        _read_role(record.get("role")),
        order,
        is_subscribed,
    )


def _read_name(value: object) -> str:
    """Net-Unicode (RFC 8621 §2): one line, composed. "/" is the store's separator."""
    if not isinstance(value, str) or not value or "/" in value:
        raise invalid_properties(["name"], 'It is a text without "/"')
    name = unicodedata.normalize("NFC", value)
    if len(name.encode("utf-8", "replace")) > MAX_NAME_OCTETS or any(map(_is_control, name)):
        raise invalid_properties(["name"], "It is too long, or has control characters")
    return name


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp")


def _read_parent(owner: AccountId, value: object, created: Mapping[str, str]) -> MailboxId | None:
    if value is None:
        return None
    text = resolve_id(value, created) if isinstance(value, str) else None
    parent = find_mailbox(owner, text) if text is not None else None
    if parent is None:
        raise invalid_properties(["parentId"], "There is no such mailbox")
    return parent


def _read_role(value: object) -> Role | None:
    if value is None:
        return None
    role = next((role for role in Role if role.value == value), None)
    if role is None:
        raise invalid_properties(["role"], "There is no such role here")
    return role


def _check(wish: MailboxWish, mailbox: Mailbox | None, mailboxes: Mapping[MailboxId, Mailbox]) -> MailboxWish:
    """Against all the others."""
    own = None if mailbox is None else mailbox.id
    others = [other for other in mailboxes.values() if other.id != own]
    if any(other.parent == wish.parent and other.name == wish.name for other in others):
        raise invalid_properties(["name"], "There is one of that name")
    if wish.role is not None and any(other.role is wish.role for other in others):
        raise invalid_properties(["role"], "Another mailbox has it")
    depth, parent = 1, wish.parent
    while parent is not None:
        if parent not in mailboxes:
            raise invalid_properties(["parentId"], "There is no such mailbox")
        if parent == own or depth == MAX_DEPTH:
            raise invalid_properties(["parentId"], "It would be inside of itself, or too deep")
        depth, parent = depth + 1, mailboxes[parent].parent
    return wish
