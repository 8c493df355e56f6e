"""Event streams: a client keeps one answer open and is told what changed (RFC 8620 §7.3).

Each event has the account's state as its id; a browser that comes back says it in Last-Event-ID and is told what it
missed. A stream tells what changes from when it was opened, so clients ask once when it opens. It ends when its login
may no longer hear, and when the worker goes; browsers come back by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.access.jmap.method import read_state
from posthouse.access.jmap.push_hub import Listener, ListenerOver, Ping
from posthouse.app.web_jmap_desk import JmapDesk, refuse_as
from posthouse.message.mailbox import AccountId, ModSeq
from posthouse.protocol.jmap.errors import MethodError
from posthouse.protocol.jmap.problems import RequestRefused
from posthouse.protocol.jmap.push import (
    StateChange,
    StreamWish,
    read_stream_wish,
    write_ping_event,
    write_state_event,
)
from posthouse.serve.http_messages import AnyRoute, HttpAnswer, HttpRequest, HttpRoute

_BEGINNING = b"retry: 1000\n\n"  # milliseconds
_STILL_HERE = b":\n\n"  # a comment, for who wants no pings: a client that has gone is found out
_STILL_HERE_S = 300.0
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class EventDesk:
    def __init__(self, desk: JmapDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        return [HttpRoute("/jmap/eventsource", self.open)]

    async def open(self, request: HttpRequest) -> HttpAnswer:
        visit = await self._desk.identify(request)
        account = visit.login.account
        try:
            wish = read_stream_wish(request.query)
            self._desk.limits.open_stream(account)
        except RequestRefused as refused:
            raise refuse_as(refused) from None
        try:
            since = read_seen(request.headers.get("last-event-id"))
            listener = await self._desk.hub.listen(account, wish.types, visit.why_over, since)
        except BaseException:
            self._desk.limits.close_stream(account)
            raise
        return HttpAnswer(200, EventStream(self._desk, account, listener, wish), "text/event-stream", _HEADERS)


class EventStream:
    """The answer's pieces. An object and no generator, so that it is closed also when it was never begun."""

    __slots__ = ("_account", "_desk", "_has_begun", "_is_closed", "_is_last", "_listener", "_wish")

    def __init__(self, desk: JmapDesk, account: AccountId, listener: Listener, wish: StreamWish) -> None:
        self._desk, self._account, self._listener, self._wish = desk, account, listener, wish
        self._has_begun = self._is_last = self._is_closed = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> bytes:
        if self._is_last:
            raise StopAsyncIteration
        if not self._has_begun:
            self._has_begun = True
            return _BEGINNING
        wish, listener = self._wish, self._listener
        listener.ping_at = self._desk.parts.clock.monotonic() + (wish.ping or _STILL_HERE_S)
        try:
            heard = await listener.wait()
        except ListenerOver:
            raise StopAsyncIteration from None
        if isinstance(heard, Ping):
            return write_ping_event(wish.ping) if wish.ping else _STILL_HERE
        self._is_last = wish.closes_after_state
        return write_state_event(heard, state_of(heard))

    async def aclose(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._listener.close()
            self._desk.limits.close_stream(self._account)


def state_of(change: StateChange) -> str:
    """All its types have the same: the account's."""
    return next(state for states in change.changed.values() for state in states.values())


def read_seen(text: str | None) -> ModSeq | None:
    """What a client says it saw last; None: it says nothing, or nothing of ours."""
    try:
        return read_state(text) if text else None
    except MethodError:
        return None
