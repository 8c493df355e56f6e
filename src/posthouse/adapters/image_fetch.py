"""Pictures that messages name, fetched so that neither the reader nor our network shows (SSRF).

As fetch.py: names go through our own resolver, every address must be a public one, and the connection is made to the
address that was looked at. The same holds for each redirect. Beyond that: only the ports of the web, no user name in a
URL, no cookies, no referrer, no compression (it is not needed for pictures, and may be a bomb), `limit` octets in
`timeout_s` of all together. What comes back counts as a picture only by its own first octets. Nothing durable.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

import httpx2

from posthouse.adapters.fetch import is_public
from posthouse.ports.fetch import FetchError
from posthouse.ports.resolver import DnsTemporaryError, NameNotFound, Resolver

T = TypeVar("T")

MAX_REDIRECTS = 4
_PORTS = frozenset((None, 80, 443))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_HEADERS = {
    "Accept": "image/avif,image/webp,image/png,image/jpeg,image/gif,image/*;q=0.8",
    "Accept-Encoding": "identity",
    "User-Agent": "Mozilla/5.0 (compatible; picture proxy of a mail server)",
}


class PictureFetch:
    """Close it. `may_ask` judges addresses; without `is_strict` any port is asked, and forms are sent by http, too."""

    def __init__(
        self,
        resolver: Resolver,
        context: ssl.SSLContext,
        *,
        timeout_s: float = 10.0,
        limit: int = 10_000_000,
        may_ask: Callable[[str], bool] | None = None,
        is_strict: bool = True,
    ) -> None:
        self._resolver, self._may_ask, self._is_strict = resolver, may_ask or is_asked, is_strict
        self._timeout_s, self._limit = timeout_s, limit
        self._client = httpx2.AsyncClient(
            verify=context,
            timeout=timeout_s,
            # A connection is known by its address only, and must not be used again for another name.
            limits=httpx2.Limits(max_keepalive_connections=0),
            follow_redirects=False,
            trust_env=False,
        )
        self._client.headers.clear()
        self._client.headers.update(_HEADERS)

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, url: str) -> bytes:
        """Raises FetchError."""
        return await self._within(url, self._follow(url))

    async def post_form(self, url: str, form: Mapping[str, str]) -> int:
        """The status of the answer, of which nothing else is read; redirects are not followed (RFC 8058 §3.1).
        Raises FetchError.
        """
        return await self._within(url, self._post(url, form))

    async def _within(self, url: str, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await work
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{url}: {str(error) or type(error).__name__}") from None

    async def _follow(self, url: str) -> bytes:
        target = httpx2.URL(url)
        for _ in range(MAX_REDIRECTS + 1):
            response = await self._ask("GET", target, None)
            try:
                if response.status_code in _REDIRECTS:
                    target = target.join(response.headers.get("location", ""))
                elif response.status_code != 200:
                    raise FetchError(f"{target}: status {response.status_code}")
                else:
                    return await self._read(response)
            finally:
                await response.aclose()
        raise FetchError(f"{url}: too many redirects")

    async def _post(self, url: str, form: Mapping[str, str]) -> int:
        target = httpx2.URL(url)
        if target.scheme != "https" and self._is_strict:
            raise FetchError(f"{url}: only https is asked")
        response = await self._ask("POST", target, form)
        await response.aclose()
        return response.status_code

    async def _ask(self, method: str, target: httpx2.URL, form: Mapping[str, str] | None) -> httpx2.Response:
        """Of the first address that can be connected to."""
        self._check(target)
        addresses = await self._resolve(target)
        for place, address in enumerate(addresses):
            request = self._client.build_request(
                method,
                target.copy_with(host=address, fragment=None),
                data=dict(form) if form is not None else None,
                headers={"Host": target.netloc.decode("ascii")},
                extensions={"sni_hostname": target.host},
            )
            try:
                return await self._client.send(request, stream=True)
            except httpx2.ConnectError:
                if place == len(addresses) - 1:
                    raise
            finally:
                self._client.cookies.clear()
        raise FetchError(f"{target}: no address that may be asked")

    def _check(self, target: httpx2.URL) -> None:
        if target.scheme not in ("http", "https") or not target.host or target.userinfo:
            raise FetchError(f"{target}: no URL of a picture")
        if self._is_strict and target.port not in _PORTS:
            raise FetchError(f"{target}: port {target.port} is not asked")

    async def _resolve(self, target: httpx2.URL) -> Sequence[str]:
        found = await self._list_addresses(target.host)
        return [address for address in found if self._may_ask(address)][:4]

    async def _list_addresses(self, host: str) -> list[str]:
        try:
            return [str(ipaddress.ip_address(host))]
        except ValueError:
            pass
        name = host.encode("idna").decode("ascii") if not host.isascii() else host
        found: list[str] = []
        for find in (self._resolver.find_ipv4, self._resolver.find_ipv6):
            try:
                found += (await find(name.rstrip(".").lower())).addresses
            except (NameNotFound, DnsTemporaryError):
                continue
        return found

    async def _read(self, response: httpx2.Response) -> bytes:
        if response.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise FetchError(f"{response.url}: compressed, though nobody asked for it")
        pieces: list[bytes] = []
        size = 0
        async for piece in response.aiter_raw():
            size += len(piece)
            if size > self._limit:
                raise FetchError(f"{response.url}: more than {self._limit} octets")
            pieces.append(piece)
        return b"".join(pieces)


_UNICAST = ipaddress.IPv6Network("2000::/3")  # all that is given out (RFC 4291 §2.4)
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")  # RFC 6052 §2.1; is_public looks at the address within


def is_asked(address: str) -> bool:
    """Stricter than is_public: of IPv6 only what is routed as such, and NAT64 with a public address within."""
    parsed = ipaddress.ip_address(address)
    is_routed = isinstance(parsed, ipaddress.IPv4Address) or (
        parsed.scope_id is None and (parsed in _UNICAST or parsed in _NAT64)
    )
    return is_routed and is_public(address)
