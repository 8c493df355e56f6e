"""Whether an account's Outbox is open: one annotation of the account, which any METADATA client may set (RFC 5464).

The mailbox of that name is made with it, so that mail programs find it. It is always empty; one that holds something
from before stays when the door is shut.
"""

from __future__ import annotations

import contextlib

from posthouse.message.mailbox import AccountId
from posthouse.ports.store import Annotations, Mailboxes, MailboxExists, StoreRefusal

ENTRY = "/private/vendor/posthouse/outbox"
ON = b"on"
STATES = (ON, b"off")  # in any case


async def is_open(annotations: Annotations, account: AccountId) -> bool:
    """Raises StoreError, NoSuchAccount."""
    found = await annotations.read(account, None, account)
    return found.get(ENTRY, b"").strip().lower() == ON


async def turn(annotations: Annotations, mailboxes: Mailboxes, account: AccountId, name: str, *, is_on: bool) -> None:
    """`name` is of the mailbox. May be done again. Raises StoreError, StoreRefusal."""
    await annotations.write(account, None, account, {ENTRY: ON if is_on else None})
    await follow(mailboxes, account, name, is_on=is_on)


async def follow(mailboxes: Mailboxes, account: AccountId, name: str, *, is_on: bool) -> None:
    """Make or remove the mailbox, when the annotation says so."""
    found = await mailboxes.list_all(account)
    known = next((box for box in found if box.parent is None and box.name == name), None)
    if is_on and known is None:
        with contextlib.suppress(MailboxExists):  # another program opens the door at the same time
            await mailboxes.create(account, name)
    elif not is_on and known is not None:
        with contextlib.suppress(StoreRefusal):
            await mailboxes.remove(account, known.id, with_emails=False)
