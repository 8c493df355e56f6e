"""Windows, dead sites, slow ones, and the bounded table of them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.message.instant import Instant
from posthouse.mta.sites import Site, Sites, SiteSettings
from posthouse.mta.targets import SiteKey
from posthouse.ports.spool import SiteRow

KEY = SiteKey("mx:mx.example.net")
NOW = Instant(1_800_000_000.0)


def at(seconds: float) -> Instant:
    return Instant(NOW + seconds)


def make_site(settings: SiteSettings | None = None) -> Site:
    site = Site(KEY, settings or SiteSettings())
    site.is_proven = True
    return site


def test_the_window_begins_with_five_and_grows_by_one_per_round_to_twenty() -> None:
    site = make_site()
    assert site.limit() == 5
    for _ in range(6):
        site.note_success()
    assert site.limit() == 6
    for _ in range(1000):
        site.note_success()
    assert site.limit() == 20


def test_a_failed_connection_costs_more_than_a_success_gives() -> None:
    site = make_site()
    site.note_success()
    site.note_failure(NOW, "421", others_work=True)
    assert site.window < 5
    assert not site.is_dead


def test_failures_alone_make_a_site_dead_at_once() -> None:
    site = make_site()
    assert site.note_failure(NOW, "refused", others_work=False)
    assert site.is_dead
    assert (site.limit(), site.closed_until(NOW), site.why_closed()) == (1, at(60), "refused")


def test_failures_beside_working_connections_make_it_dead_when_the_window_is_used_up() -> None:
    site = make_site()
    count = 1
    while not site.note_failure(NOW, "421", others_work=True):
        count += 1
    assert 5 <= count <= 10


def test_the_wait_doubles_from_a_minute_to_an_hour() -> None:
    site = make_site()
    waits = []
    now = NOW
    for _ in range(9):
        site.note_failure(now, "refused", others_work=False)
        waits.append(site.retry_at - now)
        now = site.retry_at
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_success_brings_a_dead_site_back() -> None:
    site = make_site()
    site.note_failure(NOW, "refused", others_work=False)
    assert site.note_success()
    assert (site.is_dead, site.closed_until(NOW), site.limit()) == (False, None, 5)
    assert not site.note_success()


def test_a_retry_time_from_before_the_clock_was_put_back_does_not_count() -> None:
    site = make_site()
    site.note_failure(at(86400), "refused", others_work=False)
    assert site.closed_until(NOW) is None


@given(st.lists(st.sampled_from(["ok", "lost", "dead"]), max_size=200))
def test_the_window_stays_within_its_bounds(events: list[str]) -> None:
    site = make_site()
    for event in events:
        if event == "ok":
            site.note_success()
        else:
            site.note_failure(NOW, event, others_work=event == "lost")
        assert 1 <= site.window <= 20
        assert 1 <= site.limit() <= 20


def test_without_a_lease_each_worker_takes_its_part() -> None:
    site = make_site(SiteSettings(window_start=20, workers=4))
    assert site.limit() == 5
    site = make_site(SiteSettings(window_start=5, workers=8))
    assert site.limit() == 1


def test_a_lease_counts_instead_but_not_beyond_the_window() -> None:
    site = make_site(SiteSettings(workers=4))
    site.share = 3
    assert site.limit() == 3
    site.share = 50
    assert site.limit() == 5
    site.share = 0
    assert site.limit() == 0


def test_a_worker_without_a_lease_for_a_dead_site_does_not_probe() -> None:
    site = make_site()
    site.note_failure(NOW, "refused", others_work=False)
    site.share = 0
    assert site.limit() == 0


def test_the_asked_rate_is_shared_by_the_workers_and_ends() -> None:
    site = make_site(SiteSettings(workers=2))
    site.slow_down(60, until=at(100))
    assert site.take_slot(NOW) is None
    assert site.take_slot(at(1.9)) == at(2)
    assert site.take_slot(at(2)) is None
    assert site.take_slot(at(100)) is None
    assert site.take_slot(at(100.1)) is None


def test_a_suspension_ends_by_itself_and_is_never_shortened() -> None:
    site = make_site()
    site.suspend(at(600), "421 4.7.0 TSS04")
    site.suspend(at(60), "again")
    assert site.closed_until(at(599)) == at(600)
    assert site.closed_until(at(600)) is None


def test_a_dead_site_is_still_dead_after_a_restart() -> None:
    site = make_site()
    site.note_failure(NOW, "no route to host", others_work=False)
    row = site.to_row()
    assert row == SiteRow(KEY, at(60), 1, "no route to host")
    again = Sites(rows=[row]).get(KEY)
    assert (again.closed_until(NOW), again.limit(), again.why_closed()) == (at(60), 1, "no route to host")


def test_idle_sites_are_forgotten_dead_ones_are_not() -> None:
    sites = Sites()
    for number in range(100):
        sites.get(SiteKey(f"mx:{number}")).last_used = NOW
    dead = sites.get(SiteKey("mx:0"))
    dead.note_failure(NOW, "refused", others_work=False)
    used = SiteKey("mx:1")
    assert sites.forget_idle(at(3599), frozenset()) == 0
    assert sites.forget_idle(at(3600), frozenset({used})) == 98
    assert sites.find(used) is not None
    assert sites.dead() == [dead]


def test_the_table_is_bounded_even_when_all_are_dead() -> None:
    sites = Sites(SiteSettings(max_sites=10))
    for number in range(30):
        site = sites.get(SiteKey(f"mx:{number}"))
        site.last_used = at(number)
        site.note_failure(NOW, "refused", others_work=False)
    sites.forget_idle(at(40), frozenset())
    assert len(sites) == 10
    assert sites.find(SiteKey("mx:29")) is not None
