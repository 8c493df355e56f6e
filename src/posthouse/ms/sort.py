"""The order of a SORT (RFC 5256 §3, RFC 5957, RFC 8621 §4.4.2).

Emails come in the order that decides between equals (UIDs, or ids); sorting is stable, also downward. Text keys are
comparable as they are (message/parsed.py). Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from posthouse.message.parsed import SortKeys
from posthouse.message.search import SortBy, SortKey


class Sortable(Protocol):
    """`received` is INTERNALDATE; `relevance` counts only for RELEVANCY, where more comes first."""

    @property
    def received(self) -> float: ...
    @property
    def size(self) -> int: ...
    @property
    def keys(self) -> SortKeys: ...
    @property
    def relevance(self) -> float: ...


Row = TypeVar("Row", bound=Sortable)


def _sent(row: Sortable) -> float:
    """RFC 5256 §2.2: without a valid Date field, INTERNALDATE."""
    return row.received if row.keys.sent is None else row.keys.sent


_KEYS: dict[SortKey, Callable[[Sortable], float | str]] = {
    SortKey.ARRIVAL: lambda row: row.received,
    SortKey.DATE: _sent,
    SortKey.SUBJECT: lambda row: row.keys.base_subject,
    SortKey.FROM: lambda row: row.keys.sender,
    SortKey.TO: lambda row: row.keys.recipient,
    SortKey.CC: lambda row: row.keys.copied,
    SortKey.SIZE: lambda row: row.size,
    SortKey.DISPLAY_FROM: lambda row: row.keys.display_from,
    SortKey.DISPLAY_TO: lambda row: row.keys.display_to,
    SortKey.RELEVANCY: lambda row: -row.relevance,
}


def sort_rows(rows: Sequence[Row], by: Sequence[SortBy]) -> list[Row]:
    ordered = list(rows)
    for criterion in reversed(by):  # the last one first: each sort keeps the order of equals
        ordered.sort(key=_KEYS[criterion.key], reverse=criterion.is_descending)
    return ordered
