"""A mailbox of a million messages: SELECT after a restart, the last fifty, new mail. Ours only.

It is filled through the store, without a server, which takes minutes; a later run in the same server adds nothing.
SELECT is the first of a process that has never read the mailbox; the page cache stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time

from bench.bench import Row
from bench.imap_client import Client
from bench.imap_live import SMALL
from bench.imap_rows import ITEMS, Case, Figures, Stage, check_equal
from bench.imap_sides import PosthouseImap, log_in, name_user
from bench.lab import LabError
from posthouse.adapters.clock import SystemClock
from posthouse.app.account_tools import open_account_tools
from posthouse.app.directory import open_for_admin
from posthouse.app.store import open_store
from posthouse.config.reader import load
from posthouse.config.settings import Settings
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.ports.directory import Accounts
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition

MILLION = 1_000_000
OWNER = 13
LAST = 50
_ROUND = 500
_STARTS = 3


def fill(side: PosthouseImap, count: int) -> None:
    """The server does not run meanwhile."""
    settings = load(str(side.configuration))
    with open_account_tools(settings) as tools:
        account = tools.accounts.find(name_user(OWNER)).id
    with contextlib.closing(open_for_admin(settings)) as admin:
        asyncio.run(_add_many(settings, admin.directory, account, count))


async def _add_many(settings: Settings, accounts: Accounts, account: AccountId, count: int) -> None:
    store = await open_store(settings, accounts, SystemClock())
    inbox = (await store.mailboxes.open_role(account, Role.INBOX)).id
    addition = Addition((Role.INBOX,), InlineBody(SMALL), parse_message(SMALL))
    for start in range((await store.mailboxes.get(account, inbox)).total, count, _ROUND):
        await store.messages.add(account, [addition] * min(_ROUND, count - start))
    await store.close()


def measure_million(stage: Stage) -> Figures:
    side = stage.side
    if not isinstance(side, PosthouseImap):
        raise LabError("only ours is asked for a million messages")
    count = 5000 if stage.is_short else MILLION
    stage.leave()
    side.stop()
    fill(side, count)
    runs = [_read_last(side, count) for _ in range(_STARTS)]
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _read_last(side: PosthouseImap, count: int) -> Figures:
    side.restart()
    with contextlib.closing(log_in(side, OWNER)) as client:
        client.run("NOOP")
        selected = client.run("SELECT INBOX")
        total = int(selected.list_untagged(b"EXISTS")[-1].split()[1])
        if total < count:
            raise LabError(f"{total} messages, not {count}")
        fetched = client.run(f"FETCH {total - LAST + 1}:* ({ITEMS})")
        check_equal("FETCH responses", len(fetched.list_untagged(b"FETCH")), LAST)
        told = _time_news(side, client)
    return {"select_ms": selected.seconds * 1e3, "last_ms": fetched.seconds * 1e3, "news_ms": told * 1e3}


def _time_news(side: PosthouseImap, client: Client) -> float:
    with contextlib.closing(log_in(side, OWNER)) as writer:
        client.start_idle()
        started = time.perf_counter()
        writer.append([SMALL])
        return client.wait_exists() - started


MILLION_CASE = Case(
    "million",
    (
        Row("1,000,000 messages: SELECT after a restart", "select_ms", "ms", "under", 50.0),
        Row("1,000,000 messages: first FETCH of the last 50", "last_ms", "ms", "under", 300.0),
        Row("1,000,000 messages: a new one is told of", "news_ms", "ms", "under", 500.0),
    ),
    measure_million,
    has_peer=False,
)
