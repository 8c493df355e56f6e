"""From the hosts of a site to the addresses to try, in order.

Hosts of one preference are shuffled (RFC 5321 §5.1), and inside a preference the families take turns, IPv6 first.
Where the addresses that would be tried first are all of one family while the other exists, the other gets half of
the tries: a broken IPv6 (or IPv4) never uses them all up.

A host that is ourselves, by address and port, and every host of equal or worse preference is left out of an MX
list (RFC 5321 §5.1); when nothing is left, the mail would go in a circle (5.4.6).

Answers are kept as long as their TTL says, within limits. Questions asked at the same time are asked once.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.local_addresses import LocalAddresses
from posthouse.mta.schedule import NEVER
from posthouse.mta.targets import SiteHost, SiteKey, SmtpSite
from posthouse.ports.clock import Clock, Random
from posthouse.ports.resolver import DnsTemporaryError, NameNotFound, Resolver
from posthouse.ports.stream import Endpoint

_MAX_HOSTS = 20
_MAX_ADDRESSES = 20  # of one host and family


@dataclass(frozen=True, slots=True)
class RoutingSettings:
    """`tries`: how many addresses the sender will try, so that both families are among them."""

    hostname: str
    local: LocalAddresses = field(default_factory=LocalAddresses)
    mx_port: int = 25
    ipv4: bool = True
    ipv6: bool = True
    tries: int = 5
    min_ttl_s: float = 30.0
    max_ttl_s: float = 3600.0
    failure_ttl_s: float = 30.0
    max_entries: int = 50_000


@dataclass(slots=True)
class _HostAnswer:
    """What DNS says about one host; `error` is the last temporary failure."""

    host: SiteHost
    ipv4: Sequence[str] = ()
    ipv6: Sequence[str] = ()
    ttl_s: float = float("inf")
    exists: bool = True
    error: str = ""


@dataclass(frozen=True, slots=True)
class _Found:
    """What is kept of a site: endpoints by rank as (IPv6, IPv4), or why there are none."""

    expires: float
    ranks: tuple[tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]], ...] = ()
    only: Endpoint | None = None
    failure: Deferred | Refused | None = None


class HostFinder:
    """Addresses of sites, with a bounded cache."""

    def __init__(self, resolver: Resolver, settings: RoutingSettings, clock: Clock, random: Random) -> None:
        self._resolver = resolver
        self._settings = settings
        self._clock = clock
        self._random = random
        self._known: dict[SiteKey, _Found] = {}
        self._asking: dict[SiteKey, asyncio.Task[_Found]] = {}

    def endpoints_now(self, site: SmtpSite) -> list[Endpoint] | Deferred | Refused | None:
        """The answer when it is at hand, or None."""
        found = self._known.get(site.key)
        if found is None or (found.expires != NEVER and found.expires <= self._clock.monotonic()):
            return None
        return self._arrange(found)

    async def endpoints(self, site: SmtpSite) -> list[Endpoint] | Deferred | Refused:
        """The addresses to try, best first; never an empty list."""
        at_hand = self.endpoints_now(site)
        if at_hand is not None:
            return at_hand
        task = self._asking.get(site.key)
        if task is None:
            task = self._asking[site.key] = asyncio.create_task(self._look_up(site))
            task.add_done_callback(lambda _: self._asking.pop(site.key, None))
        return self._arrange(await asyncio.shield(task))

    async def _look_up(self, site: SmtpSite) -> _Found:
        hosts = sorted(site.hosts, key=lambda host: host.rank)[:_MAX_HOSTS]
        answers = await asyncio.gather(*(self._ask(host) for host in hosts))
        found = self._judge(site, answers)
        while len(self._known) >= self._settings.max_entries:
            del self._known[next(iter(self._known))]
        self._known[site.key] = found
        return found

    async def _ask(self, host: SiteHost) -> _HostAnswer:
        if host.socket:
            return _HostAnswer(host)
        if is_ip(host.name):
            return _HostAnswer(host, ipv6=(host.name,)) if ":" in host.name else _HostAnswer(host, ipv4=(host.name,))
        answer = _HostAnswer(host)
        families = [self._ask_family(answer, 4)] if self._settings.ipv4 else []
        if self._settings.ipv6:
            families.append(self._ask_family(answer, 6))
        await asyncio.gather(*families)
        return answer

    async def _ask_family(self, answer: _HostAnswer, version: int) -> None:
        ask = self._resolver.find_ipv4 if version == 4 else self._resolver.find_ipv6
        try:
            found = await ask(answer.host.name)
        except NameNotFound:
            answer.exists = False
            return
        except DnsTemporaryError as error:
            answer.error = str(error)
            return
        answer.ttl_s = min(answer.ttl_s, found.ttl_s)
        if version == 4:
            answer.ipv4 = found.addresses[:_MAX_ADDRESSES]
        else:
            answer.ipv6 = found.addresses[:_MAX_ADDRESSES]

    def _judge(self, site: SmtpSite, answers: Sequence[_HostAnswer]) -> _Found:
        usable = self._leave_out_ourselves(answers) if site.uses_mx else list(answers)
        ttl_s = min((answer.ttl_s for answer in answers), default=0.0)
        errors = [answer.error for answer in usable if answer.error]
        expires = self._expiry(min(ttl_s, self._settings.failure_ttl_s) if errors else ttl_s)
        if not usable:
            return _Found(expires, failure=_loop(site))
        ranks = tuple(_endpoints_of(usable, rank) for rank in sorted({answer.host.rank for answer in usable}))
        every = [endpoint for families in ranks for family in families for endpoint in family]
        if every:
            return _Found(expires, ranks, every[0] if len(every) == 1 else None)
        retry = self._expiry(self._settings.failure_ttl_s)
        if errors:
            return _Found(retry, failure=Deferred(Reply(451, "4.4.3", f"Name service: {errors[0]}"), site_failed=True))
        return _Found(retry, failure=_no_address(site, usable))

    def _expiry(self, ttl_s: float) -> float:
        if ttl_s == NEVER:
            return NEVER
        settings = self._settings
        return self._clock.monotonic() + max(settings.min_ttl_s, min(ttl_s, settings.max_ttl_s))

    def _leave_out_ourselves(self, answers: Sequence[_HostAnswer]) -> list[_HostAnswer]:
        """Hosts that are better than the first that is ourselves (RFC 5321 §5.1)."""
        ours = min((answer.host.rank for answer in answers if self._is_ours(answer)), default=None)
        return [answer for answer in answers if ours is None or answer.host.rank < ours]

    def _is_ours(self, answer: _HostAnswer) -> bool:
        local, port = self._settings.local, answer.host.port
        if answer.host.name == self._settings.hostname and local.listens_on(port):
            return True
        return any(local.is_ours(address, port) for address in (*answer.ipv4, *answer.ipv6))

    def _arrange(self, found: _Found) -> list[Endpoint] | Deferred | Refused:
        if found.failure is not None:
            return found.failure
        if found.only is not None:
            return [found.only]
        ordered: list[Endpoint] = []
        for ipv6, ipv4 in found.ranks:
            ordered += _interleave(self._shuffle(ipv6), self._shuffle(ipv4))
        return balance(ordered, self._settings.tries)

    def _shuffle(self, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        shuffled = list(endpoints)
        if len(shuffled) > 1:
            self._random.shuffle(shuffled)
        return shuffled


def is_ip(name: str) -> bool:
    if ":" not in name and not name[-1:].isdigit():
        return False
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def balance(endpoints: list[Endpoint], tries: int) -> list[Endpoint]:
    """Where the first `tries` are of one family only, give half of them to the other, if there is one."""
    is_ipv6 = [":" in endpoint.address for endpoint in endpoints[:tries]]
    if len(endpoints) <= tries or any(is_ipv6) != all(is_ipv6):
        return endpoints
    others = [endpoint for endpoint in endpoints[tries:] if (":" in endpoint.address) != is_ipv6[0]]
    others = others[: tries // 2]
    if not others:
        return endpoints
    first = endpoints[: tries - len(others)]
    chosen = {id(endpoint) for endpoint in (*first, *others)}
    return first + others + [endpoint for endpoint in endpoints if id(endpoint) not in chosen]


def _interleave(ipv6: Iterable[Endpoint], ipv4: Iterable[Endpoint]) -> list[Endpoint]:
    pairs = zip_longest(ipv6, ipv4)
    return [endpoint for pair in pairs for endpoint in pair if endpoint is not None]


def _endpoints_of(answers: Sequence[_HostAnswer], rank: int) -> tuple[tuple[Endpoint, ...], tuple[Endpoint, ...]]:
    """The endpoints of one rank as (IPv6, IPv4); sockets count as IPv4."""
    ipv6: list[Endpoint] = []
    ipv4: list[Endpoint] = []
    for answer in answers:
        host = answer.host
        if host.rank != rank:
            continue
        if host.socket:
            ipv4.append(Endpoint(host.name, host.socket, 0))
        ipv6 += (Endpoint(host.name, address, host.port) for address in answer.ipv6)
        ipv4 += (Endpoint(host.name, address, host.port) for address in answer.ipv4)
    return tuple(ipv6), tuple(ipv4)


def _loop(site: SmtpSite) -> Refused:
    hosts = ", ".join(host.name for host in site.hosts)
    return Refused(Reply(554, "5.4.6", f"Mail for {hosts} loops back to this server, which does not take it"))


def _no_address(site: SmtpSite, answers: Sequence[_HostAnswer]) -> Refused:
    """All hosts are known to have no address. Postfix bounces this as 5.4.4, too."""
    hosts = ", ".join(answer.host.name for answer in answers)
    if site.is_implicit:
        return Refused(Reply(550, "5.4.4", f"The domain {hosts} takes no mail: it has neither MX nor address records"))
    what = "has no address we can use" if any(answer.exists for answer in answers) else "does not exist"
    return Refused(Reply(550, "5.4.4", f"Mail host {hosts} {what}"))
