"""From passwords to what is kept of them: argon2id for what people choose, a keyed hash for what we made up.

Next to both stand the verifiers of SCRAM (RFC 5802 §3). For a main password they are the weaker spot if the directory
is stolen, so their iterations are far above the 4096 of RFC 7677 §4. All verifiers of an account share one salt, made
from the server's secret; a name that does not exist gets its salt from the same secret, so nobody can tell.

A known limit: an account that is reached by two names shows the same salt under both, while made-up names differ.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import NEW, Credential, CredentialKind, PasswordHash, ScramVerifier
from posthouse.ports.login import Scope
from posthouse.protocol.sasl.prep import prepare
from posthouse.protocol.sasl.server_scram import ScramKeys, ScramOffer, derive_keys

KEYED: Final = "hmac-sha256$"
# Not a setting: whoever has a verifier would answer with another count than whoever has none.
ITERATIONS: Final = 65_536
SALT_OCTETS: Final = 16
APP_PASSWORD_OCTETS: Final = 15  # 120 bits in six groups of four


@dataclass(frozen=True, slots=True)
class NewPassword:
    """`password` as typed. `scopes` is what it will be good for."""

    account: AccountId
    kind: CredentialKind
    password: str
    name: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)


def make_credential(new: NewPassword, hasher: PasswordHash, server_secret: bytes, now: Instant) -> Credential:
    """A row for `Credentials.add`. Takes about 0.1 s of processor time: for `Compute`.

    Raises PrepError (a ValueError) for characters that no password may have (RFC 4013).
    """
    password = prepare(new.password)
    if not password:
        raise ValueError("the password is empty")
    is_main = new.kind is CredentialKind.MAIN
    return Credential(
        id=NEW,
        account=new.account,
        kind=new.kind,
        secret=hasher.hash(password) if is_main else keyed_hash(server_secret, password),
        name=new.name,
        scopes=new.scopes,
        scram_sha256=_make_verifier("sha256", password, new.account, server_secret),
        scram_sha1=_make_verifier("sha1", password, new.account, server_secret),
        created=now,
    )


def make_app_password(secret_octets: Callable[[int], bytes]) -> str:
    """Like "abcd-efgh-ijkl-mnop-qrst-uvwx"."""
    text = base64.b32encode(secret_octets(APP_PASSWORD_OCTETS)).decode("ascii").lower()
    return "-".join([text[start : start + 4] for start in range(0, len(text), 4)])


def keyed_hash(server_secret: bytes, password: str) -> str:
    return KEYED + hmac.digest(server_secret, b"app password\0" + password.encode(), "sha256").hex()


def account_salt(server_secret: bytes, algorithm: str, account: AccountId) -> bytes:
    return _mix(server_secret, f"scram salt\0{algorithm}\0account\0{account}")[:SALT_OCTETS]


def make_up_offer(server_secret: bytes, algorithm: str, name: str) -> ScramOffer:
    """What a name without verifiers is answered: always the same, and no password fits it."""
    salt = _mix(server_secret, f"scram salt\0{algorithm}\0name\0{name.casefold()}")[:SALT_OCTETS]
    keys = _mix(server_secret, f"scram keys\0{name.casefold()}")
    size = 32 if algorithm == "sha256" else 20
    return ScramOffer(salt, ITERATIONS, [ScramKeys(keys[:size], keys[:size])])


def _make_verifier(algorithm: str, password: str, account: AccountId, server_secret: bytes) -> ScramVerifier:
    salt = account_salt(server_secret, algorithm, account)
    keys = derive_keys(algorithm, password, salt, ITERATIONS)
    return ScramVerifier(salt, ITERATIONS, keys.stored, keys.server)


def _mix(server_secret: bytes, text: str) -> bytes:
    return hmac.digest(server_secret, text.encode(), "sha256")
