"""The control socket: commands ask, the coordinator answers, mostly by asking every worker.

Only root and the server's own user may ask (SO_PEERCRED). Frames are those of rpc.py without ids, one request at
a time: {"op", "args"} -> {"item"}* then {"done"} or {"error"}. A client that is slow, silent or hostile holds up
nobody: it has its own task, bounded frames, a deadline for every step, and there is room for a few dozen.

    queue.list {domain, sender, status, limit}    items in the order of ids
    queue.show {id}                               one item, or an error
    queue.stats {}                                done: sums over all workers
    queue.change {action, ids | domain | sender | all}    done: {changed, unknown, unanswered}
    sessions.list {}   sessions.kill {id}         items; done: {changed}
    metrics {}                                    done: Prometheus text of the whole server
    status {}                                     done: who is connected
    reload {}   stop {}                           done, or the error that reload met (nothing was changed)
"""

from __future__ import annotations

import asyncio
import heapq
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Protocol

from posthouse.app.rpc import Frame, FrameError, answer_request, encode_frame, read_frame
from posthouse.app.sockets import peer_uid
from posthouse.app.worker_context import Arguments, LinkError
from posthouse.ports.observe import Log

PAGE = 500
_MAX_CLIENTS = 32
_MAX_REQUEST = 1 << 20
_MAX_REFUSED = 4 << 10
_STEP_S = 30.0
_FLUSH_OCTETS = 64 << 10

Items = Callable[[Arguments], AsyncIterator[object]]
Answer = Callable[[Arguments], Awaitable[object]]


class Asked(Protocol):
    """A worker that can be asked."""

    @property
    def name(self) -> str: ...

    async def call(self, op: str, args: Arguments, timeout_s: float) -> object: ...


class ControlServer:
    """`streams` answer with items, `answers` with one value."""

    def __init__(self, server_uid: int, log: Log) -> None:
        self.streams: dict[str, Items] = {}
        self.answers: dict[str, Answer] = {}
        self._allowed = {0, server_uid}
        self._log = log
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, until it goes."""
        self._clients += 1
        try:
            await self._serve(reader, writer)
        except (FrameError, TimeoutError, OSError) as error:
            self._log.info("control client dropped", reason=str(error) or type(error).__name__)
        finally:
            self._clients -= 1
            writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection: socket.socket = writer.get_extra_info("socket")
        refusal = self._find_refusal(peer_uid(connection))
        while True:
            async with asyncio.timeout(_STEP_S):
                frame = await read_frame(reader, _MAX_REFUSED if refusal else _MAX_REQUEST)
            if frame is None:
                return
            if refusal:  # only now: what is closed with something unread loses what was written
                await _send(writer, Frame(error=refusal))
                return
            await self._answer(frame, writer)

    def _find_refusal(self, uid: int) -> str:
        if uid not in self._allowed:
            self._log.warning("control client refused", uid=uid)
            return "not allowed: only root and the server's own user may control it"
        return "too many control connections, try again" if self._clients > _MAX_CLIENTS else ""

    async def _answer(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        op = frame.op or ""
        if (stream := self.streams.get(op)) is not None:

            async def answer(args: Arguments) -> object:
                count = 0
                async for item in stream(args):
                    writer.write(encode_frame(Frame(item=item)))
                    count += 1
                    if writer.transport.get_write_buffer_size() > _FLUSH_OCTETS:
                        await _drain(writer)
                return {"count": count}

            await _send(writer, await answer_request(answer, frame.args, self._log))
        elif (single := self.answers.get(op)) is not None:
            await _send(writer, await answer_request(single, frame.args, self._log))
        else:
            await _send(writer, Frame(error=f"unknown request {op!r}"))


async def _send(writer: asyncio.StreamWriter, frame: Frame) -> None:
    writer.write(encode_frame(frame))
    await _drain(writer)


async def _drain(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(_STEP_S):
        await writer.drain()


class Unanswered:
    """Workers that did not answer; told to the client at the end, so that a list is not taken for complete."""

    def __init__(self) -> None:
        self.names: list[str] = []

    async def ask(self, worker: Asked, op: str, args: Arguments, timeout_s: float = 20.0) -> object | None:
        try:
            return await worker.call(op, args, timeout_s)
        except LinkError as error:
            self.names.append(f"{worker.name} ({error})")
            return None


async def ask_all(workers: list[Asked], op: str, args: Arguments, unanswered: Unanswered) -> list[object]:
    """The answers that came, in the order of the workers."""
    answers = await asyncio.gather(*(unanswered.ask(worker, op, args) for worker in workers))
    return [answer for answer in answers if answer is not None]


async def merge_pages(
    workers: list[Asked], op: str, args: Arguments, limit: int, unanswered: Unanswered
) -> AsyncIterator[Mapping[str, object]]:
    """Items of all workers in the order of their "id", each once, read page by page: nobody holds a whole list.

    A worker answers `op` with {"items": [...], "more": bool} for its ids behind `after`.
    """
    readers = [_PageReader(worker, op, {**args, "limit": min(limit, PAGE)}, unanswered) for worker in workers]
    await asyncio.gather(*(reader.fill() for reader in readers))
    heap = [(reader.next_id, number) for number, reader in enumerate(readers) if reader.has_item]
    heapq.heapify(heap)
    last, count = "", 0
    while heap and count < limit:
        identity, number = heapq.heappop(heap)
        item = readers[number].take()
        if identity != last:  # a shard that changed hands in between is listed by both
            yield item
            last, count = identity, count + 1
        if not readers[number].has_item:
            await readers[number].fill()
        if readers[number].has_item:
            heapq.heappush(heap, (readers[number].next_id, number))


class _PageReader:
    def __init__(self, worker: Asked, op: str, args: dict[str, object], unanswered: Unanswered) -> None:
        self._worker = worker
        self._op = op
        self._args = args
        self._unanswered = unanswered
        self._items: list[Mapping[str, object]] = []
        self._more = True

    @property
    def has_item(self) -> bool:
        return bool(self._items)

    @property
    def next_id(self) -> str:
        return str(self._items[-1].get("id", ""))

    def take(self) -> Mapping[str, object]:
        item = self._items.pop()
        self._args["after"] = item.get("id")
        return item

    async def fill(self) -> None:
        if not self._more:
            return
        answer = await self._unanswered.ask(self._worker, self._op, self._args)
        page = answer if isinstance(answer, dict) else {}
        items = page.get("items")
        self._items = [item for item in reversed(items) if isinstance(item, dict)] if isinstance(items, list) else []
        self._more = bool(page.get("more")) and bool(self._items)


def add_up(answers: list[object]) -> dict[str, object]:
    """Numbers are added, tables are merged likewise; of what is named "oldest..." the least counts."""
    total: dict[str, object] = {}
    for answer in answers:
        if isinstance(answer, dict):
            for name, value in answer.items():
                total[name] = _join(str(name), total.get(name), value)
    return total


def _join(name: str, known: object, value: object) -> object:
    if isinstance(value, dict):
        return add_up([known, value])
    if known is None or value is None:
        return value if known is None else known
    if isinstance(value, int | float) and isinstance(known, int | float):
        return min(known, value) if name.startswith("oldest") else known + value
    return known
