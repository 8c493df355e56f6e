"""A worker that runs out of descriptors: sessions that are open go on, and all is well afterwards.

What comes meanwhile waits at the socket and is greeted afterwards; nothing spins.
"""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import time
from pathlib import Path

from tests.crash.server_under_load import wait_until
from tests.scenarios.surroundings import Client, Surroundings, put_until_taken, started


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def count_descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def connect(port: int, stack: contextlib.ExitStack) -> socket.socket:
    return stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))


def test_without_free_descriptors_open_sessions_take_mail_and_accepting_does_not_spin(tmp_path: Path) -> None:
    with started(Surroundings(tmp_path)) as server, contextlib.ExitStack() as stack:
        worker = server.worker
        client = Client(server.port)
        assert client.put("before")[0] == 250
        wait_until(lambda: "before" in server.recorded(), 20, "the first message is delivered")
        soft, hard = resource.prlimit(worker, resource.RLIMIT_NOFILE)
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (count_descriptors(worker) + 4, hard))

        waiting = [connect(server.port, stack) for _ in range(30)]
        begun, cpu = time.monotonic(), cpu_seconds(worker)
        codes = [client.put(f"during{number}")[0] for number in range(5)]
        wait_until(lambda: time.monotonic() > begun + 2, 5, "two seconds have passed")
        busy = (cpu_seconds(worker) - cpu) / (time.monotonic() - begun)
        assert codes == [250] * 5
        assert client.put("large", 400_000)[0] == 250  # it needs a file: some descriptors are kept for that
        assert busy < 0.5, "accepting spins"
        assert server.worker == worker

        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, hard))
        assert 400 <= client.put("too large", 400_000)[0] < 500
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (soft, hard))
        assert [each.recv(3) for each in waiting] == [b"220"] * 30
        stack.close()
        put_until_taken(server.port, "after")
        expected = {"before", "after", "large", *(f"during{number}" for number in range(5))}
        wait_until(lambda: set(server.recorded()) == expected, 40, "everything taken is delivered")
        assert server.stop() == 0
