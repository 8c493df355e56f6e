"""A POP3 session on a store in memory, with an account, a password, and a client that talks to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from email.message import EmailMessage
from functools import cache

from posthouse.access.pop3.delays import LoginDelays
from posthouse.access.pop3.desk import Desk, Pop3Figures
from posthouse.access.pop3.session import Pop3Session
from posthouse.access.pop3.settings import Pop3Settings
from posthouse.message.mailbox import AccountId, Flag, MailboxId, Role, UidRange
from posthouse.message.parse import parse_message
from posthouse.message.peer import Peer
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import Credential, CredentialKind, FakePasswordHash
from posthouse.ports.login import Scope
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition, FlagEdit, FlagMode
from posthouse.ports.store_memory import MemoryStore
from posthouse.trust.login import SaslConversation
from posthouse.trust.secrets import NewPassword, make_credential
from tests.access.wire_kit import HOME, MemoryWire, Talk
from tests.trust.test_login import ALICE, SECRET, Rig

LOGIN = b"USER alice@example.org\r\nPASS right\r\n"


class FakeSlots:
    def __init__(self) -> None:
        self.refusal: str | None = None
        self.entered: list[tuple[AccountId, str]] = []

    def enter(self, account: AccountId, address: str) -> str | None:
        if self.refusal is None:
            self.entered.append((account, address))
        return self.refusal

    def leave(self, account: AccountId, address: str) -> None:
        self.entered.remove((account, address))


class FakeMaildrops:
    def __init__(self) -> None:
        self.locked: set[AccountId] = set()

    async def lock(self, account: AccountId) -> bool:
        if account in self.locked:
            return False
        self.locked.add(account)
        return True

    def unlock(self, account: AccountId) -> None:
        self.locked.remove(account)


@dataclass
class PostOffice:
    """`logins.add()` makes alice's password; `open` brings a client, from `peer`."""

    settings: Pop3Settings = field(default_factory=lambda: Pop3Settings("pop.example.org"))
    clock: FakeClock = field(default_factory=FakeClock)
    slots: FakeSlots = field(default_factory=FakeSlots)
    maildrops: FakeMaildrops = field(default_factory=FakeMaildrops)
    log: FakeLog = field(default_factory=FakeLog)
    logins: Rig = field(default_factory=Rig)
    peer: Peer = field(default_factory=lambda: Peer(HOME, tls_version="TLSv1.3"))

    def __post_init__(self) -> None:
        self.memory = MemoryStore(self.clock)
        self.store = self.memory.as_store()
        self.delays = LoginDelays(self.clock)
        self.figures = Pop3Figures(FakeFigure(), FakeFigure(), FakeFigure())

    def converse(self, peer: Peer) -> SaslConversation:
        return SaslConversation(self.logins.authenticator, peer, Scope.READ)

    @property
    def desk(self) -> Desk:
        shared = (self.slots, self.maildrops, self.delays, self.clock, self.log, self.figures)
        return Desk(self.settings, self.store, self.converse, *shared)

    def set(self, **changes: object) -> None:
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]

    def open(self, **wire: object) -> Talk:
        """Before the greeting."""
        made = MemoryWire(replace(self.peer), **wire)  # type: ignore[arg-type]
        return Talk(made, Pop3Session(made, self.desk))

    async def enter(self) -> Talk:
        """A client that has logged in and heard so."""
        talk = self.open()
        await talk.begin()
        assert (await talk.say(LOGIN)).count(b"+OK") == 2
        return talk

    # -- mail

    async def inbox(self) -> MailboxId:
        return (await self.store.mailboxes.open_role(ALICE, Role.INBOX)).id

    async def add(self, *messages: bytes, uidl: str = "") -> None:
        additions = [
            Addition((Role.INBOX,), InlineBody(octets), parse_message(octets), uidl=uidl) for octets in messages
        ]
        await self.store.messages.add(ALICE, additions)

    async def flag(self, uid: int, *flags: str) -> None:
        edit = FlagEdit(FlagMode.ADD, frozenset(flags))
        await self.store.messages.set_flags(ALICE, await self.inbox(), (UidRange(uid, uid),), edit)

    async def expunge(self, uid: int) -> None:
        """As a program for IMAP does it."""
        await self.flag(uid, "\\Deleted")
        await self.store.messages.expunge(ALICE, await self.inbox(), (UidRange(uid, uid),))

    async def left(self) -> dict[int, Flag]:
        """UIDs in INBOX and their flags."""
        snapshot = await self.store.messages.snapshot(ALICE, await self.inbox())
        return {uid: Flag(flags & 31) for uid, flags in zip(snapshot.uids, snapshot.flags, strict=True)}


@cache
def _make_password() -> Credential:
    """Takes a tenth of a second: SCRAM wants it so."""
    new = NewPassword(ALICE, CredentialKind.MAIN, "right")
    return make_credential(new, FakePasswordHash(), SECRET, FakeClock().now())


async def open_office(*messages: bytes, **settings: object) -> PostOffice:
    """Alice has the password "right", and these messages."""
    office = PostOffice()
    office.set(**settings)
    await office.logins.credentials.add(_make_password())
    await office.add(*messages)
    return office


def letter(subject: str, text: str = "Hello.\r\n") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "ann@example.com", "alice@example.org", subject
    made.set_content(text.replace("\r\n", "\n"), cte="8bit")
    return made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
