"""JMAP on a mailbox of 100,000: what the web page asks for, through the handlers (octets in, octets out) and by HTTP.

    python -m bench.jmap [--messages 100000] [--runs 5] [--short] [--directory DIR]

Each run is a process of its own that opens the store as a new worker does: the first answer is that of a worker which
has never seen the account, the page cache stays. Then the same again, and what else a page asks for; every answer is
checked. Prints one JSON object of medians and, at full size, writes bench/results/jmap.json. With --directory a mailbox
that was filled before is used again. --short: 5,000 messages, two runs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from bench.jmap_corpus import ALICE, COMMON, RARE_EVERY, WORD, Opened, fill, open_bench_store
from bench.jmap_http import MESSAGES, measure_http, serve
from bench.lab import LabError, make_base, remove_base
from posthouse.access.jmap.method import JmapParts
from posthouse.access.jmap.methods import JmapServer
from posthouse.access.jmap.session import SessionBuilder
from posthouse.adapters.clock import SystemClock
from posthouse.message.mailbox import AccountId, Role
from posthouse.message.parse import parse_message
from posthouse.message.parsed import ParsedMessage
from posthouse.ports.compute import FakeCompute
from posthouse.ports.login import Login
from posthouse.ports.observe import FakeLog
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Addition
from posthouse.protocol.jmap.limits import CoreLimits

RESULT = Path(__file__).parent / "results" / "jmap.json"
FULL_SIZE, SHORT_SIZE = 100_000, 5_000
LIST = ("id", "threadId", "mailboxIds", "keywords", "from", "to", "subject", "receivedAt", "preview", "hasAttachment")
USING = ["urn:ietf:params:jmap:core", "urn:ietf:params:jmap:mail", "urn:posthouse:web"]
_REPEATS = 20
_SECONDS = 3.0  # of requests one after the other
_PAGE = 50

Calls = list[tuple[str, dict[str, Any], str]]


def write_request(account: AccountId, calls: Sequence[tuple[str, dict[str, Any]]]) -> bytes:
    numbered = [[name, {"accountId": f"A{account}"} | wish, f"c{number}"] for number, (name, wish) in enumerate(calls)]
    return json.dumps({"using": USING, "methodCalls": numbered}).encode()


class Client:
    def __init__(self, opened: Opened) -> None:
        async def parse(octets: bytes) -> ParsedMessage:
            return parse_message(octets)

        none = cast(Any, None)
        parts = JmapParts(
            opened.store.store,
            none,
            none,
            none,
            none,
            SystemClock(),
            FakeCompute(),
            FakeLog(),
            parse,
            lambda: secrets.token_hex(16),
            CoreLimits(),
            "mail.example.org",
        )
        self._server = JmapServer(parts, SessionBuilder(parts))
        self._login = Login(ALICE, "user@example.com", "PLAIN")

    async def ask(self, *calls: tuple[str, dict[str, Any]]) -> tuple[float, list[dict[str, Any]]]:
        """Seconds at the server, and the arguments of the responses."""
        octets = write_request(ALICE, calls)
        started = time.perf_counter()
        answer = (await self._server.answer(self._login, "127.0.0.1", octets)).as_json()
        took = time.perf_counter() - started
        told = [(name, arguments) for name, arguments, _ in json.loads(answer)["methodResponses"]]
        if [name for name, _ in told] != [name for name, _ in calls]:
            raise LabError(f"{told}"[:1000])
        return took, [arguments for _, arguments in told]


def list_screen(inbox: str, position: int = 0, **condition: object) -> list[tuple[str, dict[str, Any]]]:
    """What a page asks for to show a part of a mailbox."""
    query = {
        "filter": {"inMailbox": inbox, **condition},
        "sort": [{"property": "receivedAt", "isAscending": False}],
        "collapseThreads": True,
        "position": position,
        "limit": _PAGE,
        "calculateTotal": True,
    }
    reference = {"resultOf": "c0", "name": "Email/query", "path": "/ids"}
    return [("Email/query", query), ("Email/get", {"#ids": reference, "properties": LIST})]


def list_search(wanted: dict[str, str]) -> list[tuple[str, dict[str, Any]]]:
    query = {"filter": wanted, "sort": [{"property": "receivedAt", "isAscending": False}], "limit": 30}
    reference = {"resultOf": "c0", "name": "Email/query", "path": "/ids"}
    return [
        ("Email/query", query),
        ("Email/get", {"#ids": reference, "properties": LIST}),
        ("SearchSnippet/get", {"#emailIds": reference, "filter": wanted}),
    ]


async def measure(directory: str) -> dict[str, float]:
    """In a new process."""
    opened = await open_bench_store(directory)
    inbox = (await opened.store.mailboxes.open_role(ALICE, Role.INBOX)).id
    client, name = Client(opened), f"F{ALICE}-{inbox}"
    figures = {"first_screen_new_worker_ms": await _time(client, list_screen(name), _PAGE, 1)}
    _, told = await client.ask(*list_screen(name))
    threads, messages = told[0]["total"], (await opened.store.mailboxes.get(ALICE, inbox)).total
    figures |= {"messages": messages, "threads": threads}
    figures["first_screen_ms"] = await _time(client, list_screen(name), _PAGE)
    figures["middle_ms"] = await _time(client, list_screen(name, threads // 2), _PAGE)
    figures["unread_ms"] = await _time(client, list_screen(name, notKeyword="$seen"), _PAGE)
    figures["first_screen_after_new_mail_ms"] = await _time_after_mail(opened, client, name)
    await _measure_searches(client, figures, messages)
    _, told = await client.ask(*list_screen(name, threads // 3))
    figures["get_50_per_s"] = await _count_gets(client, [one["id"] for one in told[1]["list"]])
    await opened.close()
    return figures


async def _measure_searches(client: Client, figures: dict[str, float], messages: int) -> None:
    rare = min(30, messages // RARE_EVERY)
    for row, wanted, count in (
        ("search_subject", {"subject": COMMON}, 30),
        ("search_text_rare", {"text": WORD}, rare),
        ("search_text_common", {"text": COMMON}, 30),
        ("search_from", {"from": "matilda"}, 30),
    ):
        calls = list_search(wanted)
        figures[f"{row}_first_ms"] = await _time(client, calls, count, 1)
        figures[f"{row}_ms"] = await _time(client, calls, count)


async def _time(client: Client, calls: list[tuple[str, dict[str, Any]]], count: int, repeats: int = _REPEATS) -> float:
    """The median in milliseconds; every answer has so many emails."""
    times = []
    for _ in range(repeats):
        took, told = await client.ask(*calls)
        if len(told[1]["list"]) != count or told[1]["notFound"]:
            raise LabError(f"{calls[0]}: {len(told[1]['list'])} emails, not {count}")
        times.append(took)
    return round(statistics.median(times) * 1e3, 2)


async def _time_after_mail(opened: Opened, client: Client, inbox: str) -> float:
    """The list is not the one it was: a message has come just before."""
    body = b"Subject: fresh\r\nFrom: ann@example.org\r\n\r\nNothing much.\r\n"
    times = []
    for number in range(_REPEATS // 2):
        octets = body.replace(b"fresh", b"fresh %d %d" % (number, time.time_ns()))
        addition = Addition((Role.INBOX,), InlineBody(octets), parse_message(octets), received=4e9 + time.time())
        added = (await opened.store.messages.add(ALICE, [addition]))[0]
        took, told = await client.ask(*list_screen(inbox))
        if told[0]["ids"][0] != f"M{ALICE}-{added.email}":
            raise LabError("the new message is not on top")
        times.append(took)
        await opened.store.messages.place(ALICE, added.email, (), added.mailboxes)
        await client.ask(*list_screen(inbox))
    return round(statistics.median(times) * 1e3, 2)


async def _count_gets(client: Client, ids: list[str]) -> float:
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < _SECONDS:
        _, told = await client.ask(("Email/get", {"ids": ids, "properties": LIST}))
        if len(told[0]["list"]) != len(ids):
            raise LabError("not all emails were got")
        count += 1
    return round(count / (time.perf_counter() - started), 1)


def run_process(directory: str) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.jmap", "--measure", "--directory", directory]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def run_all(directory: str, messages: int, runs: int) -> dict[str, float]:
    asyncio.run(fill(directory, messages))
    measured = [run_process(directory) for _ in range(runs)]
    with serve(min(messages, MESSAGES)) as (port, account):
        screen = write_request(account, list_screen(f"F{account}-1"))
        get = write_request(account, [("Email/get", {"ids": "%IDS%", "properties": LIST})])
        for run in measured:
            run |= uvloop.run(measure_http(port, screen, get, _PAGE))
    return {name: round(statistics.median(run[name] for run in measured), 2) for name in measured[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=FULL_SIZE)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--directory", default=None)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(uvloop.run(measure(arguments.directory))))
        return
    messages, runs = (SHORT_SIZE, 2) if arguments.short else (arguments.messages, arguments.runs)
    base = None if arguments.directory else make_base()
    try:
        result = run_all(arguments.directory or str(base), messages, runs)
    finally:
        if base is not None:
            remove_base(base)
    print(json.dumps(result, indent=1))
    if messages >= FULL_SIZE:
        RESULT.parent.mkdir(exist_ok=True)
        RESULT.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
