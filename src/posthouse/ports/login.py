"""Who has logged in, and how that is found out; given to the sessions of SMTP, IMAP, POP3 and HTTP."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from posthouse.message.mailbox import AccountId

MECHANISMS = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
    "OAUTHBEARER",
    "XOAUTH2",
    "PLAIN",
    "LOGIN",
    "EXTERNAL",
)  # all there are, the best first


class Scope(enum.StrEnum):
    """What a credential is good for."""

    READ = "read"
    SEND = "send"
    MANAGE = "manage"


class SaveSent(enum.StrEnum):
    """Whether the server files a copy in Sent (sending.md): auto files it unless the program uploads its own."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Login:
    """`name` is the account's address. `credential`: 0 for sources without rows (PAM, LDAP, OAuth, certificates)."""

    account: AccountId
    name: str
    mechanism: str
    credential: int = 0
    credential_name: str = ""
    scopes: frozenset[Scope] = frozenset(Scope)
    save_sent: SaveSent = SaveSent.AUTO
    deduplicates: bool = True


@dataclass(frozen=True, slots=True)
class Mechanisms:
    """SASL by name: `offered` now, the best first; for those of `after_tls` the client has to start TLS; those of
    `too_weak` are known, but not wanted here (RFC 4954 §6).
    """

    offered: tuple[str, ...] = ()
    after_tls: frozenset[str] = frozenset()
    too_weak: frozenset[str] = frozenset()
