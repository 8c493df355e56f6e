"""SIGKILL before every durable move of a spool's life, and before every move of the start-up that mends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import posthouse

SCRIPT = Path(__file__).with_name("spool_kills.py")


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a kill does not care, and thousands of fsyncs take minutes on a busy disk."""
    shared = "/dev/shm"  # noqa: S108 - a fresh directory below it
    with tempfile.TemporaryDirectory(dir=shared if os.path.isdir(shared) else tmp_path) as directory:
        yield Path(directory)


def play(path: Path, scene: str) -> list[dict[str, Any]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(posthouse.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), scene, "0", "1"],
        env=environment,
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
