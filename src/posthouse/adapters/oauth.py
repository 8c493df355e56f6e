"""Access tokens of a configured issuer: asked about one by one (RFC 7662), or signed and checked here (RFC 9068,
RFC 7517).

Signatures are by public keys only: no "none", and no HMAC, where the issuer's public key would pass as a secret. Keys
are kept for ten minutes; a key id that nobody knows fetches them anew, at most once a minute. The issuer is trusted for
who somebody is, not for what an account may do. Nothing durable.
"""

from __future__ import annotations

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
_KEYS_KEPT_S: Final = 600.0
_FETCH_AGAIN_S: Final = 60.0
_LEEWAY_S: Final = 60.0


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
            return jwt.decode(token, self._keys, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError):
            return None

    async def _fetch_keys(self) -> bool:
        try:
            answer = await self._fetch.get(self._url)
            if answer.status != 200:
                raise FetchError(f"status {answer.status}")
            self._keys = KeySet.import_key_set(msgspec.json.decode(answer.body, type=KeySetSerialization))
        except (FetchError, JoseError, ValueError) as error:
            self._log.warning("keys of the token issuer could not be fetched", url=self._url, reason=str(error))
            return False
        self._fetched_at = self._clock.monotonic()
        return True


def read_claims(claims: Mapping[str, object], rules: TokenRules, now: Instant) -> TokenFacts | SourceAnswer:
    """What a token says that is already known to be genuine."""
    login = claims.get(rules.login_claim)
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    scope = claims.get("scope", "")
    expires, not_before = claims.get("exp"), claims.get("nbf")
    is_good = (
        isinstance(login, str)
        and (not rules.issuer or claims.get("iss") == rules.issuer)
        and (not rules.audience or rules.audience in audiences)
        and (not rules.scope or (isinstance(scope, str) and rules.scope in scope.split()))
        and (rules.login_claim != "email" or claims.get("email_verified", True) is True)
        and (not isinstance(expires, int | float) or now < expires)
        and (not isinstance(not_before, int | float) or now >= not_before - _LEEWAY_S)
    )
    if not is_good or not isinstance(login, str):
        return SourceAnswer.NO
    until = Instant(float(expires)) if isinstance(expires, int | float) else None
    return TokenFacts(login, frozenset(Scope), until)
