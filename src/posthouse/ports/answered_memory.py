"""Whom the accounts of the store's fake have answered."""

from __future__ import annotations

from posthouse.message.mailbox import AccountId
from posthouse.ports.answered import MAX_ANSWERED
from posthouse.ports.store_memory_mailboxes import Reading


class MemoryAnswered:
    def __init__(self, write: Reading) -> None:
        self._write = write

    async def claim(self, account: AccountId, key: bytes, now: float, expires: float) -> bool:
        answered = self._write(account).answered
        for known, until in list(answered.items()):
            if until <= now:
                del answered[known]
        if key in answered or len(answered) >= MAX_ANSWERED:
            return False
        answered[key] = expires
        return True

    async def release(self, account: AccountId, key: bytes) -> None:
        self._write(account).answered.pop(key, None)
