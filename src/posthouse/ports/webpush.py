"""Messages to push services (RFC 8030), which bring them to devices whose programs are not connected to us."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol


class PushOutcome(enum.Enum):
    SENT = "sent"
    GONE = "gone"  # there is no such subscription any more (RFC 8030 §7.3)
    LATER = "later"  # not reached, or asked to wait
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class PushTarget:
    """`p256dh`, `auth`: the client's keys, base64url (RFC 8291 §3.1); "" for messages that are not encrypted."""

    url: str
    p256dh: str = ""
    auth: str = ""


class WebPush(Protocol):
    @property
    def server_key(self) -> str:
        """Our public key, base64url: what a subscription is bound to (RFC 8292 §3)."""

    def check_url(self, url: str) -> str:
        """What is wrong with the URL of a subscription; "" when nothing is."""

    def check(self, target: PushTarget) -> str:
        """What is wrong with its keys; "" when nothing is."""

    async def send(self, target: PushTarget, octets: bytes, ttl_s: int) -> PushOutcome:
        """`octets`: JSON of at most 3 KiB. `ttl_s`: how long the service keeps it for a device that is away."""


class FakeWebPush:
    """`sent` lists (target, octets). The next outcomes are those of `outcomes`, then SENT."""

    def __init__(self) -> None:
        self.sent: list[tuple[PushTarget, bytes]] = []
        self.outcomes: list[PushOutcome] = []

    @property
    def server_key(self) -> str:
        return "BServerKey"

    def check_url(self, url: str) -> str:
        return "" if "://10." not in url else "The address is private"

    def check(self, target: PushTarget) -> str:
        return "" if target.p256dh != "wrong" else "The key is wrong"

    async def send(self, target: PushTarget, octets: bytes, ttl_s: int) -> PushOutcome:
        self.sent.append((target, octets))
        return self.outcomes.pop(0) if self.outcomes else PushOutcome.SENT
