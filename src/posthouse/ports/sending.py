"""Sending from the message store's side: what IMAP and JMAP ask of the MSA. msa/doors.py is the real one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, Uid, UidValidity
from posthouse.ports.login import Login
from posthouse.ports.store import Added, Addition


class SendRefused(Exception):
    """Nothing was stored or sent. The text begins with the enhanced code and names the address at fault.

    `is_policy`: it is about who may send what (`POLICYDENIED`); `is_temporary`: later it may go.
    """

    def __init__(self, text: str, *, is_policy: bool = False, is_temporary: bool = False) -> None:
        super().__init__(text)
        self.text, self.is_policy, self.is_temporary = text, is_policy, is_temporary


@dataclass(frozen=True, slots=True)
class SentCopy:
    """Where the copy in Sent (or Scheduled) is; all None where the account keeps none. `is_repeat`: it was sent before
    and is not sent again (sending.md rule 6).
    """

    mailbox: MailboxId | None = None
    uid: Uid | None = None
    uidvalidity: UidValidity | None = None
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class WantedEnvelope:
    """An explicit envelope. `sender` None: by the message. `recipients` with DSN parameters, empty: by the message.
    Names of parameters in upper case (NOTIFY, ORCPT; RET, ENVID, ...).
    """

    sender: str | None = None
    recipients: tuple[tuple[str, Mapping[str, str | None]], ...] = ()
    options: Mapping[str, str | None] = field(default_factory=dict)


class Sending(Protocol):
    async def is_outbox_on(self, account: AccountId) -> bool: ...

    async def note_annotation(self, account: AccountId, entry: str) -> None:
        """Somebody has set or removed this entry of the account (METADATA): it may open or shut the Outbox."""

    async def send(self, login: Login, messages: Sequence[bytes], source: str) -> list[SentCopy]:
        """By the Outbox: every one is checked before the first is sent. Raises SendRefused.

        When a later one of several is refused by the store, the answer names how many had gone.
        """

    async def send_stored(self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str) -> SentCopy:
        """An email that lies in the account is sent as it is (UID SUBMIT, JMAP). Raises SendRefused."""

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        """A program's own copy of what it sent comes into Sent: it takes the place of the server's (rule 7).

        Raises as `Messages.add`.
        """
