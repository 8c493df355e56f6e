"""Mail addresses: the Mailbox of RFC 5321 §4.1.2 with the UTF-8 forms of RFC 6531 §3.3.

An `Address` keeps its local part as it was written (unquoted) and its domain in lower case; U-labels stay
U-labels here, `ascii_domain` gives the A-label form. Parsing never raises anything but `AddressError`.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

import idna

LocalPart = NewType("LocalPart", str)
Domain = NewType("Domain", str)

MAX_LOCAL_OCTETS = 64
MAX_DOMAIN_OCTETS = 255
MAX_PATH_OCTETS = 256
_KEPT = 8192

_ATEXT = r"[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~\u0080-\U0010ffff]"
_DOT_STRING = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING = re.compile(r'"((?:[ !#-\[\]-~\u0080-\U0010ffff]|\\[ -~])*)"')
_LDH_DOMAIN = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(?:\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
# The plain case, one match: almost every address there is.
_PLAIN = re.compile(
    r"([A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+(?:\.[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~]+)*)"
    r"@((?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)"
)


class AddressError(ValueError):
    """The text is not an address; the message says what is wrong in words fit for an SMTP reply."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox. `domain` is "" only for the bare `postmaster` of RFC 5321 §4.5.1."""

    local: LocalPart
    domain: Domain

    def __str__(self) -> str:
        return _write(self.local, self.domain)

    @property
    def needs_smtputf8(self) -> bool:
        """True when the local part is not ASCII, so that no A-label form exists (RFC 6531 §3.3)."""
        return not self.local.isascii()

    @property
    def is_ascii(self) -> bool:
        return self.local.isascii() and self.domain.isascii()

    @property
    def ascii_domain(self) -> str:
        """The domain in A-labels ("xn--..."), for DNS and for peers without SMTPUTF8."""
        return to_ascii_domain(self.domain)

    def to_ascii(self) -> str:
        """The wire form with an A-label domain; only meaningful when `needs_smtputf8` is False."""
        return str(Address(self.local, Domain(self.ascii_domain))) if not self.domain.isascii() else str(self)


# Kept: each address is written half a dozen times on its way, and mail has few senders and many repeats.
@lru_cache(maxsize=_KEPT)
def _write(local: str, domain: str) -> str:
    local = local if _DOT_STRING.fullmatch(local) else _quote(local)
    return f"{local}@{domain}" if domain else local


def _quote(local: str) -> str:
    return '"' + local.replace("\\", "\\\\").replace('"', '\\"') + '"'


def to_ascii_domain(domain: str) -> str:
    """A-labels of a domain (UTS 46). Raises AddressError when IDNA does not allow it."""
    if domain.isascii():
        return domain
    if len(domain) > MAX_DOMAIN_OCTETS:  # length first: IDNA work grows with it
        raise AddressError("domain is too long")
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"domain is not valid: {error}") from None


def parse_domain(text: str) -> Domain:
    """A domain name or an address literal; returned in lower case, U-labels kept (RFC 5321 §4.1.2, RFC 5890)."""
    if not text or len(text.encode("utf-8", "surrogatepass")) > MAX_DOMAIN_OCTETS:
        raise AddressError("domain is empty" if not text else "domain is too long")
    if text.startswith("["):
        return _parse_literal(text)
    lowered = text.lower()
    if lowered.isascii():
        if not _LDH_DOMAIN.fullmatch(lowered):
            raise AddressError("domain is not valid")
        return Domain(lowered)
    try:
        ascii_form = to_ascii_domain(lowered)
        return Domain(idna.decode(ascii_form))
    except (idna.IDNAError, UnicodeError) as error:
        raise AddressError(f"domain is not valid: {error}") from None


def _parse_literal(text: str) -> Domain:
    inner = text[1:-1]
    if not text.endswith("]") or not inner:
        raise AddressError("address literal is not closed")
    try:
        if inner[:5].lower() == "ipv6:":
            return Domain(f"[IPv6:{ipaddress.IPv6Address(inner[5:])}]")
        return Domain(f"[{ipaddress.IPv4Address(inner)}]")
    except ValueError:
        raise AddressError("address literal is not valid") from None


def literal_address(domain: str) -> str | None:
    """The IP address inside an address literal, or None when the domain is a name."""
    if not domain.startswith("["):
        return None
    inner = domain[1:-1]
    return inner[5:] if inner[:5].lower() == "ipv6:" else inner


def fold_local(local: str) -> str:
    """What local parts of ours are compared by: without regard to case, composed alike (NFC)."""
    return local.lower() if local.isascii() else unicodedata.normalize("NFC", local.casefold())


@lru_cache(maxsize=_KEPT)
def parse_address(text: str) -> Address:
    """Parse `local@domain` without angle brackets. Raises AddressError."""
    plain = _PLAIN.fullmatch(text)
    if plain is not None and plain.end(1) <= MAX_LOCAL_OCTETS and len(text) <= MAX_PATH_OCTETS:
        return Address(LocalPart(plain[1]), Domain(plain[2].lower()))
    local, rest = _split_local(text)
    if len(local.encode("utf-8", "surrogatepass")) > MAX_LOCAL_OCTETS:
        raise AddressError("local part is longer than 64 octets")
    if not rest.startswith("@"):
        raise AddressError("address has no domain" if not rest else "address is not valid")
    return Address(LocalPart(local), parse_domain(rest[1:]))


def _split_local(text: str) -> tuple[str, str]:
    """The local part with quotes undone, and what follows it."""
    if text.startswith('"'):
        quoted = _QUOTED_STRING.match(text)
        if quoted is None:
            raise AddressError("quoted local part is not valid")
        return re.sub(r"\\(.)", r"\1", quoted[1]), text[quoted.end() :]
    dotted = _DOT_STRING.match(text)
    if dotted is None:
        raise AddressError("local part is missing or not valid")
    return dotted[0], text[dotted.end() :]
