"""A store to be tried, and mail for it; the same for every store.

Messages are described by hand, so that what a store keeps is compared with what it was given and with nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.message.casemap import fold_case
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, MailboxId, ModSeq, Role, Uid, UidRange, UidSet
from posthouse.message.parsed import ParsedMessage, PartFacts, SortKeys
from posthouse.message.subject import base_subject
from posthouse.ms.uidsets import from_list
from posthouse.ports.answered import Answered
from posthouse.ports.clock import FakeClock
from posthouse.ports.records import Records
from posthouse.ports.spool import Body, InlineBody
from posthouse.ports.store import (
    Added,
    Addition,
    FlagEdit,
    FlagMode,
    FlagResult,
    Store,
)
from posthouse.ports.store_memory import MemoryStore, QuotaLimit

ALICE, BOB = AccountId(1), AccountId(2)
PREFIX = b"Return-Path: <sender@example.com>\r\nDelivered-To: alice@example.org\r\n"
EVERY: UidSet = (UidRange(1, 2**32 - 1),)


class Control(Protocol):
    """What an administrator, the directory and the disk do to a store."""

    def set_quota(self, account: AccountId, octets: int | None = None, emails: int | None = None) -> None: ...

    def set_full(self, is_full: bool) -> None: ...

    async def remove_account(self, account: AccountId) -> None: ...

    async def forget_changes(self, account: AccountId, until: ModSeq) -> None: ...


@dataclass
class Office:
    clock: FakeClock
    store: Store
    control: Control
    records: Records
    answered: Answered

    async def inbox(self, account: AccountId = ALICE) -> MailboxId:
        return (await self.store.mailboxes.open_role(account, Role.INBOX)).id

    async def mailbox(self, name: str = "Work", account: AccountId = ALICE) -> MailboxId:
        return (await self.store.mailboxes.create(account, name)).id

    async def get(self, mailbox: MailboxId, account: AccountId = ALICE) -> Mailbox:
        return await self.store.mailboxes.get(account, mailbox)

    async def add(
        self, *mailboxes: MailboxId | Role, account: AccountId = ALICE, count: int = 1, addition: Addition | None = None
    ) -> list[Added]:
        made = [addition or make_addition(subject=f"number {number}") for number in range(count)]
        targets = mailboxes or (Role.INBOX,)
        return await self.store.messages.add(account, [replace(item, mailboxes=targets) for item in made])

    async def uids(self, mailbox: MailboxId, account: AccountId = ALICE) -> list[int]:
        return list((await self.store.messages.snapshot(account, mailbox)).uids)

    async def flag(
        self, mailbox: MailboxId, uids: UidSet, *flags: str, mode: FlagMode = FlagMode.ADD, account: AccountId = ALICE
    ) -> FlagResult:
        return await self.store.messages.set_flags(account, mailbox, uids, FlagEdit(mode, frozenset(flags)))

    async def flags_of(
        self, mailbox: MailboxId, account: AccountId = ALICE, viewer: AccountId | None = None
    ) -> dict[int, set[str]]:
        snapshot = await self.store.messages.snapshot(account, mailbox, viewer)
        table = await self.store.messages.keywords(account)
        return {uid: set(table.flags_of(bits)) for uid, bits in zip(snapshot.uids, snapshot.flags, strict=True)}

    async def read(self, email: EmailId, account: AccountId = ALICE) -> bytes:
        return await self.store.blobs.read(account, email)


def uid_set(*uids: int) -> UidSet:
    return from_list(uids)


def first_uid(added: list[Added]) -> Uid:
    return added[0].uids[0]


@dataclass(frozen=True)
class Letter:
    subject: str = "hello"
    text: str = "It is raining in Zürich.\r\n"
    sender: str = "Ann <ann@example.com>"
    message_id: str = ""
    references: tuple[str, ...] = ()
    sent: float | None = 1_700_000_000.0


def make_addition(*mailboxes: MailboxId | Role, **more: object) -> Addition:
    """An email to be added, its message described as a parser would. `more`: of a Letter, or of the Addition."""
    names = Letter.__dataclass_fields__
    letter = Letter(**{name: value for name, value in more.items() if name in names})  # type: ignore[arg-type]
    rest = {name: value for name, value in more.items() if name not in names}
    addition = Addition(mailboxes or (Role.INBOX,), *_write(letter), PREFIX, 1_700_000_100.25, 60)
    return replace(addition, **rest)  # type: ignore[arg-type]


def _write(letter: Letter) -> tuple[Body, ParsedMessage]:
    subject, sender, text = letter.subject, letter.sender, letter.text
    head = f"Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: {sender}\r\nTo: bob@example.net\r\nSubject: {subject}\r\n"
    if letter.message_id:
        head += f"Message-ID: <{letter.message_id}>\r\n"
    if letter.references:
        head += "References: " + " ".join(f"<{one}>" for one in letter.references) + "\r\n"
    header = head.encode() + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
    octets = header + text.encode()
    base = base_subject(subject)
    message = ParsedMessage(
        size=len(octets),
        header_size=len(header),
        lines=octets.count(b"\r\n"),
        envelope=f'("Tue, 14 Nov 2023 22:13:20 +0000" "{len(subject)}")'.encode(),
        bodystructure=b'("TEXT" "PLAIN" NIL NIL NIL "8BIT" 26 1)',
        parts=(
            PartFacts("1", 0, len(header), len(octets), text.count("\r\n"), "text/plain", "8bit", "utf-8", "", "", ""),
        ),
        head=f"Subject: {subject}\r\n".encode(),
        keys=SortKeys(
            letter.sent, fold_case(base.text), fold_case(sender), "BOB", "", fold_case(sender), "BOB@EXAMPLE.NET"
        ),
        message_id=letter.message_id,
        references=letter.references,
        subject=subject,
        from_text=sender,
        to_text="bob@example.net",
        preview=text[:256].strip(),
        is_reply_or_forward=base.is_reply_or_forward,
    )
    return InlineBody(octets), message


async def whole(body: Body) -> bytes:
    return body.inline if body.inline is not None else await body.read(0, body.size)


@dataclass
class MemoryControl:
    store: MemoryStore

    def set_quota(self, account: AccountId, octets: int | None = None, emails: int | None = None) -> None:
        self.store.quotas_of[account] = QuotaLimit(octets, emails)

    def set_full(self, is_full: bool) -> None:
        self.store.full = is_full

    async def remove_account(self, account: AccountId) -> None:
        self.store.remove_account(account)

    async def forget_changes(self, account: AccountId, until: ModSeq) -> None:
        self.store.forget_changes(account, until)


@asynccontextmanager
async def open_memory(path: Path) -> AsyncIterator[Office]:
    clock = FakeClock()
    store = MemoryStore(clock)
    yield Office(clock, store.as_store(), MemoryControl(store), store.records, store.answered)


class RoomyFiles(Files):
    """A disk that is as full as one says."""

    def __init__(self) -> None:
        self.octets = 1 << 40

    def space(self, path: str) -> Space:
        return Space(self.octets, 1 << 20)


@dataclass
class SqliteControl:
    store: SqliteStore
    files: RoomyFiles
    clock: FakeClock
    quotas: dict[AccountId, tuple[int | None, int | None]]

    def set_quota(self, account: AccountId, octets: int | None = None, emails: int | None = None) -> None:
        self.quotas[account] = (octets, emails)

    def set_full(self, is_full: bool) -> None:
        self.files.octets = 0 if is_full else 1 << 40
        self.clock.advance(2)

    async def remove_account(self, account: AccountId) -> None:
        await self.store.remove_account(account)

    async def forget_changes(self, account: AccountId, until: ModSeq) -> None:
        """A clean-up that keeps none of them."""
        kept, self.store.core.options = self.store.core.options, replace(self.store.core.options, kept_changes=0)
        await self.store.purge(self.clock.now())
        self.store.core.options = kept


@asynccontextmanager
async def open_sqlite(path: Path) -> AsyncIterator[Office]:
    clock, files = FakeClock(), RoomyFiles()
    quotas: dict[AccountId, tuple[int | None, int | None]] = {}
    store = SqliteStore(
        f"{path}/store",
        lambda account: account % 2,
        clock,
        quota=lambda account: quotas.get(account, (None, None)),
        options=StoreOptions(shards=2),
        files=files,
    )
    await store.open()
    store.set_search(SqliteSearch)
    try:
        control = SqliteControl(store, files, clock, quotas)
        yield Office(clock, store.store, control, store.records, store.answered)
    finally:
        await store.close()
