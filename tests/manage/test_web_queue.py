"""Why mail waits, in plain words."""

from __future__ import annotations

import pytest

from posthouse.manage.web_queue import explain_item, explain_recipient, explain_reply


@pytest.mark.parametrize(
    ("reply", "word"),
    [
        ("550 5.1.1 User unknown", "no-such-mailbox"),
        ("452 4.2.2 Over quota", "mailbox-full"),
        ("450 4.2.0 <bob@x>: Recipient address rejected: Greylisted for 5 minutes", "greylisted"),
        ("451 4.7.1 Greylisting in action, please come back later", "greylisted"),
        ("550 5.7.1 graylisted forever", "refused-by-policy"),
        ("451 4.4.1 connection to mx.example timed out", "unreachable"),
        ("451 4.4.3 DNS timeout", "dns"),
        ("451 4.4.4 no route", "dns"),
        ("554 5.7.99 no", "refused-by-policy"),
        ("552 5.3.4 too big", "too-large"),
        ("421 too busy", "not-accepting"),
        ("421 4.0.0 too busy", "not-accepting"),
        ("550 go away", "refused"),
        ("599 odd", "other"),
        ("", "other"),
        ("nonsense", "other"),
        ("550 5.999.999 x", "refused"),
    ],
)
def test_a_reply_is_a_reason(reply: str, word: str) -> None:
    assert explain_reply(reply)[0] == word


def test_what_was_never_tried_waits_for_its_turn() -> None:
    told = explain_recipient({"address": "a@b", "status": "ready", "last_reply": None})
    assert (told["reasonCode"], told["reason"]) == ("waiting", "It waits for its turn")
    told = explain_recipient({"address": "a@b", "status": "deferred", "last_reply": None})
    assert told["reasonCode"] == "waiting"


def test_what_is_held_tells_what_was_wrong_before() -> None:
    told = explain_recipient({"status": "held", "last_reply": "550 5.1.1 unknown"})
    assert told["reasonCode"] == "held"
    assert told["reason"] == "Held by an administrator; before: There is no such mailbox"


def test_what_is_being_tried_says_so_whatever_it_was_answered_before() -> None:
    assert explain_recipient({"status": "active", "last_reply": "452 4.2.2 full"})["reasonCode"] == "active"
    assert explain_recipient({"status": "relayed", "last_reply": "250 2.0.0 ok"})["reasonCode"] == "relayed"


def test_everything_else_of_a_message_stays_as_it_is() -> None:
    item = {"id": "1", "recipients": [{"status": "ready"}], "size": 5}
    told = explain_item(item)
    assert (told["id"], told["size"]) == ("1", 5)
    assert item["recipients"] == [{"status": "ready"}]
    assert explain_item({"id": "1"})["recipients"] == []
