"""Plays a store's life in a process that is killed before its N-th move, and tells what the next start finds.

    python store_kills.py DIRECTORY live|mend FIRST STEP

Forks for every N, so that a kill costs milliseconds. Prints one JSON line per N: {"at", "killed", "problems"}; ends
after the first N that was not reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from posthouse.adapters.files import Files
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_gate import ShardGate
from posthouse.message.mailbox import AccountId, MailboxId, Role, SubmissionId, Uid, UidRange
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import InlineBody
from posthouse.ports.store import Fields, FlagEdit, FlagMode, NewSubmission, RecipientFate, SubmissionState
from tests.adapters.store_messages import ALL, find_problems, make_addition, make_octets, open_store
from tests.crash.spool_faults import HookedFiles, Killer

ANN, BOB = AccountId(1), AccountId(2)  # in different shards
INBOX = MailboxId(1)
LARGE = 50_000
WIRE = b"Subject: sent\r\n\r\nwithout Bcc\r\n"


class Diary:
    """What a client would know: begun and done, written where a kill leaves it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, what: str) -> None:
        with self._path.open("a") as stream:
            stream.write(what + "\n")

    def read(self) -> set[str]:
        return set(self._path.read_text().splitlines()) if self._path.exists() else set()


async def add(store: SqliteStore, diary: Diary, number: int, size: int = 200) -> Uid:
    addition = make_addition(number, size=size)
    if size == LARGE:
        writer = store.messages.open_body(ANN)
        await writer.write(make_octets(number, size))
        addition = make_addition(number, size=size, body=await writer.finish())
    (added,) = await store.messages.add(ANN, [addition])
    diary.note(f"added {number}")
    return added.uids[0]


async def submit(store: SqliteStore, diary: Diary) -> None:
    new = NewSubmission(
        b"envelope",
        ("x@example.net",),
        InlineBody(WIRE),
        SubmissionState.PENDING,
        0,
        filed=make_addition(9, Role.SENT),
        key=b"0123456789abcdef",
        key_expires=2e9,
    )
    submitted = await store.submissions.submit(ANN, new)
    diary.note("submitted")
    await store.submissions.change(ANN, submitted.id, SubmissionState.QUEUED)
    await store.submissions.record(ANN, submitted.id, {"x@example.net": RecipientFate("x@example.net", "relayed")})
    diary.note("recorded")


async def live(path: str, diary: Diary, files: Files) -> None:
    """Every move of docs/internals.md once or more."""
    clock = FakeClock()
    async with open_store(Path(path), clock, files=files, shards=2) as store:
        await add(store, diary, 1)
        large = await add(store, diary, 2, LARGE)
        gone = await add(store, diary, 3, LARGE)
        moved = await add(store, diary, 4)
        work = (await store.mailboxes.create(ANN, "Work")).id
        await store.messages.copy(ANN, INBOX, (UidRange(1, 1),), ANN, work)
        await store.messages.move(ANN, INBOX, (UidRange(large, large),), ANN, work)
        uids = (UidRange(gone, gone),)
        await store.messages.set_flags(ANN, INBOX, uids, FlagEdit(FlagMode.ADD, frozenset(["\\Deleted", "$x"])))
        diary.note("expunging 3")
        await store.messages.expunge(ANN, INBOX)
        diary.note("expunged 3")
        await store.messages.move(ANN, INBOX, (UidRange(moved, moved),), BOB, INBOX)
        diary.note("moved 4")
        await submit(store, diary)
        diary.note("removing 2")
        await store.mailboxes.remove(ANN, work)
        clock.advance(20 * 86_400.0)
        await store.purge(clock.now())
        clock.advance(2 * 3600.0)
        await store.purge(clock.now())
        diary.note("purged")


async def leave_a_mess(path: str, diary: Diary) -> None:
    """A half-written body, an orphan, a suspect shard. Ends without a close."""
    async with open_store(Path(path), shards=2) as store:
        await add(store, diary, 1)
        await add(store, diary, 2, LARGE)
        writer = store.messages.open_body(ANN)
        await writer.write(b"x" * 400_000)
        orphan = Path(path) / "store" / "1.bodies" / "ab" / ("ab" * 32)
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"x")
        ShardGate(f"{path}/store/1").set_suspect()
        os._exit(0)


async def mend(path: str, diary: Diary, files: Files) -> None:
    async with open_store(Path(path), files=files, shards=2) as store:
        await store.purge(store.core.clock.now())


async def check(path: str, known: set[str]) -> list[str]:
    """The next start: what is wrong with what it finds."""
    async with open_store(Path(path), FakeClock(1_800_000_000.0), shards=2) as store:
        ann, bob = await read_numbers(store, ANN), await read_numbers(store, BOB)
        problems = [f"{n} is lost" for n in (1, 4) if f"added {n}" in known and not (ann[n] or bob[n])]
        if "added 2" in known and "removing 2" not in known and ann[2] != 1:
            problems.append(f"2 is there {ann[2]} times")
        if "added 3" in known and "expunging 3" not in known and ann[3] != 1:
            problems.append("3 is lost")
        if "expunged 3" in known and ann[3]:
            problems.append("3 is back")
        if "moved 4" in known and (ann[4], bob[4]) != (0, 1):
            problems.append("4 was not moved")
        submission = await store.submissions.get(ANN, SubmissionId(1))
        if ("submitted" in known and submission is None) or (submission is not None) != (ann[9] == 1):
            problems.append("a submission and its copy came apart")
        if "recorded" in known and (submission is None or submission.state is not SubmissionState.FINAL):
            problems.append("an outcome is lost")
        await store.purge(store.core.clock.now())
    return problems + find_problems(f"{path}/store") + check_files(Path(path) / "store")


async def read_numbers(store: SqliteStore, account: AccountId) -> Counter[int]:
    """How often each message is there; raises if one cannot be read or is another."""
    found: Counter[int] = Counter()
    emails = set()
    for mailbox in await store.mailboxes.list_all(account):
        for row in await store.messages.load(account, mailbox.id, ALL, Fields.TEXTS):
            assert row.message is not None
            number = int(row.message.subject.removeprefix("letter "))
            octets = await store.blobs.read(account, row.email)
            assert octets.endswith(make_octets(number, LARGE if number in (2, 3) else 200))
            if row.email not in emails:
                found[number] += 1
            emails.add(row.email)
    return found


def check_files(path: Path) -> list[str]:
    problems = [f"left over: {name}" for name in os.listdir(path) if name.endswith((".fresh", ".copied"))]
    problems += [f"left over: {p}" for number in (0, 1) for p in (path / f"{number}.tmp").iterdir()]
    return problems + [f"an orphan: {p}" for p in path.glob("*.bodies/ab/*")]


def in_child(call: Callable[[], object]) -> tuple[bool, object]:
    """(ended by itself, what it returned)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.write(writing, json.dumps(call()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    return status == 0, json.loads(answer) if answer else None


def play(directory: Path, scene: str, at: int) -> dict[str, object]:
    path, diary = directory / f"store-{at}", Diary(directory / f"diary-{at}")
    path.mkdir()
    if scene == "mend":
        in_child(lambda: asyncio.run(leave_a_mess(str(path), diary)))
    call = {"live": live, "mend": mend}[scene]
    ended, _ = in_child(lambda: asyncio.run(call(str(path), diary, HookedFiles(Killer(at)))))
    checked, problems = in_child(lambda: asyncio.run(check(str(path), diary.read())))
    shutil.rmtree(path)
    return {"at": at, "killed": not ended, "problems": problems if checked else ["check failed"]}


def main() -> None:
    directory, scene, at, step = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    is_killed = True
    while is_killed:
        result = play(directory, scene, at)
        is_killed = bool(result["killed"])
        print(json.dumps(result), flush=True)
        at += step


if __name__ == "__main__":
    main()
