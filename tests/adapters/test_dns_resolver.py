"""The resolver against a small authoritative server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import dns.rcode
import pytest

from posthouse.adapters.dns.resolver import DnsResolver, DnsSettings
from posthouse.adapters.dns.system import is_local_address, make_servers, read_resolv_conf
from posthouse.adapters.dns.transport import Server
from posthouse.ports.clock import FakeClock
from posthouse.ports.resolver import DnsTemporaryError, MxRecord, NameNotFound
from tests.adapters.dns_zone import Zone, serving

QUICK = DnsSettings(timeout_s=0.1, attempts=2, total_s=5)


@pytest.fixture
def zone() -> Zone:
    return Zone(
        {
            ("a.test", "MX"): ["10 mx1.test.", "20 mx2.test."],
            ("mx1.test", "A"): ["192.0.2.1", "192.0.2.2"],
            ("mx1.test", "AAAA"): ["2001:db8::1"],
            ("null.test", "MX"): ["0 ."],
            ("alias.test", "CNAME"): ["mx1.test."],
            ("chain1.test", "CNAME"): ["chain2.test."],
            ("chain2.test", "CNAME"): ["mx1.test."],
            ("loop1.test", "CNAME"): ["loop2.test."],
            ("loop2.test", "CNAME"): ["loop1.test."],
            ("away.test", "CNAME"): ["far.test."],
            ("far.test", "AWAY"): [],
            ("dead.test", "CNAME"): ["nothing.test."],
            ("1.2.0.192.in-addr.arpa", "PTR"): ["mx1.test.", "other.test."],
            ("xn--bcher-kva.test", "A"): ["192.0.2.9"],
        }
    )


@pytest.fixture
async def server(zone: Zone) -> AsyncIterator[Server]:
    async with serving(zone) as server:
        yield server


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def resolver(server: Server, clock: FakeClock) -> DnsResolver:
    return DnsResolver([server], clock, QUICK)


async def test_mx_records_come_with_their_preferences_and_ttl(resolver: DnsResolver) -> None:
    answer = await resolver.find_mx("a.test")
    assert set(answer.records) == {MxRecord(10, "mx1.test"), MxRecord(20, "mx2.test")}
    assert answer.ttl_s == 300


async def test_addresses_of_both_families(resolver: DnsResolver) -> None:
    assert set((await resolver.find_ipv4("mx1.test")).addresses) == {"192.0.2.1", "192.0.2.2"}
    assert (await resolver.find_ipv6("mx1.test")).addresses == ("2001:db8::1",)


async def test_a_null_mx_is_the_root(resolver: DnsResolver) -> None:
    assert (await resolver.find_mx("null.test")).records == (MxRecord(0, ""),)


async def test_no_such_name_and_no_such_record_are_different(resolver: DnsResolver) -> None:
    assert (await resolver.find_mx("mx1.test")).records == ()
    with pytest.raises(NameNotFound):
        await resolver.find_mx("missing.test")


@pytest.mark.parametrize("alias", ["alias.test", "chain1.test"])
async def test_aliases_are_followed(resolver: DnsResolver, alias: str) -> None:
    assert (await resolver.find_ipv6(alias)).addresses == ("2001:db8::1",)


async def test_an_alias_that_leads_out_of_the_answer_is_asked_again(zone: Zone, resolver: DnsResolver) -> None:
    zone.records["far.test", "A"] = ["192.0.2.7"]
    assert (await resolver.find_ipv4("away.test")).addresses == ("192.0.2.7",)
    assert zone.asked["far.test", "A"] == 1


async def test_an_alias_of_nothing_does_not_exist(resolver: DnsResolver) -> None:
    with pytest.raises(NameNotFound):
        await resolver.find_ipv4("dead.test")


async def test_an_alias_of_a_name_that_cannot_be_asked_for_is_a_temporary_error(
    zone: Zone, resolver: DnsResolver
) -> None:
    zone.records["odd.test", "CNAME"] = ["\\001" * 40 + ".test."]
    zone.records["\\001" * 40 + ".test", "AWAY"] = []
    with pytest.raises(DnsTemporaryError, match="cannot be asked for"):
        await resolver.find_ipv4("odd.test")


async def test_aliases_in_a_circle_end(zone: Zone, resolver: DnsResolver) -> None:
    with pytest.raises(DnsTemporaryError, match="circle"):
        await resolver.find_ipv4("loop1.test")
    assert sum(zone.asked.values()) <= 8


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.NOTIMP])
async def test_a_failing_server_is_a_temporary_error(zone: Zone, resolver: DnsResolver, rcode: dns.rcode.Rcode) -> None:
    zone.rcodes["a.test"] = rcode
    with pytest.raises(DnsTemporaryError, match=dns.rcode.to_text(rcode)):
        await resolver.find_mx("a.test")


async def test_a_silent_server_is_a_temporary_error_within_the_deadline(zone: Zone, resolver: DnsResolver) -> None:
    zone.silent.add("a.test")
    async with asyncio.timeout(2):
        with pytest.raises(DnsTemporaryError, match="did not answer"):
            await resolver.find_mx("a.test")
    assert zone.asked["a.test", "MX"] == QUICK.attempts


async def test_the_total_deadline_ends_many_tries(zone: Zone, server: Server, clock: FakeClock) -> None:
    zone.silent.add("a.test")
    resolver = DnsResolver([server], clock, DnsSettings(timeout_s=5, attempts=10, total_s=0.1))
    async with asyncio.timeout(2):
        with pytest.raises(DnsTemporaryError, match=r"within 0\.1 s"):
            await resolver.find_mx("a.test")


async def test_the_next_server_is_asked_when_one_fails_and_is_kept(
    zone: Zone, server: Server, clock: FakeClock
) -> None:
    closed = Server("127.0.0.1", 1)
    resolver = DnsResolver([closed, server], clock, QUICK)
    assert (await resolver.find_mx("a.test")).records
    assert resolver._servers[resolver._first] == server


async def test_an_answer_too_big_for_udp_comes_by_tcp(zone: Zone, resolver: DnsResolver) -> None:
    zone.big.add("many.test")
    zone.records["many.test", "A"] = [f"198.51.100.{number}" for number in range(1, 250)]
    assert len((await resolver.find_ipv4("many.test")).addresses) == 249
    assert zone.tcp_questions == 1


async def test_forged_answers_are_passed_over(zone: Zone, resolver: DnsResolver) -> None:
    zone.forged.add("mx1.test")
    assert set((await resolver.find_ipv4("mx1.test")).addresses) == {"192.0.2.1", "192.0.2.2"}


async def test_a_server_without_edns_is_asked_without(zone: Zone, resolver: DnsResolver) -> None:
    zone.no_edns = True
    assert (await resolver.find_mx("a.test")).records


async def test_the_ad_bit_counts_only_from_a_trusted_server(zone: Zone, server: Server, clock: FakeClock) -> None:
    zone.authenticated = True
    stranger = Server(server.address, server.port, is_trusted=False)
    assert (await DnsResolver([server], clock, QUICK).find_mx("a.test")).authenticated
    assert not (await DnsResolver([stranger], clock, QUICK).find_mx("a.test")).authenticated
    zone.authenticated = False
    assert not (await DnsResolver([server], clock, QUICK).find_mx("a.test")).authenticated


async def test_answers_are_kept_for_their_ttl(zone: Zone, resolver: DnsResolver, clock: FakeClock) -> None:
    await resolver.find_mx("a.test")
    clock.advance(100)
    assert (await resolver.find_mx("a.test")).ttl_s == 200
    assert zone.asked["a.test", "MX"] == 1
    clock.advance(201)
    await resolver.find_mx("a.test")
    assert zone.asked["a.test", "MX"] == 2


async def test_no_is_kept_as_long_as_the_soa_says(zone: Zone, resolver: DnsResolver, clock: FakeClock) -> None:
    for _ in range(3):
        with pytest.raises(NameNotFound):
            await resolver.find_mx("missing.test")
    assert zone.asked["missing.test", "MX"] == 1
    clock.advance(61)
    zone.records["missing.test", "MX"] = ["10 mx1.test."]
    assert (await resolver.find_mx("missing.test")).records


async def test_a_failure_is_kept_for_seconds_only(zone: Zone, resolver: DnsResolver, clock: FakeClock) -> None:
    zone.rcodes["a.test"] = dns.rcode.SERVFAIL
    for _ in range(3):
        with pytest.raises(DnsTemporaryError):
            await resolver.find_mx("a.test")
    assert zone.asked["a.test", "MX"] == QUICK.attempts
    zone.rcodes.clear()
    clock.advance(6)
    assert (await resolver.find_mx("a.test")).records


async def test_the_same_question_at_once_goes_out_once(zone: Zone, resolver: DnsResolver) -> None:
    answers = await asyncio.gather(*(resolver.find_mx("a.test") for _ in range(50)))
    assert all(answer.records for answer in answers)
    assert zone.asked["a.test", "MX"] == 1


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(zone: Zone, resolver: DnsResolver) -> None:
    first = asyncio.create_task(resolver.find_mx("a.test"))
    second = asyncio.create_task(resolver.find_mx("a.test"))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).records


async def test_the_cache_is_bounded(server: Server, clock: FakeClock) -> None:
    resolver = DnsResolver([server], clock, DnsSettings(cache_entries=10))
    for number in range(30):
        with pytest.raises(NameNotFound):
            await resolver.find_ipv4(f"n{number}.test")
    assert len(resolver._cache) == 10


async def test_names_of_an_address(resolver: DnsResolver) -> None:
    assert set(await resolver.find_ptr("192.0.2.1")) == {"mx1.test", "other.test"}
    assert await resolver.find_ptr("192.0.2.200") == ()
    assert await resolver.find_ptr("2001:db8::1") == ()


async def test_a_unicode_name_is_asked_by_its_a_label(zone: Zone, resolver: DnsResolver) -> None:
    assert (await resolver.find_ipv4("bücher.test")).addresses == ("192.0.2.9",)
    assert zone.asked["xn--bcher-kva.test", "A"] == 1


async def test_upper_case_and_a_final_dot_are_the_same_name(zone: Zone, resolver: DnsResolver) -> None:
    await resolver.find_ipv4("MX1.test.")
    await resolver.find_ipv4("mx1.test")
    assert zone.asked["mx1.test", "A"] == 1


@pytest.mark.parametrize("name", ["", ".", "a..test", "x" * 64 + ".test", ".".join(["abcdefgh"] * 40)])
async def test_what_dns_cannot_hold_does_not_exist(zone: Zone, resolver: DnsResolver, name: str) -> None:
    with pytest.raises(NameNotFound):
        await resolver.find_mx(name)
    assert not zone.asked


async def test_localhost_is_answered_here(zone: Zone, resolver: DnsResolver) -> None:
    assert (await resolver.find_ipv4("localhost")).addresses == ("127.0.0.1",)
    assert (await resolver.find_ipv6("mail.localhost")).addresses == ("::1",)
    assert not zone.asked


async def test_closing_ends_what_is_being_asked(zone: Zone, server: Server, clock: FakeClock) -> None:
    zone.silent.add("a.test")
    resolver = DnsResolver([server], clock, DnsSettings(timeout_s=30))
    waiting = asyncio.create_task(resolver.find_mx("a.test"))
    while not zone.asked:
        await asyncio.sleep(0)
    await resolver.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_resolver_needs_a_server(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="at least one"):
        DnsResolver([], clock)


def test_resolv_conf_gives_servers_and_the_search_list_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "search corp.test\n# nameserver 9.9.9.9\nnameserver 127.0.0.53\nnameserver 192.0.2.53\nnameserver x\n"
    )
    assert read_resolv_conf(path) == [Server("127.0.0.53", 53, True), Server("192.0.2.53", 53, False)]


def test_trust_ad_of_resolv_conf_trusts_its_servers(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("options edns0 trust-ad\nnameserver 192.0.2.53\n")
    assert read_resolv_conf(path) == [Server("192.0.2.53", 53, True)]


def test_without_resolv_conf_this_machine_is_asked(tmp_path: Path) -> None:
    assert read_resolv_conf(tmp_path / "none") == [Server("127.0.0.1", 53, True)]


def test_configured_servers_replace_those_of_the_system() -> None:
    assert make_servers([("192.0.2.1", 5353), ("::1", 53)]) == [
        Server("192.0.2.1", 5353, False),
        Server("::1", 53, True),
    ]


def test_the_kernel_knows_our_addresses() -> None:
    assert is_local_address("127.0.0.1")
    assert not is_local_address("192.0.2.1")
    assert not is_local_address("2001:db8::1")
