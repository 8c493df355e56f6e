"""The table of moves against the core: every verb in every state."""

from __future__ import annotations

import pytest

from posthouse.message.reply import Reply
from posthouse.protocol.smtp.server import NEED_DATA, Closing, ServerSettings, SmtpServer
from posthouse.protocol.smtp.states import FACTS, MOVES, OUT_OF_SEQUENCE, State
from tests.dialogues.dialogue_player import Player, make_core

LINES = {
    "HELO": b"HELO c.example\r\n",
    "EHLO": b"EHLO c.example\r\n",
    "MAIL": b"MAIL FROM:<a@b.example>\r\n",
    "RCPT": b"RCPT TO:<c@d.example>\r\n",
    "DATA": b"DATA\r\n",
    "BDAT": b"BDAT 4\r\nab\r\n",
    "RSET": b"RSET\r\n",
    "NOOP": b"NOOP\r\n",
    "HELP": b"HELP\r\n",
    "VRFY": b"VRFY someone\r\n",
    "QUIT": b"QUIT\r\n",
    "ETRN": b"ETRN d.example\r\n",
    "STARTTLS": b"STARTTLS\r\n",
    "XCLIENT": b"XCLIENT NAME=c.example\r\n",
}
WAYS: dict[State, list[str]] = {
    State.START: [],
    State.READY: ["EHLO"],
    State.MAIL: ["EHLO", "MAIL"],
    State.RCPT: ["EHLO", "MAIL", "RCPT"],
    State.CHUNKS: ["EHLO", "MAIL", "RCPT", "BDAT"],
}


def player_in(state: State) -> Player:
    player = Player(make_core({}, frozenset({"tls", "xclient"})))
    for verb in WAYS[state]:
        player.feed(LINES[verb])
    assert player.core.state is state
    player.output = b""
    return player


@pytest.mark.parametrize("verb", LINES)
@pytest.mark.parametrize("state", WAYS)
def test_a_verb_moves_as_the_table_says_or_is_out_of_sequence(state: State, verb: str) -> None:
    player = player_in(state)
    player.feed(LINES[verb])
    target = MOVES[state].get(verb)
    if target is None:
        assert player.output == f"503 5.5.1 {OUT_OF_SEQUENCE[state]}\r\n".encode()
        assert player.core.state is state
    elif verb == "BDAT":
        assert player.output == b"250 2.0.0 OK\r\n"
        assert player.core.state is State.CHUNKS
    else:
        assert player.output[:1] in (b"2", b"3")
        assert player.core.state is target


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA", "ETRN", "STARTTLS", "XCLIENT"])
@pytest.mark.parametrize("state", WAYS)
def test_a_refused_verb_leaves_the_state_but_data_ends_the_transaction(state: State, verb: str) -> None:
    if verb not in MOVES[state] or (verb == "EHLO" and state not in (State.START, State.READY)):
        return  # the table test has the one, the dialogues the other
    core = player_in(state).core
    core.receive(LINES[verb])
    assert core.next_event() is not NEED_DATA
    core.answer(Reply(550, "5.7.1", "No"))
    assert core.take_output() == b"550 5.7.1 No\r\n"
    assert core.state is (State.READY if verb == "DATA" else state)
    assert core.error_count == 1


def test_every_state_has_facts_and_a_row() -> None:
    assert set(FACTS) == set(State) == set(MOVES)
    assert all(facts.phase for facts in FACTS.values())
    assert len({facts.phase for facts in FACTS.values()}) == len(State)


def test_time_outs_are_those_of_the_settings() -> None:
    core = make_core({"command_timeout_s": 7.0, "body_timeout_s": 3.0})
    player = Player(core)
    assert core.timeout_s == 7.0
    for verb in ("EHLO", "MAIL", "RCPT", "DATA"):
        player.feed(LINES[verb])
    assert core.timeout_s == 3.0


def test_nothing_is_read_before_the_greeting() -> None:
    core = SmtpServer(ServerSettings("mx.example.org"))
    assert not make_core({}).talked_early
    core.receive(b"QUIT\r\n")
    assert core.talked_early
    assert core.next_event() is NEED_DATA
    assert core.phase == "greeting"


def test_after_a_refusing_greeting_only_quit_is_understood() -> None:
    core = SmtpServer(ServerSettings("mx.example.org"))
    core.greet(Reply(554, "", "No service"))
    core.receive(b"EHLO c.example\r\nNOOP\r\nQUIT\r\n")
    assert core.next_event() is not NEED_DATA
    core.answer(Reply(221, "2.0.0", "Bye"))
    refusal = b"503 5.5.1 No service here\r\n"
    assert core.take_output() == b"554 No service\r\n" + refusal + refusal + b"221 2.0.0 Bye\r\n"


def test_after_quit_nothing_is_read() -> None:
    player = Player(make_core({}))
    player.feed(b"QUIT\r\nEHLO c.example\r\n")
    player.core.receive(b"NOOP\r\n" * 1000)
    assert player.core.next_event() is NEED_DATA
    assert player.core.unread == 0
    assert player.output.endswith(b"221 2.0.0 Bye\r\n")


@pytest.mark.parametrize("verb", ["EHLO", "MAIL", "RCPT", "DATA", "QUIT"])
def test_a_421_answer_closes(verb: str) -> None:
    player = player_in({"EHLO": State.START, "MAIL": State.READY, "RCPT": State.MAIL}.get(verb, State.RCPT))
    core = player.core
    core.receive(LINES[verb] + b"NOOP\r\n")
    core.next_event()
    core.answer(Reply(421, "4.3.2", "Going down"))
    assert core.next_event() == Closing("421 answered")
    assert core.next_event() is NEED_DATA
    assert core.take_output() == b"421 4.3.2 Going down\r\n"


def test_a_driver_that_forgets_to_answer_is_told() -> None:
    core = player_in(State.READY).core
    with pytest.raises(RuntimeError):
        core.answer(Reply(250))
    core.receive(LINES["MAIL"])
    core.next_event()
    with pytest.raises(RuntimeError, match="MailFrom"):
        core.next_event()
    with pytest.raises(RuntimeError):
        core.answer_each([Reply(250)])
