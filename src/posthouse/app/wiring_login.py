"""From the settings of [login] to the `Authenticator` of a worker, with the sources that the configuration names."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.fetch import HttpFetch
from posthouse.adapters.ldap import LdapPlace, LdapRules, LdapSource, connect
from posthouse.adapters.oauth import IntrospectedTokens, SignedTokens, TokenRules
from posthouse.adapters.pam import LibPam, PamSource, has_service
from posthouse.adapters.passwords import Argon2Hash, PasswordFile
from posthouse.app.login_failures import LoginFailures
from posthouse.app.worker_context import Link
from posthouse.config.settings import Settings
from posthouse.message.peer import Peer
from posthouse.ports.clock import Clock
from posthouse.ports.compute import Compute
from posthouse.ports.credentials import Credentials, PasswordHash, PasswordSource, TokenSource
from posthouse.ports.directory import Accounts
from posthouse.ports.login import Login, Scope
from posthouse.ports.observe import Log, Metrics
from posthouse.ports.resolver import Resolver
from posthouse.trust.authenticator import Authenticator, LoginFigures, LoginParts, LoginSettings, ignore_failure
from posthouse.trust.login import SaslConversation
from posthouse.trust.names import spell_login
from posthouse.trust.throttle import ThrottleSettings

FLUSH_S = 10.0  # how often the worker should call Authenticator.flush
_FETCH_TIMEOUT_S = 10.0
_HASH_THREADS = 2
_SOURCE_THREADS = 8  # PAM and LDAP block
_DENIED = "Logins by outcome."
DISABLED = "This account was disabled"
CHANGED = "The password was changed, log in again"


@dataclass(frozen=True, slots=True)
class LoginWiring:
    """`read` gives a file of the configuration, as the supervisor may have read it for us; `spell` and `on_failure`
    as in `LoginParts`.
    """

    settings: Settings
    credentials: Credentials
    accounts: Accounts
    clock: Clock
    log: Log
    resolver: Resolver
    read: Callable[[str], bytes]
    spell: Callable[[str], str] = spell_login
    on_failure: Callable[[str], None] = ignore_failure

    def build(self, metrics: Metrics) -> Desk:
        """Close it."""
        hashing, asking = ThreadCompute(_HASH_THREADS), ThreadCompute(_SOURCE_THREADS)
        hasher, fetch = Argon2Hash(), self._make_fetch()
        parts = LoginParts(
            credentials=self.credentials,
            accounts=self.accounts,
            hasher=hasher,
            compute=hashing,
            clock=self.clock,
            log=self.log,
            figures=login_figures(metrics),
            pause=asyncio.sleep,
            secret_octets=secrets.token_bytes,
            sources=self._make_sources(hasher, hashing, asking),
            tokens=self._make_tokens(fetch) if fetch is not None else None,
            spell=self.spell,
            on_failure=self.on_failure,
        )
        return Desk(Authenticator(login_settings(self.settings), parts), (hashing, asking), fetch)

    # -- passwords that others know

    def _make_sources(self, hasher: PasswordHash, hashing: Compute, asking: Compute) -> list[PasswordSource]:
        """In this order they are asked, until one says yes."""
        path = self.settings.login.password_file
        made: list[PasswordSource] = [PasswordFile(path, hasher, hashing, self.log)] if path is not None else []
        return [*made, *self._make_ldap(asking), *self._make_pam(asking)]

    def _make_ldap(self, compute: Compute) -> list[PasswordSource]:
        login = self.settings.login
        if login.ldap_url is None:
            return []
        rules = LdapRules(
            user_dn=login.ldap_user or "",
            base=login.ldap_base or "",
            filter=login.ldap_filter,
            reader_dn=login.ldap_reader or "",
            reader_password=self._read_secret(login.ldap_reader_password_file),
        )
        seconds = login.source_timeout.total_seconds()
        authorities = self.read(login.ldap_ca_file).decode("ascii") if login.ldap_ca_file is not None else ""
        place = LdapPlace(login.ldap_url, seconds, authorities, uses_tls=not login.ldap_without_tls)
        return [LdapSource(rules, partial(connect, place), compute, seconds, self.log)]

    def _make_pam(self, compute: Compute) -> list[PasswordSource]:
        login = self.settings.login
        if login.pam_service is None:
            return []
        if not has_service(login.pam_service):
            self.log.warning("PAM has no such service, it will take that of others", service=login.pam_service)
        seconds = login.source_timeout.total_seconds()
        return [PamSource(login.pam_service, login.pam_user, LibPam(), compute, seconds, self.log)]

    # -- tokens

    def _make_fetch(self) -> HttpFetch | None:
        login = self.settings.login
        if login.oauth_introspection_url is None and login.oauth_keys_url is None:
            return None
        context = ssl.create_default_context()
        if login.oauth_ca_file is not None:
            context = ssl.create_default_context(cadata=self.read(login.oauth_ca_file).decode("ascii"))
        return HttpFetch(self.resolver, context, _FETCH_TIMEOUT_S, allow_private=login.oauth_private_addresses)

    def _make_tokens(self, fetch: HttpFetch) -> TokenSource:
        login = self.settings.login
        rules = TokenRules(
            issuer=login.oauth_issuer or "",
            audience=login.oauth_audience or "",
            login_claim=login.oauth_login_claim,
            scope=login.oauth_scope or "",
        )
        url = login.oauth_introspection_url
        if url is None:
            assert login.oauth_keys_url is not None
            return SignedTokens(fetch, login.oauth_keys_url, rules, self.clock, self.log)
        ours = login.oauth_client_id or "", self._read_secret(login.oauth_client_secret_file)
        return IntrospectedTokens(fetch, url, ours, rules, self.clock, self.log)

    def _read_secret(self, path: str | None) -> str:
        return self.read(path).decode("utf-8").strip("\r\n") if path is not None else ""


@dataclass(frozen=True, slots=True)
class Desk:
    """An authenticator, and what has to be closed with it."""

    authenticator: Authenticator
    pools: tuple[ThreadCompute, ...]
    fetch: HttpFetch | None

    async def close(self) -> None:
        """What is waiting to be checked is given up."""
        try:
            await self.authenticator.flush()
        finally:
            for pool in self.pools:
                pool.close()
            if self.fetch is not None:
                await self.fetch.close()


class Logins:
    """Who logs in at a worker's listeners. `close` is called when the rest is closed; `link` leads to other workers."""

    def __init__(self, wiring: LoginWiring, close: Callable[[], None], metrics: Metrics, link: Link) -> None:
        failures = LoginFailures(link, self._add_failures)
        self._wiring = wiring
        self._desk = replace(wiring, on_failure=failures.note).build(metrics)
        self._close = close

    def _add_failures(self, keys: Iterable[str]) -> None:
        self._desk.authenticator.add_failures(keys)

    def converse(self, scope: Scope, peer: Peer) -> SaslConversation:
        """Of somebody who wants to read or to send."""
        return SaslConversation(self._desk.authenticator, peer, scope)

    def why_over(self, login: Login) -> str:
        """Why a session that logged in so must end now; "" when it may go on. Immediate. Raises DirectoryError."""
        account = self._wiring.accounts.get(login.account)
        if account is None or account.is_disabled:
            return DISABLED
        known = self._wiring.credentials.list_for(login.account) if login.credential else ()
        is_good = not login.credential or any(each.id == login.credential for each in known)
        return "" if is_good else CHANGED

    async def flush(self) -> None:
        await self._desk.authenticator.flush()

    async def close(self) -> None:
        try:
            await self._desk.close()
        finally:
            self._close()


def login_settings(settings: Settings) -> LoginSettings:
    login = settings.login
    longest = login.longest_wait.total_seconds()
    return LoginSettings(
        mechanisms=login.mechanisms,
        plaintext_on_loopback=login.plaintext_on_loopback,
        account_throttle=ThrottleSettings(free=login.free_failures, longest_wait_s=longest),
        address_throttle=ThrottleSettings(free=login.free_failures_per_address, longest_wait_s=longest),
        remember_success_s=login.remember.total_seconds(),
        max_waiting=login.waiting,
        place_memory_s=login.known_place.total_seconds(),
        oauth_scope=login.oauth_scope or "",
    )


def client_authorities(settings: Settings, service: str) -> str | None:
    """For `make_server_context`: whose client certificates count on a listener. Other servers on port 25 have
    certificates of their own, which must not end their handshakes.
    """
    return settings.tls.client_ca if service != "smtp" else None


def login_figures(metrics: Metrics) -> LoginFigures:
    return LoginFigures(
        accepted=metrics.counter("posthouse_logins_total", _DENIED, outcome="accepted"),
        denied=metrics.counter("posthouse_logins_total", _DENIED, outcome="denied"),
        hashed=metrics.counter("posthouse_password_hashes_total", "Passwords that cost a run of argon2."),
        remembered=metrics.counter("posthouse_passwords_remembered_total", "Passwords known from a moment ago."),
    )
