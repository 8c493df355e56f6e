"""How much of the JMAP side one account may use at a time in this worker (RFC 8620 §2, §3.6.1).

    with limits.request(account): ...      raises RequestRefused (429): too many at once, or too many in a minute
    with limits.upload(account): ...       likewise
    limits.open_stream(account)            event streams and WebSockets; close_stream when they end
    limits.count_download(account, pieces) the same pieces; counted from now until they are closed

What is counted lives as long as it is above zero. Nothing durable.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial

from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock
from posthouse.protocol.jmap.problems import refuse_limit

_MINUTE_S = 60.0
_MAX_RATES = 10_000
_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class UsageLimits:
    """`requests_per_minute` 0: any number."""

    requests: int
    uploads: int
    streams: int
    requests_per_minute: int
    downloads: int = 20


@dataclass(slots=True)
class _Count:
    """`name`: of the limit, as clients know it."""

    name: str
    most: int
    counts: dict[AccountId, int] = field(default_factory=dict)

    def take(self, account: AccountId) -> None:
        count = self.counts.get(account, 0)
        if count >= self.most:
            raise refuse_limit(self.name, f"At most {self.most} at a time", _TOO_MANY)
        self.counts[account] = count + 1

    def give_back(self, account: AccountId) -> None:
        left = self.counts[account] - 1
        if left:
            self.counts[account] = left
        else:
            del self.counts[account]

    @contextmanager
    def hold(self, account: AccountId) -> Iterator[None]:
        self.take(account)
        try:
            yield
        finally:
            self.give_back(account)


class CountedPieces:
    """Of an answer. An object and no generator, so that it is closed also when it was never begun."""

    __slots__ = ("_give_back", "_is_closed", "_pieces")

    def __init__(self, pieces: AsyncGenerator[bytes, None], give_back: Callable[[], None]) -> None:
        self._pieces, self._give_back = pieces, give_back
        self._is_closed = False

    def __aiter__(self) -> CountedPieces:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            try:
                await self._pieces.aclose()
            finally:
                self._give_back()


class AccountLimits:
    def __init__(self, limits: UsageLimits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._requests = _Count("maxConcurrentRequests", limits.requests)
        self._uploads = _Count("maxConcurrentUpload", limits.uploads)
        self._streams = _Count("maxStreams", limits.streams)
        self._downloads = _Count("maxConcurrentDownloads", limits.downloads)
        self._spent: dict[AccountId, tuple[float, float]] = {}  # requests that count, and when that was

    @contextmanager
    def request(self, account: AccountId) -> Iterator[None]:
        self._spend(account)
        with self._requests.hold(account):
            yield

    @contextmanager
    def upload(self, account: AccountId) -> Iterator[None]:
        self._spend(account)
        with self._uploads.hold(account):
            yield

    def open_stream(self, account: AccountId) -> None:
        """`close_stream` is due. Raises RequestRefused."""
        self._streams.take(account)

    def close_stream(self, account: AccountId) -> None:
        self._streams.give_back(account)

    def count_download(self, account: AccountId, pieces: AsyncGenerator[bytes, None]) -> CountedPieces:
        """For an answer that its client may take as slowly as it likes. Raises RequestRefused."""
        self._downloads.take(account)
        return CountedPieces(pieces, partial(self._downloads.give_back, account))

    def _spend(self, account: AccountId) -> None:
        """A bucket of a minute's requests, which fills up again as the minute passes. Raises RequestRefused."""
        most = self._limits.requests_per_minute
        if not most:
            return
        now = self._clock.monotonic()
        spent, since = self._spent.pop(account, (0.0, now))
        spent = max(0.0, spent - (now - since) * most / _MINUTE_S)
        is_refused = spent + 1 > most
        self._spent[account] = (spent if is_refused else spent + 1, now)
        if len(self._spent) > _MAX_RATES:
            del self._spent[next(iter(self._spent))]
        if is_refused:
            raise refuse_limit("maxRequestsPerMinute", f"At most {most} in a minute", _TOO_MANY)
