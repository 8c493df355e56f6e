"""What snoozing does to an email: into the mailbox with role `snoozed`, and back at its time or before.

A snooze is a record of the kind `snooze`: {email, mailboxes (where it goes back), until}. It is written before the
email is moved and removed after it is back. Killed anywhere, what is left is a record whose email is not snoozed: it is
dropped when it is due. An email that somebody has moved out of Snoozed by hand stays where it is.

Whoever wakes what is due (app/due_records.py) uses `wake`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Role
from posthouse.ms.keywords import merge_flags
from posthouse.ports.records import Record, RecordEdit, Records, Value
from posthouse.ports.store import Fields, NoSuchMailbox, Store, TooMany

SNOOZE_KIND = "snooze"
WOKEN = "$snoozed"  # the keyword of an email that is back
_SEEN = "\\Seen"
_CLOSED = frozenset({Role.SCHEDULED, Role.SNOOZED})  # nothing goes back into these


@dataclass(frozen=True, slots=True)
class Snooze:
    email: EmailId
    mailboxes: tuple[MailboxId, ...]
    until: str  # UTCDate, as it was given

    def as_value(self) -> Value:
        return {"email": self.email, "mailboxes": list(self.mailboxes), "until": self.until}


def read_snooze(record: Record) -> Snooze:
    email, mailboxes, until = (record.value.get(name) for name in ("email", "mailboxes", "until"))
    numbers = [number for number in mailboxes if isinstance(number, int)] if isinstance(mailboxes, list) else []
    return Snooze(EmailId(email if isinstance(email, int) else 0), tuple(map(MailboxId, numbers)), str(until))


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Of an email: mailboxes in which it is visible, and its keywords as the store has them."""

    mailboxes: tuple[MailboxId, ...]
    flags: frozenset[str]


async def find_email(store: Store, owner: AccountId, email: EmailId) -> Whereabouts | None:
    """None: there is none that JMAP could see."""
    rows = await store.messages.load_emails(owner, [email], Fields.NONE)
    placements = rows[0].placements if rows else {}
    bits = merge_flags([placement.flags for placement in placements.values()])
    if bits is None:
        return None
    table = await store.messages.keywords(owner)
    return Whereabouts(tuple(placements), frozenset(table.flags_of(bits)))


async def list_open(store: Store, owner: AccountId) -> dict[MailboxId, Role | None]:
    """Mailboxes into which an email may go back."""
    found = await store.mailboxes.list_all(owner)
    return {box.id: box.role for box in found if box.role not in _CLOSED}


async def put_away(store: Store, owner: AccountId, email: EmailId) -> None:
    """Into Snoozed, out of everything else. Raises NoSuchMailbox when it is gone."""
    found = await find_email(store, owner, email)
    if found is None:
        raise NoSuchMailbox(f"no email {email}")
    target = (await store.mailboxes.open_role(owner, Role.SNOOZED)).id
    flags = found.flags - {WOKEN} if WOKEN in found.flags else None
    await store.messages.place(owner, email, [target], [box for box in found.mailboxes if box != target], flags)


async def bring_back(store: Store, owner: AccountId, snooze: Snooze, *, is_woken: bool) -> bool:
    """Out of Snoozed, to where it came from, else INBOX. `is_woken`: its time has come, it is unread and says why.

    False: it was not there any more.
    """
    found = await find_email(store, owner, snooze.email)
    boxes = await store.mailboxes.list_all(owner)
    snoozed = next((box.id for box in boxes if box.role is Role.SNOOZED), None)
    if found is None or snoozed is None or snoozed not in found.mailboxes:
        return False
    targets = await _choose_targets(store, owner, snooze.mailboxes)
    unread = found.flags - {_SEEN}
    try:
        await store.messages.place(owner, snooze.email, targets, [snoozed], unread | {WOKEN} if is_woken else None)
    except TooMany:  # the account has as many keywords as there can be: it comes back without saying why
        if not is_woken:
            raise
        await store.messages.place(owner, snooze.email, targets, [snoozed], unread)
    return True


async def _choose_targets(store: Store, owner: AccountId, wanted: Sequence[MailboxId]) -> list[MailboxId]:
    known = await list_open(store, owner)
    return [box for box in wanted if box in known] or [(await store.mailboxes.open_role(owner, Role.INBOX)).id]


async def wake(store: Store, records: Records, owner: AccountId, record: Record) -> bool:
    """Of a record that is due. False: its email was not snoozed any more. Done twice, the second does nothing."""
    is_back = await bring_back(store, owner, read_snooze(record), is_woken=True)
    await records.edit(owner, SNOOZE_KIND, [RecordEdit(None, record.id)])
    return is_back
