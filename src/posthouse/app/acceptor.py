"""Shares connections out between the workers that listen on the same inherited sockets.

The kernel wakes whom it likes: twenty sessions that are kept open have been seen to end up all with one worker.
So each worker writes how many connections it has to a board in shared memory, and one that is well ahead of another
leaves the next connections to it for a moment. A worker that has not written for a second (dead, hung) is not waited
for. While nobody is ahead, the event loop's own accepting is used, which costs 35 us less per connection than
accepting in Python.

A worker that is nearly out of descriptors stops accepting, too: connections wait at the socket, for another worker or
until some are free again. Left to itself libuv would accept them and close them at once.

Nothing is trusted here but our own workers, and nothing is lost with a worker: what it did not accept stays queued
at the socket.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import resource
import socket
import ssl
from collections.abc import Callable

from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log

PAUSE_S = 0.002
_BACK_OFF_S = 0.5
_FRESH_MS = 1000
SPARE_DESCRIPTORS = 32  # for the sessions that are open: files, next hops, names
_FIELDS = 2  # connections, and when that was written: milliseconds of the monotonic clock, which processes share


class Board:
    """`connections` counts those of this worker. `descriptor` is a memfd of `board_size` octets, all zero at first."""

    __slots__ = ("_clock", "_connections", "_index", "_map", "_mine", "_numbers", "_workers")

    def __init__(self, descriptor: int, index: int, workers: int, connections: Callable[[], int], clock: Clock) -> None:
        self._map = mmap.mmap(descriptor, board_size(workers))
        self._numbers = memoryview(self._map).cast("q")
        self._workers = range(0, workers * _FIELDS, _FIELDS)
        self._mine = index * _FIELDS
        self._connections = connections
        self._clock = clock

    def publish(self) -> None:
        """Called with each connection and each exchange: a count may be as old as that."""
        self._numbers[self._mine] = self._connections()
        self._numbers[self._mine + 1] = int(self._clock.monotonic() * 1000)

    def is_ahead(self) -> bool:
        """Whether this worker has clearly more than another that is alive."""
        numbers = self._numbers
        mine = numbers[self._mine]
        bound = mine - 4 - (mine >> 3)
        if bound <= 0:
            return False
        oldest = int(self._clock.monotonic() * 1000) - _FRESH_MS
        return any(numbers[at] < bound and numbers[at + 1] > oldest for at in self._workers)


def board_size(workers: int) -> int:
    return workers * _FIELDS * 8


def has_descriptors() -> bool:
    """The kernel gives the lowest number that is free: how high it is tells how many are left. Costs about 1 us."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        number = os.dup(0)
    except OSError:
        return False
    os.close(number)
    return number < limit - SPARE_DESCRIPTORS


class Acceptor:
    """Accepts for one listener. `factory` makes the protocol of each connection, as for `loop.create_server`; `tls` is
    set before `start` for protocols that do not begin it themselves.
    """

    def __init__(
        self,
        listener: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        board: Board,
        backlog: int,
        log: Log,
        has_room: Callable[[], bool] = has_descriptors,
    ) -> None:
        self.tls: ssl.SSLContext | None = None
        self._has_room = has_room
        self._listener = listener
        self._factory = factory
        self._board = board
        self._backlog = backlog
        self._log = log
        self._server: asyncio.Server | None = None
        self._pausing: asyncio.Task[None] | None = None
        self._is_closed = False

    async def start(self) -> None:
        """Begin, or go on, accepting."""
        loop = asyncio.get_running_loop()
        # A server closes its socket: give it a duplicate, of which the backlog is the same.
        duplicate = self._listener.dup()
        create = loop.create_unix_server if duplicate.family == socket.AF_UNIX else loop.create_server
        server = await create(self._make_protocol, sock=duplicate, backlog=self._backlog, ssl=self.tls)
        if self._is_closed:
            server.close()
        else:
            self._server = server

    def close(self) -> None:
        """Accept no more. Connections go on; other processes that have the socket do, too."""
        self._is_closed = True
        if self._pausing is not None:
            self._pausing.cancel()
        if self._server is not None:
            self._server.close()
            self._server = None
        self._listener.close()

    def _make_protocol(self) -> asyncio.Protocol:
        protocol = self._factory()
        # This connection is counted only when the protocol has been told of it.
        asyncio.get_running_loop().call_soon(self._look_around)
        return protocol

    def _look_around(self) -> None:
        self._board.publish()
        if self._pausing is None and not self._is_closed and (self._board.is_ahead() or not self._has_room()):
            self._pausing = asyncio.get_running_loop().create_task(self._pause())

    async def _pause(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        await asyncio.sleep(PAUSE_S)
        while self._board.is_ahead():
            await asyncio.sleep(PAUSE_S)
            self._board.publish()
        if not await self._try_start():
            self._log.warning("accepting pauses: out of descriptors")
            while not await self._try_start():
                await asyncio.sleep(_BACK_OFF_S)
            self._log.info("accepting goes on")
        self._pausing = None

    async def _try_start(self) -> bool:
        """False without free descriptors."""
        if not self._has_room():
            return False
        try:
            await self.start()
        except OSError:
            return False
        return True
