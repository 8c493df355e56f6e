"""Where threads are: in which mailboxes, and in which of them unread. What counts of threads are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ThreadId


@dataclass(slots=True)
class ThreadPlaces:
    """By mailbox: `there` have an email in it that is not \\Deleted, `unread` one that is neither \\Seen nor a draft.

    Mailboxes without a thread may be left out.
    """

    there: dict[MailboxId, set[ThreadId]] = field(default_factory=dict)
    unread: dict[MailboxId, set[ThreadId]] = field(default_factory=dict)


class Threads(Protocol):
    async def places(self, account: AccountId) -> ThreadPlaces:
        """Of all threads. Some hundred milliseconds for a million emails: ask once, then for what changed."""

    async def places_of(
        self, account: AccountId, threads: Sequence[ThreadId], emails: Sequence[EmailId]
    ) -> tuple[set[ThreadId], ThreadPlaces]:
        """Of these threads and of those that the emails belong to, which are named; as they are at one moment."""

    async def naming(self, account: AccountId, message_id: str) -> list[ThreadId]:
        """Those with an email that has this Message-ID (without brackets) or refers to it, whatever its subject."""
