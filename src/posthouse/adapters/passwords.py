"""argon2id (RFC 9106) for passwords that people choose, and a file of such hashes as a source of its own.

19 MiB, two passes, one lane: about 22 ms of a core, and the interpreter is free meanwhile. The file has a line for each
login, `user:{ARGON2ID}$argon2id$...`, as Dovecot's passwd-file has; fields behind the hash are ignored, and so are
lines with another scheme, since theirs would take another time. It is read again when it has
changed. Nothing is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from posthouse.ports.compute import Compute
from posthouse.ports.credentials import PasswordHash, SourceAnswer
from posthouse.ports.observe import Log

_SCHEME: Final = "{ARGON2ID}"


class Argon2Hash:
    decoy = "$argon2id$v=19$m=19456,t=2,p=1$cG9zdGhvdXNlIGRlY295IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1)

    def hash(self, password: str) -> str:
        return self._hasher.hash(password)

    def verify(self, encoded: str, password: str) -> bool:
        try:
            return self._hasher.verify(encoded, password)
        except (VerificationError, InvalidHashError):
            return False


class PasswordFile:
    """A login that is not in it costs a run of the hash too."""

    name = "file"

    def __init__(self, path: str, hasher: PasswordHash, compute: Compute, log: Log) -> None:
        self._path = path
        self._hasher = hasher
        self._compute = compute
        self._log = log
        self._version: tuple[int, int, int] | None = None
        self._hashes: Mapping[str, str] = {}

    async def check(self, login: str, password: str) -> SourceAnswer:
        try:
            self._refresh()
        except (OSError, ValueError) as error:
            self._log.error("password file cannot be read", path=self._path, reason=str(error))
            return SourceAnswer.UNAVAILABLE
        encoded = self._hashes.get(login.casefold(), self._hasher.decoy)
        is_right = await self._compute.run(partial(self._hasher.verify, encoded, password))
        return SourceAnswer.YES if is_right else SourceAnswer.NO

    def _refresh(self) -> None:
        facts = os.stat(self._path)
        version = facts.st_mtime_ns, facts.st_size, facts.st_ino
        if version != self._version:
            self._hashes = parse_password_file(Path(self._path).read_text("utf-8"))
            self._version = version


def parse_password_file(text: str) -> dict[str, str]:
    """Hashes by login name, case-folded. Blank lines and comments (#) are passed over."""
    hashes: dict[str, str] = {}
    for line in text.splitlines():
        user, _, rest = line.partition(":")
        secret = rest.partition(":")[0].strip()
        if user and not user.startswith("#") and secret.startswith(_SCHEME):
            hashes[user.strip().casefold()] = secret.removeprefix(_SCHEME)
    return hashes
