"""Access tokens: good ones, forged ones, old ones, and issuers that do not answer; and which addresses are asked."""

from __future__ import annotations

import json
import ssl

import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from posthouse.adapters.fetch import HttpFetch
from posthouse.adapters.oauth import IntrospectedTokens, SignedTokens, TokenRules
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import SourceAnswer, TokenFacts
from posthouse.ports.fetch import FakeFetch, Fetched, FetchError
from posthouse.ports.observe import FakeLog
from posthouse.ports.resolver import FakeResolver

KEYS, INTROSPECT, ISSUER = "https://id.example/jwks", "https://id.example/introspect", "https://id.example"
RULES = TokenRules(issuer=ISSUER, audience="mail", scope="mail")
KEY = RSAKey.generate_key(2048, {"kid": "one"})
NOW = FakeClock().now()
CLAIMS = {"iss": ISSUER, "aud": ["mail"], "scope": "openid mail", "email": "alice@example.org", "exp": NOW + 300}


def sign(claims: dict[str, object], key: RSAKey = KEY, algorithm: str = "RS256") -> str:
    return jwt.encode({"alg": algorithm, "kid": "one"}, claims, key)


def key_set(*keys: RSAKey) -> Fetched:
    return Fetched(200, json.dumps({"keys": [key.as_dict(private=False) for key in keys]}).encode())


def signed(fetch: FakeFetch, clock: FakeClock | None = None) -> SignedTokens:
    return SignedTokens(fetch, KEYS, RULES, clock or FakeClock(), FakeLog())


async def test_a_signed_token_says_who_it_is() -> None:
    fetch = FakeFetch({KEYS: key_set(KEY)})
    tokens = signed(fetch)
    for _ in range(3):
        facts = await tokens.check(sign(CLAIMS))
        assert isinstance(facts, TokenFacts)
        assert (facts.login, facts.expires) == ("alice@example.org", CLAIMS["exp"])
    assert len(fetch.asked) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://evil.example"},
        {"aud": "other"},
        {"scope": "openid"},
        {"email": 5},
        {"email_verified": False},
        {"exp": NOW - 1},
        {"exp": None},
        {"nbf": NOW + 3600},
    ],
)
async def test_a_token_that_is_for_something_else(change: dict[str, object]) -> None:
    token = sign({key: value for key, value in (CLAIMS | change).items() if value is not None})
    assert await signed(FakeFetch({KEYS: key_set(KEY)})).check(token) is SourceAnswer.NO


async def test_forged_tokens() -> None:
    tokens = signed(FakeFetch({KEYS: key_set(KEY)}))
    other = RSAKey.generate_key(2048, {"kid": "one"})
    public = OctKey.import_key(json.dumps(KEY.as_dict(private=False)))  # joserfc itself refuses a PEM here
    with_hmac = jwt.encode({"alg": "HS256", "kid": "one"}, CLAIMS, public)
    head, body, _ = sign(CLAIMS).split(".")
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    for token in (sign(CLAIMS, other), with_hmac, unsigned, f"{head}.{body}.", "x", "a.b.c", ""):
        assert await tokens.check(token) is SourceAnswer.NO


async def test_a_new_key_is_fetched_but_not_at_every_wrong_token() -> None:
    clock, new = FakeClock(), RSAKey.generate_key(2048, {"kid": "one"})
    fetch = FakeFetch({KEYS: key_set(KEY)})
    tokens = signed(fetch, clock)
    await tokens.check(sign(CLAIMS))
    fetch.answers[KEYS] = key_set(new)
    assert await tokens.check(sign(CLAIMS, new)) is SourceAnswer.NO
    assert len(fetch.asked) == 1
    clock.advance(61)
    assert isinstance(await tokens.check(sign(CLAIMS, new)), TokenFacts)


@pytest.mark.parametrize("answer", [Fetched(500, b""), Fetched(200, b"<html>"), Fetched(200, b"{}")])
async def test_an_issuer_that_does_not_answer_is_no_wrong_token(answer: Fetched) -> None:
    assert await signed(FakeFetch({})).check(sign(CLAIMS)) is SourceAnswer.UNAVAILABLE
    assert await signed(FakeFetch({KEYS: answer})).check(sign(CLAIMS)) is SourceAnswer.UNAVAILABLE


async def test_introspection() -> None:
    fetch = FakeFetch({INTROSPECT: Fetched(200, json.dumps({"active": True} | CLAIMS).encode())})
    tokens = IntrospectedTokens(fetch, INTROSPECT, ("me", "secret"), RULES, FakeClock(), FakeLog())
    assert isinstance(await tokens.check("opaque"), TokenFacts)
    assert fetch.asked[0][1]["token"] == "opaque"
    fetch.answers[INTROSPECT] = Fetched(200, b'{"active": false}')
    assert await tokens.check("opaque") is SourceAnswer.NO
    fetch.answers[INTROSPECT] = Fetched(401, b"{}")
    assert await tokens.check("opaque") is SourceAnswer.UNAVAILABLE


@pytest.mark.parametrize(
    "url",
    [
        "https://inside.example/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/",
        "https://unknown.example/",
        "http://outside.example/",
        "file:///etc/passwd",
        "https://",
    ],
)
async def test_private_addresses_and_plain_http_are_not_asked(url: str) -> None:
    resolver = FakeResolver(ipv4={"inside.example": ["10.0.0.1"], "outside.example": ["192.0.2.1"]})
    fetch = HttpFetch(resolver, ssl.create_default_context(), 1.0, allow_private=False)
    with pytest.raises(FetchError):
        await fetch.get(url)
    await fetch.close()
