"""Sending from the message store's side: what IMAP and JMAP ask of the MSA. msa/doors.py is the real one."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, SubmissionId, Uid, UidValidity
from posthouse.ports.login import Login
from posthouse.ports.store import Added, Addition, Submission


class SendFault(enum.Enum):
    """What is wrong, for who must say it in one word (RFC 8621 §7.5)."""

    OTHER = enum.auto()
    ENVELOPE = enum.auto()  # a parameter there is not, or with a value it cannot have
    SENDER = enum.auto()  # not allowed as envelope sender
    AUTHOR = enum.auto()  # not allowed in From
    NO_RECIPIENTS = enum.auto()
    TOO_MANY_RECIPIENTS = enum.auto()
    RECIPIENTS = enum.auto()  # `SendRefused.addresses`
    MESSAGE = enum.auto()
    QUOTA = enum.auto()


class SendRefused(Exception):
    """Nothing was stored or sent. The text begins with the enhanced code and names the address at fault.

    `is_policy`: it is about who may send what (`POLICYDENIED`); `is_limit`: too much now (`LIMIT`); `is_temporary`:
    later it may go; `is_race`: it is being submitted in this moment. `fault`, `addresses`: of `EmailSending` alone.
    """

    def __init__(
        self,
        text: str,
        *,
        is_policy: bool = False,
        is_temporary: bool = False,
        is_limit: bool = False,
        is_race: bool = False,
        fault: SendFault = SendFault.OTHER,
    ) -> None:
        super().__init__(text)
        self.fault = fault
        self.addresses: tuple[str, ...] = ()
        self.text, self.is_policy, self.is_temporary = text, is_policy, is_temporary
        self.is_limit, self.is_race = is_limit, is_race


@dataclass(frozen=True, slots=True)
class SentCopy:
    """Where the copy in Sent (or Scheduled) is; all None where the account keeps none. `is_repeat`: it was sent before
    and is not sent again (sending.md rule 6). `send_at`: it waits in Scheduled until then; 0: it does not wait.
    `is_released`: it lay in Scheduled and has left it for Sent.
    """

    mailbox: MailboxId | None = None
    uid: Uid | None = None
    uidvalidity: UidValidity | None = None
    is_repeat: bool = False
    send_at: float = 0.0
    is_released: bool = False


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

    def check_annotation(self, login: Login, entry: str, value: bytes | None) -> None:
        """Whether this login may give the account's entry that value. Raises SendRefused."""

    async def send(
        self, login: Login, messages: Sequence[bytes], source: str, emails: Sequence[EmailId] = ()
    ) -> list[SentCopy]:
        """By the Outbox: every one is checked before the first is sent. Raises SendRefused.

        `emails`: what the messages are, where they lie in the account: one that waits in Scheduled is sent now.
        When a later one of several is refused by the store, the answer names how many had gone.
        """

    async def send_stored(
        self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str, *, files: bool = False
    ) -> SentCopy:
        """An email that lies in the account is sent as it is. Raises SendRefused.

        `files`: with a copy in Sent and the undo time, as mail that comes by any other door (UID SUBMIT); without,
        where it lies is the program's business (JMAP).
        """

    async def note_removed(self, account: AccountId, since: ModSeq) -> None:
        """Mail has left Scheduled since then: what is canceled by it is traced."""

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        """A program's own copy of what it sent comes into Sent: it takes the place of the server's (rule 7).

        Raises as `Messages.add`.
        """


# -- JMAP


@dataclass(frozen=True, slots=True)
class EmailWish:
    """How an email is to be sent. `identity`: what the client sends it as, kept with the submission. An envelope may
    hold the mail (HOLDFOR, HOLDUNTIL: RFC 4865 §4) for up to `max_hold_s`.
    """

    envelope: WantedEnvelope
    identity: str = ""
    max_hold_s: float = 0.0
    max_recipients: int = 1000


@dataclass(frozen=True, slots=True)
class SubmittedEmail:
    """`send_at`: it waits until then; 0: it does not wait."""

    id: SubmissionId
    is_repeat: bool = False
    send_at: float = 0.0


@dataclass(frozen=True, slots=True)
class SentEnvelope:
    """What is kept of a submission. `identity` "": it did not come by JMAP."""

    envelope: WantedEnvelope
    identity: str = ""


class EmailSending(Sending, Protocol):
    """What JMAP asks beside that (RFC 8621 §7)."""

    async def submit_email(self, login: Login, email: EmailId, wish: EmailWish, source: str) -> SubmittedEmail:
        """An email of the account is sent as it is, and stays where it lies. It waits for the undo time, or as long as
        it is held. Raises SendRefused.
        """

    async def submit_message(self, login: Login, octets: bytes, envelope: WantedEnvelope, source: str) -> SubmissionId:
        """A message that is nowhere in the account, at once: a receipt. Raises SendRefused."""

    async def put_off(self, account: AccountId, submission: SubmissionId) -> None:
        """What waits lies in Scheduled, and neither in Drafts nor in Sent (sending.md rule 8): called when the client
        has moved it to where it shall be. It goes to Sent when it is sent. Does nothing for what does not wait.
        """

    async def cancel(self, account: AccountId, submission: SubmissionId) -> bool:
        """Taken back, and from Scheduled into Drafts. False when it is too late."""

    def read_envelope(self, submission: Submission) -> SentEnvelope: ...
