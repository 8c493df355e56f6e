"""The text index of a server's store: `search/` beside `store/`, kept by whichever worker holds a shard's lock.

It may be deleted at any time, also while the server runs, and need not be in a backup: it is made again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from posthouse.adapters.sqlite.search import SqliteSearch
from posthouse.adapters.sqlite.search_index import SearchIndex
from posthouse.adapters.sqlite.search_indexer import SearchIndexer
from posthouse.adapters.sqlite.store import SqliteStore
from posthouse.ports.observe import Log
from posthouse.ports.store import StoreError

_AGAIN_S = 30.0  # after trouble


class TextSearch:
    """Gives a store that is not open yet its search. `start` before mail is taken, `close` before the store's."""

    def __init__(
        self,
        store: SqliteStore,
        data: str,
        log: Log,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        directory = os.path.join(data, "search")
        self._index = SearchIndex(store.core, directory)
        self._indexer = SearchIndexer(store.core, directory)
        self._log, self._sleep = log, sleep
        store.set_search(lambda core: SqliteSearch(core, self._index))

    async def start(self) -> None:
        """Searching works without an index, so what is wrong with it does not keep a server from starting."""
        try:
            await self._indexer.prepare()
        except (StoreError, OSError) as error:
            self._log.warning("text index cannot be opened", error=str(error))

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                pause_s = await self._indexer.run_once()
            except (StoreError, OSError) as error:
                self._log.warning("text index was not written", error=str(error))
                pause_s = _AGAIN_S
            except Exception as error:  # noqa: BLE001 - a defect in one round must not end all that follow
                self._log.error("text index failed", error=repr(error))
                pause_s = _AGAIN_S
            await self._sleep(pause_s)

    async def close(self) -> None:
        await self._indexer.close()
        await self._index.close()
