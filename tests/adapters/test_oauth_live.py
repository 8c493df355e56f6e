"""Access tokens of an issuer that is really asked, by HTTPS on loopback, up to the answer that SMTP gives."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trustme
from joserfc.jwk import RSAKey

from posthouse.adapters.fetch import HttpFetch, is_public
from posthouse.adapters.oauth import IntrospectedTokens, SignedTokens, TokenRules
from posthouse.ports.clock import FakeClock
from posthouse.ports.credentials import SourceAnswer, TokenFacts
from posthouse.ports.fetch import FetchError
from posthouse.ports.login import Scope
from posthouse.ports.observe import FakeLog
from posthouse.trust.login import Accepted, Challenge, smtp_reply
from tests.adapters.token_issuer import Issuer, open_issuer
from tests.trust.test_login import Rig, finish

NOW = FakeClock().now()
RULES = TokenRules(issuer="https://id.example", audience="mail", scope="mail")
CLAIMS: dict[str, object] = {
    "iss": "https://id.example",
    "aud": "mail",
    "scope": "openid mail",
    "email": "alice@example.org",
    "exp": NOW + 300,
}


def signed(issuer: Issuer, fetch: HttpFetch, clock: FakeClock | None = None) -> SignedTokens:
    return SignedTokens(fetch, issuer.url("jwks"), RULES, clock or FakeClock(), FakeLog())


def introspected(issuer: Issuer, fetch: HttpFetch) -> IntrospectedTokens:
    return IntrospectedTokens(fetch, issuer.url("introspect"), ("posthouse", "p:w"), RULES, FakeClock(), FakeLog())


async def say(rig: Rig, token: str, mechanism: str = "OAUTHBEARER") -> int:
    """The code that SMTP answers in the end."""
    start = b"n,," if mechanism == "OAUTHBEARER" else b"user=alice@example.org"
    conversation = rig.converse()
    turn = await finish(conversation.begin(mechanism, start + b"\x01auth=Bearer " + token.encode() + b"\x01\x01"))
    if isinstance(turn, Challenge):
        turn = await finish(conversation.step(b"\x01"))
    return smtp_reply(turn).code


async def test_keys_rotate_and_the_old_ones_are_no_good_any_more() -> None:
    async with open_issuer() as issuer:
        clock, fetch = FakeClock(), issuer.fetch()
        tokens = signed(issuer, fetch, clock)
        old, new = issuer.keys[0], RSAKey.generate_key(2048, {"kid": "two"})
        assert isinstance(await tokens.check(issuer.sign(CLAIMS, old)), TokenFacts)
        issuer.keys = [old, new]
        clock.advance(61)
        assert isinstance(await tokens.check(issuer.sign(CLAIMS, new)), TokenFacts)
        issuer.keys = [new]
        clock.advance(61)
        await tokens.check("x.y.z")  # whatever is unknown makes them look again
        assert await tokens.check(issuer.sign(CLAIMS, old)) is SourceAnswer.NO
        assert issuer.requests == ["/jwks"] * 3
        await fetch.close()


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://id.example.evil.example"},
        {"aud": "calendar"},
        {"aud": ["calendar", "web"]},
        {"exp": NOW},
        {"exp": NOW - 30},
        {"exp": 10**400},
        {"nbf": NOW + 90},
        {"cnf": {"jkt": "a key that we never see"}},
        {"email_verified": [1]},
    ],
)
async def test_a_genuine_token_that_is_not_for_us_or_not_for_now(change: dict[str, object]) -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        tokens = signed(issuer, fetch)
        assert await tokens.check(issuer.sign(CLAIMS | change, issuer.keys[0])) is SourceAnswer.NO
        issuer.known["t"] = CLAIMS | {"active": True} | change
        assert await introspected(issuer, fetch).check("t") is SourceAnswer.NO
        await fetch.close()


async def test_a_clock_that_is_a_little_ahead_of_ours() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        token = issuer.sign(CLAIMS | {"nbf": NOW + 45, "iat": NOW + 45}, issuer.keys[0])
        assert isinstance(await signed(issuer, fetch).check(token), TokenFacts)
        await fetch.close()


@pytest.mark.parametrize("kind", ["logout+jwt", "secevent+jwt", "dpop+jwt"])
async def test_what_an_issuer_signs_for_something_else_is_no_access_token(kind: str) -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        assert await signed(issuer, fetch).check(issuer.sign(CLAIMS, issuer.keys[0], kind)) is SourceAnswer.NO
        await fetch.close()


async def test_introspection_logs_in_with_our_name_and_secret() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        issuer.known["t"] = CLAIMS | {"active": True}
        facts = await introspected(issuer, fetch).check("t")
        assert isinstance(facts, TokenFacts)
        assert facts.scopes == {Scope.READ, Scope.SEND}
        assert issuer.basic == "posthouse:p:w"
        assert await introspected(issuer, fetch).check("other") is SourceAnswer.NO
        await fetch.close()


@pytest.mark.parametrize("mechanism", ["OAUTHBEARER", "XOAUTH2"])
async def test_an_outage_of_the_issuer_is_454_and_no_penalty(mechanism: str) -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        rig = Rig()
        rig.authenticator.parts = replace(rig.authenticator.parts, tokens=introspected(issuer, fetch))
        issuer.known["t"] = CLAIMS | {"active": True}
        assert await say(rig, "t", mechanism) == 235
        assert await say(rig, "wrong", mechanism) == 535
        issuer.raw = b"HTTP/1.1 503 Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        assert await say(rig, "new", mechanism) == 454
        await issuer.stop()
        for _ in range(30):
            assert await say(rig, "new", mechanism) == 454
        assert rig.pauses == []
        assert await say(rig, "t", mechanism) == 235  # remembered until it expires
        rig.clock.advance(301)
        assert await say(rig, "t", mechanism) == 454
        await fetch.close()


async def test_an_issuer_without_answer_is_not_asked_by_every_login() -> None:
    async with open_issuer() as issuer:
        issuer.raw = b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        clock, fetch = FakeClock(), issuer.fetch()
        tokens = signed(issuer, fetch, clock)
        for _ in range(5):
            assert await tokens.check("a.b.c") is SourceAnswer.UNAVAILABLE
        assert len(issuer.requests) == 1
        issuer.raw = None
        clock.advance(6)
        assert isinstance(await tokens.check(issuer.sign(CLAIMS, issuer.keys[0])), TokenFacts)
        await fetch.close()


async def test_ten_connections_with_one_token_ask_once() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        rig = Rig()
        rig.authenticator.parts = replace(rig.authenticator.parts, tokens=introspected(issuer, fetch))
        issuer.known["t"] = CLAIMS | {"active": True}
        start = b"user=alice@example.org\x01auth=Bearer t\x01\x01"
        turns = [rig.converse().begin("XOAUTH2", start) for _ in range(10)]
        assert all([isinstance(await finish(turn), Accepted) for turn in turns])
        assert len(issuer.requests) == 1
        await fetch.close()


async def test_an_impostor_with_a_certificate_of_somebody_else_is_not_believed() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch(authority=trustme.CA())
        issuer.known["t"] = CLAIMS | {"active": True}
        assert await introspected(issuer, fetch).check("t") is SourceAnswer.UNAVAILABLE
        assert issuer.requests == []
        await fetch.close()


async def test_the_next_address_is_asked_when_the_first_refuses() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch(addresses=["127.0.0.2", "127.0.0.1"])
        assert (await fetch.get(issuer.url("jwks"))).status == 200
        await fetch.close()


@pytest.mark.parametrize("is_silent", [True, False])
async def test_an_answer_has_one_deadline_however_it_trickles(is_silent: bool) -> None:
    async with open_issuer() as issuer:
        issuer.is_silent, issuer.drips = is_silent, not is_silent
        fetch = issuer.fetch(timeout_s=0.3)
        with pytest.raises(FetchError):
            await fetch.get(issuer.url("jwks"))
        await fetch.close()


async def test_redirects_are_not_followed_and_large_answers_not_read() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        issuer.raw = b"HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
        assert (await fetch.get(issuer.url("jwks"))).status == 302
        issuer.raw = b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + b"x" * 2_000_000
        with pytest.raises(FetchError, match="too big"):
            await fetch.get(issuer.url("jwks"))
        assert issuer.requests == ["/jwks"] * 2
        await fetch.close()


async def test_cookies_are_not_kept() -> None:
    async with open_issuer() as issuer:
        fetch = issuer.fetch()
        issuer.raw = b"HTTP/1.1 200 OK\r\nSet-Cookie: who=me; Path=/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        await fetch.get(issuer.url("jwks"))
        await fetch.get(issuer.url("jwks"))
        assert issuer.cookies == ["", ""]
        await fetch.close()


def test_private_addresses_in_the_clothes_of_public_ones() -> None:
    private = ["127.0.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::1", "fe80::1", "224.0.0.1"]
    assert not [address for address in private if is_public(address)]
    assert is_public("9.9.9.9")
    assert is_public("2620:fe::fe")
    assert is_public("64:ff9b::909:909")
