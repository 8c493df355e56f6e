"""What people log in with: passwords as rows, and the places they came from before. Kept in the directory.

Reads are immediate: each worker has them cached and sees a change at its next call. Writes wait for the disk.
Nothing here is a password: `secret` is an argon2id string or a keyed hash, and SCRAM verifiers let nobody log in.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NewType, Protocol

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.login import SaveSent, Scope

CredentialId = NewType("CredentialId", int)
NEW: CredentialId = CredentialId(0)  # not stored yet

_NEVER = Instant(0.0)
MAX_PLACES = 100  # kept for one account, the latest
SERVER_SECRET_OCTETS = 32


class CredentialKind(enum.StrEnum):
    MAIN = "main"  # at most one of an account; chosen by a person, hence slow to check
    APP = "app"  # made by us at random: a fast keyed hash is enough


@dataclass(frozen=True, slots=True)
class ScramVerifier:
    """RFC 5802 §3. All verifiers of one account and hash have the same salt and iterations: a client says only its
    user name before it is told them, and any of the account's passwords may follow.
    """

    salt: bytes = field(repr=False)
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credential:
    """`secret`: "$argon2id$..." or "hmac-sha256$" and hex, made by trust/secrets.py; told apart by that prefix.

    `name` is given by people ("Phone"), unique in an account, "" for the main password.
    """

    id: CredentialId
    account: AccountId
    kind: CredentialKind
    secret: str = field(repr=False)
    name: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    scram_sha256: ScramVerifier | None = None
    scram_sha1: ScramVerifier | None = None
    created: Instant = _NEVER
    last_used: Instant | None = None
    save_sent: SaveSent = SaveSent.AUTO
    deduplicates: bool = True


@dataclass(frozen=True, slots=True)
class Use:
    """A success: `credential` 0 for sources without rows, `place` like "192.0.2.0/24", "" on a unix socket."""

    account: AccountId
    credential: CredentialId
    place: str
    at: Instant


class Credentials(Protocol):
    def list_for(self, account: AccountId) -> Sequence[Credential]:
        """Main password first. Empty for an account that is not there."""

    async def add(self, credential: Credential) -> Credential:
        """Store it and give it its id (never reused). MAIN takes the place of the one before it.

        Raises ValueError when the account has another one of that name, or is not there.
        """

    async def remove(self, account: AccountId, credential: CredentialId) -> bool:
        """False when it is not there."""

    async def note_uses(self, uses: Iterable[Use]) -> None:
        """Last uses and places, many in one commit; what is gone meanwhile is passed over, and time never goes back."""

    def last_success(self, account: AccountId, place: str) -> Instant | None:
        """When the account last logged in from that place; at most `MAX_PLACES` of an account are remembered."""

    def server_secret(self) -> bytes:
        """32 random octets, made once and never changed: keyed hashes and the salts of SCRAM hang on it."""


class PasswordHash(Protocol):
    """The slow hash. Both block for some 20 ms: for `Compute`. Count them, and you know how long a check takes.

    `decoy` is an encoding like any other that no password fits.
    """

    decoy: str

    def hash(self, password: str) -> str: ...

    def verify(self, encoded: str, password: str) -> bool:
        """False also for an encoding that it does not know."""


class SourceAnswer(enum.Enum):
    YES = "yes"
    NO = "no"  # the wrong password, or it does not know that name
    UNAVAILABLE = "unavailable"  # cannot tell now


class PasswordSource(Protocol):
    """Somebody else who can check a password: PAM, LDAP, a file. The account itself is always in our directory."""

    name: str

    async def check(self, login: str, password: str) -> SourceAnswer: ...


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """What a valid access token says: the login name it was issued for, what for, and until when (None: not said)."""

    login: str
    scopes: frozenset[Scope]
    expires: Instant | None = None


class TokenSource(Protocol):
    """Access tokens of a configured issuer (RFC 7662, RFC 9068)."""

    async def check(self, token: str) -> TokenFacts | SourceAnswer:
        """Never YES: that is what `TokenFacts` are."""


class FakeCredentials:
    """In memory; ids count up and are not reused. `batches` tells how often uses were stored."""

    def __init__(self, rows: Iterable[Credential] = (), secret: bytes = b"s" * SERVER_SECRET_OCTETS) -> None:
        self.batches = 0
        self._rows: dict[CredentialId, Credential] = {}
        self._places: dict[AccountId, dict[str, Instant]] = {}
        self._secret = secret
        self._last_id = 0
        for row in rows:
            self._store(row)

    def list_for(self, account: AccountId) -> Sequence[Credential]:
        rows = [row for row in self._rows.values() if row.account == account]
        return sorted(rows, key=lambda row: (row.kind is not CredentialKind.MAIN, row.id))

    async def add(self, credential: Credential) -> Credential:
        return self._store(credential)

    def _store(self, credential: Credential) -> Credential:
        rows = self.list_for(credential.account)
        if credential.kind is CredentialKind.MAIN:
            for row in [row for row in rows if row.kind is CredentialKind.MAIN]:
                del self._rows[row.id]
        elif any(row.name == credential.name for row in rows):
            raise ValueError(f"there is another credential named {credential.name!r}")
        self._last_id += 1
        stored = replace(credential, id=CredentialId(self._last_id))
        self._rows[stored.id] = stored
        return stored

    async def remove(self, account: AccountId, credential: CredentialId) -> bool:
        row = self._rows.get(credential)
        if row is None or row.account != account:
            return False
        del self._rows[credential]
        return True

    async def note_uses(self, uses: Iterable[Use]) -> None:
        self.batches += 1
        for use in uses:
            row = self._rows.get(use.credential)
            if row is not None and row.account == use.account:
                self._rows[row.id] = replace(row, last_used=max(use.at, row.last_used or use.at))
            if use.place:
                self._note_place(self._places.setdefault(use.account, {}), use)

    def _note_place(self, places: dict[str, Instant], use: Use) -> None:
        places[use.place] = max(use.at, places.get(use.place, use.at))
        if len(places) > MAX_PLACES:
            del places[min(places, key=lambda place: places[place])]

    def last_success(self, account: AccountId, place: str) -> Instant | None:
        return self._places.get(account, {}).get(place)

    def server_secret(self) -> bytes:
        return self._secret


class FakePasswordHash:
    """Quick and readable; `runs` counts every run of the hash, `verified` the encodings that were looked at."""

    decoy = "$argon2id$fake$"

    def __init__(self) -> None:
        self.runs = 0
        self.verified: list[str] = []

    def hash(self, password: str) -> str:
        self.runs += 1
        return f"$argon2id$fake${password}"

    def verify(self, encoded: str, password: str) -> bool:
        self.runs += 1
        self.verified.append(encoded)
        return encoded == f"$argon2id$fake${password}" != self.decoy


class FakePasswordSource:
    """`passwords` by login name; `is_down` makes it unavailable. `asked` lists the names it was asked about."""

    name = "fake"

    def __init__(self, passwords: dict[str, str]) -> None:
        self.passwords = passwords
        self.is_down = False
        self.asked: list[str] = []

    async def check(self, login: str, password: str) -> SourceAnswer:
        self.asked.append(login)
        if self.is_down:
            return SourceAnswer.UNAVAILABLE
        return SourceAnswer.YES if self.passwords.get(login) == password else SourceAnswer.NO


class FakeTokenSource:
    def __init__(self, tokens: dict[str, TokenFacts]) -> None:
        self.tokens = tokens
        self.is_down = False
        self.asked = 0

    async def check(self, token: str) -> TokenFacts | SourceAnswer:
        self.asked += 1
        if self.is_down:
            return SourceAnswer.UNAVAILABLE
        return self.tokens.get(token, SourceAnswer.NO)
