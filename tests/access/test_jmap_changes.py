"""What Email/set and Mailbox/set may change (RFC 8621 §2.5, §4.6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from posthouse.access.jmap.email_changes import EmailChange, Placing, read_change, read_placing
from posthouse.access.jmap.mailbox_changes import (
    MailboxWish,
    check_removal,
    read_mailbox,
    read_mailbox_change,
)
from posthouse.access.jmap.mailboxes import DEFAULT_PROPERTIES, ThreadCounts, make_mailbox
from posthouse.access.jmap.threads import Thread, collapse_threads, make_thread
from posthouse.message.mailbox import AccountId, EmailId, Mailbox, MailboxId, ModSeq, Role, ThreadId, Uid, UidValidity
from posthouse.protocol.jmap.errors import RecordRefused, SetError

OWNER = AccountId(1)
ONE, TWO, THREE = MailboxId(1), MailboxId(2), MailboxId(3)


def refused(call: Callable[[], object]) -> SetError:
    with pytest.raises(RecordRefused) as caught:
        call()
    return caught.value.error


# -- emails

CURRENT: dict[str, object] = {
    "id": "M1-7",
    "mailboxIds": {"F1-1": True, "F1-2": True},
    "keywords": {"$seen": True, "work": True},
    "subject": "x",
}
SEEN_WORK = frozenset({"\\Seen", "work"})


@pytest.mark.parametrize(
    ("patch", "change"),
    [
        ({}, EmailChange((), (), None)),
        ({"keywords/$flagged": True}, EmailChange((), (), SEEN_WORK | {"\\Flagged"})),
        ({"keywords/$seen": None}, EmailChange((), (), frozenset({"work"}))),
        ({"keywords/none": None}, EmailChange((), (), None)),
        ({"keywords": {"$draft": True}}, EmailChange((), (), frozenset({"\\Draft"}))),
        ({"keywords": None}, EmailChange((), (), frozenset())),
        ({"mailboxIds/F1-3": True}, EmailChange((THREE,), (), None)),
        ({"mailboxIds/F1-1": None}, EmailChange((), (ONE,), None)),
        ({"mailboxIds": {"F1-3": True}}, EmailChange((THREE,), (ONE, TWO), None)),
        ({"mailboxIds/#new": True, "mailboxIds/F1-2": None}, EmailChange((THREE,), (TWO,), None)),
        ({"mailboxIds": {"#new": True, "F1-1": True}}, EmailChange((THREE,), (TWO,), None)),
        ({"subject": "x", "id": "M1-7"}, EmailChange((), (), None)),
    ],
)
def test_changes_of_emails(patch: Mapping[str, object], change: EmailChange) -> None:
    assert read_change(OWNER, CURRENT, patch, {"new": "F1-3"}) == change


@pytest.mark.parametrize(
    ("patch", "kind", "properties"),
    [
        ({"subject": "y"}, "invalidProperties", ["subject"]),
        ({"id": "M1-8"}, "invalidProperties", ["id"]),
        ({"colour": "red"}, "invalidProperties", ["colour"]),
        ({"mailboxIds": {}}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds": None}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds/F1-1": None, "mailboxIds/F1-2": None}, "invalidProperties", ["mailboxIds"]),
        ({"mailboxIds/F1-3": False}, "invalidProperties", ["mailboxIds/F1-3"]),
        ({"mailboxIds/x": True}, "invalidProperties", ["mailboxIds/x"]),
        ({"mailboxIds/#old": True}, "invalidProperties", ["mailboxIds/#old"]),
        ({"keywords/$seen": False}, "invalidProperties", ["keywords/$seen"]),
        ({"keywords/a b": True}, "invalidProperties", ["keywords/a b"]),
        ({"keywords": {}, "keywords/$seen": True}, "invalidPatch", []),
        ({"keywords/$seen/x": True}, "invalidPatch", []),
        ({"mailboxIds": {f"F1-{number}": True for number in range(1, 1002)}}, "tooManyMailboxes", []),
    ],
)
def test_changes_of_emails_that_cannot_be(patch: Mapping[str, object], kind: str, properties: list[str]) -> None:
    error = refused(lambda: read_change(OWNER, CURRENT, patch, {"new": "F1-3"}))
    assert (error.type, list(error.properties or ())) == (kind, properties)


def test_where_a_new_email_goes() -> None:
    record = {"mailboxIds": {"#new": True}, "keywords": {"$Draft": True}, "receivedAt": "1970-01-01T00:01:00Z"}
    assert read_placing(OWNER, record, {"new": "F1-3"}) == Placing((THREE,), frozenset({"\\Draft"}), 60.0)
    assert read_placing(OWNER, {"mailboxIds": {"F1-1": True}}, {}) == Placing((ONE,), frozenset(), None)
    assert refused(lambda: read_placing(OWNER, {}, {})).properties == ("mailboxIds",)
    late = {"mailboxIds": {"F1-1": True}, "receivedAt": "late"}
    assert refused(lambda: read_placing(OWNER, late, {})).properties == ("receivedAt",)


# -- mailboxes


def make(number: int, name: str, parent: MailboxId | None = None, role: Role | None = None, total: int = 0) -> Mailbox:
    numbers = UidValidity(1), Uid(1), ModSeq(1), ModSeq(1), ModSeq(1)
    return Mailbox(MailboxId(number), parent, name, role, *numbers, total=total)


BOXES = {box.id: box for box in (make(1, "INBOX", role=Role.INBOX), make(2, "work", total=1), make(3, "old", TWO))}


def test_a_new_mailbox() -> None:
    assert read_mailbox(OWNER, {"name": "e\u0301t"}, BOXES, {}) == MailboxWish("ét", None, None, 0, True)
    record = {"name": "old", "parentId": "#k", "role": "archive", "sortOrder": 3, "isSubscribed": False}
    assert read_mailbox(OWNER, record, BOXES, {"k": "F1-3"}) == MailboxWish("old", THREE, Role.ARCHIVE, 3, False)


@pytest.mark.parametrize(
    ("record", "properties"),
    [
        ({}, ["name"]),
        ({"name": ""}, ["name"]),
        ({"name": "a/b"}, ["name"]),
        ({"name": "a\nb"}, ["name"]),
        ({"name": "é" * 128}, ["name"]),
        ({"name": "work"}, ["name"]),
        ({"name": "a", "parentId": "F1-9"}, ["parentId"]),
        ({"name": "a", "parentId": "?"}, ["parentId"]),
        ({"name": "a", "parentId": "#k"}, ["parentId"]),
        ({"name": "a", "role": "inbox"}, ["role"]),
        ({"name": "a", "role": "colour"}, ["role"]),
        ({"name": "a", "sortOrder": -1}, ["sortOrder"]),
        ({"name": "a", "sortOrder": True}, ["sortOrder"]),
        ({"name": "a", "isSubscribed": None}, ["isSubscribed"]),
        ({"name": "a", "id": "F1-7", "totalEmails": 1}, ["id", "totalEmails"]),
    ],
)
def test_new_mailboxes_that_cannot_be(record: Mapping[str, object], properties: list[str]) -> None:
    error = refused(lambda: read_mailbox(OWNER, record, BOXES, {}))
    assert (error.type, list(error.properties or ())) == ("invalidProperties", properties)


def change(number: MailboxId, patch: Mapping[str, object]) -> MailboxWish:
    shown = make_mailbox(OWNER, BOXES[number], ThreadCounts(), DEFAULT_PROPERTIES)
    return read_mailbox_change(OWNER, BOXES[number], shown, patch, BOXES, {})


def test_changes_of_mailboxes() -> None:
    assert change(THREE, {"parentId": None, "totalEmails": 0}) == MailboxWish("old", None, None, 0, True)
    assert change(TWO, {"name": "play", "role": "junk"}) == MailboxWish("play", None, Role.JUNK, 0, True)
    assert change(ONE, {"sortOrder": 5, "isSubscribed": False}) == MailboxWish("INBOX", None, Role.INBOX, 5, False)


@pytest.mark.parametrize(
    ("number", "patch", "properties"),
    [
        (TWO, {"parentId": "F1-2"}, ["parentId"]),
        (TWO, {"parentId": "F1-3"}, ["parentId"]),  # its own child
        (TWO, {"totalEmails": 7}, ["totalEmails"]),
        (TWO, {"myRights/mayDelete": False}, ["myRights"]),
        (THREE, {"parentId": None, "name": "work"}, ["name"]),
        (ONE, {"name": "Eingang"}, ["name"]),
        (ONE, {"role": None}, ["role"]),
    ],
)
def test_changes_of_mailboxes_that_cannot_be(
    number: MailboxId, patch: Mapping[str, object], properties: list[str]
) -> None:
    error = refused(lambda: change(number, patch))
    assert (error.type, list(error.properties or ())) == ("invalidProperties", properties)


def test_which_mailboxes_may_go() -> None:
    boxes = list(BOXES.values())
    assert refused(lambda: check_removal(BOXES[ONE], boxes, removes_emails=True)).type == "forbidden"
    assert refused(lambda: check_removal(BOXES[TWO], boxes, removes_emails=True)).type == "mailboxHasChild"
    assert refused(lambda: check_removal(BOXES[TWO], [], removes_emails=False)).type == "mailboxHasEmail"
    check_removal(BOXES[TWO], [], removes_emails=True)
    check_removal(BOXES[THREE], boxes, removes_emails=False)


# -- threads


def test_threads() -> None:
    assert make_thread(OWNER, ThreadId(4), [EmailId(1), EmailId(2)]) == Thread("T1-4", ["M1-1", "M1-2"])
    threads = {EmailId(1): ThreadId(1), EmailId(2): ThreadId(2), EmailId(3): ThreadId(1)}
    assert collapse_threads([EmailId(3), EmailId(2), EmailId(1)], threads) == [3, 2]
