"""Reverse names of clients, for Received: looked up beside the dialogue, which never waits for them.

A name counts only when it leads back to the address it was found for (RFC 1912 §2.1, RFC 5321 §4.4); whoever holds
an address may name it as they like. It is set in `Peer.name` when it is known, and messages from then on show it;
"unknown" until then, and for ever when DNS does not answer, when too many are being looked up, or when the client
has gone. Nothing is decided by a name, and nothing of it outlives the session.

No unix socket, no loopback address and no client that XCLIENT has named is looked up.
"""

from __future__ import annotations

import asyncio

from posthouse.message.peer import Peer, normalise_address
from posthouse.ports.resolver import DnsError, Resolver

_MAX_CANDIDATES = 3  # whoever holds the address says how many names it has


class PeerNames:
    """One per worker. `max_in_flight` leaves most of the resolver to routing."""

    def __init__(self, resolver: Resolver, max_in_flight: int = 50) -> None:
        self._resolver = resolver
        self._max_in_flight = max_in_flight
        self._tasks: set[asyncio.Task[None]] = set()

    def look_up(self, peer: Peer) -> None:
        """Returns at once; `peer.name` is set later, if at all."""
        address = peer.address
        if not address or peer.name or address == "::1" or address.startswith("127."):
            return
        if len(self._tasks) >= self._max_in_flight:
            return
        task = asyncio.get_running_loop().create_task(self._name(peer, address))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give up what is being looked up."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _name(self, peer: Peer, address: str) -> None:
        name = await find_verified_name(self._resolver, address)
        if peer.address == address and not peer.name:  # XCLIENT may have put another client in its place
            peer.name = name


async def find_verified_name(resolver: Resolver, address: str) -> str:
    """The first of its names that has the address among its own, or ""."""
    try:
        candidates = await resolver.find_ptr(address)
    except DnsError:
        return ""
    for name in candidates[:_MAX_CANDIDATES]:
        if await _leads_back(resolver, name, address):
            return name
    return ""


async def _leads_back(resolver: Resolver, name: str, address: str) -> bool:
    find = resolver.find_ipv6 if ":" in address else resolver.find_ipv4
    try:
        answer = await find(name)
    except DnsError:
        return False
    return address in map(normalise_address, answer.addresses)
