"""What an administrator sees of the queue and does to it, by the names of the control socket."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from posthouse.manage.operations import QueueOperations, add_changes
from posthouse.manage.queue import NothingActive, add_counts
from posthouse.manage.rates import RateMeter
from posthouse.message.address import parse_address
from posthouse.message.envelope import Envelope, Recipient
from posthouse.message.ids import QueueId
from posthouse.message.instant import Instant
from posthouse.message.mailbox import AccountId, SubmissionId
from posthouse.message.reply import Reply
from posthouse.ports.clock import FakeClock
from posthouse.ports.observe import FakeJournal
from posthouse.ports.spool import (
    InlineBody,
    NewMessage,
    QueuedMessage,
    RecipientChange,
    Settlement,
    Spool,
    Status,
    SubmissionKey,
)
from posthouse.ports.spool_memory import MemorySpool

RETRY_S = 300.0


class FakeActive:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.ids: set[QueueId] = set()
        self.numbers = {0}  # recipients that are being tried
        self.withdrawn: list[QueueId] = []
        self.woken: list[QueueId] = []

    def list_tried(self) -> dict[QueueId, set[int]]:
        return dict.fromkeys(self.ids, self.numbers)

    def withdraw(self, ids: Collection[QueueId]) -> None:
        self.withdrawn += ids

    def wake(self, ids: Collection[QueueId]) -> None:
        self.woken += ids


class Desk:
    """Two shards and the operations on them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.spools = [MemorySpool(self.clock, 3), MemorySpool(self.clock, 1)]
        self.active = FakeActive()
        self.journal = FakeJournal()
        self.operations = QueueOperations(
            lambda: self.spools, self.active, self.clock, self.make_bounce, lambda: (2.5, 1.5), self.journal, self
        )
        self.given_up: list[QueueId] = []

    async def give_up(self, messages: Sequence[QueuedMessage], why: str) -> None:
        self.given_up += [message.id for message in messages]

    async def make_bounce(self, spool: Spool, message: QueuedMessage, now: Instant) -> Settlement:
        if message.envelope.sender is None:
            return Settlement(message.id, remove=True)
        envelope = Envelope(None, (Recipient(message.envelope.sender),))
        report = NewMessage(spool.reserve_id(), envelope, b"", InlineBody(b"report"), now, Instant(now + RETRY_S))
        return Settlement(message.id, remove=True, reports=[report])

    async def put(self, shard: int, *recipients: str, sender: str = "ann@a.example") -> QueueId:
        spool, now = self.spools[shard], self.clock.now()
        self.clock.advance(1)
        envelope = Envelope(
            parse_address(sender) if sender else None, tuple(Recipient(parse_address(each)) for each in recipients)
        )
        new = NewMessage(spool.reserve_id(), envelope, b"R: x\r\n", InlineBody(b"hello"), now, Instant(now + RETRY_S))
        return (await spool.accept(new)).id

    async def defer(self, shard: int, queue_id: QueueId) -> None:
        change = RecipientChange(
            0, Status.WAITING, Instant(self.clock.now() + 600), 1, Reply(450, "4.2.0", "later"), "mx[1]:25", "b.example"
        )
        await self.spools[shard].settle(Settlement(queue_id, [change]))

    async def change(self, args: dict[str, object]) -> object:
        return (await self.operations.change(args))["changed"]

    async def list_ids(self, **args: object) -> list[object]:
        page = await self.operations.list_messages(args)
        items = page["items"]
        assert isinstance(items, list)
        return [item["id"] for item in items]


@pytest.fixture(name="desk")
async def make_desk() -> Desk:
    return Desk()


async def test_a_message_is_listed_with_the_promised_names(desk: Desk) -> None:
    queue_id = await desk.put(0, "bob@b.example", "c@c.example")
    await desk.defer(0, queue_id)
    page = await desk.operations.list_messages({})
    assert page == {
        "items": [
            {
                "id": queue_id,
                "sender": "ann@a.example",
                "recipients": [
                    {
                        "address": "bob@b.example",
                        "status": "deferred",
                        "attempts": 1,
                        "next_attempt": "2027-01-15T08:10:01.000Z",
                        "last_reply": "450 4.2.0 later",
                        "next_hop": "b.example",
                    },
                    {
                        "address": "c@c.example",
                        "status": "ready",
                        "attempts": 0,
                        "next_attempt": "2027-01-15T08:05:00.000Z",
                        "last_reply": None,
                        "next_hop": None,
                    },
                ],
                "size": 11,
                "arrived": "2027-01-15T08:00:00.000Z",
                "held": False,
            }
        ],
        "more": False,
    }


async def test_shards_are_listed_in_the_order_of_ids_page_by_page(desk: Desk) -> None:
    high = [await desk.put(0, "x@x.example") for _ in range(3)]
    low = [await desk.put(1, "x@x.example") for _ in range(3)]
    assert await desk.list_ids() == [*low, *high]
    assert await desk.list_ids(limit=2) == low[:2]
    assert await desk.list_ids(limit=3, after=low[1]) == [low[2], *high[:2]]
    assert await desk.list_ids(limit=3, after=high[0]) == high[1:]
    assert (await desk.operations.list_messages({"limit": 6}))["more"] is True
    assert (await desk.operations.list_messages({"limit": 7}))["more"] is False


async def test_messages_are_chosen_by_domain_sender_and_status(desk: Desk) -> None:
    first = await desk.put(0, "x@one.example", "y@two.example")
    second = await desk.put(0, "x@two.example", sender="")
    third = await desk.put(1, "x@three.example", sender="Eve@e.example")
    await desk.defer(0, first)
    assert await desk.list_ids(domain="TWO.example") == [first, second]
    assert await desk.list_ids(sender="<>") == [second]
    assert await desk.list_ids(sender="Eve@E.example") == [third]
    assert await desk.list_ids(status="deferred") == [first]
    assert await desk.list_ids(status="ready", domain="two.example") == [first, second]
    assert await desk.list_ids(status="held") == []


async def test_of_a_message_in_hand_only_what_is_tried_now_is_active(desk: Desk) -> None:
    queue_id = await desk.put(0, "x@one.example", "y@two.example", "z@three.example")
    await desk.defer(0, queue_id)
    desk.active.ids, desk.active.numbers = {queue_id}, {1}
    shown = await desk.operations.show({"id": queue_id})
    assert shown is not None
    recipients = shown["recipients"]
    assert isinstance(recipients, list)
    assert [each["status"] for each in recipients] == ["deferred", "active", "ready"]


async def test_ids_that_nobody_has_are_told_apart_from_those_that_stay_as_they_are(desk: Desk) -> None:
    first, second = await desk.put(0, "x@one.example"), await desk.put(1, "x@one.example")
    assert await desk.change({"action": "hold", "ids": [first]}) == 1
    args: dict[str, object] = {"action": "hold", "ids": [first, second, "0" * 13]}
    answer = await desk.operations.change(args)
    assert answer == {"changed": 1, "known": [first, second]}
    assert add_changes(args, [answer]) == {"changed": 1, "unknown": ["0" * 13]}
    here, there = ({"changed": 1, "known": [each]} for each in (first, second))
    assert add_changes({"ids": [second, first]}, [here, there]) == {"changed": 2, "unknown": []}


async def test_active_is_what_is_being_tried(desk: Desk) -> None:
    first, second = await desk.put(0, "x@one.example"), await desk.put(0, "x@one.example")
    desk.active.ids = {first}
    assert await desk.list_ids(status="active") == [first]
    assert await desk.list_ids(status="ready") == [second]
    assert await desk.change({"action": "hold", "status": "ready"}) == 1
    assert await desk.list_ids(status="held") == [second]


async def test_one_message_is_shown_with_its_envelope_wherever_it_is(desk: Desk) -> None:
    queue_id = await desk.put(1, "x@one.example")
    shown = await desk.operations.show({"id": queue_id.lower()})
    assert shown is not None
    assert (shown["id"], shown["is_report"], shown["body"]) == (queue_id, False, "7BIT")
    assert await desk.operations.show({"id": "0" * 13}) is None
    with pytest.raises(ValueError, match="not a queue id"):
        await desk.operations.show({"id": "nonsense"})


async def test_holding_takes_messages_out_of_memory_and_releasing_wakes_them(desk: Desk) -> None:
    queue_id = await desk.put(0, "x@one.example")
    assert await desk.change({"action": "hold", "ids": [queue_id]}) == 1
    assert desk.active.withdrawn == [queue_id]
    page = await desk.operations.list_messages({})
    assert "'held': True" in str(page)
    assert "'next_attempt': None" in str(page)
    assert await desk.change({"action": "release", "domain": "one.example"}) == 1
    assert desk.active.woken == [queue_id]
    assert await desk.list_ids(status="ready") == [queue_id]
    assert [step for step, _, _ in desk.journal.records] == ["held", "released"]


async def test_retrying_makes_waiting_messages_due_now(desk: Desk) -> None:
    queue_id = await desk.put(0, "x@one.example")
    assert await desk.change({"action": "retry", "all": True}) == 1
    due = await desk.spools[0].claim_due(desk.clock.now(), 10, lambda _: False, lambda row: Instant(row.arrived + 9e5))
    assert [message.id for message in due] == [queue_id]


async def test_deleting_a_senders_mail_leaves_the_rest(desk: Desk) -> None:
    await desk.put(0, "x@one.example", sender="spam@s.example")
    await desk.put(1, "x@one.example", sender="spam@s.example")
    kept = await desk.put(1, "x@one.example")
    assert await desk.change({"action": "delete", "sender": "spam@s.example"}) == 2
    assert await desk.list_ids() == [kept]


async def test_a_bounced_message_is_replaced_by_its_report_which_is_due_at_once(desk: Desk) -> None:
    queue_id = await desk.put(0, "x@one.example")
    assert await desk.change({"action": "bounce", "domain": "one.example"}) == 1
    [report] = await desk.list_ids()
    assert desk.active.withdrawn == [queue_id]
    assert desk.active.woken == [report]
    due = await desk.spools[0].claim_due(desk.clock.now(), 10, lambda _: False, lambda row: Instant(row.arrived + 9e5))
    assert [message.id for message in due] == [report]
    assert desk.journal.records[0] == ("bounced", queue_id, {"reports": [report]})
    assert desk.journal.records[1][:2] == ("received", report)
    assert desk.journal.records[1][2]["about"] == queue_id


async def test_bouncing_everything_does_not_bounce_the_reports_it_makes(desk: Desk) -> None:
    for _ in range(3):
        await desk.put(0, "x@one.example")
    assert await desk.change({"action": "bounce", "all": True}) == 3
    assert len(await desk.list_ids()) == 3


async def test_a_change_of_nothing_in_particular_is_refused(desk: Desk) -> None:
    await desk.put(0, "x@one.example")
    with pytest.raises(ValueError, match="say which messages"):
        await desk.operations.change({"action": "delete"})
    with pytest.raises(ValueError, match="'explode' is no action; allowed: hold, release"):
        await desk.operations.change({"action": "explode", "all": True})
    assert len(await desk.list_ids()) == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ({"status": "odd"}, "'odd' is no status; allowed: ready, active"),
        ({"domain": "a b"}, "'a b': domain is not valid"),
        ({"sender": "nobody"}, "'nobody': address has no domain"),
        ({"limit": 0 - 1}, "limit must be a number above 0"),
        ({"ids": "x"}, "ids must be a list"),
        ({"ids": ["x"]}, "not a queue id"),
    ],
)
async def test_arguments_that_make_no_sense_are_told_so(desk: Desk, args: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        await desk.operations.list_messages(args)


async def test_counts_of_all_shards_are_added_and_the_oldest_counts(desk: Desk) -> None:
    first = await desk.put(0, "x@one.example", "y@one.example")
    await desk.put(1, "x@two.example")
    desk.active.ids = {first}
    counts = await desk.operations.count({})
    assert counts["messages"] == 2
    assert counts["size"] == 22
    assert counts["active"] == 1
    assert counts["states"] == {"ready": 3}
    assert counts["oldest"] == 1_800_000_000.0
    assert (counts["in_per_second"], counts["out_per_second"]) == (2.5, 1.5)


def test_counts_are_added_where_both_have_them() -> None:
    one: dict[str, object] = {"messages": 1, "states": {"ready": 1}, "oldest": 5.0}
    assert add_counts(one, {"messages": 2, "states": {"ready": 1, "held": 2}, "oldest": 3.0, "new": 1}) == {
        "messages": 3,
        "states": {"ready": 2, "held": 2},
        "oldest": 3.0,
        "new": 1,
    }


def test_without_a_server_nothing_is_active() -> None:
    nothing = NothingActive()
    nothing.wake([])
    nothing.withdraw([])
    assert nothing.list_tried() == {}


def test_a_rate_is_of_the_last_seconds() -> None:
    clock, total = FakeClock(), [0.0]
    meter = RateMeter(lambda: total[0], clock, window_s=10.0)
    assert meter.per_second() == 0.0
    for _ in range(20):
        clock.advance(1)
        total[0] += 5
        meter.sample()
    assert meter.per_second() == 5.0
    for _ in range(20):
        clock.advance(1)
        meter.sample()
    assert meter.per_second() == 0.0


@pytest.mark.parametrize("action", ["delete", "bounce"])
async def test_the_store_hears_of_submitted_mail_that_is_taken_out(desk: Desk, action: str) -> None:
    spool, now = desk.spools[0], desk.clock.now()
    await desk.put(0, "b@b.example", sender="ann@a.example")
    envelope = Envelope(parse_address("ann@a.example"), (Recipient(parse_address("b@b.example")),))
    key = SubmissionKey(AccountId(7), SubmissionId(3))
    new = NewMessage(spool.reserve_id(), envelope, b"", InlineBody(b"x"), now, Instant(now + 300), submission=key)
    await spool.accept(new)
    await desk.operations.change({"action": action, "sender": "ann@a.example"})
    assert desk.given_up == [new.id]
