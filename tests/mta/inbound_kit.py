"""A client's dialogue with the SMTP core and the inbound role, without a network."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field

from posthouse.message.address import Address
from posthouse.message.instant import Instant
from posthouse.message.peer import Peer
from posthouse.message.reply import Reply
from posthouse.mta.inbound import Desk, InboundFigures, InboundSession, InboundSettings
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import FakeDirectory
from posthouse.ports.observe import FakeFigure, FakeJournal, FakeLog
from posthouse.ports.spool import QueuedMessage
from posthouse.ports.spool_memory import MemorySpool
from posthouse.protocol.smtp import server as core


@dataclass
class FakePolicy:
    """Domains open to anyone, and domains whose mail ends in a mailbox here."""

    open_to_anyone: set[str] = field(default_factory=set)
    local: set[str] = field(default_factory=set)

    def is_open_to_anyone(self, address: Address) -> bool:
        return address.domain in self.open_to_anyone

    def delivers_here(self, address: Address) -> bool:
        return address.domain in self.local


@dataclass
class FakeOnward:
    """Keeps what was handed on."""

    taken: list[QueuedMessage] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)
    delay: float | None = 0.0

    def first_retry(self, now: Instant, octets: int) -> Instant:
        return Instant(now + 300)

    def take(self, message: QueuedMessage) -> None:
        self.taken.append(message)

    def retry_domain(self, domain: str) -> None:
        self.retried.append(domain)

    def mail_delay(self) -> float | None:
        return self.delay


class Desktop:
    """A desk with fakes all round. Hosted: `ours.example` (alice, bob). Backup MX: `backup.example`."""

    def __init__(self, postmaster: Address | None = None) -> None:
        self.clock = FakeClock()
        self.spool = MemorySpool(self.clock)
        self.onward = FakeOnward()
        self.log, self.journal = FakeLog(), FakeJournal()
        people: dict[str, frozenset[str] | None] = {"ours.example": frozenset({"alice", "bob"})}
        trusted = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("127.0.0.0/8"))
        self.desk = Desk(
            settings=InboundSettings("mx.ours.example", trusted, postmaster, inline_limit=4096, write_slice=4096),
            policy=FakePolicy({"ours.example", "backup.example"}, {"ours.example"}),
            directory=FakeDirectory(people),
            spool=lambda: self.spool,
            onward=self.onward,
            clock=self.clock,
            log=self.log,
            journal=self.journal,
            figures=InboundFigures(FakeFigure(), FakeFigure(), FakeFigure(), FakeFigure()),
        )

    def connect(self, address: str = "192.0.2.7") -> Client:
        return Client(self.desk, Peer(address, 4711))


class Client:
    """`say` sends lines and gives back the reply lines they cause."""

    def __init__(self, desk: Desk, peer: Peer) -> None:
        self.core = core.SmtpServer(core.ServerSettings("mx.ours.example", lmtp=desk.mailboxes is not None))
        self.role = InboundSession(desk, peer)
        self.core.greet(Reply(220, "", "ready"))
        self.core.take_output()

    async def say(self, text: str | bytes) -> list[str]:
        data = text if isinstance(text, bytes) else text.encode("utf-8")
        self.core.receive(data if data.endswith(b"\r\n") else data + b"\r\n")
        while (event := self.core.next_event()) is not core.NEED_DATA:
            await self._handle(event)
        return self.core.take_output().decode("utf-8").splitlines()

    async def _handle(self, event: object) -> None:
        answer = self._ask_role(event)
        if isinstance(answer, asyncio.Future):
            answer = await answer
        if isinstance(answer, Reply):
            self.core.answer(answer)
        elif isinstance(answer, list):
            self.core.answer_each(answer)

    def _ask_role(self, event: object) -> object:
        role = self.role
        match event:
            case core.Hello():
                return role.hello(event)
            case core.MailFrom():
                return role.mail(event)
            case core.RcptTo():
                return role.rcpt(event)
            case core.DataStarted():
                return role.data()
            case core.BodyPiece(data):
                return role.body(data)
            case core.MessageEnd():
                return role.end(event)
            case core.Etrn(domain):
                return role.etrn(domain)
            case core.Reset():
                role.reset()
            case core.Quit():
                return Reply(221)
        return None

    async def send(self, sender: str, recipients: list[str], body: str = "Subject: x\r\n\r\nhello\r\n") -> str:
        """A whole message; the last reply."""
        await self.say("EHLO client.example")
        lines = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{each}>" for each in recipients), "DATA"]
        replies = await self.say("\r\n".join(lines))
        if not replies[-1].startswith("354"):
            return replies[-1]
        return (await self.say(f"{body}.\r\n"))[-1]
