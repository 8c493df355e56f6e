"""The mailbox Scheduled, in which mail waits to be sent, as Mailbox/set sees it."""

from __future__ import annotations

import pytest

from posthouse.message.objectids import name_mailbox
from tests.access.jmap_kit import ALICE, open_desk
from tests.access.test_jmap_submissions import draft, get, send


@pytest.mark.parametrize("removes", [True, False])
async def test_scheduled_is_not_destroyed_and_what_waits_in_it_still_goes(removes: bool) -> None:
    desk = await open_desk(undo_s=10.0)
    submission = await send(desk, await draft(desk))
    [scheduled] = [box for box in (await desk.call("Mailbox/get", ids=None))["list"] if box["role"] == "scheduled"]
    assert scheduled["totalEmails"] == 1 and scheduled["myRights"]["mayDelete"] is False
    told = await desk.call("Mailbox/set", destroy=[scheduled["id"]], onDestroyRemoveEmails=removes)
    assert (told["destroyed"], told["notDestroyed"][scheduled["id"]]["type"]) == (None, "forbidden")
    assert (await get(desk, submission))["undoStatus"] == "pending"
    desk.house.clock.advance(10)
    await desk.house.replay()
    assert len(desk.house.onward.taken) == 1


async def test_scheduled_keeps_its_role_and_no_other_takes_it() -> None:
    desk = await open_desk(undo_s=10.0)
    other = name_mailbox(ALICE.id, (await desk.store.mailboxes.create(ALICE.id, "Box")).id)
    told = await desk.call("Mailbox/set", update={other: {"role": "scheduled"}})
    assert told["notUpdated"][other]["properties"] == ["role"]
    await send(desk, await draft(desk))
    [scheduled] = [box for box in (await desk.call("Mailbox/get", ids=None))["list"] if box["role"] == "scheduled"]
    told = await desk.call("Mailbox/set", update={scheduled["id"]: {"role": None}, other: {"sortOrder": 3}})
    assert told["notUpdated"][scheduled["id"]]["properties"] == ["role"]
    assert told["updated"] == {other: None}
