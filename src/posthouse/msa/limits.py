"""How much an account may send, and when what it does looks stolen. Pure: times are arguments.

Limits: messages and recipients per hour, recipients per day, in sliding windows; recipients of one message. Beyond a
window: 450 4.7.1 with the time to wait; a message that could never fit: 550 5.7.1.

Stolen? Three signs within the last hour: many recipients it never wrote to before; many recipients that failed; a
network it never sent from, though it has sent from others. Two of them at once: this message and those that follow are
held, not dropped, and one command releases them. An account stays on hold while mail of it is held. A new account
has no network to differ from, so that a first mailing alone holds nothing.

What an account did is read from its own submissions in the store, so that a restart forgets nothing and no worker
needs to be asked; between two looks at it each worker knows only what itself has taken.
"""

from __future__ import annotations

import ipaddress
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from posthouse.message.instant import Instant
from posthouse.message.reply import Reply
from posthouse.ports.store import Submission, SubmissionState

HOUR_S = 3600.0
DAY_S = 86400.0
MAX_KNOWN = 20_000
_IPV4_PREFIX, _IPV6_PREFIX = 24, 48
_FAILED = frozenset({"failed", "expired"})


@dataclass(frozen=True, slots=True)
class SendLimits:
    """0: no limit. `strangers` and `failures` are the signs of a stolen account; `holds` False: never held."""

    messages_per_hour: int = 300
    recipients_per_hour: int = 500
    recipients_per_day: int = 2000
    recipients_per_message: int = 500
    holds: bool = True
    strangers: int = 50
    failures: int = 20


class Window:
    """Amounts of the last `length_s` seconds and their sum."""

    __slots__ = ("_entries", "length_s", "total")

    def __init__(self, length_s: float) -> None:
        self.length_s = length_s
        self.total = 0
        self._entries: deque[tuple[float, int]] = deque()

    def add(self, at: float, amount: int) -> None:
        self._entries.append((at, amount))
        self.total += amount

    def sum(self, now: float) -> int:
        while self._entries and self._entries[0][0] <= now - self.length_s:
            self.total -= self._entries.popleft()[1]
        return self.total

    def room_at(self, now: float, limit: int, amount: int) -> float:
        """When `amount` more stays within `limit`; `now` when it does already."""
        over = self.sum(now) + amount - limit
        if over <= 0:
            return now
        for at, entry in self._entries:
            over -= entry
            if over <= 0:
                return at + self.length_s
        return now + self.length_s


@dataclass(slots=True)
class Conduct:
    """What an account did of late. `networks`: those it sent from. `loaded`: when the store was looked at."""

    loaded: Instant
    known: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    messages: Window = field(default_factory=lambda: Window(HOUR_S))
    hourly: Window = field(default_factory=lambda: Window(HOUR_S))
    daily: Window = field(default_factory=lambda: Window(DAY_S))
    strangers: Window = field(default_factory=lambda: Window(HOUR_S))
    failures: Window = field(default_factory=lambda: Window(HOUR_S))
    is_held: bool = False

    def note_sent(self, at: float, recipients: Sequence[str], network: str) -> None:
        fresh = [one for one in recipients if one not in self.known]
        self.messages.add(at, 1)
        self.hourly.add(at, len(recipients))
        self.daily.add(at, len(recipients))
        self.strangers.add(at, len(fresh))
        if len(self.known) < MAX_KNOWN:
            self.known.update(fresh)
        if network:
            self.networks.add(network)

    def note_failed(self, at: float, count: int) -> None:
        self.failures.add(at, count)


def read_conduct(history: Iterable[Submission], now: Instant) -> Conduct:
    """From submissions, newest first. What is held says nothing of what the account usually does."""
    conduct = Conduct(now)
    failed: list[float] = []
    for one in reversed(list(history)):
        if one.state is SubmissionState.HELD:
            conduct.is_held = True
        elif one.state is not SubmissionState.CANCELED:
            addresses = [fold_address(fate.address) for fate in one.recipients]
            conduct.note_sent(one.created, addresses, network_of(one.source))
        failed += [fate.at for fate in one.recipients if fate.outcome in _FAILED]
    for at in sorted(failed):
        conduct.note_failed(at, 1)
    return conduct


def fold_address(text: str) -> str:
    return text.casefold()


@lru_cache(maxsize=4096)
def network_of(source: str) -> str:
    """The /24 or /48 of an address; "" of anything else."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return ""
    length = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ipaddress.ip_network((address, length), strict=False))


def plan_limit(conduct: Conduct, now: Instant, recipients: int, limits: SendLimits, messages: int = 1) -> Reply | None:
    """What the program hears when this is too much now. Of several `messages`: all their recipients."""
    most = limits.recipients_per_message
    if most and recipients > most and messages == 1:
        return Reply(550, "5.7.1", f"One message may have {most} recipients here")
    checks = (
        (conduct.messages, limits.messages_per_hour, messages, "messages an hour"),
        (conduct.hourly, limits.recipients_per_hour, recipients, "recipients an hour"),
        (conduct.daily, limits.recipients_per_day, recipients, "recipients a day"),
    )
    for window, limit, amount, what in checks:
        if not limit:
            continue
        if amount > limit:
            fewer = "send fewer at a time" if window is conduct.messages else "send to fewer people at a time"
            return Reply(550, "5.7.1", f"This account may send {_to(what)}{limit} {what}; {fewer}")
        ready = window.room_at(now, limit, amount)
        if ready > now:
            minutes = max(1, round((ready - now) / 60))
            text = f"This account may send {_to(what)}{limit} {what}"
            return Reply(450, "4.7.1", f"{text}; try again in {minutes} min")
    return None


def _to(what: str) -> str:
    return "to " if what.startswith("recipients") else ""


def plan_hold(conduct: Conduct, now: Instant, recipients: Sequence[str], network: str, limits: SendLimits) -> str:
    """Why this message is to wait for an administrator; "" when it need not. `recipients` are folded."""
    if not limits.holds:
        return ""
    if conduct.is_held:
        return "mail of this account is held already"
    fresh = sum(1 for one in recipients if one not in conduct.known)
    strangers = conduct.strangers.sum(now) + fresh
    failures = conduct.failures.sum(now)
    signs = []
    if limits.strangers and fresh and strangers >= limits.strangers:
        signs.append(f"{strangers} recipients never written to before")
    if limits.failures and failures >= limits.failures:
        signs.append(f"{failures} recipients failed")
    if network and conduct.networks and network not in conduct.networks:
        signs.append(f"first use from {network}")
    return "; ".join(signs) if len(signs) >= 2 else ""
