"""The mailbox of bench/jmap.py: letters of bench/imap_corpus.py in the store, most of them read, with their index.

It is filled once for a directory; a later run with the same number of letters uses what is there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from bench.imap_corpus import RARE_EVERY, RARE_WORD, Letter, make_letters
from posthouse.adapters.clock import SystemClock
from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.search_index import SearchIndex
from posthouse.adapters.sqlite.search_indexer import SearchIndexer
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition

ALICE = AccountId(1)
WORD = RARE_WORD  # in one letter of RARE_EVERY
COMMON = "quarterly"  # in subjects: of one letter in fifty
UNREAD_EVERY = 25
_ROUND = 500
_IDLE = 5  # looks of the indexer that found nothing to do

__all__ = ["ALICE", "COMMON", "RARE_EVERY", "WORD", "Opened", "fill", "make_additions", "open_bench_store"]


class Opened:
    """A store with its index, as a worker has it."""

    def __init__(self, store: SqliteStore, index: SearchIndex) -> None:
        self.store, self._index = store, index

    async def close(self) -> None:
        await self._index.close()
        await self.store.close()


async def open_bench_store(directory: str) -> Opened:
    options = StoreOptions(min_free=Space(0, 0), limits=WriterLimits(max_octets=256 << 20))
    store = SqliteStore(f"{directory}/store", lambda account: 0, SystemClock(), options=options)
    await store.open()
    index = SearchIndex(store.core, f"{directory}/search")
    store.set_search(lambda core: SqliteSearch(core, index))
    return Opened(store, index)


async def fill(directory: str, count: int) -> None:
    note = Path(directory) / "filled.json"
    if note.exists() and json.loads(note.read_text()) == count:
        return
    opened = await open_bench_store(directory)
    store = opened.store
    inbox = await store.mailboxes.open_role(ALICE, Role.INBOX)
    if inbox.total < count:
        letters = make_letters(count)
        for start in range(inbox.total, count, _ROUND):
            await store.messages.add(ALICE, make_additions(letters, start))
    indexer, idle = SearchIndexer(store.core, f"{directory}/search", share=1.0), 0
    while idle < _IDLE:  # it gives way to a rush of mail, which there was
        if await indexer.run_once() >= 1.0:
            idle += 1
            await asyncio.sleep(1)
        else:
            idle = 0
    await indexer.close()
    await opened.close()
    note.write_text(json.dumps(count))


def make_additions(letters: Sequence[Letter], start: int) -> list[Addition]:
    seen, unseen = frozenset({"\\Seen"}), frozenset[str]()
    return [
        Addition(
            (Role.INBOX,),
            InlineBody(letter.octets),
            parse_message(letter.octets),
            received=letter.date.timestamp(),
            flags=unseen if number % UNREAD_EVERY == 0 else seen,
        )
        for number, letter in enumerate(letters[start : start + _ROUND], start)
    ]
