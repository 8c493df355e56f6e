"""Figures of the last hour: what grew, how long deliveries took, and how much is kept."""

from __future__ import annotations

import pytest

from posthouse.manage.web_figures import COUNTED, MINUTES, Reading, Series, find_percentile, find_percentiles
from posthouse.message.instant import Instant

BOUNDS = (1.0, 10.0, 100.0)


def reading(minute: int, received: float, delays: tuple[float, ...] = (0, 0, 0, 0), **queue: float) -> Reading:
    return Reading(
        Instant(1_790_000_000.0 + 60 * minute), {"received": received}, BOUNDS, delays, queue, {"workers": 2}
    )


def test_each_minute_shows_what_it_added() -> None:
    series = Series()
    for minute, received in enumerate((0, 10, 10, 70)):
        series.add(reading(minute, received, deferred=minute))
    shown = series.show(reading(3, 75, deferred=3))
    minutes = shown["minutes"]
    assert isinstance(minutes, list)
    assert [each["received"] for each in minutes] == [10, 0, 60]
    assert [each["queue"] for each in minutes] == [{"deferred": 1}, {"deferred": 2}, {"deferred": 3}]
    assert minutes[0]["at"] == "2026-09-21T14:14:20.000Z"
    assert set(COUNTED) < set(minutes[0])


def test_now_has_totals_rates_and_whatever_else_stands() -> None:
    series = Series()
    series.add(reading(0, 100))
    now = series.show(Reading(Instant(1_790_000_060.0), {"received": 160}, gauges={"workers": 2}))["now"]
    assert isinstance(now, dict)
    assert (now["received"], now["delivered"], now["workers"]) == (160, 0, 2)
    assert now["perSecond"]["received"] == 1.0


def test_before_the_first_reading_there_is_nothing_to_compare_with() -> None:
    shown = Series().show(reading(0, 5))
    assert shown["minutes"] == []
    now = shown["now"]
    assert isinstance(now, dict)
    assert now["perSecond"]["received"] == 0.0


def test_a_counter_that_began_anew_shows_nothing_rather_than_less() -> None:
    series = Series()
    series.add(reading(0, 1000, (5, 5, 5, 5)))
    series.add(reading(1, 3, (1, 0, 0, 0)))
    minutes = series.show(reading(1, 3))["minutes"]
    assert isinstance(minutes, list)
    assert minutes[0]["received"] == 0
    assert minutes[0]["deliveryTimes"] == {"p50": None, "p90": None, "p99": None}


def test_an_hour_is_kept_and_no_more() -> None:
    series = Series()
    for minute in range(500):
        series.add(reading(minute, minute))
    minutes = series.show(reading(500, 500))["minutes"]
    assert isinstance(minutes, list)
    assert len(minutes) == MINUTES


def test_delivery_times_are_those_of_the_minute_alone() -> None:
    series = Series()
    series.add(reading(0, 0, (100, 0, 0, 0)))
    series.add(reading(1, 0, (100, 10, 0, 0)))
    minutes = series.show(reading(1, 0, (100, 10, 0, 0)))["minutes"]
    assert isinstance(minutes, list)
    assert minutes[0]["deliveryTimes"]["p50"] == pytest.approx(5.5)


def test_percentiles_lie_within_their_bucket() -> None:
    assert find_percentile(BOUNDS, (10, 0, 0, 0), 0.5) == 0.5
    assert find_percentile(BOUNDS, (0, 10, 0, 0), 0.5) == 5.5
    assert find_percentile(BOUNDS, (0, 0, 0, 10), 0.5) == 100.0
    assert find_percentile(BOUNDS, (0, 0, 0, 0), 0.5) is None
    assert find_percentiles((), ()) == {"p50": None, "p90": None, "p99": None}
