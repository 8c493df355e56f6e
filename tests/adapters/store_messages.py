"""Parsed messages and open stores for the tests of the message store."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import QuotaLimits, StoreOptions
from posthouse.adapters.sqlite.store_fsck import check_store_shard, list_store_shards
from posthouse.message.mailbox import AccountId, MailboxId, Role, UidRange, UidSet
from posthouse.message.parsed import ParsedMessage, PartFacts, SortKeys
from posthouse.ports.clock import Clock, FakeClock
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition

ACCOUNT = AccountId(7)
OTHER = AccountId(8)
ALL: UidSet = (UidRange(1, 2**32 - 1),)


def make_octets(number: int, size: int = 200) -> bytes:
    head = f"From: a@example.org\r\nMessage-ID: <{number}@x>\r\nSubject: letter {number}\r\n\r\n".encode()
    return head + b"x" * max(0, size - len(head) - 2) + b"\r\n"


def make_message(number: int, octets: bytes, *, subject: str = "", references: Sequence[str] = ()) -> ParsedMessage:
    subject = subject or f"letter {number}"
    keys = SortKeys(1.5, subject.upper(), "A", "B", "", "A", "B")
    header = octets.index(b"\r\n\r\n") + 4
    part = PartFacts("1", 0, header, len(octets), 1, "text/plain", "7bit", "us-ascii", "", "", "")
    return ParsedMessage(
        len(octets),
        header,
        5,
        b"(envelope)",
        b"(bodystructure)",
        (part,),
        octets[:header],
        keys,
        f"{number}@x",
        tuple(references),
        subject,
        "a@example.org",
        preview="xxx",
    )


def make_addition(
    number: int, *mailboxes: MailboxId | Role, size: int = 200, references: Sequence[str] = (), **more: object
) -> Addition:
    """`more` are fields of Addition."""
    octets = make_octets(number, size)
    made = Addition(
        mailboxes or (Role.INBOX,),
        InlineBody(octets),
        make_message(number, octets, references=references),
        b"Return-Path: <>\r\n",
        1_700_000_000.25 + number,
        60,
    )
    return replace(made, **more)  # type: ignore[arg-type]


def locate_first(account: AccountId) -> int:
    return 0


def locate_by_parity(account: AccountId) -> int:
    return account % 2


@contextlib.asynccontextmanager
async def open_store(
    path: Path,
    clock: Clock | None = None,
    *,
    quota: QuotaLimits = (None, None),
    files: Files | None = None,
    shards: int = 1,
) -> AsyncIterator[SqliteStore]:
    options = StoreOptions(shards=shards, min_free=Space(0, 0), inline_limit=4096)
    store = SqliteStore(
        str(path / "store"),
        locate_by_parity if shards > 1 else locate_first,
        clock or FakeClock(),
        quota=lambda account: quota,
        options=options,
        files=files,
    )
    await store.open()
    try:
        yield store
    finally:
        await store.close()


def find_problems(directory: Path | str) -> list[str]:
    """What fsck says of all shards."""
    numbers = list_store_shards(str(directory))
    return [f.detail for number in numbers for f in check_store_shard(str(directory), number, Files())]


async def fill(store: SqliteStore, count: int, account: AccountId = ACCOUNT) -> list[Added]:
    """Messages 1..count in INBOX."""
    futures = [store.messages.add(account, [make_addition(number + 1)]) for number in range(count)]
    return [(await future)[0] for future in futures]
