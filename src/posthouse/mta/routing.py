"""Where mail for an address goes: accounts, hosted domains, the first route that matches, then MX (RFC 5321 §5.1).

The router answers from tables and caches at once (`route_now`, on the path of every message) or asks DNS
(`route`). Questions about one domain that come together are asked once; answers are kept as long as their TTL
says, within limits. It also tells the receiving side which addresses strangers may send to. Nothing is durable.

What DNS says: no such domain is permanent (5.1.2); a null MX too (556 5.1.10, RFC 7505 §3); a failing or silent
name server is temporary (4.4.3) and concludes nothing.

It trusts the configuration and, for names, the resolver. It does not connect: see mta/routing_hosts.py for addresses.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import assert_never

from posthouse.message.address import Address, AddressError, literal_address, to_ascii_domain
from posthouse.message.nexthop import (
    DiscardHop,
    HostHop,
    LmtpSocketHop,
    MaildirHop,
    MxHop,
    NextHop,
    RejectHop,
)
from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.routing_hosts import HostFinder, RoutingSettings, is_ip
from posthouse.mta.routing_paths import BoxMaker
from posthouse.mta.schedule import NEVER
from posthouse.mta.targets import (
    AccountBox,
    Destination,
    Discarded,
    Mode,
    Rejected,
    SiteHost,
    SiteKey,
    SmtpAuth,
    SmtpSite,
    TlsPolicy,
    Unroutable,
)
from posthouse.ports.clock import Clock, Random
from posthouse.ports.directory import Directory, DirectoryError, FakeDirectory, Standing
from posthouse.ports.resolver import DnsTemporaryError, MxRecord, NameNotFound, Resolver
from posthouse.ports.stream import Endpoint

__all__ = ["Route", "Router", "RoutingSettings"]


@dataclass(frozen=True, slots=True)
class Route:
    """One [[route]]. `domain` is exact, ".example.net" (below it) or "*"; `hosted`: we are its final host."""

    domain: str
    hops: tuple[NextHop, ...]
    is_open: bool = False  # accept = "anyone"
    is_hosted: bool = False
    auth: SmtpAuth | None = None
    tls: TlsPolicy = TlsPolicy.OPPORTUNISTIC


_HOST_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
_MX_ROUTE = Route("*", (MxHop(),))
_ACCOUNT = AccountBox()
_GONE = Unroutable(Refused(Reply(550, "5.1.1", "There is no such mailbox here any more")))


class _Known:
    """What a domain leads to: `to`, or for Maildirs `boxes`, which the address completes."""

    __slots__ = ("boxes", "expires", "to")

    def __init__(self, to: Destination | None, expires: float = NEVER, boxes: BoxMaker | None = None) -> None:
        self.to = to
        self.expires = expires
        self.boxes = boxes


class RouteTable:
    """The routes by pattern: hosted ones first, then in their order."""

    def __init__(self, routes: Sequence[Route]) -> None:
        order = sorted(routes, key=lambda route: not (route.is_hosted and route.domain[0] not in ".*"))
        self._by_pattern: dict[str, tuple[int, Route]] = {}
        for number, route in enumerate(order):
            dot = "." if route.domain.startswith(".") else ""
            pattern = dot + to_ascii_domain(route.domain.removeprefix(".").lower())
            self._by_pattern.setdefault(pattern, (number, route))

    def find(self, ascii_domain: str) -> Route | None:
        """The first route that covers the domain."""
        patterns = self._by_pattern
        found = [entry for key in (ascii_domain, "*") if (entry := patterns.get(key))]
        dot = ascii_domain.find(".")
        while dot >= 0:
            entry = patterns.get(ascii_domain[dot:])
            if entry is not None:
                found.append(entry)
            dot = ascii_domain.find(".", dot + 1)
        return min(found, key=lambda entry: entry[0])[1] if found else None


class Router:
    """See the module's text. One per worker."""

    def __init__(
        self,
        routes: Sequence[Route],
        resolver: Resolver,
        settings: RoutingSettings,
        clock: Clock,
        random: Random,
        directory: Directory | None = None,
    ) -> None:
        self._table = RouteTable(routes)
        self._directory = directory or FakeDirectory()
        self._resolver = resolver
        self._settings = settings
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asking: dict[str, asyncio.Task[_Known]] = {}
        self.hosts = HostFinder(resolver, settings, clock, random)

    # -- what the receiving side asks

    def find_route(self, address: Address) -> Route | None:
        """The configured route of an address; None: by MX."""
        try:
            return self._table.find(to_ascii_domain(address.domain))
        except AddressError:
            return None

    def is_open_to_anyone(self, address: Address) -> bool:
        """A route with `accept = "anyone"` covers it: we are its MX or backup MX."""
        route = self.find_route(address)
        return route is not None and route.is_open

    def find_rejection(self, address: Address) -> Reply | None:
        """What the configuration says at once, without a question to DNS, to mail for an address that is not ours."""
        route = self.find_route(address)
        if route is None or not isinstance(route.hops[0], RejectHop) or self._find_ours(address) is not None:
            return None
        return route.hops[0].reply

    def delivers_here(self, address: Address) -> bool:
        """It ends in a mailbox of ours, at other addresses or nowhere: no next host reads a second one out of it."""
        if self._directory.mailbox_of(address) is not None or tuple(self._directory.expand(address)) != (address,):
            return True
        route = self.find_route(address)
        return route is not None and isinstance(route.hops[0], MaildirHop | DiscardHop | RejectHop)

    # -- where to

    def route_now(self, address: Address) -> Destination | None:
        """The answer when no question to DNS is needed, or None."""
        ours = self._find_ours(address)
        if ours is not None:
            return ours
        known = self._known.get(address.domain)
        if known is None:
            known = self._route_statically(address)
            if known is None:
                return None
        if known.expires != NEVER and known.expires <= self._clock.monotonic():
            return None
        return known.to if known.boxes is None else known.boxes.make(address)

    def _find_ours(self, address: Address) -> Destination | None:
        """What the directory says. An alias has been followed before; one that is new since is no mailbox any more."""
        directory = self._directory
        try:
            if directory.mailbox_of(address) is not None:
                return _ACCOUNT
            standing = directory.look_up(address)
        except DirectoryError as error:
            return Unroutable(Deferred(Reply(451, "4.3.0", f"Directory: {error}")))
        if standing is Standing.ELSEWHERE or (standing is Standing.KNOWN and self.find_route(address) is not None):
            return None
        return _GONE

    async def route(self, address: Address) -> Destination:
        at_hand = self.route_now(address)
        if at_hand is not None:
            return at_hand
        task = self._asking.get(address.domain)
        if task is None:
            task = self._asking[address.domain] = asyncio.create_task(self._ask_mx(address))
            task.add_done_callback(lambda _: self._asking.pop(address.domain, None))
        known = await asyncio.shield(task)
        assert known.to is not None
        return known.to

    def endpoints_now(self, site: SmtpSite) -> list[Endpoint] | Deferred | Refused | None:
        """The addresses to try when they are at hand, or None."""
        return self.hosts.endpoints_now(site)

    async def endpoints(self, site: SmtpSite) -> list[Endpoint] | Deferred | Refused:
        """The addresses to try, best first; or why there are none: then `site.fallback` is next, if there is one."""
        return await self.hosts.endpoints(site)

    # -- how

    def _keep(self, domain: str, known: _Known) -> _Known:
        while len(self._known) >= self._settings.max_entries:
            del self._known[next(iter(self._known))]
        self._known[domain] = known
        return known

    def _route_statically(self, address: Address) -> _Known | None:
        """What needs no DNS: routes to hosts, boxes and refusals, address literals, and addresses that are none."""
        domain = address.domain
        try:
            ascii_domain = to_ascii_domain(domain)
        except AddressError as error:
            return _Known(_refuse(501, "5.1.3", str(error)))
        if not domain:
            return _Known(_refuse(550, "5.1.1", "This address has no domain and no postmaster is set"))
        route = self._table.find(ascii_domain)
        if route is None:
            literal = literal_address(ascii_domain)
            if literal is None:
                return None
            return self._keep(domain, _Known(self._site_of_literal(literal)))
        if any(isinstance(hop, MxHop) for hop in route.hops):
            return None
        first = route.hops[0]
        if isinstance(first, MaildirHop):
            return self._keep(domain, _Known(None, boxes=BoxMaker(first, ascii_domain)))
        return self._keep(domain, _Known(self._join(route, None)))

    def _site_of_literal(self, address: str) -> SmtpSite:
        """user@[192.0.2.1]: that host, unless it is ourselves (RFC 5321 §4.1.3)."""
        host = SiteHost(0, address, self._settings.mx_port)
        return SmtpSite(SiteKey(f"mx:[{address}]{self._port_words}"), (host,), uses_mx=True)

    @property
    def _port_words(self) -> str:
        return "" if self._settings.mx_port == 25 else f":{self._settings.mx_port}"

    async def _ask_mx(self, address: Address) -> _Known:
        domain = to_ascii_domain(address.domain)
        to, ttl_s = await self._find_mx(domain)
        route = self._table.find(domain) or _MX_ROUTE
        known = _Known(self._join(route, to), self._clock.monotonic() + ttl_s)
        return self._keep(address.domain, known)

    async def _find_mx(self, domain: str) -> tuple[Destination, float]:
        """The site of a domain, or why it has none; and for how long that holds."""
        settings = self._settings
        try:
            answer = await self._resolver.find_mx(domain)
        except NameNotFound:
            words = f"The domain {domain} does not exist"
            return _refuse(550, "5.1.2", words), settings.failure_ttl_s
        except DnsTemporaryError as error:
            return Unroutable(Deferred(Reply(451, "4.4.3", f"Name service: {error}"))), settings.failure_ttl_s
        ttl_s = max(settings.min_ttl_s, min(answer.ttl_s, settings.max_ttl_s))
        if not answer.records:
            host = SiteHost(0, domain, settings.mx_port)
            key = SiteKey(f"mx:{domain}{self._port_words}")
            return SmtpSite(key, (host,), uses_mx=True, is_implicit=True), ttl_s
        if all(not record.exchange for record in answer.records):
            return _refuse(556, "5.1.10", f"The domain {domain} takes no mail (null MX)"), ttl_s
        return self._site_of_mx(domain, answer.records), ttl_s

    def _site_of_mx(self, domain: str, records: Sequence[MxRecord]) -> Destination:
        """MX records must name hosts: one that is an address is left out, as Postfix and Exim do.

        So is a name with other letters than a host's: it could be made to look like the key of another site.
        """
        named = {(record.preference, record.exchange) for record in records}
        usable = sorted(pair for pair in named if _HOST_NAME.fullmatch(pair[1]) and not is_ip(pair[1]))
        if not usable:
            return _refuse(550, "5.4.4", f"The MX records of {domain} name no host")
        ranks: dict[str, int] = {}
        preferences = sorted({preference for preference, _ in usable})
        for preference, host in usable:
            ranks.setdefault(host, preferences.index(preference))
        port = self._settings.mx_port
        hosts = tuple(SiteHost(rank, name, port) for name, rank in ranks.items())
        words = ";".join(
            ",".join(host.name for host in group) for _, group in groupby(hosts, key=lambda host: host.rank)
        )
        return SmtpSite(SiteKey(f"mx:{words}{self._port_words}"), hosts, uses_mx=True)

    def _join(self, route: Route, mx: Destination | None) -> Destination:
        """The hops of a route as one destination, each the fallback of the one before; `mx` stands for MxHop."""
        joined: Destination | None = None
        for _, group in reversed([(kind, list(hops)) for kind, hops in groupby(route.hops, key=_kind_of)]):
            joined = self._with_fallback(self._site_of(group, route, mx), joined)
        assert joined is not None
        return joined

    def _with_fallback(self, first: Destination, fallback: Destination | None) -> Destination:
        if fallback is None:
            return first
        if isinstance(first, Unroutable) and isinstance(first.outcome, Deferred):
            return fallback
        if not isinstance(first, SmtpSite):
            return first
        key = f"{first.key} {fallback.key}" if isinstance(fallback, SmtpSite) else first.key
        return replace(first, key=SiteKey(key), fallback=fallback)

    def _site_of(self, group: Sequence[NextHop], route: Route, mx: Destination | None) -> Destination:
        """One run of hops of the same kind."""
        first = group[0]
        if isinstance(first, MxHop):
            assert mx is not None
            return _with_policy(mx, route, None)
        if isinstance(first, HostHop):
            same = [hop for hop in group if isinstance(hop, HostHop)]
            hosts = tuple(SiteHost(rank, hop.host, hop.port) for rank, hop in enumerate(same))
            site = SmtpSite(SiteKey(" ".join(str(hop) for hop in same)), hosts, Mode(first.scheme))
            return _with_policy(site, route, route.auth)
        if isinstance(first, LmtpSocketHop):
            return SmtpSite(SiteKey(str(first)), (SiteHost(0, "localhost", 0, first.path),), Mode.LMTP, TlsPolicy.OFF)
        if isinstance(first, RejectHop):
            return Rejected(first.reply)
        if isinstance(first, DiscardHop):
            return Discarded()
        if isinstance(first, MaildirHop):
            return _refuse(550, "5.3.5", "A Maildir can only be the first entry of a route")
        assert_never(first)


def _kind_of(hop: NextHop) -> str:
    """Hops next to each other of one kind make one site. Sockets stay alone, each has its own path."""
    return hop.scheme if isinstance(hop, HostHop) else str(hop)


def _with_policy(to: Destination, route: Route, auth: SmtpAuth | None) -> Destination:
    """TLS and login of a route. They are part of the key: connections that differ in them are not shared."""
    if not isinstance(to, SmtpSite):
        return to
    words = "" if route.tls is TlsPolicy.OPPORTUNISTIC else f" tls={route.tls.value}"
    if auth is not None:
        words += f" user={auth.username}"
    return replace(to, key=SiteKey(to.key + words), tls=route.tls, auth=auth)


def _refuse(code: int, enhanced: str, text: str) -> Unroutable:
    return Unroutable(Refused(Reply(code, enhanced, text)))
