"""From the hosts of a site to addresses, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.address import parse_address
from posthouse.message.outcome import Deferred, Refused
from posthouse.mta.local_addresses import LocalAddresses
from posthouse.mta.routing import Route, Router, RoutingSettings
from posthouse.mta.routing_hosts import balance, is_ip
from posthouse.ports.clock import FakeClock
from posthouse.ports.resolver import FakeResolver
from posthouse.ports.stream import Endpoint
from tests.mta.routing_kit import hops, must_be_site

Answer = list[Endpoint] | Deferred | Refused


async def look_up(
    resolver: FakeResolver,
    address: str = "ann@example.net",
    *,
    settings: RoutingSettings | None = None,
    seed: int = 1,
    routes: Sequence[Route] = (),
) -> Answer:
    settings = settings or RoutingSettings("mail.example.org")
    router = Router(routes, resolver, settings, FakeClock(), random.Random(seed))
    return await router.endpoints(must_be_site(await router.route(parse_address(address))))


def addresses(answer: Answer) -> list[str]:
    assert isinstance(answer, list), answer
    return [endpoint.address for endpoint in answer]


def failure(answer: Answer) -> tuple[type, int, str]:
    assert not isinstance(answer, list)
    return type(answer), answer.reply.code, answer.reply.enhanced


def with_mx(*hosts: tuple[int, str], **tables: Mapping[str, Sequence[str]]) -> FakeResolver:
    return FakeResolver(mx={"example.net": hosts}, **tables)  # type: ignore[arg-type]


async def test_a_lower_preference_comes_first() -> None:
    resolver = with_mx((20, "b.x"), (10, "a.x"), ipv4={"a.x": ["192.0.2.1"], "b.x": ["192.0.2.2"]})
    answer = await look_up(resolver)
    assert answer == [Endpoint("a.x", "192.0.2.1", 25), Endpoint("b.x", "192.0.2.2", 25)]


async def test_hosts_of_one_preference_are_shuffled() -> None:
    tables = {f"{name}.x": [f"192.0.2.{number}"] for number, name in enumerate("abcd", 1)}
    firsts = set()
    for seed in range(40):
        resolver = with_mx(*((10, host) for host in tables), ipv4=tables)
        firsts.add(addresses(await look_up(resolver, seed=seed))[0])
    assert len(firsts) == 4


async def test_shuffling_is_done_for_every_connection() -> None:
    tables = {f"{name}.x": [f"192.0.2.{number}"] for number, name in enumerate("abcd", 1)}
    resolver = with_mx(*((10, host) for host in tables), ipv4=tables)
    router = Router((), resolver, RoutingSettings("h.example"), FakeClock(), random.Random(1))
    site = must_be_site(await router.route(parse_address("ann@example.net")))
    assert router.endpoints_now(site) is None
    await router.endpoints(site)
    orders = {tuple(addresses(router.endpoints_now(site) or [])) for _ in range(50)}
    assert len(orders) > 5


async def test_a_destination_with_only_ipv6_hosts_works() -> None:
    assert addresses(await look_up(with_mx((10, "a.x"), ipv6={"a.x": ["2001:db8::1"]}))) == ["2001:db8::1"]


async def test_families_take_turns_inside_a_preference() -> None:
    resolver = with_mx(
        (10, "a.x"), ipv4={"a.x": ["192.0.2.1", "192.0.2.2"]}, ipv6={"a.x": ["2001:db8::1", "2001:db8::2"]}
    )
    families = [":" in address for address in addresses(await look_up(resolver))]
    assert families == [True, False, True, False]


async def test_a_broken_ipv6_does_not_use_up_all_tries() -> None:
    resolver = with_mx(
        (10, "a.x"),
        (20, "b.x"),
        ipv6={"a.x": [f"2001:db8::{number}" for number in range(1, 11)]},
        ipv4={"b.x": ["192.0.2.1", "192.0.2.2"]},
    )
    first_five = addresses(await look_up(resolver))[:5]
    assert sum(":" not in address for address in first_five) == 2
    assert ":" in first_five[0]


@given(st.lists(st.booleans(), max_size=20), st.integers(2, 8))
def test_both_families_are_among_the_tries_and_nothing_is_lost(kinds: list[bool], tries: int) -> None:
    endpoints = [Endpoint("h", f"::{n}" if is6 else f"192.0.2.{n}", 25) for n, is6 in enumerate(kinds)]
    ordered = balance(endpoints, tries)
    assert sorted(map(str, ordered)) == sorted(map(str, endpoints))
    assert {":" in e.address for e in ordered[:tries]} == set(kinds)
    for family in (True, False):
        same = [e for e in ordered if (":" in e.address) is family]
        assert same == [e for e in endpoints if (":" in e.address) is family]


async def test_without_ipv6_only_ipv4_is_asked_for() -> None:
    resolver = with_mx((10, "a.x"), ipv4={"a.x": ["192.0.2.1"]}, ipv6={"a.x": ["2001:db8::1"]})
    assert addresses(await look_up(resolver, settings=RoutingSettings("h.example", ipv6=False))) == ["192.0.2.1"]
    assert ("AAAA", "a.x") not in resolver.asked


async def test_an_mx_host_without_address_is_passed_over() -> None:
    resolver = with_mx((10, "gone.x"), (20, "b.x"), ipv4={"b.x": ["192.0.2.2"]})
    assert addresses(await look_up(resolver)) == ["192.0.2.2"]


async def test_mx_hosts_that_all_do_not_exist_are_permanent() -> None:
    assert failure(await look_up(with_mx((10, "gone.x"), (20, "away.x")))) == (Refused, 550, "5.4.4")


async def test_mx_hosts_with_no_usable_address_are_permanent() -> None:
    resolver = FakeResolver(mx={"example.net": [(10, "a.x")], "a.x": []})
    assert failure(await look_up(resolver)) == (Refused, 550, "5.4.4")


async def test_one_mx_host_that_cannot_be_looked_up_makes_it_temporary() -> None:
    resolver = FakeResolver(mx={"example.net": [(10, "gone.x"), (20, "broken.x")]}, failing=["broken.x"])
    assert failure(await look_up(resolver)) == (Deferred, 451, "4.4.3")


async def test_a_host_that_cannot_be_looked_up_does_not_hide_another() -> None:
    resolver = FakeResolver(
        mx={"example.net": [(10, "broken.x"), (20, "b.x")]}, ipv4={"b.x": ["192.0.2.2"]}, failing=["broken.x"]
    )
    assert addresses(await look_up(resolver)) == ["192.0.2.2"]


async def test_a_domain_with_neither_mx_nor_address_takes_no_mail() -> None:
    assert failure(await look_up(FakeResolver(mx={"example.net": []}))) == (Refused, 550, "5.4.4")


async def test_a_smarthost_is_reached_by_its_addresses_never_its_mx() -> None:
    resolver = FakeResolver(mx={"smart.example": [(10, "mx.x")]}, ipv4={"smart.example": ["192.0.2.9"]})
    routes = [Route("*", hops("smtp://smart.example:587"))]
    assert await look_up(resolver, routes=routes) == [Endpoint("smart.example", "192.0.2.9", 587)]
    assert not any(kind == "MX" for kind, _ in resolver.asked)


async def test_a_smarthost_that_is_an_address_needs_no_dns() -> None:
    resolver = FakeResolver()
    routes = [Route("*", hops("smtp://[2001:db8::7]:25"))]
    assert await look_up(resolver, routes=routes) == [Endpoint("2001:db8::7", "2001:db8::7", 25)]
    assert not resolver.asked


async def test_a_unix_socket_is_an_endpoint() -> None:
    routes = [Route("*", hops("lmtp+unix:/run/lmtp.sock"))]
    assert await look_up(FakeResolver(), routes=routes) == [Endpoint("localhost", "/run/lmtp.sock", 0)]


# -- loops to ourselves (RFC 5321 §5.1)

OURS = RoutingSettings("mail.example.org", LocalAddresses([("192.0.2.10", 25), ("2001:db8::10", 25)]))


async def test_as_backup_mx_only_better_hosts_are_tried() -> None:
    resolver = with_mx(
        (10, "a.x"),
        (20, "us.x"),
        (20, "equal.x"),
        (30, "worse.x"),
        ipv4={"a.x": ["192.0.2.1"], "us.x": ["192.0.2.10"], "equal.x": ["192.0.2.3"], "worse.x": ["192.0.2.4"]},
    )
    assert addresses(await look_up(resolver, settings=OURS)) == ["192.0.2.1"]


async def test_mail_whose_best_mx_is_ourselves_would_go_round_in_circles() -> None:
    resolver = with_mx((10, "us.x"), (20, "b.x"), ipv6={"us.x": ["2001:db8::10"]}, ipv4={"b.x": ["192.0.2.2"]})
    assert failure(await look_up(resolver, settings=OURS)) == (Refused, 554, "5.4.6")


async def test_our_own_name_is_ourselves_whatever_its_address() -> None:
    resolver = with_mx((10, "mail.example.org"), ipv4={"mail.example.org": ["198.51.100.1"]})
    assert failure(await look_up(resolver, settings=OURS)) == (Refused, 554, "5.4.6")


async def test_our_address_on_a_port_we_do_not_listen_on_is_somebody_else() -> None:
    settings = RoutingSettings("mail.example.org", LocalAddresses([("192.0.2.10", 2525)]))
    resolver = with_mx((10, "us.x"), ipv4={"us.x": ["192.0.2.10"]})
    assert addresses(await look_up(resolver, settings=settings)) == ["192.0.2.10"]


async def test_a_literal_of_our_own_address_would_go_round_in_circles() -> None:
    assert failure(await look_up(FakeResolver(), "ann@[192.0.2.10]", settings=OURS)) == (Refused, 554, "5.4.6")
    assert addresses(await look_up(FakeResolver(), "ann@[192.0.2.11]", settings=OURS)) == ["192.0.2.11"]


async def test_a_smarthost_on_this_machine_is_meant() -> None:
    routes = [Route("*", hops("smtp://[2001:db8::10]:25"))]
    assert addresses(await look_up(FakeResolver(), settings=OURS, routes=routes)) == ["2001:db8::10"]


def test_a_wildcard_listener_is_every_address_of_this_machine() -> None:
    local = LocalAddresses([("0.0.0.0", 25)], lambda address: address in ("192.0.2.10", "::1"))
    assert local.is_ours("192.0.2.10", 25)
    assert not local.is_ours("192.0.2.11", 25)
    assert not local.is_ours("192.0.2.10", 26)
    assert not local.is_ours("::1", 25)  # both families are two listeners


@pytest.mark.parametrize("listening", ["127.0.0.1", "0.0.0.0"])
def test_other_spellings_of_loopback_are_ourselves(listening: str) -> None:
    local = LocalAddresses([(listening, 25)], lambda address: address == "127.0.0.1")
    assert local.is_ours("0.0.0.0", 25)
    assert local.is_ours("::ffff:127.0.0.1", 25)
    assert local.is_ours("::ffff:7f00:1", 25)
    assert local.is_ours("::ffff:0.0.0.0", 25)
    assert not local.is_ours("0.0.0.0", 26)
    assert not local.is_ours("::", 25)
    assert LocalAddresses([("::1", 25)]).is_ours("::", 25)


# -- the cache


async def test_addresses_are_kept_for_their_ttl_and_asked_once() -> None:
    clock = FakeClock()
    resolver = with_mx((10, "a.x"), ipv4={"a.x": ["192.0.2.1"]})
    router = Router((), resolver, RoutingSettings("h.example"), clock, random.Random(1))
    site = must_be_site(await router.route(parse_address("ann@example.net")))
    await asyncio.gather(*(router.endpoints(site) for _ in range(20)))
    assert resolver.asked.count(("A", "a.x")) == 1
    clock.advance(301)
    assert router.endpoints_now(site) is None
    await router.endpoints(site)
    assert resolver.asked.count(("A", "a.x")) == 2


async def test_a_static_site_is_never_asked_again() -> None:
    clock = FakeClock()
    router = Router(
        [Route("*", hops("smtp://192.0.2.1:25"))], FakeResolver(), RoutingSettings("h.example"), clock, random.Random(1)
    )
    site = must_be_site(router.route_now(parse_address("ann@example.net")))
    await router.endpoints(site)
    clock.advance(86400 * 30)
    assert router.endpoints_now(site) == [Endpoint("192.0.2.1", "192.0.2.1", 25)]


@pytest.mark.parametrize(
    ("name", "is_address"),
    [("192.0.2.1", True), ("::1", True), ("mx1.example", False), ("1.2.3", False), ("a.b.c.4", False), ("", False)],
)
def test_addresses_are_told_from_names(name: str, is_address: bool) -> None:
    assert is_ip(name) is is_address
