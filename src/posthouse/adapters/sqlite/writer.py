"""Group commit: one thread that writes one database. Everything that waits goes into one transaction, one fsync.

The event loop hands work over once per turn and gets one call back per commit, so a message costs neither a lock nor a
wake-up of its own. If a transaction fails, its works are tried again one by one, so that a bad one does not take the
others with it. A failed fsync ends all writing (docs/internals.md "Suspect").

Guarantees: a future resolves after COMMIT returned, that is after fdatasync of the WAL. After a crash a transaction is
there wholly or not at all. Knows nothing of mail: a `Work` writes its own rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import apsw

from posthouse.adapters.files import FULL_ERRNOS
from posthouse.adapters.sqlite.database import BUSY_TIMEOUT_MS, PAGE_OCTETS, roll_back
from posthouse.ports.spool import SpoolBroken, SpoolError, SpoolFull

T = TypeVar("T")

_BATCH_WORKS = 512  # more would make the first of them wait for the last
_BEGIN_GATHERING = 2.5  # works in a commit, on average: several senders at once
_GO_ON_GATHERING = 3.0  # fewer than that are not worth waiting for
_SMALL_WAL_OCTETS = 1 << 20
_TRUNCATE_WAIT_MS = 50
_VACUUM_PAGES = 256
_VACUUM_FROM_PAGES = 4096
_LYING_FSYNC = frozenset({apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC})  # whatever the reason
_BAD_WRITE = frozenset({apsw.SQLITE_IOERR_WRITE, apsw.SQLITE_IOERR_TRUNCATE})  # unless the disk is full


class Work(Generic[T]):
    """Something to write. `future` gets `result` when it is durable. `files`: bodies that are then unwanted."""

    __slots__ = ("error", "files", "future", "octets", "result")

    def __init__(self, future: asyncio.Future[T], result: T, octets: int = 0) -> None:
        self.future = future
        self.result = result
        self.octets = octets
        self.error: Exception | None = None
        self.files: Sequence[int] = ()


class Job(Work[T]):
    """Rare work: `call` runs inside the transaction and gives the result."""

    __slots__ = ("_call",)

    def __init__(self, future: asyncio.Future[T], call: Callable[[apsw.Connection, Work[T]], T]) -> None:
        self.future = future
        self.octets = 0
        self.error = None
        self.files = ()
        self._call = call

    def run(self, connection: apsw.Connection) -> None:
        self.result = self._call(connection, self)


W = TypeVar("W", bound=Work[Any])


class Scribe(Protocol[W]):
    """Writes works as rows. All three run in the writer's thread."""

    def prepare(self, works: Sequence[W]) -> list[W]:
        """What must be durable before the rows (files). Sets `error` where it failed; returns the others."""

    def write(self, connection: apsw.Connection, works: Sequence[W]) -> None:
        """Inside the transaction, in any order that gives the same result."""

    def note_end(self, works: Sequence[W]) -> Callable[[], None] | None:
        """After the commit or the failure (`error`). What it returns runs on the event loop before the futures."""

    def finish(self, works: Sequence[W]) -> None:
        """After the commit or the failure (`error`), and after the futures: files that are no longer wanted."""


class Gate(Protocol):
    """What is held from before BEGIN until after COMMIT, and during a checkpoint: where several processes write."""

    def acquire(self) -> None:
        """Waits. Raises what the works are to fail with."""

    def release(self) -> None: ...


class OpenGate:
    """For a database that this process alone writes."""

    def acquire(self) -> None:
        pass

    def release(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Failures:
    """What works fail with. `full` and `broken` are kinds of `error`; errors of `known` kinds are passed on."""

    error: type[Exception]
    full: type[Exception]
    broken: type[Exception]
    known: tuple[type[Exception], ...]


@dataclass(frozen=True, slots=True)
class Alarms:
    """Called in the writer's thread when a fsync failed, and when a write met a full disk."""

    on_broken: Callable[[], None]
    on_full: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Sharing:
    """How a database that is not a spool's is written."""

    gate: Gate
    failures: Failures


_SPOOL_FAILURES = Failures(SpoolError, SpoolFull, SpoolBroken, (SpoolError,))


@dataclass(slots=True)
class WriterFigures:
    """For metrics; written by the writer's thread, read by anybody."""

    commits: int = 0
    works: int = 0
    last_batch: int = 0
    wal_octets: int = 0
    checkpoints: int = 0
    last_checkpoint_s: float = 0.0
    worst_checkpoint_s: float = 0.0
    last_commit_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WriterLimits:
    """Beyond `max_*` the writer is busy; `checkpoint_octets` and `truncate_octets` of WAL as architecture asks."""

    max_works: int = 20_000
    max_octets: int = 64 << 20
    checkpoint_octets: int = 16 << 20
    truncate_octets: int = 64 << 20
    gather_s: float = 0.0015  # from one commit to the next, while many come at once
    idle_s: float = 0.2  # then a larger WAL is checkpointed
    long_idle_s: float = 1.0  # then any, and free pages are given back


class Crowd:
    """Whether to let works gather before a commit. What a commit costs hardly depends on what is in it, so under load
    fewer of them leave more time for mail; but a few senders, each of whom waits for its answer, would only be held up.
    """

    __slots__ = ("_average", "_began", "_gather_s", "_is_crowded")

    def __init__(self, gather_s: float) -> None:
        self._gather_s = gather_s
        self._began = 0.0
        self._average = 0.0
        self._is_crowded = False

    def wait_s(self, now: float) -> float:
        """Before the next commit begins."""
        return max(0.0, self._began + self._gather_s - now) if self._is_crowded else 0.0

    def note(self, now: float, works: int) -> None:
        """A commit begins."""
        self._began = now
        self._average += (works - self._average) / 8
        if self._is_crowded:
            if self._average < _GO_ON_GATHERING:
                self._is_crowded, self._average = False, 0.0
        elif self._average >= _BEGIN_GATHERING:
            self._is_crowded, self._average = True, 2 * _GO_ON_GATHERING


class Writer(Generic[W]):
    """`submit`, `is_broken` and `close` on the event loop's thread; the rest in its own."""

    def __init__(
        self,
        connection: apsw.Connection,
        path: str,
        scribe: Scribe[W],
        limits: WriterLimits,
        alarms: Alarms,
        sharing: Sharing | None = None,
    ) -> None:
        self._connection = connection
        self._wal_path = path + "-wal"
        self._scribe = scribe
        self._limits = limits
        self._alarms = alarms
        sharing = sharing or Sharing(OpenGate(), _SPOOL_FAILURES)
        self._gate = sharing.gate
        self._failures = sharing.failures
        self._loop = asyncio.get_running_loop()
        self._gathered: list[W] = []
        self._waiting_works = 0
        self._waiting_octets = 0
        self._inbox: queue.SimpleQueue[list[W] | None] = queue.SimpleQueue()
        self._written_pages = 0
        self._checkpoint_at = limits.checkpoint_octets
        self._is_closed = False
        self._crowd = Crowd(limits.gather_s)
        self._is_inside = False  # of the gate; the thread's
        self.is_broken = False
        self.figures = WriterFigures()
        self._thread = threading.Thread(target=self._run, name=f"write {os.path.basename(path)}", daemon=True)
        self._thread.start()

    # The event loop's side.

    def describe(self) -> dict[str, float]:
        """For metrics: names are the last part of a metric's name."""
        figures = self.figures
        return {
            "commits": figures.commits,
            "writes": figures.works,
            "last_batch": figures.last_batch,
            "last_commit_seconds": figures.last_commit_s,
            "waiting": self._waiting_works,
            "wal_octets": figures.wal_octets,
            "checkpoints": figures.checkpoints,
            "last_checkpoint_seconds": figures.last_checkpoint_s,
            "worst_checkpoint_seconds": figures.worst_checkpoint_s,
        }

    def has_room(self) -> bool:
        return self._waiting_works < self._limits.max_works and self._waiting_octets < self._limits.max_octets

    def submit(self, work: W) -> None:
        """Never blocks. What is submitted in one turn of the loop is handed over together."""
        if self._is_closed or self.is_broken:
            failures = self._failures
            work.future.set_exception(failures.broken("disk failed") if self.is_broken else failures.error("closed"))
            return
        gathered = self._gathered
        if not gathered:
            self._loop.call_soon(self._hand_over)
        gathered.append(work)
        self._waiting_works += 1
        self._waiting_octets += work.octets

    def _hand_over(self) -> None:
        if self._gathered:
            gathered, self._gathered = self._gathered, []
            self._inbox.put(gathered)

    def _resolve(self, works: Sequence[W], before: Callable[[], None] | None) -> None:
        if before is not None:
            before()
        self._waiting_works -= len(works)
        for work in works:
            self._waiting_octets -= work.octets
            future = work.future
            if future.done():  # nobody waits any more
                continue
            if work.error is None:
                future.set_result(work.result)
            else:
                future.set_exception(work.error)

    async def close(self) -> None:
        """Everything submitted is committed; the connection is closed."""
        if not self._is_closed:
            self._hand_over()
            self._is_closed = True
            self._inbox.put(None)
        await asyncio.shield(self._loop.run_in_executor(None, self._thread.join))

    # The thread's side.

    def _run(self) -> None:
        timeout: float | None = None
        is_open = True
        while is_open:
            try:
                works = self._inbox.get(timeout=timeout)
            except queue.Empty:
                timeout = self._tidy(is_short=timeout == self._limits.idle_s)
                continue
            if works is None:
                break
            if wait_s := self._crowd.wait_s(time.monotonic()):
                time.sleep(wait_s)
            with contextlib.suppress(Exception):  # whatever it is, it comes again where every future hears of it
                self._enter()
            is_open = self._gather(works)  # what came while another process wrote belongs to this commit
            self._crowd.note(time.monotonic(), len(works))
            for start in range(0, len(works), _BATCH_WORKS):
                self._commit_and_tell(works[start : start + _BATCH_WORKS])
            self._leave()
            timeout = self._limits.idle_s
        self._end()

    def _enter(self) -> None:
        if not self._is_inside:
            self._gate.acquire()
            self._is_inside = True

    def _leave(self) -> None:
        if self._is_inside:
            self._is_inside = False
            self._gate.release()

    def _gather(self, works: list[W]) -> bool:
        """Add what has come meanwhile. False when the end has come."""
        with contextlib.suppress(queue.Empty):
            while len(works) < _BATCH_WORKS:
                more = self._inbox.get_nowait()
                if more is None:
                    return False
                works += more
        return True

    def _commit_and_tell(self, works: list[W]) -> None:
        prepared = works if self.is_broken else self._scribe.prepare(works)
        if any(isinstance(work.error, self._failures.broken) for work in works):
            self._break()
        started = time.monotonic()
        if prepared:
            self._commit(prepared)
        figures = self.figures
        figures.last_commit_s = time.monotonic() - started
        figures.commits += 1
        figures.last_batch = len(works)
        figures.works += len(works)
        has_much = self._wal_octets() >= self._checkpoint_at  # before anybody is told, so that figures are complete
        before = self._scribe.note_end(works)
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._resolve, works, before)
        self._scribe.finish(works)
        if has_much:
            self._checkpoint()

    def _commit(self, works: list[W]) -> None:
        if self.is_broken:
            self._fail(works, self._failures.broken("disk failed"))
            return
        failed: Exception | None = None
        try:
            self._enter()
        except Exception as error:  # noqa: BLE001 - whatever it is, every future must hear of it
            if isinstance(error, self._failures.broken):
                self._break()
            self._fail(works, self._explain(error))
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._scribe.write(self._connection, works)
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - as above
            failed = error
            self._abandon(error)
        finally:
            self._leave()
        if failed is not None:
            self._recover(works, failed)

    def _abandon(self, error: Exception) -> None:
        """Before the next process gets the gate."""
        if isinstance(error, self._failures.broken) or (isinstance(error, apsw.IOError) and self._has_lied(error)):
            self._break()
            return
        with contextlib.suppress(apsw.Error):
            roll_back(self._connection)

    def _recover(self, works: list[W], error: Exception) -> None:
        if self.is_broken:
            self._fail(works, self._failures.broken(f"disk failed: {error}"))
        elif len(works) > 1:
            for work in works:
                self._commit([work])
        else:
            self._fail(works, self._explain(error))

    def _has_lied(self, error: apsw.IOError) -> bool:
        result = getattr(error, "extendedresult", 0)
        return result in _LYING_FSYNC or (result in _BAD_WRITE and self._connection.system_errno not in FULL_ERRNOS)

    def _explain(self, error: Exception) -> Exception:
        if isinstance(error, self._failures.known):
            return error
        is_full = self._is_full(error)
        if is_full:
            self._alarms.on_full()
        failures = self._failures
        explained = failures.full("disk is full") if is_full else failures.error(f"{type(error).__name__}: {error}")
        explained.__cause__ = error
        return explained

    def _is_full(self, error: Exception) -> bool:
        if isinstance(error, apsw.IOError):
            return self._connection.system_errno in FULL_ERRNOS
        return isinstance(error, apsw.FullError) or (isinstance(error, OSError) and error.errno in FULL_ERRNOS)

    def _break(self) -> None:
        """No commit and no checkpoint of this file any more, not even at close."""
        self.is_broken = True
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        with contextlib.suppress(apsw.Error):
            roll_back(self._connection)
        self._alarms.on_broken()

    @staticmethod
    def _fail(works: Sequence[W], error: Exception) -> None:
        for work in works:
            work.error = error

    def _wal_octets(self) -> int:
        """Written since the last complete checkpoint. Counted by SQLite: no look at the file per commit."""
        pages = self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0] - self._written_pages
        self.figures.wal_octets = pages * PAGE_OCTETS
        return self.figures.wal_octets

    def _checkpoint(self) -> None:
        if self.is_broken:
            return
        if self._can_enter():
            try:
                self._checkpoint_alone()
            finally:
                self._leave()

    def _can_enter(self) -> bool:
        """The gate is held; False: work that nobody waits for is left for another time."""
        try:
            self._enter()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no reason to end the thread
            if isinstance(error, self._failures.broken):
                self._break()
            return False
        return True

    def _checkpoint_alone(self) -> None:
        started = time.monotonic()
        try:
            before = self._connection.status(apsw.SQLITE_DBSTATUS_CACHE_WRITE)[0]
            in_wal, moved = self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if in_wal == moved:
                self._written_pages = before
                self._checkpoint_at = self._limits.checkpoint_octets
            else:  # a reader is in the way; not after every commit again
                self._checkpoint_at = self._wal_octets() + self._limits.checkpoint_octets // 4
            self._maybe_truncate()
        except apsw.Error as error:
            self._note_error(error)
        figures = self.figures
        figures.checkpoints += 1
        figures.last_checkpoint_s = time.monotonic() - started
        figures.worst_checkpoint_s = max(figures.worst_checkpoint_s, figures.last_checkpoint_s)

    def _note_error(self, error: apsw.Error) -> None:
        """Of work that nobody waits for: only a failed fsync matters."""
        if isinstance(error, apsw.IOError) and self._has_lied(error):
            self._break()

    def _maybe_truncate(self) -> None:
        try:
            size = os.stat(self._wal_path).st_size
        except OSError:
            return
        if size < self._limits.truncate_octets:
            return
        self._connection.set_busy_timeout(_TRUNCATE_WAIT_MS)
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:
            return
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)

    def _tidy(self, *, is_short: bool) -> float | None:
        """Idle moments. Returns how long to wait for the next one, None when all is tidy."""
        wal_octets = self._wal_octets()
        if wal_octets >= _SMALL_WAL_OCTETS or (wal_octets and not is_short):
            self._checkpoint()
        if self.is_broken:
            return None
        if is_short:
            return self._limits.long_idle_s
        return 0.0 if self._give_back_pages() else None

    def _give_back_pages(self) -> bool:
        """Some free pages to the file system. True when it is to be called again."""
        free = int(str(self._connection.pragma("freelist_count")))
        if free < _VACUUM_FROM_PAGES or not self._can_enter():
            return False
        try:
            self._connection.execute(f"PRAGMA incremental_vacuum({_VACUUM_PAGES})").fetchall()
        except apsw.Error as error:
            self._note_error(error)
            return False
        finally:
            self._leave()
        return True

    def _end(self) -> None:
        if not self.is_broken:
            self._checkpoint()
        with contextlib.suppress(apsw.Error):
            self._connection.close()
