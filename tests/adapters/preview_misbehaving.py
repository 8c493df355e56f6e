"""A helper program whose jobs are what an attacker would do who has taken over a decoder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable

from posthouse.adapters.preview_confine import Done, Job, serve


def _spin(_: Job) -> Done:
    while True:
        pass


def _connect(_: Job) -> Done:
    socket.create_connection(("127.0.0.1", 9), 1)
    return Done()


def _connect_in_place_of_a_pipe(_: Job) -> Done:
    os.close(2)
    return _connect(_)


def _read_file(_: Job) -> Done:
    os.close(2)
    return Done(os.read(os.open("/etc/passwd", os.O_RDONLY), 100))


def _write_file(_: Job) -> Done:
    os.close(2)
    os.open("/tmp/posthouse-preview-test", os.O_WRONLY | os.O_CREAT)
    return Done()


def _run(_: Job) -> Done:
    subprocess.run(["/bin/true"], check=True)
    return Done()


def _fork(_: Job) -> Done:
    os.fork()
    return Done()


def _kill_parent(_: Job) -> Done:
    os.kill(os.getppid(), 0)
    return Done()


def _eat(_: Job) -> Done:
    return Done(refusal=str(len(b"x" * 2_000_000_000)))


def _die(_: Job) -> Done:
    os._exit(3)


def _babble(_: Job) -> Done:
    os.write(1, b"\xff" * 64)
    return Done()


def _environment(_: Job) -> Done:
    return Done("\n".join(sorted(os.environ)).encode())


def _echo(job: Job) -> Done:
    return Done(job.octets, figures={"size": len(job.octets)})


JOBS: dict[str, Callable[[Job], Done]] = {
    "spin": _spin,
    "connect": _connect,
    "connect in place of a pipe": _connect_in_place_of_a_pipe,
    "read a file": _read_file,
    "write a file": _write_file,
    "run a program": _run,
    "fork": _fork,
    "signal": _kill_parent,
    "eat": _eat,
    "die": _die,
    "babble": _babble,
    "environment": _environment,
    "echo": _echo,
}

if __name__ == "__main__":
    serve(JOBS, sys.stdout.flush)
