"""Mailbox/get, /changes, /query, /queryChanges and /set on a store (RFC 8621 §2)."""

from __future__ import annotations

import pytest

from posthouse.message.mailbox import AccountId, Mailbox, MailboxId, Role
from posthouse.message.objectids import name_mailbox
from posthouse.ports.store import FlagEdit, FlagMode
from posthouse.ports.store_memory import MemoryStore
from posthouse.ports.store_memory_mailboxes import MailboxLimits
from posthouse.protocol.jmap.json import JsonObject
from tests.access.jmap_kit import ALICE, Desk, letter, open_desk
from tests.msa.submit_kit import House, uids_of

INBOX = "F7-1"


@pytest.fixture
async def desk() -> Desk:
    return await open_desk(letter("one"), letter("two"))


async def make(desk: Desk, name: str, **more: object) -> str:
    told = await desk.call("Mailbox/set", create={"new": {"name": name, **more}})
    return str(told["created"]["new"]["id"])


async def state(desk: Desk) -> str:
    return str((await desk.call("Mailbox/get", ids=[]))["state"])


async def see(desk: Desk, *uids: int, mailbox: int = 1) -> None:
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Seen"}))
    await desk.store.messages.set_flags(ALICE.id, MailboxId(mailbox), uids_of(uids), edit)


async def counts(desk: Desk, mailbox: str = INBOX) -> tuple[int, int]:
    box = (await desk.call("Mailbox/get", ids=[mailbox], properties=["totalThreads", "unreadThreads"]))["list"][0]
    return box["totalThreads"], box["unreadThreads"]


# -- get


async def test_all_mailboxes_with_all_they_have(desk: Desk) -> None:
    told = await desk.call("Mailbox/get", ids=None)
    assert told["notFound"] == []
    inbox, *others = told["list"]
    assert inbox == {
        "id": INBOX,
        "name": "INBOX",
        "parentId": None,
        "role": "inbox",
        "sortOrder": 0,
        "totalEmails": 2,
        "unreadEmails": 2,
        "totalThreads": 2,
        "unreadThreads": 2,
        "isSubscribed": True,
        "myRights": {
            "mayReadItems": True,
            "mayAddItems": True,
            "mayRemoveItems": True,
            "maySetSeen": True,
            "maySetKeywords": True,
            "mayCreateChild": True,
            "mayRename": False,
            "mayDelete": False,
            "maySubmit": True,
        },
    }
    # A draft needs a mailbox: the usual ones are made where a program asks what there is.
    assert {box["role"] for box in others} == {"drafts", "sent", "archive", "junk", "trash"}


async def test_ids_that_are_none_or_of_others_are_not_found_and_none_comes_twice(desk: Desk) -> None:
    told = await desk.call("Mailbox/get", ids=[INBOX, "F1-1", "?", "F7-99", INBOX], properties=["name"])
    assert told["list"] == [{"id": INBOX, "name": "INBOX"}]
    assert told["notFound"] == ["F1-1", "?", "F7-99"]


async def test_what_a_get_refuses(desk: Desk) -> None:
    assert await desk.fail("Mailbox/get", properties=["colour"]) == "invalidArguments"
    assert await desk.fail("Mailbox/get", ids=["x"] * 501) == "requestTooLarge"
    assert await desk.fail("Mailbox/get", accountId="A1") == "accountNotFound"
    assert (await desk.ask(("Mailbox/get", {})))[0][1]["type"] == "invalidArguments"


# -- threads are counted


async def test_a_thread_counts_once_and_is_unread_while_one_of_its_emails_is(desk: Desk) -> None:
    await desk.add(letter("one", Message_ID="<again>", References="<one@there.example>"))
    assert await counts(desk) == (2, 2)
    await see(desk, 1, 2)
    assert await counts(desk) == (2, 1)
    await see(desk, 3)
    assert await counts(desk) == (2, 0)


async def test_an_unread_answer_elsewhere_makes_the_thread_unread_here_but_not_one_in_trash(desk: Desk) -> None:
    await see(desk, 1, 2)
    answer = letter("one", Message_ID="<again>", References="<one@there.example>")
    added = await desk.add(answer, Role.ARCHIVE)
    archive = name_mailbox(ALICE.id, added.mailboxes[0])
    assert (await counts(desk), await counts(desk, archive)) == ((2, 1), (1, 1))
    trash = await desk.store.mailboxes.open_role(ALICE.id, Role.TRASH)
    await desk.store.messages.place(ALICE.id, added.email, [trash.id], list(added.mailboxes))
    assert (await counts(desk), await counts(desk, name_mailbox(ALICE.id, trash.id))) == ((2, 0), (1, 1))
    assert await counts(desk, archive) == (0, 0)


async def test_counts_follow_what_comes_and_goes(desk: Desk) -> None:
    assert await counts(desk) == (2, 2)
    three = await desk.add(letter("three"))
    assert await counts(desk) == (3, 3)
    await desk.store.messages.place(ALICE.id, three.email, [], [MailboxId(1)])
    assert await counts(desk) == (2, 2)
    edit = FlagEdit(FlagMode.ADD, frozenset({"\\Deleted"}))
    await desk.store.messages.set_flags(ALICE.id, MailboxId(1), uids_of([1]), edit)
    assert await counts(desk) == (1, 1)


async def test_two_threads_become_one(desk: Desk) -> None:
    both = letter("one", Message_ID="<both>", References="<one@there.example> <other@there.example>")
    await desk.add(letter("one", Message_ID="<other@there.example>"))
    assert await counts(desk) == (3, 3)
    await desk.add(both)
    assert await counts(desk) == (2, 2)


async def test_drafts_are_not_unread() -> None:
    desk = await open_desk()
    await desk.add(letter("draft"), flags=frozenset({"\\Draft"}))
    assert await counts(desk) == (1, 0)


async def test_counts_are_right_when_the_changes_are_forgotten(desk: Desk) -> None:
    assert await counts(desk) == (2, 2)
    await desk.add(letter("three"))
    desk.memory.forget_changes(ALICE.id, await desk.store.changes.modseq(ALICE.id))
    await desk.add(letter("four"))
    assert await counts(desk) == (4, 4)


# -- changes


async def test_only_counts_changed(desk: Desk) -> None:
    since = await state(desk)
    await see(desk, 1)
    told = await desk.call("Mailbox/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([], [INBOX], [])
    assert told["updatedProperties"] == ["totalEmails", "unreadEmails", "totalThreads", "unreadThreads"]
    assert (told["newState"], told["hasMoreChanges"]) == (await state(desk), False)


async def test_made_changed_and_gone(desk: Desk) -> None:
    gone, changed = await make(desk, "Gone"), await make(desk, "Changed")
    since = await state(desk)
    new = await make(desk, "New")
    await desk.call("Mailbox/set", update={changed: {"name": "Better"}}, destroy=[gone])
    told = await desk.call("Mailbox/changes", sinceState=since)
    assert (told["created"], told["updated"], told["destroyed"]) == ([new], [changed], [gone])
    assert told["updatedProperties"] is None


async def test_changes_come_in_pieces_that_lead_to_the_end(desk: Desk) -> None:
    since = await state(desk)
    made = [await make(desk, name) for name in ("a", "b", "c")]
    created: list[object] = []
    for _ in range(4):
        told = await desk.call("Mailbox/changes", sinceState=since, maxChanges=1)
        created += told["created"]
        since = told["newState"]
        if not told["hasMoreChanges"]:
            break
    assert created == made
    assert since == await state(desk)


async def test_states_that_are_none_or_too_old(desk: Desk) -> None:
    since = await state(desk)
    await desk.add(letter("three"))
    desk.memory.forget_changes(ALICE.id, await desk.store.changes.modseq(ALICE.id))
    now = await state(desk)
    later = str(int(now) + 1)
    for old in (since, "x", "", "99999999999999999999", f"0{now}", f"+{now}", f" {now}", f"{now} ", "00", later):
        assert await desk.fail("Mailbox/changes", sinceState=old) == "cannotCalculateChanges"


# -- query


async def test_queries_filter_sort_and_take_a_part(desk: Desk) -> None:
    b, a = await make(desk, "B", sortOrder=2), await make(desk, "A", sortOrder=1)
    told = await desk.call("Mailbox/query", sort=[{"property": "name"}], filter={"hasAnyRole": False})
    assert (told["ids"], told["position"], told["canCalculateChanges"]) == ([a, b], 0, True)
    assert "total" not in told
    told = await desk.call("Mailbox/query", sort=[{"property": "sortOrder"}], position=6, limit=1, calculateTotal=True)
    assert (told["ids"], told["position"], told["total"]) == ([a], 6, 8)
    told = await desk.call("Mailbox/query", sort=[{"property": "sortOrder"}], anchor=b, anchorOffset=-1)
    assert told["ids"] == [a, b]


async def test_what_a_query_refuses(desk: Desk) -> None:
    assert await desk.fail("Mailbox/query", anchor="F7-99") == "anchorNotFound"
    assert await desk.fail("Mailbox/query", sort=[{"property": "colour"}]) == "unsupportedSort"
    assert await desk.fail("Mailbox/query", sort=[{"property": "name", "collation": "x"}]) == "unsupportedSort"
    assert await desk.fail("Mailbox/query", filter={"colour": 1}) == "invalidArguments"


async def test_a_mailbox_that_comes_between_two_reads_does_not_shift_the_places(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: JsonObject = {"sort": [{"property": "name"}], "filter": {"hasAnyRole": False}}
    known = [await make(desk, "A"), await make(desk, "C")]
    since = (await desk.call("Mailbox/query", **asked))["queryState"]
    d = await make(desk, "D")
    list_all, meanwhile = desk.store.mailboxes.list_all, ["B"]

    async def list_later(account: AccountId) -> list[Mailbox]:
        while meanwhile:
            await desk.store.mailboxes.create(account, meanwhile.pop())
        return await list_all(account)

    monkeypatch.setattr(desk.store.mailboxes, "list_all", list_later)
    told = await desk.call("Mailbox/queryChanges", sinceQueryState=since, **asked)
    kept = [box for box in known if box not in told["removed"]]
    for item in told["added"]:
        kept.insert(item["index"], item["id"])
    assert kept == (await desk.call("Mailbox/query", **asked))["ids"] and d in kept


async def test_what_became_of_a_query(desk: Desk) -> None:
    a, b = await make(desk, "A"), await make(desk, "B")
    asked: JsonObject = {"sort": [{"property": "name"}], "filter": {"hasAnyRole": False}}
    since = (await desk.call("Mailbox/query", **asked))["queryState"]
    await desk.call("Mailbox/set", update={a: {"name": "C"}})
    told = await desk.call("Mailbox/queryChanges", sinceQueryState=since, calculateTotal=True, **asked)
    assert (told["removed"], told["added"], told["total"]) == ([a], [{"id": a, "index": 1}], 2)
    assert (await desk.call("Mailbox/query", **asked))["ids"] == [b, a]
    assert await desk.fail("Mailbox/queryChanges", sinceQueryState="x", **asked) == "cannotCalculateChanges"
    assert await desk.fail("Mailbox/queryChanges", sinceQueryState=since, maxChanges=1, **asked) == "tooManyChanges"


async def test_in_a_tree_children_move_with_their_parent(desk: Desk) -> None:
    a = await make(desk, "A")
    child, b = await make(desk, "Child", parentId=a), await make(desk, "B")
    asked: JsonObject = {"sort": [{"property": "name"}], "sortAsTree": True, "filter": {"hasAnyRole": False}}
    before = await desk.call("Mailbox/query", **asked)
    assert before["ids"] == [a, child, b]
    await desk.call("Mailbox/set", update={a: {"name": "C"}})
    told = await desk.call("Mailbox/queryChanges", sinceQueryState=before["queryState"], **asked)
    assert sorted(told["removed"]) == sorted([a, child])
    assert told["added"] == [{"id": a, "index": 1}, {"id": child, "index": 2}]


# -- set


async def test_a_mailbox_is_made_below_one_of_the_same_request(desk: Desk) -> None:
    create = {"in": {"name": "In", "parentId": "#out"}, "out": {"name": "Out", "role": "archive", "sortOrder": 3}}
    told = await desk.call("Mailbox/set", create=create)
    outer, inner = told["created"]["out"]["id"], told["created"]["in"]["id"]
    assert desk.created == {"in": inner, "out": outer}
    assert told["created"]["out"]["totalEmails"] == 0
    assert "name" not in told["created"]["out"]
    boxes = {box["id"]: box for box in (await desk.call("Mailbox/get", ids=None))["list"]}
    assert (boxes[inner]["parentId"], boxes[outer]["role"], boxes[outer]["sortOrder"]) == (outer, "archive", 3)
    assert told["oldState"] != told["newState"]


async def test_a_mailbox_that_is_not_subscribed_to(desk: Desk) -> None:
    box = await make(desk, "Quiet", isSubscribed=False)
    assert (await desk.call("Mailbox/get", ids=[box]))["list"][0]["isSubscribed"] is False


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({"name": ""}, ["name"]),
        ({"name": "INBOX"}, ["name"]),
        ({"name": "a/b"}, ["name"]),
        ({"name": "a\r\nb"}, ["name"]),
        ({"name": "x", "parentId": "F7-99"}, ["parentId"]),
        ({"name": "x", "parentId": "#nothing"}, ["parentId"]),
        ({"name": "x", "role": "inbox"}, ["role"]),
        ({"name": "x", "role": "dustbin"}, ["role"]),
        ({"name": "x", "totalEmails": 3}, ["totalEmails"]),
        ({"name": "x", "sortOrder": -1}, ["sortOrder"]),
    ],
)
async def test_what_no_mailbox_can_be(desk: Desk, record: JsonObject, properties: list[str]) -> None:
    error = (await desk.call("Mailbox/set", create={"new": record}))["notCreated"]["new"]
    assert (error["type"], error["properties"]) == ("invalidProperties", properties)


async def test_two_that_are_inside_of_each_other_are_not_made(desk: Desk) -> None:
    create = {"a": {"name": "a", "parentId": "#b"}, "b": {"name": "b", "parentId": "#a"}}
    told = await desk.call("Mailbox/set", create=create)
    assert {error["type"] for error in told["notCreated"].values()} == {"invalidProperties"}
    assert told["created"] is None


async def test_names_places_roles_and_subscriptions_change(desk: Desk) -> None:
    top, box = await make(desk, "Top"), await make(desk, "Box", role="junk")
    update = {"name": "Other", "parentId": top, "role": None, "isSubscribed": False, "sortOrder": 7}
    assert (await desk.call("Mailbox/set", update={box: update}))["updated"] == {box: None}
    assert (await desk.call("Mailbox/get", ids=[box], properties=list(update)))["list"] == [{"id": box, **update}]
    assert (await desk.call("Mailbox/set", update={box: {"parentId": None}}))["updated"] == {box: None}
    assert (await desk.call("Mailbox/get", ids=[box]))["list"][0]["parentId"] is None


async def test_a_role_moves_from_one_to_another_in_one_request(desk: Desk) -> None:
    old, new = await make(desk, "Old", role="archive"), await make(desk, "New")
    told = await desk.call("Mailbox/set", update={old: {"role": None}, new: {"role": "archive"}})
    assert told["updated"] == {old: None, new: None}


async def test_what_cannot_change(desk: Desk) -> None:
    box = await make(desk, "Box")
    child = await make(desk, "Child", parentId=box)
    update = {
        INBOX: {"name": "Mine"},
        box: {"parentId": child},
        child: {"totalEmails": 4},
        "F7-99": {"name": "x"},
        "?": {},
    }
    errors = (await desk.call("Mailbox/set", update=update))["notUpdated"]
    assert {name: error["type"] for name, error in errors.items()} == {
        INBOX: "invalidProperties",
        box: "invalidProperties",
        child: "invalidProperties",
        "F7-99": "notFound",
        "?": "notFound",
    }


async def test_a_patch_that_is_none(desk: Desk) -> None:
    errors = (await desk.call("Mailbox/set", update={INBOX: {"name/first": "x"}}))["notUpdated"]
    assert errors[INBOX]["type"] == "invalidPatch"


async def test_a_mailbox_is_removed_with_its_children_in_any_order(desk: Desk) -> None:
    box = await make(desk, "Box")
    child = await make(desk, "Child", parentId=box)
    told = await desk.call("Mailbox/set", destroy=[box, child])
    assert sorted(told["destroyed"]) == sorted([box, child])


async def test_what_is_not_removed(desk: Desk) -> None:
    box = await make(desk, "Box")
    await make(desk, "Child", parentId=box)
    full = await make(desk, "Full")
    await desk.add(letter("three"), MailboxId(int(full.partition("-")[2])))
    errors = (await desk.call("Mailbox/set", destroy=[INBOX, box, full, "F7-99"]))["notDestroyed"]
    assert {name: error["type"] for name, error in errors.items()} == {
        INBOX: "forbidden",
        box: "mailboxHasChild",
        full: "mailboxHasEmail",
        "F7-99": "notFound",
    }
    assert (await desk.call("Mailbox/set", destroy=[full], onDestroyRemoveEmails=True))["destroyed"] == [full]


async def test_what_will_be_destroyed_is_not_changed_before(desk: Desk) -> None:
    box = await make(desk, "Box")
    told = await desk.call("Mailbox/set", update={box: {"name": "x"}}, destroy=[box])
    assert (told["notUpdated"][box]["type"], told["destroyed"]) == ("willDestroy", [box])
    told = await desk.call("Mailbox/set", update={"F7-99": {"name": "x"}}, destroy=["F7-99"])
    assert (told["notUpdated"]["F7-99"]["type"], told["notDestroyed"]["F7-99"]["type"]) == ("notFound", "notFound")


async def test_another_state_than_expected_changes_nothing(desk: Desk) -> None:
    before = await desk.call("Mailbox/get", ids=None)
    assert await desk.fail("Mailbox/set", ifInState="1", create={"a": {"name": "a"}}) == "stateMismatch"
    assert await desk.call("Mailbox/get", ids=None) == before
    assert (await desk.call("Mailbox/set", ifInState=await state(desk), create={"a": {"name": "a"}}))["created"]


async def test_too_many_records_in_one_call(desk: Desk) -> None:
    assert await desk.fail("Mailbox/set", destroy=["x"] * 501) == "requestTooLarge"


async def test_more_mailboxes_than_there_may_be() -> None:
    house = House()
    house.store = MemoryStore(house.clock, limits=MailboxLimits(mailboxes=1))
    error = (await (await open_desk(house=house)).call("Mailbox/set", create={"a": {"name": "a"}}))["notCreated"]["a"]
    assert error["type"] == "overQuota"
