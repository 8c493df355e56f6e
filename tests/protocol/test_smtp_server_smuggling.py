"""No message is ever smuggled in or cut short: CVE-2023-51764 to -51766, CVE-2011-0411 and their kin."""

from __future__ import annotations

import itertools

import pytest

from posthouse.protocol.smtp.server import Closing, MessageEnd, Reset, StartTls, State
from posthouse.protocol.wire.dots import MIN_PIECE
from tests.dialogues.dialogue_player import Player, make_core

BEGIN = b"HELO c.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
SECOND = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nFrom: ceo@d.example\r\n\r\npay\r\n.\r\n"
LOOKALIKES = [
    b"\n.\n",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r",
    b"\r.\r\n",
    b"\r\n.\r",
    b"\n.\r",
    b"\r.\n",
    b"\r\n.\r\r\n",
    b"\n\n.\r\n",
]


def ends(player: Player) -> list[MessageEnd]:
    return [event for event in player.events if isinstance(event, MessageEnd)]


@pytest.mark.parametrize("lookalike", LOOKALIKES)
@pytest.mark.parametrize("text", [b"a", b"y" * MIN_PIECE], ids=["short", "long"])
def test_a_lookalike_of_the_end_neither_ends_nor_smuggles_in_any_split(lookalike: bytes, text: bytes) -> None:
    octets = text + lookalike + SECOND + b"NOOP\r\n"
    near = range(len(text) - 1, len(text) + len(lookalike) + 2)
    for cuts in itertools.combinations(near, 2):
        player = Player(make_core({}))
        player.feed(BEGIN + b"DATA\r\n")
        for a, b in itertools.pairwise([0, *cuts, len(octets)]):
            player.feed(octets[a:b])
        (end,) = ends(player)
        assert end.problem is not None
        assert end.size == len(text + lookalike) + SECOND.index(b"\r\n.\r\n") + 2 - (b"\r\n." in lookalike)
        assert player.messages == []
        assert player.output.endswith(b"lines end with CRLF (RFC 5321)\r\n250 2.0.0 OK\r\n")


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_a_lookalike_at_the_start_of_a_message_smuggles_nothing(lookalike: bytes) -> None:
    for cut in range(len(lookalike) + 1):
        player = Player(make_core({}))
        player.feed(BEGIN + b"DATA\r\n" + lookalike[:cut])
        player.feed(lookalike[cut:] + SECOND)
        (end,) = ends(player)
        assert end.problem is not None


@pytest.mark.parametrize("lookalike", LOOKALIKES)
def test_a_lookalike_in_a_chunk_is_refused(lookalike: bytes) -> None:
    octets = b"a" + lookalike + SECOND
    for cut in range(len(lookalike) + 2):
        player = Player(make_core({}))
        player.feed(BEGIN + b"BDAT %d LAST\r\n" % len(octets) + octets[:cut])
        player.feed(octets[cut:])
        (end,) = ends(player)
        assert end.problem is not None
        assert end.size == len(octets)


def test_a_real_end_followed_by_a_message_makes_two_messages() -> None:
    player = Player(make_core({}))
    player.feed(BEGIN + b"DATA\r\na\r\n.\r\n" + SECOND)
    assert player.messages == [b"a\r\n", b"From: ceo@d.example\r\n\r\npay\r\n"]


def test_what_came_behind_starttls_in_plain_text_is_discarded_and_noted() -> None:
    injected = b"MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\n"
    for cut in range(len(injected) + 1):
        player = Player(make_core({}, frozenset({"tls"})))
        player.feed(b"EHLO c.example\r\nSTARTTLS\r\n" + injected[:cut])
        player.feed(injected[cut:])
        assert player.core.phase == "starting TLS"
        player.core.tls_started()
        player.feed(b"EHLO c.example\r\n")
        assert isinstance(player.events[1], StartTls)
        assert len(player.events) == 3
        assert player.core.discarded_input == len(injected)
        assert player.core.tls_active
        assert player.core.state is State.READY


def test_the_handshake_forgets_the_hello_and_the_transaction_cannot_span_it() -> None:
    player = Player(make_core({}, frozenset({"tls"})))
    player.feed(b"EHLO c.example\r\nMAIL FROM:<a@b.example>\r\nSTARTTLS\r\n")
    assert player.output.endswith(b"503 5.5.1 Say RCPT first\r\n")
    player.feed(b"RSET\r\nSTARTTLS\r\n")
    player.core.tls_started()
    assert player.core.hello_domain == ""
    assert player.core.state is State.START
    assert Reset() in player.events


def test_implicit_tls_offers_no_starttls() -> None:
    core = make_core({}, frozenset({"tls"}))
    core.tls_started()
    player = Player(core)
    player.feed(b"EHLO c.example\r\n")
    assert b"STARTTLS" not in player.output


@pytest.mark.parametrize("bad", [b"", b" 10 20", b" -1", b" x", b" 1 LASTLY", b" 99999999999999999999", b" 1  LAST"])
def test_a_chunk_whose_end_is_unknown_closes_the_session(bad: bytes) -> None:
    """Its octets would be taken for commands otherwise."""
    player = Player(make_core({}))
    player.feed(BEGIN + b"BDAT" + bad + b"\r\n" + SECOND)
    assert player.events[-1] == Closing("BDAT without size")
    assert player.output.endswith(b"501 5.5.4 Syntax: BDAT size [LAST]; closing connection\r\n")


def test_commands_in_an_unwanted_chunk_are_not_commands() -> None:
    player = Player(make_core({}))
    octets = b"RCPT TO:<c@d.example>\r\n"
    player.feed(b"HELO c.example\r\nMAIL FROM:<a@b.example>\r\n" + b"BDAT %d\r\n" % len(octets) + octets)
    assert player.core.accepted == 0
    assert player.output.endswith(b"503 5.5.1 Say RCPT first\r\n")
