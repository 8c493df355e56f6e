"""The other end of a connection that was made to us, as roles see it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(slots=True)
class Peer:
    """`address` is an IP address in its shortest form, IPv4-mapped ones as IPv4; "" on a unix socket.

    Behind PROXY or XCLIENT these are the announced values, and only those count. `name` is the verified reverse
    name, "" while unknown. The TLS fields are "" without TLS. `is_stand_in`: a proxy did not say for whom it speaks,
    and `address` is its own, which must not open what is open to itself. Where people log in, `channel_bindings` are
    what this TLS connection can be bound by (RFC 5929) and `certificate_names` the mail addresses of a verified client
    certificate.
    """

    address: str
    port: int = 0
    local_address: str = ""
    local_port: int = 0
    name: str = ""
    tls_version: str = ""
    tls_cipher: str = ""
    tls_bits: int = 0
    uid: int | None = None
    is_stand_in: bool = False
    channel_bindings: Mapping[str, bytes] | None = None
    certificate_names: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        return self.address or (f"uid:{self.uid}" if self.uid is not None else "unix")


_KEPT = 4096  # clients come back: parsing an address costs more than all else of a new session


@lru_cache(maxsize=_KEPT)
def normalise_address(text: str) -> str:
    """Shortest form; a zone is dropped and ::ffff:192.0.2.1 becomes 192.0.2.1. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def is_in_networks(address: str, networks: Sequence[Network]) -> bool:
    """`address` normalised; "" (a unix socket) is in no network."""
    if not address or not networks:
        return False
    parsed = _parse(address)
    return any(parsed.version == network.version and parsed in network for network in networks)


@lru_cache(maxsize=_KEPT)
def _parse(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address)


def is_loopback(peer: Peer) -> bool:
    """The connection never left this machine; not so for a proxy that does not say for whom it speaks."""
    if peer.is_stand_in:
        return False
    return not peer.address or _parse(peer.address).is_loopback
