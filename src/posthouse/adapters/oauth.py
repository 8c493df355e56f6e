"""Access tokens of a configured issuer: asked about one by one (RFC 7662), or signed and checked here (RFC 9068,
RFC 7517).

Signatures are by public keys only: no "none", and no HMAC, where the issuer's public key would pass as a secret. Keys
are kept for ten minutes; a key that nobody knows fetches them anew, at most once a minute, and an issuer that did not
answer is left alone for some seconds. Tokens that are bound to a key of the client (RFC 9449 §6, RFC 8705 §3) are
refused: nothing here could see the binding, so whoever stole one could use it. A token never gives the right to
manage: what is made with that would outlive it.

The issuer is trusted for who somebody is, not for what an account may do. Nothing durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, KeySetSerialization

from posthouse.message.instant import Instant
from posthouse.ports.clock import Clock
from posthouse.ports.credentials import SourceAnswer, TokenFacts
from posthouse.ports.fetch import Fetch, FetchError
from posthouse.ports.login import Scope
from posthouse.ports.observe import Log

ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
# RFC 9068 §4; many issuers still say plain "JWT", or nothing. Others are made for something else.
_TYPES: Final = frozenset({"at+jwt", "application/at+jwt", "jwt", ""})
_KEYS_KEPT_S: Final = 600.0
_FETCH_AGAIN_S: Final = 60.0
_TRY_AGAIN_S: Final = 5.0
_LEEWAY_S: Final = 60.0
_SCOPES: Final = frozenset({Scope.READ, Scope.SEND})


@dataclass(frozen=True, slots=True)
class TokenRules:
    """`issuer` and `audience` must stand in a token, where they are not ""; `login_claim` names the account's address;
    `scope`, if not "", must be among its scopes.
    """

    issuer: str = ""
    audience: str = ""
    login_claim: str = "email"
    scope: str = ""


class IntrospectedTokens:
    """RFC 7662: `url` with our own client id and secret."""

    def __init__(
        self, fetch: Fetch, url: str, login: tuple[str, str], rules: TokenRules, clock: Clock, log: Log
    ) -> None:
        self._fetch, self._url, self._login = fetch, url, login
        self._rules, self._clock, self._log = rules, clock, log

    async def check(self, token: str) -> TokenFacts | SourceAnswer:
        try:
            answer = await self._fetch.post_form(
                self._url, {"token": token, "token_type_hint": "access_token"}, self._login
            )
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            claims = msgspec.json.decode(answer.body, type=dict[str, object])
        except (FetchError, msgspec.DecodeError) as error:
            self._log.warning("token introspection failed", url=self._url, reason=str(error))
            return SourceAnswer.UNAVAILABLE
        if claims.get("active") is not True:
            return SourceAnswer.NO
        return read_claims(claims, self._rules, self._clock.now())


class SignedTokens:
    """RFC 9068: JWTs, checked with the keys at `url`."""

    def __init__(self, fetch: Fetch, url: str, rules: TokenRules, clock: Clock, log: Log) -> None:
        self._fetch, self._url, self._rules, self._clock, self._log = fetch, url, rules, clock, log
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._failed_at: float | None = None
        self._fetching: asyncio.Future[bool] | None = None

    async def check(self, token: str) -> TokenFacts | SourceAnswer:
        age = self._clock.monotonic() - self._fetched_at
        if (self._keys is None or age > _KEYS_KEPT_S) and not await self._fetch_keys():
            return SourceAnswer.UNAVAILABLE
        claims = self._decode(token)
        if claims is None and self._clock.monotonic() - self._fetched_at > _FETCH_AGAIN_S:
            # Perhaps signed with a key that is new.
            if not await self._fetch_keys():
                return SourceAnswer.UNAVAILABLE
            claims = self._decode(token)
        if claims is None or not isinstance(claims.get("exp"), int | float):
            return SourceAnswer.NO
        return read_claims(claims, self._rules, self._clock.now())

    def _decode(self, token: str) -> Mapping[str, object] | None:
        assert self._keys is not None
        try:
            decoded = jwt.decode(token, self._keys, algorithms=ALGORITHMS)
        except (JoseError, ValueError):
            return None
        kind = decoded.header.get("typ", "")
        return decoded.claims if isinstance(kind, str) and kind.lower() in _TYPES else None

    async def _fetch_keys(self) -> bool:
        """Once for all who wait for it."""
        if self._fetching is None:
            failed_at = self._failed_at
            if failed_at is not None and self._clock.monotonic() - failed_at < _TRY_AGAIN_S:
                return False
            self._fetching = asyncio.ensure_future(self._try_fetch())
        return await asyncio.shield(self._fetching)

    async def _try_fetch(self) -> bool:
        try:
            answer = await self._fetch.get(self._url)
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            self._keys = KeySet.import_key_set(msgspec.json.decode(answer.body, type=KeySetSerialization))
        except (FetchError, JoseError, ValueError) as error:
            self._log.warning("keys of the token issuer could not be fetched", url=self._url, reason=str(error))
            self._failed_at = self._clock.monotonic()
            return False
        finally:
            self._fetching = None
        self._fetched_at = self._clock.monotonic()
        self._failed_at = None
        return True


def read_claims(claims: Mapping[str, object], rules: TokenRules, now: Instant) -> TokenFacts | SourceAnswer:
    """What a token says that is already known to be genuine."""
    login = claims.get(rules.login_claim)
    if not isinstance(login, str) or not _is_meant_for_us(claims, rules) or not _is_current(claims, now):
        return SourceAnswer.NO
    if rules.login_claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        return SourceAnswer.NO
    expires = claims.get("exp")
    until = Instant(float(expires)) if isinstance(expires, int | float) else None
    return TokenFacts(login, _SCOPES, until)


def _is_meant_for_us(claims: Mapping[str, object], rules: TokenRules) -> bool:
    audience, scope = claims.get("aud"), claims.get("scope", "")
    audiences = audience if isinstance(audience, list) else [audience]
    return (
        "cnf" not in claims
        and (not rules.issuer or claims.get("iss") == rules.issuer)
        and (not rules.audience or rules.audience in audiences)
        and (not rules.scope or (isinstance(scope, str) and rules.scope in scope.split()))
    )


def _is_current(claims: Mapping[str, object], now: Instant) -> bool:
    """Their clock may be ahead of ours by a minute. Behind it none is given: expired is expired."""
    expires, not_before = claims.get("exp"), claims.get("nbf")
    return (not isinstance(expires, int | float) or now < expires < _FOREVER) and (
        not isinstance(not_before, int | float) or now >= not_before - _LEEWAY_S
    )


_FOREVER: Final = 1e12  # beyond it a number is no time
