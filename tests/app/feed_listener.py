"""Another worker, for the test of hints: watches an account and writes a line when it hears that it changed.

python -m tests.app.feed_listener SOCKET STORE ACCOUNT
"""

from __future__ import annotations

import asyncio
import sys
import time

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.app.feed import ChangeFeed
from posthouse.app.rpc import CoordinatorLink
from posthouse.message.mailbox import AccountId
from posthouse.ports.observe import FakeLog


def tell(word: str) -> None:
    print(word, time.monotonic(), flush=True)


async def main(path: str, directory: str, account: AccountId) -> None:
    # It looks by itself only every 100 s: what it hears, it hears by hints.
    store = SqliteStore(directory, lambda _: 0, SystemClock(), options=StoreOptions(poll_s=100.0))
    await store.open()
    hello = {"index": 1, "generation": 1, "pid": 1}
    link = CoordinatorLink(lambda: asyncio.open_unix_connection(path), hello, FakeLog())
    ChangeFeed(link, store.hint)
    store.changes.watch(account, lambda: tell("changed"))
    link.on_connect(lambda: tell("ready"))
    await link.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], AccountId(int(sys.argv[3]))))
