"""A program that reads by POP3 while the server is killed: what was deleted comes back unless QUIT was answered.

Its mail comes by IMAP. It notes how long a maildrop stays locked by a session that has died.
"""

from __future__ import annotations

import contextlib
import random
import re
import threading
import time
from collections import Counter

from tests.crash.imap_under_load import Mail
from tests.crash.imap_wire import Account, Wire, Wrong, connect


class Pop3:
    """A POP3 connection. Raises OSError when it breaks or the server cannot, Wrong when it will not."""

    def __init__(self, port: int) -> None:
        self._socket = connect(port)
        self._file = self._socket.makefile("rb")

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def log_in(self, account: Account) -> None:
        self.receive()
        self.ask(f"USER {account.login}")
        self.ask(f"PASS {account.password}")

    def ask(self, command: str) -> str:
        self._socket.sendall(command.encode() + b"\r\n")
        return self.receive()

    def receive(self) -> str:
        line = self._read_line().decode()
        if line.startswith(("-ERR [IN-USE]", "-ERR [SYS/TEMP]")):
            raise OSError(line)
        if not line.startswith("+OK"):
            raise Wrong(line)
        return line

    def ask_many(self, command: str) -> list[bytes]:
        self.ask(command)
        lines = []
        while (line := self._read_line()) != b".":
            lines.append(line.removeprefix(b"."))
        return lines

    def _read_line(self) -> bytes:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the line broke")
        return line[:-2]


class Reader(threading.Thread):
    """Of an account of its own. `problem` is what went wrong."""

    def __init__(self, account: Account, ports: tuple[int, int], mail: Mail, seed: int) -> None:
        super().__init__(daemon=True)
        self.label, self._account, self._mail = account.login.partition("@")[0], account, mail
        self._imap, self._pop3 = ports
        self._chance = random.Random(f"{self.label} {seed}")
        self._possible: list[list[str]] = [[]]  # what may be in the maildrop
        self._uidls: dict[bytes, str] = {}
        self._serial = 0
        self._locked_since = 0.0
        self.longest_lock = 0.0
        self.counts: Counter[str] = Counter()
        self.stop = threading.Event()
        self.problem: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                with contextlib.suppress(OSError):
                    self._fill()
                    self._visit(is_last=False)
                time.sleep(0.02)
            self._end()
        except BaseException as error:
            self.problem = error

    def _end(self) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                return self._visit(is_last=True)
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _fill(self) -> None:
        if len(self._possible[0]) > 12:
            return
        tokens = []
        for _ in range(self._chance.randint(1, 3)):
            self._serial += 1
            tokens.append(f"{self.label}-{self._serial}")
            self._mail.make(tokens[-1], self._account.login, self._chance)
        octets = [self._mail.octets[token] for token in tokens]
        before = self._possible
        after = [state + tokens for state in before]
        wire = Wire(self._imap, self._account)
        with contextlib.closing(wire):
            self._possible = before + after
            wire.ask(b"APPEND INBOX " + b" ".join(b"{%d+}\r\n%b" % (len(one), one) for one in octets))
            self._possible = after

    def _log_in(self, client: Pop3) -> None:
        try:
            client.log_in(self._account)
        except OSError as error:
            if "IN-USE" in str(error):
                self.counts["in use"] += 1
                self._locked_since = self._locked_since or time.monotonic()
            raise
        if self._locked_since:
            self.longest_lock = max(self.longest_lock, time.monotonic() - self._locked_since)
        self._locked_since = 0.0

    def _visit(self, *, is_last: bool) -> None:
        with contextlib.closing(Pop3(self._pop3)) as client:
            self._log_in(client)
            tokens = self._read(client)
            if tokens not in self._possible:
                raise Wrong(f"{self.label}: {tokens}, but may be {self._possible}")
            self._possible = [tokens]
            if not is_last:
                self._take_out(client, tokens)

    def _read(self, client: Pop3) -> list[str]:
        tokens = []
        sizes = [int(line.split()[1]) for line in client.ask_many("LIST")]
        uidls = [line.split()[1] for line in client.ask_many("UIDL")]
        for number, (size, uidl) in enumerate(zip(sizes, uidls, strict=True), start=1):
            token = self._uidls.get(uidl)
            if token is None or self._chance.random() < 0.2:
                token = self._retrieve(client, number, size)
            if self._uidls.setdefault(uidl, token) != token:
                raise Wrong(f"{self.label}: {uidl!r} was {self._uidls[uidl]}, is {token}")
            tokens.append(token)
        return tokens

    def _retrieve(self, client: Pop3, number: int, size: int) -> str:
        octets = b"".join(line + b"\r\n" for line in client.ask_many(f"RETR {number}"))
        found = re.search(rb"\r\nX-Token: (\S+)\r\n", octets)
        token = found[1].decode() if found is not None else ""
        if self._mail.octets.get(token) != octets or len(octets) != size:
            raise Wrong(f"{self.label}: message {number} of {size} octets, {token!r}, is {octets[:200]!r}")
        self.counts["retrieved"] += 1
        return token

    def _take_out(self, client: Pop3, tokens: list[str]) -> None:
        """With QUIT, or without: then nothing is deleted."""
        numbers = [number for number in range(1, len(tokens) + 1) if self._chance.random() < 0.4]
        for number in numbers:
            client.ask(f"DELE {number}")
        if self._chance.random() < 0.4:
            self.counts["left without QUIT"] += bool(numbers)
            time.sleep(self._chance.uniform(0, 0.1))
            return
        left = [token for number, token in enumerate(tokens, start=1) if number not in numbers]
        self._possible = [tokens, left]
        client.ask("QUIT")
        self._possible = [left]
        self.counts["deleted"] += len(numbers)
