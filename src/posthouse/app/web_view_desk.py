"""What the routes that show mail share, made once in a worker: helpers, the key of picture URLs, who may read what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from posthouse.access.jmap.blobs_reading import Blob, find_blob, read_blob
from posthouse.access.jmap.method import JmapParts
from posthouse.adapters.preview_confine import Done, Job
from posthouse.app.web import Visitors
from posthouse.app.web_limits import AccountLimits
from posthouse.message.mailbox import AccountId
from posthouse.message.objectids import name_account
from posthouse.mua.tickets import is_good
from posthouse.ports.clock import Clock
from posthouse.ports.login import Scope
from posthouse.ports.observe import Log
from posthouse.serve.http_messages import HttpRequest, refuse

MAX_BLOB = 60_000_000
NEVER_A_PAGE = "sandbox; default-src 'none'; frame-ancestors 'none'"
_ACCOUNT = re.compile(r"A([1-9][0-9]{0,17})", re.ASCII)


class Helping(Protocol):
    """adapters/preview_pool.py."""

    async def run(self, job: Job, account: int) -> Done:
        """`account`: who waits for it. Raises HelperFailed."""

    async def sweep(self) -> None: ...

    async def close(self) -> None: ...


class Fetching(Protocol):
    """adapters/image_fetch.py."""

    async def get(self, url: str) -> bytes:
        """Raises FetchError."""

    async def post_form(self, url: str, form: Mapping[str, str]) -> int:
        """Raises FetchError."""

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class ViewDesk:
    """`pages` takes HTML apart, `previews` pictures and PDF: a slow picture holds up no message. `fetching`: how many
    pictures are fetched at a time. `fetch` None: pictures from elsewhere are not shown.
    """

    parts: JmapParts
    visitors: Visitors
    clock: Clock
    log: Log
    pages: Helping
    previews: Helping
    fetch: Fetching | None
    key: bytes
    fetching: asyncio.Semaphore
    limits: AccountLimits

    async def identify(self, request: HttpRequest, scope: Scope = Scope.READ) -> AccountId:
        """The account of the path, which must be the caller's own. Raises HttpRefused."""
        login = (await self.visitors.identify(request, scope)).login
        named = request.parameters.get("account")
        if named is not None and named != name_account(login.account):
            raise refuse(404, "Not Found", "There is no such account")
        return login.account

    def read_ticket(self, request: HttpRequest, kind: str, account: str, what: str) -> AccountId | None:
        """Whose ticket it is; None without a good one. Raises HttpRefused for one that is not ours, or over."""
        if "sig" not in request.query:
            return None
        number = _ACCOUNT.fullmatch(account)
        if number is None or not is_good(self.key, kind, account, what, request.query, self.clock.now()):
            raise refuse(403, "Forbidden", "This URL is not ours, or its time is over")
        return AccountId(int(number[1]))

    async def read_blob(self, owner: AccountId, text: str, limit: int = MAX_BLOB) -> tuple[Blob, bytes]:
        """Raises HttpRefused."""
        blob = await find_blob(self.parts, owner, text)
        if blob is None:
            raise refuse(404, "Not Found", "There is no such blob")
        if blob.size > limit:
            raise refuse(413, "Content Too Large", "This is too large to be shown; it can be saved")
        octets = await read_blob(self.parts, owner, blob)
        if octets is None:
            raise refuse(404, "Not Found", "There is no such blob")
        return blob, octets
