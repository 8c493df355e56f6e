"""Two processes that change one account at once, and a third that follows the changes; one of the two is killed."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.message.mailbox import MailboxId, ModSeq
from posthouse.ports.clock import FakeClock
from posthouse.ports.store import Fields
from tests.adapters.store_messages import ACCOUNT, ALL, make_octets, open_store
from tests.crash.store_check import check_store
from tests.crash.store_writer import INBOX, WORK
from tests.crash.test_spool_kills import ENVIRONMENT

SCRIPT = Path(__file__).with_name("store_writer.py")


@dataclass
class Follower:
    """A mailbox as somebody sees it who only ever asks what changed."""

    mailbox: MailboxId
    since: ModSeq
    flags: dict[int, int] = field(default_factory=dict)
    modseqs: dict[int, int] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    uidnext: int = 1

    async def look(self, store: SqliteStore) -> None:
        change = await store.changes.in_mailbox(ACCOUNT, self.mailbox, self.since)
        assert change.is_complete
        assert change.modseq >= self.since
        assert change.uidnext >= self.uidnext
        for uid, flags, modseq in zip(change.uids, change.flags, change.modseqs, strict=True):
            assert uid in self.flags or uid >= self.uidnext, "a UID came behind a higher one"
            assert self.since < modseq <= change.highest <= change.modseq
            assert uid not in self.gone, "a UID came back"
            self.flags[uid], self.modseqs[uid] = flags, modseq
        for span in change.expunged:
            for uid in range(span.low, span.high + 1):
                self.gone.add(uid)
                self.flags.pop(uid, None)
                self.modseqs.pop(uid, None)
        self.since, self.uidnext = change.modseq, change.uidnext

    async def compare(self, store: SqliteStore) -> None:
        snapshot = await store.messages.snapshot(ACCOUNT, self.mailbox)
        assert list(snapshot.uids) == sorted(self.flags)
        assert dict(zip(snapshot.uids, snapshot.flags, strict=True)) == self.flags
        assert dict(zip(snapshot.uids, snapshot.modseqs, strict=True)) == self.modseqs


def start(path: Path, name: str, rounds: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(SCRIPT), str(path), name, str(rounds)], env=ENVIRONMENT)


def count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


async def follow(store: SqliteStore, path: Path, kill_after: int, rounds: int) -> list[Follower]:
    """Ann and Ben write; Ann is killed when she has written down so many lines, 0: never."""
    await store.mailboxes.create(ACCOUNT, "Work")
    followers = [Follower(mailbox, await store.changes.modseq(ACCOUNT)) for mailbox in (INBOX, WORK)]
    ann, ben = start(path, "ann", rounds), start(path, "ben", rounds)
    try:
        looks = 0
        while ann.poll() is None or ben.poll() is None:
            looks += 1
            for follower in followers:
                await follower.look(store)
            if kill_after and count_lines(path / "ann.diary") >= kill_after:
                ann.kill()
            await asyncio.sleep(0)
        assert (ann.wait(), ben.wait()) == (-9 if kill_after else 0, 0)
        assert looks > 10
    finally:
        ann.kill()
        ben.kill()
    return followers


def read_diary(path: Path, name: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in (path / f"{name}.diary").read_text().splitlines()]


@dataclass
class Wanted:
    """By token: the places where it was said to be; and those that may be elsewhere, or nowhere, by now."""

    places: dict[int, tuple[int, int]] = field(default_factory=dict)
    unsure: set[int] = field(default_factory=set)
    uids: Counter[tuple[int, int]] = field(default_factory=Counter)

    def read(self, path: Path, name: str) -> None:
        for line in read_diary(path, name):
            token, place = int(str(line["token"])), line.get("to")
            if not line["is_done"]:
                self.unsure.add(token)
                continue
            self.unsure.discard(token)
            self.places.pop(token, None)
            if isinstance(place, list):
                self.places[token] = (place[0], place[1])
                self.uids[(place[0], place[1])] += 1


async def read_tokens(store: SqliteStore) -> dict[int, tuple[int, int]]:
    """Where each message is, its octets compared."""
    found: dict[int, tuple[int, int]] = {}
    for mailbox in (INBOX, WORK):
        for row in await store.messages.load(ACCOUNT, mailbox, ALL, Fields.TEXTS):
            assert row.message is not None
            assert row.placement is not None
            token = int(row.message.subject.split()[-1])
            assert token not in found, "a message is there twice"
            found[token] = (mailbox, row.placement.uid)
            assert (await store.blobs.read(ACCOUNT, row.email)).endswith(make_octets(token))
    return found


async def compare_with_diaries(store: SqliteStore, path: Path) -> None:
    wanted, found = Wanted(), await read_tokens(store)
    for name in ("ann", "ben"):
        wanted.read(path, name)
    assert max(wanted.uids.values()) == 1, "a UID was given twice"
    sure = {token: place for token, place in wanted.places.items() if token not in wanted.unsure}
    assert {token: found.get(token) for token in sure} == sure
    assert set(found) - set(sure) <= wanted.unsure


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kill_after", [0, 150], ids=["both to their end", "one is killed"])
async def test_two_processes_change_an_account_and_a_third_sees_every_change(tmp_path: Path, kill_after: int) -> None:
    async with open_store(tmp_path) as store:
        followers = await follow(store, tmp_path, kill_after, rounds=40)
        for follower in followers:
            await follower.look(store)
            await follower.compare(store)
        await compare_with_diaries(store, tmp_path)
        assert check_store(tmp_path / "store") == []
    async with open_store(tmp_path) as store:  # the compact arrays, read anew
        for follower in followers:
            await follower.compare(store)


async def test_what_a_killed_process_left_half_written_goes_after_a_day_or_when_nobody_else_is_there(
    tmp_path: Path,
) -> None:
    """As long as another process has the shard open, nobody can know that a file is nobody's."""
    clock = FakeClock()
    folder = tmp_path / "store" / "0.tmp"
    async with open_store(tmp_path, clock) as store:
        left = [folder / "999999-0", folder / "999999-1"]
        for path, age in zip(left, (90_000, 0), strict=True):
            path.write_bytes(b"half a message")
            os.utime(path, (clock.now() - age, clock.now() - age))
        async with open_store(tmp_path, clock):
            assert all(path.exists() for path in left)
        await store.purge(clock.now())
        assert [path.exists() for path in left] == [False, True]
    async with open_store(tmp_path, clock):
        assert not left[1].exists()
