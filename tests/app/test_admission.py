"""Connection limits as one worker sees them, and as several share them."""

from __future__ import annotations

import ipaddress

import pytest

from posthouse.serve.admission import Admission, AdmissionLimits, ConnectionCounts


def admit_many(admission: Admission, address: str, times: int) -> None:
    for _ in range(times):
        assert admission.admit(address, 0.0) is None


def test_beyond_the_total_everybody_hears_421() -> None:
    admission = Admission(AdmissionLimits(total=2))
    admit_many(admission, "192.0.2.1", 1)
    admit_many(admission, "", 1)
    refusal = admission.admit("198.51.100.1", 0.0)
    assert refusal is not None
    assert (refusal.code, refusal.enhanced) == (421, "4.3.2")
    admission.release("")
    assert admission.admit("198.51.100.1", 0.0) is None


def test_a_worker_that_has_all_it_can_hold_says_421() -> None:
    admission = Admission(AdmissionLimits(own=2))
    admission.set_remote({"192.0.2.9": 50})
    admit_many(admission, "192.0.2.1", 2)
    assert admission.own == 2
    assert admission.admit("192.0.2.2", 0.0) is not None


def test_one_address_has_its_own_limit() -> None:
    admission = Admission(AdmissionLimits(per_address=3))
    admit_many(admission, "192.0.2.1", 3)
    refusal = admission.admit("192.0.2.1", 0.0)
    assert refusal is not None
    assert refusal.code == 421
    assert admission.admit("192.0.2.2", 0.0) is None
    admission.release("192.0.2.1")
    assert admission.admit("192.0.2.1", 0.0) is None


@pytest.mark.parametrize(
    ("first", "neighbour", "stranger"),
    [
        ("192.0.2.1", "192.0.2.200", "192.0.3.1"),
        ("2001:db8::1", "2001:db8:0:0:ffff::9", "2001:db8:0:1::1"),
        ("fe80::1", "fe80::2%eth0", "fe80:0:0:1::1"),
    ],
)
def test_a_network_has_its_own_limit(first: str, neighbour: str, stranger: str) -> None:
    admission = Admission(AdmissionLimits(per_network=2))
    admit_many(admission, first, 2)
    assert admission.admit(neighbour, 0.0) is not None
    assert admission.admit(stranger, 0.0) is None


def test_an_ipv4_mapped_address_counts_as_ipv4() -> None:
    admission = Admission(AdmissionLimits(per_address=2))
    admit_many(admission, "::ffff:192.0.2.1", 1)
    admit_many(admission, "192.0.2.1", 1)
    assert admission.admit("::ffff:192.0.2.1", 0.0) is not None
    admission.release("::ffff:192.0.2.1")
    assert admission.count("192.0.2.1") == 1


def test_a_unix_socket_has_no_address_limit() -> None:
    admission = Admission(AdmissionLimits(per_address=1, per_network=1))
    admit_many(admission, "", 50)


def test_limits_of_zero_are_off() -> None:
    admission = Admission(AdmissionLimits(total=0, per_address=0, per_network=0))
    admit_many(admission, "192.0.2.1", 1000)


def test_a_release_without_admission_changes_nothing() -> None:
    admission = Admission()
    admission.release("192.0.2.1")
    assert admission.total == 0


def test_everything_released_leaves_nothing_behind() -> None:
    admission = Admission()
    for address in ("192.0.2.1", "192.0.2.2", "2001:db8::1", ""):
        admit_many(admission, address, 2)
        admission.release(address)
        admission.release(address)
    assert admission.total == 0
    assert admission._addresses == {}
    assert admission._networks == {}


def share(counts: ConnectionCounts, workers: dict[int, Admission]) -> None:
    for number, admission in workers.items():
        counts.report(number, admission.take_changes().items())
    news = counts.take_news()
    for number, admission in workers.items():
        admission.set_remote(news(number))


def test_workers_share_one_limit() -> None:
    counts = ConnectionCounts()
    one, two = Admission(AdmissionLimits(per_address=4)), Admission(AdmissionLimits(per_address=4))
    admit_many(one, "192.0.2.1", 3)
    share(counts, {1: one, 2: two})
    admit_many(two, "192.0.2.1", 1)
    assert two.admit("192.0.2.1", 0.0) is not None
    share(counts, {1: one, 2: two})
    assert one.admit("192.0.2.1", 0.0) is not None
    assert (one.total, two.total) == (4, 4)


def test_a_dead_worker_takes_its_connections_with_it() -> None:
    counts = ConnectionCounts()
    one, two = Admission(AdmissionLimits(per_network=3)), Admission(AdmissionLimits(per_network=3))
    admit_many(one, "192.0.2.1", 3)
    share(counts, {1: one, 2: two})
    assert two.admit("192.0.2.9", 0.0) is not None
    counts.forget(1)
    two.set_remote(counts.take_news()(2))
    assert two.admit("192.0.2.9", 0.0) is None
    assert counts.total == 0


def test_a_new_coordinator_is_filled_by_the_workers() -> None:
    counts = ConnectionCounts()
    one, two = Admission(), Admission()
    admit_many(one, "192.0.2.1", 3)
    share(counts, {1: one, 2: two})
    fresh = ConnectionCounts()
    for admission in (one, two):
        admission.stand_alone(2)
        admission.resend_all()
    assert two.total == 0
    share(fresh, {1: one, 2: two})
    assert (one.total, two.total, fresh.total) == (3, 3, 3)


def test_a_worker_that_comes_late_is_told_everything() -> None:
    counts = ConnectionCounts()
    one, two = Admission(), Admission()
    admit_many(one, "192.0.2.1", 3)
    share(counts, {1: one})
    two.set_remote(counts.everything_for(2))  # with the welcome
    two.resend_all()
    assert two.count("192.0.2.1") == 3


def test_many_errors_slow_the_client_and_time_heals() -> None:
    admission = Admission(AdmissionLimits(free_errors=3, delay_per_error_s=1.0, max_delay_s=5.0, error_half_life_s=60))
    for _ in range(3):
        admission.note_error("192.0.2.1", 100.0)
    assert admission.delay("192.0.2.1", 100.0) == 0.0
    admission.note_error("192.0.2.1", 100.0, 2.0)
    assert admission.delay("::ffff:192.0.2.1", 100.0) == pytest.approx(2.0)
    admission.note_error("192.0.2.1", 100.0, 100.0)
    assert admission.delay("192.0.2.1", 100.0) == 5.0
    assert admission.delay("192.0.2.1", 100.0 + 600.0) == 0.0
    assert admission.delay("192.0.2.2", 100.0) == 0.0


def test_errors_at_one_worker_count_at_the_other() -> None:
    one, two = Admission(AdmissionLimits(free_errors=1)), Admission(AdmissionLimits(free_errors=1))
    one.note_error("192.0.2.1", 0.0, 4.0)
    two.add_remote_errors(one.take_errors(), 0.0)
    assert two.delay("192.0.2.1", 0.0) == one.delay("192.0.2.1", 0.0) > 0
    assert two.take_errors() == {}
    assert one.take_errors() == {}


def test_the_memory_of_errors_is_bounded() -> None:
    admission = Admission(AdmissionLimits(max_scores=10))
    for number in range(100):
        admission.note_error(f"192.0.2.{number}", 0.0)
    assert len(admission._scores) == 10


def test_without_a_coordinator_each_worker_takes_its_part_of_the_limits() -> None:
    admission = Admission(AdmissionLimits(per_address=5, total=0))
    admission.set_remote({"192.0.2.1": 2})
    admission.stand_alone(2)
    admit_many(admission, "192.0.2.1", 3)
    assert admission.admit("192.0.2.1", 0.0) is not None
    admission.resend_all()
    admit_many(admission, "192.0.2.1", 2)
    assert admission.admit("192.0.2.1", 0.0) is not None


def test_exempt_networks_are_held_to_the_total_only() -> None:
    exempt = [ipaddress.ip_network("192.0.2.0/24")]
    admission = Admission(AdmissionLimits(total=4, per_address=1, per_network=1), exempt)
    admit_many(admission, "192.0.2.1", 2)
    admit_many(admission, "198.51.100.1", 1)
    assert admission.admit("198.51.100.1", 0.0) is not None
    admit_many(admission, "::ffff:192.0.2.1", 1)
    assert admission.admit("192.0.2.1", 0.0) is not None
