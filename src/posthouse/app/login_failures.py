"""Failed logins told between workers, so that a server of N workers does not let through N times as many guesses.

As in app/feed.py the coordinator passes them on; they are gathered for a moment, bounded, and never waited for. While
the coordinator is being replaced each worker counts for itself. What is told are keys of trust/throttle: accounts,
names and addresses, no passwords.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from posthouse.app.worker_context import Arguments, Link

OP = "login-failures"
_GATHER_S = 0.02
_MAX_KEYS = 200  # for one moment; the runs of the hash alone keep it far below


class LoginFailures:
    """One per worker. `receive` gets the keys that failed elsewhere, as often as they did."""

    def __init__(self, link: Link, receive: Callable[[Iterable[str]], None]) -> None:
        self._link, self._receive = link, receive
        self._pending: list[str] = []
        link.on_notice(OP, self._take)

    def note(self, key: str) -> None:
        """It failed here. Called in the event loop."""
        if not self._pending:
            asyncio.get_running_loop().call_later(_GATHER_S, self._send)
        if len(self._pending) < _MAX_KEYS:
            self._pending.append(key)

    def _send(self) -> None:
        keys, self._pending = self._pending, []
        self._link.notify(OP, {"keys": keys})

    def _take(self, args: Arguments) -> None:
        keys = args.get("keys")
        if isinstance(keys, list):
            self._receive([key for key in keys if isinstance(key, str)])
