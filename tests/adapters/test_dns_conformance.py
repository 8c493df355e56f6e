"""The fake resolver and the real one answer the same questions alike."""

from __future__ import annotations

from collections.abc import AsyncIterator

import dns.rcode
import pytest

from posthouse.adapters.dns.resolver import DnsResolver, DnsSettings
from posthouse.ports.clock import FakeClock
from posthouse.ports.resolver import DnsTemporaryError, FakeResolver, MxRecord, NameNotFound, Resolver
from tests.adapters.dns_zone import Zone, serving


@pytest.fixture(params=["fake", "real"])
async def resolver(request: pytest.FixtureRequest) -> AsyncIterator[Resolver]:
    if request.param == "fake":
        yield FakeResolver(
            mx={"a.test": [(10, "mx1.test"), (20, "mx2.test")], "null.test": [(0, "")]},
            ipv4={"mx1.test": ["192.0.2.1"]},
            ipv6={"mx6.test": ["2001:db8::1"]},
            ptr={"192.0.2.1": ["mx1.test"]},
            failing=["broken.test", "192.0.2.99"],
        )
        return
    zone = Zone(
        {
            ("a.test", "MX"): ["10 mx1.test.", "20 mx2.test."],
            ("null.test", "MX"): ["0 ."],
            ("mx1.test", "A"): ["192.0.2.1"],
            ("mx6.test", "AAAA"): ["2001:db8::1"],
            ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.test."],
        }
    )
    zone.rcodes = {"broken.test": dns.rcode.SERVFAIL, "99.2.0.192.in-addr.arpa": dns.rcode.SERVFAIL}
    async with serving(zone) as server:
        yield DnsResolver([server], FakeClock(), DnsSettings(timeout_s=1, attempts=2))


async def test_mx_records(resolver: Resolver) -> None:
    answer = await resolver.find_mx("a.test")
    assert set(answer.records) == {MxRecord(10, "mx1.test"), MxRecord(20, "mx2.test")}
    assert answer.ttl_s > 0
    assert not answer.authenticated


async def test_a_null_mx(resolver: Resolver) -> None:
    assert (await resolver.find_mx("null.test")).records == (MxRecord(0, ""),)


async def test_a_host_without_mx(resolver: Resolver) -> None:
    assert (await resolver.find_mx("mx1.test")).records == ()


async def test_addresses(resolver: Resolver) -> None:
    assert (await resolver.find_ipv4("mx1.test")).addresses == ("192.0.2.1",)
    assert (await resolver.find_ipv6("mx1.test")).addresses == ()
    assert (await resolver.find_ipv6("mx6.test")).addresses == ("2001:db8::1",)
    assert (await resolver.find_ipv4("mx6.test")).addresses == ()


async def test_a_name_that_does_not_exist(resolver: Resolver) -> None:
    for find in (resolver.find_mx, resolver.find_ipv4, resolver.find_ipv6):
        with pytest.raises(NameNotFound):
            await find("missing.test")


async def test_a_name_whose_servers_fail(resolver: Resolver) -> None:
    for find in (resolver.find_mx, resolver.find_ipv4, resolver.find_ipv6):
        with pytest.raises(DnsTemporaryError):
            await find("broken.test")


async def test_names_of_addresses(resolver: Resolver) -> None:
    assert await resolver.find_ptr("192.0.2.1") == ("mx1.test",)
    assert await resolver.find_ptr("192.0.2.2") == ()
    with pytest.raises(DnsTemporaryError):
        await resolver.find_ptr("192.0.2.99")
