"""What is kept in memory of searched mailboxes: it never says anything else than the store does."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.message.mailbox import MailboxId, Role, Uid, UidRange
from posthouse.message.search import All, And, Contains, HasFlag, Not, SearchKey, SortBy, SortKey, Where
from posthouse.ms.thread_trees import ThreadBy
from posthouse.ports.store import Addition, FlagEdit, FlagMode, Store
from posthouse.ports.store_memory import MemoryStore
from tests.adapters.search_kit import Library, make_addition, make_message, open_library
from tests.conformance.store_kit import ALICE, BOB

COUNT = 620  # more than SQL would be asked to sort
SUBJECTS = ("Apples", "re: Pears", "cherries", "Zürich", "[list] apples", "")
ORDERS = (
    (SortBy(SortKey.SUBJECT),),
    (SortBy(SortKey.DATE, is_descending=True),),
    (SortBy(SortKey.SUBJECT, is_descending=True), SortBy(SortKey.ARRIVAL)),
    (SortBy(SortKey.FROM), SortBy(SortKey.SIZE, is_descending=True), SortBy(SortKey.SUBJECT)),
)
PROGRAMS: tuple[SearchKey, ...] = (
    All(),
    Not(HasFlag("\\Flagged")),
    Contains(Where.SUBJECT, "apple"),
    And((Contains(Where.FROM, "writer1"), Not(Contains(Where.SUBJECT, "ZÜRICH")))),
    Contains(Where.SUBJECT, "apples list", is_fuzzy=True),
)


@dataclass
class Twins:
    """The same mail in both."""

    library: Library
    model: Store
    inbox: MailboxId

    @property
    def stores(self) -> tuple[Store, Store]:
        return self.library.store, self.model

    async def add(self, additions: Sequence[Addition]) -> None:
        for store in self.stores:
            await store.messages.add(ALICE, additions)

    async def expunge(self, *uids: int) -> None:
        ranges = tuple(UidRange(uid, uid) for uid in uids)
        for store in self.stores:
            await store.messages.set_flags(ALICE, self.inbox, ranges, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
            await store.messages.expunge(ALICE, self.inbox, ranges)

    async def compare(self) -> None:
        for program in PROGRAMS:
            for order in ((), *ORDERS):
                real, wanted = [await store.search.search(ALICE, program, self.inbox, order) for store in self.stores]
                assert real.uids == wanted.uids, (program, order)
                assert real.emails == wanted.emails
        for by in ThreadBy:
            for uids in (range(1, COUNT + 99), range(2, COUNT), range(5, 50)):
                asked = [Uid(uid) for uid in uids]
                threads, known = [await store.search.threads(ALICE, self.inbox, asked, by) for store in self.stores]
                assert threads == known


def make_letters(start: int, count: int) -> list[Addition]:
    letters = []
    for number in range(start, start + count):
        choose = random.Random(number)
        header = f"Message-ID: <{number}@x>\r\nDate: {choose.randrange(1, 28)} Nov 2023 10:00:00 +0000\r\n"
        header += f"References: <{number // 2}@x>\r\n" if number % 3 else ""
        octets = make_message("x" * choose.randrange(40), choose.choice(SUBJECTS), header)
        octets = octets.replace(b"ann@", b"writer%d@" % choose.randrange(20))
        letters.append(replace(make_addition(octets), received=1_700_000_000.0 + choose.randrange(5)))
    return letters


@pytest.fixture
async def twins(tmp_path: Path) -> AsyncIterator[Twins]:
    async with open_library(tmp_path) as library:
        model = MemoryStore(library.clock).as_store()
        made = Twins(library, model, await library.inbox())
        await model.mailboxes.open_role(ALICE, Role.INBOX)
        await made.add(make_letters(0, COUNT))
        yield made


async def test_what_came_and_what_went_is_minded(twins: Twins) -> None:
    await twins.compare()
    await twins.expunge(1, 3, 17, 400, COUNT)
    await twins.compare()
    await twins.add(make_letters(COUNT, 3))
    await twins.compare()
    await twins.expunge(COUNT + 1)
    await twins.add(make_letters(COUNT + 3, 2))
    await twins.compare()


@pytest.mark.parametrize("octets", [0, 400_000])
async def test_without_room_nothing_is_kept_and_nothing_is_lost(twins: Twins, octets: int) -> None:
    core = twins.library.sqlite.core
    core.options = replace(core.options, cached_columns=octets)
    twins.library.sqlite.set_search(lambda core: SqliteSearch(core, twins.library.index))
    await twins.compare()
    await twins.compare()


async def test_many_searches_at_once_agree(twins: Twins) -> None:
    async def sort(order: Sequence[SortBy]) -> list[Uid]:
        return (await twins.library.store.search.search(ALICE, All(), twins.inbox, order)).uids

    found = await asyncio.gather(*(sort(order) for order in ORDERS * 3))
    assert found[:4] == found[4:8] == found[8:]


async def test_an_account_s_texts_are_not_another_s(twins: Twins) -> None:
    library = twins.library
    inbox = await library.inbox(BOB)
    await library.add(make_message("x", "apples of Bob"), account=BOB)
    assert await library.find(Contains(Where.SUBJECT, "apples"), BOB) == [1]
    assert inbox == twins.inbox
    assert len(await library.find(Contains(Where.SUBJECT, "apples"))) > 100


async def test_a_long_search_tells_how_far_it_is(twins: Twins) -> None:
    told: list[tuple[int, int]] = []
    program = Contains(Where.BODY, "xxx")
    search = twins.library.store.search
    await search.search(ALICE, program, twins.inbox, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (COUNT, COUNT)
    assert [done for done, _ in told] == sorted({done for done, _ in told})


async def test_a_search_whose_client_has_gone_ends(twins: Twins) -> None:
    calls = 0

    def leave(done: int, total: int) -> None:
        nonlocal calls
        calls += 1
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await twins.library.store.search.search(ALICE, Contains(Where.BODY, "xxx"), twins.inbox, progress=leave)
    assert calls == 1
