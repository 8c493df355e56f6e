"""How many sessions to read mail by an account has, counted over all workers (`posthouse.ports.access.SessionSlots`).

As with connections (serve/admission.py) each worker tells the coordinator what changed, every 100 ms, and hears of the
others: the server as a whole may be over a limit by what other workers let in within two exchanges. Without a
coordinator each worker goes on with its part of the limits. In memory only; a worker that is gone has no sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from posthouse.app.rpc import Channel
from posthouse.app.worker_context import Arguments, Link
from posthouse.message.mailbox import AccountId
from posthouse.serve.admission import ConnectionCounts

OP = "session-slots"
_TOO_MANY = "This account has too many sessions, close some of them"
_TOO_MANY_HERE = "This account has too many sessions from your address, close some of them"


@dataclass(frozen=True, slots=True)
class SlotLimits:
    """0 turns a limit off."""

    per_account: int = 50
    per_address: int = 20

    def part(self, workers: int) -> SlotLimits:
        return SlotLimits(-(-self.per_account // workers), -(-self.per_address // workers))


class WorkerSlots:
    """The worker's side. `tell` is called every 100 ms."""

    def __init__(self, link: Link, limits: SlotLimits, worker_count: int) -> None:
        self._link = link
        self._limits, self._part = limits, limits.part(worker_count)
        self._own: dict[str, int] = {}
        self._others: dict[str, int] = {}
        self._changed: set[str] = set()
        self._is_alone = not link.is_connected
        link.on_notice(OP, self._take)
        link.on_connect(self._begin_anew)
        link.on_disconnect(self._stand_alone)

    def enter(self, account: AccountId, address: str) -> str | None:
        limits = self._part if self._is_alone else self._limits
        all_of_it, from_there = _keys(account, address)
        if limits.per_account and self._count(all_of_it) >= limits.per_account:
            return _TOO_MANY
        if limits.per_address and self._count(from_there) >= limits.per_address:
            return _TOO_MANY_HERE
        for key in (all_of_it, from_there):
            self._own[key] = self._own.get(key, 0) + 1
            self._changed.add(key)
        return None

    def leave(self, account: AccountId, address: str) -> None:
        for key in _keys(account, address):
            left = self._own.get(key, 0) - 1
            if left > 0:
                self._own[key] = left
            else:
                self._own.pop(key, None)
            self._changed.add(key)

    def _count(self, key: str) -> int:
        return self._own.get(key, 0) + self._others.get(key, 0)

    # -- with the coordinator

    def tell(self) -> None:
        if self._changed and self._link.is_connected:
            self._link.notify(OP, {"counts": {key: self._own.get(key, 0) for key in self._changed}})
            self._changed.clear()

    def _begin_anew(self) -> None:
        """What is known of the others came with the welcome already."""
        self._is_alone = False
        self._changed = set(self._own)
        self.tell()

    def _stand_alone(self) -> None:
        self._is_alone = True
        self._others.clear()

    def _take(self, args: Arguments) -> None:
        for key, count in _read(args).items():
            if count:
                self._others[key] = count
            else:
                self._others.pop(key, None)


class SharedSlots:
    """The coordinator's side. Workers are known by the numbers of their connections."""

    def __init__(self) -> None:
        self._counts = ConnectionCounts()

    def take(self, worker: int, args: Arguments) -> None:
        self._counts.report(worker, _read(args).items())

    def forget(self, worker: int) -> None:
        self._counts.forget(worker)

    def greet(self, worker: int, channel: Channel) -> None:
        _tell(channel, self._counts.everything_for(worker))

    def flush(self, channels: Iterable[tuple[int, Channel]]) -> None:
        news = self._counts.take_news()
        for worker, channel in channels:
            _tell(channel, news(worker))


def _keys(account: AccountId, address: str) -> tuple[str, str]:
    return str(account), f"{account} {address}"


def _tell(channel: Channel, counts: dict[str, int]) -> None:
    if counts:
        channel.notify(OP, {"counts": counts})


def _read(args: Arguments) -> dict[str, int]:
    return msgspec.convert(args.get("counts"), dict[str, int])
