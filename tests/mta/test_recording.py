"""The runner and mail that was submitted: tried when the store says so, forgotten when the store has been told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from posthouse.message.mailbox import AccountId, SubmissionId
from posthouse.ports.spool import QueuedMessage, Status, SubmissionKey
from tests.mta.runner_kit import NEVER, OK, Bench, FakeHops

KEY = SubmissionKey(AccountId(7), SubmissionId(3))


@dataclass
class FakeSubmitted:
    """`may_go`: what the store says; `can_record`: whether it can be told."""

    may_go: bool = True
    can_record: bool = True
    recorded: list[list[Status]] = field(default_factory=list)

    async def clear(self, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
        return [message for message in messages if message.submission is None or self.may_go]

    async def record(self, message: QueuedMessage) -> bool:
        if self.can_record:
            self.recorded.append([one.status for one in message.recipients])
        return self.can_record


def make_bench(submitted: FakeSubmitted, hops: FakeHops | None = None) -> Bench:
    return Bench(hops, submitted=submitted)


async def queue(bench: Bench, *recipients: str) -> QueuedMessage:
    new = replace(bench.compose(*recipients, sender="alice@here.example"), submission=KEY)
    return await bench.spool.accept(new)


async def test_an_announced_message_is_taken_once_and_not_claimed_meanwhile() -> None:
    bench = make_bench(FakeSubmitted())
    message = await queue(bench, "bob@there.example")
    bench.runner.announce(message.id)
    await bench.pass_time(400)
    assert not bench.hops.parts
    bench.runner.take_announced(message)
    bench.runner.take_announced(message)
    await bench.settle()
    assert len(bench.hops.parts) == 1


async def test_what_was_held_while_it_was_announced_is_not_taken() -> None:
    bench = make_bench(FakeSubmitted())
    message = await queue(bench, "bob@there.example")
    bench.runner.announce(message.id)
    bench.runner.withdraw([message.id])
    bench.runner.take_announced(message)
    await bench.settle()
    assert not bench.hops.parts


async def test_a_message_that_the_store_has_not_marked_is_not_tried() -> None:
    submitted = FakeSubmitted(may_go=False)
    bench = make_bench(submitted)
    await queue(bench, "bob@there.example")
    await bench.runner.pick_up(bench.spool)
    await bench.pass_time(400)
    assert not bench.hops.parts
    submitted.may_go = True
    await bench.pass_time(1000)
    assert len(bench.hops.parts) == 1


async def test_the_store_hears_of_it_before_the_spool_forgets() -> None:
    submitted = FakeSubmitted()
    bench = make_bench(submitted)
    bench.runner.take(await queue(bench, "bob@there.example"))
    await bench.settle()
    assert submitted.recorded == [[Status.RELAYED]]
    assert not bench.stored()


async def test_a_failure_is_recorded_and_reported() -> None:
    submitted = FakeSubmitted()
    hops = FakeHops(lambda part, address: NEVER if address.local == "bob" else OK)
    bench = make_bench(submitted, hops)
    bench.runner.take(await queue(bench, "bob@there.example", "carol@there.example"))
    await bench.settle()
    assert submitted.recorded[-1] == [Status.FAILED, Status.RELAYED]
    assert bench.reports_for("alice@here.example") == 1
    assert not bench.stored()


async def test_a_store_that_cannot_be_told_keeps_the_message_listed_and_is_told_again() -> None:
    submitted = FakeSubmitted(can_record=False)
    bench = make_bench(submitted)
    bench.runner.take(await queue(bench, "bob@there.example"))
    await bench.settle()
    assert [one.status for message in bench.stored() for one in message.recipients] == [Status.RELAYED]
    await bench.pass_time(1000)
    assert len(bench.hops.parts) == 1
    submitted.can_record = True
    await bench.pass_time(1)
    assert not bench.stored()
    assert submitted.recorded == [[Status.RELAYED]]
