"""Who is connected, and ending a session, by the names of the control socket.

    sessions.list {}      a list of {id, service, peer, name, login, doing, tls, since}
    sessions.kill {id}    how many were ended: 1, or 0 when it is not here

An id is good for as long as its session; `prefix` makes it unique among the workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from posthouse.message.instant import Instant, format_rfc3339
from posthouse.message.peer import Peer

Arguments = Mapping[str, object]
Plain = dict[str, object]


class OpenSession(Protocol):
    @property
    def peer(self) -> Peer: ...

    @property
    def started_at(self) -> float:
        """An Instant."""

    @property
    def login_name(self) -> str:
        """Who has logged in, "" for nobody."""

    @property
    def doing(self) -> str:
        """What it tells of itself, such as the mailbox it has selected; "" when it does not."""

    def kick(self, reason: str) -> None:
        """Say 421 (or what the protocol has for it) with this reason, and close."""


KILLED = "The administrator of this server has ended this session"

Sessions = Callable[[], Iterable[tuple[str, Iterable[OpenSession]]]]
"""The services that are open, each with its sessions."""


@dataclass(frozen=True, slots=True)
class SessionOperations:
    prefix: str
    sessions: Sessions

    def handlers(self) -> dict[str, Callable[[Arguments], Awaitable[object]]]:
        return {"sessions.list": self.list_sessions, "sessions.kill": self.kill}

    async def list_sessions(self, _: Arguments) -> list[Plain]:
        return [
            {
                "id": identity,
                "service": service,
                "peer": session.peer.label,
                "name": session.peer.name or None,
                "login": session.login_name or None,
                "doing": session.doing or None,
                "tls": session.peer.tls_version or None,
                "since": format_rfc3339(Instant(session.started_at)),
            }
            for identity, service, session in self._walk()
        ]

    async def kill(self, args: Arguments) -> int:
        found = [session for identity, _, session in self._walk() if identity == args.get("id")]
        for session in found:
            session.kick(KILLED)
        return len(found)

    def _walk(self) -> Iterator[tuple[str, str, OpenSession]]:
        for service, sessions in self.sessions():
            for session in list(sessions):
                yield f"{self.prefix}-{id(session):x}", service, session
