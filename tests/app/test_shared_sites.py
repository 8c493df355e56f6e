"""How workers share what the server may do to a site."""

from __future__ import annotations

import pytest

from posthouse.app.shared_sites import (
    SharedSites,
    SiteNews,
    SiteReport,
    WindowSettings,
    WorkerShares,
    default_slots,
    divide_window,
)
from posthouse.app.worker_context import SiteShare

SITE = "mx.example.net"
NOW = 1_800_000_000.0


def told(news: dict[int, list[SiteNews]]) -> dict[int, int]:
    return {worker: entries[-1].slots for worker, entries in news.items()}


def joined(count: int, settings: WindowSettings | None = None) -> SharedSites:
    sites = SharedSites(count, settings)
    for worker in range(1, count + 1):
        sites.join(worker)
    return sites


def test_the_only_worker_that_wants_a_site_gets_the_whole_window() -> None:
    sites = joined(2)
    sites.report(1, [SiteReport(SITE, wanted=1)], NOW)
    assert told(sites.plan(NOW)) == {1: 5}


def test_nobody_gets_more_before_another_has_given_it_up() -> None:
    sites = joined(2)
    sites.report(1, [SiteReport(SITE, wanted=9, in_use=5)], NOW)
    assert told(sites.plan(NOW)) == {1: 5}
    sites.report(2, [SiteReport(SITE, wanted=9)], NOW)
    assert told(sites.plan(NOW)) == {1: 3, 2: 0}
    sites.report(1, [SiteReport(SITE, wanted=9, in_use=4)], NOW)
    assert told(sites.plan(NOW)) == {2: 1}
    sites.report(1, [SiteReport(SITE, wanted=9, in_use=3)], NOW)
    assert told(sites.plan(NOW)) == {2: 2}


def test_the_window_grows_with_success_up_to_its_largest() -> None:
    sites = joined(1)
    sites.report(1, [SiteReport(SITE, wanted=50, in_use=5, successes=5)], NOW)
    assert 5.8 < sites.window(SITE) < 6.1
    sites.report(1, [SiteReport(SITE, wanted=50, in_use=5, successes=10_000)], NOW)
    assert told(sites.plan(NOW)) == {1: 20}


def test_the_window_shrinks_with_failure_down_to_one() -> None:
    sites = joined(1)
    sites.report(1, [SiteReport(SITE, wanted=50, failures=1)], NOW)
    assert sites.window(SITE) == pytest.approx(5 - 5**-0.5, abs=0.05)
    sites.report(1, [SiteReport(SITE, wanted=50, failures=1000)], NOW)
    assert told(sites.plan(NOW)) == {1: 1}


def test_a_site_that_one_worker_found_dead_is_dead_for_all() -> None:
    sites = joined(3)
    sites.report(1, [SiteReport(SITE, wanted=5)], NOW)
    sites.plan(NOW)
    sites.report(1, [SiteReport(SITE, wanted=5, retry_at=NOW + 60, failed_tries=1, reason="refused")], NOW)
    news = sites.plan(NOW)
    assert told(news) == {1: 0, 2: 0, 3: 0}
    assert news[3] == [SiteNews(SITE, 0, NOW + 60, 1, "refused")]


def test_one_worker_and_one_only_probes_a_dead_site() -> None:
    sites = joined(3)
    for worker in (1, 2):
        sites.report(worker, [SiteReport(SITE, wanted=5, retry_at=NOW + 60, failed_tries=1)], NOW)
    sites.plan(NOW)
    assert told(sites.plan(NOW + 59)) == {}
    first = told(sites.plan(NOW + 60))
    assert list(first.values()) == [1]
    assert told(sites.plan(NOW + 61)) == {}
    (prober,) = first
    sites.report(prober, [SiteReport(SITE, wanted=5, failures=1, retry_at=NOW + 180, failed_tries=2)], NOW + 61)
    assert set(told(sites.plan(NOW + 61)).values()) == {0}
    assert list(told(sites.plan(NOW + 180)).values()) == [1]


def test_a_probe_that_succeeds_opens_the_site_for_all() -> None:
    sites = joined(2)
    sites.report(1, [SiteReport(SITE, wanted=5, retry_at=NOW + 60, failed_tries=1)], NOW)
    sites.plan(NOW)
    sites.plan(NOW + 60)
    sites.report(1, [SiteReport(SITE, wanted=5, in_use=1, successes=1)], NOW + 61)
    news = sites.plan(NOW + 61)
    assert news[1][0].share == SiteShare(5)
    assert news[2][0].retry_at == 0.0


def test_a_dead_site_is_probed_at_once_when_the_clock_was_put_back() -> None:
    sites = joined(1)
    sites.report(1, [SiteReport(SITE, retry_at=NOW + 60, failed_tries=1, wanted=1)], NOW)
    assert told(sites.plan(NOW)) == {1: 0}
    earlier = NOW - 6 * 86400
    sites.report(1, [SiteReport(SITE, wanted=1)], earlier)
    assert told(sites.plan(earlier)) == {1: 1}
    sites.report(1, [SiteReport(SITE, retry_at=earlier + 120, failed_tries=2, wanted=1)], earlier)
    assert told(sites.plan(earlier)) == {1: 0}  # it is dead by the clock as it is now
    assert told(sites.plan(earlier + 121)) == {1: 1}


def test_when_the_probing_worker_dies_another_probes() -> None:
    sites = joined(2)
    for worker in (1, 2):
        sites.report(worker, [SiteReport(SITE, wanted=1, retry_at=NOW + 60, failed_tries=1)], NOW)
    sites.plan(NOW)
    (prober,) = told(sites.plan(NOW + 60))
    sites.forget(prober)
    assert told(sites.plan(NOW + 60)) == {3 - prober: 1}


def test_a_late_worker_hears_of_dead_sites() -> None:
    sites = joined(1)
    sites.report(1, [SiteReport(SITE, retry_at=NOW + 60, failed_tries=1)], NOW)
    sites.plan(NOW)
    sites.join(2)
    assert told(sites.plan(NOW)) == {2: 0}


def test_a_dead_worker_leaves_its_slots_to_the_others() -> None:
    sites = joined(2)
    for worker in (1, 2):
        sites.report(worker, [SiteReport(SITE, wanted=9, in_use=2)], NOW)
    sites.plan(NOW)
    sites.forget(1)
    assert told(sites.plan(NOW)) == {2: 5}


def test_with_fewer_slots_than_workers_they_take_turns() -> None:
    sites = joined(3, WindowSettings(initial=1, smallest=1, largest=1))
    now, served = NOW, set()
    for worker in (1, 2, 3):
        sites.report(worker, [SiteReport(SITE, wanted=1)], now)
    for _ in range(12):
        served |= {worker for worker, slots in told(sites.plan(now)).items() if slots}
        now += 1.1
    assert served == {1, 2, 3}


def test_sites_nobody_uses_are_forgotten() -> None:
    sites = joined(1)
    sites.report(1, [SiteReport(SITE, wanted=1, successes=10_000)], NOW)
    sites.plan(NOW)
    sites.report(1, [SiteReport(SITE)], NOW)
    sites.plan(NOW + 5000)
    assert sites.window(SITE) == 5.0


@pytest.mark.parametrize(
    ("window", "wants", "expected"),
    [
        (5, {}, {}),
        (5, {1: 1}, {1: 5}),
        (5, {1: 9, 2: 9}, {1: 3, 2: 2}),
        (6, {1: 1, 2: 9}, {1: 1, 2: 5}),
        (9, {1: 1, 2: 1}, {1: 5, 2: 4}),
        (1, {1: 9, 2: 9}, {1: 1, 2: 0}),
    ],
)
def test_a_window_is_divided_fairly(window: int, wants: dict[int, int], expected: dict[int, int]) -> None:
    assert divide_window(window, wants, 0) == expected


def test_a_worker_without_an_answer_yet_takes_its_part_of_the_initial_window() -> None:
    assert WorkerShares(2).slots(SITE) == 2
    assert WorkerShares(64).slots(SITE) == 1
    assert default_slots(WindowSettings(), 1) == 5


def test_a_worker_collects_what_happens_between_two_exchanges() -> None:
    shares = WorkerShares(2)
    shares.report_load(SITE, 3, 1)
    shares.report_success(SITE)
    shares.report_success(SITE)
    assert shares.take_reports() == [SiteReport(SITE, 3, 1, successes=2)]
    assert shares.take_reports() == []
    shares.report_load(SITE, 3, 1)
    assert shares.take_reports() == []


def test_a_worker_hears_of_changes_once() -> None:
    shares = WorkerShares(2)
    heard: list[tuple[str, SiteShare]] = []
    shares.on_change(lambda site, share: heard.append((site, share)))
    shares.report_load(SITE, 3, 0)
    shares.apply([SiteNews(SITE, 4)])
    shares.apply([SiteNews(SITE, 4)])
    shares.apply([SiteNews("mx.example.com", 0, NOW + 60, 1, "refused")])
    assert heard == [(SITE, SiteShare(4)), ("mx.example.com", SiteShare(0, NOW + 60, 1, "refused"))]
    assert shares.slots("mx.example.com") == 0


def test_without_a_coordinator_a_worker_goes_on_with_its_part() -> None:
    shares = WorkerShares(2)
    shares.report_load(SITE, 3, 0)
    shares.report_load("mx.example.com", 1, 0)
    shares.apply([SiteNews(SITE, 0), SiteNews("mx.example.com", 0, NOW + 60, 1, "refused")])
    shares.stand_alone()
    assert shares.slots(SITE) == 2
    assert shares.share("mx.example.com") == SiteShare(1, NOW + 60, 1, "refused")


def test_a_new_coordinator_is_told_loads_and_dead_sites() -> None:
    shares = WorkerShares(2)
    shares.report_load(SITE, 3, 1)
    shares.take_reports()
    shares.apply([SiteNews("mx.example.com", 0, NOW + 60, 4, "refused")])
    shares.resend_all()
    fresh = joined(2)
    fresh.report(1, shares.take_reports(), NOW)
    news = fresh.plan(NOW)
    assert news[2] == [SiteNews("mx.example.com", 0, NOW + 60, 4, "refused")]
    assert SiteNews(SITE, 5) in news[1]
