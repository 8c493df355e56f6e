"""Who is told of which change, and when nobody is."""

from __future__ import annotations

import asyncio

import pytest

from posthouse.access.jmap.push_hub import ALL_TYPES, PUSH_TYPE, Listener, ListenerOver, Ping, PushHub
from posthouse.message.mailbox import ModSeq
from posthouse.ports.records import RecordEdit
from posthouse.ports.store import StoreError
from posthouse.protocol.jmap.push import StateChange
from tests.access.jmap_kit import ALICE, ME, Desk, letter, open_desk

NEW_MAIL = {"Email", "EmailDelivery", "Thread", "Mailbox"}


def make_hub(desk: Desk) -> PushHub:
    return PushHub(desk.store.changes, desk.memory.records, desk.house.log)


async def hear(listener: Listener) -> dict[str, str]:
    """Types and their states, of our account."""
    async with asyncio.timeout(5):
        heard = await listener.wait()
    assert isinstance(heard, StateChange)
    assert list(heard.changed) == [ME]
    return dict(heard.changed[ME])


async def hears_nothing(listener: Listener) -> bool:
    try:
        async with asyncio.timeout(0.1):
            await listener.wait()
    except TimeoutError:
        return True
    return False


def never() -> str:
    return ""


async def test_a_new_message_is_told_with_the_state_of_the_account() -> None:
    desk = await open_desk()
    listener = await make_hub(desk).listen(ALICE.id, None, never)
    await desk.add(letter("one"))
    heard = await hear(listener)
    assert set(heard) == NEW_MAIL
    assert set(heard.values()) == {str(await desk.store.changes.modseq(ALICE.id))}
    assert await hears_nothing(listener)


async def test_a_change_that_the_store_could_not_tell_is_told_when_it_can() -> None:
    desk = await open_desk()
    hub = PushHub(desk.store.changes, desk.memory.records, desk.house.log, again_s=0.01)
    listener = await hub.listen(ALICE.id, None, never)
    await desk.add(letter("one"))
    desk.memory.error = StoreError("not now")
    assert await hears_nothing(listener)
    desk.memory.error = None
    assert set(await hear(listener)) == NEW_MAIL


async def test_who_listens_to_an_account_that_is_removed_is_let_go() -> None:
    desk = await open_desk()
    hub = PushHub(desk.store.changes, desk.memory.records, desk.house.log, again_s=0.01)
    listener = await hub.listen(ALICE.id, None, never)
    await desk.add(letter("one"))
    desk.memory.remove_account(ALICE.id)
    with pytest.raises(ListenerOver):
        await listener.wait()
    listener.close()
    assert hub.list_all() == []


async def test_only_types_that_changed_are_told() -> None:
    desk = await open_desk(letter("one"))
    listener = await make_hub(desk).listen(ALICE.id, None, never)
    await desk.memory.records.edit(ALICE.id, "preference", [RecordEdit({"value": {}})])
    assert set(await hear(listener)) == {"Preference"}
    [email] = (await desk.call("Email/query"))["ids"]
    await desk.call("Email/set", update={email: {"keywords/$flagged": True}})
    assert "EmailDelivery" not in await hear(listener)


async def test_only_types_that_are_wanted_are_told() -> None:
    desk = await open_desk()
    listener = await make_hub(desk).listen(ALICE.id, frozenset({"Mailbox", "Unheard"}), never)
    await desk.memory.records.edit(ALICE.id, "preference", [RecordEdit({"value": {}})])
    assert await hears_nothing(listener)
    await desk.add(letter("one"))
    assert set(await hear(listener)) == {"Mailbox"}


async def test_push_subscriptions_are_not_told_to_who_wants_all() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    outside = await hub.listen(ALICE.id, None, never)
    inside = await hub.listen(ALICE.id, frozenset({PUSH_TYPE}), never)
    await desk.memory.records.edit(ALICE.id, "push", [RecordEdit({})])
    assert set(await hear(inside)) == {PUSH_TYPE}
    assert await hears_nothing(outside)
    assert PUSH_TYPE not in ALL_TYPES


async def test_who_comes_back_is_told_what_it_missed() -> None:
    desk = await open_desk()
    seen = await desk.store.changes.modseq(ALICE.id)
    await desk.add(letter("one"))
    hub = make_hub(desk)
    assert set(await hear(await hub.listen(ALICE.id, None, never, seen))) == NEW_MAIL
    now = await desk.store.changes.modseq(ALICE.id)
    assert await hears_nothing(await hub.listen(ALICE.id, None, never, now))


async def test_what_one_catches_up_with_others_still_hear() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    seen = await desk.store.changes.modseq(ALICE.id)
    first = await hub.listen(ALICE.id, None, never)
    await desk.add(letter("one"))
    second = await hub.listen(ALICE.id, None, never, seen)
    assert set(await hear(second)) == set(await hear(first)) == NEW_MAIL


async def test_a_state_that_never_was_may_be_anything_of_mail() -> None:
    desk = await open_desk()
    listener = await make_hub(desk).listen(ALICE.id, None, never, ModSeq(10**9))
    assert set(await hear(listener)) >= NEW_MAIL


async def test_what_a_slow_client_has_not_taken_is_merged() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    slow, quick = await hub.listen(ALICE.id, None, never), await hub.listen(ALICE.id, None, never)
    await desk.add(letter("one"))
    await hear(quick)
    await desk.memory.records.edit(ALICE.id, "preference", [RecordEdit({"value": {}})])
    last = await hear(quick)
    assert set(last) == {"Preference"}
    heard = await hear(slow)
    assert set(heard) == NEW_MAIL | {"Preference"}
    assert heard["Preference"] == last["Preference"]
    assert await hears_nothing(slow)


async def test_pings_come_when_they_are_due_and_once() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    listener = await hub.listen(ALICE.id, None, never)
    listener.ping_at = 100.0
    hub.sweep(99.0)
    assert await hears_nothing(listener)
    hub.sweep(100.0)
    assert isinstance(await listener.wait(), Ping)
    hub.sweep(1000.0)
    assert await hears_nothing(listener)


async def test_a_listener_ends_when_its_login_is_over() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    reason = ""
    listener = await hub.listen(ALICE.id, None, lambda: reason)
    waiting = asyncio.ensure_future(listener.wait())
    hub.sweep(1.0)
    await asyncio.sleep(0)
    assert not waiting.done()
    reason = "The password was changed"
    hub.sweep(2.0)
    with pytest.raises(ListenerOver, match="password"):
        await waiting


async def test_all_end_when_the_worker_goes_and_no_new_ones_begin() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    before = await hub.listen(ALICE.id, None, never)
    hub.end_all("The server stops")
    for listener in (before, await hub.listen(ALICE.id, None, never)):
        with pytest.raises(ListenerOver):
            await listener.wait()


async def test_nothing_is_watched_when_nobody_listens() -> None:
    desk = await open_desk()
    hub = make_hub(desk)
    one, two = await hub.listen(ALICE.id, None, never), await hub.listen(ALICE.id, None, never)
    assert hub.count(ALICE.id) == hub.total == 2
    one.close()
    one.close()
    two.close()
    assert hub.total == 0
    await desk.add(letter("one"))
    again = await hub.listen(ALICE.id, None, never)
    assert await hears_nothing(again)


async def test_many_changes_in_a_row_are_told_in_a_few() -> None:
    desk = await open_desk()
    listener = await make_hub(desk).listen(ALICE.id, None, never)
    for number in range(50):
        await desk.add(letter(f"number-{number}"))
    count, last = 0, ""
    while last != str(await desk.store.changes.modseq(ALICE.id)):
        last = (await hear(listener))["Email"]
        count += 1
    assert count < 10
