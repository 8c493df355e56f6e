"""How many connections the whole server makes to a site (a set of MX hosts), and how the workers share them.

Pure: reports come in, `plan(now)` says what each worker is to be told. A window per site grows by 1/N with each
success and shrinks by 1/sqrt(N) with each failure at connection level. It is shared out by what the workers
want; nobody is given more before another has really given it up, so the window is exceeded only

- by the first connections of a worker that has not been told its share yet (`default_slots` each), and
- while a share shrinks, until the messages in hand are done.

A dead site is dead for all; when its time comes one worker, and one only, gets one slot to probe it.
Nothing is kept over a crash: a new coordinator is filled by the workers' next reports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from posthouse.app.worker_context import SiteShare
from posthouse.config.settings import Settings
from posthouse.mta.sites import DEAD_MAX_S


class SiteReport(msgspec.Struct, array_like=True):
    """What one worker tells about one site: load now, and events since its last report."""

    site: str
    wanted: int = 0
    in_use: int = 0
    successes: int = 0
    failures: int = 0
    retry_at: float = 0.0
    failed_tries: int = 0
    reason: str = ""


class SiteNews(msgspec.Struct, array_like=True):
    """What one worker is told about one site."""

    site: str
    slots: int
    retry_at: float = 0.0
    failures: int = 0
    reason: str = ""

    @property
    def share(self) -> SiteShare:
        return SiteShare(self.slots, self.retry_at, self.failures, self.reason)


@dataclass(frozen=True, slots=True)
class WindowSettings:
    initial: int = 5
    smallest: int = 1
    largest: int = 20


def windows_of(settings: Settings) -> WindowSettings:
    outbound = settings.outbound
    return WindowSettings(initial=outbound.first_connections, largest=outbound.connections_per_site)


def default_slots(settings: WindowSettings, worker_count: int) -> int:
    """What a worker takes that has not been told its share: 1/N of the initial window, at least one."""
    return max(1, settings.initial // max(1, worker_count))


@dataclass(slots=True)
class _Load:
    wanted: int = 0
    in_use: int = 0


@dataclass(slots=True)
class _Site:
    window: float
    touched_at: float
    loads: dict[int, _Load] = field(default_factory=dict)
    told: dict[int, SiteShare] = field(default_factory=dict)
    retry_at: float = 0.0
    failed_tries: int = 0
    reason: str = ""
    prober: int | None = None
    turn: int = 0

    def is_open(self, now: float) -> bool:
        """Its time has come, or was set before the clock was put back (mta/sites.py: Site.closed_until)."""
        return not now < self.retry_at <= now + DEAD_MAX_S

    def held(self, worker: int) -> int:
        """What it has or may take at any moment."""
        told = self.told.get(worker)
        return max(self.loads[worker].in_use, told.slots if told else 0)


_KEEP_S = 600.0
_ROTATE_S = 1.0


class SharedSites:
    """The coordinator's memory of sites. Workers are named by any int that is not used again."""

    def __init__(self, worker_count: int, settings: WindowSettings | None = None) -> None:
        self._settings = settings or WindowSettings()
        self._default = default_slots(self._settings, worker_count)
        self._workers: set[int] = set()
        self._sites: dict[str, _Site] = {}
        self._dirty: set[str] = set()
        self._dead: set[str] = set()
        self._crowded: set[str] = set()
        self._rotated_at = 0.0
        self._swept_at = 0.0

    def configure(self, worker_count: int, settings: WindowSettings) -> None:
        """After a reload; windows follow with the next reports."""
        self._settings = settings
        self._default = default_slots(settings, worker_count)

    def window(self, site: str) -> float:
        known = self._sites.get(site)
        return known.window if known else float(self._settings.initial)

    def join(self, worker: int) -> None:
        """A worker has come: it hears of every dead site with the next plan."""
        self._workers.add(worker)
        self._dirty |= self._dead

    def forget(self, worker: int) -> None:
        """The worker is gone; what it had is free."""
        self._workers.discard(worker)
        for name, site in self._sites.items():
            site.told.pop(worker, None)
            if site.loads.pop(worker, None) is not None:
                self._dirty.add(name)

    def report(self, worker: int, reports: Iterable[SiteReport], now: float) -> None:
        """`now` is an Instant, as `retry_at` is."""
        for report in reports:
            site = self._sites.get(report.site)
            if site is None:
                site = self._sites[report.site] = _Site(float(self._settings.initial), now)
            site.touched_at = now
            self._count_load(site, worker, report)
            self._count_events(site, report, now)
            self._dirty.add(report.site)

    def plan(self, now: float) -> dict[int, list[SiteNews]]:
        """What each worker must hear, since the last call."""
        self._wake(now)
        news: dict[int, list[SiteNews]] = {}
        for name in self._dirty:
            site = self._sites[name]
            shares = self._dead_shares(site, now) if site.retry_at else self._live_shares(name, site)
            for worker, share in shares.items():
                if site.told.get(worker) != share:
                    site.told[worker] = share
                    told = SiteNews(name, share.slots, share.retry_at, share.failures, share.reason)
                    news.setdefault(worker, []).append(told)
        self._dirty.clear()
        return news

    # -- taking reports

    def _count_load(self, site: _Site, worker: int, report: SiteReport) -> None:
        if report.wanted or report.in_use:
            load = site.loads.setdefault(worker, _Load())
            load.wanted, load.in_use = report.wanted, report.in_use
        elif site.loads.pop(worker, None) is not None and not site.retry_at:
            site.told.pop(worker, None)  # it has dropped its share, too

    def _count_events(self, site: _Site, report: SiteReport, now: float) -> None:
        if report.successes:
            # The sum of 1/N steps while N grows: dN/ds = 1/N.
            grown = (site.window**2 + 2 * report.successes) ** 0.5
            site.window = min(float(self._settings.largest), grown)
            if not report.retry_at:
                self._revive(report.site, site)
        if report.failures:
            # Likewise dN/df = -1/sqrt(N).
            left = max(0.0, site.window**1.5 - 1.5 * report.failures)
            site.window = max(float(self._settings.smallest), left ** (2 / 3))
        if report.retry_at > (now if site.is_open(now) and site.retry_at > now else site.retry_at):
            site.retry_at, site.failed_tries, site.reason = report.retry_at, report.failed_tries, report.reason
            site.prober = None
            site.window = float(self._settings.initial)
            self._dead.add(report.site)

    def _revive(self, name: str, site: _Site) -> None:
        site.retry_at, site.failed_tries, site.reason, site.prober = 0.0, 0, "", None
        self._dead.discard(name)

    # -- sharing out

    def _wake(self, now: float) -> None:
        """Sites whose time to be probed has come, turns of crowded ones, and forgetting."""
        for name in self._dead:
            site = self._sites[name]
            if site.loads and site.is_open(now) and site.prober not in site.loads:
                self._dirty.add(name)
        if abs(now - self._rotated_at) >= _ROTATE_S:
            self._rotated_at = now
            for name in self._crowded:
                self._sites[name].turn += 1
            self._dirty |= self._crowded
            self._crowded.clear()
        if abs(now - self._swept_at) >= _KEEP_S:
            self._swept_at = now
            self._sweep(now)

    def _sweep(self, now: float) -> None:
        for name, site in list(self._sites.items()):
            if not site.loads and max(site.touched_at, site.retry_at) + _KEEP_S < now:
                del self._sites[name]
                for names in (self._dead, self._dirty, self._crowded):
                    names.discard(name)

    def _dead_shares(self, site: _Site, now: float) -> dict[int, SiteShare]:
        if site.is_open(now) and site.prober not in site.loads:
            willing = [worker for worker, load in site.loads.items() if load.wanted]
            site.prober = willing[site.turn % len(willing)] if willing else None
            site.turn += 1
        closed = SiteShare(0, site.retry_at, site.failed_tries, site.reason)
        probing = SiteShare(1, site.retry_at, site.failed_tries, site.reason)
        return {worker: probing if worker == site.prober else closed for worker in self._workers}

    def _live_shares(self, name: str, site: _Site) -> dict[int, SiteShare]:
        window = int(site.window)
        wants = {worker: load.wanted for worker, load in site.loads.items() if load.wanted}
        if len(wants) > window:
            self._crowded.add(name)
        targets = divide_window(window, wants, site.turn)
        # What somebody holds beyond its new target is not free before it was given up.
        free = window - sum(
            max(load.in_use, min(site.held(worker), targets.get(worker, 0))) for worker, load in site.loads.items()
        )
        shares = {worker: SiteShare(self._default) for worker in site.told if worker not in site.loads}
        for worker in site.loads:
            target, held = targets.get(worker, 0), site.held(worker)
            more = max(0, min(target - held, free))
            free -= more
            shares[worker] = SiteShare(min(target, held + more))
        return shares


def divide_window(window: int, wants: Mapping[int, int], turn: int) -> dict[int, int]:
    """Max-min fair: nobody gets more than another who wants more too; what nobody wants is spread evenly on top.

    With fewer slots than workers `turn` says who comes first.
    """
    shares = dict.fromkeys(wants, 0)
    order = list(wants)
    first = turn % len(order) if order else 0
    order = order[first:] + order[:first]
    left = _fill(window, shares, order, lambda worker: shares[worker] < wants[worker])
    _fill(left, shares, order, lambda _: True)
    return shares


def _fill(left: int, shares: dict[int, int], order: list[int], wants_more: Callable[[int], bool]) -> int:
    """One slot at a time: windows are at most a few dozen."""
    while left > 0:
        asking = [worker for worker in order if wants_more(worker)][:left]
        if not asking:
            break
        for worker in asking:
            shares[worker] += 1
        left -= len(asking)
    return left


class WorkerShares:
    """A worker's side (`SiteShares`): collects between two exchanges, answers `slots` at once.

    Kept are the shares of sites this worker has a load at, and of every site known to be dead.
    """

    def __init__(self, worker_count: int, settings: WindowSettings | None = None) -> None:
        self._default = SiteShare(default_slots(settings or WindowSettings(), worker_count))
        self._shares: dict[str, SiteShare] = {}
        self._loads: dict[str, tuple[int, int]] = {}
        self._fresh: dict[str, SiteReport] = {}
        self._callbacks: list[Callable[[str, SiteShare], None]] = []

    def share(self, site: str) -> SiteShare:
        return self._shares.get(site, self._default)

    def slots(self, site: str) -> int:
        return self._shares.get(site, self._default).slots

    def on_change(self, callback: Callable[[str, SiteShare], None]) -> None:
        self._callbacks.append(callback)

    def report_load(self, site: str, wanted: int, in_use: int) -> None:
        if self._loads.get(site, (0, 0)) == (wanted, in_use):
            return
        if wanted or in_use:
            self._loads[site] = (wanted, in_use)
        else:
            del self._loads[site]
            if not self.share(site).retry_at:
                self._shares.pop(site, None)
        self._report(site)

    def report_success(self, site: str) -> None:
        self._report(site).successes += 1

    def report_failure(self, site: str) -> None:
        self._report(site).failures += 1

    def report_dead(self, site: str, retry_at: float, failures: int, reason: str) -> None:
        report = self._report(site)
        report.successes = 0  # what went well before does not wake it again
        report.retry_at, report.failed_tries, report.reason = retry_at, failures, reason

    def _report(self, site: str) -> SiteReport:
        report = self._fresh.get(site)
        if report is None:
            report = self._fresh[site] = SiteReport(site)
        return report

    def take_reports(self) -> list[SiteReport]:
        """For the exchange: everything that changed since the last call."""
        fresh, self._fresh = self._fresh, {}
        for site, report in fresh.items():
            report.wanted, report.in_use = self._loads.get(site, (0, 0))
        return list(fresh.values())

    def apply(self, news: Iterable[SiteNews]) -> None:
        for told in news:
            if told.retry_at or told.site in self._loads:
                self._change(told.site, told.share)
            elif self._shares.pop(told.site, None) is not None:
                self._tell(told.site, self._default)

    def resend_all(self) -> None:
        """For a new coordinator: the next `take_reports` tells every load, and every site known to be dead."""
        for site in self._loads:
            self._report(site)
        for site, share in self._shares.items():
            if share.retry_at and not self._report(site).retry_at:
                self.report_dead(site, share.retry_at, share.failures, share.reason)

    def stand_alone(self) -> None:
        """The coordinator is gone: go on with the default share; dead sites stay so, each worker probing by itself."""
        for site, share in list(self._shares.items()):
            if share.retry_at:
                self._change(site, replace(share, slots=1))
            else:
                del self._shares[site]
                self._tell(site, self._default)

    def _change(self, site: str, share: SiteShare) -> None:
        if self._shares.get(site) != share:
            self._shares[site] = share
            self._tell(site, share)

    def _tell(self, site: str, share: SiteShare) -> None:
        for callback in self._callbacks:
            callback(site, share)
