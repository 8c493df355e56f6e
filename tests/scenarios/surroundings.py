"""A real server whose surroundings fail: a disk that is full or read-only, descriptors that run out, another user.

The client speaks plain sockets by the standard library, one command at a time, and says which code it was given.
"""

from __future__ import annotations

import contextlib
import os
import signal
import smtplib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from tests.crash.server_under_load import Server


class Surroundings(Server):
    """One worker, its data directory wherever the test wants it."""

    def __init__(self, base: Path, data: Path | None = None, min_free: str = "1M", workers: int = 1) -> None:
        self._data, self._min_free = data or base / "data", min_free
        super().__init__(base, workers)

    def configure(self, workers: int) -> None:
        super().configure(workers)
        text = self.config.read_text()
        text = text.replace(f'data = "{self.base}/data"', f'data = "{self._data}"')
        self.config.write_text(text.replace('min_free = "1M"', f'min_free = "{self._min_free}"'))

    @property
    def worker(self) -> int:
        [pid] = self.children("worker_process")
        return pid

    @property
    def log(self) -> str:
        return (self.base / "serve.log").read_text()

    def stop_sink(self) -> None:
        """It says nothing any more: mail to it stays in hand and in the queue."""
        self._sink.send_signal(signal.SIGSTOP)

    def start_sink(self) -> None:
        self._sink.send_signal(signal.SIGCONT)

    def shard_files(self, folder: str) -> list[Path]:
        return sorted(self._data.glob(f"spool/*/{folder}/*"))


S = TypeVar("S", bound="Surroundings")


@contextlib.contextmanager
def started(server: S) -> Iterator[S]:
    try:
        server.start()
        yield server
    finally:
        server.close()


class Client:
    """One session. `put` sends a message and returns the last reply: code and text."""

    def __init__(self, port: int) -> None:
        self._smtp = smtplib.SMTP("127.0.0.1", port, timeout=20)
        self._smtp.ehlo("client.example")

    def put(self, token: str, octets: int = 1000) -> tuple[int, str]:
        body = f"Subject: scenario\r\nX-Token: {token}\r\n\r\n" + ("x" * 70 + "\r\n") * (octets // 72) + ".\r\n"
        reply = (0, b"")
        for line in ("MAIL FROM:<a@src.example>", f"RCPT TO:<b@d{len(token)}.example>", "DATA"):
            reply = self._smtp.docmd(line)
            if reply[0] >= 400:
                self._smtp.docmd("RSET")
                return reply[0], reply[1].decode()
        self._smtp.send(body.encode())
        code, text = self._smtp.getreply()
        return code, text.decode()

    def noop(self) -> int:
        return self._smtp.docmd("NOOP")[0]

    def close(self) -> None:
        self._smtp.close()


def put(port: int, token: str, octets: int = 1000) -> int:
    """A session of its own for one message; 0 when there was none."""
    client = None
    try:
        client = Client(port)
        return client.put(token, octets)[0]
    except (OSError, smtplib.SMTPException):
        return 0
    finally:
        if client is not None:
            client.close()


def put_until_taken(port: int, token: str, seconds: float = 30, octets: int = 1000) -> list[int]:
    """The codes on the way to 250."""
    codes, end = [put(port, token, octets)], time.monotonic() + seconds
    while codes[-1] != 250:
        assert time.monotonic() < end, f"not taken within {seconds} s: {codes}"
        time.sleep(0.1)
        codes.append(put(port, token, octets))
    return codes


@contextlib.contextmanager
def mounted(directory: Path, *options: str) -> Iterator[Path]:
    """`mount OPTIONS directory`, undone whatever happens."""
    directory.mkdir()
    subprocess.run(["mount", *options, str(directory)], check=True)
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def fill(directory: Path, leave: int) -> Path:
    """A file that leaves only so many octets free (but in whole pages)."""
    ballast = directory / "ballast"
    found = os.statvfs(directory)
    with ballast.open("wb") as stream:
        left = found.f_bavail * found.f_frsize - leave
        while left > 0:
            try:
                left -= stream.write(bytes(min(left, 1 << 20)))
                stream.flush()
            except OSError:
                return ballast
    return ballast
