"""What the SMTP driver knows about logins: the role's part in them, and the facts about TLS that mechanisms need.

A role that lets people in (msa/session.py) is an `AuthRole`; it gets a conversation of trust/login.py and answers with
`smtp_reply`. Channel bindings: tls-server-end-point (RFC 5929 §4), and tls-exporter (RFC 9266) where the ssl module can
export. tls-unique is never offered: it is wrong under TLS 1.3. A client certificate counts when the context verified
it; its names are the mail addresses in it (RFC 8550 §3), for EXTERNAL.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

from posthouse.message.peer import Peer
from posthouse.ports.login import Mechanisms
from posthouse.protocol.sasl.server_scram import END_POINT, EXPORTER
from posthouse.protocol.smtp.server_auth import AuthSmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted
from posthouse.serve.smtp_role import Answer, SmtpRole


class AuthRole(SmtpRole, Protocol):
    """A role with logins. The three that answer may do so with a future."""

    def mechanisms(self) -> Mechanisms:
        """What to offer now; asked when the session begins and when TLS has."""

    def auth(self, event: AuthStarted) -> Answer: ...

    def auth_data(self, event: AuthData) -> Answer: ...

    def forget_login(self) -> None:
        """STARTTLS: the session is as new (RFC 3207 §4.2)."""


@runtime_checkable
class BoundContext(Protocol):
    """A TLS context that knows the tls-server-end-point of its certificate (adapters/net/tls.py)."""

    end_point: bytes


def offer_logins(core: AuthSmtpServer, role: AuthRole) -> None:
    known = role.mechanisms()
    core.mechanisms, core.mechanisms_after_tls = known.offered, known.after_tls
    core.mechanisms_too_weak = known.too_weak


def note_channel(peer: Peer, secured: ssl.SSLObject | None, context: object) -> None:
    """Put on the peer what this TLS connection can be bound by, and who its certificate says it is."""
    bindings: dict[str, bytes] = {}
    if isinstance(context, BoundContext) and context.end_point:
        bindings[END_POINT] = context.end_point
    if secured is not None and EXPORTER in ssl.CHANNEL_BINDING_TYPES:
        exported = secured.get_channel_binding(EXPORTER)
        if exported:
            bindings[EXPORTER] = exported
    peer.channel_bindings = bindings
    peer.certificate_names = tuple(_list_names(secured)) if secured is not None else ()


def _list_names(secured: ssl.SSLObject) -> Iterator[str]:
    """Empty without a verified certificate. Names of the subject count only where there are no alternative ones."""
    certificate = secured.getpeercert() or {}
    names = [name for kind, name in _pairs(certificate.get("subjectAltName")) if kind == "email"]
    if not names:
        subject = certificate.get("subject")
        parts = [pair for part in subject for pair in _pairs(part)] if isinstance(subject, tuple) else []
        names = [name for kind, name in parts if kind == "emailAddress" or (kind == "commonName" and "@" in name)]
    yield from names


def _pairs(value: object) -> Iterator[tuple[str, str]]:
    if not isinstance(value, tuple):
        return
    for pair in value:
        match pair:
            case (str(kind), str(name)):
                yield kind, name
            case _:
                continue
