"""The control socket's server, and lists that are merged from several workers."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from posthouse.app.control import Asked, ControlServer, Unanswered, add_up, ask_all, merge_pages
from posthouse.app.rpc import Connections, Frame, encode_frame, read_frame
from posthouse.app.worker_context import Arguments, LinkError
from posthouse.ports.observe import FakeLog

Client = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(control: ControlServer) -> AsyncIterator[Client]:
    here, there = socket.socketpair()
    serve = Connections(control.serve)
    task = asyncio.create_task(serve(*await asyncio.open_connection(sock=there)))
    reader, writer = await asyncio.open_connection(sock=here)
    yield reader, writer
    writer.close()
    await serve.close()
    await asyncio.gather(task, return_exceptions=True)


def make_control(uid: int | None = None) -> ControlServer:
    control = ControlServer(os.geteuid() if uid is None else uid, FakeLog())

    async def count(args: Arguments) -> AsyncIterator[object]:
        until = args.get("until")
        for number in range(until if isinstance(until, int) else 0):
            yield {"id": number, "fill": "x" * 100}

    async def greet(args: Arguments) -> object:
        if "name" not in args:
            raise ValueError("a name is needed")
        return f"hello {args['name']}"

    control.streams["count"] = count
    control.answers["greet"] = greet
    return control


async def ask(client: Client, op: str, **args: object) -> list[Frame]:
    reader, writer = client
    writer.write(encode_frame(Frame(op=op, args=args)))
    frames: list[Frame] = []
    while not frames or frames[-1].item is not msgspec.UNSET:
        frame = await read_frame(reader)
        assert frame is not None
        frames.append(frame)
    return frames


async def test_one_connection_asks_several_things() -> None:
    async with connected(make_control()) as client:
        assert (await ask(client, "greet", name="you"))[-1].done == "hello you"
        assert (await ask(client, "greet"))[-1].error == "a name is needed"
        frames = await ask(client, "count", until=3)
        assert [frame.item for frame in frames[:3]] == [{"id": n, "fill": "x" * 100} for n in range(3)]
        assert frames[3].done == {"count": 3}
        assert (await ask(client, "nonsense"))[-1].error == "unknown request 'nonsense'"


async def test_a_stranger_is_told_so_and_nothing_else() -> None:
    control = make_control(uid=4242)
    control._allowed = {4242}
    async with connected(control) as (reader, writer):
        writer.write(encode_frame(Frame(op="greet", args={"name": "you"})))
        frame = await read_frame(reader)
        assert frame is not None
        assert "not allowed" in str(frame.error)
        assert await read_frame(reader) is None


async def test_garbage_ends_that_connection_only() -> None:
    control = make_control()
    async with connected(control) as good:
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 64, b"\x00\x00\x00\x01\xc1", b"\x00\x00\x00\x00"):
            async with connected(control) as (reader, writer):
                writer.write(garbage)
                assert await reader.read() == b""
        assert (await ask(good, "greet", name="you"))[-1].done == "hello you"


async def test_a_request_larger_than_allowed_is_not_read() -> None:
    async with connected(make_control()) as (reader, writer):
        writer.write((2 << 20).to_bytes(4, "big"))
        assert await reader.read() == b""


async def test_a_client_that_does_not_read_holds_up_nobody_and_fills_no_memory() -> None:
    control = make_control()
    async with connected(control) as (_, slow), connected(control) as quick:
        slow.write(encode_frame(Frame(op="count", args={"until": 10_000_000})))
        for _ in range(20):
            assert (await ask(quick, "greet", name="you"))[-1].done == "hello you"


async def test_there_is_room_for_a_few_dozen_clients_only() -> None:
    control = make_control()
    async with connected(control) as first:
        await ask(first, "greet", name="you")
        control._clients = 32
        async with connected(control) as (reader, writer):
            writer.write(encode_frame(Frame(op="greet")))
            frame = await read_frame(reader)
            assert frame is not None
            assert "too many" in str(frame.error)
        control._clients = 1


class FakeWorker:
    """Pages over ids that it has."""

    def __init__(self, name: str, ids: list[str], page: int = 500) -> None:
        self.name = name
        self._ids = sorted(ids)
        self._page = page
        self.is_silent = False
        self.asked = 0

    async def call(self, op: str, args: Arguments, timeout_s: float) -> object:
        self.asked += 1
        if self.is_silent:
            raise LinkError("no answer")
        if op != "queue.list":
            return len(self._ids)
        limit = args["limit"]
        assert isinstance(limit, int)
        behind = [each for each in self._ids if each > str(args.get("after") or "")]
        page = behind[: min(limit, self._page)]
        return {"items": [{"id": each} for each in page], "more": len(behind) > len(page)}


async def collect(workers: list[Asked], limit: int, unanswered: Unanswered | None = None) -> list[object]:
    merged = merge_pages(workers, "queue.list", {}, limit, unanswered or Unanswered())
    return [item["id"] async for item in merged]


async def test_pages_of_many_workers_become_one_list_in_order() -> None:
    chance = random.Random(7)
    ids = [f"{number:06}" for number in range(5000)]
    shares: list[list[str]] = [[], [], []]
    for each in ids:
        chance.choice(shares).append(each)
    workers: list[Asked] = [FakeWorker(f"w{n}", share, page=70) for n, share in enumerate(shares)]
    assert await collect(workers, 1 << 30) == ids
    assert await collect(workers, 1234) == ids[:1234]


async def test_a_message_listed_by_two_workers_comes_once() -> None:
    one, two = FakeWorker("one", ["a", "b", "c"]), FakeWorker("two", ["b", "c", "d"])
    assert await collect([one, two], 10) == ["a", "b", "c", "d"]
    assert await collect([one, two], 2) == ["a", "b"]


async def test_a_limit_asks_for_no_more_than_it_needs() -> None:
    worker = FakeWorker("one", [f"{number:05}" for number in range(10_000)])
    assert len(await collect([worker], 20)) == 20
    assert worker.asked == 2


async def test_a_worker_that_does_not_answer_is_named_and_the_rest_listed() -> None:
    one, two = FakeWorker("one", ["a"]), FakeWorker("two", ["b"])
    two.is_silent = True
    unanswered = Unanswered()
    assert await collect([one, two], 10, unanswered) == ["a"]
    assert unanswered.names == ["two (no answer)"]
    assert await ask_all([one, two], "queue.change", {}, unanswered) == [1]


def test_figures_of_workers_are_added_up() -> None:
    total = add_up(
        [
            {"messages": 2, "oldest": 50.0, "by_state": {"ready": 1, "held": 1}, "name": "x"},
            {"messages": 3, "oldest": None, "by_state": {"ready": 3}},
            {"messages": 0, "oldest": 40.0, "by_state": {}},
        ]
    )
    assert total == {"messages": 5, "oldest": 40.0, "by_state": {"ready": 4, "held": 1}, "name": "x"}
