"""Delivery into the Maildirs of 100 users, counted as files in `new`."""

from __future__ import annotations

import os
import time
from pathlib import Path

from bench.bench import Bench, Case, Row
from bench.lab import LabError
from bench.sides import USERS, Setup, Side


def set_up(bench: Bench) -> Setup:
    return Setup(routes={}, maildirs=bench.base / "mail")


def count_delivered(root: Path) -> int:
    total = 0
    for user in range(USERS):
        new = root / "dst.test" / f"u{user}" / "new"
        if new.exists():
            total += sum(1 for _ in os.scandir(new))
    return total


def wait_delivered(root: Path, wanted: int, timeout: float) -> float:
    deadline = time.perf_counter() + timeout
    while True:
        looked = time.perf_counter()
        count = count_delivered(root)
        if count >= wanted:
            return looked
        if looked > deadline:
            raise LabError(f"{count} messages in {root}, not {wanted}")
        time.sleep(0.05)


def deliver(bench: Bench, side: Side) -> dict[str, float]:
    root = bench.base / "mail"

    def send(messages: int) -> object:
        return bench.run_load("send", "--messages", str(messages), "--users", str(USERS))

    return bench.measure_flow(side, send, lambda n: wait_delivered(root, n, bench.seconds * 20 + 60), 500)


MAILDIR = Case(
    "maildir",
    (Row("delivery into Maildirs of 100 users, 4 KiB, 20 sessions", "rate", "messages/s", "at least", 2.5),),
    deliver,
    set_up,
)
