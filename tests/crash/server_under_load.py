"""A real server (`posthouse serve`), a sink that records, and clients that remember what was answered 250.

Clients use the standard library's smtplib in threads: what they believe does not depend on the code under test.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import smtplib
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

CLI = [sys.executable, "-c", "import sys; from posthouse.app.cli import main; sys.argv[0] = 'posthouse'; main()"]
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}

CONFIG = """
hostname = "mx.crash.example"
data = "{base}/data"
runtime = "{base}/run"
workers = {workers}
[[listener]]
service = "smtp"
bind = "127.0.0.1:{port}"
[[route]]
domain = "*"
to = "smtp://127.0.0.1:{sink}"
[queue]
retry = ["2s"]
min_free = "1M"
min_free_inodes = 10
[limits]
connections_per_address = 1000
connections_per_network = 1000
[log]
level = "warning"
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain until {what}")
        time.sleep(0.02)


class Server:
    """`posthouse serve` in a directory of its own."""

    def __init__(self, base: Path, workers: int = 2) -> None:
        self.base = base
        self.port, self.sink_port = free_port(), free_port()
        self.config = base / "posthouse.toml"
        self.sink_file = base / "sink.txt"
        self.sink_file.touch()
        self._sink = self._open_sink()
        self._process: subprocess.Popen[bytes] | None = None
        self.configure(workers)

    def _open_sink(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.crash.recording_sink", str(self.sink_port), str(self.sink_file)]
        return subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT)

    def environment(self) -> dict[str, str]:
        """Of the server."""
        return ENVIRONMENT

    def configure(self, workers: int) -> None:
        text = CONFIG.format(base=self.base, workers=workers, port=self.port, sink=self.sink_port)
        self.config.write_text(text)

    def start(self) -> None:
        log = (self.base / "serve.log").open("ab")
        self._process = subprocess.Popen(
            [*CLI, "-c", str(self.config), "serve"], env=self.environment(), stderr=log, stdout=log
        )
        wait_until(self.answers, 60, "the server answers")  # a busy machine

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def children(self, module: str) -> list[int]:
        """The pids of our workers (`worker_process`) or of our coordinator."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                command = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.pid and f"posthouse.app.{module}".encode() in command:
                    found.append(int(entry.name))
        return found

    def answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 2) as probe:
            probe.settimeout(2)
            return probe.recv(4) == b"220 "
        return False

    def kill_all(self) -> None:
        """Supervisor, workers and coordinator at one blow, as the power would go."""
        pids = [self.pid, *self.children("worker_process"), *self.children("coordinator")]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)

    def reload(self) -> None:
        os.kill(self.pid, signal.SIGHUP)

    def command(self, *words: str) -> str:
        done = subprocess.run(
            [*CLI, "-c", str(self.config), *words], env=ENVIRONMENT, capture_output=True, timeout=60, check=False
        )
        return done.stdout.decode()

    def queue(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.command("queue", "list", "--limit", "100000", "--json").splitlines()]

    def recorded(self) -> Counter[str]:
        return Counter(self.sink_file.read_text().split())

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        code = self._process.wait(40)
        self._process = None
        return code

    def close(self) -> None:
        if self._process is not None:
            self.kill_all()
        self._sink.kill()
        self._sink.wait()


class Clients:
    """Threads that send messages with a token each; `acknowledged` are those that were answered 250."""

    def __init__(self, port: int, count: int, threads: int = 8, seed: int = 1) -> None:
        self._port = port
        self._tokens = iter(range(count))
        self._lock = threading.Lock()
        self._random = random.Random(seed)
        self.acknowledged: set[str] = set()
        self.unsure: set[str] = set()  # sent, but no answer came: may be there, need not
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    @property
    def is_done(self) -> bool:
        return not any(thread.is_alive() for thread in self._threads)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(600)

    def _take(self) -> str | None:
        with self._lock:
            number = next(self._tokens, None)
            return None if number is None else f"t{number}"

    def _run(self) -> None:
        token = self._take()
        while token is not None:
            try:
                with smtplib.SMTP("127.0.0.1", self._port, timeout=20) as client:
                    sent = 0
                    while token is not None and sent < 20:
                        self._send(client, token)
                        token, sent = self._take(), sent + 1
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)  # the same token again: it is not acknowledged yet

    def _send(self, client: smtplib.SMTP, token: str) -> None:
        size = self._random.choice((200, 4000, 4000, 4000, 300_000))
        body = f"Subject: crash\r\nX-Token: {token}\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72)
        self.unsure.add(token)
        client.sendmail("a@src.example", [f"b@d{len(token)}.example"], body)
        self.acknowledged.add(token)


@contextlib.contextmanager
def running(base: Path, workers: int = 2) -> Iterator[Server]:
    server = Server(base, workers)
    try:
        server.start()
        yield server
    finally:
        server.close()


def check_nothing_lost(server: Server, clients: Clients, seconds: float = 60) -> int:
    """Everything acknowledged reaches the sink. Returns how many deliveries were doubled."""
    clients.join()
    server.command("queue", "release", "--all")

    def all_there() -> bool:
        return not clients.acknowledged - set(server.recorded())

    try:
        wait_until(all_there, seconds, "everything acknowledged has arrived")
    except AssertionError:
        lost = clients.acknowledged - set(server.recorded())
        raise AssertionError(
            f"{len(lost)} lost, for instance {sorted(lost)[:5]}; queue: {server.queue()[:5]}"
        ) from None
    recorded = server.recorded()
    assert set(recorded) <= clients.unsure
    return sum(count - 1 for count in recorded.values())
