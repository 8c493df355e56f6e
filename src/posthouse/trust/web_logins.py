"""Sessions of the web page: begun after a sign-in, looked at with each request, ended by their owner or by time.

    token = await logins.begin(login, Browser(address, agent), "password")     # into the cookie
    found = logins.find(token, address)         # SignedIn(login, session) or None; immediate
    await logins.flush()                        # every few seconds and at the end of the worker

A session is over when it was not used for `idle_s`, is older than `lifetime_s`, was ended, when its account is disabled
or gone, or when the main password it hangs on is no longer the account's. Tokens are random and only ever stored as a
keyed hash. Trusts the ports; tokens and addresses come from the browser. A last use that was not yet stored is lost in
a crash: at worst somebody signs in again a few minutes earlier than he had to.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.ports.credentials import Credential, CredentialId, CredentialKind, Credentials
from posthouse.ports.directory import Accounts
from posthouse.ports.login import Login
from posthouse.ports.web_sessions import NewWebSession, SessionUse, WebSession, WebSessionId, WebSessions

MECHANISM: Final = "WEB"
TOKEN_OCTETS: Final = 32
_MAX_TOKEN = 100
_MAX_PENDING = 50_000
_SWEEP_S = 3600.0


@dataclass(frozen=True, slots=True)
class WebLoginSettings:
    """`grain_s`: a use is stored again after that long."""

    idle_s: float = 14 * 86400.0
    lifetime_s: float = 90 * 86400.0
    grain_s: float = 300.0


@dataclass(frozen=True, slots=True)
class Browser:
    address: str
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SignedIn:
    login: Login
    session: WebSession


@dataclass(slots=True)
class WebLogins:
    """One per worker."""

    sessions: WebSessions
    credentials: Credentials
    accounts: Accounts
    clock: Clock
    secret_octets: Callable[[int], bytes]
    settings: WebLoginSettings = WebLoginSettings()
    _uses: dict[WebSessionId, SessionUse] = field(init=False, default_factory=dict)
    _swept: float = field(init=False, default=float("-inf"))

    async def begin(self, login: Login, browser: Browser, means: str, passkey: int = 0) -> str:
        """The token. `login.credential`: the main password that was shown, or has to stay for the session to stay."""
        token = base64.urlsafe_b64encode(self.secret_octets(TOKEN_OCTETS)).decode("ascii").rstrip("=")
        new = NewWebSession(
            login.account,
            CredentialId(login.credential),
            passkey,
            means,
            self.clock.now(),
            browser.address,
            "".join(filter(str.isprintable, browser.agent)),
        )
        await self.sessions.begin(self._hash(token), new)
        return token

    def find(self, token: str, address: str = "") -> SignedIn | None:
        """Counts as a use when an address is told. Raises DirectoryError."""
        if not token or len(token) > _MAX_TOKEN:
            return None
        session = self.sessions.find(self._hash(token))
        if session is None or self._is_over(session):
            return None
        login = self._make_login(session)
        if login is None:
            return None
        if address:
            self._note_use(session, address)
        return SignedIn(login, session)

    def is_alive(self, session: WebSession) -> bool:
        """For those who list sessions: what is over by time is not shown."""
        return not self._is_over(session) and self._make_login(session) is not None

    def main_password(self, account: AccountId) -> Credential | None:
        rows = self.credentials.list_for(account)
        return next((row for row in rows if row.kind is CredentialKind.MAIN), None)

    async def flush(self) -> None:
        """Stores uses; now and then removes what is over."""
        if self._uses:
            uses, self._uses = self._uses, {}
            await self.sessions.note_uses(uses.values())
        if self.clock.monotonic() - self._swept >= _SWEEP_S:
            self._swept = self.clock.monotonic()
            now = self.clock.now()
            used, created = Instant(now - self.settings.idle_s), Instant(now - self.settings.lifetime_s)
            await self.sessions.sweep(used, created)

    def _hash(self, token: str) -> bytes:
        return hmac.digest(self.credentials.server_secret(), b"web session\0" + token.encode(), "sha256")

    def _is_over(self, session: WebSession) -> bool:
        now, pending = self.clock.now(), self._uses.get(session.id)
        used = max(session.last_used, pending.at) if pending is not None else session.last_used
        return now - used >= self.settings.idle_s or now - session.created >= self.settings.lifetime_s

    def _make_login(self, session: WebSession) -> Login | None:
        account = self.accounts.get(session.account)
        if account is None or account.is_disabled:
            return None
        row = self.main_password(session.account) if session.credential else None
        if row is None:
            return None if session.credential else Login(account.id, account.address, MECHANISM)
        if row.id != session.credential:
            return None
        return Login(
            account.id,
            account.address,
            MECHANISM,
            row.id,
            save_sent=row.save_sent,
            deduplicates=row.deduplicates,
        )

    def _note_use(self, session: WebSession, address: str) -> None:
        now = self.clock.now()
        if now - session.last_used >= self.settings.grain_s and len(self._uses) < _MAX_PENDING:
            self._uses[session.id] = SessionUse(session.id, now, address)
