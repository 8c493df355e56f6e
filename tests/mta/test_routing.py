"""Where an address goes: routes, MX, and what DNS may say."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.message.address import Address, Domain, LocalPart, parse_address
from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.routing import Route, RoutingSettings
from posthouse.mta.targets import (
    Discarded,
    MaildirBox,
    Mode,
    Rejected,
    SiteHost,
    SmtpAuth,
    TlsPolicy,
)
from posthouse.ports.clock import FakeClock
from posthouse.ports.resolver import FakeResolver
from tests.mta.routing_kit import ANN, failure_of, hops, make_router, must_be_site

# -- the table


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("example.net", "exact"),
        ("a.example.net", "below"),
        ("a.b.example.net", "below"),
        ("notexample.net", "any"),
        ("example.org", "any"),
    ],
)
def test_the_first_route_that_matches_counts(domain: str, host: str) -> None:
    routes = [
        Route("example.net", hops("smtp://exact:25")),
        Route(".example.net", hops("smtp://below:25")),
        Route("*", hops("smtp://any:25")),
    ]
    site = must_be_site(make_router(routes).route_now(parse_address(f"ann@{domain}")))
    assert site.hosts[0].name == host


def test_a_later_route_that_is_more_exact_does_not_count() -> None:
    routes = [Route("*", hops("smtp://any:25")), Route("example.net", hops("smtp://exact:25"))]
    assert must_be_site(make_router(routes).route_now(ANN)).hosts[0].name == "any"


def test_a_hosted_domain_comes_before_every_route() -> None:
    routes = [
        Route("*", hops("smtp://smarthost:25")),
        Route("example.net", hops("maildir:/var/mail/{domain}/{local}"), is_open=True, is_hosted=True),
    ]
    assert make_router(routes).route_now(ANN) == MaildirBox("/var/mail", "/var/mail/example.net/ann")


def test_a_route_for_a_unicode_domain_covers_its_a_label_too() -> None:
    router = make_router([Route("bücher.example", hops("discard"))])
    assert router.route_now(parse_address("a@bücher.example")) == Discarded()
    assert router.route_now(parse_address("a@xn--bcher-kva.example")) == Discarded()


def test_a_rejection_is_known_before_anything_is_sent() -> None:
    router = make_router([Route("a.example", hops("discard")), Route("b.example", hops("reject:550 5.7.1 No"))])
    assert router.find_rejection(parse_address("x@b.example")) == Reply(550, "5.7.1", "No")
    assert router.find_rejection(parse_address("x@a.example")) is None
    assert router.find_rejection(parse_address("x@c.example")) is None


def test_discard_and_reject_need_no_host() -> None:
    router = make_router([Route("a.example", hops("discard")), Route("b.example", hops("reject:550 5.7.1 No"))])
    assert router.route_now(parse_address("x@a.example")) == Discarded()
    assert router.route_now(parse_address("x@b.example")) == Rejected(Reply(550, "5.7.1", "No"))


def test_a_smarthost_keeps_its_login_and_tls() -> None:
    auth = SmtpAuth("relay", "secret")
    route = Route("*", hops("smtps://smart.example:465"), auth=auth, tls=TlsPolicy.VERIFY)
    site = must_be_site(make_router([route]).route_now(ANN))
    assert (site.mode, site.auth, site.tls, site.uses_mx) == (Mode.SMTPS, auth, TlsPolicy.VERIFY, False)
    assert site.key == "smtps://smart.example:465 tls=verify user=relay"
    assert "secret" not in site.key


def test_a_list_of_hosts_is_tried_in_order() -> None:
    route = Route("*", hops("smtp://one:25", "smtp://two:2525"))
    site = must_be_site(make_router([route]).route_now(ANN))
    assert site.hosts == (SiteHost(0, "one", 25), SiteHost(1, "two", 2525))
    assert site.fallback is None


def test_entries_of_different_kinds_are_each_others_fallback() -> None:
    route = Route("*", hops("lmtp+unix:/run/one", "lmtp+unix:/run/two", "smtp://three:25", "discard"))
    first = must_be_site(make_router([route]).route_now(ANN))
    assert (first.mode, first.hosts) == (Mode.LMTP, (SiteHost(0, "localhost", 0, "/run/one"),))
    second = must_be_site(first.fallback)
    third = must_be_site(second.fallback)
    assert (second.hosts[0].socket, third.hosts[0].name, third.fallback) == ("/run/two", "three", Discarded())


async def test_mx_with_a_relay_behind_it() -> None:
    resolver = FakeResolver(mx={"example.net": [(10, "mx.example.net")]}, failing=["broken.example"])
    router = make_router([Route("*", hops("mx", "smtp://relay:25"), tls=TlsPolicy.REQUIRED)], resolver)
    assert router.route_now(ANN) is None
    site = must_be_site(await router.route(ANN))
    assert (site.uses_mx, site.tls) == (True, TlsPolicy.REQUIRED)
    assert must_be_site(site.fallback).hosts[0].name == "relay"
    relay = must_be_site(await router.route(parse_address("a@broken.example")))
    assert relay.hosts[0].name == "relay"
    assert failure_of(await router.route(parse_address("a@missing.example"))) == (Refused, 550, "5.1.2")


# -- what strangers may send to


def test_a_route_alone_opens_nothing() -> None:
    router = make_router([Route("*", hops("smtp://smart:25")), Route("a.example", hops("mx"), is_open=True)])
    assert not router.is_open_to_anyone(ANN)
    assert not router.is_open_to_anyone(parse_address("x@a.example"))  # the first route counts
    router = make_router([Route("a.example", hops("mx"), is_open=True), Route("*", hops("smtp://smart:25"))])
    assert router.is_open_to_anyone(parse_address("x@a.example"))
    assert not router.is_open_to_anyone(ANN)
    assert not make_router().is_open_to_anyone(ANN)


def test_only_boxes_of_ours_deliver_here() -> None:
    routes = [Route("a.example", hops("maildir:/m/{domain}/{local}")), Route("b.example", hops("smtp://h:25"))]
    router = make_router(routes)
    assert router.delivers_here(parse_address("x@a.example"))
    assert not router.delivers_here(parse_address("x@b.example"))
    assert not router.delivers_here(ANN)


# -- MX


async def test_domains_with_the_same_mx_hosts_share_a_site() -> None:
    resolver = FakeResolver(
        mx={
            "a.example": [(10, "mx1.x"), (20, "mx2.x")],
            "b.example": [(20, "mx2.x"), (5, "mx1.x")],
            "c.example": [(10, "mx2.x"), (20, "mx1.x")],
            "d.example": [(10, "mx2.x"), (10, "mx1.x")],
        }
    )
    router = make_router(resolver=resolver)
    sites = [must_be_site(await router.route(parse_address(f"u@{name}.example"))) for name in "abcd"]
    assert sites[0].key == sites[1].key == "mx:mx1.x;mx2.x"
    assert sites[2].key == "mx:mx2.x;mx1.x"  # the order of preference is theirs to say
    assert sites[3].key == "mx:mx1.x,mx2.x"


async def test_without_mx_the_domain_itself_is_the_host() -> None:
    router = make_router(resolver=FakeResolver(ipv4={"example.net": ["192.0.2.1"]}))
    site = must_be_site(await router.route(ANN))
    assert (site.hosts, site.is_implicit) == ((SiteHost(0, "example.net", 25),), True)


async def test_a_null_mx_refuses() -> None:
    router = make_router(resolver=FakeResolver(mx={"example.net": [(0, "")]}))
    assert failure_of(await router.route(ANN)) == (Refused, 556, "5.1.10")


async def test_a_null_mx_among_others_is_passed_over() -> None:
    router = make_router(resolver=FakeResolver(mx={"example.net": [(0, ""), (10, "mx.x")]}))
    assert must_be_site(await router.route(ANN)).key == "mx:mx.x"


async def test_a_domain_that_does_not_exist_is_refused() -> None:
    assert failure_of(await make_router().route(ANN)) == (Refused, 550, "5.1.2")


async def test_a_failing_name_server_is_temporary() -> None:
    router = make_router(resolver=FakeResolver(failing=["example.net"]))
    assert failure_of(await router.route(ANN)) == (Deferred, 451, "4.4.3")


async def test_mx_records_that_are_addresses_are_left_out() -> None:
    resolver = FakeResolver(mx={"example.net": [(5, "192.0.2.1"), (10, "mx.x")], "bad.example": [(5, "192.0.2.1")]})
    router = make_router(resolver=resolver)
    assert must_be_site(await router.route(ANN)).key == "mx:mx.x"
    assert failure_of(await router.route(parse_address("a@bad.example"))) == (Refused, 550, "5.4.4")


async def test_an_mx_name_made_up_to_look_like_anothers_site_is_left_out() -> None:
    resolver = FakeResolver(
        mx={"example.net": [(10, "mx1.x"), (10, "mx2.x")], "evil.example": [(10, "mx1.x,mx2.x"), (20, "mx1.x;mx2.x")]}
    )
    router = make_router(resolver=resolver)
    assert must_be_site(await router.route(ANN)).key == "mx:mx1.x,mx2.x"
    assert failure_of(await router.route(parse_address("a@evil.example"))) == (Refused, 550, "5.4.4")


async def test_a_unicode_domain_is_asked_by_its_a_label() -> None:
    resolver = FakeResolver(mx={"xn--bcher-kva.example": [(10, "mx.x")]})
    assert must_be_site(await make_router(resolver=resolver).route(parse_address("a@bücher.example"))).key == "mx:mx.x"


async def test_another_mx_port_is_part_of_the_site() -> None:
    resolver = FakeResolver(mx={"example.net": [(10, "mx.x")]})
    router = make_router(resolver=resolver, settings=RoutingSettings("h.example", mx_port=2525))
    site = must_be_site(await router.route(ANN))
    assert (site.key, site.hosts[0].port) == ("mx:mx.x:2525", 2525)


def test_an_address_literal_is_that_host() -> None:
    router = make_router()
    site = must_be_site(router.route_now(parse_address("ann@[192.0.2.1]")))
    assert (site.key, site.hosts[0].name) == ("mx:[192.0.2.1]", "192.0.2.1")
    assert must_be_site(router.route_now(parse_address("ann@[IPv6:2001:db8::1]"))).hosts[0].name == "2001:db8::1"


def test_a_postmaster_without_a_domain_is_not_guessed_at() -> None:
    destination = make_router().route_now(Address(LocalPart("postmaster"), Domain("")))
    assert destination is not None
    assert failure_of(destination) == (Refused, 550, "5.1.1")


# -- the cache


async def test_answers_are_kept_for_their_ttl_within_limits() -> None:
    clock = FakeClock()
    resolver = FakeResolver(mx={"example.net": [(10, "mx.x")]})
    router = make_router(resolver=resolver, clock=clock)
    first = await router.route(ANN)
    assert router.route_now(ANN) is first
    clock.advance(299)
    assert router.route_now(parse_address("bob@example.net")) is first
    clock.advance(2)
    assert router.route_now(ANN) is None
    await router.route(ANN)
    assert resolver.asked == [("MX", "example.net")] * 2


async def test_a_failure_is_asked_again_soon() -> None:
    clock = FakeClock()
    resolver = FakeResolver(mx={"example.net": [(10, "mx.x")]}, failing=["example.net"])
    router = make_router(resolver=resolver, clock=clock)
    await router.route(ANN)
    await router.route(ANN)
    assert len(resolver.asked) == 1
    resolver.failing.clear()
    clock.advance(31)
    must_be_site(await router.route(ANN))


async def test_a_clock_that_jumps_does_not_outdate_the_cache() -> None:
    clock = FakeClock()
    router = make_router(resolver=FakeResolver(mx={"example.net": [(10, "mx.x")]}), clock=clock)
    await router.route(ANN)
    clock.jump(-86400 * 30)
    assert router.route_now(ANN) is not None


async def test_questions_at_the_same_time_are_asked_once() -> None:
    resolver = FakeResolver(mx={"example.net": [(10, "mx.x")]})
    router = make_router(resolver=resolver)
    answers = await asyncio.gather(*(router.route(parse_address(f"u{n}@example.net")) for n in range(100)))
    assert len({id(answer) for answer in answers}) == 1
    assert len(resolver.asked) == 1


async def test_the_cache_is_bounded() -> None:
    router = make_router(settings=RoutingSettings("h.example", max_entries=10))
    for number in range(30):
        await router.route(parse_address(f"a@n{number}.example"))
    assert len(router._known) == 10
