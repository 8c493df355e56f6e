"""What sessions cost: idle ones, and many large messages at once."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import ExitStack

from bench.bench import Bench, Case, Row
from bench.lab import LabError, measure_memory
from bench.sides import RELAY_PORT, Setup, Side

IDLE_SESSIONS = 5000


def measure_idle(bench: Bench, side: Side, *words: str) -> dict[str, float]:
    time.sleep(1.0)
    before = measure_memory(side.pids)
    command = [sys.executable, "-m", "bench.load", "idle", "--port", str(RELAY_PORT), *words]
    command += ["--sessions", str(IDLE_SESSIONS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as load:
        assert load.stdout is not None
        if b"open" not in load.stdout.readline():
            raise LabError("the idle sessions could not be opened")
        time.sleep(2.0)
        after = measure_memory(side.pids)
        load.communicate(b"")
    return {
        "kib": (after["pss"] - before["pss"]) / IDLE_SESSIONS / 1024,
        "before_mib": before["pss"] / 2**20,
        "after_mib": after["pss"] / 2**20,
    }


def set_up_tls(bench: Bench) -> Setup:
    return Setup(certificate=bench.make_certificate())


def respond(bench: Bench, side: Side) -> dict[str, float]:
    with ExitStack() as stack:
        bench.start_sinks(stack, Setup())
        return bench.run_load("large", "--sessions", "8", "--size", str(20_000_000))


def measure_large(bench: Bench, side: Side) -> dict[str, float]:
    peak = 0
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup())
        load = bench.make_load("large", "--sessions", "200", "--size", str(50_000_000))
        deadline = time.monotonic() + 600
        while load.popen.poll() is None or sum(sink.count() for sink in sinks) < 200:
            peak = max(peak, measure_memory(side.pids)["pss"])
            time.sleep(0.1)
            if time.monotonic() > deadline or load.popen.poll():
                load.stop()
                raise LabError(f"200 large messages did not arrive: {load.read_tail()}")
    return {"mib": peak / 2**20}


IDLE_PLAIN = Case(
    "idle-plain",
    (Row("5,000 idle sessions, each", "kib", "KiB", "under", 8.0),),
    measure_idle,
    has_peer=False,
)
IDLE_TLS = Case(
    "idle-tls",
    (Row("5,000 idle sessions with TLS, each", "kib", "KiB", "under", 34.0),),
    lambda bench, side: measure_idle(bench, side, "--tls"),
    set_up_tls,
    has_peer=False,
)
RESPONSIVE = Case(
    "responsive",
    (Row("NOOP while eight clients send 20 MB each, worst", "worst_ms", "ms", "under", 50.0),),
    respond,
    has_peer=False,
)
MEMORY = Case(
    "memory",
    (Row("200 clients sending 50 MB at once, memory of all processes", "mib", "MiB", "under", 400.0),),
    measure_large,
    has_peer=False,
)
