"""A client that costs little: a blocking socket, one large buffer, octets looked at after the clock has stopped.

`Client.run` returns the whole answer of a command; `split_answer` cuts it into responses and respects literals. A
tagged answer other than OK is a LabError: a figure of a refused command would mean nothing.
"""

from __future__ import annotations

import itertools
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bench.lab import LabError

_LITERAL_END = re.compile(rb"\{(\d+)\}\r\n")
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """`seconds` from before the command was written until its tagged line was there."""

    octets: bytes
    seconds: float

    def list_untagged(self, word: bytes) -> list[bytes]:
        """Responses like `* 12 FETCH` and `* SEARCH` by their word."""
        shape = re.compile(rb"\* (?:\d+ )?" + re.escape(word) + rb"(?: |$)", re.IGNORECASE)
        return [response for response in split_answer(self.octets) if shape.match(response)]


def split_answer(octets: bytes) -> list[bytes]:
    """Responses, each with its literals and without the last CRLF."""
    responses = []
    start = position = 0
    while start < len(octets):
        end = octets.find(b"\r\n", position)
        if end < 0:
            raise LabError(f"an answer ends within a response: {octets[start:][:80]!r}")
        brace = octets.rfind(b"{", position, end) if octets[end - 1 : end] == b"}" else -1
        literal = _LITERAL_END.match(octets, brace) if brace >= 0 else None
        if literal:
            position = literal.end() + int(literal[1])
            continue
        responses.append(octets[start:end])
        start = position = end + 2
    return responses


def read_numbers(responses: Sequence[bytes]) -> list[int]:
    """The numbers of `* SEARCH 1 2` or `* SORT 2 1`."""
    return [int(number) for response in responses for number in response.split()[2:]]


class Client:
    """One session."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, timeout: float = 120.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls:
            self._socket = tls.wrap_socket(self._socket, server_hostname="ph.test")
        self._tags = itertools.count(1)
        self._buffer = bytearray(_CHUNK)
        self._rest = b""
        self.greeting = self.read_line()
        if not self.greeting.startswith(b"* OK"):
            raise LabError(f"greeted with {self.greeting!r}")

    def fileno(self) -> int:
        return self._socket.fileno()

    @property
    def port(self) -> int:
        """Our own."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        self._socket.close()

    def make_tag(self) -> bytes:
        return b"q%05dz" % next(self._tags)

    def send(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def receive(self) -> bytes:
        octets = self._socket.recv(_CHUNK)
        if not octets:
            raise LabError("the server closed the connection")
        return octets

    def read_line(self) -> bytes:
        """The next line, literals not respected: for greetings, IDLE and APPEND."""
        while b"\r\n" not in self._rest:
            self._rest += self.receive()
        line, _, self._rest = self._rest.partition(b"\r\n")
        return line

    def run(self, command: str) -> Answer:
        tag = self.make_tag()
        octets = b"%b %b\r\n" % (tag, command.encode())
        started = time.perf_counter()
        self._socket.sendall(octets)
        answer = self._read_until(tag)
        seconds = time.perf_counter() - started
        check_tagged(answer, tag, command)
        return Answer(answer, seconds)

    def _read_until(self, tag: bytes) -> bytes:
        """Until a last line that begins with the tag; in pieces as large as they come."""
        pieces = [self._rest] if self._rest else []
        self._rest = b""
        tail = pieces[0][-_CHUNK:] if pieces else b""
        view = memoryview(self._buffer)
        while not (tail.endswith(b"\r\n") and _is_tagged(tail, tag)):
            size = self._socket.recv_into(view)
            if not size:
                raise LabError("the server closed the connection")
            piece = bytes(view[:size])
            pieces.append(piece)
            tail = piece if size > 4096 else tail[-4096:] + piece
        return b"".join(pieces)

    def log_in(self, user: str, password: str) -> None:
        self.run(f"LOGIN {user} {password}")

    def select(self, mailbox: str = "INBOX") -> int:
        """How many messages there are."""
        return int(self.run(f"SELECT {mailbox}").list_untagged(b"EXISTS")[-1].split()[1])

    def append(self, letters: Sequence[bytes], *, in_flight: int = 1, dates: Sequence[datetime] = ()) -> float:
        """Seconds until all are answered; `in_flight` commands are under way, the next goes when one is answered."""
        frames = [make_append(self.make_tag(), octets, date) for octets, date in itertools.zip_longest(letters, dates)]
        started = time.perf_counter()
        sent = min(in_flight, len(frames))
        self._socket.sendall(b"".join(frames[:sent]))
        answered = 0
        while answered < len(frames):
            done = self._count_tagged()
            answered += done
            more = frames[sent : answered + in_flight]
            sent += len(more)
            if more:
                self._socket.sendall(b"".join(more))
        return time.perf_counter() - started

    def _count_tagged(self) -> int:
        self._rest += self.receive()
        lines = self._rest.split(b"\r\n")
        self._rest = lines.pop()
        tagged = [line for line in lines if line.startswith(b"q")]
        for line in tagged:
            if line[7:10] != b" OK":
                raise LabError(f"APPEND: {line!r}")
        return len(tagged)

    def start_idle(self) -> None:
        tag = self.make_tag()
        self._socket.sendall(tag + b" IDLE\r\n")
        while not self.read_line().startswith(b"+"):
            pass

    def wait_exists(self) -> float:
        """The moment (perf_counter) at which IDLE tells of a message."""
        while True:
            line = self.read_line()
            if line.endswith(b" EXISTS"):
                return time.perf_counter()
            if line.startswith(b"* BYE"):
                raise LabError(f"IDLE ended with {line!r}")


def make_append(tag: bytes, octets: bytes, date: datetime | None = None, mailbox: str = "INBOX") -> bytes:
    stamp = f' "{date:%d-%b-%Y %H:%M:%S +0000}"' if date else ""
    return b"%b APPEND %b%b {%d+}\r\n%b\r\n" % (tag, mailbox.encode(), stamp.encode(), len(octets), octets)


def _is_tagged(tail: bytes, tag: bytes) -> bool:
    return tail.startswith(tag + b" ", tail.rfind(b"\r\n", 0, -2) + 2) or (b"\r\n" not in tail[:-2] and tail[:7] == tag)


def check_tagged(answer: bytes, tag: bytes, command: str) -> None:
    last = answer[answer.rfind(b"\r\n", 0, -2) + 2 :] if answer.count(b"\r\n") > 1 else answer
    if not last.startswith(tag + b" OK"):
        raise LabError(f"{command[:60]}: {last!r}")
