"""A tiny authoritative DNS server for tests, on dnspython: a table of records and misbehaviours, UDP and TCP."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from posthouse.adapters.dns.transport import Server

SOA = "ns.test. admin.test. 1 3600 600 86400 60"


class Zone(asyncio.DatagramProtocol):
    """`records` maps (name, type) to rdata texts.

    `rcodes` makes names fail; `silent` ones get no answer; `big` ones are truncated by UDP; `forged` ones get wrong
    answers first; `no_edns` answers FORMERR to EDNS.
    """

    def __init__(self, records: dict[tuple[str, str], list[str]]) -> None:
        self.records = {(name, kind): list(texts) for (name, kind), texts in records.items()}
        self.rcodes: dict[str, dns.rcode.Rcode] = {}
        self.silent: set[str] = set()
        self.big: set[str] = set()
        self.forged: set[str] = set()
        self.no_edns = False
        self.authenticated = False
        self.ttl_s = 300
        self.asked: Counter[tuple[str, str]] = Counter()
        self.tcp_questions = 0
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self.transport is not None
        for answer in self.answer(data, is_tcp=False):
            self.transport.sendto(answer, addr)

    def answer(self, data: bytes, *, is_tcp: bool) -> Iterable[bytes]:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if name in self.silent:
            return
        if name in self.forged:
            yield from _forge(query)
        response = dns.message.make_response(query)
        if self.no_edns and query.edns >= 0:
            yield struct.pack("!HHHHHH", query.id, 0x8101, 0, 0, 0, 0)  # the header alone
            return
        elif name in self.rcodes:
            response.set_rcode(self.rcodes[name])
        elif name in self.big and not is_tcp:
            response.flags |= dns.flags.TC
        else:
            self._fill(response, name, kind)
        if self.authenticated:
            response.flags |= dns.flags.AD
        yield response.to_wire(max_size=65535)

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(5):
            alias = self.records.get((name, "CNAME"))
            if alias is None or kind == "CNAME":
                break
            response.answer.append(dns.rrset.from_text(name + ".", self.ttl_s, "IN", "CNAME", alias[0]))
            name = alias[0].removesuffix(".")
            if (name, "AWAY") in self.records:
                return
        texts = self.records.get((name, kind))
        if texts is not None:
            response.answer.append(dns.rrset.from_text_list(name + ".", self.ttl_s, "IN", kind, texts))
            return
        response.authority.append(dns.rrset.from_text("test.", 600, "IN", "SOA", SOA))
        if not any(known == name for known, _ in self.records):
            response.set_rcode(dns.rcode.NXDOMAIN)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            self.tcp_questions += 1
            for answer in self.answer(await reader.readexactly(length), is_tcp=True):
                writer.write(struct.pack("!H", len(answer)) + answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def _forge(query: dns.message.Message) -> Iterable[bytes]:
    """A wrong id, another question, and noise."""
    wrong = dns.message.make_response(query)
    wrong.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "203.0.113.66"))
    wrong.id = query.id ^ 1
    yield wrong.to_wire()
    other = dns.message.make_response(dns.message.make_query("evil.test", "A", id=query.id))
    other.answer.append(dns.rrset.from_text("evil.test.", 60, "IN", "A", "203.0.113.66"))
    yield other.to_wire()
    yield b"\x00\x01noise"


@asynccontextmanager
async def serving(zone: Zone) -> AsyncIterator[Server]:
    """The zone on a free loopback port, UDP and TCP alike."""
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(zone.serve_tcp, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: zone, local_addr=("127.0.0.1", port))
    try:
        yield Server("127.0.0.1", port, is_trusted=True)
    finally:
        transport.close()
        server.close()
        await server.wait_closed()
