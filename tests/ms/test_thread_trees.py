"""THREAD (RFC 5256 §3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from posthouse.ms.thread_trees import ThreadBy, ThreadRow, build_threads, list_parents

Tree = list[object]


def make_row(
    uid: int,
    message_id: str = "",
    *references: str,
    subject: str = "",
    sent: float | None = None,
    is_reply: bool = False,
) -> ThreadRow:
    at = float(uid) if sent is None else sent
    return ThreadRow(uid, at, at, subject or f"S{uid}", is_reply, message_id, references)


def thread(*rows: ThreadRow, by: ThreadBy = ThreadBy.REFERENCES) -> Tree:
    """[1, [2, [3]]]: a number, then its children's lists; 0 for a parent that is missing."""
    forest = build_threads(rows, by)

    def show(at: int) -> Tree:
        return [rows[at].uid if at < len(rows) else 0, *map(show, forest.children.get(at, ()))]

    return [show(root) for root in forest.roots]


def test_replies_are_below_what_they_answer() -> None:
    rows = make_row(1, "a"), make_row(2, "b", "a"), make_row(3, "c", "a", "b"), make_row(4, "d", "a")
    assert thread(*rows) == [[1, [2, [3]], [4]]]


def test_the_order_of_arrival_does_not_matter() -> None:
    rows = make_row(1, "c", "a", "b", sent=3), make_row(2, "b", "a", sent=2), make_row(3, "a", sent=1)
    assert thread(*rows) == [[3, [2, [1]]]]


def test_a_missing_message_with_one_child_leaves_no_gap() -> None:
    assert thread(make_row(1, "b", "gone")) == [[1]]
    assert thread(make_row(1, "a"), make_row(2, "c", "a", "gone")) == [[1, [2]]]
    assert thread(make_row(1, "b", "gone", "gone2")) == [[1]]


def test_a_missing_root_with_two_children_stands_as_a_dummy() -> None:
    assert thread(make_row(1, "b", "gone"), make_row(2, "c", "gone")) == [[0, [1], [2]]]


def test_a_message_s_own_word_about_its_parent_counts_more() -> None:
    rows = make_row(1, "a"), make_row(2, "x"), make_row(3, "c", "x", "b"), make_row(4, "b", "a")
    assert thread(*rows) == [[1, [4, [3]]], [2]]


def test_messages_that_name_each_other_make_no_loop() -> None:
    assert thread(make_row(1, "a", "b"), make_row(2, "b", "a")) == [[2, [1]]]
    assert thread(make_row(1, "a", "a")) == [[1]]
    assert thread(make_row(1, "a", "c"), make_row(2, "b", "a"), make_row(3, "c", "b")) == [[3, [1, [2]]]]


def test_two_messages_with_one_id_both_stay() -> None:
    assert thread(make_row(1, "a"), make_row(2, "a"), make_row(3, "b", "a")) == [[1, [3]], [2]]


def test_threads_of_one_subject_are_joined() -> None:
    rows = make_row(1, "a", subject="X"), make_row(2, "b", subject="X", is_reply=True)
    assert thread(*rows) == [[1, [2]]]
    assert thread(*rows, by=ThreadBy.REFS) == [[1], [2]]


def test_two_messages_of_one_subject_that_answer_nothing_get_a_dummy() -> None:
    rows = make_row(1, "a", subject="X"), make_row(2, "b", subject="X"), make_row(3, "c", subject="X")
    assert thread(*rows) == [[0, [1], [2], [3]]]


def test_a_reply_before_its_subject_joins_it_anyway() -> None:
    rows = make_row(1, "a", subject="X", is_reply=True), make_row(2, "b", subject="X")
    assert thread(*rows) == [[2, [1]]]


def test_a_dummy_takes_threads_of_its_subject_in() -> None:
    rows = (
        make_row(1, "b", "gone", subject="X", is_reply=True),
        make_row(2, "c", "gone", subject="X", is_reply=True),
        make_row(3, "d", subject="X"),
        make_row(4, "e", "gone2", subject="X", is_reply=True),
        make_row(5, "f", "gone2", subject="X", is_reply=True),
    )
    assert thread(*rows) == [[0, [1], [2], [3], [4], [5]]]


def test_messages_without_a_subject_are_not_joined() -> None:
    one, two = make_row(1, "a"), make_row(2, "b")
    empty = [ThreadRow(row.uid, row.sent, row.received, "", False, row.message_id, ()) for row in (one, two)]
    assert thread(*empty) == [[1], [2]]


def test_siblings_and_threads_are_ordered_by_date() -> None:
    rows = (
        make_row(1, "a", sent=50),
        make_row(2, "b", sent=10),
        make_row(3, "c", "b", sent=40),
        make_row(4, "d", "b", sent=30),
        make_row(5, "e", "gone", sent=25),
        make_row(6, "f", "gone", sent=20),
    )
    assert thread(*rows) == [[2, [4], [3]], [0, [6], [5]], [1]]


def test_refs_puts_the_thread_with_the_newest_message_last() -> None:
    rows = make_row(1, "a", sent=10), make_row(2, "b", sent=20), make_row(3, "c", "a", sent=30)
    assert thread(*rows, by=ThreadBy.REFS) == [[2], [1, [3]]]


def test_ordered_subject_is_flat() -> None:
    rows = make_row(1, subject="B", sent=20), make_row(2, subject="A", sent=10), make_row(3, subject="B", sent=5)
    more = make_row(4, subject="B", sent=30)
    assert thread(*rows, more, by=ThreadBy.ORDERED_SUBJECT) == [[3, [1], [4]], [2]]


IDS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(IDS, st.lists(IDS, max_size=4), st.sampled_from("XYZ"), st.booleans()), max_size=12))
def test_every_message_is_in_exactly_one_place(messages: list[tuple[str, list[str], str, bool]]) -> None:
    rows = [
        make_row(uid, message_id, *references, subject=subject, is_reply=is_reply, sent=float(uid * 7 % 5))
        for uid, (message_id, references, subject, is_reply) in enumerate(messages, 1)
    ]
    for by in ThreadBy:
        forest = build_threads(rows, by)
        waiting, seen = list(forest.roots), []
        for at in waiting:
            children = forest.children.get(at, ())
            assert at < len(rows) or len(children) > 1
            seen += [rows[at].uid] if at < len(rows) else []
            waiting.extend(children)
        assert sorted(seen) == [row.uid for row in rows]


def test_in_reply_to_counts_where_there_are_no_references() -> None:
    assert list_parents(("a", "b"), 0) == ("a", "b")
    assert list_parents(("a", "b", "c"), 1) == ("a", "b")
    assert list_parents(("c", "d"), 2) == ("c",)
    assert list_parents((), 0) == ()


def test_a_very_deep_thread_is_built() -> None:
    count = 5_000
    rows = [make_row(n, f"m{n}", f"m{n - 1}") for n in range(1, count + 1)]
    for order in (rows, rows[::-1]):
        forest = build_threads(order, ThreadBy.REFERENCES)
        (root,) = forest.roots
        depth, at = 1, root
        while at in forest.children:
            (at,) = forest.children[at]
            depth += 1
        assert (depth, order[root].uid) == (count, 1)
