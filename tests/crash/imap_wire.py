"""A connection to an IMAP server, in few lines: commands go out, answers come back. For clients of the crash tests.

Its own small protocol code, so that what they believe does not depend on the code under test.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Sequence
from typing import NamedTuple


class Wrong(AssertionError):
    """A promise was broken."""


class Account(NamedTuple):
    login: str
    password: str


class Answer(NamedTuple):
    status: str  # OK, NO, BAD
    lines: list[tuple[bytes, list[bytes]]]  # the tagged one last; with their literals

    @property
    def text(self) -> bytes:
        return b"\r\n".join(line for line, _ in self.lines)


def connect(port: int) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", port), 20)
    try:
        return context.wrap_socket(raw)
    except BaseException:
        raw.close()
        raise


class Wire:
    """An IMAP connection. Raises OSError when it breaks."""

    def __init__(self, port: int, account: Account) -> None:
        self._socket = connect(port)
        self._file = self._socket.makefile("rb")
        self._serial = 0
        try:
            self._read_line()
            self.ask(b'LOGIN "%b" "%b"' % (account.login.encode(), account.password.encode()))
            self.ask(b"ENABLE CONDSTORE")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def send(self, commands: Sequence[bytes]) -> None:
        """In one write."""
        start, self._serial = self._serial, self._serial + len(commands)
        self._socket.sendall(b"".join(b"x%d %b\r\n" % (start + n, one) for n, one in enumerate(commands)))

    def receive(self) -> Answer:
        lines = []
        while True:
            line, literals = self._read_line()
            lines.append((line, literals))
            if line.startswith(b"* BYE"):
                raise ConnectionError(line.decode())
            if line.startswith(b"x"):
                return Answer(line.split()[1].decode(), lines)

    def ask(self, command: bytes) -> Answer:
        self.send([command])
        answer = self.receive()
        if b"UNAVAILABLE" in answer.lines[-1][0]:
            raise ConnectionError(answer.text.decode())
        if answer.status != "OK":
            raise Wrong(f"{command[:80]!r}: {answer.lines[-1][0]!r}")
        return answer

    def _read_line(self) -> tuple[bytes, list[bytes]]:
        text = b""
        literals: list[bytes] = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\r\n"):
                raise ConnectionError("the line broke")
            text += line[:-2]
            size = re.search(rb"\{(\d+)\}$", line[:-2])
            if size is None:
                return text, literals
            literals.append(self._file.read(int(size[1])))
