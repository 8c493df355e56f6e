"""Whatever the index has seen: what is found is what a look at every message finds."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.mailbox import MailboxId, Role, UidRange
from posthouse.message.search import (
    All,
    And,
    Contains,
    Emails,
    HasAttachment,
    HasFlag,
    HasHeader,
    InMailbox,
    Larger,
    Not,
    Or,
    Received,
    SearchKey,
    SentOn,
    Side,
    Smaller,
    SortBy,
    SortKey,
    Uids,
    Where,
)
from posthouse.ports.store import FlagEdit, FlagMode, Store
from posthouse.ports.store_memory import MemoryStore
from tests.adapters.search_kit import WORDS, Library, make_addition, make_nasty, open_library
from tests.conformance.store_kit import ALICE, BOB

Result = TypeVar("Result")
COUNT = 24
EVERYTHING = "".join(WORDS) + " and"
PIECES = st.builds(lambda start, length: EVERYTHING[start : start + length], st.integers(0, 70), st.integers(0, 6))
TEXTS = st.one_of(st.sampled_from(WORDS), PIECES, st.text(max_size=4), st.just("subject"))
DAYS = st.sampled_from([date(2023, 11, 13), date(2023, 11, 14), date(2023, 11, 15)])
SIDES = st.sampled_from(Side)
LEAVES: st.SearchStrategy[SearchKey] = st.one_of(
    st.builds(Contains, st.sampled_from(Where), TEXTS, st.booleans()),
    st.builds(Contains, st.sampled_from((Where.TEXT, Where.BODY, Where.SUBJECT)), TEXTS),
    st.builds(HasHeader, st.sampled_from(("Subject", "X-Word", "From", "Return-Path")), TEXTS),
    st.builds(HasFlag, st.sampled_from(("\\Seen", "$Work", "\\Deleted", "$None"))),
    st.builds(lambda low, more: Uids((UidRange(low, low + more),)), st.integers(1, 50), st.integers(0, 50)),
    st.builds(Emails, st.frozensets(st.integers(1, 50), max_size=9)),
    st.builds(InMailbox, st.integers(1, 3)),
    st.builds(Received, SIDES, DAYS),
    st.builds(SentOn, SIDES, DAYS),
    st.builds(Larger, st.integers(200, 500)),
    st.builds(Smaller, st.integers(200, 500)),
    st.just(All()),
    st.just(HasAttachment()),
)
PROGRAMS = st.recursive(
    LEAVES,
    lambda keys: st.one_of(
        st.builds(Not, keys),
        st.builds(And, st.lists(keys, max_size=3).map(tuple)),
        st.builds(Or, st.lists(keys, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@dataclass
class Pair:
    """The same mail in both; the index of one of them has seen some of it."""

    runner: asyncio.Runner
    library: Library
    model: Store

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(coroutine)


async def fill(store: Store, messages: Sequence[bytes]) -> None:
    inbox = (await store.mailboxes.open_role(ALICE, Role.INBOX)).id
    archive = (await store.mailboxes.open_role(ALICE, Role.ARCHIVE)).id
    for number, octets in enumerate(messages):
        (added,) = await store.messages.add(ALICE, [make_addition(octets)])
        await store.messages.add(BOB, [make_addition(octets.replace(b"and", b"dan"))])
        flags = frozenset(name for bit, name in enumerate(("\\Seen", "$Work", "\\Deleted")) if number >> bit & 1)
        uids = (UidRange(added.uids[0], added.uids[0]),)
        await store.messages.set_flags(ALICE, inbox, uids, FlagEdit(FlagMode.ADD, flags))
        if number % 3 == 0:
            await store.messages.set_flags(
                ALICE, inbox, uids, FlagEdit(FlagMode.ADD, frozenset({"\\Seen"})), viewer=BOB
            )
        if number % 5 == 0:
            await store.messages.copy(ALICE, inbox, uids, ALICE, archive)


@pytest.fixture(scope="module", params=["none", "half", "whole", "deleted under way"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    path: Path = tmp_path_factory.mktemp("search")
    messages = make_nasty(COUNT)
    with asyncio.Runner() as runner:
        opened = open_library(path)
        library = runner.run(opened.__aenter__())
        model = MemoryStore(library.clock).as_store()
        runner.run(fill_both(library, model, messages, str(request.param)))
        yield Pair(runner, library, model)
        runner.run(opened.__aexit__(None, None, None))


async def fill_both(library: Library, model: Store, messages: Sequence[bytes], state: str) -> None:
    seen = {"none": 0, "half": len(messages) // 2}.get(state, len(messages))
    await fill(library.store, messages[:seen])
    if seen:
        await library.index_all()
    await fill(library.store, messages[seen:])
    await fill(model, messages[:seen])
    await fill(model, messages[seen:])
    if state == "deleted under way":
        library.file().unlink()
        await library.indexer.run_once()


async def compare(library: Library, model: Store, program: SearchKey, mailbox: MailboxId | None) -> None:
    for viewer in (None, BOB):
        real = await library.store.search.search(ALICE, program, mailbox, viewer=viewer)
        wanted = await model.search.search(ALICE, program, mailbox, viewer=viewer)
        assert real == wanted


@given(PROGRAMS)
def test_a_program_finds_what_reading_every_message_finds(pair: Pair, program: SearchKey) -> None:
    inbox = pair.run(pair.library.inbox())
    pair.run(compare(pair.library, pair.model, program, inbox))
    pair.run(compare(pair.library, pair.model, program, None))


@given(PROGRAMS, st.lists(st.builds(SortBy, st.sampled_from([*SortKey][:-1]), st.booleans()), max_size=3))
def test_sorting_loses_nothing_and_orders_as_it_should(pair: Pair, program: SearchKey, sort: list[SortBy]) -> None:
    for mailbox in (pair.run(pair.library.inbox()), None):
        real = pair.run(pair.library.store.search.search(ALICE, program, mailbox, sort))
        assert real == pair.run(pair.model.search.search(ALICE, program, mailbox, sort))


@given(PROGRAMS)
def test_an_order_of_relevance_loses_nothing(pair: Pair, program: SearchKey) -> None:
    real = pair.run(pair.library.store.search.search(ALICE, program, None, [SortBy(SortKey.RELEVANCY)]))
    plain = pair.run(pair.library.store.search.search(ALICE, program))
    assert sorted(real.emails) == plain.emails
