"""What a POP3 client asks for, one small value per command (RFC 1939; CAPA RFC 2449, STLS RFC 2595, AUTH RFC 5034,
UTF8 and LANG RFC 6856). Message numbers are as the client gave them: whether there is such a message is for the
session to say. APOP is not here: it needs passwords that can be read.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capa:
    pass


@dataclass(frozen=True, slots=True)
class Stls:
    pass


@dataclass(frozen=True, slots=True)
class User:
    name: str


@dataclass(frozen=True, slots=True)
class Pass:
    secret: str

    def __repr__(self) -> str:
        return "Pass(...)"


@dataclass(frozen=True, slots=True)
class Auth:
    """`mechanism` "": which are there? `initial` decoded; None without an initial response."""

    mechanism: str
    initial: bytes | None = None

    def __repr__(self) -> str:
        return f"Auth({self.mechanism!r}, ...)"


@dataclass(frozen=True, slots=True)
class AuthResponse:
    """The client's answer to a challenge, decoded. None: it is no answer, and `problem` says why."""

    data: bytes | None
    problem: str = ""

    def __repr__(self) -> str:
        return "AuthResponse(...)"


@dataclass(frozen=True, slots=True)
class Utf8:
    pass


@dataclass(frozen=True, slots=True)
class Lang:
    """`wanted` "": list them; "*": the server's choice."""

    wanted: str


@dataclass(frozen=True, slots=True)
class Stat:
    pass


@dataclass(frozen=True, slots=True)
class List:
    """`number` None: all of them."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Uidl:
    """`number` None: all of them."""

    number: int | None


@dataclass(frozen=True, slots=True)
class Retr:
    number: int


@dataclass(frozen=True, slots=True)
class Top:
    number: int
    lines: int


@dataclass(frozen=True, slots=True)
class Dele:
    number: int


@dataclass(frozen=True, slots=True)
class Noop:
    pass


@dataclass(frozen=True, slots=True)
class Rset:
    pass


@dataclass(frozen=True, slots=True)
class Quit:
    pass


Command = Capa | Stls | User | Pass | Auth | Utf8 | Lang | Stat | List | Uidl | Retr | Top | Dele | Noop | Rset | Quit
