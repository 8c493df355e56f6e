"""When a commit waits for others to join it: many senders share one, a few are never held up. Time is made."""

from __future__ import annotations

import pytest

from posthouse.adapters.sqlite.writer import Crowd

COMMIT_S = 0.001
THINK_S = 0.0005
GATHER_S = 0.003


def commit_for(senders: int, seconds: float, gather_s: float = GATHER_S) -> list[int]:
    """Each waits for its answer, thinks, and comes again: the sizes of the commits."""
    crowd = Crowd(gather_s)
    now, arrivals, sizes = 0.0, [number * 0.0001 for number in range(senders)], []
    while now < seconds:
        now = max(now, min(arrivals))
        now += crowd.wait_s(now)
        taken = [arrival for arrival in arrivals if arrival <= now]
        crowd.note(now, len(taken))
        sizes.append(len(taken))
        now += COMMIT_S
        arrivals = [arrival for arrival in arrivals if arrival not in taken]
        arrivals += [now + THINK_S + number * 0.0001 for number in range(len(taken))]
    return sizes


@pytest.mark.parametrize("senders", [1, 2, 3])
def test_a_few_senders_are_never_held_up(senders: int) -> None:
    assert sum(commit_for(senders, 2.0)) > 0.95 * sum(commit_for(senders, 2.0, gather_s=0.0))


@pytest.mark.parametrize("senders", [8, 20, 60])
def test_many_senders_share_a_commit(senders: int) -> None:
    sizes = commit_for(senders, 2.0)
    assert len(sizes) <= 2.0 / GATHER_S + 10
    assert sum(sizes) / len(sizes) > senders / 2


def test_nobody_waits_longer_than_from_one_commit_to_the_next() -> None:
    crowd = Crowd(GATHER_S)
    for _ in range(50):
        crowd.note(1.0, 30)
    assert crowd.wait_s(1.001) == pytest.approx(GATHER_S - 0.001)
    assert crowd.wait_s(1.0 + GATHER_S) == 0.0
    assert crowd.wait_s(500.0) == 0.0


def test_waiting_ends_with_the_crowd() -> None:
    crowd = Crowd(GATHER_S)
    for _ in range(50):
        crowd.note(1.0, 30)
    for _ in range(50):
        crowd.note(1.0, 1)
    assert crowd.wait_s(1.0) == 0.0
