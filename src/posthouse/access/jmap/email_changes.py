"""What an Email/set changes of an email: its mailboxes and keywords, nothing else (RFC 8621 §4.6). Pure.

`read_placing` reads a create, `read_change` an update against what the email has; both raise RecordRefused. Ids of
mailboxes may be creation ids of the same request ("#inbox2"). Whether the mailboxes exist, and may be written to, is
for who knows them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from posthouse.access.jmap.keywords import read_keywords
from posthouse.message.mailbox import AccountId, MailboxId
from posthouse.message.objectids import find_mailbox
from posthouse.protocol.jmap.dates import read_utc_date
from posthouse.protocol.jmap.errors import SetErrorType, invalid_properties, refuse_record
from posthouse.protocol.jmap.ids import resolve_id
from posthouse.protocol.jmap.patches import apply_patch

_CHANGEABLE = frozenset({"mailboxIds", "keywords"})
MAX_MAILBOXES = 1000


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a new email goes. `received` None: now."""

    mailboxes: tuple[MailboxId, ...]
    flags: frozenset[str]
    received: float | None = None


@dataclass(frozen=True, slots=True)
class EmailChange:
    """As Messages.place wants it (ports/store.py). `flags` None: they stay."""

    into: tuple[MailboxId, ...]
    out_of: tuple[MailboxId, ...]
    flags: frozenset[str] | None


def read_placing(owner: AccountId, record: Mapping[str, object], created: Mapping[str, str]) -> Placing:
    """`created`: ids by creation id."""
    mailboxes = _read_mailboxes(owner, record.get("mailboxIds"), created)
    received = record.get("receivedAt")
    instant = read_utc_date(received) if isinstance(received, str) else None
    if received is not None and instant is None:
        raise invalid_properties(["receivedAt"], "It is a UTCDate")
    return Placing(mailboxes, read_keywords(record.get("keywords")), instant)


def read_change(
    owner: AccountId, current: Mapping[str, object], patch: Mapping[str, object], created: Mapping[str, str]
) -> EmailChange:
    """`current`: the email as an object with all that the client may see of `mailboxIds` and `keywords`.

    A property that cannot change may be given as it is (RFC 8620 §5.3), so `current` may have more.
    """
    patch = _resolve_pointers(patch, created)
    changed = apply_patch(current, patch, {"keywords": {}})
    names = {pointer.partition("/")[0] for pointer in patch}
    wrong = [name for name in names - _CHANGEABLE if name not in current or changed.get(name) != current[name]]
    if wrong:
        raise invalid_properties(sorted(wrong), "It cannot be changed")
    before = _read_mailboxes(owner, current.get("mailboxIds"), {})
    after = _read_mailboxes(owner, changed.get("mailboxIds"), created)
    return EmailChange(
        tuple([mailbox for mailbox in after if mailbox not in before]),
        tuple([mailbox for mailbox in before if mailbox not in after]),
        _read_new_flags(current, changed) if "keywords" in names else None,
    )


def _read_new_flags(current: Mapping[str, object], changed: Mapping[str, object]) -> frozenset[str] | None:
    flags = read_keywords(changed.get("keywords"))
    return None if flags == read_keywords(current.get("keywords")) else flags


def _resolve_pointers(patch: Mapping[str, object], created: Mapping[str, str]) -> Mapping[str, object]:
    """`mailboxIds/#new` is the mailbox that was created as "new"."""
    start = "mailboxIds/#"
    if not any(pointer.startswith(start) for pointer in patch):
        return patch
    resolved: dict[str, object] = {}
    for pointer, value in patch.items():
        if pointer.startswith(start):
            mailbox = created.get(pointer.removeprefix(start))
            if mailbox is None:
                raise invalid_properties([pointer], "Nothing was created as that")
            resolved[f"mailboxIds/{mailbox}"] = value
        else:
            resolved[pointer] = value
    return resolved


def _read_mailboxes(owner: AccountId, value: object, created: Mapping[str, str]) -> tuple[MailboxId, ...]:
    if not isinstance(value, Mapping) or not value:
        raise invalid_properties(["mailboxIds"], "An email is in one mailbox at least")
    if len(value) > MAX_MAILBOXES:
        raise refuse_record(SetErrorType.TOO_MANY_MAILBOXES)
    found: dict[MailboxId, None] = {}
    wrong: list[str] = []
    for text, is_set in value.items():
        known = resolve_id(text, created)
        mailbox = find_mailbox(owner, known) if known is not None else None
        if mailbox is None or is_set is not True:
            wrong.append(f"mailboxIds/{text}")
        else:
            found[mailbox] = None
    if wrong:
        raise invalid_properties(wrong)
    return tuple(found)
