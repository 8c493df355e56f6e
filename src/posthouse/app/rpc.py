"""Messages between processes of one server, and from commands to it: framing, requests, answers, notices.

A frame is four octets of length (big-endian) and one msgpack map. Three kinds:

    {"op", "args", "id"}                            a request; without "id" a notice, which has no answer
    {"id", "item"}* {"id", "done"} | {"id", "error"}  its answer (on the control socket, one request at a time, no "id")

Trust: the processes of a server trust each other's intent, not each other's health: frames, what waits to be
written and what is being worked on are bounded, and each call has a deadline. Nothing survives a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import msgspec

from posthouse.app.worker_context import Arguments, Handler, LinkError, OneWayHandler
from posthouse.ports.observe import Log

MAX_FRAME = 8 << 20
_MAX_UNSENT = 8 << 20
_MAX_RUNNING = 64
_LENGTH_OCTETS = 4


class FrameError(Exception):
    """The other side sent what is no frame, or too large a one; the connection ends."""


class Frame(msgspec.Struct, omit_defaults=True):
    """Which fields are there says what it is."""

    op: str | None = None
    args: dict[str, object] = {}
    id: int | None = None
    item: object = msgspec.UNSET
    done: object = msgspec.UNSET
    error: str | None = None


_encode = msgspec.msgpack.Encoder(enc_hook=str).encode
_decode = msgspec.msgpack.Decoder(Frame).decode


def encode_frame(frame: Frame) -> bytes:
    """Raises FrameError when it would be larger than the other side takes."""
    body = _encode(frame)
    if len(body) > MAX_FRAME:
        raise FrameError(f"frame of {len(body)} octets is too large")
    return len(body).to_bytes(_LENGTH_OCTETS, "big") + body


async def read_frame(reader: asyncio.StreamReader, limit: int = MAX_FRAME) -> Frame | None:
    """The next frame; None when the other side is gone. The length is looked at before anything is kept."""
    try:
        size = int.from_bytes(await reader.readexactly(_LENGTH_OCTETS), "big")
        if size > limit:
            raise FrameError(f"frame of {size} octets is too large")
        return _decode(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, OSError):
        return None
    except msgspec.DecodeError as error:
        raise FrameError(str(error)) from None


class Handlers:
    """Who answers which op. Filled before the connection is there, kept over reconnects."""

    def __init__(self) -> None:
        self.requests: dict[str, Handler] = {}
        self.notices: dict[str, OneWayHandler] = {}


class Channel:
    """One connection over which both sides ask and answer, many at a time."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handlers: Handlers, log: Log, name: str
    ) -> None:
        self.name = name
        self._reader = reader
        self._writer = writer
        self._handlers = handlers
        self._log = log
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[object]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._is_open = True

    async def run(self) -> None:
        """Read until either side closes. Calls in flight then fail."""
        try:
            while (frame := await read_frame(self._reader)) is not None:
                self._take(frame)
        except FrameError as error:
            self._log.error("bad frame between processes", peer=self.name, reason=str(error))
        finally:
            self.close()

    def close(self) -> None:
        """May be called twice; never waits."""
        self._is_open = False
        for task in self._running:
            task.cancel()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(LinkError(f"{self.name} is gone"))
        self._waiting.clear()
        self._writer.close()

    async def call(self, op: str, args: Arguments, timeout_s: float) -> object:
        """Ask and wait. Raises LinkError: not connected, no answer in time, or the other side's refusal."""
        number = next(self._numbers)
        future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            if not self._send(Frame(op=op, args=dict(args), id=number)):
                raise LinkError(f"{self.name} does not take requests now")
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise LinkError(f"{self.name} did not answer {op} within {timeout_s:g} s") from None
        finally:
            self._waiting.pop(number, None)

    def notify(self, op: str, args: Arguments) -> bool:
        return self._send(Frame(op=op, args=dict(args)))

    def _send(self, frame: Frame) -> bool:
        transport = self._writer.transport
        # The other side may have died and `run` not have heard of it: uvloop raises then.
        if not self._is_open or transport.is_closing() or transport.get_write_buffer_size() > _MAX_UNSENT:
            return False
        try:
            self._writer.write(encode_frame(frame))
        except FrameError as error:
            self._log.error("frame not sent", peer=self.name, op=frame.op, reason=str(error))
            return False
        return True

    def _take(self, frame: Frame) -> None:
        if frame.op is None:
            self._settle(frame)
        elif frame.id is not None:
            self._start(frame.op, frame.args, frame.id)
        elif (handler := self._handlers.notices.get(frame.op)) is not None:
            try:
                handler(frame.args)
            except Exception:  # noqa: BLE001 - a defect in one handler must not end the connection
                self._log.error("notice failed", peer=self.name, op=frame.op)

    def _settle(self, frame: Frame) -> None:
        future = self._waiting.get(frame.id or 0)
        if future is None or future.done():
            return  # it came after its deadline
        if frame.error is not None:
            future.set_exception(LinkError(frame.error))
        else:
            future.set_result(None if frame.done is msgspec.UNSET else frame.done)

    def _start(self, op: str, args: Mapping[str, object], number: int) -> None:
        handler = self._handlers.requests.get(op)
        if handler is None:
            self._send(Frame(id=number, error=f"unknown request {op!r}"))
        elif len(self._running) >= _MAX_RUNNING:
            self._send(Frame(id=number, error="too many requests at once"))
        else:
            task = asyncio.get_running_loop().create_task(self._answer(handler, args, number))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _answer(self, handler: Handler, args: Mapping[str, object], number: int) -> None:
        answer = await answer_request(handler, args, self._log)
        answer.id = number
        if not self._send(answer):
            self._send(Frame(id=number, error="answer is too large"))


async def answer_request(handler: Handler, args: Mapping[str, object], log: Log) -> Frame:
    """ValueError and LinkError are the asker's to read; anything else is a defect of ours, and logged."""
    try:
        return Frame(done=await handler(args))
    except (ValueError, LinkError) as error:
        return Frame(error=str(error))
    except Exception as error:  # noqa: BLE001 - a defect in one handler must not end the connection
        log.error("request failed", kind=type(error).__name__)
        return Frame(error=f"internal error: {type(error).__name__}")


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Connections:
    """Serves each connection with `serve`, and ends those that are left without noise."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._tasks: set[asyncio.Task[object]] = set()
        self._is_closing = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            if not self._is_closing:
                raise
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        self._is_closing = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Pause(Protocol):
    """How long to wait before the next try to connect, after so many failed ones."""

    def __call__(self, failures: int) -> float: ...


def usual_pause(failures: int) -> float:
    return float(min(1.0, 0.02 * 2 ** min(failures, 10)))


class CoordinatorLink:
    """A worker's `Link`: connects, says hello, and connects again whenever the coordinator was gone."""

    def __init__(self, connect: Connect, hello: Arguments, log: Log, pause: Pause = usual_pause) -> None:
        self._connect = connect
        self._hello = hello
        self._log = log
        self._pause = pause
        self._handlers = Handlers()
        self._fills: list[Callable[[], None]] = []
        self._losses: list[Callable[[], None]] = []
        self._channel: Channel | None = None

    @property
    def is_connected(self) -> bool:
        return self._channel is not None

    def register(self, op: str, handler: Handler) -> None:
        self._handlers.requests[op] = handler

    def on_notice(self, op: str, handler: OneWayHandler) -> None:
        self._handlers.notices[op] = handler

    def on_connect(self, fill: Callable[[], None]) -> None:
        self._fills.append(fill)
        if self._channel is not None:
            fill()

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        self._losses.append(callback)

    async def call(self, op: str, args: Arguments, timeout_s: float = 10.0) -> object:
        if self._channel is None:
            raise LinkError("no coordinator")
        return await self._channel.call(op, args, timeout_s)

    def notify(self, op: str, args: Arguments) -> bool:
        return self._channel is not None and self._channel.notify(op, args)

    async def run(self) -> None:
        """Until cancelled."""
        failures = 0
        while True:
            try:
                reader, writer = await self._connect()
            except OSError as error:
                failures += 1
                self._log.debug("coordinator not reached", reason=str(error), failures=failures)
                await asyncio.sleep(self._pause(failures))
                continue
            failures = 0 if await self._serve(Channel(reader, writer, self._handlers, self._log, "coordinator")) else 1
            await asyncio.sleep(self._pause(failures))

    async def _serve(self, channel: Channel) -> bool:
        """False when the coordinator hung up before it welcomed us."""
        reading = asyncio.get_running_loop().create_task(channel.run())
        try:
            await channel.call("hello", self._hello, 10.0)
            self._channel = channel
            for fill in self._fills:
                fill()
            await reading
        except LinkError as error:
            self._log.warning("coordinator does not answer", reason=str(error))
            return False
        finally:
            self._channel = None
            channel.close()
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading
        self._log.warning("coordinator lost; going on with this worker's own share")
        for tell in self._losses:
            tell()
        return True
