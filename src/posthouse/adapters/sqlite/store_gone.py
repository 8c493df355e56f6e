"""What was expunged and can still be brought back (docs/internals.md "An email", state E3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_sql import select_rows
from posthouse.message.mailbox import AccountId, EmailId, MailboxId


@dataclass(frozen=True, slots=True)
class GoneEmail:
    """`mailbox`: where it was last; it may be gone as well. Times in seconds since 1970."""

    email: EmailId
    gone: float
    mailbox: MailboxId
    size: int
    sender: str
    subject: str


async def list_gone(core: StoreCore, account: AccountId, since: float = 0.0) -> list[GoneEmail]:
    """Those that went since then, oldest first. Raises NoSuchAccount, StoreError."""
    return await core.read(account, _read_gone, int(since * 1e6))


def _read_gone(connection: apsw.Connection, account: AccountId, since_us: int) -> list[GoneEmail]:
    rows = select_rows(
        connection,
        "email, gone, gone_from, size, texts",
        "SELECT email, gone, gone_from, size, texts FROM email WHERE account = ? AND gone >= ? ORDER BY gone, email",
        (account, since_us),
    )
    return [_as_value(*row) for row in cast("list[tuple[int, int, int | None, int, str]]", rows)]


def _as_value(email: int, gone: int, mailbox: int | None, size: int, texts: str) -> GoneEmail:
    subject, sender = [*texts.split("\n"), "", ""][:2]
    return GoneEmail(EmailId(email), gone / 1e6, MailboxId(mailbox or 0), size, sender, subject)
