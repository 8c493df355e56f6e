"""Between a worker's planner and what the whole server knows of sites: loads and news go out, shares come in."""

from __future__ import annotations

from posthouse.app.worker_context import SiteShare, SiteShares
from posthouse.message.instant import Instant
from posthouse.mta.planner import Planner
from posthouse.mta.targets import SiteKey


class SiteSync:
    """`tell` is called every 100 ms; the other methods when something happens (mta/runner.SiteEvents)."""

    def __init__(self, planner: Planner, shares: SiteShares) -> None:
        self._planner = planner
        self._shares = shares
        self._loaded: set[SiteKey] = set()
        shares.on_change(self._take_share)

    def tell(self) -> None:
        loads = self._planner.list_loads()
        for site, wanted, in_use in loads:
            self._shares.report_load(site, wanted, in_use)
        loaded = {site for site, _, _ in loads}
        for site in self._loaded - loaded:
            self._shares.report_load(site, 0, 0)
        self._loaded = loaded

    def succeeded(self, site: SiteKey) -> None:
        if not self._planner.settings.is_local(site):
            self._shares.report_success(site)

    def failed(self, site: SiteKey) -> None:
        if self._planner.settings.is_local(site):
            return
        self._shares.report_failure(site)
        state = self._planner.sites.find(site)
        if state is not None and state.is_dead:
            self._shares.report_dead(site, state.retry_at, state.failures, state.reason)

    def _take_share(self, key: str, share: SiteShare) -> None:
        site = self._planner.sites.get(SiteKey(key))
        site.share = share.slots
        if share.retry_at and share.failures >= site.failures:
            site.retry_at, site.failures, site.reason = Instant(share.retry_at), share.failures, share.reason
        elif not share.retry_at and site.is_dead and share.slots:
            site.failures, site.retry_at, site.reason = 0, Instant(0.0), ""
        self._planner.recheck()
