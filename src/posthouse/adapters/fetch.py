"""`Fetch` on httpx2. Names go through our own resolver, and what they resolve to must be a public address, unless the
configuration says otherwise: a URL must not open doors within the operator's network (SSRF). The connection is made to
the address that was looked at, so a second answer of the DNS changes nothing; the certificate is checked for the name.
No redirects, no proxies of the environment, no cookies; answers are bounded. Nothing durable.
"""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Mapping

import httpx2

from posthouse.ports.fetch import Fetched, FetchError
from posthouse.ports.resolver import DnsTemporaryError, NameNotFound, Resolver

MAX_BODY = 1 << 20


class HttpFetch:
    """Close it. `allow_private`: for an issuer in the operator's own network, http:// included."""

    def __init__(self, resolver: Resolver, context: ssl.SSLContext, timeout_s: float, *, allow_private: bool) -> None:
        self._resolver = resolver
        self._allow_private = allow_private
        self._client = httpx2.AsyncClient(
            verify=context, timeout=timeout_s, follow_redirects=False, trust_env=False, headers={"Accept": "*/*"}
        )

    async def close(self) -> None:
        await self._client.aclose()

    async def get(self, url: str) -> Fetched:
        return await self._send("GET", url, None, None)

    async def post_form(self, url: str, form: Mapping[str, str], login: tuple[str, str] | None = None) -> Fetched:
        return await self._send("POST", url, form, login)

    async def _send(
        self, method: str, url: str, form: Mapping[str, str] | None, login: tuple[str, str] | None
    ) -> Fetched:
        try:
            target = httpx2.URL(url)
            address = await self._resolve(target)
            request = self._client.build_request(
                method,
                target.copy_with(host=address),
                data=dict(form) if form is not None else None,
                headers={"Host": target.netloc.decode("ascii")},
                extensions={"sni_hostname": target.host},
            )
            auth = httpx2.BasicAuth(*login) if login is not None else None
            response = await self._client.send(request, auth=auth, stream=True)
            try:
                return Fetched(response.status_code, await _read_bounded(response))
            finally:
                await response.aclose()
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise FetchError(f"{url}: {str(error) or type(error).__name__}") from None

    async def _resolve(self, url: httpx2.URL) -> str:
        if url.scheme != "https" and not (self._allow_private and url.scheme == "http"):
            raise FetchError(f"{url}: only https is asked")
        for address in await self._list_addresses(url.host):
            if self._allow_private or ipaddress.ip_address(address).is_global:
                return address
        raise FetchError(f"{url}: no address that may be asked")

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


async def _read_bounded(response: httpx2.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > MAX_BODY:
            raise ValueError("the answer is too big")
        pieces.append(piece)
    return b"".join(pieces)
