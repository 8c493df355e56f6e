"""Which addresses and ports are ourselves, so that mail is not sent round in a circle (RFC 5321 §5.1).

An address alone is not enough: another server may listen on another port, or another address, of this machine.
Names under other people's control may lead here by other spellings: the unspecified address connects to loopback,
an IPv4-mapped one to its IPv4 address.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable

_ANY = {"0.0.0.0": 4, "::": 6}
_REACHES = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class LocalAddresses:
    """`listening` are the (address, port) pairs that our SMTP listeners are bound to, wildcards included.

    `is_local` says whether an address is one of this machine's interfaces; it is asked for wildcards only.
    """

    def __init__(
        self, listening: Iterable[tuple[str, int]] = (), is_local: Callable[[str], bool] = lambda _: False
    ) -> None:
        self._exact = frozenset(listening)
        self._wild = frozenset((_ANY[address], port) for address, port in self._exact if address in _ANY)
        self._ports = frozenset(port for _, port in self._exact)
        self._is_local = is_local

    def is_ours(self, address: str, port: int) -> bool:
        """Connecting there would reach one of our own listeners. `address` in its shortest form."""
        if port not in self._ports:
            return False
        address = _find_reached(address)
        if (address, port) in self._exact:
            return True
        version = 6 if ":" in address else 4
        return (version, port) in self._wild and self._is_local(address)

    def listens_on(self, port: int) -> bool:
        return port in self._ports


def _find_reached(address: str) -> str:
    """Where a connection to that address ends."""
    if address.startswith("::"):
        mapped = ipaddress.IPv6Address(address).ipv4_mapped
        address = str(mapped) if mapped else address
    return _REACHES.get(address, address)
