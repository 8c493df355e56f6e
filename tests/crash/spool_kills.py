"""Plays a spool's life in a process that is killed before its N-th move, and tells what the next owner finds.

    python spool_kills.py DIRECTORY live|adopt FIRST STEP
    python spool_kills.py DIRECTORY hand        dies with the first message (made if there is none) in hand

Forks for every N (no database is open in the parent), so that a kill costs milliseconds. Prints one JSON line per N:
{"at", "killed", "before": what lay there, "problems": [...]}; ends after the first N that was not reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.database import open_existing
from posthouse.adapters.sqlite.fsck import check_spool
from posthouse.adapters.sqlite.inhand import InHand
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SqliteSpool
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import (
    Action,
    InlineBody,
    NewMessage,
    RecipientChange,
    Selection,
    Settlement,
    SiteRow,
    SpoolError,
    Status,
)
from tests.crash.spool_faults import HookedFiles, Killer

LARGE = b"0123456789abcdef" * 20_000
SMALL = b"Subject: small\r\n\r\nhello\r\n"


class Diary:
    """What a peer would know: intended and done, written where a kill leaves it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, what: str, queue_id: str, **more: object) -> None:
        with self._path.open("a") as stream:
            stream.write(json.dumps({"what": what, "id": queue_id, **more}) + "\n")

    def read(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._path.read_text().splitlines()] if self._path.exists() else []


def make_new(spool: SqliteSpool, clock: FakeClock, sender: str | None = "a@sender.example") -> NewMessage:
    envelope = Envelope(
        None if sender is None else parse_address(sender),
        (Recipient(parse_address("b@one.example")), Recipient(parse_address("c@two.example"))),
    )
    now = clock.now()
    return NewMessage(spool.reserve_id(), envelope, b"Received: x\r\n", InlineBody(SMALL), now, Instant(now + 300))


async def accept(spool: SqliteSpool, clock: FakeClock, diary: Diary, *, large: bool) -> QueueId:
    new = make_new(spool, clock)
    diary.note("accept", new.id, large=large)
    if large:
        writer = spool.open_body()
        await writer.write(LARGE[:100_000])
        await writer.write(LARGE[100_000:])
        new.body = await writer.finish()
    await spool.accept(new)
    diary.note("accepted", new.id)
    return new.id


async def live(path: str, diary: Diary, files: Files) -> None:
    """Every move of docs/internals.md once or more."""
    clock = FakeClock()
    pool = ShardPool(path, clock, files)
    spool = await pool.take_free_shard()
    small, large = await accept(spool, clock, diary, large=False), await accept(spool, clock, diary, large=True)
    other, gone = await accept(spool, clock, diary, large=True), await accept(spool, clock, diary, large=False)
    spool.mark_in_hand(small)
    change = RecipientChange(0, Status.WAITING, Instant(clock.now() + 999), 1, Reply(451, "4.0.0", "later"))
    diary.note("defer", small)
    await spool.settle(Settlement(small, [change]))
    diary.note("deferred", small)
    report = make_new(spool, clock, None)
    diary.note("remove", gone, report=report.id)
    await spool.settle(Settlement(gone, remove=True, reports=[report]))
    diary.note("removed", gone, report=report.id)
    diary.note("remove", large)
    await spool.settle(Settlement(large, remove=True))
    diary.note("removed", large)
    clock.advance(301)
    await spool.claim_due(clock.now(), 10, lambda _: False, lambda row: Instant(row.arrived + 5000))
    diary.note("claimed", other)
    spool.save_site(SiteRow("mx.example", clock.now(), 1, "refused"))
    diary.note("remove", other)
    await spool.change(Selection(ids=frozenset([other])), Action.DELETE, clock.now())
    diary.note("removed", other)
    await spool.close()
    pool.close()


async def leave_a_mess(path: str, diary: Diary) -> None:
    """States T2, B2, S4 and S3 at once: what adoption has to put in order. Ends without a close."""
    clock = FakeClock()
    pool = ShardPool(path, clock)
    spool = await pool.take_free_shard()
    small = await accept(spool, clock, diary, large=False)
    await accept(spool, clock, diary, large=True)
    writer = spool.open_body()
    await writer.write(LARGE)
    await writer.finish()
    shutil.copy(f"{spool.path}/bodies/{os.listdir(f'{spool.path}/bodies')[0]}", f"{spool.path}/bodies/17")
    spool.mark_in_hand(small)
    in_hand = InHand(f"{spool.path}/inhand")
    in_hand.set_suspect(True)
    diary.note("marked", small)
    os._exit(0)


async def adopt(path: str, diary: Diary, files: Files) -> None:
    pool = ShardPool(path, FakeClock(1_800_001_000.0), files)
    spool = await pool.take_free_shard()
    await spool.wait_swept()
    await spool.close()
    pool.close()


@dataclass
class Known:
    """What the diary allows of each message."""

    must: set[str] = field(default_factory=set)
    must_not: set[str] = field(default_factory=set)
    large: dict[str, bool] = field(default_factory=dict)
    deferred: set[str] = field(default_factory=set)
    claimed: set[str] = field(default_factory=set)
    reports: dict[str, str] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)


def read_known(diary: Diary) -> Known:
    known = Known()
    for line in diary.read():
        what, queue_id = str(line["what"]), str(line["id"])
        if what == "accept":
            known.large[queue_id] = bool(line["large"])
        elif what == "accepted":
            known.must.add(queue_id)
        elif what in ("deferred", "claimed", "marked"):
            getattr(known, what).add(queue_id)
        elif what == "remove":
            known.must.discard(queue_id)
            if "report" in line:
                known.reports[queue_id] = str(line["report"])
        elif what == "removed":
            known.must_not.add(queue_id)
    return known


async def check(path: str, known: Known) -> list[str]:
    """The next owner: what is wrong with what it finds."""
    pool = ShardPool(path, FakeClock(1_800_002_000.0))
    spool = await pool.take_free_shard()
    await spool.wait_swept()
    found = {str(message.id): message for message in await spool.find(Selection(), 1000)}
    problems = [f"{queue_id} is lost" for queue_id in known.must - set(found)]
    problems += [f"{queue_id} is back" for queue_id in known.must_not & set(found)]
    for queue_id, message in found.items():
        try:
            body = await message.body.read(0, message.body.size)
        except SpoolError as error:
            problems.append(f"{queue_id} has no body: {error}")
            continue
        if body != (LARGE if known.large.get(queue_id) else SMALL):
            problems.append(f"{queue_id} has another body")
        if queue_id in known.deferred and message.recipients[0].attempts != 1:
            problems.append(f"{queue_id} forgot its attempt")
        if queue_id in known.claimed and message.recipients[0].next_attempt != 1_800_005_000.0:
            problems.append(f"{queue_id} forgot its claim")
        if queue_id in known.marked and message.crashes != 1:
            problems.append(f"{queue_id} counts {message.crashes} crashes")
    problems += [
        f"{queue_id} and its report {report} came apart"
        for queue_id, report in known.reports.items()
        if queue_id not in known.must and (report in found) == (queue_id in found)
    ]
    await spool.close()
    pool.close()
    return problems + check_directory(Path(spool.path), len([m for m in found.values() if m.body.size == len(LARGE)]))


def check_directory(path: Path, bodies: int) -> list[str]:
    problems = [f"{finding.what}: {finding.detail}" for finding in check_spool(str(path.parent), Files())]
    if os.listdir(path / "tmp"):
        problems.append("tmp/ is not empty")
    if len(os.listdir(path / "bodies")) != bodies:
        problems.append("bodies/ has other files than there are rows")
    if len([entry for entry in path.iterdir() if entry.name.endswith(".db")]) != 1:
        problems.append("more than one database")
    return problems


def in_child(call: Callable[[], object]) -> tuple[bool, object]:
    """(ended by itself, what it returned)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        answer = json.dumps(call()).encode()
        os.write(writing, answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    return status == 0, json.loads(answer) if answer else None


def describe(path: Path) -> list[str]:
    """What the kill left, in the words of docs/internals.md. Looks at a copy: opening a database changes it."""
    if not (path / "0").exists():
        return ["S0"]
    copied = path / "copy"
    shutil.copytree(path / "0", copied)
    databases = sorted(copied.glob("spool-*.db"))
    rows = read_rows(databases[-1]) if databases else {}
    tmp, bodies = (read_names(copied / folder) for folder in ("tmp", "bodies"))
    states = {"S6" if len(databases) > 1 else "S1" if not databases else "S2"}
    states |= {"S5"} if (copied / "fresh.db").exists() else set()
    states |= {"T" for name in tmp} | {"B" for name in bodies if name not in rows}
    states |= {"L1" if not is_file else "L2" if name in bodies else "X" for name, is_file in rows.items()}
    shutil.rmtree(copied)
    return sorted(states)


def read_names(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.exists() else []


def read_rows(path: Path) -> dict[str, bool]:
    """Serial and whether the body is a file."""
    connection = open_existing(str(path))
    if not connection.table_exists(None, "body"):
        return {}
    return {str(serial): data is None for serial, data in connection.execute("SELECT serial, data FROM body")}


def play(directory: Path, scene: str, at: int) -> dict[str, object]:
    path, diary = directory / f"spool-{at}", Diary(directory / f"diary-{at}")
    path.mkdir()
    call = {"live": live, "adopt": adopt}[scene]
    if scene == "adopt":
        in_child(lambda: asyncio.run(leave_a_mess(str(path), diary)))
    ended, _ = in_child(lambda: asyncio.run(call(str(path), diary, HookedFiles(Killer(at)))))
    _, before = in_child(lambda: describe(path))
    checked, problems = in_child(lambda: asyncio.run(check(str(path), read_known(diary))))
    shutil.rmtree(path)
    return {"at": at, "killed": not ended, "before": before, "problems": problems if checked else ["check failed"]}


async def die_with_mail_in_hand(path: str) -> None:
    clock = FakeClock()
    spool = await ShardPool(path, clock).take_free_shard()
    found = await spool.find(Selection(), 1)
    message = found[0] if found else await spool.accept(make_new(spool, clock))
    spool.mark_in_hand(message.id)
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    if sys.argv[2] == "hand":
        asyncio.run(die_with_mail_in_hand(sys.argv[1]))
    directory, scene, first, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    at, is_killed = first, True
    while is_killed:
        result = play(directory, scene, at)
        is_killed = bool(result["killed"])
        print(json.dumps(result), flush=True)
        at += step


if __name__ == "__main__":
    main()
