"""What the administration page hears of the whole server, whichever worker it asks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from posthouse.adapters.metrics import PlainMetrics, Snapshot
from posthouse.app.coordinator_web import MAX_ITEMS, WebQuestions, make_reading
from posthouse.app.worker_context import Arguments, LinkError
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeLog


class FakeOperations:
    def __init__(self, items: int = 0, missing: str = "") -> None:
        self.items, self.missing = items, missing
        self.asked: list[Arguments] = []

    async def list_queue(self, args: Arguments) -> AsyncIterator[object]:
        self.asked.append(args)
        for number in range(self.items):
            yield {"id": str(number)}
        if self.missing:
            raise LinkError(self.missing)

    async def show_message(self, args: Arguments) -> AsyncIterator[object]:
        if self.missing:
            raise LinkError(self.missing)
        if not self.items:
            raise ValueError("no message in the queue")
        yield {"id": args["id"]}

    async def list_sessions(self, args: Arguments) -> AsyncIterator[object]:
        async for item in self.list_queue(args):
            yield item

    async def change_queue(self, args: Arguments) -> object:
        return {"changed": 1}

    async def kill_session(self, args: Arguments) -> object:
        return {"changed": 1}


def metrics() -> PlainMetrics:
    made = PlainMetrics()
    made.counter("posthouse_messages_received_total", "x").inc(5)
    made.counter("posthouse_submissions_total", "x", answer="submitted").inc(2)
    made.counter("posthouse_submissions_total", "x", answer="refused").inc(9)
    made.counter("posthouse_attempts_total", "x", outcome="relayed").inc(3)
    made.counter("posthouse_recipients_refused_total", "x").inc(1)
    made.counter("posthouse_messages_refused_total", "x").inc(1)
    made.gauge("posthouse_queue_recipients", "x", state="deferred").set(4)
    made.gauge("posthouse_queue_messages", "x").set(3)
    made.histogram("posthouse_delivery_seconds", "x", (1.0, 10.0)).observe(0.5)
    return made


def questions(operations: FakeOperations, source: PlainMetrics | None = None) -> WebQuestions:
    async def read() -> Snapshot:
        return (source or metrics()).snapshot()

    return WebQuestions(operations, read, FakeClock(), FakeLog())


def test_figures_are_found_by_their_names_and_labels() -> None:
    reading = make_reading(metrics().snapshot(), FakeClock())
    assert reading.counters == {
        "received": 5,
        "submitted": 2,
        "relayed": 3,
        "delivered": 0,
        "deferred": 0,
        "failed": 0,
        "rejected": 2,
    }
    assert reading.queue == {"deferred": 4}
    assert (reading.bounds, reading.delays) == ((1.0, 10.0), (1, 0, 0))
    assert reading.gauges["messages"] == 3


def test_a_server_that_counts_nothing_yet_has_figures_too() -> None:
    reading = make_reading([], FakeClock())
    assert reading.queue == {}
    assert set(reading.counters.values()) == {0}


async def test_a_page_of_the_queue_is_cut_and_says_that_there_is_more() -> None:
    operations = FakeOperations(items=10)
    told = await questions(operations).list_queue({"limit": 3, "domain": "example.org"})
    assert told == {"items": [{"id": "0"}, {"id": "1"}, {"id": "2"}], "more": True, "unanswered": ""}
    assert operations.asked == [{"limit": 4, "domain": "example.org"}]
    told = await questions(operations).list_queue({"limit": 10})
    assert isinstance(told, dict)
    assert told["more"] is False


@pytest.mark.parametrize("limit", [None, 0, -1, "x", 10**9])
async def test_no_page_is_endless(limit: object) -> None:
    told = await questions(FakeOperations(items=MAX_ITEMS * 2)).list_queue({"limit": limit})
    assert isinstance(told, dict)
    assert len(told["items"]) == MAX_ITEMS


async def test_what_came_is_shown_though_a_worker_is_missing() -> None:
    told = await questions(FakeOperations(items=2, missing="worker 1.0 is gone")).list_queue({})
    assert told == {"items": [{"id": "0"}, {"id": "1"}], "more": False, "unanswered": "worker 1.0 is gone"}
    told = await questions(FakeOperations(items=1, missing="worker 1.0 is gone")).list_sessions({})
    assert told == {"items": [{"id": "0"}], "unanswered": "worker 1.0 is gone"}


async def test_a_message_that_nobody_has_is_none_but_silence_is_told() -> None:
    assert await questions(FakeOperations(items=1)).show_message({"id": "7"}) == {"id": "7"}
    assert await questions(FakeOperations()).show_message({"id": "7"}) is None
    with pytest.raises(LinkError, match="gone"):
        await questions(FakeOperations(missing="worker 1.0 is gone")).show_message({"id": "7"})


async def test_every_question_has_its_name() -> None:
    handlers = questions(FakeOperations()).handlers()
    assert sorted(handlers) == [
        "web.figures",
        "web.queue.change",
        "web.queue.list",
        "web.queue.show",
        "web.sessions.kill",
        "web.sessions.list",
    ]
    shown = await handlers["web.figures"]({})
    assert isinstance(shown, dict)
    assert shown["now"]["received"] == 5
