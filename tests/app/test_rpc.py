"""Messages between processes: frames, requests both ways, deadlines, bounds, reconnecting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from posthouse.app.rpc import MAX_FRAME, Channel, CoordinatorLink, Frame, FrameError, Handlers, encode_frame, read_frame
from posthouse.app.worker_context import Arguments, LinkError
from posthouse.ports.observe import FakeLog


def feed(data: bytes, *, ends: bool = True) -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    if ends:
        reader.feed_eof()
    return reader


async def test_a_frame_comes_back_as_it_was_sent() -> None:
    frame = Frame(op="queue.list", args={"limit": 3, "domain": "example.org"}, id=7)
    reader = feed(encode_frame(frame) + encode_frame(Frame(done={"count": 2})))
    assert await read_frame(reader) == frame
    second = await read_frame(reader)
    assert second is not None
    assert second.done == {"count": 2}
    assert second.item is msgspec.UNSET
    assert await read_frame(reader) is None


async def test_a_frame_cut_short_is_the_end() -> None:
    whole = encode_frame(Frame(op="status"))
    for length in range(len(whole)):
        assert await read_frame(feed(whole[:length])) is None


async def test_a_frame_of_absurd_length_is_refused_before_it_is_read() -> None:
    with pytest.raises(FrameError):
        await read_frame(feed(b"\xff\xff\xff\xff", ends=False))


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x81\xa2op\x01", b"\xff\x00" * 20])
async def test_what_is_no_frame_is_refused(body: bytes) -> None:
    with pytest.raises(FrameError):
        await read_frame(feed(len(body).to_bytes(4, "big") + body))


def test_a_frame_too_large_is_not_sent() -> None:
    with pytest.raises(FrameError):
        encode_frame(Frame(done=b"x" * (MAX_FRAME + 1)))


async def echo(args: Arguments) -> object:
    return dict(args)


@asynccontextmanager
async def joined(here: Handlers, there: Handlers) -> AsyncIterator[tuple[Channel, Channel]]:
    """Two channels joined by a socket pair."""
    import socket

    one, two = socket.socketpair()
    log = FakeLog()
    left = Channel(*await asyncio.open_connection(sock=one), here, log, "there")
    right = Channel(*await asyncio.open_connection(sock=two), there, log, "here")
    tasks = [asyncio.create_task(left.run()), asyncio.create_task(right.run())]
    yield left, right
    left.close()
    right.close()
    await asyncio.gather(*tasks)


async def test_both_sides_ask_many_things_at_a_time() -> None:
    handlers = Handlers()
    handlers.requests["echo"] = echo
    async with joined(handlers, handlers) as (left, right):
        asked = [side.call("echo", {"n": number}, 5.0) for number in range(20) for side in (left, right)]
        answers = await asyncio.gather(*asked)
    assert answers == [{"n": number} for number in range(20) for _ in range(2)]


async def test_a_peer_that_died_unheard_is_told_nothing() -> None:
    """Between the end of its socket and the moment in which `run` hears of it."""
    import socket

    one, two = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=one)
    channel = Channel(reader, writer, Handlers(), FakeLog(), "there")
    two.close()
    writer.transport.abort()
    assert not channel.notify("news", {})
    with pytest.raises(LinkError):
        await channel.call("echo", {}, 5.0)
    channel.close()


async def test_an_error_of_the_asker_is_told_and_a_defect_is_logged() -> None:
    async def refuse(args: Arguments) -> object:
        raise ValueError("no such message")

    async def break_down(args: Arguments) -> object:
        raise KeyError("secret")

    handlers = Handlers()
    handlers.requests |= {"refuse": refuse, "break": break_down}
    async with joined(Handlers(), handlers) as (left, _):
        with pytest.raises(LinkError, match="no such message"):
            await left.call("refuse", {}, 5.0)
        with pytest.raises(LinkError, match="internal error: KeyError") as caught:
            await left.call("break", {}, 5.0)
        assert "secret" not in str(caught.value)
        with pytest.raises(LinkError, match="unknown request"):
            await left.call("nonsense", {}, 5.0)


async def test_a_call_without_answer_ends_at_its_deadline() -> None:
    async def wait_forever(args: Arguments) -> object:
        return await asyncio.get_running_loop().create_future()

    handlers = Handlers()
    handlers.requests["wait"] = wait_forever
    async with joined(Handlers(), handlers) as (left, _):
        with pytest.raises(LinkError, match="did not answer"):
            await left.call("wait", {}, 0.01)


async def test_calls_in_flight_fail_when_the_other_side_goes() -> None:
    started = asyncio.Event()

    async def wait_forever(args: Arguments) -> object:
        started.set()
        return await asyncio.get_running_loop().create_future()

    handlers = Handlers()
    handlers.requests["wait"] = wait_forever
    async with joined(Handlers(), handlers) as (left, right):
        call = asyncio.create_task(left.call("wait", {}, 30.0))
        await started.wait()
        right.close()
        with pytest.raises(LinkError):
            await call


async def test_a_side_that_asks_too_much_at_once_is_told_so() -> None:
    gate = asyncio.Event()

    async def wait(args: Arguments) -> object:
        await gate.wait()
        return "done"

    handlers = Handlers()
    handlers.requests["wait"] = wait
    async with joined(Handlers(), handlers) as (left, _):
        calls = [asyncio.create_task(left.call("wait", {}, 10.0)) for _ in range(100)]
        finished, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_EXCEPTION)
        assert "too many requests" in str(finished.pop().exception())
        gate.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers.count("done") == 64


async def test_a_notice_that_breaks_does_not_end_the_connection() -> None:
    handlers = Handlers()
    handlers.requests["echo"] = echo
    handlers.notices["bad"] = lambda args: print(1 // len(args))
    async with joined(Handlers(), handlers) as (left, _):
        assert left.notify("bad", {})
        assert left.notify("unknown", {})
        assert await left.call("echo", {"n": 1}, 5.0) == {"n": 1}


class Coordinator:
    """A server that welcomes workers and can be killed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channels: list[Channel] = []
        self._server: asyncio.Server
        self.hellos: list[Arguments] = []
        self.notices: asyncio.Queue[Arguments] = asyncio.Queue()

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._serve, self._path)

    async def kill(self) -> None:
        self._server.close()
        for channel in self._channels:
            channel.close()
        self._path.unlink(missing_ok=True)

    async def ask(self, op: str) -> object:
        return await self._channels[-1].call(op, {}, 5.0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def welcome(args: Arguments) -> object:
            self.hellos.append(args)
            return {}

        handlers = Handlers()
        handlers.requests["hello"] = welcome
        handlers.notices["report"] = self.notices.put_nowait
        channel = Channel(reader, writer, handlers, FakeLog(), "worker")
        self._channels.append(channel)
        await channel.run()


async def test_a_link_comes_back_when_the_coordinator_does(tmp_path: Path) -> None:
    path = tmp_path / "c.sock"
    lost, filled = asyncio.Event(), asyncio.Event()
    link = CoordinatorLink(lambda: asyncio.open_unix_connection(path), {"index": 3}, FakeLog(), lambda _: 0.0)
    link.register("echo", echo)
    link.on_connect(filled.set)
    link.on_disconnect(lost.set)
    running = asyncio.create_task(link.run())
    with pytest.raises(LinkError):
        await link.call("metrics", {})
    assert not link.notify("report", {})
    for _ in range(3):
        coordinator = Coordinator(path)
        await coordinator.start()
        await filled.wait()
        assert link.is_connected
        assert coordinator.hellos == [{"index": 3}]
        assert await coordinator.ask("echo") == {}
        assert link.notify("report", {"n": 1})
        assert await coordinator.notices.get() == {"n": 1}
        lost.clear()
        await coordinator.kill()
        await lost.wait()
        filled.clear()
        assert not link.is_connected
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
