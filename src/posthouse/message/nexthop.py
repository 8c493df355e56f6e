"""The `to` of a route: where a message may go next, parsed from the words of the configuration (docs/manual.md)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from posthouse.message.reply import Reply


class NextHopError(ValueError):
    """The text is not a next hop; the message says what is allowed."""


@dataclass(frozen=True, slots=True)
class MxHop:
    """The MX hosts of the recipient's domain (RFC 5321 §5.1)."""


@dataclass(frozen=True, slots=True)
class HostHop:
    """One host, never its MX. `scheme` is "smtp", "smtps" or "lmtp"; `host` a name or an IP address."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class LmtpSocketHop:
    path: str

    def __str__(self) -> str:
        return f"lmtp+unix:{self.path}"


@dataclass(frozen=True, slots=True)
class MaildirHop:
    """`template` has `{domain}` and `{local}`; `root` is the directory before the first of them."""

    template: str

    @property
    def root(self) -> str:
        return self.template.split("{", 1)[0].rpartition("/")[0]

    def __str__(self) -> str:
        return f"maildir:{self.template}"


@dataclass(frozen=True, slots=True)
class RejectHop:
    reply: Reply


@dataclass(frozen=True, slots=True)
class DiscardHop:
    pass


NextHop = MxHop | HostHop | LmtpSocketHop | MaildirHop | RejectHop | DiscardHop

_URL = re.compile(r"(smtp|smtps|lmtp)://(?:\[([0-9A-Fa-f:.]+)\]|([^\s:/\[\]]+))(?::(\d{1,5}))?/?")
_REJECT = re.compile(r"reject:([45]\d\d) (?:([45]\.\d{1,3}\.\d{1,3}) )?(\S.*)")
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "lmtp": 24}
_ALLOWED = (
    "mx, smtp://HOST:PORT, smtps://HOST:PORT, lmtp://HOST:PORT, lmtp+unix:/PATH, "
    "maildir:/PATH/{domain}/{local}, reject:550 5.7.1 TEXT or discard"
)


def parse_next_hop(text: str) -> NextHop:
    """Parse one `to`. Raises NextHopError."""
    if text == "mx":
        return MxHop()
    if text == "discard":
        return DiscardHop()
    if text.startswith("lmtp+unix:/"):
        return LmtpSocketHop(text.removeprefix("lmtp+unix:"))
    if text.startswith("maildir:"):
        return _parse_maildir(text.removeprefix("maildir:"))
    reject = _REJECT.fullmatch(text)
    if reject is not None:
        if reject[2] and reject[2][0] != reject[1][0]:
            raise NextHopError(f"{text!r}: reply code and enhanced code disagree")
        return RejectHop(Reply(int(reject[1]), reject[2] or "", reject[3]))
    url = _URL.fullmatch(text)
    if url is None:
        raise NextHopError(f"{text!r} is not a next hop; allowed: {_ALLOWED}")
    return _parse_host(text, url)


def _parse_maildir(path: str) -> MaildirHop:
    head = path.split("{", 1)[0]
    if not head.startswith("/") or not head.rpartition("/")[0] or ".." in path.split("/"):
        raise NextHopError(f"{path!r}: maildir needs an absolute path with a fixed first directory and no '..'")
    if re.sub(r"\{(domain|local)\}", "", path).count("{"):
        raise NextHopError(f"{path!r}: only {{domain}} and {{local}} are allowed in braces")
    return MaildirHop(path)


def _parse_host(text: str, url: re.Match[str]) -> HostHop:
    port = int(url[4]) if url[4] else _DEFAULT_PORTS[url[1]]
    if not 0 < port < 65536:
        raise NextHopError(f"{text!r}: port must be 1 to 65535")
    if url[2]:
        try:
            return HostHop(url[1], str(ipaddress.IPv6Address(url[2])), port)
        except ValueError:
            raise NextHopError(f"{text!r}: not an IPv6 address in brackets") from None
    return HostHop(url[1], url[3].lower(), port)
