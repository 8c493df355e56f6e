"""Which part of a query's result is asked for (RFC 8620 §5.5), and what became of a result (RFC 8620 §5.6). Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeVar

from posthouse.protocol.jmap.arguments import QueryArguments, QueryChangesArguments
from posthouse.protocol.jmap.errors import ErrorType, MethodError
from posthouse.protocol.jmap.responses import UNSET, AddedItem, QueryChangesResponse, QueryResponse

Item = TypeVar("Item", bound=object)


@dataclass(frozen=True, slots=True)
class Window:
    """`limit`: the server's, where it counts and not the client's: then it is to be told."""

    position: int
    end: int
    limit: int | None = None


def answer_query(
    query: QueryArguments, state: str, ids: Sequence[str], most: int, *, can_calculate_changes: bool = True
) -> QueryResponse:
    """What is asked for of `ids`, which are all. `most`: as in `find_window`. Raises MethodError (anchorNotFound)."""
    window = find_window(ids, query, most)
    return QueryResponse(
        account_id=query.account_id,
        query_state=state,
        can_calculate_changes=can_calculate_changes,
        position=window.position,
        ids=ids[window.position : window.end],
        total=len(ids) if query.calculate_total else UNSET,
        limit=UNSET if window.limit is None else window.limit,
    )


def find_window(ids: Sequence[str], query: QueryArguments, most: int) -> Window:
    """`most`: ids the server gives at once. Raises MethodError (anchorNotFound)."""
    position = _find_start(ids, query)
    wanted = query.limit
    if wanted is not None and wanted <= most:
        return Window(position, min(len(ids), position + wanted))
    return Window(position, min(len(ids), position + most), most)


def _find_start(ids: Sequence[str], query: QueryArguments) -> int:
    if query.anchor is None:
        return query.position if query.position >= 0 else max(0, len(ids) + query.position)
    try:
        at = ids.index(query.anchor)
    except ValueError:
        raise MethodError(ErrorType.ANCHOR_NOT_FOUND) from None
    return max(0, at + query.anchor_offset)


@dataclass(frozen=True, slots=True)
class QueryDelta:
    removed: tuple[str, ...]
    added: tuple[AddedItem, ...]


def compare_results(
    ids: Sequence[Item],
    touched: Collection[Item],
    max_changes: int | None = None,
    up_to: Item | None = None,
    name: Callable[[Item], str] = str,
) -> QueryDelta:
    """How a client gets from the result it has to `ids`, which it is now.

    `touched`: all that may be in the old result and not in this one, or at another place, or in this one alone. Removed
    may be more than there was: a client passes over what it does not have (RFC 8620 §5.6). `up_to`: the last id the
    client knows, given only where neither filter nor sort look at what changes. `name`: where these are no ids yet.
    Raises MethodError (tooManyChanges).
    """
    last = len(ids)
    if up_to is not None and up_to in ids:
        last = ids.index(up_to) + 1
    known = set(touched)
    added = [(item, index) for index, item in enumerate(ids[:last]) if item in known]
    if max_changes is not None and len(known) + len(added) > max_changes:
        raise MethodError(ErrorType.TOO_MANY_CHANGES)
    return QueryDelta(tuple(sorted(map(name, known))), tuple([AddedItem(name(item), index) for item, index in added]))


def answer_query_changes(
    query: QueryChangesArguments, state: str, delta: QueryDelta, total: int
) -> QueryChangesResponse:
    return QueryChangesResponse(
        account_id=query.account_id,
        old_query_state=query.since_query_state,
        new_query_state=state,
        removed=delta.removed,
        added=delta.added,
        total=total if query.calculate_total else UNSET,
    )
