"""JMAP over a WebSocket (RFC 8887): requests and state changes on one connection.

A few requests of a connection are carried out at the same time, the next ones wait unread. Limits of the account count
here too; what is refused is told and the connection goes on. It ends when its login may do nothing more, and when the
worker goes. Nothing is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from posthouse.access.jmap.push_hub import Listener, ListenerOver, Ping
from posthouse.app.web import Visit
from posthouse.app.web_events import read_seen, state_of
from posthouse.app.web_jmap_desk import JmapDesk, refuse_as
from posthouse.ports.login import Login
from posthouse.protocol.jmap.problems import RequestRefused
from posthouse.protocol.jmap.push import StateChange
from posthouse.protocol.jmap.websocket import (
    SUBPROTOCOL,
    PushDisable,
    PushEnable,
    SocketRefused,
    SocketRequest,
    parse_message,
    write_error,
    write_response,
)
from posthouse.serve.http_messages import AnyRoute, HttpRequest, SocketClosed, SocketRoute, Talk, WebSocket

_AT_ONCE = 4
_GOING_AWAY = 1001  # RFC 6455 §7.4.1
_NOBODY = frozenset[str]()


class SocketDesk:
    def __init__(self, desk: JmapDesk) -> None:
        self._desk = desk

    def list_routes(self) -> Sequence[AnyRoute]:
        return [SocketRoute("/jmap/ws", self.meet, (SUBPROTOCOL,))]

    async def meet(self, request: HttpRequest) -> Talk:
        """Raises HttpRefused."""
        visit = await self._desk.identify(request)

        async def talk(socket: WebSocket) -> None:
            await self._talk(visit, request.peer, socket)

        try:
            self._desk.limits.open_stream(visit.login.account)
            self._desk.limits.close_stream(visit.login.account)
        except RequestRefused as refused:
            raise refuse_as(refused) from None
        return talk

    async def _talk(self, visit: Visit, source: str, socket: WebSocket) -> None:
        desk, account = self._desk, visit.login.account
        try:
            desk.limits.open_stream(account)
        except RequestRefused:
            return
        listener: Listener | None = None
        try:
            listener = await desk.hub.listen(account, _NOBODY, visit.why_over)
            await _Conversation(desk, visit.login, source, socket, listener).run()
        finally:
            desk.limits.close_stream(account)
            if listener is not None:
                listener.close()


@dataclass(slots=True)
class _Conversation:
    """One connection. What it hears before it asks to hear is nothing."""

    desk: JmapDesk
    login: Login
    source: str
    socket: WebSocket
    listener: Listener
    turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_AT_ONCE))
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Until either side ends it."""
        loop = asyncio.get_running_loop()
        reading, telling = loop.create_task(self._read()), loop.create_task(self._tell())
        try:
            await asyncio.wait([reading, telling], return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending = [reading, telling, *self.tasks]
            for task in ending:
                task.cancel()
            ended = await asyncio.gather(*ending, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, SocketClosed):
                raise error

    async def _tell(self) -> None:
        while True:
            try:
                heard = await self.listener.wait()
            except ListenerOver as over:
                await self.socket.close(_GOING_AWAY, str(over))
                return
            if not isinstance(heard, Ping):
                await self._send(StateChange(heard.changed, state_of(heard)).as_json())

    async def _read(self) -> None:
        while True:
            text = await self.socket.receive()
            try:
                message = parse_message(text.encode("utf-8"), self.desk.server.capabilities, self.desk.parts.limits)
            except SocketRefused as refused:
                await self._send(write_error(refused.problem, refused.request_id))
                continue
            match message:
                case SocketRequest():
                    await self._begin(message)
                case PushEnable(types, push_state):
                    await self._enable(types, push_state)
                case PushDisable():
                    self.listener.hear(_NOBODY)

    async def _begin(self, message: SocketRequest) -> None:
        await self.turns.acquire()
        task = asyncio.get_running_loop().create_task(self._answer(message))
        self.tasks.add(task)
        task.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[None]) -> None:
        self.turns.release()
        self.tasks.discard(task)
        if not task.cancelled():
            task.exception()  # SocketClosed: `_read` finds that out too

    async def _answer(self, message: SocketRequest) -> None:
        try:
            with self.desk.limits.request(self.login.account):
                response = await self.desk.server.run(self.login, self.source, message.request)
        except RequestRefused as refused:
            await self._send(write_error(refused.problem, message.id))
            return
        await self._send(write_response(response, message.id))

    async def _enable(self, types: frozenset[str] | None, push_state: str | None) -> None:
        """RFC 8887 §4.3.5.2."""
        self.listener.hear(types)
        seen = read_seen(push_state)
        if seen is not None:
            await self.desk.hub.catch_up(self.listener, seen)

    async def _send(self, octets: bytes) -> None:
        await self.socket.send(octets.decode("utf-8"))
