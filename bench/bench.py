"""What a case is, and what it gets to measure with."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trustme

from bench.lab import LabError, Process, Sink, measure_cpu, wait_count, wait_port
from bench.sides import RELAY_PORT, SINK_PORT, Certificate, Postfix, Setup, Side

SETTLE_S = 1.0


@dataclass(frozen=True)
class Row:
    """One line of the table. `figure` is a key of what the case measures.

    `kind`: "at least" and "at most" compare the ratio of ours to the peer's; "under" our own figure with `must`.
    """

    title: str
    figure: str
    unit: str
    kind: str
    must: float
    aim: float | None = None


@dataclass(frozen=True)
class Case:
    """`measure` gets the bench, a running side and nothing else; keys of its answer are figures."""

    name: str
    rows: Sequence[Row]
    measure: Callable[[Bench, Side], dict[str, float]]
    setup: Callable[[Bench], Setup] = lambda _: Setup()
    has_peer: bool = True
    peer: Callable[[], Side] = Postfix


@dataclass
class Bench:
    """One run of one case on one side: its directory, how long it shall last, and what earlier runs learnt."""

    base: Path
    seconds: float
    learnt: dict[str, float]

    def make_certificate(self) -> Certificate:
        """The one certificate of this run, for the server and the sink."""
        certificate = Certificate(self.base / "cert.pem", self.base / "key.pem")
        if certificate.chain.exists():
            return certificate
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        issued = authority.issue_cert("ph.test", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
        issued.private_key_pem.write_to_path(certificate.key)
        for number, blob in enumerate(issued.cert_chain_pems):
            blob.write_to_path(certificate.chain, append=number > 0)
        return certificate

    def start_sinks(self, stack: ExitStack, setup: Setup) -> list[Sink]:
        return [self._start_sink(stack, setup, address) for address in dict.fromkeys(setup.routes.values())]

    def _start_sink(self, stack: ExitStack, setup: Setup, address: str) -> Sink:
        if setup.certificate:
            command = [sys.executable, "-m", "bench.sink", "--address", address, "--port", str(SINK_PORT)]
            command += ["--certificate", str(setup.certificate.chain), "--key", str(setup.certificate.key)]
        else:
            command = ["/usr/sbin/smtp-sink", "-c", "-u", "postfix", f"{address}:{SINK_PORT}", "1000"]
        sink = Sink(Process(command, self.base / f"sink-{address}.log"))
        stack.callback(sink.stop)
        wait_port(SINK_PORT, address, process=sink.process)
        return sink

    def make_load(self, mode: str, *words: str, port: int = RELAY_PORT) -> Process:
        command = [sys.executable, "-m", "bench.load", mode, "--port", str(port), *words]
        return Process(command, self.base / f"load-{time.monotonic_ns()}.log")

    def run_load(self, mode: str, *words: str, port: int = RELAY_PORT) -> dict[str, float]:
        process = self.make_load(mode, *words, port=port)
        process.wait(self.seconds * 20 + 120)
        answer: dict[str, float] = json.loads(process.read_tail().splitlines()[-1])
        return answer

    def run_source(self, messages: int, *words: str) -> None:
        command = ["/usr/sbin/smtp-source", "-s", "20", "-m", str(messages), "-f", "a@src.test", "-t", "b@dst.test"]
        done = subprocess.run(
            [*command, *words, f"127.0.0.1:{RELAY_PORT}"],
            capture_output=True,
            text=True,
            timeout=self.seconds * 20 + 120,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        if done.returncode:
            raise LabError(f"smtp-source: {done.stderr}")

    def measure_flow(
        self,
        side: Side,
        send: Callable[[int], object],
        wait: Callable[[int], float],
        warm_up: int,
    ) -> dict[str, float]:
        """Sends enough messages for `seconds` and waits for the last at the other end.

        `wait(n)` returns the time when n messages in all have arrived. The number comes from the last run of the
        same side, at first from a second round of warming up.
        """
        send(warm_up)
        wait(warm_up)
        done = warm_up
        key = f"{side.name} rate"
        if key not in self.learnt:
            start = time.perf_counter()
            send(warm_up)
            done += warm_up
            self.learnt[key] = warm_up / (wait(done) - start)
        messages = max(warm_up, int(self.learnt[key] * self.seconds * 1.1))
        cpu, start = measure_cpu(side.pids), time.perf_counter()
        send(messages)
        accepted = time.perf_counter()
        end = wait(done + messages)
        time.sleep(SETTLE_S)
        self.learnt[key] = rate = messages / (end - start)
        return {
            "messages": messages,
            "seconds": end - start,
            "rate": rate,
            "accepted_rate": messages / (accepted - start),
            "cpu_ms": 1000 * (measure_cpu(side.pids) - cpu) / messages,
        }

    def wait_sinks(self, sinks: Sequence[Sink], deliveries: int = 1) -> Callable[[int], float]:
        return lambda messages: wait_count(sinks, messages * deliveries, self.seconds * 20 + 60)
