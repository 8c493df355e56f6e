"""Where a recipient goes: the answers of routing, as a closed set of values.

A `SiteKey` names what shares connections, a concurrency window and a dead-site entry: a set of MX hosts, one
smarthost, one LMTP socket. Keys are texts fit for tables and logs ("mx:mx1.example.net;mx2.example.net",
"smtp://10.0.0.5:25"). Nothing here is stored but the key (ports.spool.SiteRow).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NewType

from posthouse.message.boxes import AccountBox, MaildirBox
from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound_types import Mode, SmtpAuth, TlsPolicy

__all__ = [
    "STORE_SITE",
    "AccountBox",
    "Destination",
    "Discarded",
    "MaildirBox",
    "Mode",
    "Rejected",
    "SiteHost",
    "SiteKey",
    "SmtpAuth",
    "SmtpSite",
    "TlsPolicy",
    "Unroutable",
]

SiteKey = NewType("SiteKey", str)
STORE_SITE = SiteKey("store")  # all deliveries into accounts


@dataclass(frozen=True, slots=True)
class SiteHost:
    """One host of a site. Lower ranks come first, equal ranks in any order; `socket` is a unix socket's path."""

    rank: int
    name: str
    port: int
    socket: str = ""


@dataclass(frozen=True, slots=True)
class SmtpSite:
    """Hosts that we connect to.

    `uses_mx` is True when the hosts come from MX records (or are an implicit MX): only then are hosts that are
    ourselves left out (RFC 5321 §5.1). `fallback` is the next entry of a route's list, for when no host of this
    site can be reached.
    """

    key: SiteKey
    hosts: tuple[SiteHost, ...]
    mode: Mode = Mode.SMTP
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC
    auth: SmtpAuth | None = None
    uses_mx: bool = False
    is_implicit: bool = False  # the domain itself, for want of MX records
    fallback: Destination | None = None

    def __hash__(self) -> int:
        """By the key alone: recipients are grouped by destination on the path of every message."""
        return hash(self.key)


@dataclass(frozen=True, slots=True)
class Discarded:
    """Thrown away on purpose, with a success for whoever asked (`to = "discard"`)."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """The configuration says no, in these words (`to = "reject:..."`)."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Unroutable:
    """DNS says no (Refused) or could not say (Deferred)."""

    outcome: Refused | Deferred


Destination = SmtpSite | AccountBox | MaildirBox | Discarded | Rejected | Unroutable
