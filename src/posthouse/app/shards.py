"""The shards of the spool that one worker owns, and which of them takes new mail.

A worker takes a free shard at start or makes one, and adopts what other workers left behind, within a second. A
shard whose fsync failed takes no more mail and no outcomes: a fresh one takes new mail, and the broken one is let
go and adopted again, which copies what it holds to a fresh database (docs/internals.md). An adopted shard that has
become empty is removed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from posthouse.adapters.sqlite.shards import ShardPool
from posthouse.adapters.sqlite.spool import SqliteSpool
from posthouse.mta.runner import Runner
from posthouse.ports.observe import Log
from posthouse.ports.spool import SpoolError

_ADOPT_S = 0.5
_EMPTY_CHECKS = 20  # rounds between looks at whether a surplus shard is empty


class Shards:
    def __init__(self, pool: ShardPool, runner: Runner, log: Log) -> None:
        self._pool = pool
        self._runner = runner
        self._log = log
        self._owned: list[SqliteSpool] = []
        self._current: SqliteSpool | None = None

    def current(self) -> SqliteSpool:
        """The shard for new mail. Raises SpoolError when there is none."""
        if self._current is None:
            raise SpoolError("no shard takes mail now")
        return self._current

    def owned(self) -> Sequence[SqliteSpool]:
        return self._owned

    async def open_first(self) -> None:
        """Raises SpoolError."""
        await self._open_current()

    async def _open_current(self) -> None:
        spool = await self._pool.take_free_shard()
        await self._add(spool)
        self._current = spool

    async def tend(self) -> None:
        """For ever: adopt, replace what is broken, remove what is surplus."""
        count = 0
        while True:
            count += 1
            try:
                await self._tend_once(look_for_empty=count % _EMPTY_CHECKS == 0)
            except (SpoolError, OSError) as error:
                self._log.warning("shards could not be looked after", error=str(error))
            except Exception as error:  # noqa: BLE001 - a defect here must not leave mail without an owner
                self._log.error("shards could not be looked after", error=repr(error))
            await asyncio.sleep(_ADOPT_S)

    async def _tend_once(self, *, look_for_empty: bool) -> None:
        if self._current is None or self._current.is_broken:
            await self._replace_current()
        await self._let_go_of_broken()
        for spool in await self._pool.adopt_orphans():
            self._log.info("shard adopted", shard=spool.shard)
            await self._add(spool)
        if look_for_empty:
            await self._remove_empty()

    async def _replace_current(self) -> None:
        self._current = None
        await self._open_current()

    async def _let_go_of_broken(self) -> None:
        """What is in hand of it ends first: its outcomes cannot be stored, so that it may be delivered once more."""
        for spool in self._owned[:]:
            if not spool.is_broken or spool is self._current:
                continue
            if self._runner.remove_spool(spool):
                self._log.error("an fsync failed: the shard takes no more mail and is copied", shard=spool.shard)
            if not self._runner.holds_any(spool):
                self._owned.remove(spool)
                await spool.close()

    async def _remove_empty(self) -> None:
        for spool in self._owned[:]:
            if spool is self._current or spool.is_broken or self._runner.holds_any(spool):
                continue
            if await self._pool.remove_if_empty(spool):
                self._owned.remove(spool)
                self._runner.remove_spool(spool)
                self._log.info("empty shard removed", shard=spool.shard)

    async def _add(self, spool: SqliteSpool) -> None:
        self._owned.append(spool)
        await self._runner.pick_up(spool)

    async def close(self) -> None:
        """Everything handed in is committed and the locks are free."""
        for spool in self._owned:
            await spool.close()
        self._pool.close()
