"""Mail with a deadline of its sender (RFC 2852)."""

from __future__ import annotations

from dataclasses import replace

from posthouse.message.envelope import DeliverBy
from posthouse.message.instant import Instant
from tests.mta.runner_kit import LATER, OK, Bench, FakeHops


async def send(bench: Bench, seconds: float, *, is_return: bool) -> None:
    new = bench.compose("bob@there.example", sender="alice@here.example")
    by = DeliverBy(Instant(bench.clock.now() + seconds), is_return)
    new.envelope = replace(new.envelope, deliver_by=by)
    bench.runner.take(await bench.spool.accept(new))
    await bench.settle()


async def test_with_mode_r_it_goes_back_when_its_time_is_over_and_is_not_tried_after() -> None:
    hops = FakeHops(lambda part, address: OK if address.local == "alice" else LATER)
    bench = Bench(hops)
    await send(bench, 60, is_return=True)
    assert len(hops.parts) == 1
    await bench.pass_time(61)
    assert bench.reports_for("alice@here.example") == 1
    assert sum(recipients == ["bob@there.example"] for _, recipients in hops.parts) == 1
    assert not bench.stored()


async def test_with_mode_n_the_sender_is_told_that_it_is_late_and_it_is_tried_on() -> None:
    hops = FakeHops(lambda part, address: OK if address.local == "alice" else LATER)
    bench = Bench(hops)
    await send(bench, 60, is_return=False)
    assert bench.reports_for("alice@here.example") == 0
    await bench.pass_time(61)
    assert bench.reports_for("alice@here.example") == 1
    await bench.pass_time(400)
    assert bench.reports_for("alice@here.example") == 1
    assert len(bench.stored()) == 1


async def test_what_comes_too_late_already_goes_back_untried() -> None:
    bench = Bench()
    await send(bench, -1, is_return=True)
    await bench.settle()
    assert bench.reports_for("alice@here.example") == 1
    assert all(recipients != ["bob@there.example"] for _, recipients in bench.hops.parts)
