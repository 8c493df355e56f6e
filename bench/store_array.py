"""(UID, flags, modseq) of a mailbox as the store's compact array: in a new process, and when the worker has it.

    python -m bench.store_array [--messages 100000] [--runs 7] [--directory DIR]

Each run is a process of its own that opens the store and asks for the snapshot, again, and once more after one flag has
changed. Prints one JSON object of medians in milliseconds and, at full size, writes bench/results/store-array.json.
With --directory an existing store is used again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

import uvloop

from bench.lab import make_base, remove_base
from posthouse.adapters.clock import SystemClock
from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.adapters.sqlite.writer import WriterLimits
from posthouse.message.mailbox import AccountId, MailboxId, Role, UidRange
from posthouse.message.parse import parse_message
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition, FlagEdit, FlagMode

RESULT = Path(__file__).parent / "results" / "store-array.json"
FULL_SIZE = 100_000
ALICE = AccountId(1)
_ROUND = 500
_SEEN = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
_OTHER = FlagEdit(FlagMode.ADD, frozenset({"$Work"}))


def open_store(directory: str) -> SqliteStore:
    options = StoreOptions(min_free=Space(0, 0), limits=WriterLimits(max_octets=256 << 20))
    store = SqliteStore(f"{directory}/store", lambda account: 0, SystemClock(), options=options)
    store.set_search(SqliteSearch)
    return store


async def fill(directory: str, count: int) -> None:
    """Arrived in 500s, most of them read, some changed one by one, a few gone."""
    store = open_store(directory)
    await store.open()
    inbox = (await store.mailboxes.open_role(ALICE, Role.INBOX)).id
    body = b"Subject: one of many\r\nFrom: ann@example.org\r\n\r\nNothing much.\r\n"
    addition = Addition((Role.INBOX,), InlineBody(body), parse_message(body))
    total = (await store.mailboxes.get(ALICE, inbox)).total
    for start in range(total, count + count // 100, _ROUND):
        await store.messages.add(ALICE, [addition] * min(_ROUND, count + count // 100 - start))
    await store.messages.set_flags(ALICE, inbox, (UidRange(1, count * 9 // 10),), _SEEN)
    for uid in range(1, count, max(count // 200, 1)):
        await store.messages.set_flags(ALICE, inbox, (UidRange(uid, uid),), _OTHER)
    going = tuple(UidRange(uid, uid) for uid in range(50, count + count // 100 + 1, 101))
    await store.messages.set_flags(ALICE, inbox, going, FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"})))
    await store.messages.expunge(ALICE, inbox)
    await store.close()


async def measure(directory: str) -> dict[str, float]:
    """In a new process."""
    store = open_store(directory)
    await store.open()
    inbox = (await store.mailboxes.open_role(ALICE, Role.INBOX)).id
    figures = {"first_ms": await _time_snapshot(store, inbox), "again_ms": await _time_snapshot(store, inbox)}
    await store.messages.set_flags(ALICE, inbox, (UidRange(1, 1),), FlagEdit(FlagMode.REMOVE, frozenset({"\\Seen"})))
    figures["after_a_change_ms"] = await _time_snapshot(store, inbox)
    figures["messages"] = len((await store.messages.snapshot(ALICE, inbox)).uids)
    await store.close()
    return figures


async def _time_snapshot(store: SqliteStore, inbox: MailboxId) -> float:
    started = time.perf_counter()
    await store.messages.snapshot(ALICE, inbox)
    return round((time.perf_counter() - started) * 1e3, 3)


def run_process(directory: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.store_array", "--measure", "--directory", directory]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=FULL_SIZE)
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(uvloop.run(measure(arguments.directory))))
        return
    base = None if arguments.directory else make_base()
    directory = arguments.directory or str(base)
    try:
        uvloop.run(fill(directory, arguments.messages))
        runs = [run_process(directory) for _ in range(arguments.runs)]
    finally:
        if base is not None:
            remove_base(base)
    result = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
    print(json.dumps(result, indent=1))
    if arguments.messages >= FULL_SIZE:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
