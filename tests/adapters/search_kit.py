"""A store on SQLite with its text index, and mail that is nasty to search."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.search_index import SearchIndex
from posthouse.adapters.sqlite.search_indexer import SearchIndexer
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.message.mailbox import AccountId, MailboxId, Role
from posthouse.message.parse import parse_message
from posthouse.message.search import Contains, SearchKey, Where
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Added, Addition, Store
from tests.conformance.store_kit import ALICE, PREFIX

WORDS = (
    "cat",
    "Cathedral",
    "scattered",
    "budget",
    "Zürich",
    "東京都",
    "京都",
    "会議は明日",
    "naïve",
    'a"b',
    "100%",
    "x\0y",
)


@dataclass
class Library:
    path: Path
    clock: FakeClock
    sqlite: SqliteStore
    index: SearchIndex
    indexer: SearchIndexer

    @property
    def store(self) -> Store:
        return self.sqlite.store

    def file(self, number: int = 0) -> Path:
        return self.path / "search" / f"{number}.db"

    def new_indexer(self) -> SearchIndexer:
        """Another worker's."""
        return SearchIndexer(self.sqlite.core, str(self.path / "search"))

    async def index_all(self, indexer: SearchIndexer | None = None) -> None:
        """Until there is nothing to do."""
        while await (indexer or self.indexer).run_once() < 1.0:
            pass

    async def add(self, *messages: bytes, account: AccountId = ALICE) -> list[Added]:
        return await self.store.messages.add(account, [make_addition(octets) for octets in messages])

    async def inbox(self, account: AccountId = ALICE) -> MailboxId:
        return (await self.store.mailboxes.open_role(account, Role.INBOX)).id

    async def find(self, program: SearchKey | str, account: AccountId = ALICE) -> list[int]:
        """UIDs of INBOX. A text is looked for everywhere in a message."""
        key = Contains(Where.TEXT, program) if isinstance(program, str) else program
        return list((await self.store.search.search(account, key, await self.inbox(account))).uids)

    async def narrowed(self, text: str, account: AccountId = ALICE) -> set[int] | None:
        """What the index says about a text: emails; None: nothing."""
        found = await self.index.find(account, Contains(Where.TEXT, text))
        return None if found is None else set(found.emails)


def make_addition(octets: bytes) -> Addition:
    return Addition((Role.INBOX,), InlineBody(octets), parse_message(octets), PREFIX, 1_700_000_000.0)


def make_message(text: str, subject: str = "hello", header: str = "") -> bytes:
    return (
        f"Subject: {subject}\r\nFrom: Ann <ann@example.com>\r\nTo: bob@example.net\r\n{header}"
        f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    ).encode()


def make_nasty(count: int) -> Sequence[bytes]:
    """Words in many places, encoded in many ways."""
    messages = []
    for number in range(count):
        word, other = WORDS[number % len(WORDS)], WORDS[(number * 7 + 3) % len(WORDS)]
        messages.append(make_message(f"{word} and {other}{word}", f"{other} {number}", f"X-Word: {word}\r\n"))
        page = f"<p>{word}<b>{other}</b></p>".encode("utf-16").hex(" ").replace(" ", "=").upper()
        messages.append(
            b"Subject: =?utf-8?q?" + "".join(f"={octet:02X}" for octet in word.encode()).encode() + b"?=\r\n"
            b"Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n="
            + page.encode()
        )
    return messages


@asynccontextmanager
async def open_library(path: Path, *, shards: int = 1) -> AsyncIterator[Library]:
    clock = FakeClock()
    options = StoreOptions(shards=shards, min_free=Space(0, 0), undelete_s=0.0)
    store = SqliteStore(str(path / "store"), lambda account: account % shards, clock, options=options)
    await store.open()
    os.makedirs(path / "search", exist_ok=True)
    index = SearchIndex(store.core, str(path / "search"))
    indexer = SearchIndexer(store.core, str(path / "search"))
    store.set_search(lambda core: SqliteSearch(core, index))
    try:
        yield Library(path, clock, store, index, indexer)
    finally:
        await indexer.close()
        await index.close()
        await store.close()
