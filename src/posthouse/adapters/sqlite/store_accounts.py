"""Which accounts a store holds rows of, asked across its shards: for whoever keeps it in step with the directory."""

from __future__ import annotations

import apsw

from posthouse.adapters.sqlite.store_base import StoreCore
from posthouse.adapters.sqlite.store_sql import read_number, select_numbers
from posthouse.message.mailbox import AccountId


async def find_removed(core: StoreCore) -> set[AccountId]:
    """Those that are marked and not erased yet. Raises StoreError."""
    found: set[AccountId] = set()
    for shard in core.shards:
        found.update(map(AccountId, await shard.readers.run(_read_removed)))
    return found


async def has_account(core: StoreCore, account: AccountId) -> bool:
    """It has rows, marked or not. Raises NoSuchAccount, StoreError."""
    return await core.shard(account).readers.run(_is_there, account)


def _read_removed(connection: apsw.Connection) -> list[int]:
    return select_numbers(connection, "SELECT account AS n FROM account WHERE removed IS NOT NULL")


def _is_there(connection: apsw.Connection, account: int) -> bool:
    return read_number(connection, "SELECT 1 FROM account WHERE account = ?", (account,)) is not None
