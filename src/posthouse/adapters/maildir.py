"""Delivery into real Maildirs (https://cr.yp.to/proto/maildir.html), many messages per disk sync.

A delivery is reported done when its file's octets and its name in `new/` are on the disk. After a crash there may
be files in `tmp/`, which nobody reads, and messages in `new/` that were never reported: their next attempt makes a
second copy, never a loss. A file is only renamed into `new/` when its octets are durable, so that a reader never
sees half a message, crash or not.

How the disk is kept busy: adapters/maildir_lane.py. Trusted: the route's root and what lies above it. Below it
every component is opened without following symbolic links, and directories are made as needed (0700).

Line ends become LF, as Maildir readers expect and Postfix and Dovecot do; so a message with binary parts must be
re-encoded before. Not done here: mbox, quotas.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
import zlib
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

from posthouse.adapters.durable import FileCalls
from posthouse.adapters.maildir_box import open_box
from posthouse.adapters.maildir_lane import Call, Item, Lane, create_file, discard_file
from posthouse.ports.maildir import MaildirDelivery, MaildirError
from posthouse.ports.spool import Body, SpoolError

P = ParamSpec("P")
T = TypeVar("T")
_PIECE = 262_144


class FileMaildirs:
    """`Maildirs` on the file system. `close` before the loop ends."""

    def __init__(
        self,
        hostname: str,
        *,
        lanes: int = 1,
        files: FileCalls | None = None,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files or FileCalls()
        host = hostname.replace("/", "\\057").replace(":", "\\072")
        self._names = _Names(host, now)
        self._lanes = [Lane(self._files, self._names.make, monotonic) for _ in range(lanes)]

    async def deliver(self, deliveries: Sequence[MaildirDelivery]) -> list[MaildirError | None]:
        """As the port says. Deliveries of one call may end up in several cycles; all are over when this returns."""
        if not deliveries:
            return []
        call = Call(asyncio.get_running_loop(), len(deliveries))
        by_lane: dict[Lane, list[Item]] = {}
        for index, delivery in enumerate(deliveries):
            if delivery.body.inline is not None:
                item = Item(call, index, delivery.root, delivery.path)
                item.parts = (delivery.prefix, delivery.body.inline)
                by_lane.setdefault(self._choose_lane(delivery.path), []).append(item)
        for lane, items in by_lane.items():
            lane.submit(items)
        for index, delivery in enumerate(deliveries):
            if delivery.body.inline is None:
                await self._deliver_file(Item(call, index, delivery.root, delivery.path), delivery)
        await call.future
        return call.results

    async def _deliver_file(self, item: Item, delivery: MaildirDelivery) -> None:
        if await self._stage(item, delivery.prefix, delivery.body):
            self._choose_lane(delivery.path).submit([item])
        else:
            item.call.finish(item)

    def _choose_lane(self, path: str) -> Lane:
        return self._lanes[zlib.crc32(path.encode("utf-8", "surrogatepass")) % len(self._lanes)]

    async def _stage(self, item: Item, prefix: bytes, body: Body) -> bool:
        """Write a body that lies in a file, piece by piece, outside the lanes. False: `item.error` says why."""
        try:
            item.box = await _in_thread(open_box, item.root, item.path, self._files)
            item.owns_box = True
            await _in_thread(create_file, item, self._names.make())
            await self._copy(item, prefix, body)
        except (OSError, ValueError, SpoolError) as error:
            item.fail(error)
        except BaseException:
            discard_file(item)
            raise
        if item.error is not None:
            await _in_thread(discard_file, item)
        return item.error is None

    async def _copy(self, item: Item, prefix: bytes, body: Body) -> None:
        offset, carry = 0, prefix
        while offset < body.size:
            piece = await body.read(offset, _PIECE)
            if not piece:
                raise SpoolError("the message ends early")
            offset += len(piece)
            data = carry + piece
            carry = data[-1:] if data.endswith(b"\r") else b""  # its LF may begin the next piece
            item.size += await _in_thread(self._write, item.fd, data[:-1] if carry else data)
        item.size += await _in_thread(self._write, item.fd, carry)

    def _write(self, fd: int, data: bytes) -> int:
        converted = data.replace(b"\r\n", b"\n")
        self._files.write(fd, converted)
        return len(converted)

    async def close(self) -> None:
        """Ends when everything handed in is durable or failed."""
        for lane in self._lanes:
            await _in_thread(lane.close)


class _Names:
    """Unique names: time, process, counter, host, as the Maildir page asks for."""

    def __init__(self, host: str, now: Callable[[], float]) -> None:
        self._host, self._now, self._pid, self._counter = host, now, os.getpid(), itertools.count(1)

    def make(self) -> str:
        seconds, rest = divmod(int(self._now() * 1_000_000), 1_000_000)
        return f"{seconds}.M{rest}P{self._pid}Q{next(self._counter)}.{self._host}"


async def _in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """As asyncio.to_thread, but a cancelled caller waits: it must not close what the thread is still using."""
    task = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
