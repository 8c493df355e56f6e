"""The supervisor's view of one child process: started, ready, heard from, told to end, gone.

A child is not forked but started anew (`subprocess`), as `user`, with nothing but the descriptors it needs. It is
gone when its pidfd says so. How long it may be silent, and when to start another, is decided here but acted on by
the supervisor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from posthouse.app.launch import Launch, encode_launch
from posthouse.app.packets import PacketEnd, make_pair
from posthouse.app.privileges import Identity
from posthouse.ports.observe import Log

_TRIES = 3


@dataclass(frozen=True, slots=True)
class Timings:
    """In seconds. `drain_grace_s`: what a child may take beyond the deadline it was told."""

    silence_s: float = 30.0  # then SIGABRT, with a stack dump
    dump_s: float = 5.0  # then SIGKILL
    stop_s: float = 20.0  # what workers are told at SIGTERM
    orphan_grace_s: float = 3.0
    drain_grace_s: float = 5.0
    start_s: float = 30.0
    tick_s: float = 0.5
    restart_first_s: float = 0.05
    restart_most_s: float = 30.0
    healthy_s: float = 30.0  # a child that lived so long starts again at once
    certificates_s: float = 3600.0
    leftover_s: float = 30.0


class BackOff:
    """How long to wait before a child of one place is started again."""

    def __init__(self, timings: Timings) -> None:
        self._timings = timings
        self.failures = 0

    def next_wait(self, lived_s: float) -> float:
        if lived_s >= self._timings.healthy_s:
            self.failures = 0
        wait = min(self._timings.restart_most_s, self._timings.restart_first_s * 2.0 ** min(self.failures, 20))
        self.failures += 1
        return wait


OnEvent = Callable[["Child", str, Mapping[str, object]], None]


class Child:
    """`role` is "worker" or "coordinator". `exited` resolves with the return code (negative: a signal)."""

    def __init__(self, role: str, launch: Launch, on_event: OnEvent) -> None:
        loop = asyncio.get_running_loop()
        self.role = role
        self.index = launch.index
        self.generation = launch.generation
        self.is_leaving = False
        self.started_at = loop.time()
        self.heard_at = loop.time()
        self.kill_at = 0.0
        self.ready: asyncio.Future[bool] = loop.create_future()
        self.exited: asyncio.Future[int] = loop.create_future()
        self._has_spoken = False
        self._aborted_at = 0.0
        self._on_event = on_event
        self._process: subprocess.Popen[bytes]
        self._end: PacketEnd

    @classmethod
    def start(cls, role: str, command: Sequence[str], launch: Launch, identity: Identity, on_event: OnEvent) -> Child:
        """`launch.channel` is filled in here. Raises OSError when the process cannot be started."""
        ours, theirs = make_pair()
        child = cls(role, launch, on_event)
        with theirs:
            launch = msgspec.structs.replace(launch, channel=theirs.fileno())
            memfd = encode_launch(launch)
            try:
                child._process = _spawn(command, memfd, launch, identity)
            except BaseException:
                ours.close()
                raise
            finally:
                os.close(memfd)
        child._end = PacketEnd(ours, child._take)
        child._watch()
        return child

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def name(self) -> str:
        return self.role if self.role == "coordinator" else f"worker {self.generation}.{self.index}"

    def send(self, op: str, args: Mapping[str, object] | None = None, descriptors: Sequence[int] = ()) -> bool:
        return self._end.send(op, args, descriptors)

    def leave(self, op: str, deadline_s: float, kill_at: float) -> None:
        """Ask it to end ("drain" or "stop") within `deadline_s`; `kill_at` (loop time) is when it is made to."""
        self.is_leaving = True
        self.kill_at = kill_at
        self.send(op, {"deadline_s": deadline_s})

    def signal(self, number: int) -> None:
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def forgive(self, seconds: float) -> None:
        """The supervisor itself stood still so long: silence meanwhile says nothing."""
        self.heard_at += seconds

    def check(self, now: float, timings: Timings) -> str | None:
        """Called each tick: abort it when silent, kill it when it does not go. Says what was done."""
        if self.kill_at and now >= self.kill_at:
            self.kill_at = now + timings.dump_s
            self.signal(signal.SIGKILL)
            return "did not end in time, killed"
        if self._aborted_at and now >= self._aborted_at + timings.dump_s:
            self._aborted_at = now
            self.signal(signal.SIGKILL)
            return "does not end after SIGABRT, killed"
        patience_s = timings.silence_s if self._has_spoken else max(timings.silence_s, timings.start_s)
        if not self._aborted_at and now - self.heard_at > patience_s:
            self._aborted_at = now
            self.signal(signal.SIGABRT)
            return "silent, aborted"
        return None

    def _take(self, op: str, args: Mapping[str, object], descriptors: Sequence[int]) -> None:
        for number in descriptors:
            os.close(number)  # children have nothing to give us
        self.heard_at = asyncio.get_running_loop().time()
        self._has_spoken = True
        if op == "ready" and not self.ready.done():
            self.ready.set_result(True)
        elif op != "beat":
            self._on_event(self, op, args)

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        pidfd = os.pidfd_open(self._process.pid)
        loop.add_reader(self._end.fileno(), self._on_packets)
        loop.add_reader(pidfd, self._on_exit, pidfd)

    def _on_packets(self) -> None:
        self._end.on_readable()
        if not self._end.is_open:
            asyncio.get_running_loop().remove_reader(self._end.fileno())

    def _on_exit(self, pidfd: int) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(pidfd)
        os.close(pidfd)
        code = self._process.wait()
        if self._end.is_open:
            self._end.on_readable()  # what it still had to say
            loop.remove_reader(self._end.fileno())
        self._end.close()
        if not self.ready.done():
            self.ready.set_result(False)
        self.exited.set_result(code)


class Place:
    """Keeps one child running: starts the next when it dies, until the place is given up.

    `settled` resolves with True once a child was ready, with False when `_TRIES` in a row ended before they were.
    """

    def __init__(self, start: Callable[[], Child], timings: Timings, log: Log) -> None:
        self.child: Child | None = None
        self.settled: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._start = start
        self._timings = timings
        self._log = log
        self._given_up = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def give_up(self, op: str, deadline_s: float, kill_at: float) -> None:
        """No child is started any more; the present one is asked to end. May be called again, to hurry."""
        self._given_up.set()
        if self.child is not None:
            self.child.leave(op, deadline_s, kill_at)

    async def _run(self) -> None:
        back_off, early_ends = BackOff(self._timings), 0
        while not self._given_up.is_set():
            lived_s, was_ready = await self._run_child()
            early_ends = 0 if was_ready else early_ends + 1
            if early_ends >= _TRIES:
                self._settle(False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._given_up.wait(), back_off.next_wait(lived_s))
        self._settle(False)

    async def _run_child(self) -> tuple[float, bool]:
        """How long it lived, and whether it was ever ready."""
        loop = asyncio.get_running_loop()
        try:
            child = self.child = self._start()
        except OSError as error:
            self._log.error("process not started", reason=str(error))
            return 0.0, False
        self._log.debug("process started", process=child.name, pid=child.pid)
        was_ready = await child.ready
        if was_ready:
            self._settle(True)
        code = await child.exited
        self.child = None
        tell = self._log.debug if child.is_leaving and code == 0 else self._log.warning
        tell("process ended", process=child.name, pid=child.pid, code=code)
        return loop.time() - child.started_at, was_ready

    def _settle(self, is_good: bool) -> None:
        if not self.settled.done():
            self.settled.set_result(is_good)


def _spawn(command: Sequence[str], memfd: int, launch: Launch, identity: Identity) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [*command, str(memfd)],
        stdin=subprocess.DEVNULL,
        pass_fds=[memfd, *launch.descriptors],
        user=identity.uid if identity.is_other else None,
        group=identity.gid if identity.is_other else None,
        extra_groups=identity.groups if identity.is_other else None,
        umask=0o077,
    )
