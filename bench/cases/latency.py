"""How long a client waits between its final dot and our 250, at half of what we can take."""

from __future__ import annotations

from contextlib import ExitStack

from bench.bench import Bench, Case, Row
from bench.sides import Setup, Side


def measure(bench: Bench, side: Side) -> dict[str, float]:
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup())
        wait = bench.wait_sinks(sinks)
        flow = bench.measure_flow(side, lambda n: bench.run_source(n, "-l", "4096", "-d"), wait, 500)
        rate = flow["rate"] / 2
        words = ("--rate", str(rate), "--messages", str(int(rate * bench.seconds)), "--sessions", "100")
        return {"rate": rate, **bench.run_load("pace", *words)}


LATENCY = Case(
    "latency",
    (
        Row("final dot to 250 at half our rate, median", "p50_ms", "ms", "under", 3.0),
        Row("final dot to 250 at half our rate, 99 of 100", "p99_ms", "ms", "under", 20.0),
        Row("final dot to 250 at half our rate, worst", "worst_ms", "ms", "stated", 0.0),
    ),
    measure,
    has_peer=False,
)
