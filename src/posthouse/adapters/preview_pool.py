"""The parent's side of helpers (preview_confine.py): started when they are needed, ended when idle or too slow.

One job at a time in each process; accounts take turns, and each may have so many jobs here. A job has `seconds` of
wall time; then its process is killed, and the next job gets a new one. After MAX_JOBS a process is replaced, whatever
the reason would be. Nothing is kept of jobs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from posthouse.adapters.preview_confine import MAX_FRAME, Done, Job
from posthouse.ports.clock import Clock
from posthouse.ports.observe import Log

MAX_JOBS = 500
START_S = 20.0
IDLE_S = 120.0
_NOBODY = 0


class HelperFailed(Exception):
    """No result: refused by its decoder, too slow, too large, or the helper broke."""


class HelperBusy(HelperFailed):
    """Too many wait already."""


@dataclass(frozen=True, slots=True)
class Room:
    """For jobs that run or wait: in all, and of one account. Behind HTTP/2 a page asks for all its pictures at once."""

    jobs: int = 300
    of_account: int = 100


class Turns:
    """One at a time; when it is over, it is the turn of another account, if one waits."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, deque[asyncio.Future[None]]] = OrderedDict()
        self.is_taken = False

    async def take(self, account: int) -> None:
        """`pass_on` is due."""
        if not self.is_taken:
            self.is_taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(account, deque()).append(turn)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():  # it came in this moment, and nobody takes it
                self.pass_on()
            raise

    def pass_on(self) -> None:
        while self._waiting:
            account, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[account] = turns
            if not turn.done():
                turn.set_result(None)
                return
        self.is_taken = False


class Helper:
    """One process at most. `module`: its program, run with `-m`."""

    def __init__(
        self,
        module: str,
        clock: Clock,
        log: Log,
        *,
        seconds: float = 5.0,
        room: Room | None = None,
        idle_s: float = IDLE_S,
    ) -> None:
        self._idle_s = idle_s
        self._command: Sequence[str] = (sys.executable, "-m", module)
        self._clock, self._log, self._seconds = clock, log, seconds
        self._room = room or Room()
        self._turns = Turns()
        self._jobs_of: Counter[int] = Counter()
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0
        self._used_at = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def run(self, job: Job, account: int) -> Done:
        """Raises HelperFailed."""
        frame = msgspec.msgpack.encode(job)
        if len(frame) > MAX_FRAME:
            raise HelperFailed(f"{len(frame)} octets")
        if self._jobs_of.total() >= self._room.jobs or self._jobs_of[account] >= self._room.of_account:
            raise HelperBusy("too many jobs wait")
        self._jobs_of[account] += 1
        try:
            await self._turns.take(account)
            try:
                done = await self._run(frame)
            finally:
                self._turns.pass_on()
        finally:
            self._jobs_of[account] -= 1
            self._jobs_of = +self._jobs_of
        if done.refusal:
            raise HelperFailed(done.refusal)
        return done

    async def _run(self, frame: bytes) -> Done:
        if self._jobs >= MAX_JOBS:
            await self._end()
        try:
            process = self._process or await self._start()
            async with asyncio.timeout(self._seconds):
                self._jobs += 1
                return await _talk(process, frame)
        except TimeoutError:
            await self._end()
            self._log.warning("helper killed", reason=f"not done in {self._seconds:g} s")
            raise HelperFailed("too slow") from None
        except (OSError, EOFError, msgspec.MsgspecError) as error:
            await self._end()
            self._log.warning("helper broke", reason=str(error) or type(error).__name__)
            raise HelperFailed("the helper broke") from None
        except BaseException:  # cancelled: an answer nobody waits for must not be taken for the next one's
            self._kill()
            raise
        finally:
            self._used_at = self._clock.monotonic()

    async def _start(self) -> asyncio.subprocess.Process:
        """Raises TimeoutError, OSError, EOFError."""
        environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"}
        self._process = process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment,
            cwd="/",
        )
        self._jobs = 0
        async with asyncio.timeout(START_S):
            await _read(process)
        return process

    async def sweep(self) -> None:
        """Ends a process that nobody has used for a while. To be called now and then."""
        is_idle = self._clock.monotonic() - self._used_at > self._idle_s
        if self._process is not None and is_idle and not self._turns.is_taken:
            await self.close()

    async def close(self) -> None:
        await self._turns.take(_NOBODY)
        try:
            await self._end()
        finally:
            self._turns.pass_on()

    async def _end(self) -> None:
        process = self._process
        self._kill()
        if process is not None:
            await process.wait()

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


async def _talk(process: asyncio.subprocess.Process, frame: bytes) -> Done:
    assert process.stdin is not None
    process.stdin.write(struct.pack(">I", len(frame)))
    process.stdin.write(frame)
    await process.stdin.drain()
    return await _read(process)


async def _read(process: asyncio.subprocess.Process) -> Done:
    assert process.stdout is not None
    (size,) = struct.unpack(">I", await process.stdout.readexactly(4))
    if size > MAX_FRAME:
        raise EOFError(f"an answer of {size} octets")
    return msgspec.msgpack.decode(await process.stdout.readexactly(size), type=Done)
