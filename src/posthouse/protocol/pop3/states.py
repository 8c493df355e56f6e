"""The states of a POP3 session and what may be said in each (RFC 1939 §3; CAPA RFC 2449 §5, LANG RFC 6856 §3.1).

    AUTHORIZATION   nobody has logged in. USER makes it NAMED
    NAMED           a name was given; PASS is expected. Another command of AUTHORIZATION is possible too
    CHALLENGED      the next line is the answer to a challenge, whatever it looks like (RFC 5034 §4)
    TRANSACTION     logged in, the maildrop is locked
    CLOSED          QUIT was answered, or the session was ended: nothing is taken any more

UPDATE of RFC 1939 §6 is no state in which anything can be said: it is what the session does at QUIT in TRANSACTION.
The session moves the core on as commands succeed (`Pop3Server.state`).
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Final


class State(enum.IntEnum):
    AUTHORIZATION = enum.auto()
    NAMED = enum.auto()
    CHALLENGED = enum.auto()
    TRANSACTION = enum.auto()
    CLOSED = enum.auto()


_ANYWHERE: Final = frozenset({"CAPA", "LANG", "QUIT"})
_BEFORE: Final = _ANYWHERE | {"USER", "AUTH", "STLS", "UTF8"}

ALLOWED: Final[Mapping[State, frozenset[str]]] = {
    State.AUTHORIZATION: _BEFORE,
    State.NAMED: _BEFORE | {"PASS"},
    State.CHALLENGED: frozenset(),
    State.TRANSACTION: _ANYWHERE | {"STAT", "LIST", "UIDL", "RETR", "TOP", "DELE", "NOOP", "RSET"},
    State.CLOSED: frozenset(),
}
PHASES: Final[Mapping[State, str]] = {
    State.AUTHORIZATION: "waiting for a login",
    State.NAMED: "waiting for PASS",
    State.CHALLENGED: "logging in",
    State.TRANSACTION: "waiting for a command",
    State.CLOSED: "closing",
}


def refuse_in(state: State, verb: str) -> str:
    """Why a known command cannot be said now."""
    if state is State.TRANSACTION:
        return "You are logged in already"
    return "Say USER first" if verb == "PASS" else "Log in first"
