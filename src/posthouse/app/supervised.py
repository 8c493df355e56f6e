"""What every child of the supervisor does alike: take what was handed down, give signs of life, hear when to end.

A child that loses its supervisor ends by itself, quickly: nobody would restart or reload it any more.
"""

from __future__ import annotations

import asyncio
import faulthandler
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.log import StderrLog, open_log
from posthouse.app.launch import Launch, take_launch
from posthouse.app.packets import PacketEnd
from posthouse.config.reader import parse
from posthouse.config.settings import Settings

BEAT_S = 1.0
_ORPHAN_S = 5.0
_SIGNALLED_S = 20.0


@dataclass(frozen=True, slots=True)
class Ending:
    """`op` is "drain" (a reload: clients may go on for long) or "stop"."""

    op: str
    deadline_s: float


def begin(arguments: Sequence[str] | None = None) -> tuple[Launch, Settings, StderrLog]:
    """First thing in a child. SIGINT of a terminal is the supervisor's; SIGABRT dumps every thread's stack."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    faulthandler.enable()
    os.umask(0o077)
    launch = take_launch(sys.argv[1:] if arguments is None else arguments)
    settings = parse(launch.config_text, launch.config_file)
    return launch, settings, open_log(SystemClock(), settings.log.level, settings.log.format)


Take = Callable[[Mapping[str, object], Sequence[int]], None]


class SupervisorLine:
    """The child's end of the line. `endings` yields when to end, and again whenever that becomes sooner."""

    def __init__(self, channel: int) -> None:
        self.endings: asyncio.Queue[Ending] = asyncio.Queue()
        self._end = PacketEnd(socket.socket(fileno=channel), self._receive)
        self._until = math.inf
        self._takers: dict[str, Take] = {}
        self._beats: asyncio.Task[None] | None = None

    def on(self, op: str, take: Take) -> None:
        """`take` closes the descriptors it is given."""
        self._takers[op] = take

    def start(self, *, heeds_sigterm: bool = True) -> None:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end.fileno(), self._on_readable)
        if heeds_sigterm:
            loop.add_signal_handler(signal.SIGTERM, self._note_ending, "stop", _SIGNALLED_S)
        self._beats = loop.create_task(self._beat())

    def send(self, op: str, args: Mapping[str, object] | None = None) -> bool:
        return self._end.send(op, args)

    def close(self) -> None:
        if self._beats is not None:
            self._beats.cancel()
        if self._end.is_open:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
        self._end.close()

    async def _beat(self) -> None:
        while True:
            self._end.send("beat")
            await asyncio.sleep(BEAT_S)

    def _on_readable(self) -> None:
        self._end.on_readable()
        if not self._end.is_open:
            asyncio.get_running_loop().remove_reader(self._end.fileno())
            self._note_ending("stop", _ORPHAN_S)

    def _note_ending(self, op: str, deadline_s: float) -> None:
        until = asyncio.get_running_loop().time() + deadline_s
        if until < self._until - BEAT_S:
            self._until = until
            self.endings.put_nowait(Ending(op, deadline_s))

    def _receive(self, op: str, args: Mapping[str, object], descriptors: Sequence[int]) -> None:
        if op in ("stop", "drain"):
            deadline = args.get("deadline_s")
            self._note_ending(op, float(deadline) if isinstance(deadline, int | float) else _ORPHAN_S)
        elif (take := self._takers.get(op)) is not None:
            take(args, descriptors)
            return
        for number in descriptors:
            os.close(number)
