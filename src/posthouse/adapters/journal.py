"""What happened to each message, for `posthouse trace`: `journal/<worker>/<hour>.log`, one JSON object per line.

`record` only appends to a buffer; a thread writes it every `GATHER_S` or `BATCH_OCTETS` with one append, so that a
slow disk never holds up mail. Not synced: a killed process loses its last moments, a power cut a little more. A
torn last line is skipped by readers. When the disk does not keep up or is full, records are dropped and counted.

`tend_journal` compresses closed hours and removes old ones; any process may call it, one at a time does the work.
Records hold no subjects and no bodies. Each is `{"at": seconds, "step": word, "id": queue id, fields}`.
"""

from __future__ import annotations

import calendar
import contextlib
import fcntl
import gzip
import itertools
import os
import shutil
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from operator import itemgetter
from pathlib import Path

import msgspec

from posthouse.adapters.gathering import Gatherer
from posthouse.ports.clock import Clock

GATHER_S = 0.1
BATCH_OCTETS = 64 * 1024
BUFFER_OCTETS = 8 << 20
SETTLE_S = 300  # a closed hour is left alone this long: a draining worker may still write to it

_NAME = "%Y-%m-%dT%H"


class HourJournal:
    """A `ports.observe.Journal` of one worker. `dropped` counts records that could not be kept."""

    def __init__(
        self, root: Path, worker: str, clock: Clock, gather_s: float = GATHER_S, limit: int = BUFFER_OCTETS
    ) -> None:
        self.dropped = 0
        self._directory = root / worker
        self._clock = clock
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._lines: Gatherer[tuple[int, bytes]] = Gatherer("journal", self._write_batch, gather_s, limit, BATCH_OCTETS)
        self._open_hour = -1
        self._descriptor = -1

    def record(self, step: str, queue_id: str, /, **fields: object) -> None:
        at = self._clock.now()
        record = {"at": at, "step": step, "id": queue_id, **fields}
        try:
            line = self._encode(record) + b"\n"
        except (UnicodeError, TypeError, ValueError, OverflowError):
            line = self._encode({key: _make_plain(value) for key, value in record.items()}) + b"\n"
        if not self._lines.put((int(at) // 3600, line), len(line)):
            self.dropped += 1

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until all records are written; False when that took too long."""
        return self._lines.flush(timeout_s)

    def _write_batch(self, batch: list[tuple[int, bytes]]) -> None:
        for hour, lines in itertools.groupby(batch, key=itemgetter(0)):
            self._write(hour, [line for _, line in lines])

    def _write(self, hour: int, lines: list[bytes]) -> None:
        try:
            if hour != self._open_hour:
                self._open(hour)
            data = b"".join(lines)
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError:  # full or gone: mail goes on without its trace
            self.dropped += len(lines)

    def _open(self, hour: int) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._open_hour = -1, -1
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{name_hour(hour)}.log"
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._open_hour = hour


def _make_plain(value: object) -> object:
    if isinstance(value, int | float):
        return value
    return str(value).encode("utf-8", "backslashreplace").decode()


def name_hour(hour: int) -> str:
    """The file's name without its suffix; `hour` in hours since 1970."""
    return time.strftime(_NAME, time.gmtime(hour * 3600))


def list_files(root: Path) -> list[Path]:
    """Every hour of every worker, oldest first, each record in one file only."""
    plain = [path for path in root.glob("*/*.log") if not _is_copied(path)]
    return sorted([*plain, *root.glob("*/*.log.gz")], key=lambda path: (path.name.partition(".")[0], path))


def _is_copied(path: Path) -> bool:
    """Its .gz is complete and only the removal was missed."""
    try:
        check_sum, size = _read_trailer(path.with_name(path.name + ".gz"))
        return size == path.stat().st_size & 0xFFFFFFFF and check_sum == _find_check_sum(path)
    except OSError:
        return False


def find_text_size(path: Path) -> int:
    """Octets of its records, modulo 2**32; 0 when it has gone."""
    try:
        return _read_trailer(path)[1] if path.suffix == ".gz" else path.stat().st_size & 0xFFFFFFFF
    except OSError:
        return 0


def _read_trailer(path: Path) -> tuple[int, int]:
    """Gzip ends in check sum and size (RFC 1952 §2.3.1). Raises OSError."""
    with open(path, "rb") as stream:
        stream.seek(-8, os.SEEK_END)
        check_sum, size = struct.unpack("<II", stream.read(8))
    return check_sum, size


def _find_check_sum(path: Path) -> int:
    check_sum = 0
    with open(path, "rb") as stream:
        while block := stream.read(1 << 20):
            check_sum = zlib.crc32(block, check_sum)
    return check_sum


def read_lines(path: Path, offset: int = 0) -> Iterator[bytes]:
    """Whole lines from an offset of the uncompressed text; nothing when the file has gone."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as stream:
            stream.seek(offset)
            for line in stream:
                if line.endswith(b"\n"):
                    yield line
    except (FileNotFoundError, EOFError, gzip.BadGzipFile):
        return


def tend_journal(
    root: Path, now: float, keep_s: float, max_octets: int, then: Callable[[], None] = lambda: None
) -> None:
    """Compress hours that are over, remove those beyond the age and then the oldest beyond the size; `then` follows
    in the same turn."""
    root.mkdir(parents=True, exist_ok=True)
    with _take_turn(root) as is_ours:
        if not is_ours:
            return
        for path in root.glob("*/*.log"):
            if is_over(path, now):
                _compress(path)
        files = list_files(root)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if _end_of(path) + keep_s >= now and total <= max_octets:
                break
            total -= path.stat().st_size
            path.unlink()
        then()


@contextlib.contextmanager
def _take_turn(root: Path) -> Iterator[bool]:
    descriptor = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(descriptor)


def is_over(path: Path, now: float) -> bool:
    """Nothing is written to it any more."""
    return _end_of(path) + SETTLE_S < now


def _end_of(path: Path) -> float:
    try:
        return calendar.timegm(time.strptime(path.name.partition(".")[0], _NAME)) + 3600
    except ValueError:
        return float("inf")


def _compress(path: Path) -> None:
    """A crash leaves the .log, or both with the .gz whole. A clock set back may begin a compressed hour anew."""
    if _is_copied(path):
        path.unlink()
        return
    path = _find_free_name(path)
    unfinished = path.with_name(path.name + ".tmp")
    with open(path, "rb") as source, gzip.open(unfinished, "wb", compresslevel=3) as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    unfinished.rename(path.with_name(path.name + ".gz"))
    path.unlink()


def _find_free_name(path: Path) -> Path:
    if not path.with_name(path.name + ".gz").exists():
        return path
    hour = path.name.partition(".")[0]
    numbered = (path.with_name(f"{hour}.{number}.log") for number in itertools.count(1))
    free = next(name for name in numbered if not name.exists() and not name.with_name(name.name + ".gz").exists())
    return path.rename(free)
