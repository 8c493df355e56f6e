"""Connections are shared out between the workers that listen on one socket."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from posthouse.app.acceptor import Acceptor, Board, board_size
from posthouse.app.launch import make_shared_memory
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog


class Worker:
    """One of several that share a board; it keeps every connection."""

    def __init__(self, memory: int, index: int, workers: int, clock: FakeClock) -> None:
        self.open = 0
        self.board = Board(memory, index, workers, lambda: self.open, clock)
        self.arrived = asyncio.Event()

    def make_protocol(self) -> asyncio.Protocol:
        worker = self

        class Kept(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                worker.open += 1
                worker.arrived.set()

        return Kept()


@pytest.fixture
def memory() -> Iterator[int]:
    descriptor = make_shared_memory("board", board_size(3))
    yield descriptor
    os.close(descriptor)


async def test_a_worker_far_ahead_of_one_that_lives_knows_it(memory: int) -> None:
    clock = FakeClock()
    one, two, three = (Worker(memory, index, 3, clock) for index in range(3))
    one.open = 20
    one.board.publish()
    assert not one.board.is_ahead()  # the others have not written yet
    two.open, three.open = 19, 2
    two.board.publish()
    assert not one.board.is_ahead()
    three.board.publish()
    assert one.board.is_ahead()
    assert two.board.is_ahead()
    assert not three.board.is_ahead()
    clock.advance(2.0)
    one.board.publish()
    assert not one.board.is_ahead()  # the others hang, or are dead


async def test_few_connections_are_not_worth_waiting(memory: int) -> None:
    one, two = (Worker(memory, index, 2, FakeClock()) for index in range(2))
    one.open = 4
    one.board.publish()
    two.board.publish()
    assert not one.board.is_ahead()


async def test_kept_sessions_do_not_all_go_to_one_worker(memory: int) -> None:
    clock = FakeClock()
    workers = [Worker(memory, index, 2, clock) for index in range(2)]
    with socket.create_server(("127.0.0.1", 0)) as shared:
        acceptors = []
        for worker in workers:
            worker.board.publish()
            listener = shared.dup()
            listener.setblocking(False)
            acceptors.append(Acceptor(listener, worker.make_protocol, worker.board, 100, FakeLog()))
            await acceptors[-1].start()
        clients = [await asyncio.open_connection(*shared.getsockname()) for _ in range(60)]
        while sum(worker.open for worker in workers) < 60:
            for worker in workers:
                worker.arrived.clear()
            waiting = [asyncio.ensure_future(worker.arrived.wait()) for worker in workers]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for each in waiting:
                each.cancel()
        assert min(worker.open for worker in workers) >= 20
        for _, writer in clients:
            writer.close()
        for acceptor in acceptors:
            acceptor.close()
            acceptor.close()


async def test_when_the_other_worker_is_dead_nobody_waits_for_it(memory: int) -> None:
    clock = FakeClock()
    worker, dead = (Worker(memory, index, 2, clock) for index in range(2))
    dead.board.publish()
    clock.advance(2.0)
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = shared.dup()
        listener.setblocking(False)
        acceptor = Acceptor(listener, worker.make_protocol, worker.board, 100, FakeLog())
        await acceptor.start()
        clients = [await asyncio.open_connection(*shared.getsockname()) for _ in range(40)]
        while worker.open < 40:
            worker.arrived.clear()
            await worker.arrived.wait()
        acceptor.close()
        for _, writer in clients:
            writer.close()


async def test_without_descriptors_connections_wait_at_the_socket_and_are_served_later(memory: int) -> None:
    clock, log, room = FakeClock(), FakeLog(), [True]
    worker = Worker(memory, 0, 1, clock)
    listener = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(listener, worker.make_protocol, worker.board, 100, log, lambda: room[0])
    await acceptor.start()
    port = listener.getsockname()[1]
    room[0] = False
    connections = [socket.create_connection(("127.0.0.1", port))]
    async with asyncio.timeout(5):
        await worker.arrived.wait()
        while not log.events:
            await asyncio.sleep(0)
    assert log.events == [("warning", "accepting pauses: out of descriptors", {})]
    worker.arrived.clear()
    connections.append(socket.create_connection(("127.0.0.1", port)))
    for _ in range(50):
        await asyncio.sleep(0)
    assert worker.open == 1
    room[0] = True
    async with asyncio.timeout(5):
        await worker.arrived.wait()
    assert worker.open == 2
    acceptor.close()
    for connection in connections:
        connection.close()


def test_the_last_descriptors_are_kept_for_open_sessions() -> None:
    command = (
        "import os, resource\n"
        "from posthouse.app.acceptor import SPARE_DESCRIPTORS, has_descriptors\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\n"
        "count = 0\n"
        "while has_descriptors():\n"
        "    os.dup(0)\n"
        "    count += 1\n"
        "left = 0\n"
        "try:\n"
        "    while True:\n"
        "        os.dup(0)\n"
        "        left += 1\n"
        "except OSError:\n"
        "    assert not has_descriptors()\n"
        "    print(count > 100, left == SPARE_DESCRIPTORS)\n"
    )
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
