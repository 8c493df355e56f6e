"""`posthouse serve`: binds, reads certificates and keys, starts workers and the coordinator, watches, signals.

The only process that may be root, and therefore small: it takes no bytes from the network, and from its children
only a handful of words, of which the coordinator's "reload" and "stop" are the strongest. It holds `data/lock`;
its children inherit the lock, so that no second server starts while any of them lives. When it is killed, its
children notice and end within seconds; nothing is lost by that, and nothing durable is kept here.

SIGTERM and SIGINT: workers finish what is in hand, all is over within 30 s. SIGHUP: reload. A reload starts a new
generation of workers and lets the old one go only when the new one is ready; until then nothing has changed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
import time
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from posthouse.adapters.clock import SystemClock
from posthouse.adapters.log import open_log
from posthouse.app.acceptor import board_size
from posthouse.app.children import Child, Place, Timings
from posthouse.app.launch import (
    NO_DESCRIPTOR,
    Launch,
    control_path,
    link_path,
    make_shared_memory,
    submit_path,
)
from posthouse.app.lockfile import DataLock, LockHeldError, take_lock
from posthouse.app.notify import Notifier
from posthouse.app.privileges import Identity, PrivilegeError, acting_as, find_identity, make_directory
from posthouse.app.reload import Setup, discard, prepare, read_certificate, read_configuration
from posthouse.app.shared_sites import windows_of
from posthouse.app.sockets import BindError, Listening, open_listener
from posthouse.config.kinds import Bind
from posthouse.config.reader import ConfigError
from posthouse.config.settings import Settings
from posthouse.ports.observe import Log

_STALL_S = 5.0
_LAST_S = 4.0  # for the coordinator, after the workers


@dataclass(frozen=True, slots=True)
class Commands:
    """How children are started; the number of their launch memfd is added."""

    worker: Sequence[str] = (sys.executable, "-m", "posthouse.app.worker_process")
    coordinator: Sequence[str] = (sys.executable, "-m", "posthouse.app.coordinator")


@dataclass(frozen=True, slots=True)
class Doors:
    """Sockets of the server itself, open for as long as it runs."""

    link: Listening
    control: Listening
    submit: Listening

    def close(self, identity: Identity) -> None:
        for each in (self.link, self.control, self.submit):
            each.close(identity)


@dataclass(slots=True)
class Generation:
    number: int
    setup: Setup
    board: int
    places: list[Place]

    @property
    def is_over(self) -> bool:
        return all(place.task.done() for place in self.places)


class Supervisor:
    """One running server. Everything it needs is open when it is made; `run` returns the exit code."""

    def __init__(
        self, setup: Setup, doors: Doors, lock: DataLock, identity: Identity, log: Log, notifier: Notifier
    ) -> None:
        self.commands = Commands()
        self.timings = Timings()
        self._doors = doors
        self._lock = lock
        self._identity = identity
        self._log = log
        self._notifier = notifier
        self._first = setup
        self._current: Generation
        self._generations: list[Generation] = []
        self._coordinator: Place
        self._children: set[Child] = set()
        self._is_stopping = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._is_stopping.set)
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload_by_signal()))
        self._spawn(self._watch())
        self._current = self._start_generation(1, self._first)
        self._coordinator = Place(self._start_coordinator, self.timings, self._log)
        try:
            if not await self._wait_ready([self._coordinator, *self._current.places]):
                return 0 if self._is_stopping.is_set() else 1
            self._tell_ready()
            self._spawn(self._look_at_certificates())
            await self._is_stopping.wait()
            return 0
        finally:
            await self._stop()

    # -- starting

    def _start_generation(self, number: int, setup: Setup) -> Generation:
        count = count_workers(setup.settings)
        generation = Generation(number, setup, make_shared_memory("board", board_size(count)), [])
        for index in range(count):
            start = partial(self._start_worker, generation, index, count)
            generation.places.append(Place(start, self.timings, self._log))
        self._generations = [each for each in self._generations if not each.is_over] + [generation]
        return generation

    def _start_worker(self, generation: Generation, index: int, count: int) -> Child:
        setup = generation.setup
        launch = msgspec.structs.replace(
            self._launch(generation.number, index, count, setup),
            listeners=[each.socket.fileno() for each in setup.listeners],
            certificate=setup.certificate.chain_fd,
            key=setup.certificate.key_fd,
            submit=self._doors.submit.socket.fileno(),
            board=generation.board,
            files=setup.files,
        )
        return self._start_child("worker", self.commands.worker, launch)

    def _start_coordinator(self) -> Child:
        current = self._current
        launch = msgspec.structs.replace(
            self._launch(current.number, 0, len(current.places), current.setup),
            link=self._doors.link.socket.fileno(),
            control=self._doors.control.socket.fileno(),
        )
        return self._start_child("coordinator", self.commands.coordinator, launch)

    def _launch(self, generation: int, index: int, count: int, setup: Setup) -> Launch:
        return Launch(
            index=index,
            worker_count=count,
            generation=generation,
            config_file=setup.configuration.file,
            config_text=setup.configuration.text,
            runtime=runtime_of(setup.settings),
            channel=-1,
            server_uid=self._identity.uid,
            lock=self._lock.descriptor,
        )

    def _start_child(self, role: str, command: Sequence[str], launch: Launch) -> Child:
        child = Child.start(role, command, launch, self._identity, self._on_event)
        self._children.add(child)
        child.exited.add_done_callback(lambda _: self._children.discard(child))
        return child

    async def _wait_ready(self, places: Sequence[Place]) -> bool:
        """Whether all of them got a child that is ready, in time and before we are told to stop."""
        loop = asyncio.get_running_loop()
        stopping = loop.create_task(self._is_stopping.wait())
        settled = loop.create_task(_settle(places))
        try:
            await asyncio.wait({stopping, settled}, timeout=self.timings.start_s, return_when=asyncio.FIRST_COMPLETED)
            return settled.done() and settled.result()
        finally:
            stopping.cancel()
            settled.cancel()

    def _tell_ready(self) -> None:
        current = self._current
        self._notifier.ready(f"{len(current.places)} workers, generation {current.number}")
        self._log.info(
            "server ready",
            workers=len(current.places),
            generation=current.number,
            listeners=" ".join(str(each.bind) for each in current.setup.listeners),
        )

    # -- watching

    async def _watch(self) -> None:
        """Silence, deadlines, the service manager's watchdog."""
        loop = asyncio.get_running_loop()
        last = told = loop.time()
        while True:
            await asyncio.sleep(self.timings.tick_s)
            now = loop.time()
            if now - last > self.timings.tick_s + _STALL_S:
                for child in self._children:
                    child.forgive(now - last)
            last = now
            for child in list(self._children):
                if (done := child.check(now, self.timings)) is not None:
                    self._log.error("process " + done, process=child.name, pid=child.pid)
            if self._notifier.interval_s and now - told >= self._notifier.interval_s - self.timings.tick_s:
                told = now
                self._notifier.alive()

    def _on_event(self, child: Child, op: str, args: Mapping[str, object]) -> None:
        """What a child says beside "ready" and "beat". Only the coordinator speaks for commands."""
        if child.role != "coordinator":
            return
        if op == "stop":
            self._is_stopping.set()
        elif op == "reload":
            self._spawn(self._reload_for(child, args.get("number")))

    # -- reload

    async def _reload_by_signal(self) -> None:
        await self.reload()

    async def _reload_for(self, child: Child, number: object) -> None:
        error = await self.reload()
        child.send("reloaded", {"number": number, "error": error})

    async def reload(self) -> str:
        """ "" when done; else what is wrong, and then nothing has changed."""
        async with self._reloading:
            if self._is_stopping.is_set():
                return "the server is stopping"
            self._notifier.reloading(time.monotonic())
            error = await self._reload()
            if error:
                self._log.error("reload refused, nothing was changed", reason=error.replace("\n", "; "))
            self._tell_ready()
            return error

    async def _reload(self) -> str:
        old = self._current
        try:
            configuration = read_configuration(old.setup.configuration.file)
            setup = prepare(configuration, self._identity, self._log, old.setup)
        except (ConfigError, BindError, OSError) as error:
            return str(error)
        new = self._start_generation(old.number + 1, setup)
        if not await self._wait_ready(new.places):
            self._retire(new, "stop", 1.0)
            await asyncio.gather(*(place.task for place in new.places))
            discard(setup, self._identity, old.setup)
            return "the new workers did not start; see the log"
        self._current = new
        self._retire(old, "drain", setup.settings.drain.total_seconds())
        self._configure_coordinator(new)
        discard(old.setup, self._identity, setup)
        return ""

    def _retire(self, generation: Generation, op: str, deadline_s: float) -> None:
        kill_at = asyncio.get_running_loop().time() + deadline_s + self.timings.drain_grace_s
        for place in generation.places:
            place.give_up(op, deadline_s, kill_at)
        if generation.board != NO_DESCRIPTOR:  # nobody is started with it any more
            os.close(generation.board)
            generation.board = NO_DESCRIPTOR

    def _configure_coordinator(self, current: Generation) -> None:
        if (child := self._coordinator.child) is not None:
            windows = msgspec.to_builtins(windows_of(current.setup.settings))
            child.send("configure", {"worker_count": len(current.places), "windows": windows})

    # -- certificates

    async def _look_at_certificates(self) -> None:
        while True:
            await asyncio.sleep(self.timings.certificates_s)
            async with self._reloading:
                self.renew_certificate()

    def renew_certificate(self) -> None:
        """When the files changed and are good, every worker gets them; sessions go on."""
        setup = self._current.setup
        try:
            fresh = read_certificate(setup.configuration, self._identity)
        except (ConfigError, OSError) as error:
            self._log.error("certificate not renewed", reason=str(error))
            return
        if (fresh.chain, fresh.key) == (setup.certificate.chain, setup.certificate.key):
            fresh.close()
            return
        setup.certificate.close()
        setup.certificate = fresh
        for child in self._children:
            if child.role == "worker":
                child.send("tls", descriptors=[fresh.chain_fd, fresh.key_fd])
        self._log.info("certificate changed, workers told")

    # -- the end

    async def _stop(self) -> None:
        """Workers first, then the coordinator, which they tell their last figures."""
        self._notifier.stopping()
        self._log.info("server stops")
        for generation in self._generations:
            self._retire(generation, "stop", self.timings.stop_s)
        await asyncio.gather(*(place.task for generation in self._generations for place in generation.places))
        self._coordinator.give_up("stop", 1.0, asyncio.get_running_loop().time() + _LAST_S)
        await self._coordinator.task
        for task in self._tasks:
            task.cancel()
        discard(self._current.setup, self._identity)
        self._doors.close(self._identity)
        self._log.info("server stopped")

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _settle(places: Sequence[Place]) -> bool:
    return all([await asyncio.shield(place.settled) for place in places])


def run(settings_path: str, settings: Settings) -> int:
    """`posthouse serve` in the foreground; the exit code. `settings` are those of the file, already checked."""
    log = open_log(SystemClock(), settings.log.level, settings.log.format)
    try:
        return serve(settings_path, log)
    except (LockHeldError, BindError, PrivilegeError) as error:
        event, code, reasons = "server not started", 1, [str(error)]
    except ConfigError as error:
        event, code, reasons = "configuration refused", 2, [str(problem) for problem in error.problems]
    except OSError as error:
        log.error("server not started", reason=str(error))
        return 1
    finally:
        log.flush()
    # Outside of the `except` blocks, where a traceback would be added: here the words say it all.
    for reason in reasons:
        log.error(event, reason=reason)
    log.flush()
    return code


def serve(settings_path: str, log: Log, commands: Commands | None = None, timings: Timings | None = None) -> int:
    """Open everything, then supervise. Raises what keeps it from starting."""
    timings = timings or Timings()
    notifier = Notifier(os.environ)
    configuration = read_configuration(settings_path)
    settings = configuration.settings
    identity = find_identity(settings.user)
    if identity.uid == 0:
        log.warning("workers run as root: set `user` in the configuration")
    os.umask(0o077)
    raise_descriptor_limit()
    make_directory(settings.data, 0o700, identity)
    with acting_as(identity):
        lock = take_lock(os.path.join(settings.data, "lock"), "posthouse serve", timings.leftover_s)
    make_runtime(settings, identity)  # listeners may have their sockets there
    setup = prepare(configuration, identity, log)
    doors = open_doors(settings, identity)
    supervisor = Supervisor(setup, doors, lock, identity, log, notifier)
    supervisor.commands = commands or supervisor.commands
    supervisor.timings = timings
    return asyncio.run(supervisor.run())


def make_runtime(settings: Settings, identity: Identity) -> None:
    """A directory that everybody may pass through, unless it is within the data. Raises OSError."""
    runtime = runtime_of(settings)
    is_inside = os.path.realpath(runtime).startswith(os.path.realpath(settings.data) + os.sep)
    make_directory(runtime, 0o700 if is_inside else 0o755, identity)


def open_doors(settings: Settings, identity: Identity) -> Doors:
    """The server's own sockets. Raises BindError."""
    runtime, backlog = runtime_of(settings), settings.limits.backlog
    return Doors(
        link=open_listener(Bind(path=link_path(runtime)), backlog, identity, 0o600),
        control=open_listener(Bind(path=control_path(runtime)), backlog, identity, 0o600),
        submit=open_listener(Bind(path=submit_path(runtime)), backlog, identity, 0o666),
    )


def runtime_of(settings: Settings) -> str:
    return settings.runtime_directory(os.geteuid() == 0)


def count_workers(settings: Settings) -> int:
    """One per core that we may use, unless the configuration says how many."""
    return settings.workers or len(os.sched_getaffinity(0))


def raise_descriptor_limit() -> None:
    """To the hard limit; children inherit it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
