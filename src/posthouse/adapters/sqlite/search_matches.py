"""What SQL finds for a search: all that match, or the candidates of which texts are asked next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import apsw

from posthouse.adapters.sqlite.bulk import Value
from posthouse.adapters.sqlite.search_sql import Candidates, Scope, select_matches
from posthouse.adapters.sqlite.search_verify import Key
from posthouse.adapters.sqlite.store_reader import read_keywords, read_mailbox_state, read_modseq
from posthouse.adapters.sqlite.store_sql import select_rows
from posthouse.message.mailbox import AccountId, KeywordTable, ModSeq
from posthouse.message.search import SearchKey, SortBy


class TextIndex(Protocol):
    async def find(self, account: AccountId, program: SearchKey) -> Candidates | None:
        """None when it cannot narrow this program."""


@dataclass(frozen=True, slots=True)
class Matches:
    """Of one moment."""

    modseq: ModSeq
    keywords: KeywordTable
    keys: list[Key]


def read_matches(
    connection: apsw.Connection,
    account: AccountId,
    scope: Scope,
    program: SearchKey,
    sort: Sequence[SortBy],
    candidates: Candidates | None = None,
) -> Matches:
    if scope.mailbox is not None:
        read_mailbox_state(connection, account, scope.mailbox)
    keywords = read_keywords(connection, account)
    sql, bindings = select_matches(scope, keywords, program, sort, candidates)
    return Matches(read_modseq(connection, account), keywords, read_keys(connection, account, sql, bindings))


def read_keys(connection: apsw.Connection, account: AccountId, sql: str, bindings: Sequence[Value]) -> list[Key]:
    return cast("list[Key]", select_rows(connection, "uid, email", sql, bindings))
