"""Byte streams to peers that we connect to, with a deadline on every step.

Fakes: `ScriptedDialer` in this module plays the other side from a script.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol


class StreamError(Exception):
    """The peer or the network failed; `phase` says at what ("connect", "tls", "read", "write").

    "local": the trouble is ours (no descriptors, no free port, a source address that is not here), not the peer's.
    """

    def __init__(self, phase: str, text: str) -> None:
        super().__init__(text)
        self.phase = phase


class StreamTimeout(StreamError):
    """The deadline of a step passed."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to connect. `address` is an IP address or, with port 0, the path of a unix socket.

    `host` is the name it came from: shown in logs, sent as SNI, checked against the certificate.
    """

    host: str
    address: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return f"unix:{self.address}"
        return (
            f"{self.host}[{self.address}]:{self.port}" if self.host != self.address else f"[{self.address}]:{self.port}"
        )


class TlsCheck(enum.Enum):
    """How the peer's certificate is looked at."""

    ANY = "any"  # opportunistic: weak certificates and small keys too, rather than plaintext
    VERIFIED = "verified"  # chain and host name must be right


@dataclass(frozen=True, slots=True)
class TlsFacts:
    """`version` like "TLSv1.3", `cipher` like "TLS_AES_256_GCM_SHA384", for Received (RFC 8314 §7.4)."""

    version: str
    cipher: str
    bits: int = 0


class Stream(Protocol):
    """One connection. Every method that waits raises StreamTimeout after its deadline and StreamError on failure."""

    def write(self, data: bytes) -> None:
        """Hand data on without waiting. Errors show at the next `read` or `drain`."""

    async def drain(self, timeout_s: float) -> None:
        """Wait until the send buffer is below its high-water mark."""

    async def read(self, timeout_s: float) -> bytes:
        """At least one byte; b"" when the peer closed."""

    async def start_tls(self, check: TlsCheck, host: str, timeout_s: float) -> TlsFacts:
        """Upgrade. Bytes that came before the handshake are discarded (CVE-2011-0411). Phase of errors is "tls"."""

    @property
    def tls(self) -> TlsFacts | None: ...

    @property
    def has_input(self) -> bool:
        """Bytes or an end of file wait to be read: on an idle kept connection a sign that the peer is leaving."""

    def close(self) -> None:
        """Close now; never waits, never raises, may be called twice."""


class Dialer(Protocol):
    async def connect(self, to: Endpoint, timeout_s: float, *, tls: TlsCheck | None = None) -> Stream:
        """Open a connection, from the configured source address; with `tls` the handshake comes first (smtps)."""


@dataclass
class ScriptedStream:
    """The other side as a script: a list of (what the client must send, what it then gets)."""

    script: deque[tuple[bytes, bytes]]
    greeting: bytes = b""
    tls: TlsFacts | None = None
    closed: bool = False
    received: bytes = b""
    fail_tls: bool = False

    def __post_init__(self) -> None:
        self._input = self.greeting
        self._pending = b""

    @property
    def has_input(self) -> bool:
        return bool(self._input)

    def write(self, data: bytes) -> None:
        self.received += data
        self._pending += data
        while self.script and self._pending.startswith(self.script[0][0]):
            expected, answer = self.script.popleft()
            self._pending = self._pending[len(expected) :]
            self._input += answer

    async def drain(self, timeout_s: float) -> None:
        return None

    async def read(self, timeout_s: float) -> bytes:
        if self._input:
            data, self._input = self._input, b""
            return data
        if self.script:
            raise StreamTimeout("read", f"script waits for {self.script[0][0]!r}, got {self._pending!r}")
        return b""

    async def start_tls(self, check: TlsCheck, host: str, timeout_s: float) -> TlsFacts:
        if self.fail_tls:
            raise StreamError("tls", "handshake failed")
        self._input = b""
        self.tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 256)
        return self.tls

    def close(self) -> None:
        self.closed = True


@dataclass
class ScriptedDialer:
    """`peers` answers an endpoint with a stream, or with an error to raise. `dialed` lists every attempt."""

    peers: Callable[[Endpoint], ScriptedStream | StreamError]
    dialed: list[Endpoint]

    @classmethod
    def playing(cls, *streams: ScriptedStream | StreamError) -> ScriptedDialer:
        waiting: deque[ScriptedStream | StreamError] = deque(streams)
        return cls(lambda _: waiting.popleft(), [])

    async def connect(self, to: Endpoint, timeout_s: float, *, tls: TlsCheck | None = None) -> ScriptedStream:
        self.dialed.append(to)
        peer = self.peers(to)
        if isinstance(peer, StreamError):
            raise peer
        if tls is not None:
            await peer.start_tls(tls, to.host, timeout_s)
        return peer


def scripted(greeting: bytes, steps: Sequence[tuple[bytes, bytes]]) -> ScriptedStream:
    return ScriptedStream(deque(steps), greeting)
