"""The order of SORT (RFC 5256 §3, RFC 5957)."""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.parsed import SortKeys
from posthouse.message.search import SortBy, SortKey
from posthouse.ms.sort import sort_rows


@dataclass
class Row:
    uid: int
    received: float
    size: int
    keys: SortKeys
    relevance: float = 0.0


ROWS = [
    Row(1, 30.0, 5, SortKeys(10.0, "B", "ANN", "", "", "ZED", ""), 1.0),
    Row(2, 20.0, 5, SortKeys(None, "A", "BOB", "", "", "YAN", ""), 3.0),
    Row(3, 10.0, 1, SortKeys(15.0, "B", "ANN", "", "", "XEN", ""), 2.0),
]


def order(*by: SortBy) -> list[int]:
    return [row.uid for row in sort_rows(ROWS, by)]


def test_without_a_date_field_arrival_counts() -> None:
    assert order(SortBy(SortKey.DATE)) == [1, 3, 2]
    assert order(SortBy(SortKey.ARRIVAL)) == [3, 2, 1]


def test_the_first_criterion_decides_and_the_next_among_equals() -> None:
    assert order(SortBy(SortKey.SUBJECT), SortBy(SortKey.SIZE)) == [2, 3, 1]
    assert order(SortBy(SortKey.SUBJECT, is_descending=True), SortBy(SortKey.SIZE)) == [3, 1, 2]


def test_equals_stay_in_order_also_downward() -> None:
    assert order(SortBy(SortKey.FROM, is_descending=True)) == [2, 1, 3]
    assert order(SortBy(SortKey.TO, is_descending=True)) == [1, 2, 3]
    assert order() == [1, 2, 3]


def test_display_names_and_relevance_sort() -> None:
    assert order(SortBy(SortKey.DISPLAY_FROM)) == [3, 2, 1]
    assert order(SortBy(SortKey.RELEVANCY)) == [2, 3, 1]
