"""What a server announced in its answer to EHLO or LHLO (RFC 5321 §4.1.1.1), as far as a client acts on it.

Unknown keywords and malformed parameters are passed over: an announcement can only switch something on.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.capabilities import HopCapabilities
from posthouse.message.reply import Reply


@dataclass(frozen=True, slots=True)
class Extensions:
    """`size` None: not announced; 0: announced without a limit (RFC 1870 §4). `*_max` None: no limit (RFC 9422 §4)."""

    pipelining: bool = False
    size: int | None = None
    eightbitmime: bool = False
    binarymime: bool = False
    chunking: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    mt_priority: bool = False
    auth: frozenset[str] = frozenset()
    rcpt_max: int | None = None
    mail_max: int | None = None
    rcpt_domain_max: int | None = None

    @property
    def capabilities(self) -> HopCapabilities:
        return HopCapabilities(self.eightbitmime, self.binarymime and self.chunking, self.smtputf8)


NO_EXTENSIONS = Extensions()


def parse_extensions(reply: Reply) -> Extensions:
    """The first line of the reply is the server's name and is left out."""
    offered: dict[str, str] = {}
    for line in reply.text.split("\n")[1:]:
        keyword, _, parameters = line.strip().partition(" ")
        offered.setdefault(keyword.upper(), parameters.strip())
    limits = _parse_limits(offered.get("LIMITS", ""))
    return Extensions(
        pipelining="PIPELINING" in offered,
        size=_parse_number(offered["SIZE"]) or 0 if "SIZE" in offered else None,
        eightbitmime="8BITMIME" in offered,
        binarymime="BINARYMIME" in offered,
        chunking="CHUNKING" in offered,
        smtputf8="SMTPUTF8" in offered,
        dsn="DSN" in offered,
        starttls="STARTTLS" in offered,
        mt_priority="MT-PRIORITY" in offered,
        auth=frozenset(offered.get("AUTH", "").upper().split()),
        rcpt_max=limits.get("RCPTMAX"),
        mail_max=limits.get("MAILMAX"),
        rcpt_domain_max=limits.get("RCPTDOMAINMAX"),
    )


def _parse_number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else None


def _parse_limits(parameters: str) -> dict[str, int]:
    """RFC 9422 §3: NAME=VALUE pairs. 0 would forbid everything and is taken for a mistake."""
    limits = {}
    for item in parameters.split():
        name, _, value = item.partition("=")
        number = _parse_number(value)
        if number:
            limits[name.upper()] = number
    return limits
