"""The authoritative DNS server of the demo: a few zones in memory, by UDP and TCP, on loopback.

It answers what its zones say and refuses the rest: no recursion, no transfers, no DNSSEC, nothing kept. Octets from
the network are parsed by dnspython alone; what does not parse is dropped. For the demo and for tests, not for the
Internet.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

UDP_SIZE = 1232  # what fits every path
TCP_PATIENCE_S = 5.0
MAX_ALIASES = 8
HEADER = "$TTL 60\n@ IN SOA ns hostmaster 1 3600 600 86400 60\n@ IN NS ns\nns IN A 127.0.0.1\n"


class Zones:
    """Zone texts by name, in the notation of zone files: `{"one.example": "@ MX 10 mx"}`."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._zones = [
            dns.zone.from_text(HEADER + text + "\n", origin=name + ".", relativize=False)
            for name, text in texts.items()
        ]

    def answer(self, wire: bytes, limit: int) -> bytes | None:
        """The answer to one question as octets, truncated beyond `limit`; None where there is nothing to say."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR or len(query.question) != 1:
            return None
        response = dns.message.make_response(query)
        self._fill(response, query.question[0])
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            short = dns.message.make_response(query)
            short.flags |= dns.flags.TC
            return short.to_wire()

    def _fill(self, response: dns.message.Message, question: dns.rrset.RRset) -> None:
        name = question.name
        for _ in range(MAX_ALIASES):
            zone = self._find_zone(name)
            if zone is None:
                if not response.answer:
                    response.set_rcode(dns.rcode.REFUSED)
                return
            response.flags |= dns.flags.AA
            found = zone.get_rrset(name, question.rdtype)
            if found is not None:
                response.answer.append(found)
                return
            alias = zone.get_rrset(name, dns.rdatatype.CNAME)
            if alias is None:
                self._deny(response, zone, name)
                return
            response.answer.append(alias)
            name = alias[0].target

    def _find_zone(self, name: dns.name.Name) -> dns.zone.Zone | None:
        return next((zone for zone in self._zones if zone.origin and name.is_subdomain(zone.origin)), None)

    @staticmethod
    def _deny(response: dns.message.Message, zone: dns.zone.Zone, name: dns.name.Name) -> None:
        """No such name, or no such record; the SOA says how long that may be remembered (RFC 2308 §3)."""
        if not any(known.is_subdomain(name) for known in zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        assert zone.origin is not None
        response.authority.append(zone.find_rrset(zone.origin, dns.rdatatype.SOA))


class _UdpServer(asyncio.DatagramProtocol):
    def __init__(self, zones: Zones) -> None:
        self._zones = zones
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, peer: tuple[str | object, int]) -> None:
        answer = self._zones.answer(data, UDP_SIZE)
        if answer and self._transport:
            self._transport.sendto(answer, peer)


class DnsServer:
    """Serves `zones` from `start` to `stop`."""

    def __init__(self, zones: Zones, address: str, port: int) -> None:
        self._zones = zones
        self._where = (address, port)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _UdpServer(self._zones), local_addr=self._where)
        self._tcp = await asyncio.start_server(self._serve_tcp, *self._where)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Questions one after the other, each with its length in front (RFC 1035 §4.2.2)."""
        try:
            async with asyncio.timeout(TCP_PATIENCE_S):
                while True:
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    answer = self._zones.answer(await reader.readexactly(length), 65535)
                    if answer is None:
                        break
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()
            await self._tcp.wait_closed()
