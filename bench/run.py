"""`python -m bench.run`: every claim of speed and memory, ours and Postfix's in turn, on this machine.

Writes bench/results/CASE.json and a markdown table (bench/results/table.md). Needs root, for Postfix.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import signal
import statistics
import sys
from pathlib import Path

from bench.bench import Bench, Case, Row
from bench.cases import ALL
from bench.lab import LabError, make_base, raise_descriptors, remove_base
from bench.sides import Posthouse, Side, find_postfix

RESULTS = Path(__file__).parent / "results"
Figures = list[dict[str, float]]


def run_once(case: Case, side: Side, seconds: float, learnt: dict[str, float]) -> dict[str, float]:
    base = make_base()
    try:
        bench = Bench(base, seconds, learnt)
        side.start(base, case.setup(bench))
        try:
            return case.measure(bench, side)
        finally:
            side.stop()
    except LabError:
        print(f"  files are kept in {base}", file=sys.stderr)
        raise
    finally:
        if not sys.exc_info()[0]:
            remove_base(base)


def run_case(case: Case, arguments: argparse.Namespace) -> dict[str, Figures]:
    """Runs alternate: ours, Postfix's, ours ..., so that a slow minute of the machine falls on both."""
    sides: list[Side] = [Posthouse()] if arguments.side in ("both", "posthouse") else []
    if case.has_peer and arguments.side in ("both", "peer"):
        sides.append(case.peer())
    figures: dict[str, Figures] = {side.name: [] for side in sides}
    learnt: dict[str, float] = {}
    for number in range(arguments.runs):
        for side in sides:
            measured = run_once(case, side, arguments.seconds, learnt)
            figures[side.name].append(measured)
            text = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
            print(f"{case.name} {number + 1}/{arguments.runs} {side.name}: {text}", flush=True)
    return figures


def collect(figures: Figures, row: Row) -> list[float]:
    return [measured[row.figure] for measured in figures]


def show_figure(values: list[float]) -> str:
    """Median and spread."""
    if not values:
        return ""
    median = statistics.median(values)
    digits = 0 if median >= 100 else 1 if median >= 10 else 2
    if len(values) == 1:
        return f"{median:,.{digits}f}"
    return f"{median:,.{digits}f} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def judge(row: Row, ours: list[float], peers: list[float]) -> tuple[str, str]:
    """The ratio, or nothing, and whether it is what it must be."""
    if not ours or row.kind == "stated":
        return "", ""
    if row.kind == "under":
        return "", "yes" if statistics.median(ours) < row.must else "NO"
    if not peers:
        return "", ""
    ratio = statistics.median(ours) / statistics.median(peers)
    is_met = ratio >= row.must if row.kind == "at least" else ratio <= row.must
    return f"{ratio:.2f} x", "yes" if is_met else "NO"


def make_line(row: Row, figures: dict[str, Figures]) -> str:
    peer = next((name for name in figures if name != "posthouse"), "")
    ours, peers = collect(figures.get("posthouse", []), row), collect(figures.get(peer, []), row)
    ratio, is_met = judge(row, ours, peers)
    factor = "" if row.kind == "under" else f" x {peer or 'peer'}"
    limits = [
        "" if row.kind == "stated" or value is None else f"{row.kind} {value:.3g}{factor}"
        for value in (row.must, row.aim)
    ]
    cells = (f"{row.title}, {row.unit}", show_figure(ours), show_figure(peers), ratio, *limits, is_met)
    return f"| {' | '.join(cells)} |"


def make_table(results: dict[str, dict[str, Figures]]) -> str:
    lines = ["| case | Posthouse | peer | ratio | must | aim | met |", "|---|---|---|---|---|---|---|"]
    for case in ALL:
        if case.name in results:
            lines += [make_line(row, results[case.name]) for row in case.rows]
    return "\n".join(lines) + "\n"


def describe_machine() -> dict[str, object]:
    model = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": os.cpu_count(),
        "processor": model[0].partition(": ")[2] if model else platform.machine(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def write_result(case: Case, figures: dict[str, Figures], arguments: argparse.Namespace) -> None:
    RESULTS.mkdir(exist_ok=True)
    result = {
        "case": case.name,
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "runs": arguments.runs,
        "seconds": arguments.seconds,
        "figures": figures,
    }
    (RESULTS / f"{case.name}.json").write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="length of one run at least")
    parser.add_argument("--only", default="", help="names of cases, with commas")
    parser.add_argument("--side", choices=("both", "posthouse", "peer"), default="both")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers and sinks are ended too
    find_postfix()
    raise_descriptors()
    wanted = set(filter(None, arguments.only.split(",")))
    unknown = wanted - {case.name for case in ALL}
    if unknown:
        print(f"no such case: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    results: dict[str, dict[str, Figures]] = {}
    failed = False
    for case in ALL:
        if wanted and case.name not in wanted:
            continue
        try:
            results[case.name] = run_case(case, arguments)
            write_result(case, results[case.name], arguments)
        except LabError as error:
            failed = True
            print(f"{case.name}: {error}", file=sys.stderr)
    table = make_table(results)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "table.md").write_text(table)
    print(table)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
