"""What must hold for any octets a client may send; for hypothesis and for atheris.

The first octet chooses the kind of session, the rest is the client's. They are read whole and again cut into pieces
whose lengths the octets decide themselves, and both must come to the same. A handshake takes place as soon as it is
due, so what is cut there may be discarded or not: sessions with STARTTLS are compared by their replies' form only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from posthouse.protocol.smtp import server as smtp
from posthouse.protocol.smtp.server_auth import MAX_AUTH_LINE, AuthSmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted
from tests.dialogues.dialogue_player import Player, make_core
from tests.fuzz.auth_player import AuthPlayer, make_auth_core

NARROW, SMALL, WITH_LMTP, PLAIN, WITH_TLS, WITH_AUTH, WITH_FEW_LOGINS = range(7)
KINDS: Sequence[tuple[dict[str, object], frozenset[str]]] = (
    ({"max_commands": 5, "max_errors": 3, "max_messages": 2}, frozenset()),
    ({"max_size": 60, "max_line": 64, "max_text_line": 20, "max_header_size": 30}, frozenset()),
    ({"lmtp": True, "max_recipients": 2}, frozenset({"xclient"})),
    ({"max_errors": 1000, "max_commands": 1000, "mt_priority": True}, frozenset({"xclient"})),
    ({"max_errors": 1000, "max_commands": 1000}, frozenset({"tls"})),
    ({"max_errors": 1000, "max_commands": 1000, "max_failed_logins": 1000}, frozenset({"auth"})),
    ({"max_failed_logins": 2, "max_errors": 8, "max_line": 512}, frozenset({"auth"})),
)

_REPLIES = re.compile(rb"(?:[2-5][0-9][0-9][ -][^\r\n]{0,600}\r\n)*")
_EVENTS = (
    smtp.Hello,
    smtp.MailFrom,
    smtp.RcptTo,
    smtp.DataStarted,
    smtp.MessageEnd,
    smtp.StartTls,
    smtp.Etrn,
    smtp.Xclient,
    smtp.Reset,
    smtp.Quit,
    smtp.Closing,
    AuthStarted,
    AuthData,
)


def cut_by_itself(octets: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(octets):
        length = 1 + octets[position] % 23
        yield octets[position : position + length]
        position += length


def make_player(kind: int) -> Player:
    settings, abilities = KINDS[kind]
    return AuthPlayer(make_auth_core(settings)) if "auth" in abilities else Player(make_core(settings, abilities))


def run(kind: int, pieces: Iterator[bytes] | Sequence[bytes]) -> Player:
    player = make_player(kind)
    for piece in pieces:
        player.feed(piece)
        if player.core.state is smtp.State.HANDSHAKE:
            player.core.tls_started()
    return player


def check_session(data: bytes) -> None:
    if not data:
        return
    kind, octets = data[0] % len(KINDS), data[1:]
    whole = run(kind, [octets])
    cut = run(kind, cut_by_itself(octets))
    for player in (whole, cut):
        assert _REPLIES.fullmatch(player.output)
        assert all(isinstance(event, _EVENTS) for event in player.events)
        assert player.core.unread <= max(player.core.settings.max_line, 4096, *_longest_auth(player))
        if isinstance(player, AuthPlayer):
            _check_logins(player)
        assert all(_is_clean(message) for message in player.messages) or b"BINARYMIME" in octets.upper()
    if "tls" not in KINDS[kind][1]:
        assert whole.output == cut.output
        assert whole.events == cut.events
        assert whole.messages == cut.messages
        assert whole.core.state is cut.core.state


def _longest_auth(player: Player) -> Sequence[int]:
    return [MAX_AUTH_LINE] if isinstance(player, AuthPlayer) else []


def _check_logins(player: AuthPlayer) -> None:
    """Logged in is who was right, once, and nobody who was not."""
    assert isinstance(player.core, AuthSmtpServer)
    assert player.accepted == player.output.count(b"\r\n235 ") == player.core.is_logged_in
    assert player.core.failed_logins <= player.core.settings.max_failed_logins
    told = [type(event) for event in player.events]
    assert AuthData not in told or told.index(AuthStarted) < told.index(AuthData)


def _is_clean(message: bytes) -> bool:
    left = message.replace(b"\r\n", b"")
    return b"\r" not in left and b"\n" not in left
