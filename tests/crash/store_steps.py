"""Plays a life of the message store in a process that is killed before its N-th move, and tells what is found then.

    python store_steps.py DIRECTORY SCENE [every]      without `every` a run of writes counts as two moves at most

The scene is played once undisturbed: every state a commit makes visible is written down per shard, and which of them
were reached at the end of each step. Clocks stand still and ids are counted, so what a kill leaves must be, row by
row, one of these states: not before the last step that was finished, not behind the one that was under way.

Forks for every N (no database is open in the parent). Prints one JSON line per N: {"at", "killed", "seen", "problems"};
ends after the first N that was not reached.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import apsw

from posthouse.adapters.files import Files, Space
from posthouse.adapters.sqlite.database import open_existing
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.adapters.sqlite.store_base import StoreOptions
from posthouse.adapters.sqlite.store_gate import ShardGate
from posthouse.message.mailbox import AccountId, MailboxId, Role, UidRange
from posthouse.ports.clock import FakeClock
from posthouse.ports.records import RecordEdit, RecordId
from posthouse.ports.spool import Body
from posthouse.ports.store import (
    Fields,
    FlagEdit,
    FlagMode,
    MailboxUpdate,
    NewSubmission,
    RecipientFate,
    SubmissionState,
)
from tests.adapters.store_messages import ALL, make_addition, make_octets
from tests.crash.spool_faults import HookedFiles, Killer
from tests.crash.spool_kills import in_child
from tests.crash.store_check import check_store, orphans, read_state

ANN, BEN = AccountId(8), AccountId(7)  # in shards 0 and 1
SHARDS = (0, 1)
LARGE = 10_000
DAY = 86_400.0
_COUNTED_WRITES = 2
T = TypeVar("T")


def open_store(path: Path, files: Files | None, clock: FakeClock) -> SqliteStore:
    options = StoreOptions(shards=2, inline_limit=4096, min_free=Space(0, 0), undelete_s=DAY)
    return SqliteStore(str(path), lambda account: account % 2, clock, options=options, files=files)


class Actor:
    """Plays the steps of a scene. `on_step` hears of each one's begin and end."""

    def __init__(self, store: SqliteStore, clock: FakeClock, on_step: Callable[[str], None]) -> None:
        self.store, self.clock = store, clock
        self._on_step = on_step

    async def do(self, name: str, work: Awaitable[T]) -> T:
        self._on_step(f"begin {name}")
        result = await work
        self._on_step(f"end {name}")
        return result

    async def write_large(self, number: int, account: AccountId = ANN) -> Body:
        writer = self.store.messages.open_body(account)
        octets = make_octets(number, LARGE)
        await writer.write(octets[:5000])
        await writer.write(octets[5000:])
        return await writer.finish()

    async def add_large(self, number: int, account: AccountId = ANN) -> None:
        body = await self.write_large(number, account)
        await self.store.messages.add(account, [make_addition(number, size=LARGE, body=body)])

    async def add(self, *numbers: int, account: AccountId = ANN, mailbox: MailboxId | Role = Role.INBOX) -> None:
        await self.store.messages.add(account, [make_addition(number, mailbox) for number in numbers])

    async def flag(self, mailbox: MailboxId, low: int, high: int, *flags: str) -> None:
        edit = FlagEdit(FlagMode.ADD, frozenset(flags))
        await self.store.messages.set_flags(ANN, mailbox, (UidRange(low, high),), edit)


async def play_messages(actor: Actor) -> None:
    store = actor.store
    await actor.do("add inline", actor.add(1))
    await actor.do("add file", actor.add_large(2))
    await actor.do("add several", actor.add(3, 4, 5))
    first, second = await actor.write_large(6), await actor.write_large(2)
    together = [make_addition(6, size=LARGE, body=first), make_addition(2, size=LARGE, body=second)]
    await actor.do("add new and known file", store.messages.add(ANN, together))
    inbox = (await store.mailboxes.open_role(ANN, Role.INBOX)).id
    work = (await actor.do("create", store.mailboxes.create(ANN, "Work"))).id
    await actor.do("flags", actor.flag(inbox, 1, 4, "\\Flagged", "label"))
    await actor.do("copy", store.messages.copy(ANN, inbox, (UidRange(1, 2),), ANN, work))
    await actor.do("move", store.messages.move(ANN, inbox, (UidRange(2, 4),), ANN, work))
    await actor.do("delete", actor.flag(work, 1, 3, "\\Deleted"))
    await actor.do("expunge", store.messages.expunge(ANN, work))
    (row,) = await store.messages.load(ANN, inbox, (UidRange(5, 5),), Fields.NONE)
    await actor.do("place", store.messages.place(ANN, row.email, [work], [inbox], frozenset({"\\Seen", "label"})))


async def play_mailboxes(actor: Actor) -> None:
    mailboxes = actor.store.mailboxes
    above = (await actor.do("create", mailboxes.create(ANN, "Above"))).id
    below = (await actor.do("create below", mailboxes.create(ANN, "Below", above))).id
    await actor.do("add", actor.add(1, 2, mailbox=below))
    await actor.do("copy", actor.store.messages.copy(ANN, below, (UidRange(1, 1),), ANN, above))
    await actor.do("rename", mailboxes.update(ANN, above, MailboxUpdate(name="Over")))
    await actor.do("move up", mailboxes.update(ANN, below, MailboxUpdate(parent=MailboxId(0))))
    await actor.do("remove", mailboxes.remove(ANN, below))
    await actor.do("create again", mailboxes.create(ANN, "Below"))
    await actor.do("role", mailboxes.open_role(ANN, Role.SENT))


async def play_between(actor: Actor) -> None:
    """Source in shard 0, target in shard 1."""
    store = actor.store
    await actor.do("add", actor.add(1, 2))
    await actor.do("add file", actor.add_large(3))
    inbox = (await store.mailboxes.open_role(ANN, Role.INBOX)).id
    target = (await actor.do("create", store.mailboxes.create(BEN, "From Ann"))).id
    await actor.do("copy", store.messages.copy(ANN, inbox, (UidRange(1, 1),), BEN, target))
    await actor.do("move", store.messages.move(ANN, inbox, ALL, BEN, target))


async def play_submit(actor: Actor) -> None:
    store, submissions = actor.store, actor.store.submissions
    sent = await actor.do("submit", submissions.submit(ANN, make_submission(actor, 1)))
    await actor.do("submit again", submissions.submit(ANN, make_submission(actor, 1)))
    await actor.do("mark", submissions.change(ANN, sent.id, SubmissionState.QUEUED))
    for address in ("x@there.example", "y@there.example"):
        fate = RecipientFate(address, "relayed", "250 ok", actor.clock.now())
        await actor.do(f"record {address}", submissions.record(ANN, sent.id, {address: fate}))
    body = await actor.write_large(2)
    later = await actor.do("schedule", submissions.submit(ANN, make_submission(actor, 2, body, Role.SCHEDULED)))
    assert later.mailbox is not None
    await actor.do("delete", actor.flag(later.mailbox, 1, 1, "\\Deleted"))
    await actor.do("cancel by expunge", store.messages.expunge(ANN, later.mailbox))
    other = await actor.do("submit without key", submissions.submit(ANN, make_submission(actor, 3, key=b"")))
    await actor.do("cancel", submissions.change(ANN, other.id, SubmissionState.CANCELED))


def make_submission(
    actor: Actor, number: int, wire: Body | None = None, role: Role = Role.SENT, key: bytes | None = None
) -> NewSubmission:
    filed = make_addition(number, role, size=LARGE if wire else 200, flags=frozenset(["\\Seen"]))
    wire = wire or filed.body
    return NewSubmission(
        b"envelope",
        ("x@there.example", "y@there.example"),
        wire,
        SubmissionState.PENDING,
        0,
        replace(filed, body=wire),
        key=bytes([number] * 16) if key is None else key,
        key_expires=actor.clock.now() + DAY,
        send_at=actor.clock.now() + DAY if role is Role.SCHEDULED else 0.0,
    )


async def play_erase(actor: Actor) -> None:
    store, clock = actor.store, actor.clock
    await actor.do("add", actor.add(1, 2))
    await actor.do("add file", actor.add_large(3))
    inbox = (await store.mailboxes.open_role(ANN, Role.INBOX)).id
    await actor.do("delete", actor.flag(inbox, 1, 3, "\\Deleted"))
    await actor.do("expunge", store.messages.expunge(ANN, inbox))
    clock.advance(2 * DAY)
    await actor.do("purge emails", store.purge(clock.now()))
    await actor.do("add the same body again", actor.add(2))
    clock.advance(2 * DAY)
    await actor.do("purge bodies", store.purge(clock.now()))
    await actor.do("add file again", actor.add_large(3))
    await actor.do("remove account", store.remove_account(ANN))
    clock.advance(2 * DAY)
    await actor.do("erase account", store.purge(clock.now()))
    clock.advance(2 * DAY)
    await actor.do("purge its bodies", store.purge(clock.now()))


async def play_records(actor: Actor) -> None:
    store, clock = actor.store, actor.clock
    records, answered = store.records, store.answered
    await actor.do("make", records.edit(ANN, "note", [RecordEdit({"a": 1}), RecordEdit({"b": 2}, due=clock.now() + 5)]))
    edits = [RecordEdit({"a": 3}, RecordId(1), due=7.0), RecordEdit(None, RecordId(2)), RecordEdit({"c": 4})]
    await actor.do("change, remove, make", records.edit(ANN, "note", edits))
    await actor.do("claim", answered.claim(ANN, b"sender", clock.now(), clock.now() + DAY))
    await actor.do("remove", records.edit(ANN, "note", [RecordEdit(None, RecordId(1)), RecordEdit(None, RecordId(3))]))
    await actor.do("make another kind", records.edit(ANN, "other", [RecordEdit({})]))
    await actor.do("forget", store.forget_changes(ANN, await store.changes.modseq(ANN)))
    clock.advance(2 * DAY)
    await actor.do("purge", store.purge(clock.now()))
    await actor.do("remove account", store.remove_account(ANN))
    clock.advance(2 * DAY)
    await actor.do("erase account", store.purge(clock.now()))


async def leave_a_mess(path: Path) -> None:
    """Shard 0 suspect (S3), a file nobody wants (B2), one half-written (B1), more WAL than database."""
    clock = FakeClock()
    store = open_store(path, None, clock)
    await store.open()
    actor = Actor(store, clock, lambda _: None)
    await actor.add(1, 2)
    await actor.add_large(3)
    await actor.write_large(4)
    folder = path / "0.bodies" / "ab"
    folder.mkdir()
    (folder / ("ab" * 32)).write_bytes(b"unwanted")
    ShardGate(f"{path}/0").set_suspect()
    os._exit(0)


async def play_adopt(actor: Actor) -> None:
    """All of it happened while the store was opened; a purge sweeps."""
    await actor.do("purge", actor.store.purge(actor.clock.now()))


@dataclass(frozen=True)
class Scene:
    play: Callable[[Actor], Awaitable[None]]
    prepare: Callable[[Path], Coroutine[None, None, None]] | None = None


SCENES = {
    "messages": Scene(play_messages),
    "mailboxes": Scene(play_mailboxes),
    "between": Scene(play_between),
    "submit": Scene(play_submit),
    "erase": Scene(play_erase),
    "records": Scene(play_records),
    "adopt": Scene(play_adopt, leave_a_mess),
}


class RunKiller(Killer):
    """Of a run of writes to a database only the first ones count: SQLite's own business is tried elsewhere."""

    def __init__(self, at: int) -> None:
        super().__init__(at)
        self._run = 0

    def __call__(self, move: str, path: str) -> None:
        self._run = self._run + 1 if move == "db-write" else 0
        if self._run <= _COUNTED_WRITES:
            super().__call__(move, path)


class Historian:
    """A hook that writes down every state of every shard, once the store is open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.states: list[list[str]] = [[] for _ in SHARDS]
        self.steps: dict[str, list[int]] = {}
        self.is_on = False

    def __call__(self, move: str, path: str) -> None:
        if self.is_on:
            self.look()

    def look(self) -> None:
        with self._lock:
            for shard in SHARDS:
                state = read_state(self._path / str(shard))
                if state not in self.states[shard][-1:]:
                    self.states[shard].append(state)

    def note(self, step: str) -> None:
        self.look()
        self.steps[step] = [len(states) - 1 for states in self.states]


async def play_undisturbed(path: Path, scene: Scene) -> dict[str, object]:
    historian, clock = Historian(path), FakeClock()
    store = open_store(path, HookedFiles(historian), clock)
    await store.open()
    historian.is_on = True
    historian.note("open")
    await scene.play(Actor(store, clock, historian.note))
    historian.note("close")
    historian.is_on = False
    await store.close()
    return {"states": historian.states, "steps": historian.steps}


async def play_until_killed(path: Path, scene: Scene, diary: Path, killer: Killer) -> None:
    clock = FakeClock()
    store = open_store(path, HookedFiles(killer), clock)
    await store.open()
    with diary.open("a") as stream:

        def note(step: str) -> None:
            stream.write(f"{step}\n")
            stream.flush()

        await scene.play(Actor(store, clock, note))
        await store.close()


@dataclass(frozen=True)
class Past:
    """What an undisturbed play told: states per shard, and the last one at each step."""

    states: list[list[str]]
    steps: dict[str, list[int]]

    def problems(self, path: Path, diary: list[str]) -> list[str]:
        """`diary`: the notes of the play that was killed."""
        ended = [line for line in diary if line.startswith("end ")]
        least = self.steps[ended[-1] if ended else "open"]
        last = diary[-1] if diary else "open"
        most = self.steps["end " + last.removeprefix("begin ") if last.startswith("begin ") else self._next(last)]
        found = []
        for shard in SHARDS:
            allowed = self.states[shard][least[shard] : most[shard] + 1]
            state = read_state(path / str(shard))
            if state not in allowed:
                known = self.states[shard].index(state) if state in self.states[shard] else None
                found.append(f"shard {shard}: state {known}, not of {least[shard]}..{most[shard]} after {last}")
        return found

    def _next(self, last: str) -> str:
        """Between steps, mailboxes may be asked for, which makes an account's first rows."""
        names = list(self.steps)
        return names[min(names.index(last) + 1, len(names) - 1)]


def describe(path: Path) -> list[str]:
    """What the kill left, in the words of docs/internals.md. Looks at a copy: opening a database changes it."""
    copied = path.with_name(path.name + "-copy")
    if not path.exists():
        return ["S0"]
    shutil.copytree(path, copied)
    seen = set[str]()
    for shard in SHARDS:
        base = copied / str(shard)
        seen |= {name for suffix, name in ((".fresh", "S4"), (".copied", "S5")) if Path(f"{base}{suffix}").exists()}
        tmp = Path(f"{base}.tmp")
        seen |= {"B1"} if tmp.exists() and os.listdir(tmp) else set()
        seen |= describe_rows(base) if Path(f"{base}.db").exists() else {"S0"}
    shutil.rmtree(copied)
    return sorted(seen)


def describe_rows(base: Path) -> set[str]:
    connection = open_existing(f"{base}.db")
    try:
        bodies = connection.execute("SELECT octets IS NULL, unreferenced IS NOT NULL FROM body").fetchall()
        emails = connection.execute(
            "SELECT gone IS NOT NULL, (SELECT min(flags & 8) FROM placement p WHERE p.account = e.account"
            " AND p.email = e.email) FROM email e"
        ).fetchall()
        records = connection.execute("SELECT value IS NULL, due IS NOT NULL FROM record").fetchall()
    except apsw.SQLError:  # no tables yet
        return {"S0"}
    finally:
        connection.close()
    seen = {"B5" if unreferenced else "B4" if is_file else "B3" for is_file, unreferenced in bodies}
    seen |= {"K3" if removed else "K2" if due else "K1" for removed, due in records}
    seen |= {"E3" if gone else "E2" if deleted else "E1" for gone, deleted in emails}
    return seen | ({"B2"} if orphans(base) else set())


async def check(path: Path, past: Past, diary: list[str]) -> list[str]:
    """The next process: what is wrong with what it finds, and with what it then does."""
    clock = FakeClock(1_800_000_000.0)
    store = open_store(path, None, clock)
    await store.open()
    problems = past.problems(path, diary) + check_store(path)
    problems += [f"{shard}.tmp is not empty" for shard in SHARDS if os.listdir(path / f"{shard}.tmp")]
    await Actor(store, clock, lambda _: None).add_large(99, BEN)
    clock.advance(400 * DAY)
    for _ in range(2):
        await store.purge(clock.now())
        clock.advance(2 * DAY)
    problems += [f"after a purge: {problem}" for problem in check_store(path)]
    problems += [f"{shard} keeps {name}" for shard in SHARDS for name in orphans(path / str(shard))]
    await store.close()
    problems += [f"{name} is left" for name in os.listdir(path) if name.endswith((".fresh", ".copied"))]
    return problems


@dataclass(frozen=True)
class Theatre:
    """`begin`: what lies there at the begin of the scene, or nothing does."""

    directory: Path
    scene: Scene
    begin: Path
    kind: type[Killer]

    def lay_out(self, name: str) -> Path:
        path = self.directory / name
        if self.begin.exists():
            shutil.copytree(self.begin, path)
        return path

    def look_ahead(self) -> Past:
        if (prepare := self.scene.prepare) is not None:
            in_child(lambda: asyncio.run(prepare(self.begin)))
        path = self.lay_out("undisturbed")
        _, told = in_child(lambda: asyncio.run(play_undisturbed(path, self.scene)))
        assert isinstance(told, dict)
        return Past(told["states"], told["steps"])

    def play(self, past: Past, at: int) -> dict[str, object]:
        path, diary = self.lay_out(f"store-{at}"), self.directory / f"diary-{at}"
        ended, _ = in_child(lambda: asyncio.run(play_until_killed(path, self.scene, diary, self.kind(at))))
        notes = diary.read_text().splitlines() if diary.exists() else []
        checked, told = in_child(lambda: [describe(path), asyncio.run(check(path, past, notes))])
        seen, problems = told if isinstance(told, list) else ([], ["check failed"])
        if checked and not problems:
            shutil.rmtree(path)
        return {"at": at, "killed": not ended, "seen": seen, "problems": problems}


def main() -> None:
    directory = Path(sys.argv[1])
    theatre = Theatre(directory, SCENES[sys.argv[2]], directory / "begin", Killer if sys.argv[3:] else RunKiller)
    past, at, is_killed = theatre.look_ahead(), 0, True
    while is_killed:
        result = theatre.play(past, at)
        is_killed = bool(result["killed"])
        print(json.dumps(result), flush=True)
        at += 1


if __name__ == "__main__":
    main()
