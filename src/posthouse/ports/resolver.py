"""DNS as routing asks for it. Answers are values; only trouble is an exception.

Names are ASCII (A-labels), lower case, without the final dot. A resolver follows CNAMEs itself (RFC 5321 §5.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class DnsError(Exception):
    """Base of the two below; `name` was asked for."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class NameNotFound(DnsError):
    """NXDOMAIN: the name does not exist at all, whatever the type."""


class DnsTemporaryError(DnsError):
    """SERVFAIL, REFUSED, a time-out, a bogus signature: ask again later, conclude nothing."""


@dataclass(frozen=True, slots=True)
class MxRecord:
    preference: int
    exchange: str  # "" is the root: a null MX (RFC 7505)


@dataclass(frozen=True, slots=True)
class MxAnswer:
    """`records` empty: the name exists and has no MX. `ttl_s` how long the answer may be kept."""

    records: tuple[MxRecord, ...]
    ttl_s: float
    authenticated: bool = False  # the AD bit, from a resolver we trust


@dataclass(frozen=True, slots=True)
class AddressAnswer:
    """IP addresses as text, in the order of the answer."""

    addresses: tuple[str, ...]
    ttl_s: float
    authenticated: bool = False


class Resolver(Protocol):
    async def find_mx(self, domain: str) -> MxAnswer:
        """Raises NameNotFound, DnsTemporaryError."""

    async def find_ipv4(self, host: str) -> AddressAnswer:
        """A records. Empty: the name has none. Raises NameNotFound, DnsTemporaryError."""

    async def find_ipv6(self, host: str) -> AddressAnswer:
        """AAAA records. As find_ipv4."""

    async def find_ptr(self, address: str) -> tuple[str, ...]:
        """Names of an address. Empty: none. Raises DnsTemporaryError."""


class FakeResolver:
    """A table of records and failures.

    `mx` maps a domain to (preference, exchange) pairs, `ipv4`/`ipv6` a host to addresses, `ptr` an address to
    names. A name in `failing` raises DnsTemporaryError; a name in no table raises NameNotFound.
    `asked` lists every question, for tests that count them.
    """

    def __init__(
        self,
        mx: Mapping[str, Sequence[tuple[int, str]]] | None = None,
        ipv4: Mapping[str, Sequence[str]] | None = None,
        ipv6: Mapping[str, Sequence[str]] | None = None,
        ptr: Mapping[str, Sequence[str]] | None = None,
        failing: Sequence[str] = (),
    ) -> None:
        self.mx, self.ipv4, self.ipv6, self.ptr = dict(mx or {}), dict(ipv4 or {}), dict(ipv6 or {}), dict(ptr or {})
        self.failing = set(failing)
        self.asked: list[tuple[str, str]] = []

    def _check(self, kind: str, name: str) -> None:
        self.asked.append((kind, name))
        if name in self.failing:
            raise DnsTemporaryError(name, "SERVFAIL")
        if name not in self.mx and name not in self.ipv4 and name not in self.ipv6:
            raise NameNotFound(name, "NXDOMAIN")

    async def find_mx(self, domain: str) -> MxAnswer:
        self._check("MX", domain)
        return MxAnswer(tuple(MxRecord(p, host) for p, host in self.mx.get(domain, ())), 300.0)

    async def find_ipv4(self, host: str) -> AddressAnswer:
        self._check("A", host)
        return AddressAnswer(tuple(self.ipv4.get(host, ())), 300.0)

    async def find_ipv6(self, host: str) -> AddressAnswer:
        self._check("AAAA", host)
        return AddressAnswer(tuple(self.ipv6.get(host, ())), 300.0)

    async def find_ptr(self, address: str) -> tuple[str, ...]:
        self.asked.append(("PTR", address))
        if address in self.failing:
            raise DnsTemporaryError(address, "SERVFAIL")
        return tuple(self.ptr.get(address, ()))
