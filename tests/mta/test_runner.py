"""What becomes of a message in the queue, with next hops that answer what they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from posthouse.message.address import Address
from posthouse.message.envelope import Notify
from posthouse.message.outcome import Deferred, Refused
from posthouse.message.reply import Reply
from posthouse.mta.outbound import DeliveryResult, NotTried
from posthouse.mta.planner import Part
from posthouse.mta.targets import Discarded, Rejected, SiteKey, Unroutable
from posthouse.ports.spool import Action, Selection, SpoolError, Status
from tests.mta.runner_kit import DEAD, LATER, NEVER, OK, Bench, FakeHops

MakeBench = Callable[..., Bench]


@pytest.fixture
async def make_bench() -> AsyncIterator[MakeBench]:
    """Benches that are stopped at the end, whatever they still have in hand."""
    made: list[Bench] = []

    def make(hops: FakeHops | None = None, settings: Mapping[str, int] | None = None, **planner: int) -> Bench:
        made.append(Bench(hops, settings, None, **planner))
        return made[-1]

    yield make
    for bench in made:
        await bench.runner.stop(0.0)


async def test_a_delivered_message_leaves_the_spool(make_bench: MakeBench) -> None:
    bench = make_bench()
    message = await bench.accept("bob@there.example")
    await bench.settle()
    assert bench.hops.parts == [(message.id, ["bob@there.example"])]
    assert bench.stored() == []
    assert [step for step, _, _ in bench.journal.records] == ["relayed"]
    assert bench.runner.is_idle


async def test_recipients_of_one_site_go_in_one_transaction_and_sites_apart(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.accept("a@one.example", "b@two.example", "c@one.example")
    await bench.settle()
    assert sorted(each for _, each in bench.hops.parts) == [["a@one.example", "c@one.example"], ["b@two.example"]]
    assert bench.stored() == []


async def test_a_domain_that_must_be_asked_for_is_asked_once_for_all(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.routes.slow = {"there.example"}
    for _ in range(20):
        await bench.accept("a@there.example")
    await bench.settle()
    assert bench.routes.asked == ["there.example"]
    assert len(bench.hops.parts) == 20
    assert bench.stored() == []


async def test_a_4xx_for_one_of_many_recipients_retries_that_one_alone(make_bench: MakeBench) -> None:
    def answer(part: Part, address: Address) -> DeliveryResult:
        return LATER if address.local == "b" and len(bench.hops.parts) == 1 else OK

    bench = make_bench(FakeHops(answer))
    await bench.accept("a@there.example", "b@there.example", "c@there.example")
    await bench.settle()
    (left,) = bench.stored()
    assert [one.status for one in left.recipients] == [Status.RELAYED, Status.WAITING, Status.RELAYED]
    assert left.recipients[1].attempts == 1
    await bench.pass_time(400)
    assert bench.hops.parts[1][1] == ["b@there.example"]
    assert bench.stored() == []


async def test_the_next_attempt_is_stored_before_connecting(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(gate=gate))
    message = await bench.accept("b@there.example")
    await bench.settle()
    assert bench.hops.parts  # it is being tried now
    stored = await bench.spool.load(message.id)
    assert stored is not None
    assert (stored.recipients[0].next_attempt or 0) > bench.clock.now()
    gate.set()
    await bench.settle()


async def test_a_claimed_retry_moves_its_next_attempt_before_it_is_tried(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    gate.set()
    bench = make_bench(FakeHops(lambda part, address: LATER, gate=gate))
    message = await bench.accept("b@there.example")
    await bench.settle()
    gate.clear()
    await bench.pass_time(400)
    assert len(bench.hops.parts) == 2
    stored = await bench.spool.load(message.id)
    assert stored is not None
    assert (stored.recipients[0].next_attempt or 0) > bench.clock.now() + 500
    gate.set()
    await bench.settle()


async def test_refused_recipients_cause_one_report_that_is_stored_with_their_end(make_bench: MakeBench) -> None:
    def answer(part: Part, address: Address) -> DeliveryResult:
        return NEVER if address.domain == "there.example" else OK

    bench = make_bench(FakeHops(answer))
    message = await bench.accept("a@there.example", "b@there.example", "c@fine.example")
    await bench.settle()
    assert bench.stored() == []  # the report has been delivered, too
    (report,) = [ids for ids, recipients in bench.hops.parts if recipients == ["alice@here.example"]]
    assert ("reported", message.id) in [(step, queue_id) for step, queue_id, _ in bench.journal.records]
    assert report != message.id


async def test_a_bounce_to_the_empty_sender_is_dropped(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: NEVER))
    await bench.accept("nobody@there.example", sender=None)
    await bench.settle()
    assert bench.stored() == []
    assert len(bench.hops.parts) == 1


async def test_a_bounce_that_bounces_goes_to_the_postmaster_and_ends_there(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: NEVER))
    await bench.accept("nobody@there.example")
    await bench.settle()
    assert [recipients for _, recipients in bench.hops.parts] == [
        ["nobody@there.example"],
        ["alice@here.example"],
        ["admin@here.example"],
    ]
    assert bench.stored() == []


async def test_a_slow_recipient_does_not_hold_up_the_report_about_those_that_failed(make_bench: MakeBench) -> None:
    bench, go_on = make_failing_bench(make_bench)
    message = await bench.accept("a@bad.example", "b@slow.example", "c@bad.example", "d@worse.example")
    await bench.settle()
    assert bench.reports_for("alice@here.example") == 0
    await bench.pass_time(5)
    assert bench.reports_for("alice@here.example") == 1
    stored = await bench.spool.load(message.id)
    assert stored is not None
    assert [one.status for one in stored.recipients] == [Status.FAILED, Status.WAITING, Status.FAILED, Status.FAILED]
    go_on.set()
    await bench.settle()
    assert bench.stored() == []
    assert bench.runner.is_idle
    assert bench.reports_for("alice@here.example") == 1


async def test_what_fails_after_the_report_has_a_report_of_its_own(make_bench: MakeBench) -> None:
    bench, go_on = make_failing_bench(make_bench, slow=NEVER)
    await bench.accept("a@bad.example", "b@slow.example")
    await bench.settle()
    await bench.pass_time(5)
    go_on.set()
    await bench.settle()
    assert bench.reports_for("alice@here.example") == 2
    assert bench.stored() == []


async def test_a_message_that_ends_while_its_report_is_stored_leaves_after_it(make_bench: MakeBench) -> None:
    bench, go_on = make_failing_bench(make_bench)
    await bench.accept("a@bad.example", "b@slow.example")
    await bench.settle()
    bench.clock.advance(5)
    await bench.runner.tick()
    go_on.set()  # the report is on its way to the disk
    await bench.settle()
    assert bench.reports_for("alice@here.example") == 1
    assert bench.stored() == []
    assert bench.runner.is_idle


async def test_an_early_report_that_cannot_be_stored_is_told_at_the_end(make_bench: MakeBench) -> None:
    bench, go_on = make_failing_bench(make_bench)
    await bench.accept("a@bad.example", "b@slow.example")
    await bench.settle()
    bench.spool.disk.error = SpoolError("no room")
    bench.clock.advance(5)
    await bench.runner.tick()
    await bench.settle()
    bench.spool.disk.error = None
    assert "report could not be stored" in [event for _, event, _ in bench.log.events]
    assert bench.reports_for("alice@here.example") == 0
    go_on.set()
    await bench.settle()
    assert bench.reports_for("alice@here.example") == 1
    assert bench.stored() == []


def make_failing_bench(make_bench: MakeBench, slow: DeliveryResult = OK) -> tuple[Bench, asyncio.Event]:
    """bad.example refuses at once, slow.example answers `slow` when the event is set."""
    gates = {"slow.example": asyncio.Event()}

    def answer(part: Part, address: Address) -> DeliveryResult:
        if address.domain in ("bad.example", "worse.example"):
            return NEVER
        return slow if address.domain == "slow.example" else OK

    return make_bench(FakeHops(answer, gates=gates)), gates["slow.example"]


async def test_success_is_reported_when_asked_for_and_the_hop_cannot(make_bench: MakeBench) -> None:
    bench = make_bench()
    await bench.accept("bob@there.example", notify=Notify.SUCCESS)
    await bench.settle()
    assert [recipients for _, recipients in bench.hops.parts] == [["bob@there.example"], ["alice@here.example"]]
    assert bench.stored() == []


async def test_a_message_is_tried_until_it_expires_then_bounced(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: LATER if address.domain == "there.example" else OK))
    await bench.accept("b@there.example")
    await bench.settle()
    for _ in range(200):
        if not bench.stored():
            break
        await bench.pass_time(3600)
    assert bench.stored() == []
    tries = sum(recipients == ["b@there.example"] for _, recipients in bench.hops.parts)
    assert 30 <= tries <= 45
    told = [recipients for _, recipients in bench.hops.parts if recipients == ["alice@here.example"]]
    assert len(told) == 2  # the delay after four hours and the failure after five days


async def test_after_a_clock_jump_every_message_gets_one_more_try_before_it_expires(make_bench: MakeBench) -> None:
    answers = {"result": LATER}
    bench = make_bench(FakeHops(lambda part, address: answers["result"]))
    await bench.accept("b@there.example")
    await bench.settle()
    bench.clock.jump(6 * 86400)
    answers["result"] = OK  # type: ignore[assignment]
    await bench.pass_time(1)
    assert len(bench.hops.parts) == 2
    assert bench.stored() == []
    assert not [step for step, _, _ in bench.journal.records if step == "reported"]


async def test_a_machine_asleep_for_six_days_bounces_nothing_untried(make_bench: MakeBench) -> None:
    state = {"dead": True}
    bench = make_bench(FakeHops(lambda part, address: DEAD if state["dead"] else OK))
    for number in range(20):
        await bench.accept("b@there.example", sender=f"s{number}@here.example")
    await bench.settle()
    bench.clock.jump(6 * 86400)
    await bench.pass_time(1)  # the network is not there yet: the one probe fails
    expired = 20 - len([each for each in bench.stored() if not each.is_report])
    assert expired <= 1  # the one that was tried
    state["dead"] = False
    for _ in range(3):
        await bench.pass_time(300)  # the next mail finds the site alive, and what was let go follows it
        await bench.accept("b@there.example")
        await bench.settle()
    await bench.pass_time(1)
    assert bench.stored() == []
    delivered = [recipients for _, recipients in bench.hops.parts if recipients == ["b@there.example"]]
    assert len(delivered) >= 20


async def test_10_000_queued_messages_for_a_dead_host_cost_one_probe(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(lambda part, address: DEAD, gate=gate), max_messages=50_000)
    for number in range(10_000):
        await bench.accept("b@there.example", sender=f"s{number}@here.example")
    gate.set()
    await bench.settle()
    assert len(bench.hops.parts) == 1
    assert len(bench.stored()) == 10_000
    assert bench.runner.is_idle
    untouched = [each for each in bench.stored() if not each.recipients[0].attempts]
    assert len(untouched) == 9_999  # nothing of theirs was rewritten
    assert bench.spool.disk.sites["mx:there.example"].failures == 1


async def test_mail_for_a_dead_site_expires_although_it_is_not_tried(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: DEAD if address.domain == "there.example" else OK))
    for number in range(5):
        await bench.accept("b@there.example", sender=f"s{number}@here.example")
    await bench.settle()
    for _ in range(400):
        if not bench.stored():
            break
        await bench.pass_time(1800)
    assert bench.stored() == []
    bounced = {recipients[0] for _, recipients in bench.hops.parts if recipients[0].endswith("@here.example")}
    assert bounced == {f"s{number}@here.example" for number in range(5)}


async def test_mail_waits_no_longer_than_its_schedule_once_a_dead_site_is_back(make_bench: MakeBench) -> None:
    state = {"dead": True}
    bench = make_bench(FakeHops(lambda part, address: DEAD if state["dead"] else OK))
    for number in range(20):
        await bench.accept("b@there.example", sender=f"s{number}@here.example")
    await bench.settle()
    state["dead"] = False
    for _ in range(6):
        await bench.pass_time(120)
    assert bench.stored() == []


async def test_too_many_recipients_for_one_transaction_go_at_once_in_the_next(make_bench: MakeBench) -> None:
    def answer(part: Part, address: Address) -> DeliveryResult:
        place = [str(one.recipient.address) for one in part.recipients].index(str(address))
        return OK if place < 3 else NotTried("mx")

    bench = make_bench(FakeHops(answer))
    await bench.accept(*(f"r{number}@there.example" for number in range(10)))
    await bench.settle()
    assert bench.stored() == []
    assert [len(recipients) for _, recipients in bench.hops.parts] == [10, 7, 4, 1]


async def test_a_hop_that_takes_no_recipient_at_all_is_not_asked_for_ever(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: NotTried("mx")))
    await bench.accept("a@there.example", "b@there.example")
    await bench.settle()
    assert len(bench.hops.parts) == 1
    (left,) = bench.stored()
    assert all(one.last_reply is not None and one.last_reply.code == 452 for one in left.recipients)


async def test_what_the_configuration_or_dns_says_is_an_outcome_without_a_connection(make_bench: MakeBench) -> None:
    bench = make_bench()
    bench.routes.fixed = {
        "gone.example": Unroutable(Refused(Reply(550, "5.1.2", "no such domain"))),
        "slow.example": Unroutable(Deferred(Reply(451, "4.4.3", "name service"))),
        "hole.example": Discarded(),
        "shut.example": Rejected(Reply(550, "5.7.1", "closed")),
    }
    await bench.accept("a@gone.example", "a@slow.example", "a@hole.example", "a@shut.example")
    await bench.settle()
    (left,) = bench.stored()
    states = [one.status for one in left.recipients]
    assert states == [Status.FAILED, Status.WAITING, Status.DELIVERED, Status.FAILED]
    assert bench.hops.parts == [bench.hops.parts[0]]
    assert bench.hops.parts[0][1] == ["alice@here.example"]  # one report for the two that failed


async def test_of_a_message_in_hand_only_what_a_connection_has_is_being_tried(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(gate=gate, max_recipients=1))
    message = await bench.accept("a@there.example", "b@there.example", "c@else.example")
    await bench.settle()
    assert len(bench.hops.parts) == 2
    assert bench.runner.list_tried() == {message.id: {0, 2}}
    gate.set()
    await bench.settle()
    assert bench.runner.list_tried() == {}


async def test_a_held_message_in_hand_stays_held_unless_it_is_delivered(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(lambda part, address: LATER, gate=gate))
    message = await bench.accept("b@there.example")
    await bench.settle()
    ids = await bench.spool.change(Selection(ids=frozenset({message.id})), Action.HOLD, bench.clock.now())
    bench.runner.withdraw(ids)
    gate.set()
    await bench.settle()
    (left,) = bench.stored()
    assert left.recipients[0].status is Status.HELD
    await bench.pass_time(86400)
    assert len(bench.hops.parts) == 1


async def test_of_a_new_message_a_held_recipient_stays_and_the_others_go(make_bench: MakeBench) -> None:
    bench = make_bench()
    new = bench.compose("a@there.example", "postmaster@here.example", sender="alice@here.example")
    new.held_numbers = frozenset({1})
    bench.runner.take(await bench.spool.accept(new))
    await bench.settle()
    assert bench.hops.parts == [(new.id, ["a@there.example"])]
    (left,) = bench.stored()
    assert [one.status for one in left.recipients] == [Status.RELAYED, Status.HELD]


async def test_a_held_message_that_waits_in_memory_is_not_sent(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(gate=gate))
    messages = [await bench.accept("b@there.example", sender=f"s{number}@here.example") for number in range(40)]
    await bench.settle()
    last = messages[-1].id
    await bench.spool.change(Selection(ids=frozenset({last})), Action.DELETE, bench.clock.now())
    bench.runner.withdraw([last])
    gate.set()
    await bench.settle()
    assert last not in [queue_id for queue_id, _ in bench.hops.parts]
    assert bench.stored() == []


async def test_more_mail_than_memory_holds_is_read_back_in_order_and_all_delivered(make_bench: MakeBench) -> None:
    bench = make_bench(max_messages=50)
    for _ in range(400):
        await bench.accept("b@there.example")
    for _ in range(40):
        await bench.pass_time(1)
    assert bench.stored() == []
    ids = [queue_id for queue_id, _ in bench.hops.parts]
    assert len(ids) == len(set(ids)) == 400


async def test_what_waits_on_disk_counts_until_it_is_delivered(make_bench: MakeBench) -> None:
    bench = make_bench(settings={"max_parked": 100}, max_messages=50)
    for _ in range(400):
        await bench.accept("b@there.example")
    in_memory, waiting, unknown = bench.runner.count_held()
    assert in_memory + waiting == 400
    assert unknown == waiting - 100
    for _ in range(30):
        await bench.pass_time(60)
    assert bench.stored() == []
    assert bench.runner.count_held() == (0, 0, 0)


async def test_a_growing_backlog_slows_new_mail_down_and_then_refuses_it(make_bench: MakeBench) -> None:
    settings = {"max_parked": 100, "slow_above": 150, "refuse_above": 250}
    bench = make_bench(FakeHops(gate=asyncio.Event()), settings=settings, max_messages=50)
    delays = []
    for _ in range(300):
        await bench.accept("b@there.example")
        delays.append(bench.runner.mail_delay())
    assert set(delays[:150]) == {0.0}
    slow = delays[150:250]
    assert all(each is not None and 0.05 < each <= 0.5 for each in slow)
    assert slow == sorted(slow, key=lambda each: each or 0.0)
    assert set(delays[250:]) == {None}


async def test_a_mailing_that_fills_the_memory_does_not_keep_others_out(make_bench: MakeBench) -> None:
    gate = asyncio.Event()
    bench = make_bench(FakeHops(gate=gate), max_messages=100)
    for _ in range(1000):
        await bench.accept("b@there.example", sender="news@bulk.example")
    single = await bench.accept("c@there.example", sender="friend@here.example")
    gate.set()
    await bench.settle()
    order = [queue_id for queue_id, _ in bench.hops.parts]
    assert order.index(single.id) < 30


async def test_a_restart_picks_up_every_message_that_was_never_tried_once(make_bench: MakeBench) -> None:
    first = make_bench(FakeHops(gate=asyncio.Event()))
    for _ in range(30):
        await first.accept("b@there.example")
    second = make_bench()
    second.spool.disk = first.spool.disk
    await second.runner.pick_up(second.spool)
    await second.settle()
    ids = [queue_id for queue_id, _ in second.hops.parts]
    assert len(ids) == len(set(ids)) == 30
    assert second.stored() == []


async def test_what_is_picked_up_at_a_start_is_not_also_claimed_as_due(make_bench: MakeBench) -> None:
    first = make_bench(FakeHops(gate=asyncio.Event()))
    for _ in range(30):
        await first.accept("b@there.example")
    second = make_bench()
    second.spool.disk = first.spool.disk
    second.clock.advance(1000)
    found = await second.spool.load_unfinished(second.clock.now(), 100)
    starting = asyncio.create_task(second.runner.pick_up(second.spool))
    await asyncio.sleep(0)
    for _ in range(3):
        await second.pass_time(400)  # all of it is due by now
    await starting
    await second.settle()
    ids = [queue_id for queue_id, _ in second.hops.parts]
    assert len(found) == 30
    assert len(ids) == len(set(ids)) == 30


async def test_an_administrators_retry_reaches_a_dead_site_at_once(make_bench: MakeBench) -> None:
    state = {"dead": True}
    bench = make_bench(FakeHops(lambda part, address: DEAD if state["dead"] else OK))
    await bench.accept("b@there.example")
    await bench.settle()
    for _ in range(5):
        await bench.pass_time(600)  # dead for long by now
    state["dead"] = False
    ids = await bench.spool.change(Selection(domain="there.example"), Action.RETRY, bench.clock.now())
    bench.runner.wake(ids)
    await bench.settle()
    assert bench.stored() == []


async def test_a_delivery_whose_receipt_is_still_to_come_is_stored_at_once(make_bench: MakeBench) -> None:
    slow = asyncio.Event()
    bench = make_bench()
    bench.routes.slow = {"slow.example"}
    bench.routes.gate = slow
    message = await bench.accept("a@fast.example", "b@slow.example", notify=Notify.SUCCESS)
    await bench.settle()
    stored = bench.spool.disk.messages[message.id]
    assert [one.status for one in stored.recipients] == [Status.RELAYED, Status.WAITING]
    slow.set()
    await bench.settle()
    assert bench.stored() == []
    assert [step for step, _, _ in bench.journal.records].count("reported") == 1  # one receipt for both


async def test_a_restart_remembers_which_sites_are_dead(make_bench: MakeBench) -> None:
    first = make_bench(FakeHops(lambda part, address: DEAD))
    for _ in range(3):
        await first.accept("b@there.example")
    await first.settle()
    second = make_bench()
    second.spool.disk = first.spool.disk
    await second.runner.pick_up(second.spool)
    await second.settle()
    assert second.hops.parts == []
    await second.pass_time(61)
    await second.pass_time(300)
    assert second.stored() == []


async def test_a_message_in_hand_at_two_crashes_is_held(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(gate=asyncio.Event()))
    message = await bench.accept("b@there.example")
    await bench.settle()
    disk = bench.spool.disk
    for crash in (1, 2):
        after = make_bench(FakeHops(gate=asyncio.Event()))
        after.spool = type(after.spool)(after.clock, disk=disk)
        after.runner.add_spool(after.spool)
        await after.runner.pick_up(after.spool)
        await after.settle()
        assert len(after.hops.parts) == (1 if crash == 1 else 0)
    assert disk.messages[message.id].recipients[0].status is Status.HELD


async def test_a_defect_while_delivering_defers_the_message_and_is_logged(make_bench: MakeBench) -> None:
    def explode(part: Part, address: Address) -> DeliveryResult:
        raise RuntimeError("bug")

    bench = make_bench(FakeHops(explode))
    await bench.accept("b@there.example")
    await bench.settle()
    (left,) = bench.stored()
    assert left.recipients[0].attempts == 1
    assert bench.runner.is_idle
    assert any(level == "error" for level, _, _ in bench.log.events)


async def test_the_site_is_told_apart_from_a_deferred_recipient(make_bench: MakeBench) -> None:
    bench = make_bench(FakeHops(lambda part, address: LATER))
    await bench.accept("b@there.example")
    await bench.settle()
    assert not bench.planner.sites.get(SiteKey("mx:there.example")).is_dead
