"""Plays what a client sends to the IMAP server core: whole, octet by octet, or cut in two at every place.

    assert play(b"a NOOP\\r\\n") == [Command(b"a", Noop())]

A session that does as little as can be stands in: it takes big literals, and waits for what AUTHENTICATE and IDLE need.
"""

from __future__ import annotations

from collections.abc import Iterable

from posthouse.protocol.imap.commands import Authenticate, Idle, Request
from posthouse.protocol.imap.server import ImapServer
from posthouse.protocol.imap.server_events import BigLiteral, Command, Event, ImapLimits, Refused, State
from posthouse.protocol.wire.need_data import NeedData


class Player:
    """`events` come in order; `output` is what was written for literals."""

    def __init__(self, core: ImapServer, *, takes_literals: bool = True) -> None:
        self.core, self.takes_literals = core, takes_literals
        self.events: list[Event] = []
        self.output = b""

    def feed(self, data: bytes) -> None:
        self.core.receive(data)
        while not isinstance(event := self.core.next_event(), NeedData):
            self.events.append(event)
            match event:
                case BigLiteral():
                    if self.takes_literals:
                        self.core.accept_literal()
                    else:
                        self.core.refuse_literal()
                case Command(_, Authenticate()):
                    self.core.expect_auth()
                case Command(_, Idle()):
                    self.core.expect_done()
        self.output += self.core.take_output()


def make_core(
    state: State = State.SELECTED, limits: ImapLimits | None = None, *, utf8: bool = False, uid_only: bool = False
) -> ImapServer:
    core = ImapServer(limits or ImapLimits())
    core.state, core.is_utf8, core.is_uid_only = state, utf8, uid_only
    return core


def run(core: ImapServer, pieces: Iterable[bytes], *, takes_literals: bool = True) -> tuple[list[Event], bytes]:
    player = Player(core, takes_literals=takes_literals)
    for piece in pieces:
        player.feed(piece)
    return player.events, player.output


def play(
    octets: bytes,
    state: State = State.SELECTED,
    limits: ImapLimits | None = None,
    *,
    utf8: bool = False,
    uid_only: bool = False,
    takes_literals: bool = True,
) -> tuple[list[Event], bytes]:
    """Whole; asserts that pieces come to the same."""

    def once(pieces: Iterable[bytes]) -> tuple[list[Event], bytes]:
        return run(make_core(state, limits, utf8=utf8, uid_only=uid_only), pieces, takes_literals=takes_literals)

    whole = once([octets])
    assert once([octets[at : at + 1] for at in range(len(octets))]) == whole
    if len(octets) < 300:
        for at in range(1, len(octets)):
            assert once([octets[:at], octets[at:]]) == whole, octets[:at]
    return whole


def parse(arguments: bytes, *, utf8: bool = False, uid_only: bool = False) -> Request:
    """The one command this is, in the selected state."""
    (event,), _ = play(b"a " + arguments + b"\r\n", utf8=utf8, uid_only=uid_only)
    assert isinstance(event, Command), event
    assert event.tag == b"a"
    return event.request


def refuse(arguments: bytes, state: State = State.SELECTED, *, uid_only: bool = False) -> Refused:
    (event,), _ = play(b"a " + arguments + b"\r\n", state, uid_only=uid_only)
    assert isinstance(event, Refused), event
    assert event.tag == b"a"
    return event
