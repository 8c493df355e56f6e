"""SIGKILL before every durable move of the store: what is found is a state of docs/internals.md, and nothing is lost.

Shard by shard the tables are, row by row, what they were before the commit under way or after it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.crash.test_spool_kills import ENVIRONMENT, memory_path

__all__ = ["memory_path"]
SCRIPT = Path(__file__).with_name("store_steps.py")

# The states a kill of each scene leaves.
SEEN = {
    "messages": {"S0", "B1", "B2", "B3", "B4", "E1", "E2", "E3"},
    "mailboxes": {"S0", "B3", "E1", "E3"},
    "between": {"S0", "B1", "B2", "B3", "B4", "E1", "E3"},
    "submit": {"S0", "B1", "B2", "B3", "B4", "E1", "E2", "E3"},
    "erase": {"S0", "B1", "B2", "B3", "B4", "B5", "E1", "E2", "E3"},
    "records": {"S0", "K1", "K2", "K3"},
    "adopt": {"S0", "S4", "S5", "B1", "B2", "B3", "B4", "E1"},
}


def play(path: Path, *words: str) -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(path), *words], env=ENVIRONMENT, capture_output=True, check=False, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scene", SEEN)
def test_a_kill_before_any_move_leaves_a_state_before_or_after_a_commit(memory_path: Path, scene: str) -> None:
    results = play(memory_path, scene)
    assert len(results) > 30
    assert [result for result in results if result["problems"]] == []
    assert {state for result in results for state in result["seen"]} == SEEN[scene]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("scene", SEEN)
def test_a_kill_before_any_write_of_the_database_as_well(memory_path: Path, scene: str) -> None:
    results = play(memory_path, scene, "every")
    assert len(results) > 100
    assert [result for result in results if result["problems"]] == []
