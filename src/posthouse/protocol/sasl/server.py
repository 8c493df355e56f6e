"""SASL as a server, without input and output (RFC 4422): what a client says becomes steps, values for whoever decides.

    mechanism = PlainServer()
    step = mechanism.respond(initial)      # None: the client gave no initial response
    Challenge      send it and give the client's answer to `respond`
    CheckPassword, CheckToken, CheckCertificate, FetchVerifiers
                   something only the caller knows; FetchVerifiers and a refused token go on, see there
    Proven         a SCRAM proof was right; `final` still has to reach the client
    Failed         it is over

PLAIN (RFC 4616), LOGIN (no RFC; Outlook and devices), EXTERNAL (RFC 4422 appendix A), OAUTHBEARER (RFC 7628), XOAUTH2
(Google's, before it); SCRAM is in server_scram.py. User names and passwords come out prepared (RFC 4013). Nothing here
knows who exists, so nothing here can tell. All octets are raw; base64 is the business of the protocol around it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final, Protocol

from posthouse.protocol.sasl.prep import PrepError, prepare

MAX_NAME_OCTETS = 255  # RFC 4616 §2
MAX_PASSWORD_OCTETS = 1024  # as RFC 4616 §2 allows, and some app passwords are long
MAX_TOKEN_OCTETS = 8192

# RFC 6750 §2.1, b64token
_BEARER = re.compile(rb"bearer +([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
_SEPARATOR: Final = b"\x01"


@dataclass(frozen=True, slots=True)
class Challenge:
    data: bytes


@dataclass(frozen=True, slots=True)
class CheckPassword:
    """`authorization` "": to act as oneself (RFC 4616 §2)."""

    authorization: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FetchVerifiers:
    """Give them to `ScramServer.offer`. `algorithm` is "sha256" or "sha1"."""

    algorithm: str
    authorization: str
    username: str


@dataclass(frozen=True, slots=True)
class CheckToken:
    """When it is not good: send what `refuse` gives; after the client's answer comes `Failed`."""

    authorization: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CheckCertificate:
    """The client says that TLS has shown who it is."""

    authorization: str


@dataclass(frozen=True, slots=True)
class Proven:
    """`index` of the verifier that fits; `final` is our proof, sent as a last challenge where there is no better way
    (RFC 4954 §4, RFC 9051 §6.2.2), answered by the client with nothing.
    """

    index: int
    final: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """`is_guess`: somebody tried to be somebody, as opposed to octets that make no sense."""

    text: str
    is_guess: bool = False


Step = Challenge | CheckPassword | FetchVerifiers | CheckToken | CheckCertificate | Proven | Failed

WRONG: Final = Failed("not accepted", is_guess=True)
_EMPTY: Final = Challenge(b"")


class ServerMechanism(Protocol):
    name: str

    def respond(self, data: bytes | None) -> Step:
        """The initial response, then each answer to a challenge. Nothing after a last step."""


class MalformedError(Exception):
    """Octets that are not what the mechanism asks for."""


class PlainServer:
    name = "PLAIN"

    def respond(self, data: bytes | None) -> Step:
        if data is None:
            return _EMPTY
        parts = data.split(b"\0")
        if len(parts) != 3:
            return Failed("PLAIN is [authzid] NUL authcid NUL passwd")
        return check_password(*parts)


class LoginServer:
    """The prompts are those that Outlook knows. An initial response is the user name."""

    name = "LOGIN"

    def __init__(self) -> None:
        self._username: bytes | None = None

    def respond(self, data: bytes | None) -> Step:
        if data is None:
            return Challenge(b"Username:")
        if self._username is None:
            self._username = data
            return Challenge(b"Password:")
        return check_password(b"", self._username, data)


class ExternalServer:
    name = "EXTERNAL"

    def respond(self, data: bytes | None) -> Step:
        if data is None:
            return _EMPTY
        try:
            return CheckCertificate(read_name(data, may_be_empty=True))
        except MalformedError as error:
            return Failed(str(error))
        except PrepError:
            return WRONG


class OauthBearerServer:
    """RFC 7628 §3.1. `scope` goes into the error that a client gets for a token that is not good (§3.2.2)."""

    name = "OAUTHBEARER"

    def __init__(self, scope: str = "") -> None:
        self._scope = scope
        self._is_refused = False

    def respond(self, data: bytes | None) -> Step:
        if self._is_refused:
            return WRONG  # whatever it says now; RFC 7628 §3.2.3 wants a single %x01
        if data is None:
            return _EMPTY
        header, separator, pairs = data.partition(_SEPARATOR)
        parts = header.split(b",")
        is_known = len(parts) == 3 and parts[0] in {b"n", b"y"} and not parts[2]
        if not separator or not is_known or (parts[1] and not parts[1].startswith(b"a=")):
            return Failed("OAUTHBEARER is a GS2 header and pairs between %x01")
        return check_token(parts[1][2:].replace(b"=2C", b",").replace(b"=3D", b"="), pairs)

    def refuse(self) -> Challenge:
        self._is_refused = True
        return _describe_refusal("invalid_token", self._scope)


class Xoauth2Server:
    name = "XOAUTH2"

    def __init__(self, scope: str = "") -> None:
        self._scope = scope
        self._is_refused = False

    def respond(self, data: bytes | None) -> Step:
        if self._is_refused:
            return WRONG
        if data is None:
            return _EMPTY
        user, separator, pairs = data.partition(_SEPARATOR)
        if not separator or not user.startswith(b"user="):
            return Failed('XOAUTH2 is "user=", a name, and pairs between %x01')
        return check_token(user[5:], pairs)

    def refuse(self) -> Challenge:
        self._is_refused = True
        return _describe_refusal("401", self._scope)


def _describe_refusal(status: str, scope: str) -> Challenge:
    said = {"status": status, "schemes": "bearer"} | ({"scope": scope} if scope else {})
    return Challenge(json.dumps(said, separators=(",", ":")).encode("ascii"))


def check_password(authorization: bytes, username: bytes, password: bytes) -> CheckPassword | Failed:
    if not 0 < len(password) <= MAX_PASSWORD_OCTETS or b"\0" in password:
        return Failed("password is empty or too long")
    try:
        return CheckPassword(
            read_name(authorization, may_be_empty=True), read_name(username), prepare(password.decode("utf-8"))
        )
    except MalformedError as error:
        return Failed(str(error))
    except PrepError:
        return WRONG  # RFC 4616 §2: what cannot be prepared was never a password here
    except UnicodeDecodeError:
        return Failed("not UTF-8")


def check_token(username: bytes, pairs: bytes) -> CheckToken | Failed:
    """`pairs` are key=value, each ended by %x01, and one more %x01 at the end."""
    if not pairs.endswith(_SEPARATOR * 2) and pairs != _SEPARATOR:
        return Failed("pairs are not ended by %x01")
    values = [value for key, _, value in (pair.partition(b"=") for pair in pairs.split(_SEPARATOR)) if key == b"auth"]
    bearer = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if bearer is None or len(bearer[1]) > MAX_TOKEN_OCTETS:
        return Failed("one auth=Bearer pair is needed")
    try:
        return CheckToken(read_name(username, may_be_empty=True), bearer[1].decode("ascii"))
    except MalformedError as error:
        return Failed(str(error))
    except PrepError:
        return WRONG


def read_name(octets: bytes, *, may_be_empty: bool = False) -> str:
    """A user name, prepared. Raises MalformedError, PrepError."""
    if len(octets) > MAX_NAME_OCTETS or b"\0" in octets or not (octets or may_be_empty):
        raise MalformedError("name is empty or too long")
    try:
        name = prepare(octets.decode("utf-8"))
    except UnicodeDecodeError:
        raise MalformedError("not UTF-8") from None
    if not name and not may_be_empty:
        raise PrepError("nothing is left of the name")
    return name
