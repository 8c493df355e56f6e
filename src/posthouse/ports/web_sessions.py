"""Who is signed in at the web page: one row for each browser. Kept in the directory.

`find` is immediate, and a session that another worker has ended is over at the next call. Writes wait for the disk.
What a browser shows is a random token; only a keyed hash of it is stored, so nobody becomes somebody else by reading
the file. Whether a session is still good (its age, its account, its password) is decided by trust/web_logins.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NewType, Protocol

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.credentials import CredentialId

WebSessionId = NewType("WebSessionId", int)
NO_SESSION = WebSessionId(0)
MAX_SESSIONS = 100  # of an account; the one that was used longest ago makes room
MAX_AGENT = 300


@dataclass(frozen=True, slots=True)
class NewWebSession:
    """`credential`: the main password it hangs on, 0 where there is none; `passkey`: the one it was begun with, or 0.
    `agent` is what the browser calls itself.
    """

    account: AccountId
    credential: CredentialId
    passkey: int
    means: str
    at: Instant
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class WebSession:
    """`last_used` is coarse: minutes. `means`: "password", "password and code", "passkey"."""

    id: WebSessionId
    account: AccountId
    credential: CredentialId
    passkey: int
    means: str
    created: Instant
    last_used: Instant
    address: str
    agent: str


@dataclass(frozen=True, slots=True)
class SessionUse:
    session: WebSessionId
    at: Instant
    address: str


class WebSessions(Protocol):
    async def begin(self, token_hash: bytes, new: NewWebSession) -> WebSession: ...

    def find(self, token_hash: bytes) -> WebSession | None: ...

    def list_for(self, account: AccountId) -> Sequence[WebSession]:
        """The latest used first."""

    def list_all(self, limit: int) -> Sequence[WebSession]:
        """Of all accounts, the latest used first."""

    async def end(self, session: WebSessionId, account: AccountId | None = None) -> bool:
        """False when it is not there, or not that account's."""

    async def end_all(self, account: AccountId, keep: WebSessionId = NO_SESSION, passkey: int = 0) -> int:
        """Those of an account but one; only those begun with that passkey, if one is given."""

    async def hang_on(self, session: WebSessionId, credential: CredentialId) -> None:
        """It has another main password from now on."""

    async def note_uses(self, uses: Iterable[SessionUse]) -> None:
        """Many in one commit; what is gone meanwhile is passed over, and time never goes back."""

    async def sweep(self, used_before: Instant, created_before: Instant) -> int:
        """Removes those that are too old, either way."""


class FakeWebSessions:
    """In memory; ids count up and are not reused. `writes` counts what would have waited for the disk."""

    def __init__(self) -> None:
        self.writes = 0
        self._rows: dict[bytes, WebSession] = {}
        self._last_id = 0

    async def begin(self, token_hash: bytes, new: NewWebSession) -> WebSession:
        self.writes += 1
        rows = self.list_for(new.account)
        for row in rows[MAX_SESSIONS - 1 :]:
            self._remove({row.id})
        self._last_id += 1
        identity = WebSessionId(self._last_id)
        agent = new.agent[:MAX_AGENT]
        made = WebSession(
            identity, new.account, new.credential, new.passkey, new.means, new.at, new.at, new.address, agent
        )
        self._rows[token_hash] = made
        return made

    def find(self, token_hash: bytes) -> WebSession | None:
        return self._rows.get(token_hash)

    def list_for(self, account: AccountId) -> Sequence[WebSession]:
        return [row for row in self.list_all(len(self._rows)) if row.account == account]

    def list_all(self, limit: int) -> Sequence[WebSession]:
        return sorted(self._rows.values(), key=lambda row: (-row.last_used, -row.id))[:limit]

    async def end(self, session: WebSessionId, account: AccountId | None = None) -> bool:
        self.writes += 1
        found = {row.id for row in self._rows.values() if row.id == session and account in (None, row.account)}
        return self._remove(found) > 0

    async def end_all(self, account: AccountId, keep: WebSessionId = NO_SESSION, passkey: int = 0) -> int:
        self.writes += 1
        rows = [row for row in self.list_for(account) if row.id != keep]
        return self._remove({row.id for row in rows if not passkey or row.passkey == passkey})

    async def hang_on(self, session: WebSessionId, credential: CredentialId) -> None:
        self.writes += 1
        for token_hash, row in self._rows.items():
            if row.id == session:
                self._rows[token_hash] = replace(row, credential=credential)

    async def note_uses(self, uses: Iterable[SessionUse]) -> None:
        self.writes += 1
        told = {use.session: use for use in uses}
        for token_hash, row in self._rows.items():
            use = told.get(row.id)
            if use is not None and use.at > row.last_used:
                self._rows[token_hash] = replace(row, last_used=use.at, address=use.address)

    async def sweep(self, used_before: Instant, created_before: Instant) -> int:
        self.writes += 1
        rows = self._rows.values()
        return self._remove({row.id for row in rows if row.last_used < used_before or row.created < created_before})

    def _remove(self, sessions: set[WebSessionId]) -> int:
        gone = [token_hash for token_hash, row in self._rows.items() if row.id in sessions]
        for token_hash in gone:
            del self._rows[token_hash]
        return len(gone)
