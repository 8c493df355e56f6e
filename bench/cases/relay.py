"""Relaying: accepted durably and delivered to a sink, counted at the sink."""

from __future__ import annotations

from contextlib import ExitStack

from bench.bench import Bench, Case, Row
from bench.sides import Setup, Side

TEN_SINKS = {f"d{number}.test": f"127.0.0.{number + 1}" for number in range(10)}


def relay(bench: Bench, side: Side, *words: str, warm_up: int = 500) -> dict[str, float]:
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup())
        return bench.measure_flow(side, lambda n: bench.run_source(n, *words), bench.wait_sinks(sinks), warm_up)


def relay_to_many(bench: Bench, side: Side) -> dict[str, float]:
    words = ("--recipients", "50", "--users", "50", "--domains", "10")
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup(TEN_SINKS))
        wait = bench.wait_sinks(sinks, deliveries=len(TEN_SINKS))
        return bench.measure_flow(side, lambda n: bench.run_load("send", "--messages", str(n), *words), wait, 60)


def set_up_tls(bench: Bench) -> Setup:
    return Setup(certificate=bench.make_certificate())


def relay_tls(bench: Bench, side: Side) -> dict[str, float]:
    with ExitStack() as stack:
        sinks = bench.start_sinks(stack, Setup(certificate=bench.make_certificate()))
        words = ("--each", "--tls")
        wait = bench.wait_sinks(sinks)
        return bench.measure_flow(side, lambda n: bench.run_load("send", "--messages", str(n), *words), wait, 200)


def make_cpu_row(title: str) -> Row:
    return Row(f"processor time per message, {title}", "cpu_ms", "ms", "at most", 1 / 3, 1 / 5)


KEPT = Case(
    "relay-kept",
    (
        Row("relay, 4 KiB, 20 kept connections", "rate", "messages/s", "at least", 3.5, 5.0),
        make_cpu_row("kept connections"),
    ),
    lambda bench, side: relay(bench, side, "-l", "4096", "-d"),
)
EACH = Case(
    "relay-each",
    (
        Row("relay, 4 KiB, a connection per message", "rate", "messages/s", "at least", 2.5, 4.0),
        make_cpu_row("a connection per message"),
    ),
    lambda bench, side: relay(bench, side, "-l", "4096"),
)
LARGER = Case(
    "relay-100k",
    (Row("relay, 100 KiB, 20 sessions", "rate", "messages/s", "at least", 2.0, 3.0),),
    lambda bench, side: relay(bench, side, "-l", "102400", "-d", warm_up=200),
)
RECIPIENTS = Case(
    "recipients",
    (Row("50 recipients a message, 10 domains", "rate", "messages/s", "at least", 3.0),),
    relay_to_many,
    lambda _: Setup(TEN_SINKS),
)
STARTTLS = Case(
    "starttls",
    (Row("STARTTLS in and out, a connection per message", "rate", "messages/s", "at least", 1.5),),
    relay_tls,
    set_up_tls,
)
