"""Lines and literals of IMAP clients: limits, literals nobody wants, handshakes; every session in every split."""

from __future__ import annotations

import time

import pytest

from posthouse.protocol.imap.commands import Append, Authenticate, Idle, Login, Noop
from posthouse.protocol.imap.server_events import (
    AuthResponse,
    BigLiteral,
    Closing,
    Command,
    Done,
    Event,
    ImapLimits,
    Refused,
    State,
)
from posthouse.protocol.imap.values import AppendMessage
from posthouse.protocol.wire.need_data import NEED_DATA
from tests.protocol.imap_server_kit import make_core, play, run

NOOP = Command(b"b", Noop())
SMALL = ImapLimits(command=60, literal_before_login=10, literal=20, message=200, big_literal=50, errors=3)
BEFORE = State.NOT_AUTHENTICATED


def test_a_literal_is_asked_for_when_the_client_waits() -> None:
    assert play(b"a LOGIN {3}\r\nbob {2+}\r\npw\r\n", BEFORE) == ([Command(b"a", Login("bob", "pw"))], b"+ OK\r\n")


def test_a_bare_line_feed_ends_a_line() -> None:
    assert play(b"b NOOP\nb NOOP\r\n") == ([NOOP, NOOP], b"")


@pytest.mark.parametrize("line", [b"b NO\rOP", b"b NOOP\x00", b"a LOGIN x\ry z"])
def test_a_control_character_in_a_line_is_refused(line: bytes) -> None:
    (event,), _ = play(line + b"\r\n", BEFORE)
    assert isinstance(event, Refused) and event.status == b"BAD"


def test_empty_lines_are_nothing() -> None:
    assert play(b"\r\n\r\nb NOOP\r\n") == ([NOOP], b"")


@pytest.mark.parametrize("line", [b"a" * 500, b"a NOOP" + b" " * 60, b"a LOGIN " + b"(" * 500])
def test_a_command_too_long_is_refused_and_the_next_is_taken(line: bytes) -> None:
    (refused, noop), _ = play(line + b"\r\nb NOOP\r\n", limits=SMALL)
    assert isinstance(refused, Refused) and "longer than 60" in refused.text
    assert noop == NOOP


def test_the_literal_of_a_command_too_long_is_no_command() -> None:
    """What lies in it was meant as text."""
    octets = b"a SEARCH TEXT " + b"x" * 80 + b" {12+}\r\nc DELETE x\r\n\r\nb NOOP\r\n"
    (refused, rest), _ = play(octets, limits=SMALL)
    assert isinstance(refused, Refused)
    assert rest == NOOP


def test_a_line_without_end_closes() -> None:
    core = make_core(BEFORE)
    events, _ = run(core, [b"(" * 65_536] * 40)
    assert len(events) == 1 and isinstance(events[0], Closing)
    assert core.unread == 0


@pytest.mark.parametrize(
    ("octets", "state", "status"),
    [
        (b"a LOGIN {11}\r\n", BEFORE, b"BAD"),
        (b"a LOGIN {11+}\r\nhello world x\r\n", BEFORE, b"BAD"),
        (b"a LOGIN {6+}\r\nabcdef {6+}\r\nabcdef\r\n", BEFORE, b"BAD"),
        (b"a APPEND x {201}\r\n", State.SELECTED, b"NO"),
        (b"a APPEND x {201+}\r\n" + b"x" * 201 + b" {3+}\r\nabc\r\n", State.SELECTED, b"NO"),
        (b"a SEARCH TEXT {99999999999}\r\n", State.SELECTED, b"NO"),
    ],
)
def test_a_literal_too_large_is_refused_and_the_connection_goes_on(octets: bytes, state: State, status: bytes) -> None:
    events, output = play(octets + b"b NOOP\r\n", state, SMALL)
    assert isinstance(events[0], Refused)
    assert (events[0].tag, events[0].status, events[0].code) == (b"a", status, b"TOOBIG")
    assert (events[1:], output) == ([NOOP], b"")


def test_a_literal_too_large_to_pass_over_closes() -> None:
    (event,), _ = play(b"a APPEND x {99999999999+}\r\nb NOOP\r\n", limits=SMALL)
    assert isinstance(event, Closing)


def test_a_big_literal_is_announced_before_it_is_asked_for() -> None:
    core = make_core(limits=SMALL)
    core.receive(b"a APPEND x {60}\r\n")
    assert core.next_event() == BigLiteral(b"a", "APPEND", 60, True)
    assert core.take_output() == b""
    core.accept_literal()
    assert core.next_event() is NEED_DATA
    assert core.take_output() == b"+ OK\r\n"
    core.receive(b"x" * 60 + b"\r\n")
    assert core.next_event() == Command(b"a", Append("x", (AppendMessage((b"x" * 60,)),)))


@pytest.mark.parametrize(
    "octets", [b"a APPEND x {60}\r\n", b"a APPEND x {60+}\r\n" + b"b NOOP\r\n" * 7 + b"xxxx {2+}\r\nxx\r\n"]
)
def test_a_big_literal_that_is_refused_is_passed_over_in_silence(octets: bytes) -> None:
    (announced, noop), output = play(octets + b"b NOOP\r\n", limits=SMALL, takes_literals=False)
    assert isinstance(announced, BigLiteral)
    assert (noop, output) == (NOOP, b"")


def test_many_small_literals_are_announced_as_well() -> None:
    events, _ = play(b"a APPEND x" + b" {19+}\r\n" + b"x" * 19 + b" {19+}\r\n" + b"y" * 19 + b"\r\n", limits=SMALL)
    assert [type(event) for event in events] == [BigLiteral, Command]


def test_an_answer_to_a_challenge_is_decoded() -> None:
    begin: Event = Command(b"a", Authenticate("PLAIN"))
    assert play(b"a AUTHENTICATE PLAIN\r\nAGEAYg==\r\n", BEFORE)[0] == [begin, AuthResponse(b"\0a\0b")]
    assert play(b"a AUTHENTICATE PLAIN\r\n*\r\n", BEFORE)[0] == [begin, AuthResponse(None)]
    assert play(b"a AUTHENTICATE PLAIN\r\n!!\r\n", BEFORE)[0] == [begin, AuthResponse(None, is_bad=True)]
    assert play(b"a AUTHENTICATE PLAIN\r\n\r\n", BEFORE)[0] == [begin, AuthResponse(b"")]


@pytest.mark.parametrize(("octets", "initial"), [(b"=", b""), (b"AGEAYg==", b"\0a\0b")])
def test_an_initial_response_is_decoded(octets: bytes, initial: bytes) -> None:
    """RFC 4959 §3."""
    (event,), _ = run(make_core(BEFORE), [b"a AUTHENTICATE plain " + octets + b"\r\n"])
    assert event == Command(b"a", Authenticate("PLAIN", initial))


def test_idle_ends_with_done_and_with_nothing_else() -> None:
    assert play(b"a IDLE\r\ndone\r\nb NOOP\r\n")[0] == [Command(b"a", Idle()), Done(), NOOP]
    events, _ = play(b"a IDLE\r\nx NOOP\r\nb NOOP\r\n")
    assert events[1] == Refused(b"a", b"BAD", b"", "DONE was expected: IDLE is over")
    assert events[2] == NOOP


def test_what_came_before_the_handshake_is_dropped() -> None:
    """CVE-2011-0411."""
    core = make_core(BEFORE)
    core.receive(b"a STARTTLS\r\nb LOGIN evil {3}\r\n")
    core.next_event()
    core.tls_started()
    assert core.next_event() is NEED_DATA and core.unread == 0
    core.receive(b"b NOOP\r\n")
    assert core.next_event() == NOOP


def test_too_many_wrong_commands_close() -> None:
    events, _ = play(b"a X\r\n" * 9, limits=SMALL)
    assert [type(event) for event in events] == [Refused] * 3 + [Closing]
    assert len(play(b"a X\r\na X\r\nb NOOP\r\n" * 4, limits=SMALL)[0]) == 12


def test_a_large_literal_in_small_pieces_costs_no_more_than_its_size() -> None:
    core = make_core()
    begin = time.perf_counter()
    size = 8 << 20
    events, _ = run(
        core, [b"a APPEND x {%d+}\r\n" % size, *[b"x" * 1000] * (size // 1000), b"x" * (size % 1000), b"\r\n"]
    )
    assert isinstance(events[-1], Command)
    assert time.perf_counter() - begin < 5


def test_many_commands_in_one_read_are_not_copied_again_and_again() -> None:
    begin = time.perf_counter()
    events, _ = run(make_core(), [b"b NOOP\r\n" * 20_000])
    assert len(events) == 20_000
    assert time.perf_counter() - begin < 5


def test_parentheses_without_end_are_refused_at_once() -> None:
    """CVE-2026-27857."""
    for line in (b"a SEARCH " + b"(" * 60_000, b"a SEARCH " + b"NOT (" * 9_000, b"a ID " + b"(" * 60_000):
        (event,), _ = run(make_core(), [line + b"\r\n"])
        assert isinstance(event, Refused)
