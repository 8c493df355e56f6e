"""What every spool does, in memory or on disk: one suite, both pass."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from posthouse.adapters.files import Space
from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SpoolOptions
from posthouse.message.address import parse_address
from posthouse.message.envelope import BodyType, DeliverBy, Envelope, Notify, Recipient, Ret
from posthouse.message.ids import QueueId, split_queue_id
from posthouse.message.instant import Instant
from posthouse.message.reply import Reply
from posthouse.ports.clock import FakeClock
from posthouse.ports.spool import (
    Action,
    DueRow,
    InlineBody,
    NewMessage,
    QueuedMessage,
    RecipientChange,
    Selection,
    Settlement,
    SiteRow,
    Spool,
    SpoolError,
    Status,
)
from posthouse.ports.spool_memory import MemoryDisk, MemorySpool

RETRY_S = 300.0
Opener = Callable[[], Awaitable[Spool]]


@dataclass
class House:
    """A spool that can be closed and opened again."""

    clock: FakeClock
    open: Opener
    spool: Spool

    async def restart(self) -> None:
        await self.spool.close()
        self.spool = await self.open()


def _open_memory(clock: FakeClock, path: Path) -> Opener:
    disk = MemoryDisk()

    async def open_spool() -> Spool:
        return MemorySpool(clock, disk=disk)

    return open_spool


def _open_sqlite(clock: FakeClock, path: Path) -> Opener:
    pool = ShardPool(str(path), clock, options=SpoolOptions(min_free=Space(0, 0)))

    async def open_spool() -> Spool:
        return await pool.take_free_shard()

    return open_spool


@pytest.fixture(params=[_open_memory, _open_sqlite], ids=["memory", "sqlite"])
async def house(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[House]:
    clock = FakeClock()
    open_spool = request.param(clock, tmp_path)
    made = House(clock, open_spool, await open_spool())
    yield made
    await made.spool.close()


def make_envelope(*recipients: str, sender: str | None = "alice@sender.example") -> Envelope:
    return Envelope(
        None if sender is None else parse_address(sender),
        tuple(Recipient(parse_address(text)) for text in recipients or ("bob@example.net",)),
    )


def make_new(
    house: House, *recipients: str, body: bytes = b"Subject: x\r\n\r\nhello\r\n", **more: object
) -> NewMessage:
    now = house.clock.now()
    new = NewMessage(
        house.spool.reserve_id(),
        make_envelope(*recipients),
        b"Received: from x\r\n",
        InlineBody(body),
        now,
        Instant(now + RETRY_S),
    )
    return replace(new, **more)  # type: ignore[arg-type]


def reschedule(row: DueRow) -> Instant:
    return Instant(row.arrived + RETRY_S * 4)


def nothing(queue_id: QueueId) -> bool:
    return False


def defer(message: QueuedMessage, at: float, number: int = 0, attempts: int = 1) -> RecipientChange:
    return RecipientChange(
        number, Status.WAITING, Instant(at), attempts, Reply(451, "4.3.0", "later"), "mx[192.0.2.1]:25"
    )


def finish(number: int, status: Status = Status.RELAYED) -> RecipientChange:
    return RecipientChange(number, status, None, 1, Reply(250, "2.0.0", "ok"))


async def read_body(message: QueuedMessage) -> bytes:
    return await message.body.read(0, message.body.size)


async def test_an_accepted_message_is_given_back_as_it_was(house: House) -> None:
    new = make_new(house, "bob@example.net", "carol@example.org", source="192.0.2.7", message_id="<1@x>")
    accepted = await house.spool.accept(new)
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert (loaded.id, loaded.envelope, loaded.trace, loaded.arrived) == (new.id, new.envelope, new.trace, new.arrived)
    assert (loaded.source, loaded.message_id, loaded.is_report, loaded.warned) == ("192.0.2.7", "<1@x>", False, False)
    assert await read_body(loaded) == new.body.inline
    assert loaded.recipients == accepted.recipients
    assert [row.next_attempt for row in loaded.recipients] == [new.first_retry] * 2
    assert loaded.size == accepted.size == len(new.trace) + new.body.size


async def test_every_parameter_of_the_envelope_survives_a_restart(house: House) -> None:
    envelope = Envelope(
        parse_address('"a@b \\" c"@xn--bcher-kva.example'),
        (
            Recipient(parse_address("bob@example.net"), Notify.SUCCESS | Notify.DELAY, ("rfc822", "x;y@z")),
            Recipient(parse_address("jürgen@bücher.example"), Notify.NEVER, ("utf-8", "jürgen@bücher.example")),
            Recipient(parse_address("postmaster@[IPv6:2001:db8::1]")),
        ),
        BodyType.BINARYMIME,
        smtputf8=True,
        ret=Ret.HDRS,
        envid="e ;x",
        mt_priority=-4,
        deliver_by=DeliverBy(Instant(1_800_000_123.25), is_return=True, is_traced=True),
    )
    new = make_new(house, envelope=envelope)
    await house.spool.accept(new)
    await house.restart()
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.envelope == envelope


@pytest.mark.parametrize("body_type", BodyType)
@pytest.mark.parametrize("ret", [None, *Ret])
async def test_the_empty_sender_and_every_body_type_and_ret_are_kept(
    house: House, body_type: BodyType, ret: Ret | None
) -> None:
    new = make_new(house, envelope=Envelope(None, make_envelope().recipients, body_type, ret=ret), is_report=True)
    await house.spool.accept(new)
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.envelope == new.envelope
    assert loaded.is_report


async def test_octets_of_a_body_are_not_touched(house: House) -> None:
    body = bytes(range(256)) * 50 + b"\x00\r\n.\r\n\xff"
    new = make_new(house, body=body)
    await house.spool.accept(new)
    await house.restart()
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert await read_body(loaded) == body
    assert await loaded.body.read(250, 10) == body[250:260]
    assert await loaded.body.read(len(body) - 3, 10) == body[-3:]


async def test_a_body_written_in_pieces_is_kept_whole(house: House) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(12)]
    writer = house.spool.open_body()
    for piece in pieces:
        await writer.write(piece)
    assert writer.size == 1_200_000
    new = make_new(house, body=b"")
    new.body = await writer.finish()
    await house.spool.accept(new)
    await house.restart()
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert await read_body(loaded) == b"".join(pieces)
    assert await loaded.body.read(99_999, 2) == b"\x00\x01"


async def test_a_body_may_be_discarded_twice_and_then_takes_nothing(house: House) -> None:
    writer = house.spool.open_body()
    await writer.write(b"x" * 300_000)
    writer.discard()
    writer.discard()
    with pytest.raises(SpoolError):
        await writer.write(b"y")
    with pytest.raises(SpoolError):
        await writer.finish()


async def test_ids_sort_by_time_and_never_come_back(house: House) -> None:
    ids = [house.spool.reserve_id() for _ in range(100)]
    await house.spool.accept(make_new(house))
    house.clock.jump(-86_400 * 30)
    ids += [house.spool.reserve_id() for _ in range(100)]
    await house.restart()
    ids += [house.spool.reserve_id() for _ in range(100)]
    house.clock.jump(86_400 * 60)
    ids += [house.spool.reserve_id() for _ in range(100)]
    assert ids == sorted(set(ids))
    assert {split_queue_id(queue_id)[0] for queue_id in ids} == {house.spool.shard}


async def test_an_id_of_a_removed_message_is_not_given_again(house: House) -> None:
    new = make_new(house)
    await house.spool.accept(new)
    await house.spool.settle(Settlement(new.id, remove=True))
    house.clock.jump(-1000)
    await house.restart()
    assert house.spool.reserve_id() > new.id


async def test_many_at_once_are_all_kept(house: House) -> None:
    news = [make_new(house, *(f"r{n}@d{n}.example" for n in range(count % 7 + 1))) for count in range(500)]
    await asyncio.gather(*(house.spool.accept(new) for new in news))
    found = await house.spool.find(Selection(), 1000)
    assert [message.id for message in found] == [new.id for new in news]
    assert [message.envelope for message in found] == [new.envelope for new in news]


async def test_a_thousand_recipients_keep_their_order(house: House) -> None:
    new = make_new(house, *(f"user{n}@example.net" for n in range(1000)))
    await house.spool.accept(new)
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.envelope == new.envelope
    assert [row.number for row in loaded.recipients] == list(range(1000))


async def test_a_bad_message_in_a_batch_fails_alone(house: House) -> None:
    first = make_new(house)
    await house.spool.accept(first)
    news = [make_new(house), first, make_new(house)]
    results = await asyncio.gather(*(house.spool.accept(new) for new in news), return_exceptions=True)
    assert isinstance(results[1], SpoolError)
    assert [message.id for message in await house.spool.find(Selection(), 10)] == [first.id, news[0].id, news[2].id]


async def test_a_deferral_of_one_recipient_leaves_the_others_alone(house: House) -> None:
    new = make_new(house, "a@example.net", "b@example.net", "c@example.net")
    accepted = await house.spool.accept(new)
    await house.spool.settle(Settlement(new.id, [defer(accepted, new.arrived + 999, number=1)]))
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.recipients[0] == accepted.recipients[0]
    assert loaded.recipients[2] == accepted.recipients[2]
    changed = loaded.recipients[1]
    assert (changed.status, changed.next_attempt, changed.attempts) == (Status.WAITING, new.arrived + 999, 1)
    assert changed.last_reply == Reply(451, "4.3.0", "later")
    assert changed.last_remote == "mx[192.0.2.1]:25"


@pytest.mark.parametrize(
    "reply", [Reply(250), Reply(550, "5.1.1", "no such user"), Reply(421, "", " two\nlines "), Reply(354, "", "")]
)
async def test_replies_are_kept_exactly(house: House, reply: Reply) -> None:
    new = make_new(house)
    await house.spool.accept(new)
    change = RecipientChange(0, Status.WAITING, Instant(1.5), 3, reply, "r", "mx.example")
    await house.spool.settle(Settlement(new.id, [change]))
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    row = loaded.recipients[0]
    assert (row.last_reply, row.last_remote, row.next_hop, row.attempts) == (reply, "r", "mx.example", 3)


async def test_finished_recipients_stay_listed_until_the_message_leaves(house: House) -> None:
    new = make_new(house, "a@example.net", "b@example.net")
    accepted = await house.spool.accept(new)
    await house.spool.settle(Settlement(new.id, [finish(0), defer(accepted, 1.0, number=1)], warned=True))
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.warned
    assert [row.status for row in loaded.recipients] == [Status.RELAYED, Status.WAITING]
    await house.spool.settle(Settlement(new.id, [finish(1)], remove=True))
    assert await house.spool.load(new.id) is None
    assert (await house.spool.stats()).messages == 0


async def test_a_settlement_and_its_report_come_together(house: House) -> None:
    new = make_new(house)
    await house.spool.accept(new)
    report = make_new(
        house, "alice@sender.example", envelope=make_envelope("alice@sender.example", sender=None), is_report=True
    )
    await house.spool.settle(Settlement(new.id, [finish(0, Status.FAILED)], remove=True, reports=[report]))
    await house.restart()
    found = await house.spool.find(Selection(), 10)
    assert [message.id for message in found] == [report.id]
    assert found[0].is_report
    assert found[0].envelope.sender is None


async def test_settling_a_message_that_was_deleted_does_nothing(house: House) -> None:
    new = make_new(house)
    accepted = await house.spool.accept(new)
    await house.spool.change(Selection(ids=frozenset([new.id])), Action.DELETE, house.clock.now())
    await house.spool.settle(Settlement(new.id, [defer(accepted, 1.0)]))
    assert await house.spool.find(Selection(), 10) == []


async def test_a_restart_picks_up_every_queued_message_exactly_once(house: House) -> None:
    news = [make_new(house) for _ in range(50)]
    messages = await asyncio.gather(*(house.spool.accept(new) for new in news))
    for message in messages[:10]:
        await house.spool.settle(Settlement(message.id, remove=True))
    for message in messages[10:20]:
        await house.spool.settle(Settlement(message.id, [defer(message, house.clock.now() + 1000)]))
    await house.restart()
    unfinished = await house.spool.load_unfinished(house.clock.now(), 1000)
    assert [message.id for message in unfinished] == [new.id for new in news[20:]]
    house.clock.advance(1001)
    taken = {message.id for message in unfinished}
    due = await house.spool.claim_due(house.clock.now(), 1000, taken.__contains__, reschedule)
    assert [message.id for message in due] == [new.id for new in news[10:20]]


async def test_unfinished_messages_come_oldest_first_and_bounded(house: House) -> None:
    news = [make_new(house) for _ in range(20)]
    await asyncio.gather(*(house.spool.accept(new) for new in news))
    found = await house.spool.load_unfinished(house.clock.now(), 7)
    assert [message.id for message in found] == [new.id for new in news[:7]]
    assert [await read_body(message) for message in found] == [new.body.inline for new in news[:7]]


async def test_one_recipient_can_be_held_from_the_beginning_and_the_others_not(house: House) -> None:
    new = make_new(house, "a@x.example", "b@y.example")
    new.held_numbers = frozenset({1})
    accepted = await house.spool.accept(new)
    stored = await house.spool.load(new.id)
    assert stored is not None
    for message in (accepted, stored):
        assert [one.status for one in message.recipients] == [Status.WAITING, Status.HELD]
        assert [one.next_attempt is None for one in message.recipients] == [False, True]


async def test_a_held_message_is_neither_unfinished_nor_due(house: House) -> None:
    await house.spool.accept(make_new(house, held=True))
    house.clock.advance(86_400)
    assert await house.spool.load_unfinished(house.clock.now(), 10) == []
    assert await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule) == []
    assert (await house.spool.stats()).by_state == {"held": 1}


async def test_nothing_is_due_before_its_time(house: House) -> None:
    await house.spool.accept(make_new(house))
    house.clock.advance(RETRY_S - 1)
    assert await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule) == []


async def test_a_claim_moves_the_next_attempt_before_anything_is_tried(house: House) -> None:
    new = make_new(house, "a@example.net", "b@example.net")
    accepted = await house.spool.accept(new)
    await house.spool.settle(Settlement(new.id, [defer(accepted, new.arrived + 5000, number=1)]))
    house.clock.advance(RETRY_S + 1)
    due = await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule)
    assert [row.next_attempt for row in due[0].recipients] == [new.first_retry, new.arrived + 5000]
    await house.restart()
    assert await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule) == []
    stored = await house.spool.load(new.id)
    assert stored is not None
    assert [row.next_attempt for row in stored.recipients] == [new.arrived + RETRY_S * 4, new.arrived + 5000]


async def test_claims_come_in_the_order_in_which_they_are_due(house: House) -> None:
    news = [make_new(house) for _ in range(30)]
    messages = await asyncio.gather(*(house.spool.accept(new) for new in news))
    for place, message in enumerate(messages):
        await house.spool.settle(Settlement(message.id, [defer(message, 2000.0 - place)]))
    first = await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule)
    assert {message.id for message in first} == {new.id for new in news[20:]}
    second = await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule)
    assert {message.id for message in second} == {new.id for new in news[10:20]}


async def test_messages_in_memory_do_not_clog_the_claims(house: House) -> None:
    news = [make_new(house) for _ in range(600)]
    await asyncio.gather(*(house.spool.accept(new) for new in news))
    house.clock.advance(RETRY_S + 1)
    in_memory = {new.id for new in news[:590]}
    due = await house.spool.claim_due(house.clock.now(), 10, in_memory.__contains__, reschedule)
    assert [message.id for message in due] == [new.id for new in news[590:]]


async def test_a_message_due_for_many_recipients_is_claimed_once_with_all_of_them(house: House) -> None:
    new = make_new(house, *(f"u{n}@example.net" for n in range(700)))
    await house.spool.accept(new)
    house.clock.advance(RETRY_S + 1)
    due = await house.spool.claim_due(house.clock.now(), 5, nothing, reschedule)
    assert len(due) == 1
    assert all(row.next_attempt == new.first_retry for row in due[0].recipients)
    assert await house.spool.claim_due(house.clock.now(), 5, nothing, reschedule) == []


async def test_a_clock_that_was_days_ahead_does_not_put_mail_off_for_days(house: House) -> None:
    house.clock.jump(86_400 * 10)
    new = make_new(house)
    await house.spool.accept(new)
    house.clock.jump(-86_400 * 10)
    due = await house.spool.claim_due(house.clock.now(), 10, nothing, lambda row: Instant(house.clock.now() + 60))
    assert [message.id for message in due] == [new.id]
    assert due[0].recipients[0].next_attempt == house.clock.now()
    assert await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule) == []


async def test_a_reschedule_to_the_past_is_claimed_once_per_call(house: House) -> None:
    await house.spool.accept(make_new(house))
    house.clock.advance(RETRY_S + 1)
    due = await house.spool.claim_due(house.clock.now(), 10, nothing, lambda row: Instant(0.5))
    assert len(due) == 1


async def test_lists_can_be_narrowed_and_continued(house: House) -> None:
    for number in range(30):
        sender = None if number % 3 == 0 else f"S{number % 3}@sender.example"
        envelope = make_envelope(f"u@d{number % 5}.example", sender=sender)
        await house.spool.accept(make_new(house, envelope=envelope))
    spool = house.spool
    everything = [message.id for message in await spool.find(Selection(), 100)]
    assert len(everything) == 30
    assert [m.id for m in await spool.find(Selection(domain="D2.example"), 100)] == everything[2::5]
    assert [m.id for m in await spool.find(Selection(sender="<>"), 100)] == everything[::3]
    assert [m.id for m in await spool.find(Selection(sender="s1@Sender.example"), 100)] == everything[1::3]
    assert [m.id for m in await spool.find(Selection(sender="<s1@sender.example>", domain="d1.example"), 100)] == [
        everything[1],
        everything[16],
    ]
    assert [m.id for m in await spool.find(Selection(ids=frozenset(everything[3:5])), 100)] == everything[3:5]
    assert [m.id for m in await spool.find(Selection(), 4)] == everything[:4]
    assert [m.id for m in await spool.find(Selection(), 4, after=everything[3])] == everything[4:8]
    assert await spool.find(Selection(domain="none.example"), 100) == []


async def test_lists_by_status_use_the_words_of_the_queue_listing(house: House) -> None:
    ready, deferred, held, mixed = (make_new(house, "a@x.example", "b@y.example") for _ in range(4))
    for new in (ready, deferred, held, mixed):
        accepted = await house.spool.accept(new)
        if new is deferred:
            await house.spool.settle(Settlement(new.id, [defer(accepted, 1.0, n) for n in (0, 1)]))
        if new is mixed:
            await house.spool.settle(Settlement(new.id, [finish(0, Status.DELIVERED), finish(1, Status.FAILED)]))
    await house.spool.change(Selection(ids=frozenset([held.id])), Action.HOLD, house.clock.now())

    async def listed(status: str) -> list[QueueId]:
        return [message.id for message in await house.spool.find(Selection(status=status), 10)]

    assert await listed("ready") == [ready.id]
    assert await listed("deferred") == [deferred.id]
    assert await listed("held") == [held.id]
    assert await listed("delivered") == [mixed.id]
    assert await listed("failed") == [mixed.id]
    assert await listed("relayed") == []
    stats = await house.spool.stats()
    assert stats.by_state == {"ready": 2, "deferred": 2, "held": 2, "delivered": 1, "failed": 1}
    assert stats.by_next_hop == {"x.example": 3, "y.example": 3}
    assert stats.messages == 4
    assert stats.oldest == ready.arrived


async def test_holding_and_releasing_a_domain_touches_only_its_recipients(house: House) -> None:
    new = make_new(house, "a@one.example", "b@two.example")
    await house.spool.accept(new)
    now = house.clock.now()
    assert await house.spool.change(Selection(domain="one.example"), Action.HOLD, now) == [new.id]
    assert await house.spool.change(Selection(domain="one.example"), Action.HOLD, now) == []
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert [row.status for row in loaded.recipients] == [Status.HELD, Status.WAITING]
    assert await house.spool.change(Selection(status="held"), Action.RETRY, now) == []
    assert await house.spool.change(Selection(), Action.RELEASE, now) == [new.id]
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert [(row.status, row.next_attempt) for row in loaded.recipients] == [
        (Status.WAITING, now),
        (Status.WAITING, new.first_retry),
    ]


async def test_a_deferral_on_its_way_does_not_release_what_was_held(house: House) -> None:
    new = make_new(house, "a@one.example", "b@two.example")
    accepted = await house.spool.accept(new)
    await house.spool.change(Selection(), Action.HOLD, house.clock.now())
    await house.spool.settle(Settlement(new.id, [defer(accepted, 1.0), finish(1)]))
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert [(row.status, row.next_attempt) for row in loaded.recipients] == [
        (Status.HELD, None),
        (Status.RELAYED, None),
    ]
    assert loaded.recipients[0].attempts == 1


async def test_retrying_makes_it_due_at_once(house: House) -> None:
    new = make_new(house)
    await house.spool.accept(new)
    assert await house.spool.change(Selection(sender="alice@sender.example"), Action.RETRY, house.clock.now()) == [
        new.id
    ]
    assert len(await house.spool.claim_due(house.clock.now(), 10, nothing, reschedule)) == 1


async def test_deleting_a_domain_leaves_the_other_recipients(house: House) -> None:
    both = make_new(house, "a@one.example", "b@two.example")
    only = make_new(house, "c@one.example", "d@one.example")
    for new in (both, only):
        await house.spool.accept(new)
    changed = await house.spool.change(Selection(domain="one.example"), Action.DELETE, house.clock.now())
    assert changed == [both.id, only.id]
    (left,) = await house.spool.find(Selection(), 10)
    assert left.id == both.id
    assert [str(row.recipient.address) for row in left.recipients] == ["b@two.example"]
    assert [row.number for row in left.recipients] == [1]


async def test_deleting_what_is_left_to_do_removes_the_finished_rows_too(house: House) -> None:
    new = make_new(house, "a@one.example", "b@two.example")
    await house.spool.accept(new)
    await house.spool.settle(Settlement(new.id, [finish(0)]))
    await house.spool.change(Selection(domain="two.example"), Action.DELETE, house.clock.now())
    assert await house.spool.find(Selection(), 10) == []
    assert (await house.spool.stats()).messages == 0


async def test_a_change_of_thousands_reaches_every_one(house: House) -> None:
    news = [make_new(house, f"u@d{n % 2}.example", f"v@d{n % 2}.example") for n in range(1500)]
    await asyncio.gather(*(house.spool.accept(new) for new in news))
    changed = await house.spool.change(Selection(), Action.HOLD, house.clock.now())
    assert changed == [new.id for new in news]
    assert (await house.spool.stats()).by_state == {"held": 3000}
    assert len(await house.spool.change(Selection(domain="d1.example"), Action.DELETE, house.clock.now())) == 750
    assert (await house.spool.stats()).messages == 750


async def test_what_is_known_of_a_site_outlives_a_restart(house: House) -> None:
    house.spool.save_site(SiteRow("mx.example", Instant(5.0), 3, "refused"))
    house.spool.save_site(SiteRow("mx2.example", Instant(6.0), 1, ""))
    house.spool.save_site(SiteRow("mx.example", Instant(7.5), 4, "timed out"))
    house.spool.save_site(SiteRow("mx2.example", Instant(0.0), 0, ""))
    await house.restart()
    assert await house.spool.load_sites() == [SiteRow("mx.example", Instant(7.5), 4, "timed out")]


async def test_a_clean_end_counts_no_crash(house: House) -> None:
    new = make_new(house)
    await house.spool.accept(new)
    house.spool.mark_in_hand(new.id)
    await house.restart()
    loaded = await house.spool.load(new.id)
    assert loaded is not None
    assert loaded.crashes == 0


async def test_a_closed_spool_takes_nothing(house: House) -> None:
    new = make_new(house)
    await house.spool.close()
    with pytest.raises(SpoolError):
        await house.spool.accept(new)
    with pytest.raises(SpoolError):
        await house.spool.settle(Settlement(new.id, remove=True))
    house.spool = await house.open()


async def test_what_was_handed_in_before_the_close_is_kept(house: House) -> None:
    news = [make_new(house) for _ in range(20)]
    futures = [house.spool.accept(new) for new in news]
    await house.spool.close()
    house.spool = await house.open()
    await asyncio.gather(*futures)
    assert len(await house.spool.find(Selection(), 100)) == 20
