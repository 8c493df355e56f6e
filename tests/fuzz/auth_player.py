"""The server core with AUTH, behind it the real mechanisms and one user: alice, password or token `right`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Final

from posthouse.message.reply import Reply
from posthouse.protocol.sasl import server as sasl
from posthouse.protocol.sasl.server_scram import END_POINT, ScramOffer, ScramServer, derive_keys
from posthouse.protocol.smtp import server as smtp
from posthouse.protocol.smtp.server_auth import AuthSmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted
from tests.dialogues.dialogue_player import HOST, Player

NONCE: Final = "server-nonce"
SALT, ITERATIONS = b"salt", 1
BINDINGS: Final = {END_POINT: b"end point"}
OFFERS: Final = {
    name: ScramOffer(SALT, ITERATIONS, [derive_keys(name, "right", SALT, ITERATIONS)]) for name in ("sha256", "sha1")
}
_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS")
_SIMPLE: Final[Mapping[str, Callable[[], sasl.ServerMechanism]]] = {
    "PLAIN": sasl.PlainServer,
    "LOGIN": sasl.LoginServer,
    "EXTERNAL": sasl.ExternalServer,
    "OAUTHBEARER": sasl.OauthBearerServer,
    "XOAUTH2": sasl.Xoauth2Server,
}
MECHANISMS = (*_SCRAM, *_SIMPLE)
_YES, _NO, _NONSENSE = Reply(235, "2.7.0", "Yes"), Reply(535, "5.7.8", "No"), Reply(501, "5.5.2", "What?")


def make_auth_core(settings: dict[str, object]) -> AuthSmtpServer:
    core = AuthSmtpServer(smtp.ServerSettings(HOST, auth=True, **settings))  # type: ignore[arg-type]
    core.mechanisms = MECHANISMS
    core.mechanisms_too_weak = frozenset({"NTLM"})
    return core


class AuthPlayer(Player):
    """`accepted` counts logins that were right."""

    def __init__(self, core: AuthSmtpServer) -> None:
        super().__init__(core)
        self.accepted = 0
        self._mechanism: sasl.ServerMechanism = sasl.PlainServer()

    def _decide(self, event: smtp.Event) -> Reply:
        match event:
            case AuthStarted(name, initial):
                self._mechanism = _make(name)
                return self._answer(self._mechanism.respond(initial))
            case AuthData(data):
                return self._answer(self._mechanism.respond(data))
            case _:
                return super()._decide(event)

    def _answer(self, step: sasl.Step) -> Reply:
        match step:
            case sasl.Challenge(data):
                return Reply(334, "", base64.b64encode(data).decode("ascii"))
            case sasl.FetchVerifiers(algorithm, _, _):
                assert isinstance(self._mechanism, ScramServer)
                return self._answer(self._mechanism.offer(OFFERS[algorithm]))
            case sasl.CheckPassword(_, username, password):
                return self._conclude((username, password) == ("alice", "right"))
            case sasl.CheckToken(_, token) if token != "right":
                assert isinstance(self._mechanism, sasl.OauthBearerServer | sasl.Xoauth2Server)
                return self._answer(self._mechanism.refuse())
            case sasl.CheckToken() | sasl.Proven():
                return self._conclude(True)
            case sasl.CheckCertificate(authorization):
                return self._conclude(authorization in {"", "alice"})
            case sasl.Failed(_, is_guess):
                return _NO if is_guess else _NONSENSE

    def _conclude(self, is_right: bool) -> Reply:
        self.accepted += is_right
        return _YES if is_right else _NO


def _make(name: str) -> sasl.ServerMechanism:
    return ScramServer(name, NONCE, BINDINGS, offers_plus=True) if name in _SCRAM else _SIMPLE[name]()
