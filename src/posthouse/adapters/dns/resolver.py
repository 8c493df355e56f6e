"""The Resolver port on recursive name servers: questions, retries, a cache.

A stub resolver: it asks servers that do the recursion, best a validating one on this machine. The AD bit is only
believed from servers marked as trusted (RFC 6840 §5.7); a bogus answer arrives as SERVFAIL and is a temporary error.
Names are taken as they are: no search list, no hosts file; only `localhost` is answered here (RFC 6761 §6.3).

Positive answers are kept for their TTL, "no" for what the SOA says (RFC 2308 §5), failures for some seconds. The
cache is bounded and lost with the process. The same question asked several times at once goes out once.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from posthouse.adapters.dns.transport import NoAnswer, Question, Server, ask
from posthouse.adapters.dns.wire import Rcode, Record, Response, Type
from posthouse.message.address import AddressError, to_ascii_domain
from posthouse.ports.clock import Clock
from posthouse.ports.resolver import AddressAnswer, DnsTemporaryError, MxAnswer, MxRecord, NameNotFound

_MAX_CHAIN = 8
_LOOPBACK = {Type.A: "127.0.0.1", Type.AAAA: "::1"}


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """`attempts` questions of `timeout_s` each at most, the servers taking turns, all within `total_s`."""

    timeout_s: float = 5.0
    attempts: int = 3
    total_s: float = 15.0
    cache_entries: int = 20_000
    max_ttl_s: float = 86400.0
    max_negative_ttl_s: float = 900.0
    failure_ttl_s: float = 5.0
    max_parallel: int = 200


@dataclass(frozen=True, slots=True)
class _Answer:
    """What is kept of one question: the records wanted, or the error. `expires` in monotonic seconds."""

    records: tuple[Record, ...]
    expires: float
    is_authenticated: bool = False
    missing: bool = False
    failure: str = ""


class DnsResolver:
    """One per worker; implements posthouse.ports.resolver.Resolver."""

    def __init__(self, servers: Sequence[Server], clock: Clock, settings: DnsSettings | None = None) -> None:
        if not servers:
            raise ValueError("at least one name server is needed")
        self._servers = list(servers)
        self._clock = clock
        self._settings = settings or DnsSettings()
        self._first = 0  # the server that answered last
        self._cache: dict[Question, _Answer] = {}
        self._asking: dict[Question, asyncio.Task[_Answer]] = {}
        self._slots = asyncio.Semaphore(self._settings.max_parallel)

    async def find_mx(self, domain: str) -> MxAnswer:
        answer = await self._find(domain, Type.MX)
        records = tuple(MxRecord(record.preference, record.data) for record in answer.records)
        return MxAnswer(records, self._ttl_left(answer), answer.is_authenticated)

    async def find_ipv4(self, host: str) -> AddressAnswer:
        return await self._find_addresses(host, Type.A)

    async def find_ipv6(self, host: str) -> AddressAnswer:
        return await self._find_addresses(host, Type.AAAA)

    async def find_ptr(self, address: str) -> tuple[str, ...]:
        try:
            answer = await self._find(ipaddress.ip_address(address).reverse_pointer, Type.PTR)
        except NameNotFound:
            return ()
        return tuple(record.data for record in answer.records)

    async def close(self) -> None:
        """Give up what is being asked."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _find_addresses(self, host: str, kind: Type) -> AddressAnswer:
        if host == "localhost" or host.endswith(".localhost"):
            return AddressAnswer((_LOOPBACK[kind],), self._settings.max_ttl_s)
        answer = await self._find(host, kind)
        addresses = tuple(record.data for record in answer.records)
        return AddressAnswer(addresses, self._ttl_left(answer), answer.is_authenticated)

    def _ttl_left(self, answer: _Answer) -> float:
        return max(0.0, answer.expires - self._clock.monotonic())

    async def _find(self, name: str, kind: Type) -> _Answer:
        """From the cache, or asked together with whoever asks the same. Raises NameNotFound, DnsTemporaryError."""
        question = Question(_normalise(name), kind)
        answer = self._cache.get(question)
        if answer is None or answer.expires <= self._clock.monotonic():
            task = self._asking.get(question)
            if task is None:
                task = self._asking[question] = asyncio.create_task(self._resolve(question))
                task.add_done_callback(lambda _: self._asking.pop(question, None))
            answer = await asyncio.shield(task)
        if answer.missing:
            raise NameNotFound(name, "no such name")
        if answer.failure:
            raise DnsTemporaryError(name, answer.failure)
        return answer

    async def _resolve(self, question: Question) -> _Answer:
        try:
            async with asyncio.timeout(self._settings.total_s):
                answer = await self._follow(question)
        except TimeoutError:
            answer = self._fail(f"no answer within {self._settings.total_s:g} s")
        while len(self._cache) >= self._settings.cache_entries and self._cache:
            del self._cache[next(iter(self._cache))]
        if self._settings.cache_entries:
            self._cache.pop(question, None)  # so that it goes to the end: the oldest are dropped first
            self._cache[question] = answer
        return answer

    async def _follow(self, question: Question) -> _Answer:
        """Ask, and ask again where a CNAME chain leads out of what the server gave (RFC 1034 §3.6.2)."""
        name, expires, authenticated = question.name, float("inf"), True
        seen: set[str] = set()
        while name not in seen and len(seen) < _MAX_CHAIN:
            asked = await self._ask_servers(Question(name, question.type))
            if isinstance(asked, str):
                return self._fail(asked)
            response, server = asked
            authenticated = authenticated and response.is_authenticated and server.is_trusted
            name, links = _walk_chain(name, response.records, seen)
            records = tuple(r for r in response.records if r.name == name and r.type == question.type)
            expires = min(expires, self._expiry([*links, *records]))
            if records or response.rcode == Rcode.NXDOMAIN or not links:  # else the chain goes on elsewhere
                expires = expires if records else min(expires, self._negative_expiry(response))
                return _Answer(records, expires, authenticated, missing=response.rcode == Rcode.NXDOMAIN)
        return self._fail("the chain of CNAME records is too long or goes in a circle")

    async def _ask_servers(self, question: Question) -> tuple[Response, Server] | str:
        """The first useful answer, or the last failure in words."""
        failure = ""
        count, first = len(self._servers), self._first
        for attempt in range(self._settings.attempts):
            number = (first + attempt) % count
            server = self._servers[number]
            try:
                async with self._slots:
                    response = await ask(server, question, self._settings.timeout_s)
            except NoAnswer as error:
                failure = str(error)
                continue
            if response.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
                self._first = number
                return response, server
            failure = f"{server} says {_rcode_name(response.rcode)}"
            if count == 1 and attempt:
                break  # it said so twice
        return failure

    def _fail(self, words: str) -> _Answer:
        return _Answer((), self._clock.monotonic() + self._settings.failure_ttl_s, failure=words)

    def _expiry(self, records: Sequence[Record]) -> float:
        ttl_s = min((record.ttl_s for record in records), default=self._settings.max_ttl_s)
        return self._clock.monotonic() + min(ttl_s, self._settings.max_ttl_s)

    def _negative_expiry(self, response: Response) -> float:
        ttl_s = response.negative_ttl_s if response.negative_ttl_s is not None else self._settings.failure_ttl_s
        return self._clock.monotonic() + min(ttl_s, self._settings.max_negative_ttl_s)


def _normalise(name: str) -> str:
    """Lower-case A-labels without the final dot. Raises NameNotFound for what cannot be a DNS name."""
    try:
        ascii_name = to_ascii_domain(name).lower().removesuffix(".")
    except AddressError as error:
        raise NameNotFound(name, str(error)) from None
    if not 0 < len(ascii_name) <= 253 or any(not 0 < len(label) < 64 for label in ascii_name.split(".")):
        raise NameNotFound(name, "not a name that DNS can hold")
    return ascii_name


def _walk_chain(name: str, records: Sequence[Record], seen: set[str]) -> tuple[str, list[Record]]:
    """Where the CNAME records of one answer lead. `seen` collects the names that are aliases: it ends circles."""
    aliases = {record.name: record for record in records if record.type == Type.CNAME}
    links: list[Record] = []
    while name in aliases and name not in seen and len(seen) < _MAX_CHAIN:
        seen.add(name)
        links.append(aliases[name])
        name = aliases[name].data
    return name, links


def _rcode_name(rcode: int) -> str:
    return Rcode(rcode).name if rcode in Rcode.__members__.values() else f"code {rcode}"
