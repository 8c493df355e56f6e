"""SIGKILL before durable moves of a store's life, and before those of the start-up that mends it."""

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

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{Path(posthouse.__file__).parents[1]}:{ROOT}"}
SCRIPT = Path(__file__).with_name("store_kills.py")


@pytest.fixture
def memory_path(tmp_path: Path) -> Iterator[Path]:
    """In memory where there is such a place: a kill does not care, and a busy disk needs minutes for so many fsyncs."""
    shared = "/dev/shm"
    with tempfile.TemporaryDirectory(dir=shared if os.path.isdir(shared) else tmp_path) as directory:
        yield Path(directory)


def play(path: Path, scene: str, step: int) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), scene, "0", str(step)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def check(results: list[dict[str, Any]], least: int) -> None:
    assert len(results) >= least
    assert [result for result in results if result["problems"]] == []


@pytest.mark.timeout(300)
def test_a_kill_in_a_life_of_a_store_loses_nothing(memory_path: Path) -> None:
    check(play(memory_path, "live", 29), 15)


@pytest.mark.timeout(300)
def test_a_kill_of_the_start_that_mends_a_store_loses_nothing(memory_path: Path) -> None:
    check(play(memory_path, "mend", 11), 8)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scene", ["live", "mend"])
def test_a_kill_before_any_move_of_a_store_loses_nothing(memory_path: Path, scene: str) -> None:
    check(play(memory_path, scene, 1), 40)
