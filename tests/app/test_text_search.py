"""The text index in a running server: made, kept, and never in the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.app.search import TextSearch
from posthouse.message.mailbox import AccountId, EmailId, Role
from posthouse.message.parse import parse_message
from posthouse.message.search import Contains, Where
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition

ALICE = AccountId(1)
BODY = b"Subject: Lunch\r\n\r\nAt noon?\r\n"
NOON = Contains(Where.BODY, "noon")


class Rounds:
    """Sleeps for nobody; ends the loop after so many rounds."""

    def __init__(self, count: int) -> None:
        self.slept: list[float] = []
        self._count = count

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if len(self.slept) == self._count:
            raise asyncio.CancelledError


def make_store(path: Path) -> SqliteStore:
    options = StoreOptions(min_free=Space(0, 0))
    return SqliteStore(str(path / "store"), lambda account: 0, FakeClock(), options=options)


async def deliver_and_index(path: Path, log: FakeLog, rounds: Rounds) -> list[EmailId]:
    """What a search finds afterwards."""
    store = make_store(path)
    search = TextSearch(store, str(path), log, rounds.sleep)
    await store.open()
    await search.start()
    await store.messages.add(ALICE, [Addition((Role.INBOX,), InlineBody(BODY), parse_message(BODY))])
    with pytest.raises(asyncio.CancelledError):
        await search.run()
    found = await store.store.search.search(ALICE, NOON)
    await search.close()
    await store.close()
    return found.emails


async def test_a_server_indexes_what_comes_and_then_looks_once_a_second(tmp_path: Path) -> None:
    log, rounds = FakeLog(), Rounds(8)
    assert await deliver_and_index(tmp_path, log, rounds) == [1]
    assert (tmp_path / "search" / "0.db").exists()
    assert rounds.slept[-1] == 1.0
    assert log.events == []


async def test_an_index_that_cannot_be_made_is_told_of_and_search_goes_on_without(tmp_path: Path) -> None:
    (tmp_path / "search").write_bytes(b"in the way")
    log, rounds = FakeLog(), Rounds(2)
    assert await deliver_and_index(tmp_path, log, rounds) == [1]
    assert [(level, event) for level, event, _ in log.events] == [
        ("warning", "text index cannot be opened"),
        ("warning", "text index was not written"),
        ("warning", "text index was not written"),
    ]
    assert rounds.slept == [30.0, 30.0]
