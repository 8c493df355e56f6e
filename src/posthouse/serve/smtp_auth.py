"""What the SMTP driver knows about logins: the role's part in them.

A role that lets people in (msa/session.py) is an `AuthRole`; it gets a conversation of trust/login.py and answers with
`smtp_reply`.
"""

from __future__ import annotations

from typing import Protocol

from posthouse.ports.login import Login, Mechanisms
from posthouse.protocol.smtp.server_auth import AuthSmtpServer
from posthouse.protocol.smtp.server_events import AuthData, AuthStarted
from posthouse.serve.smtp_role import Answer, SmtpRole


class AuthRole(SmtpRole, Protocol):
    """A role with logins. The three that answer may do so with a future."""

    login: Login | None

    def mechanisms(self) -> Mechanisms:
        """What to offer now; asked when the session begins and when TLS has."""

    def auth(self, event: AuthStarted) -> Answer: ...

    def auth_data(self, event: AuthData) -> Answer: ...

    def forget_login(self) -> None:
        """STARTTLS: the session is as new (RFC 3207 §4.2)."""


def offer_logins(core: AuthSmtpServer, role: AuthRole) -> None:
    known = role.mechanisms()
    core.mechanisms, core.mechanisms_after_tls = known.offered, known.after_tls
    core.mechanisms_too_weak = known.too_weak
