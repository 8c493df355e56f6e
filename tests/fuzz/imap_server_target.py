"""What must hold for any octets an IMAP client may send; for hypothesis and for atheris.

The first octet chooses the kind of session, the rest is the client's. They are read whole and again cut into pieces
whose lengths the octets decide themselves, and both must come to the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from posthouse.protocol.imap import server_events as e
from tests.fuzz.smtp_server_target import cut_by_itself
from tests.protocol.imap_server_kit import Player, make_core

_SMALL = e.ImapLimits(command=80, literal_before_login=8, literal=30, message=90, big_literal=40, depth=3, errors=5)
_PATIENT = e.ImapLimits(errors=10_000)
KINDS: Sequence[tuple[e.State, e.ImapLimits, bool, bool]] = (
    (e.State.SELECTED, _PATIENT, False, False),
    (e.State.SELECTED, _SMALL, False, True),
    (e.State.NOT_AUTHENTICATED, _PATIENT, False, False),
    (e.State.NOT_AUTHENTICATED, _SMALL, False, False),
    (e.State.AUTHENTICATED, _PATIENT, True, False),
    (e.State.SELECTED, _PATIENT, True, True),
)
_EVENTS = (e.Command, e.Refused, e.BigLiteral, e.AuthResponse, e.Done, e.Closing)


def run(kind: int, pieces: Iterable[bytes]) -> Player:
    state, limits, utf8, uid_only = KINDS[kind]
    player = Player(make_core(state, limits, utf8=utf8, uid_only=uid_only), takes_literals=kind % 2 == 0)
    for piece in pieces:
        player.feed(piece)
    return player


def check_session(data: bytes) -> None:
    if not data:
        return
    kind, octets = data[0] % len(KINDS), data[1:]
    whole, cut = run(kind, [octets]), run(kind, cut_by_itself(octets))
    for player in (whole, cut):
        assert all(isinstance(event, _EVENTS) for event in player.events)
        assert player.output == b"+ OK\r\n" * (len(player.output) // 6)
        assert player.core.unread <= player.core.limits.command + 2
        assert all(event.text.isprintable() for event in player.events if isinstance(event, e.Refused))
    assert whole.events == cut.events
    assert whole.output == cut.output
