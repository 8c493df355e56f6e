"""Logging in to a smarthost (RFC 4954). The password is only said where nobody can listen; SCRAM never says it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field

from posthouse.message.reply import Reply
from posthouse.mta.outbound_types import SmtpAuth
from posthouse.mta.outbound_wire import Wire
from posthouse.protocol.sasl.client import KeyCache, SaslClient, SaslError, choose_mechanism
from posthouse.protocol.smtp.client import Step
from posthouse.protocol.smtp.client_extensions import Extensions

MAX_INITIAL_OCTETS = 400  # beyond it the initial response goes in a line of its own (RFC 4954 §4)
MAX_ROUNDS = 10


class LoginFailed(Exception):
    """`spoke`: the reply is the server's."""

    def __init__(self, reply: Reply, spoke: bool = False) -> None:
        super().__init__(str(reply))
        self.reply = reply
        self.spoke = spoke


@dataclass
class LoginTools:
    make_nonce: Callable[[], str]
    keys: KeyCache = field(default_factory=dict)


async def log_in(wire: Wire, hop: Extensions, auth: SmtpAuth, may_reveal: bool, tools: LoginTools) -> None:
    """Raises LoginFailed, always with a 4xx: a wrong password is ours to mend, the mail waits. Raises WireFailed."""
    try:
        sasl = choose_mechanism(
            hop.auth, auth.username, auth.password, tools.make_nonce, may_reveal=may_reveal, keys=tools.keys
        )
        if sasl is None:
            raise LoginFailed(Reply(451, "4.7.0", _explain_choice(wire, hop, may_reveal)))
        await _exchange(wire, sasl)
    except SaslError as error:
        raise LoginFailed(Reply(451, "4.7.8", f"cannot log in to {wire.label}: {error}")) from None


def _explain_choice(wire: Wire, hop: Extensions, may_reveal: bool) -> str:
    if not hop.auth:
        return f"cannot log in to {wire.label}: it does not offer AUTH"
    offered = " ".join(sorted(hop.auth))
    if not may_reveal:
        return f"cannot log in to {wire.label}: the connection is not encrypted and it offers only {offered}"
    return f"cannot log in to {wire.label}: it offers only {offered}"


async def _exchange(wire: Wire, sasl: SaslClient) -> None:
    pending = sasl.start()
    line = f"AUTH {sasl.name}".encode()
    if pending is not None and len(pending) <= MAX_INITIAL_OCTETS:
        line, pending = line + b" " + (base64.b64encode(pending) or b"="), None
    reply = await wire.ask(line + b"\r\n", Step.AUTH)
    for _ in range(MAX_ROUNDS):
        if reply.code != 334:
            break
        answer = sasl.respond(_decode(reply.text)) if pending is None else pending
        pending = None
        reply = await wire.ask(base64.b64encode(answer) + b"\r\n", Step.AUTH)
    _check_result(wire, sasl, reply)


def _check_result(wire: Wire, sasl: SaslClient, reply: Reply) -> None:
    if reply.code != 235:
        enhanced = "4" + reply.enhanced[1:] if reply.enhanced else "4.7.8"
        raise LoginFailed(Reply(451, enhanced, f"cannot log in to {wire.label}: {reply}"), spoke=True)
    if not sasl.is_proven():
        raise SaslError("the server did not prove that it knows the password")


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise SaslError("the challenge is not base64") from None
