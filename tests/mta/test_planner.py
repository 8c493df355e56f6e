"""What the queue planner does in single situations."""

from __future__ import annotations

import pytest

from posthouse.message.address import parse_address
from posthouse.mta.planner import Rest, Slot, SlotState, Verb, flow_of
from posthouse.mta.targets import STORE_SITE, AccountBox, SiteKey
from tests.mta.planner_kit import NOW, SITE, at, drain, make_job, make_planner, must_take, opened

OTHER = SiteKey("mx:other.example")
BOX = SiteKey("maildir:/var/mail")


def test_a_message_gets_a_connection_and_leaves() -> None:
    planner = make_planner()
    job = make_job()
    assert planner.offer(job, NOW)
    (slot,) = opened(planner.plan(NOW))
    part = must_take(planner, slot)
    assert (part.message, len(part.recipients), slot.destination) == (job.message, 1, job.destination)
    assert planner.holds(job.message.id)
    assert not planner.finished(slot, NOW)
    assert not planner.holds(job.message.id)
    assert planner.take(slot, NOW) is Rest.IDLE
    assert (planner.active.messages, planner.active.octets, planner.count_waiting()) == (0, 0, 0)


def test_an_idle_connection_is_used_before_a_new_one_is_opened() -> None:
    planner = make_planner()
    planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.finished(slot, NOW)
    planner.take(slot, NOW)
    planner.offer(make_job(), NOW)
    assert planner.plan(NOW) == [(Verb.USE, slot)]
    must_take(planner, slot)


def test_an_idle_connection_is_closed_after_its_time() -> None:
    planner = make_planner()
    planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.finished(slot, NOW)
    planner.take(slot, NOW)
    assert planner.plan(at(4.9)) == []
    assert planner.next_wake() == at(5)
    assert planner.plan(at(5)) == [(Verb.CLOSE, slot)]
    assert slot.state is SlotState.CLOSED
    assert (planner.connections, planner.next_wake()) == (0, None)


def test_no_more_connections_than_messages_wait() -> None:
    planner = make_planner(window=5)
    for _ in range(3):
        planner.offer(make_job(), NOW)
    assert len(opened(planner.plan(NOW))) == 3
    assert planner.plan(NOW) == []


def test_no_more_connections_than_the_window() -> None:
    planner = make_planner(window=5)
    for _ in range(30):
        planner.offer(make_job(), NOW)
    assert len(opened(planner.plan(NOW))) == 5


def test_success_widens_the_window_and_more_connections_follow() -> None:
    planner = make_planner(window=5)
    for _ in range(200):
        planner.offer(make_job(), NOW)
    slots = opened(planner.plan(NOW))
    for _ in range(12):
        for slot in list(slots):
            if slot.part is not None:
                planner.finished(slot, NOW)
            must_take(planner, slot)
        slots += opened(planner.plan(NOW))
    assert 12 < len(slots) <= 20


def test_a_site_nobody_has_spoken_to_gets_one_connection_until_it_answers() -> None:
    planner = make_planner(window=5, proven=())
    for _ in range(30):
        planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    assert planner.plan(NOW) == []
    planner.connected(slot)
    assert len(opened(planner.plan(NOW))) == 4


def test_ten_thousand_messages_for_a_dead_host_cost_one_probe() -> None:
    planner = make_planner(proven=())
    jobs = [make_job(f"sender{number % 100}") for number in range(10_000)]
    assert all(planner.offer(job, NOW) for job in jobs)
    (probe,) = opened(planner.plan(NOW))
    must_take(planner, probe)
    dropped = planner.failed(probe, NOW, "connection refused")
    assert len(dropped) == 9_999
    assert planner.plan(NOW) == []
    assert (planner.active.messages, planner.connections) == (0, 0)
    assert not any(planner.offer(job, at(59)) for job in jobs)
    assert planner.plan(at(59)) == []
    assert all(planner.offer(make_job(job.flow), at(60)) for job in jobs)
    (probe,) = opened(planner.plan(at(60)))
    must_take(planner, probe)
    planner.failed(probe, at(60), "connection refused")
    assert planner.sites.get(SITE).closed_until(at(60)) == at(180)


def test_a_site_that_comes_back_gets_its_window_again() -> None:
    planner = make_planner(proven=())
    planner.offer(make_job(), NOW)
    (probe,) = opened(planner.plan(NOW))
    planner.failed(probe, NOW, "no route")
    for _ in range(10):
        planner.offer(make_job(), at(61))
    (probe,) = opened(planner.plan(at(61)))
    must_take(planner, probe, at(61))
    assert planner.finished(probe, at(61))  # recovered
    assert len(opened(planner.plan(at(61)))) == 4
    assert planner.sites.get(SITE).to_row().failures == 0


def test_one_failed_connection_among_working_ones_only_narrows_the_window() -> None:
    planner = make_planner(window=5)
    for _ in range(50):
        planner.offer(make_job(), NOW)
    slots = opened(planner.plan(NOW))
    for slot in slots:
        must_take(planner, slot)
    for slot in slots[:2]:
        planner.connected(slot)
    assert [planner.failed(slot, NOW, "421 too many connections") for slot in slots[2:]] == [[], [], []]
    assert not planner.sites.get(SITE).is_dead
    assert opened(planner.plan(NOW)) == opened(planner.plan(NOW)) == [] or planner.sites.get(SITE).limit() > 2


def test_a_connection_lost_in_mid_message_gives_the_part_back_once() -> None:
    planner = make_planner()
    job = make_job()
    planner.offer(job, NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.failed(slot, NOW, "lost")
    planner.closed(slot)
    planner.closed(slot)
    assert (planner.active.messages, planner.connections) == (0, 0)


def test_a_job_is_split_by_the_recipient_limit() -> None:
    planner = make_planner()
    planner.offer(make_job(recipients=250), NOW)
    parts = drain(planner, max_recipients=100)
    assert sorted(len(part.recipients) for part in parts) == [50, 100, 100]
    assert planner.active.messages == 0


def test_many_recipients_at_one_site_use_several_connections() -> None:
    planner = make_planner(window=5)
    planner.offer(make_job(recipients=1000), NOW)
    assert len(opened(planner.plan(NOW))) == 5


def test_the_jobs_of_one_message_count_as_one_message() -> None:
    planner = make_planner(proven=(SITE, OTHER))
    job = make_job()
    other = make_job(site=OTHER)
    other.message = job.message
    assert planner.offer(job, NOW)
    assert planner.offer(other, NOW)
    assert planner.active.messages == 1
    (first, second) = opened(planner.plan(NOW))
    must_take(planner, first)
    planner.finished(first, NOW)
    assert planner.holds(job.message.id)
    must_take(planner, second)
    planner.finished(second, NOW)
    assert not planner.holds(job.message.id)


def test_a_message_that_is_held_is_taken_out_and_the_part_in_hand_goes_on() -> None:
    planner = make_planner()
    job = make_job(recipients=250)
    planner.offer(job, NOW)
    slot = opened(planner.plan(NOW))[0]
    must_take(planner, slot)
    (withdrawn,) = planner.withdraw(job.message.id)
    assert len(withdrawn.recipients) == 150
    assert planner.holds(job.message.id)
    planner.finished(slot, NOW)
    assert not planner.holds(job.message.id)
    assert planner.take(slot, NOW) is Rest.IDLE
    assert planner.withdraw(job.message.id) == []


def test_a_message_already_picked_for_delivery_still_expires_on_time() -> None:
    planner = make_planner(window=1)
    first, second = make_job(expires=at(1000)), make_job(expires=at(500))
    planner.offer(first, NOW)
    planner.offer(second, NOW)
    (slot,) = opened(planner.plan(NOW))
    assert must_take(planner, slot).job is first
    assert planner.expired(at(499)) == []
    assert planner.expired(at(500)) == [second]
    assert len(second.recipients) == 1
    planner.finished(slot, at(500))
    assert planner.take(slot, at(500)) is Rest.IDLE


def test_a_message_with_one_more_try_to_come_does_not_expire_here() -> None:
    planner = make_planner()
    planner.offer(make_job(), NOW)
    assert planner.expired(at(10**9)) == []


def test_a_slowed_down_site_gets_one_message_per_interval() -> None:
    planner = make_planner()
    planner.slow_down(SITE, NOW, messages_per_minute=6, duration_s=3600)
    for _ in range(5):
        assert planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.finished(slot, NOW)
    assert planner.take(slot, NOW) is Rest.IDLE
    assert planner.plan(at(4)) == []
    assert planner.next_wake() == at(5)  # the idle connection's time; the next message's is later
    assert planner.plan(at(5)) == [(Verb.CLOSE, slot)]
    assert planner.next_wake() == at(10)
    (slot,) = opened(planner.plan(at(10)))
    must_take(planner, slot, at(10))


def test_a_slowed_down_site_is_not_kept_in_memory_beyond_what_it_takes_soon() -> None:
    planner = make_planner()
    planner.slow_down(SITE, NOW, messages_per_minute=6, duration_s=3600)
    assert sum(planner.offer(make_job(f"s{number}"), NOW) for number in range(1000)) == 30


def test_a_suspended_site_drops_its_jobs_and_takes_none_until_then() -> None:
    planner = make_planner()
    jobs = [make_job() for _ in range(3)]
    for job in jobs:
        planner.offer(job, NOW)
    assert planner.suspend(SITE, at(600), "421 come back later") == jobs
    assert not planner.offer(make_job(), at(599))
    assert planner.plan(at(599)) == []
    assert planner.offer(make_job(), at(600))


def test_one_flow_takes_at_most_half_of_the_active_set() -> None:
    planner = make_planner(max_messages=1000)
    taken = sum(planner.offer(make_job("mailing", site=SiteKey(f"mx:{number}")), NOW) for number in range(2000))
    assert taken == 500
    assert planner.has_room(2000, "somebody else")
    assert not planner.has_room(2000, "mailing")
    assert planner.offer(make_job("somebody else"), NOW)


def test_one_site_takes_at_most_three_quarters_of_the_active_set_however_many_senders() -> None:
    planner = make_planner(max_messages=1000)
    assert sum(planner.offer(make_job(f"s{number}"), NOW) for number in range(2000)) == 750
    assert planner.offer(make_job("s0", site=OTHER), NOW)


def test_one_flow_takes_at_most_half_of_the_octets() -> None:
    planner = make_planner(max_octets=1_000_000)
    taken = sum(planner.offer(make_job("m", size=50_000, site=SiteKey(f"mx:{n}")), NOW) for n in range(20))
    assert taken == 10
    assert planner.has_room(50_000, "other")


def test_a_message_larger_than_the_active_set_goes_when_nothing_else_is_there() -> None:
    planner = make_planner(max_octets=1000)
    assert planner.offer(make_job(size=50_000), NOW)
    assert not planner.offer(make_job(size=1), NOW)


def test_all_connections_in_use_close_an_idle_one_of_another_site() -> None:
    planner = make_planner(proven=(SITE, OTHER), max_connections=1)
    planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.finished(slot, NOW)
    planner.take(slot, NOW)
    planner.offer(make_job(site=OTHER), NOW)
    closing, opening = planner.plan(NOW)
    assert closing == (Verb.CLOSE, slot)
    assert (opening.verb, opening.slot.site) == (Verb.OPEN, OTHER)


def test_a_busy_site_gives_a_connection_to_one_that_has_none() -> None:
    planner = make_planner(proven=(SITE, OTHER), max_connections=1)
    for _ in range(100):
        planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    planner.offer(make_job(site=OTHER), NOW)
    assert planner.plan(NOW) == []
    taken = 0
    while planner.take(slot, NOW) is not Rest.CLOSE:
        planner.finished(slot, NOW)
        taken += 1
    assert taken == 10
    (other,) = opened(planner.plan(NOW))
    assert other.site == OTHER
    must_take(planner, other)
    planner.finished(other, NOW)
    planner.closed(other)
    assert [slot.site for slot in opened(planner.plan(NOW))] == [SITE]


def test_limits_on_outbound_mail_never_slow_local_delivery() -> None:
    planner = make_planner(max_connections=1, max_messages=1000)
    planner.slow_down(SITE, NOW, messages_per_minute=1, duration_s=86400)
    for number in range(2000):
        planner.offer(make_job(f"s{number % 50}"), NOW)
    planner.plan(NOW)
    for number in range(50):
        assert planner.offer(make_job(f"t{number}", site=BOX), NOW)
    slots = [slot for slot in opened(planner.plan(NOW)) if slot.site == BOX]
    assert slots
    must_take(planner, slots[0])


def test_a_share_of_nothing_opens_nothing_until_there_is_one() -> None:
    planner = make_planner()
    planner.sites.set_share(SITE, 0)
    planner.offer(make_job(), NOW)
    assert planner.plan(NOW) == []
    planner.sites.set_share(SITE, 2)
    planner.recheck()
    assert len(opened(planner.plan(NOW))) == 1


def test_a_smaller_window_closes_connections_that_ask_for_work() -> None:
    planner = make_planner(window=5)
    for _ in range(50):
        planner.offer(make_job(), NOW)
    slots = opened(planner.plan(NOW))
    for slot in slots:
        must_take(planner, slot)
    planner.sites.set_share(SITE, 2)
    rests: list[object] = []
    for slot in slots:
        planner.finished(slot, NOW)
        rests.append(planner.take(slot, NOW))
    assert rests.count(Rest.CLOSE) == 3


def test_a_connection_that_was_never_made_is_not_kept_idle() -> None:
    planner = make_planner()
    job = make_job()
    planner.offer(job, NOW)
    (slot,) = opened(planner.plan(NOW))
    planner.withdraw(job.message.id)
    assert planner.take(slot, NOW) is Rest.CLOSE
    assert planner.connections == 0


def test_a_clock_that_is_put_back_closes_idle_connections_rather_than_keep_them_for_days() -> None:
    planner = make_planner()
    planner.offer(make_job(), NOW)
    (slot,) = opened(planner.plan(NOW))
    must_take(planner, slot)
    planner.finished(slot, NOW)
    planner.take(slot, NOW)
    assert planner.plan(at(-86400)) == [(Verb.CLOSE, slot)]


def test_nothing_is_remembered_of_a_site_that_is_done_with() -> None:
    planner = make_planner(proven=())
    for number in range(100):
        planner.offer(make_job(site=SiteKey(f"mx:{number}")), NOW)
    slots: list[Slot] = opened(planner.plan(NOW))
    for slot in slots:
        must_take(planner, slot)
        planner.finished(slot, NOW)
        planner.closed(slot)
    assert (len(planner._queues), len(planner.active._usage), len(planner._idle)) == (0, 0, 0)
    assert planner.forget_idle_sites(at(3600)) == 100
    assert len(planner.sites) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("list+ann=a.example@l.example", "list+bob=b.example@l.example", True),
        ("bounce-17-ann=a.example@l.example", "bounce-18-bob=b.example@l.example", True),
        ("prvs=1234abcd=ann@a.example", "prvs=9876abcd=ann@a.example", True),
        ("ann+shop@a.example", "ann+bank@a.example", True),
        ("ann@a.example", "bob@a.example", False),
    ],
)
def test_senders_that_carry_tags_are_one_flow(one: str, other: str, same: bool) -> None:
    assert (flow_of(parse_address(one), "ip") == flow_of(parse_address(other), "ip")) is same


def test_flows_of_one_sender_from_two_sources_are_two() -> None:
    assert flow_of(parse_address("a@b.example"), "192.0.2.1") != flow_of(parse_address("a@b.example"), "192.0.2.2")
    assert flow_of(None, "192.0.2.1") == flow_of(None, "192.0.2.1")


def test_mail_into_accounts_has_a_window_of_its_own_and_no_part_in_outbound_connections() -> None:
    planner = make_planner(max_connections=1, proven=(SITE, STORE_SITE))
    for _ in range(30):
        planner.offer(make_job(), NOW)
        job = make_job(site=STORE_SITE)
        job.destination = AccountBox()
        planner.offer(job, NOW)
    opened = [slot.site for verb, slot in planner.plan(NOW) if verb is Verb.OPEN]
    assert (opened.count(SITE), opened.count(STORE_SITE)) == (1, 30)
