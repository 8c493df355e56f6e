"""The retry schedule: when again, when to warn, when to give up."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.instant import Instant
from posthouse.mta.schedule import NEVER, Expire, Retry, RetrySchedule, Vigil
from posthouse.ports.clock import FakeClock

T0 = Instant(1_800_000_000.0)
DAY = 86400
SCHEDULE = RetrySchedule()


class Middle:
    """Chance that is always in the middle."""

    def uniform(self, a: float, b: float, /) -> float:
        return (a + b) / 2

    def shuffle(self, x: object, /) -> None:
        return None


MIDDLE = Middle()


def at(seconds: float) -> Instant:
    return Instant(T0 + seconds)


@pytest.mark.parametrize(
    ("attempts", "wait_s"), [(0, 300), (1, 600), (2, 1200), (5, 9600), (6, 14400), (7, 14400), (500, 14400)]
)
def test_waits_grow_and_the_last_repeats(attempts: int, wait_s: float) -> None:
    assert SCHEDULE.next_attempt(T0, attempts, at(10), False, MIDDLE) == at(10 + wait_s)


@given(st.integers(0, 100), st.floats(0, 6 * DAY), st.booleans(), st.integers())
def test_the_next_attempt_is_later_than_now_and_not_behind_the_expiry(
    attempts: int, age: float, is_report: bool, seed: int
) -> None:
    now = at(age)
    following = SCHEDULE.next_attempt(T0, attempts, now, is_report, random.Random(seed))
    assert following > now
    assert following <= max(SCHEDULE.expiry(T0, is_report), now + SCHEDULE.retry[-1] * 1.1)
    if now < SCHEDULE.expiry(T0, is_report):
        assert following <= SCHEDULE.expiry(T0, is_report)


@given(st.integers())
def test_jitter_is_ten_per_cent(seed: int) -> None:
    wait = SCHEDULE.next_attempt(T0, 0, T0, False, random.Random(seed)) - T0
    assert 270 <= wait <= 330


def test_the_last_attempt_comes_exactly_when_the_message_expires() -> None:
    now = at(5 * DAY - 60)
    assert SCHEDULE.next_attempt(T0, 9, now, False, MIDDLE) == at(5 * DAY)


def test_a_failed_attempt_is_retried() -> None:
    assert SCHEDULE.judge(T0, 1, at(5), MIDDLE, is_report=False, warned=False) == Retry(at(305), warn=False)


def test_the_sender_is_warned_once_after_four_hours() -> None:
    late = at(4 * 3600)
    verdict = SCHEDULE.judge(T0, 6, late, MIDDLE, is_report=False, warned=False)
    assert isinstance(verdict, Retry)
    assert verdict.warn
    verdict = SCHEDULE.judge(T0, 6, late, MIDDLE, is_report=False, warned=True)
    assert isinstance(verdict, Retry)
    assert not verdict.warn


def test_nobody_is_warned_about_a_report() -> None:
    assert not SCHEDULE.should_warn(T0, at(5 * 3600), is_report=True, warned=False)


def test_a_failed_attempt_at_the_end_expires() -> None:
    assert SCHEDULE.judge(T0, 30, at(5 * DAY), MIDDLE, is_report=False, warned=True) == Expire()


def test_a_report_expires_after_a_day() -> None:
    assert SCHEDULE.judge(T0, 9, at(DAY), MIDDLE, is_report=True, warned=False) == Expire()
    assert isinstance(SCHEDULE.judge(T0, 9, at(DAY), MIDDLE, is_report=False, warned=True), Retry)


def test_after_a_long_stop_every_message_gets_one_more_try_before_it_expires() -> None:
    week = at(7 * DAY)
    assert not SCHEDULE.is_expired(T0, week, is_report=False, tried_since_start=False)
    assert SCHEDULE.deadline(T0, is_report=False, tried_since_start=False) == NEVER
    assert SCHEDULE.next_attempt(T0, 3, week, False, MIDDLE) > week  # stored before the try
    assert SCHEDULE.judge(T0, 4, week, MIDDLE, is_report=False, warned=True) == Expire()  # the try failed
    assert SCHEDULE.is_expired(T0, week, is_report=False, tried_since_start=True)


def test_a_clock_that_was_put_back_expires_nothing() -> None:
    assert not SCHEDULE.is_expired(T0, at(-DAY), is_report=False, tried_since_start=True)
    assert isinstance(SCHEDULE.judge(T0, 1, at(-DAY), MIDDLE, is_report=False, warned=False), Retry)


def test_a_machine_asleep_for_six_days_bounces_nothing_untried() -> None:
    clock = FakeClock(T0)
    vigil = Vigil(clock)
    clock.advance(60)
    assert not vigil.check()
    due = at(3600)
    clock.jump(6 * DAY)  # the monotonic clock stands still in sleep
    assert vigil.check()
    assert not vigil.was_tried(due)
    assert SCHEDULE.deadline(T0, is_report=False, tried_since_start=vigil.was_tried(due)) == NEVER
    again = SCHEDULE.next_attempt(T0, 3, clock.now(), False, MIDDLE)
    assert vigil.was_tried(again)


def test_what_was_due_while_the_server_was_down_has_one_try_to_come() -> None:
    clock = FakeClock(T0 + 6 * DAY)
    vigil = Vigil(clock)
    assert not vigil.was_tried(at(3600))
    assert vigil.was_tried(at(6 * DAY + 1))


def test_a_frozen_process_and_a_clock_put_back_are_breaks_too() -> None:
    clock = FakeClock(T0)
    vigil = Vigil(clock)
    clock.advance(DAY)
    assert vigil.check()
    assert vigil.since == at(DAY)
    clock.jump(-DAY)
    assert vigil.check()
    assert vigil.since == T0


def test_an_ordinary_minute_and_a_slewed_clock_are_none() -> None:
    clock = FakeClock(T0)
    vigil = Vigil(clock)
    for _ in range(100):
        clock.advance(60)
        clock.jump(0.03)
        assert not vigil.check()
    assert vigil.since == T0
