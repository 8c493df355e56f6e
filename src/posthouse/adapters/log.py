"""Events for operators, on standard error: one line each, for people on a terminal and as JSON elsewhere.

A line is put into a bounded buffer and written by a thread, so that a full pipe or a stopped terminal never holds
up mail: lines that find the buffer full are dropped, counted, and the count is told once there is room. Setting
O_NONBLOCK instead would change the descriptor for every process that shares the terminal. A killed process loses
what it logged in its last moments (`GATHER_S`); warnings and errors are written at once.

Values are shown as they are; that no password or body gets here is the callers' duty.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping

import msgspec

from posthouse.adapters.gathering import Gatherer
from posthouse.ports.clock import Clock

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
BUFFER_OCTETS = 1 << 20
GATHER_S = 0.05

_COLOURS = {"debug": "\x1b[2m", "info": "\x1b[32m", "warning": "\x1b[33m", "error": "\x1b[31m"}

Fields = Mapping[str, object]
Format = Callable[[float, str, str, Fields], bytes]


class LineWriter:
    """Writes lines to a descriptor without ever blocking who hands them in. Safe to use from several threads."""

    def __init__(self, descriptor: int, limit: int = BUFFER_OCTETS, gather_s: float = GATHER_S) -> None:
        self.dropped = 0
        self._descriptor = descriptor
        self._gather_s = gather_s
        self._lines = Gatherer("log", self._write, gather_s, limit, limit)
        self._lock = threading.Lock()
        self._untold = 0
        self._make_notice: Callable[[int], bytes] = _plain_notice

    def tell_dropped_with(self, make_notice: Callable[[int], bytes]) -> None:
        """How the line that tells about dropped lines is made."""
        self._make_notice = make_notice

    def put(self, line: bytes, is_urgent: bool = False) -> None:
        if not self._lines.put(line, len(line), is_urgent):
            with self._lock:
                self.dropped += 1
                self._untold += 1

    def flush(self, timeout_s: float) -> bool:
        """Wait until all that was put is written; False when that took too long."""
        return self._lines.flush(timeout_s)

    def _write(self, lines: list[bytes]) -> None:
        self._write_all(b"".join(lines))
        self._tell_dropped()

    def _tell_dropped(self) -> None:
        with self._lock:
            count, self._untold = self._untold, 0
        if count:
            self._write_all(self._make_notice(count))

    def _write_all(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # somebody else made it non-blocking
                time.sleep(self._gather_s)
            except OSError:  # nobody reads any more: there is nowhere to complain
                return


def _plain_notice(count: int) -> bytes:
    return b"%d log lines were dropped\n" % count


class StderrLog:
    """A `ports.observe.Log`. `bind` gives one that adds fields (a session's, a message's) to each event."""

    __slots__ = ("_bound", "_clock", "_format", "_level", "_writer")

    def __init__(self, writer: LineWriter, clock: Clock, level: str, form: Format, bound: Fields | None = None) -> None:
        self._writer = writer
        self._clock = clock
        self._level = LEVELS[level]
        self._format = form
        self._bound = dict(bound or {})

    def bind(self, **fields: object) -> StderrLog:
        level = next(name for name, number in LEVELS.items() if number == self._level)
        return StderrLog(self._writer, self._clock, level, self._format, {**self._bound, **fields})

    @property
    def dropped(self) -> int:
        """Lines of this process that found the buffer full."""
        return self._writer.dropped

    def debug(self, event: str, /, **fields: object) -> None:
        if self._level <= 10:
            self._put("debug", event, fields)

    def info(self, event: str, /, **fields: object) -> None:
        if self._level <= 20:
            self._put("info", event, fields)

    def warning(self, event: str, /, **fields: object) -> None:
        if self._level <= 30:
            self._put("warning", event, fields, is_urgent=True)

    def error(self, event: str, /, **fields: object) -> None:
        kind, error, where = sys.exc_info()
        if error is not None:
            fields["traceback"] = "".join(traceback.format_exception(kind, error, where))
        self._put("error", event, fields, is_urgent=True)

    def flush(self, timeout_s: float = 1.0) -> None:
        """For the end of the process."""
        self._writer.flush(timeout_s)

    def _put(self, level: str, event: str, fields: dict[str, object], is_urgent: bool = False) -> None:
        if self._bound:
            fields = self._bound | fields
        self._writer.put(self._format(self._clock.now(), level, event, fields), is_urgent)


class JsonFormat:
    """`{"time": ..., "level": ..., "event": ..., fields}` and LF."""

    __slots__ = ("_encode", "_second", "_stamp")

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._second = -1
        self._stamp = ""

    def __call__(self, now: float, level: str, event: str, fields: Fields) -> bytes:
        second = int(now)
        if second != self._second:  # one strftime per second, not per line
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._second = second
        stamp = f"{self._stamp}{int((now - second) * 1000):03d}Z"
        line = {"time": stamp, "level": level, "event": event, **fields}
        try:
            return self._encode(line) + b"\n"
        except (UnicodeError, TypeError, ValueError, OverflowError):
            return self._encode({key: _make_plain(value) for key, value in line.items()}) + b"\n"


def _make_plain(value: object) -> str:
    """Text that any encoder takes: an event must not be lost for what a peer put into it."""
    return str(value).encode("utf-8", "backslashreplace").decode()


class HumanFormat:
    """Local time, level, event, `key=value`; quotes where a value has spaces, a traceback below."""

    __slots__ = ("_is_coloured",)

    def __init__(self, is_coloured: bool) -> None:
        self._is_coloured = is_coloured

    def __call__(self, now: float, level: str, event: str, fields: Fields) -> bytes:
        shown = [f"{key}={_show_value(value)}" for key, value in fields.items() if key != "traceback"]
        mark = f"{_COLOURS[level]}{level:7}\x1b[0m" if self._is_coloured else f"{level:7}"
        clock = time.strftime("%H:%M:%S", time.localtime(now))
        text = " ".join([f"{clock}.{int(now * 1000) % 1000:03d}", mark, event, *shown])
        if "traceback" in fields:
            text += "\n" + str(fields["traceback"]).rstrip()
        return text.encode("utf-8", "backslashreplace") + b"\n"


def _show_value(value: object) -> str:
    text = str(value)
    # A peer's control characters must not reach a terminal.
    return text if text.isprintable() and text and not set(text) & {" ", '"', "="} else _quote(text)


def _quote(text: str) -> str:
    return '"' + "".join(ch if ch.isprintable() else repr(ch)[1:-1] for ch in text.replace('"', '\\"')) + '"'


def open_log(clock: Clock, level: str = "info", form: str = "auto", descriptor: int = 2) -> StderrLog:
    """The log of this process. `form` is auto (people on a terminal), human or json."""
    is_terminal = False
    with contextlib.suppress(OSError):
        is_terminal = os.isatty(descriptor)
    is_human = form == "human" or (form == "auto" and is_terminal)
    chosen: Format = HumanFormat(is_terminal and "NO_COLOR" not in os.environ) if is_human else JsonFormat()
    writer = LineWriter(descriptor)
    writer.tell_dropped_with(lambda count: chosen(clock.now(), "warning", "log lines dropped", {"count": count}))
    return StderrLog(writer, clock, level, chosen)
