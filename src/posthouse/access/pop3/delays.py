"""When an account logged in last, for LOGIN-DELAY (RFC 2449 §6.5). In memory, of one worker: a client that comes to
another worker is not held up, so an account may log in as often as there are workers. A hint to greedy clients, no
protection.
"""

from __future__ import annotations

from posthouse.message.mailbox import AccountId
from posthouse.ports.clock import Clock


class LoginDelays:
    __slots__ = ("_clock", "_last")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last: dict[AccountId, float] = {}  # the oldest first

    def is_too_soon(self, account: AccountId, delay_s: float) -> bool:
        last = self._last.get(account)
        return last is not None and self._clock.monotonic() < last + delay_s

    def note(self, account: AccountId, delay_s: float) -> None:
        """It is in. Those whose delay is over are forgotten."""
        now = self._clock.monotonic()
        self._last.pop(account, None)
        self._last[account] = now
        for old in [each for each, last in self._last.items() if last + delay_s <= now]:
            del self._last[old]
