"""`kill -9` at random moments under load: nothing that was answered 250 is lost.

The long run is `make soak`; the short ones are part of `make test`.
"""

from __future__ import annotations

import os
import random
import signal
import time
from functools import partial
from pathlib import Path

import pytest

from tests.crash.server_under_load import Clients, Server, check_nothing_lost, running, wait_until


def kill_one(server: Server, chance: random.Random) -> str:
    """A worker, the coordinator, or everything at once (then it is started again)."""
    victim = chance.choice(("worker", "worker", "coordinator", "all"))
    if victim == "all":
        server.kill_all()
        server.start()
        return victim
    pids = server.children("worker_process" if victim == "worker" else "coordinator")
    if pids:
        os.kill(chance.choice(pids), signal.SIGKILL)
    return victim


def _has_workers(server: Server, count: int) -> bool:
    return len(server.children("worker_process")) == count


def _kill_under_load(base: Path, kills: int, messages: int, seed: int) -> tuple[int, int]:
    """Returns acknowledged messages and doubled deliveries."""
    chance = random.Random(seed)
    with running(base) as server:
        clients = Clients(server.port, messages, seed=seed)
        done = 0
        while done < kills:
            time.sleep(chance.uniform(0.0, 0.8))
            kill_one(server, chance)
            done += 1
        wait_until(server.answers, 30, "the server answers after the last kill")
        doubled = check_nothing_lost(server, clients, 120)
        assert len(clients.acknowledged) == messages
        assert server.stop() == 0
        return messages, doubled


@pytest.mark.timeout(300)
def test_20_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    messages, doubled = _kill_under_load(tmp_path, kills=20, messages=1500, seed=20)
    print(f"{messages} acknowledged, {doubled} delivered twice")
    assert doubled < 20 * 40  # only what was in flight


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_200_kills_under_load_lose_nothing(tmp_path: Path) -> None:
    messages, doubled = _kill_under_load(tmp_path, kills=200, messages=20_000, seed=200)
    print(f"{messages} acknowledged, {doubled} delivered twice")
    assert doubled < 200 * 40


@pytest.mark.timeout(200)
def test_fewer_and_more_workers_by_reload_leave_no_message_waiting(tmp_path: Path) -> None:
    with running(tmp_path, workers=4) as server:
        clients = Clients(server.port, 1200)
        for workers in (1, 3):
            server.configure(workers)
            server.reload()
            wait_until(partial(_has_workers, server, workers), 60, f"{workers} workers run")
        assert check_nothing_lost(server, clients) == 0
        assert server.queue() == []
        assert server.stop() == 0


@pytest.mark.timeout(200)
def test_a_reload_and_sigterm_under_load_cut_no_transaction(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        clients = Clients(server.port, 800)
        for _ in range(3):
            time.sleep(0.7)
            server.reload()
        time.sleep(1.0)
        assert server.stop() == 0
        server.start()
        assert check_nothing_lost(server, clients) == 0


@pytest.mark.timeout(200)
def test_without_the_coordinator_mail_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        clients = Clients(server.port, 600)
        for _ in range(3):
            time.sleep(0.4)
            for pid in server.children("coordinator"):
                os.kill(pid, signal.SIGKILL)
        assert check_nothing_lost(server, clients) == 0
