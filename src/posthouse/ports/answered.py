"""Whom a vacation answer has been sent to, so that nobody gets it twice in a row (RFC 3834 §2).

Beside the account's records, but no part of its changes: nobody is told that somebody was answered.
"""

from __future__ import annotations

from typing import Protocol

from posthouse.message.mailbox import AccountId

MAX_ANSWERED = 2_000  # of an account, at one time


class Answered(Protocol):
    async def claim(self, account: AccountId, key: bytes, now: float, expires: float) -> bool:
        """True: nobody had the key, and until `expires` nobody gets it again, in this process or another. Durable
        when it returns. False also when the account has MAX_ANSWERED of them.
        """

    async def release(self, account: AccountId, key: bytes) -> None:
        """The answer could not be sent."""
