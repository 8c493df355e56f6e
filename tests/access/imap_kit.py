"""IMAP sessions on a store in memory: accounts with passwords, clients that talk, a clock that only tests move.

    office = await open_office(letter("one"), letter("two"))   # what lies in Alice's INBOX
    alice = await office.enter()                               # logged in; `office.enter(BOB)` is somebody else
    await alice.select()
    assert await alice.talk(b"a1 FETCH 1 FLAGS") == b"* 1 FETCH (FLAGS ())\\r\\na1 OK Fetched\\r\\n"
    assert await alice.do(Fetch(...)) == ...                   # a command as the parser makes it, tagged "t"

Two calls of `enter` are two sessions, of one account or of two. `office.open()` is a client that has not logged in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.message import EmailMessage

from posthouse.access.imap.desk import Desk, ImapFigures
from posthouse.access.imap.place import Place
from posthouse.access.imap.selected import Selected
from posthouse.access.imap.session import ImapSession
from posthouse.access.imap.settings import ImapSettings
from posthouse.access.imap.uploads import Uploads
from posthouse.message.mailbox import AccountId, EmailId, MailboxId, ModSeq, Role, UidRange, UidSet
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.peer import Peer
from posthouse.ports.clock import FakeClock
from posthouse.ports.compute import FakeCompute
from posthouse.ports.directory import FakeDirectory
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import FakeFigure, FakeLog
from posthouse.ports.sending import SentCopy, WantedEnvelope
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition, FlagEdit, FlagMode, Grant
from posthouse.ports.store_memory import MemoryStore
from posthouse.protocol.imap.commands import Request, Select
from posthouse.protocol.imap.server import ImapServer
from posthouse.protocol.imap.server_events import Command, Event, ImapLimits, State
from posthouse.protocol.imap.values import SequenceSet
from posthouse.protocol.wire.need_data import NeedData
from posthouse.trust.login import SaslConversation
from tests.access.wire_kit import HOME, MemoryWire, Talk
from tests.trust.test_login import ALICE, BOB, Rig

__all__ = [
    "ALICE",
    "BOB",
    "Client",
    "FakeSending",
    "FakeSlots",
    "Office",
    "letter",
    "numbers",
    "open_office",
    "uid_set",
]

_NAMES = {ALICE: "alice@example.org", BOB: "bob@example.org"}


class FakeSlots:
    """`refusal`: what everybody is told."""

    def __init__(self) -> None:
        self.refusal: str | None = None
        self.entered: list[tuple[AccountId, str]] = []

    def enter(self, account: AccountId, address: str) -> str | None:
        if self.refusal is None:
            self.entered.append((account, address))
        return self.refusal

    def leave(self, account: AccountId, address: str) -> None:
        self.entered.remove((account, address))


class FakeSending:
    """Keeps what was sent. `error` is what any sending raises."""

    def __init__(self, memory: MemoryStore) -> None:
        self.is_on = True
        self.error: Exception | None = None
        self.sent: list[bytes] = []
        self.stored: list[tuple[EmailId, WantedEnvelope]] = []
        self.entries: list[str] = []
        self.copies: dict[bytes, SentCopy] = {}  # what `send` answers for a message
        self.emails: list[list[EmailId]] = []
        self.removals: list[ModSeq] = []
        self._memory = memory

    async def is_outbox_on(self, account: AccountId) -> bool:
        return self.is_on

    async def note_annotation(self, account: AccountId, entry: str) -> None:
        self.entries.append(entry)

    def check_annotation(self, login: Login, entry: str, value: bytes | None) -> None:
        if self.error is not None:
            raise self.error

    async def send(
        self, login: Login, messages: Sequence[bytes], source: str, emails: Sequence[EmailId] = ()
    ) -> list[SentCopy]:
        if self.error is not None:
            raise self.error
        self.sent += messages
        self.emails.append(list(emails))
        return [self.copies.get(message, SentCopy()) for message in messages]

    async def note_removed(self, account: AccountId, since: ModSeq) -> None:
        self.removals.append(since)

    async def send_stored(
        self, login: Login, email: EmailId, envelope: WantedEnvelope, source: str, *, files: bool = False
    ) -> SentCopy:
        if self.error is not None:
            raise self.error
        self.stored.append((email, envelope))
        return SentCopy()

    async def file_upload(self, login: Login, mailbox: MailboxId, octets: bytes, addition: Addition) -> Added:
        return (await self._memory.messages.add(login.account, [addition]))[0]


class ScriptedServer(ImapServer):
    """The core, which takes commands that are parsed already as well."""

    def __init__(self, limits: ImapLimits) -> None:
        super().__init__(limits)
        self.waiting: deque[Command] = deque()

    def next_event(self) -> Event | NeedData:
        return self.waiting.popleft() if self.waiting else super().next_event()


class Client(Talk):
    """What `Talk` can, and commands by the line or as values."""

    session: ImapSession

    async def talk(self, *lines: bytes) -> bytes:
        """These lines, each with its CRLF, in one write; the answers to all of them."""
        return await self.say(b"".join([line + b"\r\n" for line in lines]))

    async def do(self, request: Request, tag: bytes = b"t") -> bytes:
        core = self.session.core
        assert isinstance(core, ScriptedServer)
        core.waiting.append(Command(tag, request))
        return await self.say(b"")

    async def select(self, mailbox: str = "INBOX", *, is_read_only: bool = False) -> bytes:
        return await self.do(Select(mailbox, is_read_only))

    async def enable(self, *names: str) -> None:
        for name in names:
            assert self.session.enable(name)


@dataclass
class Office:
    """Change `memory` (the store), `clock`, `slots`, `sending`, `logins` as a test needs it; `set` changes settings
    for clients that come later.
    """

    settings: ImapSettings = field(default_factory=lambda: ImapSettings("imap.example.org"))
    clock: FakeClock = field(default_factory=FakeClock)
    slots: FakeSlots = field(default_factory=FakeSlots)
    log: FakeLog = field(default_factory=FakeLog)
    logins: Rig = field(default_factory=Rig)
    directory: FakeDirectory = field(
        default_factory=lambda: FakeDirectory(accounts={name: account for account, name in _NAMES.items()})
    )
    uploads: Uploads = field(default_factory=lambda: Uploads(64 << 20))
    decoding: Uploads = field(default_factory=lambda: Uploads(64 << 20))
    compute: FakeCompute = field(default_factory=FakeCompute)

    def __post_init__(self) -> None:
        self.memory = MemoryStore(self.clock)
        self.store = self.memory.as_store()
        self.sending = FakeSending(self.memory)
        self.figures = ImapFigures(FakeFigure(), FakeFigure(), FakeFigure())

    def set(self, **changes: object) -> None:
        self.settings = replace(self.settings, **changes)  # type: ignore[arg-type]

    def converse(self, peer: Peer) -> SaslConversation:
        return SaslConversation(self.logins.authenticator, peer, Scope.READ)

    async def parse(self, octets: bytes) -> ParsedMessage:
        return parse_message(octets)

    @property
    def desk(self) -> Desk:
        return Desk(
            settings=self.settings,
            store=self.store,
            accounts=self.logins.people,
            directory=self.directory,
            converse=self.converse,
            slots=self.slots,
            sending=self.sending,
            parse=self.parse,
            compute=self.compute,
            uploads=self.uploads,
            decoding=self.decoding,
            clock=self.clock,
            log=self.log,
            figures=self.figures,
        )

    # -- clients

    def open(self, tls: str = "TLSv1.3", **wire: object) -> Client:
        """Before the greeting."""
        made = MemoryWire(Peer(HOME, tls_version=tls), **wire)  # type: ignore[arg-type]
        session = ImapSession(made, self.desk)
        session.core = ScriptedServer(self.settings.limits)
        return Client(made, session)

    async def enter(self, account: AccountId = ALICE) -> Client:
        """A client that has logged in and heard so."""
        client = self.open()
        await client.begin()
        client.session.login = Login(account, _NAMES[account], "PLAIN")
        client.session.core.state = State.AUTHENTICATED
        self.slots.enter(account, HOME)
        return client

    async def share_inbox(self, client: Client, rights: str) -> None:
        """The client has Alice's INBOX selected, as somebody else with these rights and a \\Seen of its own."""
        mailbox = await self.store.mailboxes.get(ALICE, await self.inbox())
        viewer = client.session.account
        await self.store.sharing.set_grant(ALICE, mailbox.id, Grant(viewer, rights))
        place = Place("Other Users/alice@example.org/INBOX", ALICE, mailbox, rights, viewer)
        view = await self.store.messages.snapshot(ALICE, mailbox.id, viewer)
        keywords = await self.store.messages.keywords(ALICE)
        client.session.selected = Selected(place, view, keywords, is_read_only=False)
        client.session.core.state = State.SELECTED

    # -- mail

    async def inbox(self, account: AccountId = ALICE) -> MailboxId:
        return (await self.store.mailboxes.open_role(account, Role.INBOX)).id

    async def add(
        self,
        *messages: bytes,
        flags: Sequence[str] = (),
        into: MailboxId | Role = Role.INBOX,
        prefix: bytes = b"",
        account: AccountId = ALICE,
        date: tuple[float, int] = (0.0, 0),
    ) -> list[Added]:
        """As deliveries come in; what is told then comes with the next `hear`. `date`: INTERNALDATE and its zone in
        minutes.
        """
        received, zone_minutes = date
        additions = [
            Addition(
                (into,),
                InlineBody(octets),
                parse_message(octets),
                prefix=prefix,
                received=received or self.clock.now(),
                zone_minutes=zone_minutes,
                flags=frozenset(flags),
            )
            for octets in messages
        ]
        return await self.store.messages.add(account, additions)

    async def flag(self, uid: int, *flags: str, mode: FlagMode = FlagMode.ADD) -> None:
        """As another program does it, in Alice's INBOX."""
        edit = FlagEdit(mode, frozenset(flags))
        await self.store.messages.set_flags(ALICE, await self.inbox(), (UidRange(uid, uid),), edit)

    async def expunge(self, *uids: int) -> None:
        for uid in uids:
            await self.flag(uid, "\\Deleted")
            await self.store.messages.expunge(ALICE, await self.inbox(), (UidRange(uid, uid),))

    async def flags(self) -> Mapping[int, frozenset[str]]:
        """UIDs in Alice's INBOX, and their flags."""
        snapshot = await self.store.messages.snapshot(ALICE, await self.inbox())
        table = await self.store.messages.keywords(ALICE)
        pairs = zip(snapshot.uids, snapshot.flags, strict=True)
        return {uid: frozenset(table.flags_of(flags)) for uid, flags in pairs}


async def open_office(*messages: bytes, **settings: object) -> Office:
    """Alice has the password "right", and these messages in her INBOX."""
    office = Office()
    office.set(**settings)
    await office.logins.add("right")
    if messages:
        await office.add(*messages)
    return office


def numbers(*ranges: int | tuple[int, int]) -> SequenceSet:
    """`numbers(1, (3, STAR))` is "1,3:*"."""
    return SequenceSet(tuple((each, each) if isinstance(each, int) else each for each in ranges))


def uid_set(*uids: int) -> UidSet:
    return tuple(UidRange(uid, uid) for uid in uids)


def letter(subject: str, text: str = "Hello.\n") -> bytes:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "ann@example.com", "alice@example.org", subject
    made.set_content(text, cte="8bit")
    return made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
