"""A message's story is found by queue id, Message-ID and address, with the reports it led to."""

from __future__ import annotations

import pytest

from posthouse.manage.trace import describe, to_plain, trace
from posthouse.message.ids import QueueId, Serial, ShardNumber, make_queue_id
from posthouse.ports.history import FakeHistory, Record


def make_id(number: int) -> QueueId:
    return make_queue_id(ShardNumber(1), Serial(number))


MESSAGE, REPORT, OTHER = make_id(1), make_id(2), make_id(3)
RECORDS: list[Record] = [
    {"at": 1.0, "step": "received", "id": MESSAGE, "sender": "Ann@a.example",
     "recipients": ["bob@b.example", "c@b.example"], "message_id": "<m1@a.example>", "size": 99},
    {"at": 2.5, "step": "relayed", "id": MESSAGE, "recipient": "c@b.example"},
    {"at": 2.0, "step": "failed", "id": MESSAGE, "recipient": "bob@b.example", "reply": "550 no"},
    {"at": 3.0, "step": "bounced", "id": MESSAGE, "report": REPORT},
    {"at": 3.0, "step": "received", "id": REPORT, "sender": "", "recipients": ["ann@a.example"], "about": MESSAGE},
    {"at": 4.0, "step": "delivered", "id": REPORT, "recipient": "ann@a.example"},
    {"at": 5.0, "step": "received", "id": OTHER, "sender": "eve@e.example", "recipients": ["bob@b.example"]},
]  # fmt: skip


@pytest.mark.parametrize("what", [MESSAGE, MESSAGE.lower(), REPORT, "<m1@a.example>", "m1@a.example", " ANN@A.example"])
def test_a_message_and_its_report_are_one_story_from_either_end(what: str) -> None:
    stories = trace(FakeHistory(RECORDS), what, 10)
    assert [(story.id, [record["step"] for record in story.records]) for story in stories] == [
        (MESSAGE, ["received", "failed", "relayed", "bounced"]),
        (REPORT, ["received", "delivered"]),
    ]


def test_an_address_names_the_latest_messages() -> None:
    assert [story.id for story in trace(FakeHistory(RECORDS), "bob@b.example", 10)] == [MESSAGE, REPORT, OTHER]
    assert [story.id for story in trace(FakeHistory(RECORDS), "bob@b.example", 1)] == [OTHER]


def test_nothing_is_known_of_a_stranger() -> None:
    assert trace(FakeHistory(RECORDS), "nobody@b.example", 10) == []


def test_reports_that_name_each_other_end() -> None:
    ring: list[Record] = [
        {"at": float(number), "step": "bounced", "id": make_id(number), "report": make_id((number + 1) % 50)}
        for number in range(50)
    ]
    assert len(trace(FakeHistory(ring), make_id(0), 10)) <= 20


def test_a_record_is_shown_in_plain_words() -> None:
    assert describe(RECORDS[2]) == ("failed for good", "recipient bob@b.example; reply 550 no")
    assert describe(RECORDS[4]) == ("received", f"recipients ann@a.example; about {MESSAGE}")
    waits = describe({"at": 1, "step": "submitted", "id": "7.1", "send_at": 1_800_000_000.5})
    assert waits == ("submitted by a user", "send at 2027-01-15T08:00:00.500Z")
    assert describe({"at": 1, "step": "new word", "id": "x", "helo": None, "held": False}) == ("new word", "")


def test_a_record_for_programs_begins_with_its_time() -> None:
    assert list(to_plain(RECORDS[1]).items()) == [
        ("time", "1970-01-01T00:00:02.500Z"), ("step", "relayed"), ("id", MESSAGE), ("recipient", "c@b.example"),
    ]  # fmt: skip
