"""Rows for FETCH that the store on SQLite keeps: no more than it may, and none that is not good any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from posthouse.adapters.sqlite.store_wire import WireReader
from posthouse.message.mailbox import MailboxId
from posthouse.ports.clock import FakeClock
from posthouse.ports.store import WireColumn
from tests.adapters.store_messages import ACCOUNT, ALL, OTHER, fill, open_store

INBOX = MailboxId(1)


async def test_what_is_kept_is_bounded_and_the_longest_unused_go(tmp_path: Path) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 5)
        await fill(store, 5, OTHER)
        reader = WireReader(store.core, store.core.snapshots)
        hers = await reader.read(ACCOUNT, INBOX, ALL, [WireColumn.ENVELOPE])
        store.core.options = replace(store.core.options, cached_wire=reader.octets + 100)
        one = reader.octets
        his = await reader.read(OTHER, INBOX, ALL, [WireColumn.ENVELOPE])
        assert 0 < reader.octets <= one + 100
        assert await reader.read(ACCOUNT, INBOX, ALL, [WireColumn.ENVELOPE]) == hers
        assert await reader.read(OTHER, INBOX, ALL, [WireColumn.ENVELOPE]) == his
        assert reader.octets <= one + 100


async def test_threads_and_whole_messages_are_not_kept(tmp_path: Path) -> None:
    async with open_store(tmp_path, FakeClock()) as store:
        await fill(store, 3)
        reader = WireReader(store.core, store.core.snapshots)
        rows = await reader.read(ACCOUNT, INBOX, ALL, [WireColumn.THREAD, WireColumn.OCTETS])
        assert (len(rows), reader.octets) == (3, 0)
