"""The log: one line per event, never in the way of who logs."""

from __future__ import annotations

import json
import os
import threading

import pytest

from posthouse.adapters.log import HumanFormat, JsonFormat, LineWriter, StderrLog, open_log
from posthouse.ports.clock import FakeClock


class PipeReader:
    """Reads a pipe to its end in a thread, once started."""

    def __init__(self) -> None:
        self.descriptor, self.write_end = os.pipe()
        self._data = b""
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        while chunk := os.read(self.descriptor, 1 << 16):
            self._data += chunk

    def finish(self) -> bytes:
        os.close(self.write_end)
        self._thread.join(10)
        os.close(self.descriptor)
        return self._data


def write_events(level: str = "info") -> tuple[PipeReader, StderrLog]:
    reader = PipeReader()
    reader.start()
    return reader, StderrLog(LineWriter(reader.write_end, gather_s=0.001), FakeClock(), level, JsonFormat())


def read_events(reader: PipeReader, log: StderrLog) -> list[dict[str, object]]:
    log.flush(10)
    return [json.loads(line) for line in reader.finish().splitlines()]


def test_an_event_is_one_json_line_with_time_level_and_fields() -> None:
    reader, log = write_events()
    log.info("message accepted", id="0A", size=12, late=False, helo=None)
    assert read_events(reader, log) == [
        {"time": "2027-01-15T08:00:00.000Z", "level": "info", "event": "message accepted",
         "id": "0A", "size": 12, "late": False, "helo": None},
    ]  # fmt: skip


def test_bound_fields_are_in_each_event() -> None:
    reader, log = write_events()
    session = log.bind(session="s1").bind(peer="::1")
    session.info("a")
    session.warning("b", peer="::2")
    log.info("c")
    events = read_events(reader, log)
    assert [(event.get("session"), event.get("peer")) for event in events] == [
        ("s1", "::1"),
        ("s1", "::2"),
        (None, None),
    ]


def test_what_is_below_the_level_is_not_logged() -> None:
    reader, log = write_events("warning")
    log.debug("a")
    log.info("b")
    log.warning("c")
    log.bind(x=1).info("d")
    log.error("e")
    assert [event["event"] for event in read_events(reader, log)] == ["c", "e"]


def test_an_error_inside_except_carries_the_traceback() -> None:
    reader, log = write_events()
    try:
        raise KeyError("lost")
    except KeyError:
        log.error("defect")
    log.error("plain")
    first, second = read_events(reader, log)
    assert "KeyError: 'lost'" in str(first["traceback"])
    assert "traceback" not in second


@pytest.mark.parametrize("value", ["\udcff", "a\nb", object, float("nan"), 1 << 80, {"a": {1, 2}}])
def test_no_value_of_a_peer_breaks_the_log(value: object) -> None:
    reader, log = write_events()
    log.info("odd", value=value)
    assert [event["event"] for event in read_events(reader, log)] == ["odd"]


def test_a_full_pipe_drops_lines_counts_them_and_tells_later() -> None:
    reader = PipeReader()
    os.set_blocking(reader.write_end, False)
    filler = 0
    while True:
        try:
            filler += os.write(reader.write_end, b"x" * 1024)
        except BlockingIOError:
            break
    os.set_blocking(reader.write_end, True)
    writer = LineWriter(reader.write_end, limit=10_000, gather_s=0.0)
    writer.tell_dropped_with(lambda count: b"dropped %d\n" % count)
    for _ in range(10_000):
        writer.put(b"y" * 99 + b"\n")  # returns at once: nobody reads the pipe
    assert writer.dropped >= 9_500
    assert not writer.flush(0.0)
    reader.start()
    assert writer.flush(10)
    lines = reader.finish()[filler:].splitlines()
    told = sum(int(line.split()[1]) for line in lines if line.startswith(b"dropped"))
    assert told == writer.dropped
    assert len(lines) - sum(line.startswith(b"dropped") for line in lines) == 10_000 - told


def test_a_closed_pipe_does_no_harm() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    log = StderrLog(LineWriter(write_end, gather_s=0.0), FakeClock(), "info", JsonFormat())
    log.info("unheard")
    log.flush(10)
    os.close(write_end)


def test_for_people_values_are_quoted_where_needed_and_cannot_touch_the_terminal() -> None:
    line = HumanFormat(is_coloured=False)(0.5, "warning", "refused", {"a": "x y", "b": "\x1b[2J\n", "c": 3, "d": ""})
    text = line.decode()
    assert text.endswith('.500 warning refused a="x y" b="\\x1b[2J\\n" c=3 d=""\n')


def test_colours_and_tracebacks_are_for_terminals() -> None:
    line = HumanFormat(is_coloured=True)(0.0, "error", "defect", {"traceback": "Traceback\n  KeyError\n"}).decode()
    assert "\x1b[31merror" in line
    assert line.endswith("defect\nTraceback\n  KeyError\n")


@pytest.mark.parametrize(("form", "is_json"), [("auto", True), ("json", True), ("human", False)])
def test_a_pipe_gets_json_unless_told_otherwise(form: str, is_json: bool) -> None:
    reader = PipeReader()
    reader.start()
    log = open_log(FakeClock(), "info", form, reader.write_end)
    log.info("hello")
    log.flush(10)
    assert reader.finish().startswith(b"{") is is_json


def test_a_terminal_gets_lines_for_people() -> None:
    master, terminal = os.openpty()
    log = open_log(FakeClock(), "info", "auto", terminal)
    log.info("hello", x=1)
    log.flush(10)
    assert b"hello x=1" in os.read(master, 1000)
    os.close(master)
    os.close(terminal)
