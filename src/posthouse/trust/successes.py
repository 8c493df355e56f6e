"""Passwords that were right a moment ago, so that ten connections of a mail program cost one argon2.

Keys are HMACs under a key of this process: nothing kept here is of use to who reads it. An entry only says which row
it was, and with which secret; whoever uses it looks whether row and account are still the same.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import Credential
from posthouse.ports.login import Scope


@dataclass(frozen=True, slots=True)
class Match:
    """What fitted: a row, or a source without rows ("pam", "ldap", ...)."""

    account: AccountId
    row: Credential | None = None
    source: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)  # of the source; a row has its own


class Successes:
    """Bounded; what was used longest ago goes first. `until` and `now` are of the monotonic clock."""

    def __init__(self, key: bytes, max_entries: int) -> None:
        self._key = key
        self._max_entries = max_entries
        self._entries: dict[bytes, tuple[Match, float]] = {}

    def digest(self, *words: str) -> bytes:
        return hmac.digest(self._key, "\0".join(words).encode(), "sha256")

    def get(self, digest: bytes, now: float) -> Match | None:
        entry = self._entries.pop(digest, None)
        if entry is None or entry[1] <= now:
            return None
        self._entries[digest] = entry
        return entry[0]

    def keep(self, digest: bytes, match: Match, until: float) -> None:
        self._entries.pop(digest, None)
        self._entries[digest] = match, until
        if len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]
