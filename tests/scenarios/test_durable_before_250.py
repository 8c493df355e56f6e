"""What the kernel saw: no 250 leaves a worker before the sync that covers its message has returned.

strace writes down the worker's calls; messages carry a token that is found again in what was written to the disk.
"""

from __future__ import annotations

import re
import signal
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.crash.server_under_load import wait_until
from tests.scenarios.surroundings import Client, Surroundings, started

pytestmark = pytest.mark.interop

_CALLS = "sendto,write,writev,sendmsg,fdatasync,fsync,pwrite64,pwritev,rename,renameat,renameat2"
_LINE = re.compile(r"^(?P<pid>\d+) +(?P<rest>.*)$")
_RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>")


@dataclass
class Call:
    """`begun` and `done` are line numbers: order is all that counts."""

    name: str
    text: str
    begun: int
    done: int
    result: str


def read_calls(trace: str) -> list[Call]:
    """Complete calls in the order they began; those that strace cut in two are put together."""
    calls: list[Call] = []
    open_calls: dict[str, Call] = {}
    for number, line in enumerate(trace.splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        pid, rest = match["pid"], match["rest"]
        if _RESUMED.match(rest):
            call = open_calls.pop(pid)
            call.text += rest
        else:
            call = Call(rest.partition("(")[0], rest, number, -1, "")
            calls.append(call)
        if "<unfinished ...>" in rest:
            open_calls[pid] = call
        else:
            call.done, call.result = number, call.text.rpartition(" = ")[2]
    return calls


def written(calls: list[Call], text: str, path: str) -> list[Call]:
    return [
        call
        for call in calls
        if call.name in ("pwrite64", "write", "writev") and text in call.text and path in call.text
    ]


def first_sync(calls: list[Call], path: str, after: int, before: int) -> Call:
    """The first sync of `path` that began after one line and was over before another."""
    found = [
        call
        for call in calls
        if call.name in ("fdatasync", "fsync") and path in call.text and after < call.begun and 0 <= call.done < before
    ]
    assert found, f"no sync of {path} between lines {after} and {before}"
    assert found[0].result.startswith("0")
    return found[0]


def find_answer(calls: list[Call], queue_id: str) -> int:
    [answer] = [
        call for call in calls if "<socket:" in call.text or "<TCP" in call.text if f"queued as {queue_id}" in call.text
    ]
    return answer.begun


def send_traced(base: Path, octets: int, count: int) -> tuple[list[Call], dict[str, str]]:
    """The worker's calls, and token -> queue id of what was answered 250."""
    trace, ids = base / "trace.txt", dict[str, str]()
    with started(Surroundings(base)) as server:
        command = [
            "strace",
            "-f",
            "-y",
            "-s",
            "8192",
            "-e",
            f"trace={_CALLS}",
            "-o",
            str(trace),
            "-p",
            str(server.worker),
        ]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            assert tracer.stderr is not None
            assert b"attached" in tracer.stderr.readline()

            def run(first: int) -> None:
                client = Client(server.port)
                for number in range(first, count, 4):
                    code, text = client.put(f"token{number:04}end", octets)
                    assert code == 250
                    ids[f"token{number:04}end"] = text.split()[-1]
                client.close()

            threads = [threading.Thread(target=run, args=(first,)) for first in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(40)
            wait_until(lambda: len(ids) == count, 5, "every message is answered 250")
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate(timeout=20)
        assert server.stop() == 0
    return read_calls(trace.read_text(errors="replace")), ids


def test_no_250_before_the_log_of_the_database_is_synced(tmp_path: Path) -> None:
    calls, ids = send_traced(tmp_path, octets=1000, count=40)
    for token, queue_id in ids.items():
        answered = find_answer(calls, queue_id)
        in_log = [call for call in written(calls, token, "-wal>") if call.begun < answered]
        assert in_log, f"{token} was answered before it was written"
        first_sync(calls, "-wal>", in_log[0].done, answered)


def test_no_250_to_a_large_message_before_its_file_its_directory_and_its_row_are_synced(tmp_path: Path) -> None:
    calls, ids = send_traced(tmp_path, octets=400_000, count=8)
    for token, queue_id in ids.items():
        answered = find_answer(calls, queue_id)
        [head] = [call for call in written(calls, token, "/tmp/") if "/spool/" in call.text]
        match = re.search(r"<([^>]*/spool/\d+/tmp/(\d+))>", head.text)
        assert match is not None
        path, serial = match[1], match[2]
        last = [call for call in calls if call.name in ("write", "writev") and f"<{path}>" in call.text][-1]
        in_file = first_sync(calls, f"<{path}>", last.done, answered)
        [renamed] = [call for call in calls if call.name.startswith("rename") and f"/tmp/{serial}" in call.text]
        assert in_file.done < renamed.begun
        in_directory = first_sync(calls, "/bodies>", renamed.done, answered)
        first_sync(calls, "-wal>", in_directory.done, answered)
