"""A search that goes on (RFC 5267 §4.3), as its session keeps it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

from posthouse.message.search import SearchKey, SortBy


class Watched:
    """A search and its result. `by`: the order of a SORT, empty for a SEARCH, whose results have no place."""

    __slots__ = ("by", "is_uid", "key", "results", "tag")

    def __init__(self, tag: bytes, key: SearchKey, by: Sequence[SortBy], uids: Iterable[int], *, is_uid: bool) -> None:
        self.tag, self.key, self.by, self.is_uid = tag, key, tuple(by), is_uid
        self.results = array("I", uids)
