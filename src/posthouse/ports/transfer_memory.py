"""`Imports` in memory: forgotten with the process."""

from __future__ import annotations

from collections.abc import Sequence

from posthouse.message.mailbox import AccountId
from posthouse.ports.store import Addition, Messages
from posthouse.ports.transfer import ImportUnderWay, Mark


class MemoryImports:
    """Adds to `messages`, which must be a fake too: nothing else runs between its two steps."""

    def __init__(self, messages: Messages) -> None:
        self._messages = messages
        self._marks: dict[tuple[AccountId, bytes], dict[str, str]] = {}

    async def marks(self, account: AccountId, source: bytes) -> dict[str, str]:
        return dict(self._marks.get((account, source), {}))

    async def add(
        self, account: AccountId, additions: Sequence[Addition], source: bytes, marks: Sequence[Mark]
    ) -> None:
        now = self._marks.setdefault((account, source), {})
        if any(now.get(mark.folder, "") != mark.before for mark in marks):
            raise ImportUnderWay("another import of the same is under way")
        if additions:
            await self._messages.add(account, additions)
        now.update((mark.folder, mark.position) for mark in marks)

    async def forget(self, account: AccountId, source: bytes) -> None:
        self._marks.pop((account, source), None)
