"""SASL as a client, for logging in to a smarthost: which mechanism, and what it says (RFC 4422, RFC 4954 §4).

PLAIN (RFC 4616), LOGIN (what Exchange and old servers know), SCRAM-SHA-256 (RFC 7677). Pure: the nonce is an
argument. Answers are raw; base64 is the business of whoever writes the line.
"""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Protocol

from posthouse.protocol.sasl.prep import PrepError, prepare
from posthouse.protocol.sasl.scram import KeyCache, ScramClient, ScramError

__all__ = ["KeyCache", "SaslClient", "SaslError", "choose_mechanism"]


class SaslError(Exception):
    """The server's side of the exchange is wrong, or the password cannot be said in this mechanism."""


class SaslClient(Protocol):
    name: str

    def start(self) -> bytes | None:
        """The initial response, None when the mechanism has none."""

    def respond(self, challenge: bytes) -> bytes:
        """The answer to a challenge. Raises SaslError."""

    def is_proven(self) -> bool:
        """The server has shown what the mechanism asks of it; False after "success" means an impostor."""


class PlainClient:
    name = "PLAIN"

    def __init__(self, username: str, password: str) -> None:
        self._response = f"\0{username}\0{password}".encode()

    def start(self) -> bytes | None:
        return self._response

    def respond(self, challenge: bytes) -> bytes:
        if challenge:
            raise SaslError("PLAIN has no challenges")
        return self._response

    def is_proven(self) -> bool:
        return True


class LoginClient:
    name = "LOGIN"

    def __init__(self, username: str, password: str) -> None:
        self._waiting = [password.encode(), username.encode()]

    def start(self) -> bytes | None:
        return None

    def respond(self, challenge: bytes) -> bytes:
        # The prompts vary ("Username:", "User Name\0"); the order does not.
        if not self._waiting:
            raise SaslError("LOGIN asks for a third time")
        return self._waiting.pop()

    def is_proven(self) -> bool:
        return True


class _ScramAdapter:
    name = "SCRAM-SHA-256"

    def __init__(self, core: ScramClient) -> None:
        self._core = core

    def start(self) -> bytes | None:
        return self._core.first_message()

    def respond(self, challenge: bytes) -> bytes:
        try:
            return self._core.respond(challenge)
        except ScramError as error:
            raise SaslError(str(error)) from None

    def is_proven(self) -> bool:
        return self._core.is_proven


def choose_mechanism(
    offered: Set[str], username: str, password: str, make_nonce: Callable[[], str], *, may_reveal: bool, keys: KeyCache
) -> SaslClient | None:
    """The best mechanism of what the server offers; None when there is none we speak.

    `may_reveal`: the connection is private enough to send the password itself over it.
    Raises SaslError when user name or password hold characters that no mechanism can carry (RFC 4013).
    """
    try:
        user, secret = prepare(username), prepare(password)
    except PrepError as error:
        raise SaslError(str(error)) from None
    if "SCRAM-SHA-256" in offered:
        return _ScramAdapter(ScramClient(user, secret, make_nonce(), keys))
    if "PLAIN" in offered and may_reveal:
        return PlainClient(user, secret)
    if "LOGIN" in offered and may_reveal:
        return LoginClient(user, secret)
    return None
