"""The states of an SMTP or LMTP server session and the moves between them (RFC 5321 §4.1.4, §3.3).

`MOVES[state][verb]` is the state after a positive answer; a verb that is not in the row is out of sequence and gets
`OUT_OF_SEQUENCE[state]`.

A verb's refusal leaves the state as it is, with one exception: a refused DATA ends the transaction, because clients
go on with MAIL as well as with RSET after it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


class State(enum.IntEnum):
    # Integers, because the hash of a plain Enum is a Python function and every command looks into a table.
    GREETING = enum.auto()  # we have not greeted yet
    REFUSED = enum.auto()  # greeted with 554 (RFC 5321 §3.1)
    START = enum.auto()  # greeted, or as new after STARTTLS and XCLIENT
    READY = enum.auto()
    MAIL = enum.auto()  # sender accepted, no recipient yet
    RCPT = enum.auto()  # at least one recipient accepted
    CHUNKS = enum.auto()  # between BDAT chunks
    BODY = enum.auto()  # the message is on its way
    HANDSHAKE = enum.auto()  # 220 said to STARTTLS
    CLOSED = enum.auto()
    AUTH = enum.auto()  # 334 said (server_auth.py)


class Wait(enum.Enum):
    """Which time-out of the settings counts in a state."""

    COMMAND = "command"
    BODY = "body"


@dataclass(frozen=True, slots=True)
class StateFacts:
    phase: str  # what the log says we were at
    wait: Wait = Wait.COMMAND


FACTS: Final[Mapping[State, StateFacts]] = {
    State.GREETING: StateFacts("greeting"),
    State.REFUSED: StateFacts("waiting for QUIT after a refusal"),
    State.START: StateFacts("waiting for EHLO"),
    State.READY: StateFacts("waiting for MAIL"),
    State.MAIL: StateFacts("waiting for RCPT"),
    State.RCPT: StateFacts("waiting for RCPT or DATA"),
    State.CHUNKS: StateFacts("waiting for BDAT"),
    State.BODY: StateFacts("receiving the message", Wait.BODY),
    State.HANDSHAKE: StateFacts("starting TLS"),
    State.CLOSED: StateFacts("closing"),
    State.AUTH: StateFacts("logging in"),
}

IN_TRANSACTION: Final = frozenset({State.MAIL, State.RCPT, State.CHUNKS})

_MOVES: Final[Mapping[State, Mapping[str, State]]] = {
    State.START: {
        "EHLO": State.READY,
        "STARTTLS": State.HANDSHAKE,
        "XCLIENT": State.START,
    },
    State.READY: {
        "EHLO": State.READY,
        "MAIL": State.MAIL,
        "AUTH": State.READY,
        "STARTTLS": State.HANDSHAKE,
        "XCLIENT": State.START,
        "ETRN": State.READY,
    },
    State.MAIL: {"EHLO": State.READY, "RCPT": State.RCPT, "RSET": State.READY},
    # BODY ends in READY, or in CHUNKS while BDAT has not said LAST.
    State.RCPT: {
        "EHLO": State.READY,
        "RCPT": State.RCPT,
        "RSET": State.READY,
        "DATA": State.BODY,
        "BDAT": State.BODY,
    },
    State.CHUNKS: {"EHLO": State.READY, "RSET": State.READY, "BDAT": State.BODY},
}


def _complete_row(state: State, row: Mapping[str, State]) -> dict[str, State]:
    """The verbs that are allowed wherever commands are, and the other ways to say EHLO."""
    hello = dict.fromkeys(("HELO", "LHLO"), row["EHLO"])
    return dict.fromkeys(("NOOP", "HELP", "VRFY", "RSET"), state) | {"QUIT": State.CLOSED} | hello | dict(row)


MOVES: Final[Mapping[State, Mapping[str, State]]] = {
    **{state: {} for state in State},
    **{state: _complete_row(state, row) for state, row in _MOVES.items()},
    State.REFUSED: {"QUIT": State.CLOSED},
}

OUT_OF_SEQUENCE: Final[Mapping[State, str]] = {
    State.REFUSED: "No service here",
    State.START: "Say EHLO first",
    State.READY: "Say MAIL first",
    State.MAIL: "Say RCPT first",
    State.RCPT: "A transaction is under way",
    State.CHUNKS: "Send the rest with BDAT, or RSET",
}
