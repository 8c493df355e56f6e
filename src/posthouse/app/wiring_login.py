"""From the settings of [login] to the `Authenticator` of a worker, with the sources that the configuration names."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from posthouse.adapters.compute import ThreadCompute
from posthouse.adapters.fetch import HttpFetch
from posthouse.adapters.oauth import IntrospectedTokens, SignedTokens, TokenRules
from posthouse.adapters.passwords import Argon2Hash, PasswordFile
from posthouse.config.settings import Settings
from posthouse.message.peer import Peer
from posthouse.ports.clock import Clock
from posthouse.ports.credentials import Credentials, TokenSource
from posthouse.ports.directory import Accounts
from posthouse.ports.login import Scope
from posthouse.ports.observe import Log, Metrics
from posthouse.ports.resolver import Resolver
from posthouse.trust.authenticator import Authenticator, LoginFigures, LoginParts, LoginSettings
from posthouse.trust.login import SaslConversation
from posthouse.trust.throttle import ThrottleSettings

FLUSH_S = 10.0  # how often the worker should call Authenticator.flush
_FETCH_TIMEOUT_S = 10.0
_HASH_THREADS = 2
_DENIED = "Logins by outcome."


@dataclass(frozen=True, slots=True)
class LoginWiring:
    """`read` gives a file of the configuration, as the supervisor may have read it for us."""

    settings: Settings
    credentials: Credentials
    accounts: Accounts
    clock: Clock
    log: Log
    resolver: Resolver
    read: Callable[[str], bytes]

    def authenticator(self, metrics: Metrics) -> Authenticator:
        hasher, compute = Argon2Hash(), ThreadCompute(_HASH_THREADS)
        path = self.settings.login.password_file
        parts = LoginParts(
            credentials=self.credentials,
            accounts=self.accounts,
            hasher=hasher,
            compute=compute,
            clock=self.clock,
            log=self.log,
            figures=login_figures(metrics),
            pause=asyncio.sleep,
            secret_octets=secrets.token_bytes,
            sources=[PasswordFile(path, hasher, compute, self.log)] if path is not None else [],
            tokens=self._tokens(),
        )
        return Authenticator(login_settings(self.settings), parts)

    def _tokens(self) -> TokenSource | None:
        login = self.settings.login
        url, keys_url, secret_file = login.oauth_introspection_url, login.oauth_keys_url, login.oauth_client_secret_file
        if url is None and keys_url is None:
            return None
        rules = TokenRules(
            issuer=login.oauth_issuer or "",
            audience=login.oauth_audience or "",
            login_claim=login.oauth_login_claim,
            scope=login.oauth_scope or "",
        )
        context = ssl.create_default_context()
        fetch = HttpFetch(self.resolver, context, _FETCH_TIMEOUT_S, allow_private=login.oauth_private_addresses)
        if url is None:
            assert keys_url is not None
            return SignedTokens(fetch, keys_url, rules, self.clock, self.log)
        secret = self.read(secret_file).decode("utf-8").strip("\r\n") if secret_file is not None else ""
        return IntrospectedTokens(fetch, url, (login.oauth_client_id or "", secret), rules, self.clock, self.log)


class Logins:
    """Who logs in at a worker's listeners."""

    def __init__(self, wiring: LoginWiring, close: Callable[[], None], metrics: Metrics) -> None:
        self._authenticator = wiring.authenticator(metrics)
        self._close = close

    def converse(self, peer: Peer) -> SaslConversation:
        """Of somebody who wants to send."""
        return SaslConversation(self._authenticator, peer, Scope.SEND)

    async def flush(self) -> None:
        await self._authenticator.flush()

    async def close(self) -> None:
        await self._authenticator.flush()
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
