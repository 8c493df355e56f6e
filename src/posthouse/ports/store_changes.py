"""What changed in an account or a mailbox, and being told so; imported from `ports.store`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.message.mailbox import AccountId, EmailId, MailboxChange, MailboxId, ModSeq, SubmissionId, ThreadId


@dataclass(slots=True)
class AccountChanges:
    """For JMAP. `is_complete` False: too long ago (cannotCalculateChanges). Each id is in one of three at most.

    `emails_at`: when each of `created` was made, when each of `updated` changed last.
    """

    modseq: ModSeq
    created: list[EmailId] = field(default_factory=list)
    updated: list[EmailId] = field(default_factory=list)
    destroyed: list[EmailId] = field(default_factory=list)
    emails_at: dict[EmailId, ModSeq] = field(default_factory=dict)
    threads_changed: list[ThreadId] = field(default_factory=list)
    mailboxes_created: list[MailboxId] = field(default_factory=list)
    mailboxes_updated: list[MailboxId] = field(default_factory=list)  # properties
    mailboxes_counted: list[MailboxId] = field(default_factory=list)  # only counters
    mailboxes_destroyed: list[MailboxId] = field(default_factory=list)
    submissions_changed: list[SubmissionId] = field(default_factory=list)
    is_complete: bool = True


class Subscription(Protocol):
    def cancel(self) -> None: ...


class Changes(Protocol):
    async def modseq(self, account: AccountId) -> ModSeq: ...

    async def in_mailbox(
        self, account: AccountId, mailbox: MailboxId, since: ModSeq, viewer: AccountId | None = None
    ) -> MailboxChange: ...

    async def in_account(self, account: AccountId, since: ModSeq) -> AccountChanges: ...

    def watch(self, account: AccountId, callback: Callable[[], None]) -> Subscription:
        """`callback` is called in the event loop soon after anything in the account changed, whoever changed it,
        in this process or another; changes in quick succession may be told once. A hint: look with the others.
        """
