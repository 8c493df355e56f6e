"""When a message is tried again, when its sender is warned, and when it is given up (RFC 5321 §4.5.4.1).

Pure: times are arguments, chance comes from `ports.clock.Random`. Every answer of `next_attempt` lies in the
future and, while the message's time is not over, not behind its end: so a message is picked up at the very
moment it expires, and a crash loop does not hammer a peer.

"Tried since start": after a jump of the clock or a long stop everything may look expired at once. Whoever asks
says whether this server has tried the message since it (or the clock) came back; what was not gets one more try.
`Vigil` knows since when that is; a recipient whose attempt was due before then, and was missed, has it to come.
"""

from __future__ import annotations

from dataclasses import dataclass

from posthouse.message.instant import Instant
from posthouse.ports.clock import Clock, Random

NEVER = Instant(float("inf"))
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again at `at`; `warn`: tell the sender now that it is late (RFC 3461 §4.1 DELAY)."""

    at: Instant
    warn: bool


@dataclass(frozen=True, slots=True)
class Expire:
    """Its time is over: a failure report with 4.4.7 (RFC 3463 §3.5)."""


Verdict = Retry | Expire


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """`retry` are the waits after the first, second ... attempt in seconds; the last repeats.

    `report_expire_after_s` is for what we made ourselves (bounces, reports), which never warns.
    """

    retry: tuple[float, ...] = (300, 600, 1200, 2400, 4800, 9600, 14400)
    warn_after_s: float = 14400
    expire_after_s: float = 432000
    report_expire_after_s: float = 86400

    def expiry(self, arrived: Instant, is_report: bool) -> Instant:
        return Instant(arrived + (self.report_expire_after_s if is_report else self.expire_after_s))

    def deadline(self, arrived: Instant, is_report: bool, tried_since_start: bool) -> Instant:
        """Until when a message may wait in memory for its turn; NEVER while it has one more try to come."""
        return self.expiry(arrived, is_report) if tried_since_start else NEVER

    def is_expired(self, arrived: Instant, now: Instant, is_report: bool, tried_since_start: bool) -> bool:
        return tried_since_start and now >= self.expiry(arrived, is_report)

    def next_attempt(self, arrived: Instant, attempts: int, now: Instant, is_report: bool, random: Random) -> Instant:
        """When a message with `attempts` finished attempts is tried next, counted from `now`.

        It is cut to the expiry. A message beyond it (only a last try is due) waits its full time, so that the
        answer is always later than `now`.
        """
        retry = self.retry
        wait = retry[attempts] if attempts < len(retry) else retry[-1]
        at = now + wait * random.uniform(1 - JITTER, 1 + JITTER)
        expiry = self.expiry(arrived, is_report)
        return expiry if now < expiry < at else Instant(at)

    def attempts_for_age(self, age_s: float) -> int:
        """How many attempts a message of that age would have had, were it tried each time it was due."""
        count, waited = 0, self.retry[0]
        while count < len(self.retry) - 1 and waited <= age_s:
            count += 1
            waited += self.retry[count]
        return count

    def should_warn(self, arrived: Instant, now: Instant, is_report: bool, warned: bool) -> bool:
        return not warned and not is_report and now >= arrived + self.warn_after_s

    def judge(
        self, arrived: Instant, attempts: int, now: Instant, random: Random, *, is_report: bool, warned: bool
    ) -> Verdict:
        """What follows a temporary failure; `attempts` includes the one that just failed."""
        if now >= self.expiry(arrived, is_report):
            return Expire()
        at = self.next_attempt(arrived, attempts - 1, now, is_report, random)
        return Retry(at, self.should_warn(arrived, now, is_report, warned))


class Vigil:
    """Since when this server has been awake without a break: a start, a jump of the clock, a sleep, a long freeze.

    `check` is called every few seconds and at least once a minute.
    """

    def __init__(self, clock: Clock, longest_gap_s: float = 120.0) -> None:
        self._clock = clock
        self._longest_gap_s = longest_gap_s
        self.since = clock.now()
        self._last_now: float = self.since
        self._last_monotonic = clock.monotonic()

    def check(self) -> bool:
        """True: there was a break just now (what depends on the wall clock is to be looked at again)."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        passed = monotonic - self._last_monotonic
        drift = now - self._last_now - passed
        self._last_now, self._last_monotonic = now, monotonic
        if passed <= self._longest_gap_s and abs(drift) <= self._longest_gap_s:
            return False
        self.since = now
        return True

    def was_tried(self, due: Instant) -> bool:
        """Of a recipient whose attempt was due then: no break lies between, so it was not missed."""
        return due >= self.since
