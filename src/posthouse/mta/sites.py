"""What we know about the places we send to: how many connections each takes, which are dead, which want us slower.

Pure: the time is an argument. A site begins with a window of 5 connections and earns more by successes (+1/N
each, so one more per window full of them) up to 20; a connection that fails costs 1/sqrt(N), which is less than
a window's worth of successes gives but soon shows. When nothing gets through any more the site is dead: no
connection until `retry_at`, then exactly one probe. The wait doubles with every failed probe, 1 minute to 1 hour.

`set_share` takes what the coordinator leased to this worker. Without it (no coordinator, or not asked yet) each
worker goes on with its 1/N of the window.

After a crash only what was stored by `to_row` is known: which sites were dead, why, and until when. The table is
bounded: sites that are idle and have nothing to remember are forgotten, oldest first.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

from posthouse.message.instant import Instant
from posthouse.mta.targets import SiteKey
from posthouse.ports.spool import SiteRow

LONG_AGO = Instant(0.0)
DEAD_MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """`workers`: how many share a site when nobody leases; windows are for the whole server."""

    window_start: int = 5
    window_max: int = 20
    workers: int = 1
    dead_min_s: float = 60.0
    dead_max_s: float = DEAD_MAX_S
    max_sites: int = 20_000
    forget_after_s: float = 3600.0


class Site:
    """State of one site. `window` is a float between 1 and `window_max`; its floor is the limit."""

    __slots__ = (
        "failures",
        "interval_s",
        "is_proven",
        "key",
        "last_used",
        "next_slot",
        "reason",
        "retry_at",
        "settings",
        "share",
        "slow_until",
        "suspended_until",
        "suspension",
        "window",
    )

    def __init__(self, key: SiteKey, settings: SiteSettings) -> None:
        self.key = key
        self.settings = settings
        self.window = float(settings.window_start)
        self.share: int | None = None
        self.is_proven = False  # somebody there has greeted us since we know it, or since it was last dead
        self.failures = 0  # failed probes in a row; 0 means alive
        self.retry_at = LONG_AGO
        self.reason = ""
        self.interval_s = 0.0  # least time between two messages, asked for by the provider
        self.slow_until = LONG_AGO
        self.next_slot = LONG_AGO
        self.suspended_until = LONG_AGO
        self.suspension = ""
        self.last_used = LONG_AGO

    @property
    def is_dead(self) -> bool:
        return self.failures > 0

    def limit(self) -> int:
        """Connections this worker may have open; one, the probe, to a site that is dead or has not answered yet."""
        if not self.is_proven:
            return 1 if self.share is None else min(1, self.share)
        if self.share is not None:
            return self.share if self.share < self.window else int(self.window)
        workers = self.settings.workers
        return int(self.window) if workers == 1 else max(1, int(self.window / workers))

    def closed_until(self, now: Instant) -> Instant | None:
        """When the site may be spoken to again, or None when it may be now (a dead one by one probe).

        A `retry_at` further off than any we set is left from before the clock was put back: it does not count.
        """
        if now < self.suspended_until:
            return self.suspended_until
        if self.failures and now < self.retry_at <= now + self.settings.dead_max_s:
            return self.retry_at
        return None

    def why_closed(self) -> str:
        return self.reason if self.failures else self.suspension

    def note_success(self) -> bool:
        """A transaction went through (whatever was said about single recipients). True: it was dead until now."""
        window = self.window
        if window < self.settings.window_max:
            self.window = min(window + 1 / window, float(self.settings.window_max))
        self.is_proven = True
        if not self.failures:
            return False
        self.failures = 0
        self.retry_at = LONG_AGO
        self.reason = ""
        return True

    def note_failure(self, now: Instant, reason: str, others_work: bool) -> bool:
        """A connection failed. True: the site is dead now (or still). `others_work`: a connection to it is alive."""
        self.window -= 1 / sqrt(self.window)
        if others_work and not self.failures and self.window >= 1:
            return False
        settings = self.settings
        self.window = 1.0 if others_work else float(settings.window_start)  # what it begins with when it is back
        self.retry_at = Instant(now + min(settings.dead_min_s * 2.0 ** min(self.failures, 30), settings.dead_max_s))
        self.failures += 1
        self.is_proven = False
        self.reason = reason
        return True

    def slow_down(self, messages_per_minute: float, until: Instant) -> None:
        """The provider wants at most so many a minute from all of us; each worker takes its part."""
        self.interval_s = 60.0 * self.settings.workers / messages_per_minute
        self.slow_until = until

    def suspend(self, until: Instant, reason: str) -> None:
        self.suspended_until = max(self.suspended_until, until)
        self.suspension = reason

    def take_slot(self, now: Instant) -> Instant | None:
        """Use the next slot of a slowed-down site; or when there will be one."""
        if now >= self.slow_until:
            self.interval_s = 0.0
            return None
        if now < self.next_slot <= now + self.interval_s:
            return self.next_slot
        self.next_slot = Instant(now + self.interval_s)
        return None

    def is_forgettable(self, now: Instant) -> bool:
        """Nothing here that a new entry would not say as well."""
        return (
            now - self.last_used >= self.settings.forget_after_s
            and not self.failures
            and now >= self.suspended_until
            and now >= self.slow_until
        )

    def to_row(self) -> SiteRow:
        """For `Spool.save_site`; failures 0 makes the spool forget it."""
        return SiteRow(self.key, self.retry_at, self.failures, self.reason)


class Sites:
    """The table of sites of one worker."""

    def __init__(self, settings: SiteSettings | None = None, rows: Iterable[SiteRow] = ()) -> None:
        self.settings = settings or SiteSettings()
        self._sites: dict[SiteKey, Site] = {}
        for row in rows:
            self.restore(row)

    def __len__(self) -> int:
        return len(self._sites)

    def get(self, key: SiteKey) -> Site:
        """The site of that key, made on first use."""
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = Site(key, self.settings)
        return site

    def restore(self, row: SiteRow) -> None:
        """What a shard remembers of a site; the later word counts."""
        site = self.get(SiteKey(row.site))
        if row.retry_at > site.retry_at:
            site.retry_at, site.failures, site.reason = row.retry_at, row.failures, row.reason

    def find(self, key: SiteKey) -> Site | None:
        return self._sites.get(key)

    def set_share(self, key: SiteKey, limit: int | None) -> None:
        """What the coordinator leased; None goes back to 1/N of the window."""
        self.get(key).share = limit

    def dead(self) -> list[Site]:
        return [site for site in self._sites.values() if site.failures]

    def give_another_try(self) -> None:
        """An administrator wants it now: each dead site may be probed at once, each suspended one spoken to."""
        for site in self._sites.values():
            if site.failures:
                site.retry_at, site.share = LONG_AGO, None
            site.suspended_until = LONG_AGO

    def drop(self, key: SiteKey) -> None:
        self._sites.pop(key, None)

    def forget_idle(self, now: Instant, in_use: frozenset[SiteKey]) -> int:
        """Drop idle sites; beyond `max_sites` also those that have something to remember, least used first."""
        idle = [site for key, site in self._sites.items() if key not in in_use]
        gone = [site for site in idle if site.is_forgettable(now)]
        for site in gone:
            del self._sites[site.key]
        surplus = len(self._sites) - self.settings.max_sites
        if surplus > 0:
            rest = sorted((site for site in idle if site.key in self._sites), key=lambda site: site.last_used)
            gone += rest[:surplus]
            for site in rest[:surplus]:
                del self._sites[site.key]
        return len(gone)
