"""What this machine says about name servers and its own addresses."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Sequence
from pathlib import Path

from posthouse.adapters.dns.transport import Server

RESOLV_CONF = Path("/etc/resolv.conf")
_SERVER = re.compile(r"^\s*nameserver\s+(\S+)", re.MULTILINE)
_TRUST_AD = re.compile(r"^\s*options\b.*\btrust-ad\b", re.MULTILINE)


def read_resolv_conf(path: Path = RESOLV_CONF) -> list[Server]:
    """Its name servers; the one on this machine when it names none (resolv.conf(5)). The search list is not used.

    Their AD bit is trusted when they are on this machine or the file says `options trust-ad`.
    """
    try:
        text = path.read_text("utf-8", "replace")
    except OSError:
        text = ""
    trust = _TRUST_AD.search(text) is not None
    servers = [make_server(address, 53, is_trusted=trust) for address in _SERVER.findall(text) if _is_address(address)]
    return servers or [make_server("127.0.0.1", 53)]


def make_servers(binds: Sequence[tuple[str, int]]) -> list[Server]:
    """Those of the configuration, else those of the system."""
    return [make_server(address, port) for address, port in binds] or read_resolv_conf()


def make_server(address: str, port: int, *, is_trusted: bool = False) -> Server:
    """A server on this machine is always trusted: nobody can be in between."""
    return Server(address, port, is_trusted or ipaddress.ip_address(address.partition("%")[0]).is_loopback)


def is_local_address(address: str) -> bool:
    """One of our interfaces has it, now: the kernel lets us bind to it. Nothing is sent."""
    parsed = ipaddress.ip_address(address)
    family = socket.AF_INET6 if parsed.version == 6 else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
