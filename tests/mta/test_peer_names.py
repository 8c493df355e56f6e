"""Reverse names of clients: only those that lead back, and never in the way."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.peer import Peer
from posthouse.mta.inbound import InboundSession
from posthouse.mta.peer_names import PeerNames
from posthouse.ports.resolver import FakeResolver
from tests.mta.inbound_kit import Client, Desktop

CLIENT = "192.0.2.7"


class SlowResolver(FakeResolver):
    """Answers when `gate` opens."""

    def __init__(self, resolver: FakeResolver) -> None:
        super().__init__(ipv4=resolver.ipv4, ipv6=resolver.ipv6, ptr=resolver.ptr)
        self.gate = asyncio.Event()

    async def find_ptr(self, address: str) -> tuple[str, ...]:
        names = await super().find_ptr(address)
        await self.gate.wait()
        return names


def make_resolver() -> FakeResolver:
    return FakeResolver(
        ipv4={"out.client.example": [CLIENT], "liar.example": ["192.0.2.99"]},
        ipv6={"six.client.example": ["2001:DB8:0:0::7"]},
        ptr={CLIENT: ["out.client.example"], "2001:db8::7": ["six.client.example"], "192.0.2.8": ["liar.example"]},
    )


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def look_up(address: str, resolver: FakeResolver | None = None) -> str:
    peer = Peer(address)
    PeerNames(resolver or make_resolver()).look_up(peer)
    await settle()
    return peer.name


@pytest.mark.parametrize(
    ("address", "name"), [(CLIENT, "out.client.example"), ("2001:db8::7", "six.client.example"), ("192.0.2.50", "")]
)
async def test_a_client_gets_the_name_that_leads_back_to_it(address: str, name: str) -> None:
    assert await look_up(address) == name


async def test_a_name_that_does_not_lead_back_is_not_believed() -> None:
    assert await look_up("192.0.2.8") == ""


async def test_the_first_name_that_leads_back_counts_and_no_more_than_three_are_asked_for() -> None:
    resolver = make_resolver()
    resolver.ptr[CLIENT] = ["liar.example", "none.example", "out.client.example"]
    assert await look_up(CLIENT, resolver) == "out.client.example"
    resolver.ptr[CLIENT] = ["a.example", "b.example", "c.example", "out.client.example"]
    assert await look_up(CLIENT, resolver) == ""


@pytest.mark.parametrize("failing", [CLIENT, "out.client.example"])
async def test_trouble_with_dns_leaves_the_client_unnamed(failing: str) -> None:
    resolver = make_resolver()
    resolver.failing.add(failing)
    assert await look_up(CLIENT, resolver) == ""


@pytest.mark.parametrize(
    "peer", [Peer("", uid=1000), Peer("127.0.0.1"), Peer("::1"), Peer(CLIENT, name="said.by.xclient.example")]
)
async def test_local_clients_and_those_that_xclient_named_are_not_looked_up(peer: Peer) -> None:
    resolver, name = make_resolver(), peer.name
    PeerNames(resolver).look_up(peer)
    await settle()
    assert (resolver.asked, peer.name) == ([], name)


async def test_an_answer_for_a_client_that_xclient_has_replaced_is_dropped() -> None:
    resolver = SlowResolver(make_resolver())
    peer = Peer(CLIENT)
    PeerNames(resolver).look_up(peer)
    await settle()
    peer.address = "198.51.100.1"
    resolver.gate.set()
    await settle()
    assert peer.name == ""


async def test_no_more_than_so_many_names_are_looked_up_at_a_time() -> None:
    resolver = SlowResolver(make_resolver())
    names = PeerNames(resolver, max_in_flight=2)
    for number in range(5):
        names.look_up(Peer(f"198.51.100.{number}"))
    await settle()
    assert len(resolver.asked) == 2
    resolver.gate.set()
    await settle()
    names.look_up(Peer(CLIENT))
    await settle()
    assert ("PTR", CLIENT) in resolver.asked


async def test_what_is_being_looked_up_ends_with_the_worker() -> None:
    resolver = SlowResolver(make_resolver())
    names, peer = PeerNames(resolver), Peer(CLIENT)
    names.look_up(peer)
    await settle()
    await names.close()
    resolver.gate.set()
    await settle()
    assert peer.name == ""


async def test_received_shows_the_name_from_the_moment_it_is_known() -> None:
    desk, resolver = Desktop(), SlowResolver(make_resolver())
    client: Client = desk.connect(CLIENT)
    assert isinstance(client.role, InboundSession)
    PeerNames(resolver).look_up(client.role.peer)
    await client.send("a@there.example", ["alice@ours.example"])
    resolver.gate.set()
    await settle()
    await client.say("MAIL FROM:<a@there.example>")
    await client.say("RCPT TO:<alice@ours.example>")
    await client.say("DATA")
    await client.say("Subject: second\r\n\r\nhello\r\n.")
    first, second = (message.trace for message in desk.onward.taken)
    assert f"(unknown [{CLIENT}])".encode() in first
    assert f"(out.client.example [{CLIENT}])".encode() in second
