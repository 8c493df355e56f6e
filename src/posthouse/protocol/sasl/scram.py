"""SCRAM-SHA-256 as a client (RFC 5802, RFC 7677), without channel binding.

The password never leaves; the server has to prove that it knows it too. The iteration count is the server's choice
and therefore bounded, and what was derived is kept by the caller, so that the work is done once and not per login.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import MutableMapping

MIN_ITERATIONS = 4096  # RFC 7677 §4
MAX_ITERATIONS = 1_000_000

# (password digest, salt, iterations) -> SaltedPassword
KeyCache = MutableMapping[tuple[bytes, bytes, int], bytes]


class ScramError(Exception):
    """The server's message is not one of RFC 5802 §7, or its proof is wrong."""


class ScramClient:
    """`username` and `password` come prepared (RFC 4013); `nonce` is printable ASCII without comma."""

    def __init__(self, username: str, password: str, nonce: str, keys: KeyCache) -> None:
        self._password = password.encode()
        self._nonce = nonce
        self._keys = keys
        name = username.replace("=", "=3D").replace(",", "=2C")
        self._bare = f"n={name},r={nonce}"
        self._server_signature = b""
        self.is_proven = False

    def first_message(self) -> bytes:
        return f"n,,{self._bare}".encode()  # "n": no channel binding

    def respond(self, challenge: bytes) -> bytes:
        """The final message for the server's first, b"" for its final one. Raises ScramError."""
        text = challenge.decode("utf-8", "replace")
        if not self._server_signature:
            return self._answer_first(text)
        self._check_final(text)
        return b""

    def _answer_first(self, text: str) -> bytes:
        nonce, salt, iterations = self._parse_first(text)
        salted = self._salt_password(salt, iterations)
        without_proof = f"c=biws,r={nonce}"  # biws: base64 of "n,,"
        signed = f"{self._bare},{text},{without_proof}".encode()
        client_key = _sign(salted, b"Client Key")
        signature = _sign(hashlib.sha256(client_key).digest(), signed)
        proof = bytes([a ^ b for a, b in zip(client_key, signature, strict=True)])
        self._server_signature = _sign(_sign(salted, b"Server Key"), signed)
        return f"{without_proof},p={base64.b64encode(proof).decode('ascii')}".encode()

    def _parse_first(self, text: str) -> tuple[str, bytes, int]:
        parts = text.split(",")
        if len(parts) < 3 or [part[:2] for part in parts[:3]] != ["r=", "s=", "i="]:  # "m=" first: not understood
            raise ScramError("first message of the server is malformed")
        nonce = parts[0][2:]
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ScramError("nonce of the server does not continue ours")
        count = parts[2][2:]
        if not (count.isascii() and count.isdigit() and len(count) <= 8):
            raise ScramError("iteration count is not a number")
        if not MIN_ITERATIONS <= int(count) <= MAX_ITERATIONS:
            raise ScramError("iteration count is out of range")
        return nonce, _decode(parts[1][2:]), int(count)

    def _salt_password(self, salt: bytes, iterations: int) -> bytes:
        key = (hashlib.sha256(self._password).digest(), salt, iterations)
        salted = self._keys.get(key)
        if salted is None:
            salted = self._keys[key] = hashlib.pbkdf2_hmac("sha256", self._password, salt, iterations)
        return salted

    def _check_final(self, text: str) -> None:
        if not text.startswith("v="):
            raise ScramError("the server refuses the proof")
        if not hmac.compare_digest(_decode(text[2:].split(",", 1)[0]), self._server_signature):
            raise ScramError("the server does not know the password")
        self.is_proven = True


def _sign(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ScramError("not base64") from None
