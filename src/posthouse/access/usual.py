"""The usual mailboxes of an account (RFC 6154, RFC 8621 §2), made where a program looks for them and there are none."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.message.mailbox import AccountId, Mailbox, Role
from posthouse.ports.store import Mailboxes

USUAL = (Role.DRAFTS, Role.SENT, Role.ARCHIVE, Role.JUNK, Role.TRASH)


async def make_missing(store: Mailboxes, account: AccountId, there: Sequence[Mailbox] = ()) -> bool:
    """One of the usual name takes its role. Raises what the store raises. True: something was made."""
    known = {mailbox.role for mailbox in there}
    missing = [role for role in USUAL if role not in known]
    for role in missing:
        await store.open_role(account, role)
    return bool(missing)
