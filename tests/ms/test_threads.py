"""Which emails are one thread (RFC 8621 §3)."""

from __future__ import annotations

from posthouse.message.mailbox import ThreadId
from posthouse.message.parsed import ParsedMessage, SortKeys
from posthouse.ms.threads import NEW_THREAD, counting_ids, plan_thread, thread_subject


def make_message(message_id: str, references: tuple[str, ...] = (), subject: str = "") -> ParsedMessage:
    keys = SortKeys(None, subject, "", "", "", "", "")
    return ParsedMessage(0, 0, 0, b"", b"", (), b"", keys, message_id, references)


def test_an_id_counts_wherever_it_stands_and_once() -> None:
    assert counting_ids(make_message("c", ("a", "b", "a"))) == ("c", "a", "b")
    assert counting_ids(make_message("", ("a", ""))) == ("a",)
    assert counting_ids(make_message("")) == ()


def test_of_very_many_references_the_first_and_the_last_count() -> None:
    ids = counting_ids(make_message("x", tuple(f"r{number}" for number in range(100_000))))
    assert len(ids) == 51
    assert {"x", "r0", "r99999"} <= set(ids)
    assert counting_ids(make_message("y" * 5000)) == ()


def test_subjects_compare_without_their_spaces() -> None:
    assert thread_subject(make_message("", (), "A B C")) == thread_subject(make_message("", (), "AB C"))


def test_several_threads_become_the_oldest_one() -> None:
    assert plan_thread([]) == NEW_THREAD
    one = plan_thread([ThreadId(7), ThreadId(7)])
    assert (one.thread, one.merged) == (7, ())
    several = plan_thread([ThreadId(9), ThreadId(3), ThreadId(5), ThreadId(3)])
    assert (several.thread, several.merged) == (3, (5, 9))
