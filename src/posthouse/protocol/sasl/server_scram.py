"""SCRAM as a server (RFC 5802, RFC 7677), with and without channel binding (RFC 5929, RFC 9266).

An account may have several passwords, but the client hears one salt and one iteration count before it proves that it
knows a password: so all verifiers of an account share them, and the proof is held against each. All are tried, always.
The caller makes up salt and verifier for names that do not exist; the dialogue is the same to its end.

Pure: the nonce is an argument. `derive_keys` is slow on purpose and belongs beside the event loop.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from posthouse.protocol.sasl.prep import PrepError
from posthouse.protocol.sasl.server import (
    WRONG,
    Challenge,
    Failed,
    FetchVerifiers,
    MalformedError,
    Proven,
    Step,
    read_name,
)

ALGORITHMS: Final[Mapping[str, str]] = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}
END_POINT: Final = "tls-server-end-point"  # RFC 5929 §4
EXPORTER: Final = "tls-exporter"  # RFC 9266 §2
MAX_NONCE = 512
MAX_MESSAGE = 4096

# RFC 5802 §7. gs2-header = gs2-cbind-flag "," [ authzid ] ","
_FIRST = re.compile(
    rb"(?P<header>(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]{1,64})),(?:a=(?P<authzid>[^,]+))?,)"
    rb"(?P<bare>n=(?P<name>[^,]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\x00]*)*)"
)
# client-final-message = channel-binding "," nonce ["," extensions] "," proof
_FINAL = re.compile(
    rb"(?P<unproven>c=(?P<channel>[A-Za-z0-9+/=]+),r=(?P<nonce>[!-+\--~]+)(?:,[A-Za-z]=[^,\x00]*)*)"
    rb",p=(?P<proof>[A-Za-z0-9+/=]+)"
)
_BAD_ESCAPE = re.compile(rb"=(?!2C|3D)")


class ScramKeys(NamedTuple):
    stored: bytes
    server: bytes


@dataclass(frozen=True, slots=True)
class ScramOffer:
    """What belongs to a user name. `keys` holds at least one pair, made up where there is none."""

    salt: bytes
    iterations: int
    keys: Sequence[ScramKeys] = field(repr=False)


def derive_keys(algorithm: str, password: str, salt: bytes, iterations: int) -> ScramKeys:
    """RFC 5802 §3, from a prepared password."""
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    return ScramKeys(hashlib.new(algorithm, client_key).digest(), hmac.digest(salted, b"Server Key", algorithm))


class ScramServer:
    """`name` with "-PLUS" binds to the channel; `bindings` are the types this connection can be bound by.

    `offers_plus`: the mechanism was offered with -PLUS too, so a client that could bind but thinks we cannot has been
    lied to (RFC 5802 §6).
    """

    def __init__(self, name: str, nonce: str, bindings: Mapping[str, bytes], *, offers_plus: bool) -> None:
        self.name = name
        self._algorithm = ALGORITHMS[name.removesuffix("-PLUS")]
        self._is_plus = name.endswith("-PLUS")
        self._server_nonce = nonce
        self._bindings = bindings
        self._offers_plus = offers_plus
        self._channel = b""  # what the final message has to repeat, in base64
        self._nonce = b""
        self._bare = b""
        self._first = b""  # our first message
        self._keys: Sequence[ScramKeys] = ()

    def respond(self, data: bytes | None) -> Step:
        if data is None:
            return Challenge(b"")
        if len(data) > MAX_MESSAGE:
            return Failed("message is too long")
        return self._read_final(data) if self._first else self._read_first(data)

    def offer(self, offer: ScramOffer) -> Challenge:
        """The answer to `FetchVerifiers`."""
        self._keys = offer.keys
        salt = base64.b64encode(offer.salt)
        self._first = b"r=%s,s=%s,i=%d" % (self._nonce, salt, offer.iterations)
        return Challenge(self._first)

    def _read_first(self, data: bytes) -> Step:
        first = _FIRST.fullmatch(data)
        if first is None or len(first["nonce"]) > MAX_NONCE:  # "m=" too: an extension nobody knows must fail
            return Failed("not the first message of SCRAM")
        refusal = self._look_at_binding(first["flag"], first["binding"])
        if refusal is not None:
            return refusal
        binding = self._bindings[first["binding"].decode("ascii")] if self._is_plus else b""
        self._channel = base64.b64encode(first["header"] + binding)
        self._bare = first["bare"]
        self._nonce = first["nonce"] + self._server_nonce.encode("ascii")
        try:
            authorization = _read_saslname(first["authzid"] or b"", may_be_empty=True)
            return FetchVerifiers(self._algorithm, authorization, _read_saslname(first["name"]))
        except MalformedError as error:
            return Failed(str(error))
        except PrepError:
            return WRONG

    def _look_at_binding(self, flag: bytes, binding: bytes | None) -> Failed | None:
        if self._is_plus is not (binding is not None):
            return Failed("channel binding does not fit the mechanism")
        if binding is not None and binding.decode("ascii") not in self._bindings:
            return Failed("channel binding type is not supported")
        if flag == b"y" and self._offers_plus:
            return Failed("channel binding is offered here")
        return None

    def _read_final(self, data: bytes) -> Step:
        final = _FINAL.fullmatch(data)
        if final is None:
            return Failed("not the final message of SCRAM")
        if final["nonce"] != self._nonce:
            return Failed("nonce is not ours")
        if not hmac.compare_digest(final["channel"], self._channel):
            return WRONG  # somebody between us and the client
        try:
            proof = base64.b64decode(final["proof"], validate=True)
        except (binascii.Error, ValueError):
            return Failed("not base64")
        return self._check_proof(proof, b"%s,%s,%s" % (self._bare, self._first, final["unproven"]))

    def _check_proof(self, proof: bytes, signed: bytes) -> Step:
        found = -1
        for index, keys in enumerate(self._keys):
            if _fits(self._algorithm, keys.stored, proof, signed):
                found = index
        if found < 0:
            return WRONG
        signature = hmac.digest(self._keys[found].server, signed, self._algorithm)
        return Proven(found, b"v=" + base64.b64encode(signature))


def _fits(algorithm: str, stored: bytes, proof: bytes, signed: bytes) -> bool:
    signature = hmac.digest(stored, signed, algorithm)
    if len(proof) != len(signature):
        return False
    size = len(signature)
    client_key = (int.from_bytes(proof, "big") ^ int.from_bytes(signature, "big")).to_bytes(size, "big")
    return hmac.compare_digest(hashlib.new(algorithm, client_key).digest(), stored)


def _read_saslname(octets: bytes, *, may_be_empty: bool = False) -> str:
    """RFC 5802 §5.1: "," is "=2C" and "=" is "=3D", and no other "=" may be there."""
    if _BAD_ESCAPE.search(octets):
        raise MalformedError("bad escape in name")
    return read_name(octets.replace(b"=2C", b",").replace(b"=3D", b"="), may_be_empty=may_be_empty)
