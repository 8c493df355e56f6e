"""The POP3 core: which line is which command, in which state, whole and in every split."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.protocol.pop3.commands import (
    Auth,
    AuthResponse,
    Capa,
    Command,
    Dele,
    Lang,
    List,
    Noop,
    Pass,
    Quit,
    Retr,
    Rset,
    Stat,
    Stls,
    Top,
    Uidl,
    User,
    Utf8,
)
from posthouse.protocol.pop3.grammar import VERBS
from posthouse.protocol.pop3.server import Closing, Event, Pop3Limits, Pop3Server, Refused
from posthouse.protocol.pop3.states import ALLOWED, State
from posthouse.protocol.wire.need_data import NEED_DATA

EXAMPLES: dict[str, tuple[bytes, Command]] = {
    "CAPA": (b"CAPA", Capa()),
    "STLS": (b"STLS", Stls()),
    "USER": (b"USER al ice", User("al ice")),
    "PASS": (b"PASS  two  blanks ", Pass(" two  blanks ")),
    "AUTH": (b"AUTH plain AGEAYg==", Auth("PLAIN", b"\0a\0b")),
    "UTF8": (b"UTF8", Utf8()),
    "LANG": (b"LANG de", Lang("de")),
    "STAT": (b"STAT", Stat()),
    "LIST": (b"LIST 7", List(7)),
    "UIDL": (b"UIDL", Uidl(None)),
    "RETR": (b"RETR 1", Retr(1)),
    "TOP": (b"TOP 1 0", Top(1, 0)),
    "DELE": (b"DELE 12", Dele(12)),
    "NOOP": (b"NOOP", Noop()),
    "RSET": (b"RSET", Rset()),
    "QUIT": (b"QUIT", Quit()),
}


def read(
    data: bytes, state: State = State.TRANSACTION, *, step: int = 0, limits: Pop3Limits | None = None
) -> list[Event]:
    """All events of `data`, in pieces of `step` octets."""
    core = Pop3Server(limits or Pop3Limits())
    core.state = state
    events: list[Event] = []
    for start in range(0, len(data), step or len(data) or 1):
        core.receive(data[start : start + (step or len(data))])
        while (event := core.next_event()) is not NEED_DATA:
            events.append(event)
    return events


def test_there_is_an_example_of_every_command() -> None:
    assert EXAMPLES.keys() == VERBS


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("state", [State.AUTHORIZATION, State.NAMED, State.TRANSACTION])
def test_a_command_is_taken_in_its_states_and_refused_in_the_others(verb: str, state: State) -> None:
    line, command = EXAMPLES[verb]
    for data in (line, verb.lower().encode() + line[len(verb) :]):
        (event,) = read(data + b"\r\n", state)
        if verb in ALLOWED[state]:
            assert event == command
        else:
            assert isinstance(event, Refused)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_nothing_is_a_command_behind_a_challenge(verb: str) -> None:
    (event,) = read(EXAMPLES[verb][0] + b"\r\n", State.CHALLENGED)
    assert isinstance(event, AuthResponse)


def test_nothing_is_taken_once_closed() -> None:
    assert read(b"NOOP\r\nQUIT\r\n", State.CLOSED) == []


def test_a_response_is_decoded_or_refused_or_given_up() -> None:
    assert read(b"YWJj\r\n", State.CHALLENGED) == [AuthResponse(b"abc")]
    assert read(b"\r\n", State.CHALLENGED) == [AuthResponse(b"")]
    assert read(b"=\r\n", State.CHALLENGED) == [AuthResponse(b"")]
    for line in (b"*", b"YWJ", b"YW Jj", b"\xff", b"YWJj\nNOOP"):
        (event,) = read(line + b"\r\n", State.CHALLENGED)
        assert isinstance(event, AuthResponse)
        assert event.data is None
        assert event.problem


def test_after_a_response_commands_are_commands_again() -> None:
    events = read(b"YWJj\r\nCAPA\r\n", State.CHALLENGED)
    assert events == [AuthResponse(b"abc"), Capa()]


def test_secrets_are_not_shown_in_a_traceback() -> None:
    for value in (Pass("hunter2"), Auth("PLAIN", b"hunter2"), AuthResponse(b"hunter2")):
        assert "hunter2" not in repr(value)


def test_what_came_behind_stls_is_dropped() -> None:
    core = Pop3Server(Pop3Limits())
    core.receive(b"STLS\r\nUSER mallory\r\nPASS")
    assert core.next_event() == Stls()
    core.tls_started()
    core.receive(b"CAPA\r\n")
    assert core.next_event() == Capa()
    assert core.next_event() is NEED_DATA


def test_too_many_errors_close_before_the_next_command() -> None:
    core = Pop3Server(Pop3Limits(errors=1))
    core.receive(b"FOO\r\nNOOP\r\nNOOP\r\n")
    assert isinstance(core.next_event(), Refused)
    core.count_error()
    assert isinstance(core.next_event(), Closing)
    assert core.next_event() is NEED_DATA


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1", b"POST / HTTP/1.1", b"EHLO there"])
def test_another_protocol_is_sent_away_at_once(line: bytes) -> None:
    (event,) = read(line + b"\r\nHost: x\r\n\r\n", State.AUTHORIZATION)
    assert isinstance(event, Closing)


_LINES = st.one_of(
    st.sampled_from([line for line, _ in EXAMPLES.values()]),
    st.sampled_from([b"", b"FOO", b"RETR x", b"TOP 1", b"a\nb", b"a\rb", b"\xff\xfe", b"USER \xff", b"x" * 300]),
    st.binary(max_size=20),
)


@given(st.lists(_LINES, max_size=8), st.sampled_from(list(State)), st.integers(1, 9))
def test_the_same_events_in_every_split(lines: list[bytes], state: State, step: int) -> None:
    data = b"".join(line + b"\r\n" for line in lines)
    limits = Pop3Limits(command=255, auth=280)
    assert read(data, state, step=step, limits=limits) == read(data, state, limits=limits)


@given(st.binary(max_size=400), st.sampled_from(list(State)))
def test_whatever_is_sent_only_events_come_out(data: bytes, state: State) -> None:
    for event in read(data + b"\r\n", state):
        assert isinstance(event, Command | AuthResponse | Refused | Closing)
