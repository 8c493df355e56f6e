"""What a session that reads mail (IMAP, POP3, ManageSieve) and the connection it runs on ask of each other.

The driver (serve/access.py) owns the connection: PROXY, limits, TLS, COMPRESS, deadlines. The session (access/) owns
the dialogue. Neither imports the other. Nothing here is durable.
"""

from __future__ import annotations

from typing import Protocol

from posthouse.message.mailbox import AccountId
from posthouse.message.peer import Peer
from posthouse.ports.login import Login


class ConnectionLost(Exception):
    """The client is gone: whoever awaits the connection gives up what it was doing for it."""


class Wire(Protocol):
    """A client's connection, as its session sees it. Only from the event loop."""

    @property
    def peer(self) -> Peer:
        """TLS facts, channel bindings and certificate names are on it once they are known."""

    @property
    def is_closing(self) -> bool:
        """The client is gone or will be: long work should stop."""

    def write(self, data: bytes) -> None:
        """Goes out at once, compressed and encrypted as the connection is. Never raises; a lost client loses it."""

    async def drain(self) -> None:
        """Returns when little waits to be sent: at once, as a rule. Raises ConnectionLost."""

    @property
    def has_tls(self) -> bool:
        """STARTTLS would work now: there is a certificate, and TLS is not on yet."""

    async def start_tls(self) -> None:
        """After "begin TLS now" was written. Bytes that came behind STARTTLS are dropped (CVE-2011-0411).

        Raises ConnectionLost when the handshake failed.
        """

    def compress(self) -> None:
        """RFC 4978: from here on both ways. The OK was written before. Every `write` ends with a flush; what is kept
        for compressing is given back while the client is idle.
        """

    def pause(self) -> None:
        """No more `receive` until `resume`: the session has enough in hand. May be called twice."""

    def resume(self) -> None: ...

    def expect(self, seconds: float) -> None:
        """The client has so long from now for its next octets, else `AccessSession.time_out` is called."""

    def note_error(self) -> None:
        """A refused command or a failed login: clients that only make errors are slowed down."""

    def note_login(self, login: Login | None) -> None:
        """Who it is, for the list of sessions; the session ends when the password it came by is good no more."""

    def close(self) -> None:
        """What was written still goes out. May be called twice."""


class AccessSession(Protocol):
    """A dialogue. None of these raises or waits; what takes time is a task of the session's own."""

    @property
    def doing(self) -> str:
        """For the list of sessions: "idle in INBOX"; "" where there is nothing to tell."""

    def begin(self) -> None:
        """The connection is there (TLS too, where it is implicit): greet."""

    def receive(self, data: bytes) -> None: ...

    def end_of_input(self) -> None:
        """The client sends no more but may read: answer what it sent, then close."""

    def ended(self) -> None:
        """The connection is gone. Called once, last."""

    def time_out(self) -> None:
        """The client was silent for too long: say so and close."""

    def shut_down(self, reason: str) -> None:
        """Say that reason (BYE, -ERR) and close; a command in hand is finished first, within a few seconds.

        The server stops, a configuration was replaced, or an administrator ends this session.
        """


class SessionSlots(Protocol):
    """How many sessions an account may have at once, in all and from one address; over all workers, nearly."""

    def enter(self, account: AccountId, address: str) -> str | None:
        """None: counted, `leave` it later. Else why not, for the client to read (`[LIMIT]`)."""

    def leave(self, account: AccountId, address: str) -> None: ...


class Maildrops(Protocol):
    """RFC 1939 §4: one POP3 session per maildrop, over all workers. A lock ends with its session or its worker."""

    async def lock(self, account: AccountId) -> bool:
        """False: another session has it."""

    def unlock(self, account: AccountId) -> None: ...
