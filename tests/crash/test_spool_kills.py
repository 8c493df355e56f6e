"""SIGKILL before every durable move of a spool's life, and before every move of the start-up that mends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import posthouse
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.message.instant import Instant
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import Action, QueuedMessage, Selection, Status

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{Path(posthouse.__file__).parents[1]}:{ROOT}"}
SCRIPT = Path(__file__).with_name("spool_kills.py")


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a kill does not care, and a busy disk needs minutes for so many fsyncs."""
    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shared if os.path.isdir(shared) else tmp_path) as directory:
        yield Path(directory)


def play(path: Path, scene: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), scene, "0", "1"],
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("scene", "seen"),
    [("live", {"S0", "S1", "S2", "T", "B", "L1", "L2"}), ("adopt", {"S2", "S5", "S6", "T", "B", "L1", "L2"})],
)
def test_a_kill_before_any_move_loses_nothing_and_leaves_a_state_of_the_table(
    memory_path: Path, scene: str, seen: set[str]
) -> None:
    results = play(memory_path, scene)
    assert len(results) > 50
    assert [result for result in results if result["problems"]] == []
    assert {state for result in results for state in result["before"]} == seen


def die_with_mail_in_hand(path: Path) -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), str(path), "hand"], env=ENVIRONMENT, check=False)
    assert done.returncode == -signal.SIGKILL


async def look_at_the_message(path: Path) -> QueuedMessage:
    pool = ShardPool(str(path), FakeClock())
    spool = await pool.take_free_shard()
    (message,) = await spool.find(Selection(), 10)
    await spool.close()
    pool.close()
    return message


async def test_a_message_in_hand_at_two_crashes_is_held_not_tried_again(memory_path: Path) -> None:
    die_with_mail_in_hand(memory_path)
    message = await look_at_the_message(memory_path)
    assert (message.crashes, message.recipients[0].status) == (1, Status.WAITING)
    message = await look_at_the_message(memory_path)  # a clean end in between counts nothing
    assert message.crashes == 1
    die_with_mail_in_hand(memory_path)
    message = await look_at_the_message(memory_path)
    assert message.crashes == 2
    assert [(row.status, row.next_attempt) for row in message.recipients] == [(Status.HELD, None)] * 2


async def test_releasing_what_two_crashes_held_gives_it_two_more(memory_path: Path) -> None:
    for _ in range(2):
        die_with_mail_in_hand(memory_path)
    pool = ShardPool(str(memory_path), FakeClock())
    spool = await pool.take_free_shard()
    now = Instant(1_900_000_000.0)
    assert len(await spool.change(Selection(status="held"), Action.RELEASE, now)) == 1
    await spool.close()
    pool.close()
    message = await look_at_the_message(memory_path)
    assert (message.crashes, message.recipients[0].next_attempt) == (0, now)
