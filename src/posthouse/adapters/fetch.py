"""`Fetch` on httpx2. Names go through our own resolver, and what they resolve to must be a public address, unless the
configuration says otherwise: a URL must not open doors within the operator's network (SSRF). The connection is made to
the address that was looked at, so a second answer of the DNS changes nothing; the certificate is checked for the name.
No connection is kept: the client knows it by its address, and would use it again for another name than the
certificate was checked for. No redirects, no proxies of the environment, no cookies; answers are bounded in size and
time. Nothing durable.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import httpx2

from posthouse.ports.fetch import Fetched, FetchError
from posthouse.ports.resolver import DnsTemporaryError, NameNotFound, Resolver

MAX_BODY = 1 << 20


@dataclass(frozen=True, slots=True)
class _Ask:
    """Of a form and octets one at most."""

    method: str
    url: str
    form: Mapping[str, str] | None = None
    octets: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    login: tuple[str, str] | None = None


class HttpFetch:
    """Close it. `allow_private`: for an issuer in the operator's own network, http:// included."""

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, timeout_s: float, *, allow_private: bool) -> None:
        self._resolver = resolver
        self._allow_private = allow_private
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            verify=context,
            timeout=timeout_s,
            limits=httpx2.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
            headers={"Accept": "*/*"},
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, url: str) -> Fetched:
        return await self._send(_Ask("GET", url))

    async def post_form(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> Fetched:
        return await self._send(_Ask("POST", url, form=form, login=login))

    async def post(self, url: str, octets: bytes, headers: Mapping[str, str]) -> Fetched:
        return await self._send(_Ask("POST", url, octets=octets, headers=headers))

    async def _send(self, ask: _Ask) -> Fetched:
        try:
            # Of all together: httpx counts each read anew, and a server may send an octet at a time.
            async with asyncio.timeout(self._timeout_s):
                target = httpx2.URL(ask.url)
                requests = [self._prepare(ask, target, each) for each in await self._resolve(target)]
                return await self._ask_first(requests, httpx2.BasicAuth(*ask.login) if ask.login is not None else None)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{ask.url}: {str(error) or type(error).__name__}") from None

    def _prepare(self, ask: _Ask, target: httpx2.URL, address: str) -> httpx2.Request:
        return self._client.build_request(
            ask.method,
            target.copy_with(host=address),
            data=dict(ask.form) if ask.form is not None else None,
            content=ask.octets,
            headers={**ask.headers, "Host": target.netloc.decode("ascii")},
            extensions={"sni_hostname": target.host},
        )

    async def _ask_first(self, requests: Sequence[httpx2.Request], auth: httpx2.Auth | None) -> Fetched:
        """The first that can be connected to."""
        for request in requests[:-1]:
            try:
                return await self._ask(request, auth)
            except httpx2.ConnectError:
                continue
        return await self._ask(requests[-1], auth)

    async def _ask(self, request: httpx2.Request, auth: httpx2.Auth | None) -> Fetched:
        response = await self._client.send(request, auth=auth, stream=True)
        self._client.cookies.clear()  # they would go to whoever shares the address, and be kept for good
        try:
            return Fetched(response.status_code, await _read_bounded(response))
        finally:
            await response.aclose()

    async def _resolve(self, url: httpx2.URL) -> Sequence[str]:
        if url.scheme != "https" and not (self._allow_private and url.scheme == "http"):
            raise FetchError(f"{url}: only https is asked")
        found = await self._list_addresses(url.host)
        allowed = [address for address in found if self._allow_private or is_public(address)]
        if not allowed:
            raise FetchError(f"{url}: no address that may be asked")
        return allowed

    async def _list_addresses(self, host: str) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        found: list[str] = []
        for find in (self._resolver.find_ipv4, self._resolver.find_ipv6):
            try:
                found += (await find(host)).addresses
            except (NameNotFound, DnsTemporaryError):
                continue
        return found


def is_public(address: str) -> bool:
    """An IPv4 address within an IPv6 one (mapped, NAT64, 6to4, Teredo) counts as what it leads to."""
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
        if parsed in _NAT64:
            inner = ipaddress.IPv4Address(parsed.packed[-4:])
        if inner is not None and not inner.is_global:
            return False
    return parsed.is_global and not parsed.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1


async def _read_bounded(response: httpx2.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_BODY:
            raise ValueError("the answer is too big")
        pieces.append(piece)
    return b"".join(pieces)
