"""The one grammar of POP3 commands: what a line is, or a `CommandError` with the words for the client.

Keywords in any case (RFC 1939 §3). One blank separates arguments; more of them, or some at the end, are forgiven
(clients typed by hand), but in USER and PASS all behind the first blank belongs to the name or the password, as
RFC 1939 §7 allows for PASS. Names and passwords are UTF-8 (RFC 6856 §2.2).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Final

from posthouse.protocol.pop3.commands import (
    Auth,
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

_MAX_DIGITS: Final = 10  # more is no message, and no number of lines
_MAX_MECHANISM: Final = 20  # RFC 4422 §3.1


class CommandError(Exception):
    """The client's mistake, in words for it."""


def read_command(verb: str, argument: bytes) -> Command:
    """`verb` is one of VERBS."""
    return _READERS[verb](argument)


def decode_base64(text: bytes) -> bytes:
    """ "=" is an answer of no octets (RFC 5034 §4). Raises CommandError."""
    if text == b"=":
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise CommandError("That is not base64") from None


def _read_number(text: bytes) -> int:
    if not text.isdigit() or len(text) > _MAX_DIGITS:
        raise CommandError("That is not a number of a message")
    return int(text)


def _read_text(argument: bytes, what: str) -> str:
    try:
        text = argument.decode("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"The {what} is not UTF-8") from None
    if not text or "\0" in text:
        raise CommandError(f"The {what} is missing" if not text else f"No NUL in a {what}")
    return text


def _bare(command: Command) -> Callable[[bytes], Command]:
    def read(argument: bytes) -> Command:
        if argument.strip(b" "):
            raise CommandError("No argument, please")
        return command

    return read


def _one(make: Callable[[int], Command]) -> Callable[[bytes], Command]:
    return lambda argument: make(_read_number(argument.strip(b" ")))


def _maybe_one(make: Callable[[int | None], Command]) -> Callable[[bytes], Command]:
    def read(argument: bytes) -> Command:
        word = argument.strip(b" ")
        return make(_read_number(word) if word else None)

    return read


def _read_top(argument: bytes) -> Command:
    words = argument.split()
    if len(words) != 2:
        raise CommandError("Syntax: TOP message lines")
    if not words[1].isdigit() or len(words[1]) > _MAX_DIGITS:
        raise CommandError("That is not a number of lines")
    return Top(_read_number(words[0]), int(words[1]))


def _read_auth(argument: bytes) -> Command:
    words = argument.split()
    if not words:
        return Auth("")
    mechanism = words[0].upper()
    if len(words) > 2 or len(mechanism) > _MAX_MECHANISM or not mechanism.isascii():
        raise CommandError("Syntax: AUTH mechanism [initial response in base64]")
    return Auth(mechanism.decode("ascii"), decode_base64(words[1]) if len(words) == 2 else None)


def _read_lang(argument: bytes) -> Command:
    word = argument.strip(b" ")
    if not word.isascii():
        raise CommandError("A language tag is ASCII")
    return Lang(word.decode("ascii"))


_READERS: Final[Mapping[str, Callable[[bytes], Command]]] = {
    "CAPA": _bare(Capa()),
    "STLS": _bare(Stls()),
    "USER": lambda argument: User(_read_text(argument.strip(b" "), "name")),
    "PASS": lambda argument: Pass(_read_text(argument, "password")),
    "AUTH": _read_auth,
    "UTF8": _bare(Utf8()),
    "LANG": _read_lang,
    "STAT": _bare(Stat()),
    "LIST": _maybe_one(List),
    "UIDL": _maybe_one(Uidl),
    "RETR": _one(Retr),
    "TOP": _read_top,
    "DELE": _one(Dele),
    "NOOP": _bare(Noop()),
    "RSET": _bare(Rset()),
    "QUIT": _bare(Quit()),
}
VERBS: Final = frozenset(_READERS)
