"""`python -m bench.imap`: reading mail by IMAP, ours and Dovecot's in turn, with the same client on this machine.

    python -m bench.imap [--rows NAME,...] [--runs 3] [--side both|posthouse|peer] [--short] [--json FILE]

Both servers run at the same time; of each case ours is measured, then Dovecot, so that a slow minute of the machine
falls on both. Each run has users of its own, so that `first` is the first time. Prints a table and writes
bench/results/imap.json. --short is for CI: 500 messages, one run, answers are checked and figures mean little.
Needs root, for Dovecot. Exit status 1: an answer was wrong (what is slower than it must be says NO in the table).
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.imap_corpus import FULL_SIZE, Letter, make_letters
from bench.imap_live import LIVE_CASES
from bench.imap_million import MILLION_CASE
from bench.imap_rows import MAX_RUNS, SESSION_CASES, Case, Figures, Stage
from bench.imap_sides import FEW_USERS, OURS, USERS, DovecotImap, ImapSide, PosthouseImap
from bench.lab import LabError, make_base, raise_descriptors, remove_base
from bench.run import describe_machine, make_line

RESULT = Path(__file__).parent / "results" / "imap.json"
SHORT_SIZE = 500
FILLING = "append-1"
ALL: Sequence[Case] = (*SESSION_CASES, *LIVE_CASES, MILLION_CASE)
Results = dict[str, dict[str, list[Figures]]]


@contextlib.contextmanager
def start_sides(wanted: str, users: int) -> Iterator[list[ImapSide]]:
    sides: list[ImapSide] = [PosthouseImap()] if wanted in ("both", "posthouse") else []
    if wanted in ("both", "peer"):
        sides.append(DovecotImap())
    with contextlib.ExitStack() as stack:
        for side in sides:
            base = make_base()
            stack.callback(remove_base, base)
            side.start(base, users)
            stack.callback(side.stop)
        yield sides


def run_all(sides: Sequence[ImapSide], letters: Sequence[Letter], arguments: argparse.Namespace) -> tuple[Results, int]:
    wanted = set(filter(None, arguments.rows.split(","))) or {case.name for case in ALL}
    if wanted & {case.name for case in SESSION_CASES}:
        wanted.add(FILLING)
    results: Results = {}
    failed = 0
    for run in range(arguments.runs):
        stages = [Stage(side, run, letters, arguments.short) for side in sides]
        for case in ALL:
            if case.name not in wanted:
                continue
            for stage in stages:
                if not case.has_peer and stage.side.name != OURS:
                    continue
                failed += not _run_case(case, stage, results)
        for stage in stages:
            stage.leave()
    return results, failed


def _run_case(case: Case, stage: Stage, results: Results) -> bool:
    try:
        if case.restarts and not stage.is_short:
            stage.restart()
        measured = case.measure(stage)
    except (LabError, OSError) as error:
        print(f"{case.name} {stage.side.name}: {error}", file=sys.stderr, flush=True)
        stage.leave()
        return False
    text = ", ".join(f"{key} {value:.4g}" for key, value in measured.items())
    print(f"{case.name} {stage.number + 1} {stage.side.name}: {text}", flush=True)
    results.setdefault(case.name, {}).setdefault(stage.side.name, []).append(measured)
    return True


def make_table(results: Results) -> str:
    lines = ["| case | Posthouse | Dovecot | ratio | must | aim | met |", "|---|---|---|---|---|---|---|"]
    for case in ALL:
        if case.name in results:
            lines += [make_line(row, results[case.name]) for row in case.rows]
    return "\n".join(lines) + "\n"


def write_result(path: Path, results: Results, arguments: argparse.Namespace) -> None:
    path.parent.mkdir(exist_ok=True)
    result = {
        "when": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "runs": arguments.runs,
        "figures": results,
    }
    path.write_text(json.dumps(result, indent=1) + "\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help=f"names with commas: {', '.join(case.name for case in ALL)}")
    parser.add_argument("--runs", type=int, choices=range(1, MAX_RUNS + 1), default=3)
    parser.add_argument("--side", choices=("both", "posthouse", "peer"), default="both")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", type=Path, default=RESULT)
    arguments = parser.parse_args()
    unknown = set(filter(None, arguments.rows.split(","))) - {case.name for case in ALL}
    if unknown:
        parser.error(f"no such rows: {', '.join(sorted(unknown))}")
    if arguments.short:
        arguments.runs = 1
    return arguments


def main() -> int:
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that servers are ended too
    raise_descriptors()
    letters = make_letters(SHORT_SIZE if arguments.short else FULL_SIZE)
    try:
        with start_sides(arguments.side, FEW_USERS if arguments.short else USERS) as sides:
            results, failed = run_all(sides, letters, arguments)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    print(make_table(results))
    if not arguments.short:
        write_result(arguments.json, results, arguments)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
