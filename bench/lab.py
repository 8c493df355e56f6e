"""Processes of a measurement: started, waited for, weighed and ended by their own ids.

Processor time is that of a whole tree, children that have ended included; memory is proportional (PSS), so that
what workers share counts once.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
POLL_S = 0.02


class LabError(Exception):
    """A process did not do what the measurement needs; the figure would mean nothing."""


def make_base() -> Path:
    """An empty directory on a real disk. Two components deep at least, as Postfix's log daemon wants it."""
    base = Path(tempfile.mkdtemp(prefix="posthouse-bench-", dir=os.environ.get("BENCH_DIR", "/var/tmp")))
    base.chmod(0o755)
    return base


def remove_base(base: Path) -> None:
    shutil.rmtree(base, ignore_errors=True)


def raise_descriptors() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Process:
    """A child whose output goes to a file."""

    def __init__(self, command: Sequence[str], output: Path, environment: dict[str, str] | None = None) -> None:
        self.output = output
        with output.open("wb") as stream:
            self.popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait(self, timeout: float) -> None:
        code = self.popen.wait(timeout)
        if code:
            raise LabError(f"{self.popen.args!r} ended with {code}: {self.read_tail()}")

    def read_tail(self, size: int = 2000) -> str:
        with self.output.open("rb") as stream:
            stream.seek(max(0, self.output.stat().st_size - size))
            return stream.read().decode(errors="replace")

    def stop(self, timeout: float = 30.0) -> None:
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        for pid in list_trees([self.pid]):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.popen.wait()


def wait_port(port: int, address: str = "127.0.0.1", timeout: float = 20.0, process: Process | None = None) -> None:
    deadline = time.monotonic() + timeout
    while True:
        with contextlib.suppress(OSError), socket.create_connection((address, port), 1.0) as connection:
            connection.settimeout(5.0)
            if connection.recv(4):
                connection.sendall(b"QUIT\r\n")
                return
        if time.monotonic() > deadline or (process and process.popen.poll() is not None):
            raise LabError(f"nothing answers on {address}:{port}: {process.read_tail() if process else ''}")
        time.sleep(POLL_S)


def read_parents() -> dict[int, int]:
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(") ")[2].split()
                parents[int(entry)] = int(fields[1])
    return parents


def list_trees(roots: Sequence[int]) -> list[int]:
    parents = read_parents()
    tree = set(roots)
    grew = True
    while grew:
        below = {pid for pid, parent in parents.items() if parent in tree} - tree
        tree |= below
        grew = bool(below)
    return sorted(tree)


def measure_cpu(roots: Sequence[int]) -> float:
    """Seconds of processor time of the trees: the living and, through their parents, those that ended."""
    ticks = 0
    for pid in list_trees(roots):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICKS_PER_S


def measure_memory(roots: Sequence[int]) -> dict[str, int]:
    """Octets of the trees: "pss" and "rss" together, and "processes"."""
    total = {"pss": 0, "rss": 0, "processes": 0}
    for pid in list_trees(roots):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total["pss"] += 1024 * int(re.findall(r"^Pss:\s+(\d+)", text, re.MULTILINE)[0])
            total["rss"] += 1024 * int(re.findall(r"^Rss:\s+(\d+)", text, re.MULTILINE)[0])
            total["processes"] += 1
    return total


class Sink:
    """Where relayed mail ends: Postfix's smtp-sink, or with a certificate bench/sink.py. Counts messages."""

    def __init__(self, process: Process) -> None:
        self.process = process

    def count(self) -> int:
        found = re.findall(r"mesg=(\d+)", self.process.read_tail(300))
        return int(found[-1]) if found else 0

    def stop(self) -> None:
        self.process.stop(5.0)


def wait_count(sinks: Sequence[Sink], wanted: int, timeout: float) -> float:
    """Returns the time (perf_counter) at which the sinks together have `wanted` messages."""
    deadline = time.perf_counter() + timeout
    while sum(sink.count() for sink in sinks) < wanted:
        if time.perf_counter() > deadline:
            raise LabError(f"the sinks have {[sink.count() for sink in sinks]}, not {wanted}")
        time.sleep(POLL_S)
    return time.perf_counter()


@contextlib.contextmanager
def stopping(*things: Process | Sink) -> Iterator[None]:
    try:
        yield
    finally:
        for thing in things:
            thing.stop()
