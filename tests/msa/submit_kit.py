"""submit() with fakes all round: one account, a store and a spool in memory, a runner that only takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from posthouse.message.address import Address, parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, Mailbox, Role, UidRange
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.message.reply import Reply
from posthouse.msa.conduct import Conducts
from posthouse.msa.handover import HandOver, HandOverParts
from posthouse.msa.limits import SendLimits
from posthouse.msa.submit import (
    Refused,
    SubmitFigures,
    SubmitOptions,
    SubmitParts,
    SubmitSettings,
    Submitted,
    Submitter,
)
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import Account, DirectoryError, FakeDirectory
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeFigure, FakeJournal, FakeLog
from posthouse.ports.spool import QueuedMessage, Spool, SpoolError
from posthouse.ports.spool_memory import MemoryDisk, MemorySpool
from posthouse.ports.store import Fields
from posthouse.ports.store_memory import MemoryStore

ALICE = Account(AccountId(7), "alice@ours.example", "Alice", ("alice@ours.example", "a.smith@ours.example"))
LOGIN = Login(ALICE.id, ALICE.address, "PLAIN")
MESSAGE = (
    b"From: Alice <alice@ours.example>\r\nTo: Bob <bob@there.example>\r\nSubject: hello\r\n"
    b"Date: Thu, 14 Jan 2027 08:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\nHello\r\n"
)


class FakeAccounts:
    def __init__(self, *accounts: Account) -> None:
        self.accounts = {account.id: account for account in accounts}
        self.is_broken = False

    def get(self, account: AccountId) -> Account | None:
        if self.is_broken:
            raise DirectoryError("disk failed")
        return self.accounts.get(account)

    def find(self, login: str) -> Account | None:
        return next((one for one in self.accounts.values() if login in one.addresses), None)

    def may_send_as(self, account: AccountId, address: Address) -> bool:
        found = self.accounts.get(account)
        return found is not None and str(address).lower() in found.addresses


@dataclass
class FakeOnward:
    """What the runner would have in hand."""

    announced: set[QueueId] = field(default_factory=set)
    taken: list[QueuedMessage] = field(default_factory=list)

    def first_retry(self, now: Instant, octets: int) -> Instant:
        return Instant(now + 300)

    def announce(self, queue_id: QueueId) -> None:
        self.announced.add(queue_id)

    def take_announced(self, message: QueuedMessage) -> None:
        if message.id in self.announced:
            self.announced.discard(message.id)
            self.taken.append(message)

    def withdraw(self, ids: Sequence[QueueId]) -> None:
        self.announced.difference_update(ids)


async def parse(octets: bytes) -> ParsedMessage:
    return parse_message(octets)


class House:
    """`restart` is a worker that died with what it had in memory; the disks stay."""

    def __init__(self, limits: SendLimits | None = None) -> None:
        self.clock = FakeClock()
        self.store = MemoryStore(self.clock)
        self.disk = MemoryDisk()
        self.accounts = FakeAccounts(ALICE)
        self.directory = FakeDirectory({"ours.example": frozenset({"alice", "carol"})})
        self.limits = limits or SendLimits()
        self.tokens = 0
        self.rejections: dict[Address, Reply] = {}
        self.has_shard = True
        self.restart()

    def restart(self) -> None:
        self.spool = MemorySpool(self.clock, shard=3, disk=self.disk)
        self.onward, self.journal, self.log = FakeOnward(), FakeJournal(), FakeLog()
        self.figures = SubmitFigures(FakeFigure(), FakeFigure(), FakeFigure(), FakeFigure())
        self.conducts = Conducts(self.store.submissions, self.clock, self.limits)
        self.handover = HandOver(
            HandOverParts(
                self.store.submissions,
                self.store.mailboxes,
                self.store.messages,
                self.accounts,
                self.directory,
                self.find_shard,
                self.list_spools,
                self.onward,
                self.conducts,
                self.clock,
                self.log,
                self.journal,
            )
        )
        self.submitter = Submitter(
            SubmitParts(
                SubmitSettings("mail.ours.example"),
                self.accounts,
                self.directory,
                self.store.submissions,
                self.store.messages,
                self.conducts,
                self.handover,
                parse,
                self.make_token,
                self.clock,
                self.log,
                self.figures,
                self.rejections.get,
            )
        )

    def find_shard(self) -> Spool:
        if not self.has_shard:
            raise SpoolError("no shard takes mail now")
        return self.spool

    def list_spools(self) -> Sequence[Spool]:
        return (self.spool,)

    def make_token(self) -> str:
        self.tokens += 1
        return f"token{self.tokens}"

    async def submit(
        self,
        message: bytes = MESSAGE,
        *recipients: str,
        login: Login = LOGIN,
        options: SubmitOptions | None = None,
        source: str = "192.0.2.7",
        sender: str | None = "alice@ours.example",
    ) -> Submitted | Refused:
        """Without recipients the header names them."""
        envelope = make_envelope(*recipients, sender=sender) if recipients else None
        result = await self.submitter.submit(login, message, envelope, options, source)
        await self.handover.settle_down()
        return result

    async def replay(self) -> None:
        await self.handover.replay()
        await self.handover.settle_down()

    async def find_box(self, role: Role) -> Mailbox | None:
        return next((box for box in await self.store.mailboxes.list_all(ALICE.id) if box.role is role), None)

    async def list_copies(self, role: Role) -> list[bytes]:
        """The octets of what lies there."""
        box = await self.find_box(role)
        if box is None:
            return []
        snapshot = await self.store.messages.snapshot(ALICE.id, box.id)
        rows = await self.store.messages.load(ALICE.id, box.id, uids_of(snapshot.uids), Fields.NONE)
        return [await self.store.blobs.read(ALICE.id, row.email) for row in rows]


def uids_of(uids: Sequence[int]) -> tuple[UidRange, ...]:
    return tuple(UidRange(uid, uid) for uid in uids)


def make_envelope(*recipients: str, sender: str | None = "alice@ours.example") -> Envelope:
    return Envelope(
        parse_address(sender) if sender is not None else None,
        tuple(Recipient(parse_address(text)) for text in recipients),
    )


def expect_submitted(result: Submitted | Refused) -> Submitted:
    assert isinstance(result, Submitted), str(result)
    return result


def expect_refused(result: Submitted | Refused) -> str:
    assert isinstance(result, Refused), str(result)
    return str(result.reply)


def with_header(*fields: str) -> bytes:
    """MESSAGE with fields in front."""
    return "".join(f"{field}\r\n" for field in fields).encode() + MESSAGE


def changed(login: Login, **more: object) -> Login:
    return replace(login, **more)  # type: ignore[arg-type]
