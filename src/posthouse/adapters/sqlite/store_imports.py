"""Emails of an import, added in one commit with how far it has come (docs/internals.md "An import")."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import cast

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_works import Unit
from posthouse.message.mailbox import AccountId
from posthouse.ports.store import Addition
from posthouse.ports.transfer import ImportUnderWay, Mark


class SqliteImports:
    """A `ports.transfer.Imports`."""

    def __init__(self, core: StoreCore) -> None:
        self._core = core

    async def marks(self, account: AccountId, source: bytes) -> dict[str, str]:
        return await self._core.read(account, _read_marks, source)

    async def add(
        self, account: AccountId, additions: Sequence[Addition], source: bytes, marks: Sequence[Mark]
    ) -> None:
        shard = self._core.shard(account)
        self._core.refuse_if_full(shard)
        limits = self._core.quota(account)

        def call(unit: Unit) -> None:
            _check_marks(unit, source, marks)
            if additions:
                shard.adder.add(unit.connection, unit.book, unit.state, additions, limits)
            _write_marks(unit, source, marks)

        await shard.write(account, call)

    async def forget(self, account: AccountId, source: bytes) -> None:
        await self._core.write(account, partial(_forget, source=source))


def _read_marks(connection: apsw.Connection, account: AccountId, source: bytes) -> dict[str, str]:
    rows = connection.execute(
        "SELECT folder, position FROM import_mark WHERE account = ? AND source = ?", (account, source)
    )
    return dict(cast("list[tuple[str, str]]", rows.fetchall()))


def _check_marks(unit: Unit, source: bytes, marks: Sequence[Mark]) -> None:
    now = _read_marks(unit.connection, AccountId(unit.account), source)
    if any(now.get(mark.folder, "") != mark.before for mark in marks):
        raise ImportUnderWay("another import of the same is under way")


def _write_marks(unit: Unit, source: bytes, marks: Sequence[Mark]) -> None:
    unit.connection.executemany(
        "REPLACE INTO import_mark VALUES (?, ?, ?, ?)",
        [(unit.account, source, mark.folder, mark.position) for mark in marks],
    )


def _forget(unit: Unit, source: bytes) -> None:
    unit.connection.execute("DELETE FROM import_mark WHERE account = ? AND source = ?", (unit.account, source))
