"""Mail that people submitted: the store is told what became of it before the spool forgets it (sending.md rule 9).

The store's side is msa/handover.py. A store that cannot be written now costs nothing: the final rows stay in the
spool, listed as what they are, and the store is told again later. After a crash before that they stay listed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from posthouse.mta.rounds import Round, list_final
from posthouse.ports.observe import Log
from posthouse.ports.spool import QueuedMessage, Settlement, SpoolError


class SubmittedMail(Protocol):
    """What the store has to say about mail that was handed over from it."""

    async def clear(self, messages: Sequence[QueuedMessage]) -> list[QueuedMessage]:
        """Those that may be tried; the others are seen to there."""

    async def record(self, message: QueuedMessage) -> bool:
        """True: its final outcomes so far are durable in the store."""


class Recording:
    def __init__(self, submitted: SubmittedMail | None, log: Log) -> None:
        self._submitted = submitted
        self._log = log
        self._untold: list[Round] = []

    @property
    def has_untold(self) -> bool:
        return bool(self._untold)

    async def clear(self, found: list[QueuedMessage]) -> list[QueuedMessage]:
        """Mail handed over from a store is not tried before the store says so."""
        if self._submitted is None or not any(message.submission for message in found):
            return found
        return await self._submitted.clear(found)

    async def note(self, message: QueuedMessage) -> None:
        """Some of it has ended; what cannot be told now is told with the rest."""
        await self._record(message)

    async def _record(self, message: QueuedMessage) -> bool:
        return self._submitted is None or message.submission is None or await self._submitted.record(message)

    async def conclude(self, round_: Round, settlement: Settlement) -> Settlement:
        """The settlement that may be stored: it does not remove what the store has not heard of."""
        if await self._record(round_.message) or not settlement.remove:
            return settlement
        self._untold.append(round_)
        return Settlement(round_.message.id, list_final(round_.message))

    async def tell_again(self) -> None:
        untold, self._untold = self._untold, []
        for round_ in untold:
            try:
                if await self._record(round_.message):
                    await round_.spool.settle(Settlement(round_.message.id, remove=True))
                else:
                    self._untold.append(round_)
            except SpoolError as error:
                self._log.error("outcome could not be stored", id=round_.message.id, error=str(error))
