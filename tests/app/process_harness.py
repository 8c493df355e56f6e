"""Starts a real server with stand-in workers, and waits for what it logs instead of sleeping."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from posthouse.app.rpc import Frame, encode_frame
from posthouse.app.sockets import connect_unix

PATIENCE_S = 30.0
_STEP_S = 0.02
_STAND_IN = Path(__file__).with_name("standin_server.py")

Event = Mapping[str, object]


def wait_until(condition: Callable[[], object], what: str = "condition") -> None:
    """Poll; for conditions that nobody announces."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(_STEP_S)


class LineClient:
    """Speaks lines with a stand-in worker."""

    def __init__(self, address: tuple[str, int] | str) -> None:
        if isinstance(address, str):
            self._socket = connect_unix(address)
            self._socket.settimeout(PATIENCE_S)
        else:
            self._socket = socket.create_connection(address, PATIENCE_S)
        self._file = self._socket.makefile("rb")
        self.greeting = self.read()

    @property
    def pid(self) -> int:
        return int(self.greeting.split()[1])

    @property
    def generation(self) -> int:
        return int(self.greeting.split()[2])

    def read(self) -> str:
        try:
            return self._file.readline().decode().strip()
        except ConnectionError:
            return ""

    def ask(self, line: str) -> str:
        self.send(line)
        return self.read()

    def send(self, line: str) -> None:
        self._socket.sendall(line.encode() + b"\n")

    def close(self) -> None:
        self._file.close()
        self._socket.close()


class Server:
    """One `standin_server.py`. Its log is read by a thread; `wait_log` looks at events not yet waited for."""

    def __init__(self, directory: Path, **timings: float) -> None:
        self.config = directory / "posthouse.toml"
        self.data = directory / "data"
        self.runtime = directory / "run"
        self._timings = [f"{name}={value}" for name, value in timings.items()]
        self._process: subprocess.Popen[bytes] | None = None
        self._events: list[Event] = []
        self._raw: list[str] = []
        self._changed = threading.Condition()
        self.ports: dict[str, int] = {}

    def write_config(self, *listeners: str, extra: str = "") -> None:
        """`listeners` are TOML lines of `[[listener]]` tables."""
        tables = "".join(f"[[listener]]\n{lines}\n" for lines in listeners)
        head = f'hostname = "mail.example.org"\ndata = "{self.data}"\nruntime = "{self.runtime}"\nworkers = 2\n'
        self.config.write_text(f'{head}{extra}\n{tables}[log]\nlevel = "debug"\n')

    def start(self) -> Server:
        self._process = subprocess.Popen(
            [sys.executable, str(_STAND_IN), str(self.config), *self._timings],
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )
        threading.Thread(target=self._read_log, args=(self._process,), daemon=True).start()
        return self

    def start_ready(self) -> Server:
        self.start()
        self.wait_log("server ready")
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def wait_exit(self) -> int:
        assert self._process is not None
        return self._process.wait(PATIENCE_S)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait_exit()

    def end(self) -> None:
        """For the end of a test, however it went."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    # -- the log

    def wait_log(self, event: str, **fields: object) -> Event:
        """The first such event from now on; it and what was before it is then done with."""
        deadline = time.monotonic() + PATIENCE_S
        with self._changed:
            while True:
                for number, found in enumerate(self._events):
                    if found.get("event") == event and all(found.get(key) == value for key, value in fields.items()):
                        del self._events[number]
                        return found
                if not self._changed.wait(max(0.0, deadline - time.monotonic())) and time.monotonic() >= deadline:
                    raise AssertionError(f"no {event!r} {fields} in the log:\n" + "\n".join(self._raw))

    def has_logged(self, text: str) -> bool:
        with self._changed:
            return any(text in line for line in self._raw)

    def _read_log(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        with process.stderr as stream:
            for line in stream:
                with self._changed:
                    self._raw.append(line.decode(errors="replace").rstrip())
                    try:
                        # Behind what a dump of another process has begun in that line, too.
                        self._events.append(json.loads(line[max(0, line.find(b'{"time"')) :]))
                    except ValueError:
                        pass  # a stack dump
                    self._changed.notify_all()

    # -- doors

    def connect(self, port: int) -> LineClient:
        return LineClient(("127.0.0.1", port))

    def connect_generation(self, port: int, generation: int) -> LineClient:
        """A connection to a worker of that generation: just after a reload an old one may still be the quicker."""
        deadline = time.monotonic() + PATIENCE_S
        while (client := self.connect(port)).greeting and client.generation != generation:
            assert time.monotonic() < deadline, f"no worker of generation {generation}"
        return client

    def control(self, op: str, **args: object) -> list[Frame]:
        """The frames of one answer."""
        with connect_unix(str(self.runtime / "control.sock")) as connection:
            connection.settimeout(PATIENCE_S)
            connection.sendall(encode_frame(Frame(op=op, args=args)))
            frames: list[Frame] = []
            with connection.makefile("rb") as stream:
                while not frames or frames[-1].item is not msgspec.UNSET:
                    size = int.from_bytes(stream.read(4), "big")
                    frames.append(msgspec.msgpack.decode(stream.read(size), type=Frame))
        return frames

    def status(self) -> dict[str, object]:
        done = self.control("status")[-1].done
        assert isinstance(done, dict)
        return done


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stream:
            return stream.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def short_directory() -> tempfile.TemporaryDirectory[str]:
    """Pytest's own directories may be too long for what a test wants to be short."""
    return tempfile.TemporaryDirectory(prefix="ph")
