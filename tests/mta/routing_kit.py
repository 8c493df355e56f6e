"""Routers and what is expected of their answers, for the tests of routing."""

from __future__ import annotations

import random
from collections.abc import Sequence

from posthouse.message.address import parse_address
from posthouse.message.nexthop import NextHop, parse_next_hop
from posthouse.mta.routing import Route, Router, RoutingSettings
from posthouse.mta.targets import Destination, SmtpSite, Unroutable
from posthouse.ports.clock import FakeClock
from posthouse.ports.directory import Directory
from posthouse.ports.resolver import FakeResolver

ANN = parse_address("ann@example.net")


def hops(*texts: str) -> tuple[NextHop, ...]:
    return tuple(parse_next_hop(text) for text in texts)


def make_router(
    routes: Sequence[Route] = (),
    resolver: FakeResolver | None = None,
    clock: FakeClock | None = None,
    settings: RoutingSettings | None = None,
    directory: Directory | None = None,
) -> Router:
    settings = settings or RoutingSettings("mail.example.org")
    return Router(routes, resolver or FakeResolver(), settings, clock or FakeClock(), random.Random(1), directory)


def must_be_site(destination: Destination | None) -> SmtpSite:
    assert isinstance(destination, SmtpSite), destination
    return destination


def failure_of(destination: Destination) -> tuple[type, int, str]:
    assert isinstance(destination, Unroutable), destination
    reply = destination.outcome.reply
    return type(destination.outcome), reply.code, reply.enhanced
