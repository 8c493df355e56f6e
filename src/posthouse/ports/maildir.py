"""Final delivery into Maildirs, first form; the message store comes later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from posthouse.ports.spool import Body


class MaildirError(Exception):
    """It could not be delivered now (disk full, no permission ...): a temporary failure of that recipient."""


@dataclass(frozen=True, slots=True)
class MaildirDelivery:
    """One message into one Maildir. `prefix` (Return-Path, Delivered-To, trace) goes in front of the body.

    `root` is the fixed part of the route's path: directories are only made below it.
    """

    root: str
    path: str
    prefix: bytes
    body: Body


class Maildirs(Protocol):
    async def deliver(self, deliveries: Sequence[MaildirDelivery]) -> list[MaildirError | None]:
        """Each is durable when this returns (tmp, fsync, rename into new, fsync of the directory), or its error."""


class FakeMaildirs:
    """Keeps what was delivered by path; paths in `failing` refuse."""

    def __init__(self) -> None:
        self.delivered: dict[str, list[bytes]] = {}
        self.failing: set[str] = set()

    async def deliver(self, deliveries: Sequence[MaildirDelivery]) -> list[MaildirError | None]:
        results: list[MaildirError | None] = []
        for delivery in deliveries:
            if delivery.path in self.failing:
                results.append(MaildirError(f"{delivery.path}: no space left on device"))
                continue
            body = delivery.body.inline or await delivery.body.read(0, delivery.body.size)
            self.delivered.setdefault(delivery.path, []).append(delivery.prefix + body)
            results.append(None)
        return results
