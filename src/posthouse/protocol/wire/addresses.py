"""IP addresses as a proxy or a client names them, in one form, so that networks can be compared with them."""

from __future__ import annotations

import ipaddress


def normalize_ip(text: str) -> str:
    """The canonical text of an address; an IPv4-mapped IPv6 address becomes the IPv4 one. Raises ValueError."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise ValueError("address with a zone")
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
    return str(address)
