"""Full-text search in a mailbox of the store, against Dovecot's TEXT search without an index.

    python -m bench.store_search [--messages 100000] [--peer-messages 5000] [--directory DIR] [--no-peer]

Fills a store by `Messages.add`, indexes it and searches INBOX for a rare word (10 messages) and a medium one (1 %). The
peer gets fewer of the same messages by IMAP APPEND and is asked SEARCH TEXT; its time grows with the mailbox and is
scaled to the same number. Prints one JSON object and, at full size, writes bench/results/store-search.json. With
--directory an existing store is used again.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import uvloop

from bench.dovecot import Dovecot
from bench.lab import LabError, make_base, remove_base
from bench.sides import IMAP_PORT, Setup
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
from posthouse.message.search import Contains, SortBy, SortKey, Where
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition

RESULT = Path(__file__).parent / "results" / "store-search.json"
FULL_SIZE = 100_000
SIZE = 8192
RARE, MEDIUM = "quetzalcoatlus", "paragliding"
ALICE = AccountId(1)
_ROUND = 200
_RUNS = 5
_WORDS = " ".join(topics.values()).split()  # real sentences: words and trigrams are as frequent as in mail


def make_message(number: int, count: int) -> bytes:
    """8 KB of phrases, some names nobody else has, and at times one of the words that are searched for."""
    choose = random.Random(number)
    lines = [
        f"From: Writer {number % 997} <writer{number % 997}@example.org>",
        "To: Reader <u0@dst.test>",
        f"Subject: {' '.join(_phrase(choose))}",
        f"Message-ID: <{number}.{choose.getrandbits(64):x}@example.org>",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
        "",
    ]
    size = sum(len(line) + 2 for line in lines)
    if number % max(count // 10, 1) == 3:
        lines.append(f"They saw a {RARE} there.")
    if number % 100 == 7:
        lines.append(f"We went {MEDIUM} again.")
    while size < SIZE:
        lines.append(" ".join([*_phrase(choose), f"{choose.getrandbits(32):x}"]))
        size += len(lines[-1]) + 2
    return "\r\n".join([*lines, ""]).encode()


def _phrase(choose: random.Random) -> list[str]:
    start = choose.randrange(len(_WORDS) - 12)
    return _WORDS[start : start + choose.randrange(3, 12)]


# Ours.


def open_store(directory: str) -> SqliteStore:
    options = StoreOptions(min_free=Space(0, 0), limits=WriterLimits(max_octets=256 << 20))
    return SqliteStore(f"{directory}/store", lambda account: 0, SystemClock(), options=options)


async def fill(store: SqliteStore, count: int) -> None:
    for start in range(0, count, _ROUND):
        bodies = [make_message(number, count) for number in range(start, min(start + _ROUND, count))]
        additions = [Addition((Role.INBOX,), InlineBody(body), parse_message(body)) for body in bodies]
        await store.messages.add(ALICE, additions)


def _octets(directory: str) -> int:
    return sum(entry.stat().st_size for entry in os.scandir(directory) if entry.is_file())


async def measure_ours(directory: str, count: int) -> dict[str, float]:
    store = open_store(directory)
    await store.open()
    try:
        return await _measure_store(store, directory, count)
    finally:
        await store.close()


async def _measure_store(store: SqliteStore, directory: str, count: int) -> dict[str, float]:
    figures: dict[str, float] = {"messages": count}
    folder = f"{directory}/search"
    index, indexer = SearchIndex(store.core, folder), SearchIndexer(store.core, folder, share=1.0)
    store.set_search(lambda core: SqliteSearch(core, index))
    inbox = await store.mailboxes.open_role(ALICE, Role.INBOX)
    if inbox.total < count:
        await fill(store, count)
    figures |= await _index(store, indexer, Path(directory) / "indexed.json", count)
    figures["store_mib"], figures["index_mib"] = (_octets(f"{directory}/{name}") >> 20 for name in ("store", "search"))
    for name, word in (("rare", RARE), ("medium", MEDIUM)):
        found = await index.find(ALICE, Contains(Where.TEXT, word))
        figures[f"{name}_candidates"] = -1 if found is None else len(found.emails)
        figures[f"{name}_s"] = round(await _time_search(store, word), 4)
    figures["medium_by_relevance_s"] = round(await _time_search(store, MEDIUM, SortBy(SortKey.RELEVANCY)), 4)
    await indexer.close()
    await index.close()
    return figures


async def _index(store: SqliteStore, indexer: SearchIndexer, note: Path, count: int) -> dict[str, float]:
    """What it took, this time or when the store was made."""
    if note.exists():
        noted: dict[str, float] = json.loads(note.read_text())
        return noted
    figures = {"search_unindexed_s": round(await _time_search(store, RARE, runs=1), 3)}
    started, used = time.perf_counter(), time.process_time()
    while await indexer.run_once() < 1.0:
        pass
    figures["index_s"] = round(time.perf_counter() - started, 1)
    figures["index_processor_ms_per_message"] = round((time.process_time() - used) / count * 1e3, 2)
    note.write_text(json.dumps(figures))
    return figures


async def _time_search(store: SqliteStore, word: str, *sort: SortBy, runs: int = _RUNS) -> float:
    inbox = await store.mailboxes.open_role(ALICE, Role.INBOX)
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        found = await store.store.search.search(ALICE, Contains(Where.TEXT, word), inbox.id, sort)
        times.append(time.perf_counter() - started)
        wanted = _expect(word, inbox.total)
        if len(found.uids) != wanted:
            raise LabError(f"{word}: found {len(found.uids)}, not {wanted}")
    return statistics.median(times)


def _expect(word: str, count: int) -> int:
    remainder, step = (3, max(count // 10, 1)) if word == RARE else (7, 100)
    return len(range(remainder, count, step))


# The peer.


def measure_peer(count: int) -> dict[str, float]:
    base, dovecot = make_base(), Dovecot()
    try:
        dovecot.start(base, Setup())
        client = imaplib.IMAP4("127.0.0.1", IMAP_PORT)
        client.login("u0@dst.test", "pass")
        for number in range(count):
            _check(client.append("INBOX", "", "", make_message(number, count)))
        _check(client.select("INBOX", readonly=True))
        return {"messages": count} | dict(_time_peer(client, count))
    finally:
        dovecot.stop()
        remove_base(base)


def _time_peer(client: imaplib.IMAP4, count: int) -> Iterator[tuple[str, float]]:
    for name, word in (("rare", RARE), ("medium", MEDIUM)):
        times = [_time(lambda word=word: _search_peer(client, word, count)) for _ in range(3)]  # type: ignore[misc]
        yield f"{name}_s", round(statistics.median(times), 3)


def _search_peer(client: imaplib.IMAP4, word: str, count: int) -> None:
    found = _check(client.search(None, "TEXT", word)).split()
    if len(found) != _expect(word, count):
        raise LabError(f"dovecot: {word} found {len(found)} times, not {_expect(word, count)}")


def _time(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _check(answer: tuple[str, list[Any]]) -> bytes:
    status, data = answer
    if status != "OK":
        raise LabError(f"dovecot: {status} {data!r}")
    return bytes(data[0])


def compare(ours: dict[str, float], peer: dict[str, float]) -> dict[str, float]:
    """How many times as fast, the peer scaled to our number of messages."""
    scale = ours["messages"] / peer["messages"]
    return {name: round(peer[f"{name}_s"] * scale / ours[f"{name}_s"], 1) for name in ("rare", "medium")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=FULL_SIZE)
    parser.add_argument("--peer-messages", type=int, default=5_000)
    parser.add_argument("--directory", default=None)
    parser.add_argument("--no-peer", action="store_true")
    arguments = parser.parse_args()
    base = None if arguments.directory else make_base()
    try:
        ours = uvloop.run(measure_ours(arguments.directory or str(base), arguments.messages))
    finally:
        if base is not None:
            remove_base(base)
    result: dict[str, object] = {"posthouse": ours}
    if not arguments.no_peer:
        peer = measure_peer(arguments.peer_messages)
        result |= {"dovecot": peer, "times_as_fast_scaled": compare(ours, peer)}
    print(json.dumps(result, indent=1))
    if arguments.messages >= FULL_SIZE and not arguments.no_peer:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
