"""Logging in, for every protocol that lets people in (SMTP AUTH, IMAP, POP3, ManageSieve, HTTP).

    conversation = SaslConversation(authenticator, peer, Scope.SEND)     # one per session
    conversation.mechanisms()               # what to announce now, and what it would be under TLS
    turn = conversation.begin("PLAIN", b"\\0alice@example.org\\0secret")   # initial response, None without one
    turn = conversation.step(data)          # each answer of the client to a Challenge, decoded from base64
    turn = conversation.check_password("alice@example.org", "secret", "LOGIN")   # IMAP LOGIN, POP3 USER/PASS, Basic
    turn = conversation.check_token("eyJ...", "")                               # HTTP's Bearer

A turn is one of
    Challenge(data)      send it (base64), give the client's answer to `step`; "*" of the client: call `cancel`
    Accepted(login)      ports/login.py; the conversation is over
    Denied(why)          over; `.reply` is SMTP's answer, the other protocols have their own words for `why`
or an `asyncio.Future` of one, where a hash, a token's issuer or a penalty takes time. Never an exception.
`smtp_reply(turn)` makes the 334, 235 or refusal of it (RFC 4954 §4).

The peer is looked at when a conversation begins, so STARTTLS may come before. After a `Denied` the next `begin` starts
anew; how often is for the caller to limit. The worker calls `Authenticator.flush` every few seconds and at its end.
Only one step at a time. Nothing durable here.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import assert_never

from posthouse.message.peer import Peer, is_loopback
from posthouse.ports.credentials import Credential
from posthouse.ports.directory import DirectoryError
from posthouse.ports.login import Mechanisms, Scope
from posthouse.protocol.sasl.server import (
    Challenge,
    CheckCertificate,
    CheckPassword,
    CheckToken,
    ExternalServer,
    Failed,
    FetchVerifiers,
    LoginServer,
    OauthBearerServer,
    PlainServer,
    Proven,
    ServerMechanism,
    Step,
    Xoauth2Server,
    check_password,
)
from posthouse.protocol.sasl.server_scram import ScramServer
from posthouse.trust.authenticator import Attempt, Authenticator
from posthouse.trust.verdicts import Accepted, Denied, Turn, Verdict, Why, smtp_reply

__all__ = [
    "Accepted",
    "Authenticator",
    "Challenge",
    "Denied",
    "Mechanisms",
    "SaslConversation",
    "Turn",
    "Turning",
    "Why",
    "smtp_reply",
]

Turning = Turn | asyncio.Future[Turn]

_REVEALING = frozenset({"PLAIN", "LOGIN", "OAUTHBEARER", "XOAUTH2"})
_WEAKER = frozenset({"PLAIN", "LOGIN", "SCRAM-SHA-1"})
_TOKENS = frozenset({"OAUTHBEARER", "XOAUTH2"})
_MALFORMED = Denied(Why.MALFORMED)
_UNAVAILABLE = Denied(Why.UNAVAILABLE)
_NONCE_OCTETS = 18


class SaslConversation:
    """`scope` is what the session is going to do: a password that is not for that is denied."""

    __slots__ = ("_attempt", "_authenticator", "_final", "_mechanism", "_peer", "_rows", "_scope")

    def __init__(self, authenticator: Authenticator, peer: Peer, scope: Scope) -> None:
        self._authenticator = authenticator
        self._peer = peer
        self._scope = scope
        self.cancel()

    def cancel(self) -> None:
        self._mechanism: ServerMechanism | None = None
        self._attempt: Attempt | None = None
        self._rows: Sequence[Credential] = ()
        self._final: Verdict | None = None

    def mechanisms(self) -> Mechanisms:
        switched_on = [name for name in self._authenticator.settings.mechanisms if self._is_possible(name)]
        weak = _WEAKER.difference(self._authenticator.settings.mechanisms)
        if self._is_private():
            return Mechanisms(tuple(switched_on), too_weak=weak)
        hidden = _REVEALING.intersection(switched_on)
        return Mechanisms(tuple(name for name in switched_on if name not in hidden), hidden, weak)

    def begin(self, mechanism: str, initial: bytes | None) -> Turning:
        self.cancel()
        name = mechanism.upper()
        known = self.mechanisms()
        if name in known.after_tls:
            return Denied(Why.NEEDS_TLS)
        if name not in known.offered:
            return Denied(Why.TOO_WEAK if name in known.too_weak else Why.UNKNOWN_MECHANISM)
        self._mechanism = self._make(name, known.offered)
        return self._take(self._mechanism.respond(initial))

    def step(self, data: bytes) -> Turning:
        if self._final is not None:  # the client has our proof; it has nothing more to say
            final = self._final
            self.cancel()
            return final if not data else _MALFORMED
        if self._mechanism is None:
            return _MALFORMED
        return self._take(self._mechanism.respond(data))

    def check_password(self, username: str, password: str, mechanism: str) -> Turning:
        """`mechanism` is the word for it in Received fields and logs."""
        if not self._is_private():
            return Denied(Why.NEEDS_TLS)
        said = check_password(b"", username.encode("utf-8", "replace"), password.encode("utf-8", "replace"))
        try:
            if isinstance(said, Failed):
                attempt = self._begin_attempt(mechanism, username)
                return asyncio.ensure_future(self._fail(attempt)) if said.is_guess else _MALFORMED
            attempt = self._begin_attempt(mechanism, said.username)
            return _widen(self._authenticator.check_password(attempt, said.password))
        except DirectoryError:
            return _UNAVAILABLE

    def check_token(self, token: str, authorization: str = "") -> Turning:
        if not self._is_private():
            return Denied(Why.NEEDS_TLS)
        return _widen(self._authenticator.check_token(self._begin_attempt("BEARER", "", authorization), token))

    # -- what is possible on this connection

    def _is_private(self) -> bool:
        """The connection itself keeps what is said on it secret."""
        if self._peer.tls_version:
            return True
        return self._authenticator.settings.plaintext_on_loopback and is_loopback(self._peer)

    def _is_possible(self, name: str) -> bool:
        if name.endswith("-PLUS"):
            return bool(self._peer.channel_bindings)
        if name == "EXTERNAL":
            return bool(self._peer.certificate_names)
        return name not in _TOKENS or self._authenticator.parts.tokens is not None

    def _make(self, name: str, offered: Sequence[str]) -> ServerMechanism:
        if name.startswith("SCRAM-"):
            nonce = base64.b64encode(self._authenticator.parts.secret_octets(_NONCE_OCTETS)).decode("ascii")
            has_plus = f"{name.removesuffix('-PLUS')}-PLUS" in offered
            return ScramServer(name, nonce, self._peer.channel_bindings or {}, offers_plus=has_plus)
        if name in _TOKENS:
            scope = self._authenticator.settings.oauth_scope
            return OauthBearerServer(scope) if name == "OAUTHBEARER" else Xoauth2Server(scope)
        return _SIMPLE[name]()

    # -- steps

    def _take(self, step: Step) -> Turning:
        try:
            return self._follow(step)
        except DirectoryError:
            return _UNAVAILABLE

    def _follow(self, step: Step) -> Turning:
        match step:
            case Challenge():
                return step
            case CheckPassword(authorization, username, password):
                attempt = self._begin_attempt("", username, authorization)
                return _widen(self._authenticator.check_password(attempt, password))
            case FetchVerifiers():
                return self._fetch_verifiers(step)
            case CheckToken(authorization, token):
                attempt = self._begin_attempt("", "", authorization)
                return self._after_token(self._authenticator.check_token(attempt, token))
            case CheckCertificate(authorization):
                return _widen(self._authenticator.check_certificate(self._begin_attempt("", "", authorization)))
            case Proven():
                return self._take_proof(step)
            case Failed():
                return self._take_failure(step)
            case _:
                assert_never(step)

    def _begin_attempt(self, mechanism: str, username: str, authorization: str = "") -> Attempt:
        name = mechanism or (self._mechanism.name if self._mechanism is not None else "")
        self._attempt = self._authenticator.attempt(self._peer, self._scope, name, username, authorization)
        return self._attempt

    def _fetch_verifiers(self, step: FetchVerifiers) -> Turning:
        assert isinstance(self._mechanism, ScramServer)
        attempt = self._begin_attempt("", step.username, step.authorization)
        if self._authenticator.must_wait(attempt):
            return self._authenticator.refuse_hastiness(attempt)
        offer, self._rows = self._authenticator.offer_verifiers(attempt, step.algorithm)
        return self._mechanism.offer(offer)

    def _take_proof(self, step: Proven) -> Turning:
        attempt = self._attempt
        assert attempt is not None
        if self._authenticator.must_wait(attempt):  # somebody guesses in many conversations at once
            return self._authenticator.refuse_hastiness(attempt)
        turn = self._authenticator.wait_turn(attempt)
        if turn is None:
            return self._prove(attempt, step)
        return asyncio.ensure_future(self._prove_in_turn(attempt, step, turn))

    async def _prove_in_turn(self, attempt: Attempt, step: Proven, turn: asyncio.Future[None]) -> Turn:
        await turn
        proven = self._prove(attempt, step)
        return await proven if isinstance(proven, asyncio.Future) else proven

    def _prove(self, attempt: Attempt, step: Proven) -> Turning:
        if step.index >= len(self._rows):
            return asyncio.ensure_future(self._fail(attempt))
        verdict = self._authenticator.accept_proof(attempt, self._rows[step.index])
        if isinstance(verdict, Denied):
            return verdict
        self._final = verdict
        return Challenge(step.final)

    def _take_failure(self, step: Failed) -> Turning:
        if not step.is_guess:
            self.cancel()
            return _MALFORMED
        if isinstance(self._mechanism, OauthBearerServer | Xoauth2Server) and self._attempt is not None:
            return Denied(Why.WRONG)  # counted when the token was refused
        attempt = self._attempt or self._begin_attempt("", "")
        if self._authenticator.must_wait(attempt):
            return self._authenticator.refuse_hastiness(attempt)
        return asyncio.ensure_future(self._fail(attempt, self._authenticator.wait_turn(attempt)))

    async def _fail(self, attempt: Attempt, turn: asyncio.Future[None] | None = None) -> Turn:
        if turn is not None:
            await turn
        return await self._authenticator.fail(attempt)

    def _after_token(self, verdict: Verdict | asyncio.Future[Verdict]) -> Turning:
        if isinstance(verdict, asyncio.Future):
            assert isinstance(self._mechanism, OauthBearerServer | Xoauth2Server)
            return asyncio.ensure_future(_wait_for_token(self._mechanism, verdict))
        return verdict


async def _wait_for_token(mechanism: OauthBearerServer | Xoauth2Server, verdict: Awaitable[Verdict]) -> Turn:
    """A token that is not good is told in a challenge first (RFC 7628 §3.2.2)."""
    denied = await verdict
    return mechanism.refuse() if isinstance(denied, Denied) and denied.why is Why.WRONG else denied


_SIMPLE: dict[str, Callable[[], ServerMechanism]] = {
    "PLAIN": PlainServer,
    "LOGIN": LoginServer,
    "EXTERNAL": ExternalServer,
}


def _widen(verdict: Verdict | asyncio.Future[Verdict]) -> Turning:
    """A future of a verdict is a future of a turn; the type system wants it said."""
    if not isinstance(verdict, asyncio.Future):
        return verdict
    return asyncio.ensure_future(_turn(verdict))


async def _turn(verdict: asyncio.Future[Verdict]) -> Turn:
    return await verdict
