"""What waits on disk for room in memory."""

from __future__ import annotations

from posthouse.message.ids import QueueId
from posthouse.mta.backlog import Backlog


def make_backlog(count: int) -> tuple[Backlog, list[QueueId]]:
    backlog, ids = Backlog(100_000), [QueueId(f"{number:05}") for number in range(count)]
    for queue_id in ids:
        backlog.add(queue_id, "ann")
    return backlog, ids


def test_few_messages_are_read_back_in_their_order() -> None:
    backlog, ids = make_backlog(100)
    assert backlog.take("ann", 60) + backlog.take("ann", 60) == ids


def test_a_letter_behind_thousands_of_the_same_sender_is_read_back_with_the_next() -> None:
    backlog, ids = make_backlog(50_000)
    taken = backlog.take("ann", 100)
    assert ids[-1] in taken
    assert [each for each in taken if each < ids[25_000]] == ids[:50]


def test_nothing_is_read_back_twice_or_left_behind() -> None:
    backlog, ids = make_backlog(1000)
    backlog.discard(ids[0])
    backlog.discard(ids[-1])
    taken: list[QueueId] = []
    while batch := backlog.take("ann", 100):
        taken += batch
    assert sorted(taken) == ids[1:-1]
    assert not backlog.has_flow("ann")
